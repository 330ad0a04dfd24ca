//! Watching the heap, to find blocks that nobody owns.
//!
//! While the watch is on, every block that begins or ends its life is noted in a bitmap of its
//! segment, under its arena's lock. [`crate::ArenaId::watch_segment`] adds, under the same lock,
//! the blocks that were there before, and files each of them as *unclaimed*. Owners then
//! [`claim`] their blocks. A block that is freed, or moved, is no longer unclaimed; one that is
//! allocated later never is. So what stays unclaimed has lived in its place from the beginning
//! of the watch, without any owner having claimed it.
//!
//! Blocks have at least 16 bytes, so the bitmaps have one bit for 16 bytes: no two blocks begin
//! within the same. They take 1/64 of the segments that are in use, and only during the watch.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::size::{MIN_BYTES, UNIT};
use crate::space::SEGMENT_BYTES;

const GRAINS: usize = SEGMENT_BYTES / MIN_BYTES;
const WORDS: usize = GRAINS / 64;
const UNITS_IN_SEGMENT: u64 = (SEGMENT_BYTES / UNIT) as u64;
const UNITS_IN_GRAIN: u64 = (MIN_BYTES / UNIT) as u64;

/// What is known of a segment's blocks.
struct Map {
    /// Where a block begins.
    starts: Box<[AtomicU64]>,
    /// Those among them that were there at the beginning and that nobody has claimed.
    unclaimed: Box<[AtomicU64]>,
    /// Blocks that begin here.
    count: AtomicU32,
}

impl Map {
    fn new() -> Box<Map> {
        let zeros = || (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        Box::new(Map { starts: zeros(), unclaimed: zeros(), count: AtomicU32::new(0) })
    }

    fn note(&self, units: u64, unclaimed: bool) {
        let (_, word, bit) = bit_of(units);
        if self.starts[word].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        if unclaimed {
            self.unclaimed[word].fetch_or(bit, Ordering::Relaxed);
        }
    }
}

static IS_ON: AtomicBool = AtomicBool::new(false);
static MAPS: RwLock<Vec<Option<Box<Map>>>> = RwLock::new(Vec::new());

/// Where a block's bits are: the segment, the word, and the bit.
fn bit_of(units: u64) -> (usize, usize, u64) {
    let grain = (units % UNITS_IN_SEGMENT / UNITS_IN_GRAIN) as usize;
    ((units / UNITS_IN_SEGMENT) as usize, grain / 64, 1 << (grain % 64))
}

/// Begins to watch. False if somebody watches already.
pub fn begin() -> bool {
    !IS_ON.swap(true, Ordering::SeqCst)
}

/// Ends the watch and frees its memory.
pub fn end() {
    IS_ON.store(false, Ordering::SeqCst);
    *MAPS.write() = Vec::new();
}

/// Whether somebody watches.
#[inline]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Bytes that the watch takes.
pub fn bytes() -> usize {
    MAPS.read().iter().flatten().count() * (2 * WORDS * size_of::<u64>() + size_of::<Map>())
}

fn with_map(segment: usize, work: impl FnOnce(&Map)) {
    {
        let maps = MAPS.read();
        if let Some(Some(map)) = maps.get(segment) {
            return work(map);
        }
    }
    let mut maps = MAPS.write();
    if maps.len() <= segment {
        maps.resize_with(segment + 1, || None);
    }
    work(maps[segment].get_or_insert_with(Map::new));
}

/// A block begins its life. Under its arena's lock, as the next two.
#[inline]
pub(crate) fn born(units: u64) {
    if is_on() {
        note(units);
    }
}

/// A block ends its life.
#[inline]
pub(crate) fn died(units: u64) {
    if is_on() {
        forget(units);
    }
}

#[cold]
fn note(units: u64) {
    with_map(bit_of(units).0, |map| map.note(units, false));
}

/// Files blocks of one segment as unclaimed: those that `each` shows.
pub(crate) fn file(segment: u32, each: impl FnOnce(&mut dyn FnMut(u64))) {
    with_map(segment as usize, |map| each(&mut |units| map.note(units, true)));
}

#[cold]
fn forget(units: u64) {
    let (segment, word, bit) = bit_of(units);
    let maps = MAPS.read();
    if let Some(Some(map)) = maps.get(segment) {
        map.unclaimed[word].fetch_and(!bit, Ordering::Relaxed);
        if map.starts[word].fetch_and(!bit, Ordering::Relaxed) & bit != 0 {
            map.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// An owner claims its block. False if no block begins there: the owner points nowhere. The
/// caller keeps the block from being freed or moved meanwhile.
pub fn claim(block: crate::Compact) -> bool {
    let (segment, word, bit) = bit_of(block.units());
    let maps = MAPS.read();
    let Some(Some(map)) = maps.get(segment) else { return false };
    map.unclaimed[word].fetch_and(!bit, Ordering::Relaxed);
    map.starts[word].load(Ordering::Relaxed) & bit != 0
}

/// Blocks that begin in a segment.
pub(crate) fn count(segment: u32) -> usize {
    let maps = MAPS.read();
    let map = maps.get(segment as usize).and_then(Option::as_ref);
    map.map_or(0, |map| map.count.load(Ordering::Relaxed) as usize)
}

/// Whether a block is still unclaimed.
pub(crate) fn is_unclaimed(units: u64) -> bool {
    let (segment, word, bit) = bit_of(units);
    let maps = MAPS.read();
    let map = maps.get(segment).and_then(Option::as_ref);
    map.is_some_and(|map| map.unclaimed[word].load(Ordering::Relaxed) & bit != 0)
}

/// The segments in which blocks are unclaimed, and how many there are.
pub fn unclaimed_segments() -> (Vec<u32>, usize) {
    let (mut segments, mut blocks) = (Vec::new(), 0);
    for (number, map) in MAPS.read().iter().enumerate() {
        let Some(map) = map else { continue };
        let ones = |word: &AtomicU64| word.load(Ordering::Relaxed).count_ones() as usize;
        let here: usize = map.unclaimed.iter().map(ones).sum();
        if here > 0 {
            segments.push(number as u32);
            blocks += here;
        }
    }
    (segments, blocks)
}
