//! A segment: a run of buckets that holds the entries of one prefix of the position.
//!
//! The prefix's range of positions is divided evenly among the buckets, so a segment may have
//! any number of buckets and grows by a sixth at a time: the table stays between three
//! quarters and nine tenths full at every size, where doubling would leave it half empty.
//! Within a segment, buckets are in the order of positions (see [`crate::point`]); that order
//! is what a scan's cursor counts.

use ebb_heap::{ArenaId, Block, Compact, FIRST_OWNER_KIND, OutOfMemory, prefetch};

use crate::bucket::{BUCKET_BYTES, Bucket, SLOTS};
use crate::point::Point;

/// The most buckets that any segment has.
pub(crate) const BUCKETS_MAX: usize = 40;
/// The heap's tag for table segments.
pub(crate) const KIND_TABLE: u8 = FIRST_OWNER_KIND + 1;
/// Entries per bucket when a segment is built anew.
const FILL: usize = 8;

/// What a directory row says of a segment: address (40 bits), buckets (6), depth (6) and
/// number of entries (12). The number counts only in the first of a segment's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Segment(u64);

/// Where an entry lies: its bucket, of at most 63, and its slot.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) bucket: u8,
    pub(crate) slot: u8,
}

impl Place {
    #[inline]
    pub(crate) fn indexes(self) -> (usize, usize) {
        (usize::from(self.bucket), usize::from(self.slot))
    }
}

impl Segment {
    fn pack(units: u64, buckets: usize, depth: u8, count: usize) -> Segment {
        debug_assert!(units < 1 << 40 && buckets < 64 && depth < 64 && count < 4096);
        Segment(units | (buckets as u64) << 40 | u64::from(depth) << 46 | (count as u64) << 52)
    }

    /// An empty segment.
    pub(crate) fn new(arena: ArenaId, buckets: usize, depth: u8) -> Result<Segment, OutOfMemory> {
        const HEADER: usize = 3;
        let block = Block::allocate(arena, buckets * BUCKET_BYTES - HEADER, KIND_TABLE)?;
        // A table's arena holds only multiples of a bucket, so all of them are aligned.
        debug_assert!(block.as_ptr().addr().is_multiple_of(BUCKET_BYTES));
        let segment = Segment::pack(block.into_compact().units(), buckets, depth, 0);
        for bucket in 0..buckets {
            segment.bucket(bucket).clear();
        }
        Ok(segment)
    }

    /// The number of buckets for `count` entries.
    pub(crate) fn buckets_for(count: usize) -> usize {
        count.div_ceil(FILL).clamp(1, BUCKETS_MAX)
    }

    /// The buckets at which the segment of a prefix splits: between half of [`BUCKETS_MAX`] and
    /// all of it.
    ///
    /// Hashes fill all segments alike. If all split at the same size, all would need new memory of
    /// one size while none needs what they leave. Split at sizes spread over a factor of two, at
    /// any time some are of each size, and what one has outgrown is what another grows into.
    pub(crate) fn buckets_to_split(prefix: u64) -> usize {
        // The multiples of the golden ratio spread evenly, however many prefixes there are.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let fraction = (prefix + 1).wrapping_mul(GOLDEN) as f64 / 2f64.powi(64);
        // As many between 20 and 28 as between 28 and 40: what grows is in each state equally long.
        let buckets = (BUCKETS_MAX / 2) as f64 * fraction.exp2();
        (buckets.round() as usize).min(BUCKETS_MAX)
    }

    /// The buckets of a segment that has outgrown `buckets` and is to split at `most`.
    pub(crate) fn enlarged(buckets: usize, most: usize) -> usize {
        let next = buckets + (buckets / 6).max(1);
        // A last small step would cost as much as a large one.
        if next + next / 12 >= most { most } else { next }
    }

    /// The entries above which a segment of `buckets` must grow.
    pub(crate) fn limit(buckets: usize) -> usize {
        buckets * SLOTS - buckets * SLOTS / 12
    }

