//! The table: from the hash of a key to its entry, at most 8 bytes a key.
//!
//! An extendible-hashing directory of small segments. The directory is indexed by the top
//! bits of the position, which follows from the hash; each segment owns a prefix of them. A
//! segment grows by a sixth at a time and splits in two at a size that its prefix decides;
//! neighbours merge when both are nearly empty. No operation rebuilds more than one segment (at
//! most 370 entries), the directory itself apart, which is 8 bytes for 140 entries on average
//! and doubles by copying.
//!
//! The table stores [`Compact`] handles and knows nothing of what they name: callers pass
//! how to compare and how to hash. It owns the handles it stores only in so far as it keeps
//! them; whoever removes one owns it.
//!
//! Scanning goes by increasing position. A cursor is the smallest position that has not been
//! visited, so splits, merges and growth between two calls change nothing: an entry that is
//! there from the first call to the last has a position that some call passes over, and is
//! visited by that call, exactly once.

mod blocks;
mod bucket;
pub mod handle;
mod inspect;
mod point;
mod same;
pub mod seeds;
mod segment;

pub use blocks::{BlockDrain, Blocks, hash};
pub use bucket::{BUCKET_BYTES, SLOTS};
pub use inspect::position_of;
pub use same::same;

use std::num::NonZeroU64;

use ebb_heap::{ArenaId, Block, Compact, OutOfMemory};
use rand::Rng;

use point::Point;
use segment::{BUCKETS_MAX, Place, Segment};

/// Bits of a position that a scan's cursor has, from the top.
pub const POSITION_BITS: u32 = 48;
/// Two neighbours merge when they hold at most this many entries together.
const MERGE_MAX: usize = 160;

/// A hash table of handles.
pub struct Table {
    arena: ArenaId,
    /// Empty until the first entry; then `1 << depth` rows.
    directory: Vec<Segment>,
    depth: u8,
    /// Segments whose depth is the directory's: none left, and the directory halves.
    deepest: usize,
    segments: usize,
    /// Buckets of all segments.
    buckets: usize,
    len: usize,
    /// Counts insertions and removals, which end the validity of a [`Found`].
    version: u32,
}

/// Where [`Table::find`] found an entry; valid until the table changes.
///
/// It is handed from function to function, and so made of words: what is written byte by byte and read
/// again as a word has to wait for the memory.
#[derive(Clone, Copy)]
pub struct Found {
    position: u64,
    /// From the lowest bit: a one, the slot (7 bits), the entry's handle (40), the tag and the bucket (8 each).
    rest: NonZeroU64,
    version: u32,
}

impl Found {
    #[inline]
    fn new(point: Point, version: u32, place: Place, entry: Compact) -> Found {
        let (bucket, slot) = place.indexes();
        let tag_and_bucket = u64::from(point.tag) | (bucket as u64) << 8;
        let rest = NonZeroU64::MIN | (slot as u64) << 1 | entry.units() << 8 | tag_and_bucket << 48;
        Found { position: point.position, rest, version }
    }

    /// The entry's handle. The table still owns it.
    #[inline]
    pub fn entry(&self) -> Compact {
        Compact::from_units(self.rest.get() >> 8)
    }

    /// The same place with another entry.
    #[inline]
    pub fn with_entry(self, entry: Compact) -> Found {
        Found::new(self.point(), self.version, self.place(), entry)
    }

    #[inline]
    fn point(&self) -> Point {
        Point { position: self.position, tag: (self.rest.get() >> 48) as u8 }
    }

    #[inline]
    fn place(&self) -> Place {
        let rest = self.rest.get();
        Place { bucket: (rest >> 56) as u8, slot: (rest as u8) >> 1 }
    }
}

impl Table {
    /// An empty table whose segments will come from `arena`, which must serve tables only.
    pub fn new(arena: ArenaId) -> Table {
        Table {
            arena,
            directory: Vec::new(),
            depth: 0,
            deepest: 0,
            segments: 0,
            buckets: 0,
            len: 0,
            version: 0,
        }
    }

