//! The reserved address space and the table of its segments.
//!
//! Reserved once with `mmap(PROT_READ|PROT_WRITE, MAP_NORESERVE)`; the operating system
//! gives pages when they are first touched and takes them back with
//! `madvise(MADV_DONTNEED)`. An address is a count of 4-byte units from the base, so 40
//! bits reach 4 TiB.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

use parking_lot::Mutex;

use crate::OutOfMemory;
use crate::size::UNIT;

/// Bytes in a segment: a huge page of x86_64 and most of arm64.
pub const SEGMENT_BYTES: usize = 1 << 21;
const RESERVE_BYTES_MAX: usize = UNIT << 40;
const RESERVE_BYTES_MIN: usize = 1 << 28;

/// What a segment is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Free = 0,
    /// Holds small blocks.
    Blocks = 1,
    /// Holds small blocks that are being moved out; accepts none.
    Evacuating = 2,
    /// The first segment of a large block.
    Large = 3,
    /// In use otherwise: the other segments of a large block, or not yet anything else.
    Taken = 4,
    /// Holds no blocks and is about to be given back; serves as any other until then.
    Emptied = 5,
}

/// One row of the segment table. Written under the owning arena's lock.
#[derive(Default)]
pub(crate) struct Segment {
    state: AtomicU8,
    pub(crate) arena: AtomicU16,
    /// Bytes in blocks.
    pub(crate) live: AtomicU32,
    /// Bytes handed out by bumping: where a walk ends.
    pub(crate) bump: AtomicU32,
    /// Size of the large block that starts here.
    pub(crate) large_bytes: AtomicU64,
}

impl Segment {
    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Free,
            1 => State::Blocks,
            2 => State::Evacuating,
            3 => State::Large,
            5 => State::Emptied,
            _ => State::Taken,
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }
}

/// Runs of segments that are not in use: from the first to the number.
struct FreeRuns {
    runs: BTreeMap<u32, u32>,
    /// Segments from here on have never been used.
    fresh: u32,
}

pub(crate) struct Space {
    base: *mut u8,
    segments: *const Segment,
    segment_count: u32,
    free: Mutex<FreeRuns>,
    used: AtomicUsize,
    released: AtomicUsize,
    /// Segments that were filled and are not huge pages yet.
    full: Mutex<Vec<u32>>,
}

// SAFETY: `base` and `segments` point to mappings that live as long as the process; the
// segment table consists of atomics, and block memory is governed by handle ownership.
unsafe impl Send for Space {}
// SAFETY: as above.
unsafe impl Sync for Space {}

/// Totals of the address space.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpaceStats {
    /// Bytes of address space reserved.
    pub reserved: usize,
    /// Bytes of segments in use (small and large).
    pub used: usize,
    /// Bytes given back to the operating system since the start.
    pub released: usize,
}

/// The totals now.
pub fn space_stats() -> SpaceStats {
    let space = space();
    SpaceStats {
        reserved: space.segment_count as usize * SEGMENT_BYTES,
        used: space.used.load(Ordering::Relaxed) * SEGMENT_BYTES,
        released: space.released.load(Ordering::Relaxed),
    }
}

/// Where the large blocks are: their pages may never have been written.
pub fn large_ranges() -> Vec<Range<usize>> {
    let space = space();
    let large = (0..space.segment_count_used())
        .filter(|&segment| space.segment(segment).state() == State::Large);
    let range = |segment| {
        let begin = space.segment_base(segment).addr();
        begin..begin + space.segment(segment).large_bytes.load(Ordering::Relaxed) as usize
    };
    large.map(range).collect()
}

/// Turns one full segment into a huge page, if there is one; answers whether to call again.
/// Takes some 200 us.
pub fn collapse_step() -> bool {
    space().collapse()
}

fn map(bytes: usize) -> Option<*mut u8> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing
    // that exists.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    (address != libc::MAP_FAILED).then_some(address.cast())
}