    /// Whether so few entries are left that the segment should shrink.
    pub(crate) fn is_sparse(self) -> bool {
        self.count() * 2 < self.buckets() * SLOTS
    }

    #[inline]
    pub(crate) fn buckets(self) -> usize {
        (self.0 >> 40 & 0x3f) as usize
    }

    #[inline]
    pub(crate) fn depth(self) -> u8 {
        (self.0 >> 46 & 0x3f) as u8
    }

    pub(crate) fn count(self) -> usize {
        (self.0 >> 52) as usize
    }

    pub(crate) fn with_count(self, count: usize) -> Segment {
        Segment((self.0 & ((1 << 52) - 1)) | (count as u64) << 52)
    }

    pub(crate) fn compact(self) -> Compact {
        Compact::from_units(self.0 & ((1 << 40) - 1))
    }

    #[inline]
    fn address(self) -> *mut u8 {
        self.compact().address()
    }

    #[inline]
    pub(crate) fn bucket(self, index: usize) -> Bucket {
        debug_assert!(index < self.buckets());
        // SAFETY: a directory row always names a live segment with that many buckets.
        unsafe { Bucket::at(self.address().wrapping_add(index * BUCKET_BYTES)) }
    }

    /// The bucket a position belongs to.
    #[inline]
    pub(crate) fn home(self, position: u64) -> usize {
        let fraction = (position << self.depth()) >> 48;
        (fraction as usize * self.buckets()) >> 16
    }

    /// The first fraction (of 2^16) that belongs to a bucket.
    pub(crate) fn first_fraction(self, bucket: usize) -> u64 {
        ((bucket << 16).div_ceil(self.buckets())) as u64
    }

    /// Asks for the home bucket, and for the next, where an entry is that found no room.
    #[inline]
    pub(crate) fn prefetch(self, point: Point) {
        let home = self.address().wrapping_add(self.home(point.position) * BUCKET_BYTES);
        prefetch(home);
        prefetch(home.wrapping_add(BUCKET_BYTES));
    }

    /// Has `ask` ask for the entries that may be at this point. They lie in the home bucket or, if
    /// that overflows, nearly always in the next.
    #[inline]
    pub(crate) fn prefetch_entries(self, point: Point, ask: impl Fn(Compact) + Copy) {
        let home = self.home(point.position);
        let bucket = self.bucket(home);
        bucket.matches(point.tag).for_each(|slot| ask(bucket.slot(slot)));
        if bucket.overflow() != 0 {
            let next = self.bucket(self.next_bucket(home));
            next.matches(point.tag).for_each(|slot| ask(next.slot(slot)));
        }
    }

    #[inline]
    fn next_bucket(self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets() { 0 } else { bucket + 1 }
    }

    #[inline]
    pub(crate) fn find(
        self,
        point: Point,
        mut eq: impl FnMut(Compact) -> bool,
    ) -> Option<(Place, Compact)> {
        let mut index = self.home(point.position);
        for _ in 0..self.buckets() {
            let bucket = self.bucket(index);
            for slot in bucket.matches(point.tag) {
                let entry = bucket.slot(slot);
                if eq(entry) {
                    return Some((Place { bucket: index as u8, slot: slot as u8 }, entry));
                }
            }
            if bucket.overflow() == 0 {
                return None;
            }
            index = self.next_bucket(index);
        }
        None
    }

    /// Puts an entry in; there must be room.
    pub(crate) fn place(self, point: Point, entry: Compact) {
        let mut index = self.home(point.position);
        loop {
            let bucket = self.bucket(index);
            if let Some(slot) = bucket.empty() {
                bucket.fill(slot, point.tag, entry);
                return;
            }
            bucket.add_overflow();
            index = self.next_bucket(index);
        }
    }

    /// Takes an entry out of its place.
    pub(crate) fn displace(self, point: Point, place: Place) -> Compact {
        let (bucket, slot) = place.indexes();
        let mut index = self.home(point.position);
        while index != bucket {
            self.bucket(index).remove_overflow();
            index = self.next_bucket(index);
        }
        let bucket = self.bucket(index);
        let entry = bucket.slot(slot);
        bucket.erase(slot);
        entry
    }

