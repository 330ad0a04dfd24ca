//! Moving keys to their parts after partitions have come or gone.

use std::sync::Arc;

use ebb_heap::OutOfMemory;

use super::Db;
use crate::Key;
use crate::part::Part;
use crate::routes::{PartId, Routes};
use crate::trash::Trash;

/// Parts of partitions, and such as were put aside.
const PARTS_MAX: usize = PartId::MAX as usize;

/// How far keys have been moved to their parts.
#[derive(Default)]
pub(super) struct Settling {
    pub(super) part: usize,
    pub(super) position: u64,
    /// Partitions of which what lies elsewhere is gone.
    pub(super) void: Vec<PartId>,
}

/// What [`Db::settle_step`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Keys looked at.
    pub seen: usize,
    /// Keys moved to their parts.
    pub moved: usize,
    /// Whether there is more to do.
    pub more: bool,
}

impl Db {
    /// Empties a partition in an instant.
    pub fn detach_part(&mut self, id: PartId) -> Trash {
        if self.settling.is_some() && !self.put_aside(id) {
            // Too many are aside already: this takes long, but nobody asks for it twice.
            while self.settle_step(usize::MAX).is_ok_and(|step| step.more) {}
        }
        if self.settling.is_some() {
            return Trash::default();
        }
        self.part(id).map(Part::detach).unwrap_or_default()
    }

    /// Takes a partition's part out of its place, as it is: it may hold keys of others, and
    /// its own lie in others. All of it is to be settled. Answers whether there was a place.
    fn put_aside(&mut self, id: PartId) -> bool {
        let Some(settling) = &self.settling else { return false };
        crate::audit::disturb();
        // Not where settling has been already.
        let Some(at) = self.free_place(settling.part) else { return false };
        if let Some(settling) = &mut self.settling
            && !settling.void.contains(&id)
        {
            settling.void.push(id);
        }
        self.move_part(usize::from(id) - 1, at);
        true
    }

    /// A place from `first` on that is no partition's and has no part.
    fn free_place(&self, first: usize) -> Option<usize> {
        let is_free = |&at: &usize| {
            self.routes.seat(at as PartId + 1).is_none()
                && self.others.get(at).is_none_or(Option::is_none)
        };
        (first..PARTS_MAX).find(is_free)
    }

    /// Moves a part, if there is one, to the place of no partition.
    fn move_part(&mut self, from: usize, to: usize) {
        let Some(mut part) = self.others.get_mut(from).and_then(Option::take) else { return };
        part.belong_to_none();
        if self.others.len() <= to {
            self.others.resize_with(to + 1, || None);
        }
        self.others[to] = Some(part);
    }

    /// Divides the database anew. Keys are moved by [`Db::settle_step`].
    pub fn set_routes(&mut self, routes: Arc<Routes>) {
        crate::audit::disturb();
        self.end_voids();
        let was_simple = self.is_simple() && routes.is_empty();
        self.routes = routes;
        self.clear_places();
        if !was_simple && !self.is_empty() {
            self.begin_settling();
        }
        self.drop_empty_parts();
    }

    /// Moves parts that were put aside out of the places of partitions that came to this
    /// database from another one. There are more places than partitions.
    fn clear_places(&mut self) {
        for at in 0..self.others.len() {
            let is_aside = self.others[at].as_ref().is_some_and(|part| part.is_aside());
            if is_aside
                && self.routes.seat(at as PartId + 1).is_some()
                && let Some(free) = self.free_place(0)
            {
                self.move_part(at, free);
            }
        }
    }

    fn begin_settling(&mut self) {
        self.settling = Some(Settling::default());
    }

    /// Deletes at once what is void: what it belongs to is about to change. This happens only
    /// when a partition is emptied and the division changed within the same second.
    fn end_voids(&mut self) {
        while self.settling.as_ref().is_some_and(|settling| !settling.void.is_empty()) {
            if self.settle_step(usize::MAX).is_err() {
                // Without memory what lies astray is deleted only where it is void.
                self.delete_void();
                return;
            }
        }
    }