/// Where the space begins: what turns a handle into an address, on every access. Set before
/// the first handle exists.
static BASE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

/// The address of a handle's units.
#[inline]
pub(crate) fn address_of(units: u64) -> *mut u8 {
    // Relaxed: whoever has a handle got it after the base was set.
    BASE.load(Ordering::Relaxed).wrapping_add(units as usize * UNIT)
}

/// The units of an address: below 2^40.
#[inline]
pub(crate) fn units_of(address: *const u8) -> u64 {
    ((address as usize - BASE.load(Ordering::Relaxed) as usize) / UNIT) as u64
}

/// Whether there is so much address space.
fn can_map(bytes: usize) -> bool {
    let Some(raw) = map(bytes) else { return false };
    // SAFETY: it was mapped just now with this length, and nobody knows it.
    unsafe { libc::munmap(raw.cast(), bytes) };
    true
}

static SPACE: OnceLock<Option<Space>> = OnceLock::new();

/// The process's one space. Panics if not even [`RESERVE_BYTES_MIN`] can be reserved; whoever
/// asks [`reserve`] at the start of the process need not fear that.
pub(crate) fn space() -> &'static Space {
    match SPACE.get_or_init(reserve_space) {
        Some(space) => space,
        None => panic!("cannot reserve address space for the heap"),
    }
}

/// Reserves the heap's address space, unless that has happened; whether there is one.
pub fn reserve() -> bool {
    SPACE.get_or_init(reserve_space).is_some()
}

/// As much as there is, if half as much is left: other memory needs addresses, too.
fn reserve_space() -> Option<Space> {
    let mut bytes = RESERVE_BYTES_MAX;
    while bytes >= RESERVE_BYTES_MIN {
        let table_bytes = (bytes / SEGMENT_BYTES) * size_of::<Segment>();
        if can_map(bytes + bytes / 2)
            && let Some(raw) = map(bytes + SEGMENT_BYTES)
        {
            if let Some(table) = map(table_bytes) {
                let base = raw.wrapping_add(raw.align_offset(SEGMENT_BYTES));
                BASE.store(base, Ordering::Relaxed);
                return Some(Space {
                    base,
                    // Zero pages are valid rows: a state of 0 is `Free`.
                    segments: table.cast(),
                    segment_count: (bytes / SEGMENT_BYTES) as u32,
                    free: Mutex::new(FreeRuns { runs: BTreeMap::new(), fresh: 0 }),
                    used: AtomicUsize::new(0),
                    released: AtomicUsize::new(0),
                    full: Mutex::new(Vec::new()),
                });
            }
            // SAFETY: `raw` was mapped just above with this length and nobody else
            // knows it.
            unsafe { libc::munmap(raw.cast(), bytes + SEGMENT_BYTES) };
        }
        bytes /= 2;
    }
    None
}

impl Space {
    pub(crate) fn segment(&self, index: u32) -> &Segment {
        assert!(index < self.segment_count);
        // SAFETY: the table has `segment_count` rows, all valid as zeros.
        unsafe { &*self.segments.add(index as usize) }
    }

    pub(crate) fn segment_count_used(&self) -> u32 {
        self.free.lock().fresh
    }

    pub(crate) fn segment_base(&self, index: u32) -> *mut u8 {
        self.base.wrapping_add(index as usize * SEGMENT_BYTES)
    }

    pub(crate) fn segment_of(&self, address: *const u8) -> u32 {
        ((address as usize - self.base as usize) / SEGMENT_BYTES) as u32
    }

    /// Takes `count` neighbouring segments.
    pub(crate) fn take(&self, count: u32) -> Result<u32, OutOfMemory> {
        let mut free = self.free.lock();
        let found = free.runs.iter().find(|&(_, &length)| length >= count).map(|(&s, &l)| (s, l));
        let start = if let Some((start, length)) = found {
            free.runs.remove(&start);
            if length > count {
                free.runs.insert(start + count, length - count);
            }
            start
        } else {
            if count > self.segment_count - free.fresh {
                return Err(OutOfMemory);
            }
            free.fresh += count;
            free.fresh - count
        };
        for index in start..start + count {
            // Under the lock: see `collapse`.
            self.segment(index).set_state(State::Taken);
        }
        self.used.fetch_add(count as usize, Ordering::Relaxed);
        Ok(start)
    }

