//! Exact counts of keys and bytes.

use crate::entry::{EntryRef, Summary, Type};

/// Exact counts, kept where they change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys.
    pub keys: usize,
    /// Keys that have a deadline.
    pub volatile: usize,
    /// Hashes with fields that have a deadline.
    pub expiring_hashes: usize,
    /// Bytes of heap in entries and their values, by type.
    pub bytes: [usize; Type::ALL.len()],
    /// Bytes of the tables inside of large collections.
    pub tables: usize,
    /// Bytes of large collections outside of the heap.
    pub outside: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, entry: &EntryRef<'_>) {
        let footprint = entry.footprint();
        self.keys += 1;
        self.volatile += usize::from(entry.has_deadline());
        self.expiring_hashes += usize::from(entry.is_expiring_hash());
        self.bytes[entry.value_type() as usize] += footprint.data;
        self.tables += footprint.index;
        self.outside += footprint.outside;
    }

    pub(crate) fn subtract(&mut self, entry: &EntryRef<'_>) {
        let footprint = entry.footprint();
        self.keys -= 1;
        self.volatile -= usize::from(entry.has_deadline());
        self.expiring_hashes -= usize::from(entry.is_expiring_hash());
        self.bytes[entry.value_type() as usize] -= footprint.data;
        self.tables -= footprint.index;
        self.outside -= footprint.outside;
    }

    /// A collection was one thing and is another.
    pub(crate) fn replace(&mut self, before: &Summary, after: &Summary) {
        let bytes = &mut self.bytes[after.kind as usize];
        *bytes = *bytes + after.footprint.data - before.footprint.data;
        self.tables = self.tables + after.footprint.index - before.footprint.index;
        self.outside = self.outside + after.footprint.outside - before.footprint.outside;
        self.expiring_hashes =
            self.expiring_hashes + usize::from(after.is_expiring) - usize::from(before.is_expiring);
    }

    /// The sum of two.
    pub(crate) fn plus(mut self, other: &Counts) -> Counts {
        self.keys += other.keys;
        self.volatile += other.volatile;
        self.expiring_hashes += other.expiring_hashes;
        self.bytes.iter_mut().zip(other.bytes).for_each(|(sum, bytes)| *sum += bytes);
        self.tables += other.tables;
        self.outside += other.outside;
        self
    }

    /// Bytes of entries and values.
    pub fn total_bytes(&self) -> usize {
        self.bytes.iter().sum::<usize>() + self.tables + self.outside
    }

    /// Whether anything has a deadline.
    pub fn is_volatile(&self) -> bool {
        self.volatile + self.expiring_hashes > 0
    }
}
