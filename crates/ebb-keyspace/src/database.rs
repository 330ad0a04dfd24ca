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

mod partition;
mod settle;

use std::sync::Arc;

use ebb_collections::{Arenas, Collection, Form};
use ebb_heap::{ArenaId, OutOfMemory};
use ebb_table::POSITION_BITS;
use rand::Rng;

use crate::counts::Counts;
use crate::editor::Editor;
use crate::entry::relocate::Work;
use crate::entry::{Entry, EntryMut, EntryRef, StringValue};
use crate::eviction::AccessClock;
use crate::part::{Deadline, ExpireStep, Expired, Part};
use crate::routes::{PartId, Routes};
use crate::trash::Trash;
use crate::{Key, KeyHasher, Presence};
pub use settle::Settled;
use settle::Settling;

/// Where [`Db::find`] found an entry; valid until the database changes.
#[derive(Clone, Copy)]
pub struct Found {
    part: PartId,
    place: ebb_table::Found,
}

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
        if id == 0 { &mut self.main } else { self.other_mut(id) }
    }

    #[inline(never)]
    fn other_mut(&mut self, id: PartId) -> &mut Part {
        let at = usize::from(id) - 1;
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
        part.clock = part.own_clock().unwrap_or(clock);
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

    /// Asks for the head of the key's value, if that is a block of its own, once its entry has arrived.
    #[inline]
    pub fn prefetch_value(&self, hash: u64) {
        if self.others.is_empty() {
            self.main.prefetch_value(hash);
        }
    }

    /// The collection that has outgrown its entry and whose key probably has this hash: to ask for
    /// a part of it ahead of use.
    #[inline]
    pub fn likely_collection(&self, hash: u64) -> Option<&Collection> {
        if self.others.is_empty() { self.main.likely_collection(hash) } else { None }
    }

    /// The key's entry, expired or not.
    #[inline]
    pub fn get(&self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find(key).map(|found| self.at(found))
    }

    /// What a client sees of the key at a time.
    pub fn presence(&self, key: &Key<'_>, now_ms: i64) -> Presence {
        match self.get(key) {
            None => Presence::Absent,
            Some(entry) if entry.is_due(now_ms) => Presence::Due,
            Some(_) => Presence::Live,
        }
    }

    /// Where the key's entry is, for [`Db::at`] and [`Db::touch`] before anything changes.
    #[inline]
    pub fn find(&self, key: &Key<'_>) -> Option<Found> {
        if self.is_simple() {
            return self.main.find(key).map(|place| Found { part: 0, place });
        }
        self.find_routed(key)
    }

    #[inline(never)]
    fn find_routed(&self, key: &Key<'_>) -> Option<Found> {
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

    /// Sets the access clock of the entry that was found to now.
    #[inline]
    pub fn touch(&mut self, found: Found) {
        self.part_mut(found.part).touch(found.place);
    }

    /// The key's entry, to set its clock.
    #[inline]
    pub fn get_mut(&mut self, key: &Key<'_>) -> Option<EntryMut<'_>> {
        let found = self.find(key)?;
        self.part_mut(found.part).get_mut(key)
    }

    /// Sets a string; answers the deadline of what was there.
    #[inline]
    pub fn set(
        &mut self,
        key: &Key<'_>,
        value: StringValue<'_>,
        deadline: Deadline,
    ) -> Result<Option<i64>, OutOfMemory> {
        if self.is_simple() {
            return self.main.set(key, value, deadline);
        }
        self.change(key, |part| part.set(key, value, deadline))
    }

    /// Gives the entry that was found another string. Its deadline stays.
    #[inline]
    pub fn put(&mut self, found: Found, value: StringValue<'_>) -> Result<(), OutOfMemory> {
        let part = self.part_mut(found.part);
        part.put(found.place, value)?;
        part.tell_counts();
        Ok(())
    }

    /// Whether the key with this hash was the last to be added, and nobody has asked yet.
    #[inline]
    pub fn take_created(&mut self, hash: u64) -> bool {
        self.main.take_created(hash)
            || self.others.iter_mut().flatten().any(|part| part.take_created(hash))
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
    #[inline]
    pub fn edit_collection(&mut self, key: &Key<'_>, found: Found) -> Editor<'_> {
        self.part_mut(found.part).edit_collection(key, found.place)
    }

    /// Deletes all due fields of the hash that was found, and the hash with the last; answers how
    /// many they were, and whether the hash is gone.
    pub fn expire_fields(
        &mut self,
        key: &Key<'_>,
        found: Found,
        now_ms: i64,
    ) -> Result<(usize, bool), OutOfMemory> {
        let part = self.part_mut(found.part);
        let fields = part.expire_fields(found.place, key.hash(), now_ms, usize::MAX);
        let is_done = fields.next_deadline.is_none_or(|at| at >= now_ms);
        if is_done { Ok((fields.expired, fields.emptied)) } else { Err(OutOfMemory) }
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
            part.count_expired(step.expired);
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
}

#[cfg(test)]
mod tests;