    /// Says that a segment of small blocks is full.
    pub(crate) fn filled(&self, segment: u32) {
        self.full.lock().push(segment);
    }

    /// Makes a full segment one huge page, which spares its readers most misses of the address
    /// cache. Only full segments: all of their memory is in use. Answers whether there was one.
    fn collapse(&self) -> bool {
        let Some(segment) = self.full.lock().pop() else { return false };
        // Neither those that leave nor those that are on their way.
        if self.segment(segment).state() != State::Blocks {
            return true;
        }
        // Linux 6.1; an older kernel, or one without a huge page to spare, leaves all as it is.
        const MADV_COLLAPSE: libc::c_int = 25;
        // SAFETY: this changes how the pages are mapped, not what they hold.
        unsafe { libc::madvise(self.segment_base(segment).cast(), SEGMENT_BYTES, MADV_COLLAPSE) };
        // Given back meanwhile: it has memory again that nobody uses. While the lock is held it
        // stays free, since whoever takes it changes its state under the lock.
        let free = self.free.lock();
        if self.segment(segment).state() == State::Free {
            self.discard(segment, 0, SEGMENT_BYTES);
        }
        drop(free);
        true
    }

    /// Gives segments back: their first `touched` bytes leave the process now.
    pub(crate) fn give_back(&self, start: u32, count: u32, touched: usize) {
        self.discard(start, 0, touched);
        for index in start..start + count {
            self.segment(index).set_state(State::Free);
        }
        self.used.fetch_sub(count as usize, Ordering::Relaxed);
        let mut free = self.free.lock();
        let (mut start, mut count) = (start, count);
        if let Some(&after) = free.runs.get(&(start + count)) {
            free.runs.remove(&(start + count));
            count += after;
        }
        if let Some((&before, &length)) = free.runs.range(..start).next_back()
            && before + length == start
        {
            free.runs.remove(&before);
            start = before;
            count += length;
        }
        free.runs.insert(start, count);
    }

    /// Drops the pages wholly inside `from..to` of a segment (or run of segments).
    pub(crate) fn discard(&self, segment: u32, from: usize, to: usize) {
        const PAGE: usize = 4096;
        let (from, to) = (from.next_multiple_of(PAGE), to.next_multiple_of(PAGE));
        if from >= to {
            return;
        }
        // SAFETY: the range lies in segments the caller owns, and no block lives in it.
        unsafe {
            libc::madvise(
                self.segment_base(segment).add(from).cast(),
                to - from,
                libc::MADV_DONTNEED,
            );
        }
        self.released.fetch_add(to - from, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArenaId, Block, FIRST_OWNER_KIND};

    /// How many segments of 4 MB in blocks of this size are to become huge pages.
    fn wanted(body: usize) -> usize {
        let arena = ArenaId::new();
        let blocks: Vec<Block> = (0..2 * SEGMENT_BYTES / body)
            .map(|_| Block::allocate(arena, body, FIRST_OWNER_KIND).unwrap())
            .collect();
        let own = |segment: &u32| {
            blocks.iter().any(|block| space().segment_of(block.as_ptr()) == *segment)
        };
        let count = space().full.lock().iter().filter(|segment| own(segment)).count();
        drop(blocks);
        count
    }

    #[test]
    fn full_segments_of_many_blocks_become_huge_pages() {
        assert_eq!(wanted(64), 2);
        assert_eq!(wanted(1500), 2);
        assert_eq!(wanted(2500), 0);
        assert_eq!(wanted(10_240), 0);
    }
}
