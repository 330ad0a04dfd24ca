//! One database in one shard: the parts that its keys are divided into.
//!
//! Without partitions there is one part, and all of this is a test for that. A partition's
//! keys have a part of their own: a table, deadlines, counters and an arena. So it can be
//! emptied in an instant, keys are drawn from it alone, and its counts are exact.
//!
//! When partitions come or go, keys lie in parts other than theirs until
//! [`Db::settle_step`] has moved them: the database is *scattered*. Until then a key that is
//! not in its own part is looked for in the others, and stays where it is found. Of a
//! partition that is emptied meanwhile, what still lies elsewhere counts as gone: it is
//! *void*, and is deleted where it would have been moved.

use std::sync::Arc;

use ebb_collections::{Arenas, Form};
use ebb_heap::{ArenaId, OutOfMemory};
use ebb_table::POSITION_BITS;
use rand::Rng;

use crate::editor::Editor;
use crate::entry::relocate::Work;
use crate::entry::{Entry, EntryMut, EntryRef, StringValue};
use crate::eviction::AccessClock;
use crate::part::{Counts, Deadline, ExpireStep, Expired, Part, Trash};
use crate::routes::{PartId, Routes};
use crate::{Key, KeyHasher, Presence};

/// Where [`Db::find`] found an entry; valid until the database changes.
#[derive(Clone, Copy)]
pub struct Found {
    part: PartId,
    place: ebb_table::Found,
}

/// Parts of partitions, and such as were put aside.
const PARTS_MAX: usize = PartId::MAX as usize;

/// A database's part in one shard.
pub struct Db {
    main: Part,
    /// Parts of partitions, by id less one.
    others: Vec<Option<Box<Part>>>,
    routes: Arc<Routes>,
    /// Whether keys may lie in parts other than theirs, and how far they have been moved.
    settling: Option<Settling>,
    index: ArenaId,
    hasher: KeyHasher,
}

/// How far keys have been moved to their parts.
#[derive(Default)]
struct Settling {
    part: usize,
    position: u64,
    /// Partitions of which what lies elsewhere is gone.
    void: Vec<PartId>,
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
    pub(crate) fn new(data: ArenaId, index: ArenaId, hasher: KeyHasher) -> Db {
        let main = Part::new(data, index, hasher.clone());
        let (others, routes, settling) = (Vec::new(), Arc::default(), None);
        Db { main, others, routes, settling, index, hasher }
    }

    /// Sets the access clock for entries that are made or touched from now on.
    #[inline]
    pub(crate) fn set_clock(&mut self, clock: AccessClock) {
        self.main.clock = clock;
    }

    /// A part. Ids come from [`Db::home`], or from an entry that was found.
    #[inline]
    fn at_id(&self, id: PartId) -> Option<&Part> {
        match usize::from(id).checked_sub(1) {
            None => Some(&self.main),
            Some(at) => self.others.get(at)?.as_deref(),
        }
    }

    /// A part to change, made if it is not there.
    #[inline]
    fn part_mut(&mut self, id: PartId) -> &mut Part {
        let Some(at) = usize::from(id).checked_sub(1) else { return &mut self.main };
        if self.others.len() <= at {
            self.others.resize_with(at + 1, || None);
        }
        let clock = self.main.clock;
        let (routes, index, hasher) = (&self.routes, self.index, &self.hasher);
        let part = self.others[at].get_or_insert_with(|| {
            let Some(seat) = routes.seat(id) else {
                unreachable!("a part is made only for a partition that is there")
            };
            let mut part = Part::new(seat.data, index, hasher.clone());
            part.belong_to(id, seat.totals.clone());
            Box::new(part)
        });
        part.clock = clock;
        part
    }