    /// Entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Segments, and slots that they have altogether.
    #[inline]
    pub fn shape(&self) -> (usize, usize) {
        (self.segments, self.buckets * SLOTS)
    }

    /// Bytes of the directory (the segments are counted by their arena).
    #[inline]
    pub fn directory_bytes(&self) -> usize {
        self.directory.capacity() * size_of::<Segment>()
    }

    #[inline]
    fn row(&self, position: u64) -> usize {
        // In two steps, because a directory of one row would shift by 64.
        ((position >> 1) >> (63 - u32::from(self.depth))) as usize
    }

    /// The first row that names the same segment as `row`.
    fn first_row(&self, row: usize) -> usize {
        let shift = self.depth - self.directory[row].depth();
        row >> shift << shift
    }

    fn rows(&self, first: usize) -> std::ops::Range<usize> {
        first..first + (1 << (self.depth - self.directory[first].depth()))
    }

    fn each_segment(&self, mut visit: impl FnMut(Segment)) {
        let mut row = 0;
        while row < self.directory.len() {
            visit(self.directory[row]);
            row = self.rows(row).end;
        }
    }

    /// Asks for the bucket of a hash ahead of a search.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let point = Point::of(hash);
        if let Some(segment) = self.directory.get(self.row(point.position)) {
            segment.prefetch(point);
        }
    }

    /// Has `ask` ask for the entry that a hash probably names, once its bucket is there.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64, ask: impl Fn(Compact) + Copy) {
        let point = Point::of(hash);
        if let Some(segment) = self.directory.get(self.row(point.position)) {
            segment.prefetch_entries(point, ask);
        }
    }

    /// Finds the entry with this hash for which `eq` holds.
    #[inline]
    pub fn find(&self, hash: u64, eq: impl FnMut(Compact) -> bool) -> Option<Found> {
        let point = Point::of(hash);
        let segment = self.directory.get(self.row(point.position))?;
        let (place, entry) = segment.find(point, eq)?;
        Some(Found::new(point, self.version, place, entry))
    }

    /// Whether the table has not changed since.
    pub fn is_current(&self, found: &Found) -> bool {
        self.version == found.version
    }

    /// Puts another handle for the same hash in the place of one that was found.
    pub fn replace(&mut self, found: Found, entry: Compact) -> Compact {
        let segment = self.directory[self.row(found.position)];
        let (bucket, slot) = found.place().indexes();
        debug_assert_eq!(segment.bucket(bucket).slot(slot), found.entry());
        segment.bucket(bucket).set_slot(slot, entry);
        found.entry()
    }

    /// Adds an entry that the table does not have. On an error nothing has changed.
    pub fn insert(
        &mut self,
        hash: u64,
        entry: Compact,
        hash_of: impl Fn(Compact) -> u64,
    ) -> Result<(), OutOfMemory> {
        if self.directory.is_empty() {
            self.directory.push(Segment::new(self.arena, 1, 0)?);
            (self.depth, self.deepest, self.segments, self.buckets) = (0, 1, 1, 1);
        }
        let point = Point::of(hash);
        loop {
            let first = self.first_row(self.row(point.position));
            let segment = self.directory[first];
            if segment.count() < Segment::limit(segment.buckets()) {
                segment.place(point, entry);
                self.directory[first] = segment.with_count(segment.count() + 1);
                self.len += 1;
                self.version = self.version.wrapping_add(1);
                return Ok(());
            }
            self.enlarge(first, &hash_of)?;
        }
    }

    /// Removes what was found; the caller owns the handle now.
    pub fn remove(&mut self, found: Found, hash_of: impl Fn(Compact) -> u64) -> Compact {
        let first = self.first_row(self.row(found.position));
        let segment = self.directory[first];
        let entry = segment.displace(found.point(), found.place());
        let segment = segment.with_count(segment.count() - 1);
        self.directory[first] = segment;
        self.len -= 1;
        self.version = self.version.wrapping_add(1);
        if segment.is_sparse() {
            // Shrinking takes memory first; without it the table just stays as large.
            let _ = self.reduce(first, &hash_of);
        }
        entry
    }

    /// Points all rows of a segment to its successor.
    fn put(&mut self, rows: std::ops::Range<usize>, segment: Segment) {
        let first = rows.start;
        self.directory[rows].fill(segment.with_count(0));
        self.directory[first] = segment;
    }

    fn enlarge(
        &mut self,
        first: usize,
        hash_of: &impl Fn(Compact) -> u64,
    ) -> Result<(), OutOfMemory> {
        let old = self.directory[first];
        let most = Segment::buckets_to_split((first >> (self.depth - old.depth())) as u64);
        if old.buckets() >= most {
            return self.split(first, hash_of);
        }
        self.rebuild(first, Segment::enlarged(old.buckets(), most), hash_of)
    }

    fn rebuild(
        &mut self,
        first: usize,
        buckets: usize,
        hash_of: &impl Fn(Compact) -> u64,
    ) -> Result<(), OutOfMemory> {
        let old = self.directory[first];
        let mut entries = Vec::with_capacity(old.count());
        old.collect(hash_of, &mut entries);
        let new = Segment::build(self.arena, old.depth(), buckets, &entries)?;
        self.buckets = self.buckets + new.buckets() - old.buckets();
        self.put(self.rows(first), new);
        // SAFETY: `put` has replaced every row that named it.
        unsafe { old.free() };
        Ok(())
    }

    fn split(
        &mut self,
        first: usize,
        hash_of: &impl Fn(Compact) -> u64,
    ) -> Result<(), OutOfMemory> {
        let old = self.directory[first];
        let depth = old.depth();
        let mut entries = Vec::with_capacity(old.count());
        old.collect(hash_of, &mut entries);
        let bit = 1 << (63 - u32::from(depth));
        entries.sort_unstable_by_key(|&(point, _)| point.position & bit);
        let half = entries.partition_point(|&(point, _)| point.position & bit == 0);
        let (low, high) = entries.split_at(half);
        let build = |part: &[(Point, Compact)]| {
            Segment::build(self.arena, depth + 1, Segment::buckets_for(part.len()), part)
        };
        let low = build(low)?;
        let high = match build(high) {
            Ok(high) => high,
            Err(error) => {
                // SAFETY: it was just made and is in no row.
                unsafe { low.free() };
                return Err(error);
            }
        };
        self.buckets = self.buckets + low.buckets() + high.buckets() - old.buckets();
        let mut first = first;
        if depth == self.depth {
            self.double();
            first *= 2;
        }
        let rows = self.rows(first);
        let middle = rows.start + rows.len() / 2;
        self.put(rows.start..middle, low);
        self.put(middle..rows.end, high);
        if depth + 1 == self.depth {
            self.deepest += 2;
        }
        self.segments += 1;
        // SAFETY: both halves of its rows were replaced.
        unsafe { old.free() };
        Ok(())
    }

    fn double(&mut self) {
        let mut directory = Vec::with_capacity(self.directory.len() * 2);
        for &segment in &self.directory {
            directory.extend([segment, segment.with_count(0)]);
        }
        self.directory = directory;
        self.depth += 1;
        self.deepest = 0;
    }

    /// In its place: fresh memory would cost more than all the rest.
    fn halve(&mut self) {
        self.depth -= 1;
        let rows = self.directory.len() / 2;
        let mut deepest = 0;
        for row in 0..rows {
            let segment = self.directory[row * 2];
            deepest += usize::from(segment.depth() == self.depth);
            self.directory[row] = segment;
        }
        self.deepest = deepest;
        self.directory.truncate(rows);
        self.directory.shrink_to_fit();
    }

    /// Shrinks a sparse segment, or merges it with its neighbour.
    fn reduce(
        &mut self,
        first: usize,
        hash_of: &impl Fn(Compact) -> u64,
    ) -> Result<(), OutOfMemory> {
        if self.len == 0 {
            // SAFETY: the directory is cleared at once.
            self.each_segment(|segment| unsafe { segment.free() });
            self.directory = Vec::new();
            (self.depth, self.deepest, self.segments, self.buckets) = (0, 0, 0, 0);
            return Ok(());
        }
        let segment = self.directory[first];
        if segment.depth() > 0 {
            let rows = self.rows(first);
            let other = first ^ rows.len();
            let neighbour = self.directory[other];
            if neighbour.depth() == segment.depth()
                && neighbour.count() + segment.count() <= MERGE_MAX
            {
                return self.merge(first.min(other), hash_of);
            }
        }
        let buckets = Segment::buckets_for(segment.count());
        if buckets < segment.buckets() { self.rebuild(first, buckets, hash_of) } else { Ok(()) }
    }

    fn merge(
        &mut self,
        first: usize,
        hash_of: &impl Fn(Compact) -> u64,
    ) -> Result<(), OutOfMemory> {
        let low = self.directory[first];
        let rows = self.rows(first);
        let high = self.directory[rows.end];
        let mut entries = Vec::with_capacity(low.count() + high.count());
        low.collect(hash_of, &mut entries);
        high.collect(hash_of, &mut entries);
        let buckets = Segment::buckets_for(entries.len());
        let merged = Segment::build(self.arena, low.depth() - 1, buckets, &entries)?;
        self.buckets = self.buckets + merged.buckets() - low.buckets() - high.buckets();
        self.put(rows.start..rows.end + rows.len(), merged);
        self.segments -= 1;
        if low.depth() == self.depth {
            self.deepest -= 2;
            while self.deepest == 0 && self.depth > 0 {
                self.halve();
            }
        }
        // SAFETY: `put` has replaced the rows of both.
        unsafe {
            low.free();
            high.free();
        }
        Ok(())
    }

    /// Visits the entries of the next bucket from `position` on and returns the position
    /// after it, 0 at the end. Positions have [`POSITION_BITS`] bits.
    pub fn scan(
        &self,
        position: u64,
        hash_of: impl Fn(Compact) -> u64,
        mut visit: impl FnMut(Compact),
    ) -> u64 {
        if self.directory.is_empty() || position >> POSITION_BITS != 0 {
            return 0;
        }
        const SHIFT: u32 = 64 - POSITION_BITS;
        let from = position << SHIFT;
        let row = self.row(from);
        let segment = self.directory[row];
        let home = segment.home(from);
        segment.visit_home(home, |entry| {
            let position = Point::of(hash_of(entry)).position;
            if segment.home(position) == home && position >= from {
                visit(entry);
            }
        });
        let prefix = if segment.depth() == 0 { 0 } else { from >> (64 - segment.depth()) };
        // As many positions as a fraction of this depth covers, from the prefix's start.
        let fraction = segment.first_fraction(home + 1) + (prefix << 16);
        let next = u128::from(fraction) << (POSITION_BITS - 16 - u32::from(segment.depth()));
        if next >> POSITION_BITS != 0 { 0 } else { next as u64 }
    }

    /// An entry drawn with the same chance as every other.
    ///
    /// A segment is drawn through a random row; since one of a smaller depth has more rows,
    /// it is rejected that much more often; a random slot of the largest segment possible
    /// then hits an entry with the same chance in every segment.
    pub fn sample(&self, random: &mut impl Rng) -> Option<Compact> {
        if self.len == 0 {
            return None;
        }
        loop {
            let row = random.random_range(0..self.directory.len());
            let segment = self.directory[row];
            if row != self.first_row(row) {
                continue;
            }
            let slot = random.random_range(0..BUCKETS_MAX * SLOTS);
            if slot / SLOTS >= segment.buckets() {
                continue;
            }
            let bucket = segment.bucket(slot / SLOTS);
            if let Some(slot) = bucket.occupied().find(|&occupied| occupied == slot % SLOTS) {
                return Some(bucket.slot(slot));
            }
        }
    }

    /// The entries of a bucket that is drawn with the same chance as every other: there may be
    /// none. Cheaper by far than as many entries drawn one by one, and as good where hashes decide
    /// which entries are neighbours. Any of them may be the first, so that a caller who takes only
    /// some is as fair to the last slots, which fill last, as to the first.
    pub fn sample_bucket(&self, random: &mut impl Rng, mut visit: impl FnMut(Compact)) {
        if self.len == 0 {
            return;
        }
        loop {
            let row = random.random_range(0..self.directory.len());
            let segment = self.directory[row];
            let bucket = random.random_range(0..BUCKETS_MAX);
            if row != self.first_row(row) || bucket >= segment.buckets() {
                continue;
            }
            let bucket = segment.bucket(bucket);
            let first = random.random_range(0..SLOTS);
            let (before, after) = bucket.occupied().split_at(first);
            after.chain(before).for_each(|slot| bucket.slot(slot).prefetch());
            return after.chain(before).for_each(|slot| visit(bucket.slot(slot)));
        }
    }

    /// Visits every entry.
    pub fn for_each(&self, mut visit: impl FnMut(Compact)) {
        self.each_segment(|segment| segment.for_each(&mut visit));
    }

    /// Visits one segment to move blocks: its own, if `should` holds for it, and those of its
    /// entries that are `wanted`. Where `replace` answers another handle for one, it has moved
    /// there. Returns
    /// the position after the segment, 0 at the end; positions have 64 bits here, so a sweep
    /// that goes on later misses nothing but what came meanwhile.
    pub fn sweep(
        &mut self,
        position: u64,
        should: impl FnOnce(&Block) -> bool,
        wanted: impl Fn(Compact) -> bool,
        replace: impl FnMut(Compact) -> Option<Compact>,
    ) -> Result<u64, OutOfMemory> {
        if self.directory.is_empty() {
            return Ok(0);
        }
        self.version = self.version.wrapping_add(1);
        let first = self.first_row(self.row(position));
        let rows = self.rows(first);
        // SAFETY: `put` replaces all rows that name the segment.
        if let Some(moved) = unsafe { self.directory[first].relocate(should) }? {
            self.put(rows.clone(), moved);
        }
        self.directory[first].replace_each(wanted, replace);
        let next = (rows.end as u128) << (64 - u32::from(self.depth));
        Ok(u64::try_from(next).unwrap_or(0))
    }

    /// Empties the table; what it held is taken apart, some segments at a time, through the
    /// answer.
    pub fn drain(&mut self) -> Drain {
        let directory = std::mem::take(&mut self.directory);
        let drain = Drain { directory, depth: self.depth, len: self.len };
        (self.depth, self.deepest, self.segments, self.buckets) = (0, 0, 0, 0);
        self.len = 0;
        self.version = self.version.wrapping_add(1);
        drain
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: the directory goes with the table. Entries still in it leak; their owner
        // drains a table before dropping it.
        self.each_segment(|segment| unsafe { segment.free() });
    }
}

/// What is left of a table that is being freed in steps.
pub struct Drain {
    directory: Vec<Segment>,
    depth: u8,
    len: usize,
}

impl Drain {
    /// Entries left.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all are gone.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Hands the entries of one segment to `take`, which owns them, and frees the segment.
    /// Answers whether there was one.
    pub fn step(&mut self, mut take: impl FnMut(Compact)) -> bool {
        let Some(&last) = self.directory.last() else { return false };
        let rows = 1 << (self.depth - last.depth());
        self.directory.truncate(self.directory.len() - rows);
        // Those of the next step come into the cache meanwhile.
        let mut next = self.directory.last().into_iter().flat_map(|next| next.entries());
        last.for_each(|entry| {
            if let Some(entry) = next.next() {
                entry.prefetch_small();
            }
            self.len -= 1;
            take(entry);
        });
        next.for_each(Compact::prefetch_small);
        // SAFETY: its rows were just dropped.
        unsafe { last.free() };
        true
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        while self.step(|_| {}) {}
    }
}

#[cfg(test)]
mod tests;