    /// Calls `visit` for each entry that belongs to `bucket`, wherever it lies, and maybe
    /// for others.
    pub(crate) fn visit_home(self, bucket: usize, mut visit: impl FnMut(Compact)) {
        let mut index = bucket;
        for _ in 0..self.buckets() {
            let bucket = self.bucket(index);
            bucket.occupied().for_each(|slot| visit(bucket.slot(slot)));
            if bucket.overflow() == 0 {
                return;
            }
            index = self.next_bucket(index);
        }
    }

    pub(crate) fn for_each(self, mut visit: impl FnMut(Compact)) {
        for index in 0..self.buckets() {
            let bucket = self.bucket(index);
            bucket.occupied().for_each(|slot| visit(bucket.slot(slot)));
        }
    }

    /// Its entries.
    pub(crate) fn entries(self) -> impl Iterator<Item = Compact> {
        (0..self.buckets()).flat_map(move |index| {
            let bucket = self.bucket(index);
            bucket.occupied().map(move |slot| bucket.slot(slot))
        })
    }

    /// Calls `replace` for each entry that is `wanted`; another handle that it answers takes
    /// the entry's place.
    pub(crate) fn replace_each(
        self,
        wanted: impl Fn(Compact) -> bool,
        mut replace: impl FnMut(Compact) -> Option<Compact>,
    ) {
        self.for_each(|entry| {
            if wanted(entry) {
                entry.prefetch();
            }
        });
        for index in 0..self.buckets() {
            let bucket = self.bucket(index);
            for slot in bucket.occupied() {
                let old = bucket.slot(slot);
                if wanted(old)
                    && let Some(entry) = replace(old)
                {
                    bucket.set_slot(slot, entry);
                }
            }
        }
    }

    /// The same segment in another place, if its block is one that `should` move. The old
    /// block is freed.
    ///
    /// # Safety
    /// The caller puts the answer in all directory rows that name this segment.
    pub(crate) unsafe fn relocate(
        self,
        should: impl FnOnce(&Block) -> bool,
    ) -> Result<Option<Segment>, OutOfMemory> {
        // SAFETY: the row owns the block and is borrowed mutably by the caller.
        let mut block = std::mem::ManuallyDrop::new(unsafe { Block::from_compact(self.compact()) });
        if !should(&block) || !block.relocate()? {
            return Ok(None);
        }
        debug_assert!(block.as_ptr().addr().is_multiple_of(BUCKET_BYTES));
        Ok(Some(Segment(self.0 & !((1 << 40) - 1) | block.compact().units())))
    }

    /// Entries with their points. Each costs a look at the entry, so all entries are
    /// asked for before the first is looked at.
    pub(crate) fn collect(
        self,
        hash_of: &impl Fn(Compact) -> u64,
        into: &mut Vec<(Point, Compact)>,
    ) {
        let start = into.len();
        self.for_each(|entry| {
            entry.prefetch();
            into.push((Point::default(), entry));
        });
        for (point, entry) in &mut into[start..] {
            *point = Point::of(hash_of(*entry));
        }
    }

    /// A segment of `depth` filled with `entries`.
    pub(crate) fn build(
        arena: ArenaId,
        depth: u8,
        buckets: usize,
        entries: &[(Point, Compact)],
    ) -> Result<Segment, OutOfMemory> {
        debug_assert!(entries.len() <= Segment::limit(buckets));
        let segment = Segment::new(arena, buckets, depth)?;
        for &(point, entry) in entries {
            segment.place(point, entry);
        }
        Ok(segment.with_count(entries.len()))
    }

    /// Frees the buckets; entries in them are no longer owned by anybody.
    ///
    /// # Safety
    /// No directory row names the segment any more.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the row owned the block, and is gone.
        drop(unsafe { Block::from_compact(self.compact()) });
    }
}
