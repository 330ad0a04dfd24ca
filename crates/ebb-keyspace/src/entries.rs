//! The table of a database: the typed, safe layer over [`Table`] whose handles are entries.

use ebb_heap::{ArenaId, Block, Compact, OutOfMemory};
use rand::Rng;

use ebb_table::{Drain, Found, Table, same};

use crate::entry::relocate::{Work, free_husk};
use crate::entry::{Entry, EntryMut, EntryRef};
use crate::{Key, KeyHasher};

/// Entries by key. It owns them.
pub(crate) struct Entries {
    table: Table,
    hasher: KeyHasher,
}

/// Looks at an entry.
///
/// SAFETY of the callers: the table owns the entry and is borrowed for `'a`; all blocks in
/// it are entries, since only [`Entries::insert`] and [`Entries::replace`] put them there.
fn view<'a>(entry: Compact) -> EntryRef<'a> {
    // SAFETY: as said above.
    unsafe { EntryRef::new(entry) }
}

fn hash_of(hasher: &KeyHasher) -> impl Fn(Compact) -> u64 {
    move |entry| hasher.hash(view(entry).key())
}

impl Entries {
    pub(crate) fn new(arena: ArenaId, hasher: KeyHasher) -> Entries {
        Entries { table: Table::new(arena), hasher }
    }

    pub(crate) fn raw(&self) -> &Table {
        &self.table
    }

    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>) -> Option<Found> {
        self.table.find(key.hash(), |entry| same(view(entry).key(), key.bytes()))
    }

    /// The entry with this hash that has a deadline, or fields that have.
    pub(crate) fn find_volatile(&self, hash: u64) -> Option<Found> {
        self.table.find(hash, |entry| {
            let entry = view(entry);
            (entry.has_deadline() || entry.is_expiring_hash())
                && self.hasher.hash(entry.key()) == hash
        })
    }

    /// The entry with this hash: the only one, as far as matters where an entry is wanted that was
    /// there a moment ago.
    pub(crate) fn find_hash(&self, hash: u64) -> Option<Found> {
        self.table.find(hash, |entry| self.hasher.hash(view(entry).key()) == hash)
    }

    /// The hash of an entry's key.
    pub(crate) fn hash(&self, entry: &EntryRef<'_>) -> u64 {
        self.hasher.hash(entry.key())
    }

    /// The entries of a random bucket, with what computes their hashes.
    pub(crate) fn sample_bucket(
        &self,
        random: &mut impl Rng,
        mut visit: impl FnMut(EntryRef<'_>, &dyn Fn() -> u64),
    ) {
        self.table.sample_bucket(random, |entry| {
            visit(view(entry), &|| self.hasher.hash(view(entry).key()));
        });
    }

    /// The entry that was found; the table has not changed since.
    #[inline]
    pub(crate) fn get(&self, found: Found) -> EntryRef<'_> {
        debug_assert!(self.table.is_current(&found));
        view(found.entry())
    }

    /// The entry that was found, to write; the table has not changed since.
    #[inline]
    pub(crate) fn get_mut(&mut self, found: Found) -> EntryMut<'_> {
        debug_assert!(self.table.is_current(&found));
        // SAFETY: the table owns the entry and is borrowed mutably.
        unsafe { EntryMut::new(found.entry()) }
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(&mut self, hash: u64, entry: Entry) -> Result<(), OutOfMemory> {
        self.insert_or_return(hash, entry).map_err(|_| OutOfMemory)
    }

    /// The same; without memory for the table the entry comes back.
    pub(crate) fn insert_or_return(&mut self, hash: u64, entry: Entry) -> Result<(), Entry> {
        let entry = entry.into_compact();
        let result = self.table.insert(hash, entry, hash_of(&self.hasher));
        // SAFETY: the table did not take it.
        result.map_err(|OutOfMemory| unsafe { Entry::from_compact(entry) })
    }

    /// Puts an entry with the same key in the place of the one that was found.
    pub(crate) fn replace(&mut self, found: Found, entry: Entry) -> Entry {
        let old = self.table.replace(found, entry.into_compact());
        // SAFETY: the table has given it up.
        unsafe { Entry::from_compact(old) }
    }

    pub(crate) fn remove(&mut self, found: Found) -> Entry {
        let old = self.table.remove(found, hash_of(&self.hasher));
        // SAFETY: the table has given it up.
        unsafe { Entry::from_compact(old) }
    }

    pub(crate) fn scan(&self, position: u64, mut visit: impl FnMut(EntryRef<'_>)) -> u64 {
        self.table.scan(position, hash_of(&self.hasher), |entry| visit(view(entry)))
    }

    pub(crate) fn for_each(&self, mut visit: impl FnMut(EntryRef<'_>)) {
        self.table.for_each(|entry| visit(view(entry)));
    }

    pub(crate) fn sample(&self, random: &mut impl Rng) -> Option<EntryRef<'_>> {
        self.table.sample(random).map(view)
    }

    /// Visits one segment of the table to move blocks: its own, and those of its entries.
    /// Answers the position after it, 0 at the end, or nothing if bytes to move have run out
    /// before all were visited: then the same segment is to be visited again.
    pub(crate) fn relocate(
        &mut self,
        position: u64,
        work: &mut Work<'_>,
    ) -> Result<Option<u64>, OutOfMemory> {
        let (mut again, mut result) = (false, Ok(()));
        let should = work.should;
        let next = self.table.sweep(
            position,
            should,
            |_| true,
            |name| {
                if work.bytes_left == 0 || result.is_err() {
                    again = true;
                    return None;
                }
                // SAFETY: the table owns the entry and is borrowed mutably.
                let moved = unsafe { EntryMut::new(name) }.relocate(work);
                let twin = moved.unwrap_or_else(|error| {
                    result = Err(error);
                    None
                })?;
                // SAFETY: the table puts the twin in its place now.
                unsafe { free_husk(name) };
                Some(twin)
            },
        )?;
        result.map(|()| (!again).then_some(next))
    }

    /// Visits one segment of the table: its block, then its entries with their positions, or
    /// nothing where `is_there` says that a slot names no block. Answers the position after it,
    /// 0 at the end; see [`Table::inspect`].
    pub(crate) fn inspect(
        &self,
        position: u64,
        segment: impl FnOnce(&Block),
        is_there: impl Fn(Compact) -> bool,
        mut visit: impl FnMut(Option<(EntryRef<'_>, u64)>),
    ) -> u64 {
        self.table.inspect(position, segment, |name| {
            let entry = is_there(name).then(|| view(name));
            visit(entry.map(|entry| {
                let position = ebb_table::position_of(self.hash(&entry));
                (entry, position)
            }));
        })
    }

    /// Empties the table; its entries are freed by draining the answer.
    pub(crate) fn detach(&mut self) -> EntryDrain {
        EntryDrain(self.table.drain())
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        drop(self.detach());
    }
}

/// Entries of a table that was emptied, freed segment by segment, at the latest on drop.
pub(crate) struct EntryDrain(Drain);

impl EntryDrain {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Frees some 200 entries; answers the bytes of heap that they and their values took, or
    /// nothing if there were none.
    pub(crate) fn step(&mut self) -> Option<usize> {
        let mut bytes = 0;
        let found = self.0.step(|entry| {
            // SAFETY: the drain has given it up.
            let entry = unsafe { Entry::from_compact(entry) };
            let footprint = entry.as_ref().footprint();
            bytes += footprint.data + footprint.index;
        });
        found.then_some(bytes)
    }
}

impl Drop for EntryDrain {
    fn drop(&mut self) {
        while self.step().is_some() {}
    }
}
