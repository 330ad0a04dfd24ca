//! A part of a database in one shard: its table, its deadlines and its counters.
//!
//! Everything that changes entries goes through here, so that the byte counts are right at
//! every moment and a snapshot has one place to hook in.

use std::sync::Arc;

use ebb_collections::stream::Stream;
use ebb_collections::{Arenas, Collection, Form, HashMut, Limits};
use ebb_heap::{ArenaId, Compact, OutOfMemory};
use rand::Rng;

use crate::editor::{Edited, Editor};
use crate::entry::relocate::Work;
use crate::entry::{Entry, EntryMut, EntryRef, StringValue, grown};
use crate::eviction::{AccessClock, Dice, Own, S3Fifo};
use ebb_table::{BUCKET_BYTES, Found, SLOTS};

use crate::counts::{Counts, Ledger, Share};
use crate::entries::Entries;
use crate::routes::{Totals, Uses};
use crate::trash::Trash;
use crate::wheel::Wheel;
use crate::{Key, KeyHasher};

mod strings;

/// What to do with a key's deadline when its value is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Keep the one it has.
    Keep,
    /// Have none.
    Clear,
    /// Milliseconds since 1970.
    At(i64),
}

/// A database's part in one shard.
pub struct Part {
    data: ArenaId,
    index: ArenaId,
    /// The access clock that entries get when they are made or touched.
    pub(crate) clock: AccessClock,
    /// What S3-FIFO remembers, while it is the policy.
    pub(crate) fifo: Option<Box<S3Fifo>>,
    pub(crate) dice: Dice,
    pub(crate) entries: Entries,
    pub(crate) wheel: Wheel,
    pub(crate) counts: Ledger,
    /// The collection that is being changed.
    pub(crate) edited: Option<Edited>,
    /// The hash of the key that was added last, until somebody asks; 0 if none was.
    created: u64,
    /// The partition's id, 0 for keys of none.
    id: u8,
    /// Who is told of keys and bytes, and what was told last.
    totals: Option<Arc<Totals>>,
    told: (usize, usize),
    /// Lookups, counted for partitions only.
    pub(crate) uses: Uses,
}

/// What a part has told its partition's totals.
pub(crate) struct Told<'a> {
    pub(crate) totals: &'a Arc<Totals>,
    /// Keys and bytes.
    pub(crate) told: (usize, usize),
    /// What they are now.
    pub(crate) size: (usize, usize),
}

/// What has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// A key.
    Key,
    /// So many fields of a hash.
    Fields(usize),
    /// A hash with the last of its fields; told after these.
    Emptied,
}

/// What an expiry step met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpireStep {
    /// Keys deleted.
    pub expired: usize,
    /// Records looked at.
    pub examined: usize,
    /// Milliseconds by which the latest of them was late.
    pub lag_ms: i64,
    /// Whether more may be due now.
    pub more: bool,
}

/// Due fields of one hash that expire in one step of a walk.
const FIELDS_MAX: usize = 32;

/// What became of a hash whose due fields expired.
pub(crate) struct ExpiredFields {
    pub(crate) expired: usize,
    /// Of the fields that are left.
    pub(crate) next_deadline: Option<i64>,
    /// It is gone with its last field.
    pub(crate) emptied: bool,
}

impl Part {
    pub(crate) fn new(data: ArenaId, index: ArenaId, hasher: KeyHasher) -> Part {
        Part {
            data,
            index,
            clock: AccessClock::default(),
            fifo: None,
            dice: Dice::default(),
            entries: Entries::new(index, hasher),
            wheel: Wheel::default(),
            counts: Ledger::default(),
            edited: None,
            created: 0,
            id: 0,
            totals: None,
            told: (0, 0),
            uses: Uses::default(),
        }
    }

    /// Says which partition's this is, and who is told of its keys and bytes.
    pub(crate) fn belong_to(&mut self, id: u8, totals: Arc<Totals>) {
        self.id = id;
        self.totals = Some(totals);
    }