    /// The parts that are there.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.main).chain(self.others.iter().flatten().map(|part| &**part))
    }

    /// The same to change.
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        let others = self.others.iter_mut().flatten().map(|part| &mut **part);
        std::iter::once(&mut self.main).chain(others)
    }

    /// The same with their ids.
    pub(crate) fn parts_with_ids_mut(&mut self) -> impl Iterator<Item = (PartId, &mut Part)> {
        let others = (1..).zip(&mut self.others);
        let others = others.filter_map(|(id, part)| Some((id, &mut **part.as_mut()?)));
        std::iter::once((0, &mut self.main)).chain(others)
    }

    /// Bytes of the data that are not in the heap.
    pub(crate) fn outside_bytes(&self) -> usize {
        self.parts().map(Part::outside_bytes).sum()
    }

    /// How often an entry was used, if the policy counts that.
    pub fn frequency(&self, entry: &EntryRef<'_>) -> Option<u32> {
        self.at_id(self.home(entry.key())).unwrap_or(&self.main).frequency(entry)
    }

    /// The part of keys that belong to no partition, or of a partition, if it has keys here.
    pub fn part(&mut self, id: PartId) -> Option<&mut Part> {
        match usize::from(id).checked_sub(1) {
            None => Some(&mut self.main),
            Some(at) => self.others.get_mut(at)?.as_deref_mut(),
        }
    }

    #[inline]
    fn is_simple(&self) -> bool {
        self.others.is_empty() && self.routes.is_empty()
    }

    /// The part that a key belongs to.
    #[inline]
    pub fn home(&self, key: &[u8]) -> PartId {
        if self.routes.is_empty() { 0 } else { self.routes.of(key) }
    }

    /// Where the key is, if it is not in its own part.
    #[cold]
    fn find_astray(&self, home: PartId, key: &Key<'_>) -> Option<Found> {
        let settling = self.settling.as_ref()?;
        if settling.void.contains(&home) {
            return None;
        }
        let ids = (0..=self.others.len()).map(|id| id as PartId).filter(|&id| id != home);
        let find = |id| Some(Found { part: id, place: self.at_id(id)?.find(key)? });
        ids.into_iter().find_map(find)
    }

    /// The part in which a key is, or else belongs.
    #[inline]
    fn seat(&self, key: &Key<'_>) -> PartId {
        if self.is_simple() {
            return 0;
        }
        let home = self.home(key.bytes());
        if self.settling.is_none() || self.at_id(home).is_some_and(|part| part.find(key).is_some())
        {
            return home;
        }
        self.find_astray(home, key).map_or(home, |found| found.part)
    }

    /// Changes the part that a key is or belongs in, and has its counts told.
    #[inline]
    fn change<R>(&mut self, key: &Key<'_>, work: impl FnOnce(&mut Part) -> R) -> R {
        let id = self.seat(key);
        let part = self.part_mut(id);
        let result = work(part);
        part.tell_counts();
        result
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        let others = self.others.iter().flatten();
        others.fold(self.main.counts(), |sum, part| sum.plus(&part.counts()))
    }

    /// Keys.
    pub fn len(&self) -> usize {
        self.parts().map(Part::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts().all(Part::is_empty)
    }

    /// Segments and slots of the tables, bytes of their directories, and bytes of the wheels.
    pub fn index_shape(&self) -> (usize, usize, usize, usize) {
        self.parts().map(Part::index_shape).fold((0, 0, 0, 0), |sum, one| {
            (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2, sum.3 + one.3)
        })
    }

    /// Bytes of the tables and of the wheels: what the keys cost beyond their entries.
    pub fn index_bytes(&self) -> (usize, usize) {
        let sum = |sum: (usize, usize), one: (usize, usize)| (sum.0 + one.0, sum.1 + one.1);
        self.parts().map(Part::index_bytes).fold((0, 0), sum)
    }

    /// Asks for the key's bucket ahead of use.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if self.others.is_empty() {
            self.main.prefetch(hash);
        }
    }

    /// Asks for the key's entry, once its bucket has arrived.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if self.others.is_empty() {
            self.main.prefetch_entry(hash);
        }
    }

    /// The key's entry, expired or not.
    #[inline]
    pub fn get(&self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find(key).map(|found| self.at(found))
    }

    /// What a client sees of the key at a time.
    pub fn presence(&self, key: &Key<'_>, now_ms: i64) -> Presence {
        match self.get(key).map(|entry| entry.deadline()) {
            None => Presence::Absent,
            Some(Some(deadline)) if deadline <= now_ms => Presence::Due,
            Some(_) => Presence::Live,
        }
    }

    /// Where the key's entry is, for [`Db::at`] and [`Db::touch`] before anything changes.
    #[inline]
    pub fn find(&self, key: &Key<'_>) -> Option<Found> {
        if self.is_simple() {
            return self.main.find(key).map(|place| Found { part: 0, place });
        }
        let home = self.home(key.bytes());
        match self.at_id(home).and_then(|part| part.find(key)) {
            Some(place) => Some(Found { part: home, place }),
            None => self.find_astray(home, key),
        }
    }

    /// The entry that was found.
    #[inline]
    pub fn at(&self, found: Found) -> EntryRef<'_> {
        match self.at_id(found.part) {
            Some(part) => part.at(found.place),
            None => unreachable!("what was found is in a part"),
        }
    }

    /// The entry that was found, its access clock set to now.
    #[inline]
    pub fn touch(&mut self, found: Found) -> EntryRef<'_> {
        self.part_mut(found.part).touch(found.place)
    }

    /// The key's entry, to set its clock.
    #[inline]
    pub fn get_mut(&mut self, key: &Key<'_>) -> Option<EntryMut<'_>> {
        let found = self.find(key)?;
        self.part_mut(found.part).get_mut(key)
    }

    /// Sets a string.
    #[inline]
    pub fn set(
        &mut self,
        key: &Key<'_>,
        value: StringValue<'_>,
        deadline: Deadline,
    ) -> Result<(), OutOfMemory> {
        if self.is_simple() {
            return self.main.set(key, value, deadline);
        }
        self.change(key, |part| part.set(key, value, deadline))
    }

    /// Whether the key with this hash was the last to be added, and nobody has asked yet.
    #[inline]
    pub fn take_created(&mut self, hash: u64) -> bool {
        self.parts_mut().any(|part| part.take_created(hash))
    }

    /// Adds an entry under the key it holds, which must be `key`; one that is there is
    /// replaced.
    pub fn insert(&mut self, key: &Key<'_>, entry: Entry) -> Result<(), OutOfMemory> {
        self.change(key, |part| part.insert(key, entry))
    }

    /// Takes the key's entry out.
    pub fn take(&mut self, key: &Key<'_>) -> Option<Entry> {
        self.change(key, |part| part.take(key))
    }

    /// Deletes the key; answers whether it was there.
    pub fn remove(&mut self, key: &Key<'_>) -> bool {
        self.take(key).is_some()
    }

    /// Changes the deadline of a key that exists; answers whether it does.
    pub fn set_deadline(
        &mut self,
        key: &Key<'_>,
        deadline: Option<i64>,
    ) -> Result<bool, OutOfMemory> {
        self.change(key, |part| part.set_deadline(key, deadline))
    }

    /// Where the blocks of collections under a key are allocated.
    pub fn arenas_of(&self, key: &[u8]) -> Arenas {
        let home = self.home(key);
        let seat = self.routes.seat(home);
        seat.map_or(self.main.arenas(), |seat| Arenas { data: seat.data, index: self.index })
    }

    /// Opens the collection that was found, to change it.
    pub fn edit_collection(&mut self, key: &Key<'_>, found: Found) -> Editor<'_> {
        self.part_mut(found.part).edit_collection(key, found.place)
    }

    /// Makes an empty collection under a key that is not there, to fill it.
    pub fn new_collection(&mut self, key: &Key<'_>, form: Form) -> Result<Editor<'_>, OutOfMemory> {
        let home = self.home(key.bytes());
        self.part_mut(home).new_collection(key, form)
    }

    /// Makes an empty stream under a key that is not there.
    pub fn new_stream(&mut self, key: &Key<'_>) -> Result<Editor<'_>, OutOfMemory> {
        let home = self.home(key.bytes());
        self.part_mut(home).new_stream(key)
    }

    /// The bytes of the key's string, at least `len` of them (zeros where there were none),
    /// to edit in place. A key that is not there is made. The encoding becomes "raw".
    pub fn edit(&mut self, key: &Key<'_>, len: usize) -> Result<&mut [u8], OutOfMemory> {
        let id = self.seat(key);
        let part = self.part_mut(id);
        part.edit(key, len)?;
        part.tell_counts();
        // There is room now, so nothing changes this time.
        part.edit(key, len)
    }

    /// Visits the entries of the next bucket from `position`; the next position, 0 at the
    /// end.
    ///
    /// All parts have the same positions, and a key keeps its own when it is moved from part
    /// to part. So each call visits one stretch of positions in every part: the one that the
    /// next bucket of the largest covers.
    pub fn scan(&self, position: u64, mut visit: impl FnMut(EntryRef<'_>)) -> u64 {
        if self.is_simple() {
            return self.main.scan(position, &mut visit);
        }
        let Some(largest) = self.parts().max_by_key(|part| part.len()) else { return 0 };
        let mut see = |entry: EntryRef<'_>, part: &Part| {
            if !self.is_void(&entry, part) {
                visit(entry);
            }
        };
        let next = largest.scan(position, |entry| see(entry, largest));
        let end = if next == 0 { 1 << POSITION_BITS } else { next };
        for part in self.parts().filter(|part| !std::ptr::eq(*part, largest)) {
            let mut at = position;
            loop {
                at = part.scan(at, |entry| see(entry, part));
                if at == 0 || at >= end {
                    break;
                }
            }
        }
        next
    }

    /// Whether an entry counts as gone, because its partition was emptied while it lay in
    /// another part.
    fn is_void(&self, entry: &EntryRef<'_>, part: &Part) -> bool {
        let Some(settling) = self.settling.as_ref().filter(|settling| !settling.void.is_empty())
        else {
            return false;
        };
        let home = self.home(entry.key());
        settling.void.contains(&home)
            && !self.at_id(home).is_some_and(|own| std::ptr::eq(own, part))
    }

    /// Visits every entry.
    pub fn for_each(&self, mut visit: impl FnMut(EntryRef<'_>)) {
        for part in self.parts() {
            part.for_each(|entry| {
                if !self.is_void(&entry, part) {
                    visit(entry);
                }
            });
        }
    }

    /// An entry drawn with the same chance as every other.
    pub fn sample(&self, random: &mut impl Rng) -> Option<EntryRef<'_>> {
        if self.is_simple() {
            return self.main.sample(random);
        }
        let len = self.len();
        if len == 0 {
            return None;
        }
        let mut at = random.random_range(0..len);
        let part = self.parts().find(|part| {
            let here = at < part.len();
            at = at.saturating_sub(part.len());
            here
        })?;
        part.sample(random).filter(|entry| !self.is_void(entry, part))
    }

    /// Deletes keys that are due, at most `limit` records' worth for each part; `expired` is
    /// told of each key before it goes.
    pub fn expire_step(
        &mut self,
        now_ms: i64,
        limit: usize,
        mut expired: impl FnMut(&[u8], Expired),
    ) -> ExpireStep {
        let mut sum = ExpireStep::default();
        for part in self.parts_mut() {
            let step = part.expire_step(now_ms, limit, &mut expired);
            part.tell_counts();
            sum.expired += step.expired;
            sum.examined += step.examined;
            sum.lag_ms = sum.lag_ms.max(step.lag_ms);
            sum.more |= step.more;
        }
        sum
    }

    /// Moves blocks of one segment of a part's table; see [`Work`]. The position to go on
    /// from, 0 at the end, or nothing if the same segment is to be visited again.
    pub fn relocate(
        &mut self,
        part: PartId,
        position: u64,
        work: &mut Work<'_>,
    ) -> Result<Option<u64>, OutOfMemory> {
        self.part(part).map_or(Ok(Some(0)), |part| part.relocate(position, work))
    }

    /// Moves some blocks of a large collection, if it is still there; the position to go on
    /// from, 0 at the end.
    pub fn relocate_collection(
        &mut self,
        key: &Key<'_>,
        position: u128,
        work: &mut Work<'_>,
    ) -> Result<u128, OutOfMemory> {
        let id = self.seat(key);
        self.part_mut(id).relocate_collection(key, position, work)
    }

    /// Ids of parts are below this.
    pub fn part_count(&self) -> usize {
        1 + self.others.len()
    }

    /// Empties the database in an instant; what it held is freed by draining the answer.
    pub fn detach(&mut self) -> Trash {
        if let Some(settling) = &mut self.settling {
            settling.void.clear();
        }
        self.parts_mut().map(Part::detach).reduce(Trash::join).unwrap_or_default()
    }

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
        let Some(settling) = &mut self.settling else { return false };
        // Not in the place of any partition, nor where settling has been already.
        let is_free = |&at: &usize| {
            self.routes.seat(at as PartId + 1).is_none()
                && self.others.get(at).is_none_or(Option::is_none)
        };
        let Some(at) = (settling.part..PARTS_MAX).find(is_free) else { return false };
        if !settling.void.contains(&id) {
            settling.void.push(id);
        }
        let part = usize::from(id).checked_sub(1).and_then(|at| self.others.get_mut(at)?.take());
        if let Some(mut part) = part {
            part.belong_to_none();
            if self.others.len() <= at {
                self.others.resize_with(at + 1, || None);
            }
            self.others[at] = Some(part);
        }
        true
    }

    /// Divides the database anew. Keys are moved by [`Db::settle_step`].
    pub fn set_routes(&mut self, routes: Arc<Routes>) {
        self.end_voids();
        let was_simple = self.is_simple() && routes.is_empty();
        self.routes = routes;
        if !was_simple && !self.is_empty() {
            self.begin_settling();
        }
        self.drop_empty_parts();
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
            if is_empty && self.routes.seat(id).is_none() {
                self.others[at] = None;
            }
        }
        while self.others.last().is_some_and(Option::is_none) {
            self.others.pop();
        }
    }
}

#[cfg(test)]
mod tests;
