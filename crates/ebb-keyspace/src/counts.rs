//! Exact counts of keys and bytes, and the tally that checks them.

use ebb_collections::Footprint;

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

/// What one entry adds to the counts.
pub(crate) struct Share {
    kind: Type,
    footprint: Footprint,
    is_volatile: bool,
    is_expiring: bool,
}

impl Share {
    #[inline]
    pub(crate) fn of(entry: &EntryRef<'_>) -> Share {
        Share {
            kind: entry.value_type(),
            footprint: entry.footprint(),
            is_volatile: entry.has_deadline(),
            is_expiring: entry.is_expiring_hash(),
        }
    }
}

impl Counts {
    #[inline]
    pub(crate) fn add(&mut self, entry: &EntryRef<'_>) {
        self.add_share(&Share::of(entry));
    }

    #[inline]
    fn add_share(&mut self, share: &Share) {
        self.keys += 1;
        self.volatile += usize::from(share.is_volatile);
        self.expiring_hashes += usize::from(share.is_expiring);
        self.bytes[share.kind as usize] += share.footprint.data;
        self.tables += share.footprint.index;
        self.outside += share.footprint.outside;
    }

    #[inline]
    fn subtract_share(&mut self, share: &Share) {
        self.keys -= 1;
        self.volatile -= usize::from(share.is_volatile);
        self.expiring_hashes -= usize::from(share.is_expiring);
        self.bytes[share.kind as usize] -= share.footprint.data;
        self.tables -= share.footprint.index;
        self.outside -= share.footprint.outside;
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

    /// Something that was counted as `before` is `after` now.
    fn shift(&mut self, before: &Counts, after: &Counts) {
        let shift = |sum: &mut usize, before: usize, after: usize| {
            *sum = sum.wrapping_add(after).wrapping_sub(before);
        };
        shift(&mut self.keys, before.keys, after.keys);
        shift(&mut self.volatile, before.volatile, after.volatile);
        shift(&mut self.expiring_hashes, before.expiring_hashes, after.expiring_hashes);
        let bytes = before.bytes.iter().zip(&after.bytes);
        self.bytes.iter_mut().zip(bytes).for_each(|(sum, (&old, &new))| shift(sum, old, new));
        shift(&mut self.tables, before.tables, after.tables);
        shift(&mut self.outside, before.outside, after.outside);
    }

    /// The figures with their names.
    pub fn figures(&self) -> [(String, usize); 5 + Type::ALL.len()] {
        std::array::from_fn(|at| match at {
            0 => ("keys".into(), self.keys),
            1 => ("keys with a deadline".into(), self.volatile),
            2 => ("hashes with deadlines of fields".into(), self.expiring_hashes),
            3 => ("bytes of tables in collections".into(), self.tables),
            4 => ("bytes outside of the heap".into(), self.outside),
            _ => (format!("bytes of type {}", Type::ALL[at - 5].name()), self.bytes[at - 5]),
        })
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

/// What is counted while an audit walks: entries before a position, and no others.
struct Tally {
    /// Positions below are passed.
    passed: u64,
    seen: Counts,
}

/// Where in its table an entry is.
pub(crate) trait Place {
    fn position(self) -> u64;
}

/// A hash.
impl Place for u64 {
    #[inline]
    fn position(self) -> u64 {
        ebb_table::position_of(self)
    }
}

impl Place for ebb_table::Found {
    #[inline]
    fn position(self) -> u64 {
        ebb_table::Found::position(&self)
    }
}

/// A part's counts. During an audit a tally of the entries that were walked over is kept with
/// them: what changes behind the walk changes both alike, so at the end both must be equal.
#[derive(Default)]
pub(crate) struct Ledger {
    now: Counts,
    tally: Option<Box<Tally>>,
}

impl std::ops::Deref for Ledger {
    type Target = Counts;

    #[inline]
    fn deref(&self) -> &Counts {
        &self.now
    }
}

impl Ledger {
    #[inline]
    fn tally(&mut self, place: impl Place) -> Option<&mut Counts> {
        let tally = self.tally.as_mut()?;
        (place.position() < tally.passed).then_some(&mut tally.seen)
    }

    #[inline]
    pub(crate) fn add(&mut self, place: impl Place, entry: &EntryRef<'_>) {
        self.add_share(place, &Share::of(entry));
    }

    /// The same for an entry that its table has taken.
    #[inline]
    pub(crate) fn add_share(&mut self, place: impl Place, share: &Share) {
        self.now.add_share(share);
        if let Some(seen) = self.tally(place) {
            seen.add_share(share);
        }
    }

    #[inline]
    pub(crate) fn subtract(&mut self, place: impl Place, entry: &EntryRef<'_>) {
        let share = Share::of(entry);
        self.now.subtract_share(&share);
        if let Some(seen) = self.tally(place) {
            seen.subtract_share(&share);
        }
    }

    pub(crate) fn replace(&mut self, place: impl Place, before: &Summary, after: &Summary) {
        self.now.replace(before, after);
        if let Some(seen) = self.tally(place) {
            seen.replace(before, after);
        }
    }

    /// Makes the counts what they are after a change of one entry, or back again.
    #[inline]
    pub(crate) fn set(&mut self, place: impl Place, counts: Counts) {
        let before = std::mem::replace(&mut self.now, counts);
        if let Some(seen) = self.tally(place) {
            seen.shift(&before, &counts);
        }
    }

    /// All is gone, and the tally with it.
    pub(crate) fn take(&mut self) -> Counts {
        std::mem::take(self).now
    }

    /// Begins or ends to tally.
    pub(crate) fn set_tally(&mut self, on: bool) {
        self.tally = on.then(|| Box::new(Tally { passed: 0, seen: Counts::default() }));
    }

    /// Up to where entries are in the tally; nothing if there is none.
    pub(crate) fn passed(&self) -> Option<u64> {
        self.tally.as_ref().map(|tally| tally.passed)
    }

    /// Adds what was walked over, up to a position.
    pub(crate) fn pass(&mut self, seen: &Counts, upto: u64) {
        if let Some(tally) = &mut self.tally {
            tally.seen = tally.seen.plus(seen);
            tally.passed = upto;
        }
    }

    /// What the tally says.
    pub(crate) fn seen(&self) -> Option<Counts> {
        self.tally.as_ref().map(|tally| tally.seen)
    }

    /// Makes the count of keys wrong, for tests of those who check it.
    pub(crate) fn skew(&mut self) {
        self.now.keys += 1;
    }
}