    /// Leaves the partition: it will hold only what is to be moved or deleted.
    pub(crate) fn belong_to_none(&mut self) {
        if let Some(totals) = self.totals.take() {
            totals.exchange(std::mem::take(&mut self.told), (0, 0));
            totals.add_uses(std::mem::take(&mut self.uses));
        }
    }

    /// Whether it is no partition's, among those of partitions.
    pub(crate) fn is_aside(&self) -> bool {
        self.totals.is_none()
    }

    /// What its partition says of eviction.
    pub(crate) fn own(&self) -> Own {
        self.totals.as_ref().map_or(Own::Inherit, |totals| totals.own())
    }

    /// How uses are noted here, if not as everywhere.
    #[inline]
    pub(crate) fn own_clock(&self) -> Option<AccessClock> {
        self.totals.as_ref()?.clock()
    }

    pub(crate) fn count_evicted(&self) {
        if let Some(totals) = &self.totals {
            totals.count_evicted();
        }
    }

    /// Keys, and bytes of entries, values and their table.
    fn size(&self) -> (usize, usize) {
        let (_, slots) = self.entries.raw().shape();
        let table = slots / SLOTS * BUCKET_BYTES;
        (self.counts.keys, self.counts.total_bytes() + table)
    }

    /// Whom it has told what of its keys and bytes, and what is so.
    pub(crate) fn told(&self) -> Option<Told<'_>> {
        let totals = self.totals.as_ref()?;
        Some(Told { totals, told: self.told, size: self.size() })
    }

    /// Tells a partition's totals what has changed since the last time.
    #[inline]
    pub(crate) fn tell_counts(&mut self) {
        if let Some(totals) = &self.totals {
            let size = self.size();
            totals.exchange(self.told, size);
            self.told = size;
        }
    }

    /// Takes an entry over from another part: it keeps its clock, and nobody is told of a new
    /// key. Without memory the entry comes back.
    pub(crate) fn adopt(&mut self, key: &Key<'_>, mut entry: Entry) -> Result<(), Entry> {
        entry.set_partition(self.id);
        let (deadline, next) = (entry.as_ref().deadline(), entry.as_ref().next_field_deadline());
        let share = Share::of(&entry.as_ref());
        crate::audit::arrived(&entry.as_ref());
        self.entries.insert_or_return(key.hash(), entry)?;
        self.counts.add_share(key.hash(), &share);
        self.file(key.hash(), None, deadline);
        self.file(key.hash(), None, next);
        Ok(())
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        *self.counts
    }

    /// Keys.
    pub fn len(&self) -> usize {
        self.counts.keys
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.counts.keys == 0
    }

    /// Segments and slots of the table, bytes of its directory, and bytes of the wheel.
    pub fn index_shape(&self) -> (usize, usize, usize, usize) {
        let (segments, slots) = self.entries.raw().shape();
        (segments, slots, self.entries.raw().directory_bytes(), self.wheel.heap_bytes())
    }

    /// Bytes of the table and of the wheel: what the keys cost beyond their entries.
    pub fn index_bytes(&self) -> (usize, usize) {
        let (_, slots) = self.entries.raw().shape();
        let table = slots / SLOTS * BUCKET_BYTES + self.entries.raw().directory_bytes();
        (table, self.wheel.heap_bytes())
    }

    /// Asks for the key's bucket ahead of use.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.entries.raw().prefetch(hash);
    }

    /// Asks for the key's entry, once its bucket has arrived.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        self.entries.raw().prefetch_entry(hash, Compact::prefetch);
    }

    /// Asks for the head of the key's value, if that is a block of its own, once its entry has arrived.
    #[inline]
    pub fn prefetch_value(&self, hash: u64) {
        if let Some(found) = self.entries.raw().find(hash, |_| true) {
            self.entries.get(found).prefetch_value();
        }
    }

    /// The collection that has outgrown its entry and whose key probably has this hash.
    #[inline]
    pub fn likely_collection(&self, hash: u64) -> Option<&Collection> {
        let found = self.entries.raw().find(hash, |_| true)?;
        self.entries.get(found).grown()
    }

    /// The key's entry, expired or not.
    #[inline]
    pub fn get(&self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.entries.find(key).map(|found| self.entries.get(found))
    }

    /// Where the key's entry is, for [`Part::at`] and [`Part::touch`] before anything changes.
    #[inline]
    pub fn find(&self, key: &Key<'_>) -> Option<Found> {
        self.entries.find(key)
    }

    /// The entry that was found.
    #[inline]
    pub fn at(&self, found: Found) -> EntryRef<'_> {
        self.entries.get(found)
    }

    /// The key's entry, to set its clock.
    #[inline]
    pub fn get_mut(&mut self, key: &Key<'_>) -> Option<EntryMut<'_>> {
        let found = self.entries.find(key)?;
        Some(self.entries.get_mut(found))
    }

    /// Puts a new entry where the found one was.
    fn exchange(&mut self, found: Found, entry: Entry) {
        self.counts.add(found, &entry.as_ref());
        let old = self.entries.replace(found, entry);
        self.counts.subtract(found, &old.as_ref());
    }

    /// Files a deadline in the wheel, unless a record is there that comes soon enough.
    pub(crate) fn file(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        if let Some(at) = new
            && old.is_none_or(|old| at < old)
        {
            self.wheel.insert(at, hash);
        }
    }

    fn insert_new(&mut self, hash: u64, mut entry: Entry) -> Result<(), OutOfMemory> {
        let deadline = entry.as_ref().deadline();
        let clock = self.fresh_clock(hash, entry.as_ref().clock());
        entry.set_clock(clock);
        entry.set_partition(self.id);
        let share = Share::of(&entry.as_ref());
        self.entries.insert(hash, entry)?;
        self.created = hash;
        self.counts.add_share(hash, &share);
        self.file(hash, None, deadline);
        Ok(())
    }

    /// Whether the key with this hash was the last to be added, and nobody has asked yet.
    #[inline]
    pub fn take_created(&mut self, hash: u64) -> bool {
        let created = self.created == hash;
        if created {
            self.created = 0;
        }
        created
    }

    /// Adds an entry under the key it holds, which must be `key`; one that is there is
    /// replaced.
    pub fn insert(&mut self, key: &Key<'_>, mut entry: Entry) -> Result<(), OutOfMemory> {
        debug_assert_eq!(entry.as_ref().key(), key.bytes());
        entry.set_partition(self.id);
        crate::audit::arrived(&entry.as_ref());
        self.file(key.hash(), None, entry.as_ref().next_field_deadline());
        match self.entries.find(key) {
            Some(found) => {
                let there = self.entries.get(found);
                let (old, new) = (there.deadline(), entry.as_ref().deadline());
                let clock = match self.clock {
                    // It has the place in the queues that the other one had.
                    AccessClock::S3Fifo => there.clock(),
                    _ => self.fresh_clock(key.hash(), entry.as_ref().clock()),
                };
                entry.set_clock(clock);
                self.exchange(found, entry);
                self.file(key.hash(), old, new);
                Ok(())
            }
            None => self.insert_new(key.hash(), entry),
        }
    }

    /// Takes the key's entry out.
    pub fn take(&mut self, key: &Key<'_>) -> Option<Entry> {
        let found = self.entries.find(key)?;
        let entry = self.entries.remove(found);
        self.counts.subtract(found, &entry.as_ref());
        Some(entry)
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
        let Some(found) = self.entries.find(key) else { return Ok(false) };
        let entry = self.entries.get(found);
        let old = entry.deadline();
        match (old, deadline) {
            (Some(_), Some(at)) => self.entries.get_mut(found).set_deadline(at),
            (None, None) => {}
            _ => self.rebuild(found, key.bytes(), deadline)?,
        }
        self.file(key.hash(), old, deadline);
        Ok(true)
    }

    /// Puts an entry with another deadline in the place of the found one; a large value stays
    /// where it is.
    fn rebuild(
        &mut self,
        found: Found,
        key: &[u8],
        deadline: Option<i64>,
    ) -> Result<(), OutOfMemory> {
        let before = *self.counts;
        let stand_in = Entry::build(self.data, key, None, StringValue::Int(0))?;
        let name = stand_in.name();
        self.counts.subtract(found, &self.entries.get(found));
        let old = self.entries.replace(found, stand_in);
        let found = found.with_entry(name);
        let (entry, result) = match old.renamed(self.data, key, deadline) {
            Ok(entry) => (entry, Ok(())),
            Err((entry, error)) => (entry, Err(error)),
        };
        self.counts.add(found, &entry.as_ref());
        drop(self.entries.replace(found, entry));
        if result.is_err() {
            self.counts.set(found, before);
        }
        result
    }

    /// Where the blocks of collections are allocated.
    #[inline]
    pub fn arenas(&self) -> Arenas {
        Arenas { data: self.data, index: self.index }
    }

    /// Opens the collection that was found, to change it.
    #[inline]
    pub fn edit_collection(&mut self, key: &Key<'_>, found: Found) -> Editor<'_> {
        Editor::open(self, found, key.hash())
    }

    /// Makes an empty collection under a key that is not there, to fill it.
    pub fn new_collection(&mut self, key: &Key<'_>, form: Form) -> Result<Editor<'_>, OutOfMemory> {
        let entry = Entry::build_collection(self.data, key.bytes(), None, form, &[], None)?;
        self.insert_new(key.hash(), entry)?;
        let found = self.entries.find(key).ok_or(OutOfMemory)?;
        Ok(Editor::open(self, found, key.hash()))
    }

    /// Makes an empty stream under a key that is not there.
    pub fn new_stream(&mut self, key: &Key<'_>) -> Result<Editor<'_>, OutOfMemory> {
        let stream = Collection::Stream(Box::new(Stream::new(self.arenas())));
        let entry =
            Entry::build_collection(self.data, key.bytes(), None, Form::List, &[], Some(stream))?;
        self.insert_new(key.hash(), entry)?;
        let found = self.entries.find(key).ok_or(OutOfMemory)?;
        Ok(Editor::open(self, found, key.hash()))
    }

    /// The bytes of the key's string, at least `len` of them (zeros where there were none),
    /// to edit in place. A key that is not there is made. The encoding becomes "raw".
    pub fn edit(&mut self, key: &Key<'_>, len: usize) -> Result<&mut [u8], OutOfMemory> {
        match self.entries.find(key) {
            Some(found) => {
                if self.entries.get_mut(found).into_bytes(len).is_none() {
                    let old = self.entries.get(found);
                    let len = len.max(old.string().len());
                    let entry = grown(self.data, key.bytes(), Some(old), len)?;
                    self.exchange(found, entry);
                }
            }
            None => {
                let entry = grown(self.data, key.bytes(), None, len)?;
                self.insert_new(key.hash(), entry)?;
            }
        }
        let found = self.entries.find(key).ok_or(OutOfMemory)?;
        match self.entries.get_mut(found).into_bytes(len) {
            Some(bytes) => Ok(bytes),
            None => unreachable!("an entry that was grown has the room and is not shared"),
        }
    }

    /// Visits the entries of the next bucket from `position`; the next position, 0 at the
    /// end.
    pub fn scan(&self, position: u64, mut visit: impl FnMut(EntryRef<'_>)) -> u64 {
        self.entries.scan(position, &mut visit)
    }

    /// Visits every entry.
    pub fn for_each(&self, mut visit: impl FnMut(EntryRef<'_>)) {
        self.entries.for_each(&mut visit);
    }

    /// An entry drawn with the same chance as every other.
    pub fn sample(&self, random: &mut impl Rng) -> Option<EntryRef<'_>> {
        self.entries.sample(random)
    }

    /// Deletes keys that are due, at most `limit` records' worth; `expired` is told of each
    /// key before it goes.
    pub fn expire_step(
        &mut self,
        now_ms: i64,
        limit: usize,
        mut expired: impl FnMut(&[u8], Expired),
    ) -> ExpireStep {
        let mut step = ExpireStep::default();
        while step.examined < limit {
            let Some(hash) = self.wheel.next(now_ms) else { return step };
            step.examined += 1;
            let Some(found) = self.entries.find_volatile(hash) else { continue };
            let entry = self.entries.get(found);
            let (key_at, field_at) = (entry.deadline(), entry.next_field_deadline());
            let Some(deadline) = key_at.into_iter().chain(field_at).min() else { continue };
            if deadline >= now_ms {
                self.wheel.insert(deadline, hash);
                continue;
            }
            if key_at.is_none_or(|at| at >= now_ms) {
                step.lag_ms = step.lag_ms.max(now_ms - deadline);
                let key = entry.key().to_vec();
                let fields = self.expire_fields(found, hash, now_ms, FIELDS_MAX);
                if let Some(next) = fields.next_deadline {
                    self.wheel.insert(next, hash);
                }
                step.examined += fields.expired;
                expired(&key, Expired::Fields(fields.expired));
                if fields.emptied {
                    expired(&key, Expired::Emptied);
                }
                continue;
            }
            step.lag_ms = step.lag_ms.max(now_ms - deadline);
            step.expired += 1;
            expired(entry.key(), Expired::Key);
            let entry = self.entries.remove(found);
            self.counts.subtract(found, &entry.as_ref());
        }
        step.more = true;
        step
    }

    /// Tells its partition's counters of keys that have expired.
    pub(crate) fn count_expired(&self, keys: usize) {
        if let Some(totals) = &self.totals {
            totals.count_expired(keys);
        }
    }

    /// Deletes at most so many due fields of a hash, and the hash with the last. It may be in another
    /// place then.
    pub(crate) fn expire_fields(
        &mut self,
        found: Found,
        hash: u64,
        now_ms: i64,
        most: usize,
    ) -> ExpiredFields {
        let limits = Limits { entries: usize::MAX, value: usize::MAX };
        let mut fields = HashMut::new(Editor::open(self, found, hash), limits);
        let mut expired = 0;
        while expired < most && matches!(fields.expire_one(now_ms), Ok(Some(_))) {
            expired += 1;
        }
        let next_deadline = fields.as_ref().next_deadline();
        ExpiredFields { expired, next_deadline, emptied: fields.into_slot().finish() }
    }

    /// Moves blocks of one segment of the table; see [`Work`]. The position to go on from, 0 at
    /// the end, or nothing if the same segment is to be visited again.
    pub fn relocate(
        &mut self,
        position: u64,
        work: &mut Work<'_>,
    ) -> Result<Option<u64>, OutOfMemory> {
        self.entries.relocate(position, work)
    }

    /// Moves some blocks of a large collection, if it is still there; the position to go on
    /// from, 0 at the end.
    pub fn relocate_collection(
        &mut self,
        key: &Key<'_>,
        position: u128,
        work: &mut Work<'_>,
    ) -> Result<u128, OutOfMemory> {
        match self.entries.find(key) {
            Some(found) => self.entries.get_mut(found).relocate_some(position, work),
            None => Ok(0),
        }
    }

    /// Empties the database in an instant; what it held is freed by draining the answer.
    pub fn detach(&mut self) -> Trash {
        let counts = self.counts.take();
        self.wheel = Wheel::default();
        self.fifo = None;
        let index = self.index_shape().1 / SLOTS * BUCKET_BYTES;
        let drain = self.entries.detach();
        let bytes = counts.bytes.iter().sum::<usize>() + counts.tables;
        self.tell_counts();
        Trash { bytes, entries: drain.len(), index, drains: vec![drain] }
    }
}