    fn delete_void(&mut self) {
        for id in 0..self.part_count() as PartId {
            let mut keys = Vec::new();
            if let Some(part) = self.at_id(id) {
                part.for_each(|entry| {
                    if self.is_void(&entry, part) {
                        keys.push(entry.key().to_vec());
                    }
                });
            }
            for key in keys {
                let key = Key::with_hash(&key, self.hasher.hash(&key));
                let part = self.part_mut(id);
                drop(part.take(&key));
                part.tell_counts();
            }
        }
        if let Some(settling) = &mut self.settling {
            settling.void.clear();
        }
    }

    /// Exchanges the contents with another database of the same shard: each key belongs to a
    /// partition of its new database then.
    pub(crate) fn swap(&mut self, other: &mut Db) {
        crate::audit::disturb();
        self.end_voids();
        other.end_voids();
        std::mem::swap(self, other);
        std::mem::swap(&mut self.routes, &mut other.routes);
        for db in [self, other] {
            if !db.is_simple() {
                db.begin_settling();
            }
        }
    }

    /// Whether keys may lie in parts other than theirs.
    pub fn is_scattered(&self) -> bool {
        self.settling.is_some()
    }

    /// Looks at some keys, about `limit`, and moves those that lie in a part other than
    /// theirs. On an error, try again when there is memory.
    pub fn settle_step(&mut self, limit: usize) -> Result<Settled, OutOfMemory> {
        let mut step = Settled::default();
        while step.seen < limit {
            let Some(settling) = &self.settling else { return Ok(step) };
            let (id, position) = (settling.part as PartId, settling.position);
            let mut astray = Vec::new();
            let next = self.at_id(id).map_or(0, |part| {
                part.scan(position, |entry| {
                    step.seen += 1;
                    if self.home(entry.key()) != id {
                        astray.push(entry.key().to_vec());
                    }
                })
            });
            step.seen += 1;
            step.moved += astray.len();
            for key in astray {
                self.settle(id, &key)?;
            }
            let done = next == 0 && usize::from(id) == self.others.len();
            match &mut self.settling {
                _ if done => self.settling = None,
                Some(settling) => {
                    settling.position = next;
                    settling.part += usize::from(next == 0);
                }
                None => {}
            }
            if done {
                self.drop_empty_parts();
            }
        }
        step.more = self.settling.is_some();
        Ok(step)
    }

    /// Moves a key from a part to its own, or deletes it if its partition was emptied.
    fn settle(&mut self, from: PartId, key: &[u8]) -> Result<(), OutOfMemory> {
        let home = self.home(key);
        let is_void = self.settling.as_ref().is_some_and(|one| one.void.contains(&home));
        let key = Key::with_hash(key, self.hasher.hash(key));
        let part = self.part_mut(from);
        let Some(entry) = part.take(&key) else { return Ok(()) };
        part.tell_counts();
        if is_void {
            return Ok(());
        }
        let part = self.part_mut(home);
        let result = part.adopt(&key, entry);
        part.tell_counts();
        let Err(entry) = result else { return Ok(()) };
        // It was there a moment ago, so there is room for it.
        let part = self.part_mut(from);
        let result = part.adopt(&key, entry).map_err(|_| OutOfMemory);
        part.tell_counts();
        result.and(Err(OutOfMemory))
    }

    /// Forgets the parts of partitions that are gone, once they are empty.
    fn drop_empty_parts(&mut self) {
        for at in 0..self.others.len() {
            let id = at as PartId + 1;
            let is_empty = self.others[at].as_ref().is_some_and(|part| part.is_empty());
            if is_empty
                && self.routes.seat(id).is_none()
                && let Some(mut part) = self.others[at].take()
            {
                // Its partition may be in other databases.
                part.belong_to_none();
            }
        }
        while self.others.last().is_some_and(Option::is_none) {
            self.others.pop();
        }
    }
}
