//! An arena under examination: which blocks are there, and whether its counters say the truth.

use std::sync::atomic::Ordering;

use super::{ArenaId, BlockInfo, Inner, KIND_HOLE, KIND_PAD, arena, kind_at, walk};
use crate::space::{Space, State, space, units_of};
use crate::watch;

/// What a counter of an arena says, and what is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaFlaw {
    /// Which counter.
    pub counter: &'static str,
    /// What it says.
    pub counted: usize,
    /// What is true.
    pub actual: usize,
}

impl Inner {
    fn owns(&self, space: &Space, segment: u32) -> bool {
        let row = space.segment(segment);
        let is_mine = row.arena.load(Ordering::Relaxed) == self.id;
        is_mine && !matches!(row.state(), State::Free | State::Taken)
    }

    /// Blocks of one of its segments: address in units, and bytes.
    fn each_block(&self, space: &Space, segment: u32, mut visit: impl FnMut(BlockInfo)) {
        let row = space.segment(segment);
        if row.state() == State::Large {
            let address = space.segment_base(segment);
            let bytes = row.large_bytes.load(Ordering::Relaxed) as usize;
            return visit(BlockInfo { address: units_of(address), bytes, kind: kind_at(address) });
        }
        walk(space, segment, |address, bytes, kind| {
            if kind != KIND_HOLE && kind != KIND_PAD {
                visit(BlockInfo { address: units_of(address), bytes, kind });
            }
        });
    }
}

/// Segments that are, or were, in use: those of all arenas have lower numbers.
pub fn segments_used() -> u32 {
    space().segment_count_used()
}

/// The arena that a segment belongs to now, if any.
pub fn arena_of(segment: u32) -> Option<ArenaId> {
    let row = space().segment(segment);
    let is_used = !matches!(row.state(), State::Free | State::Taken);
    is_used.then(|| ArenaId(row.arena.load(Ordering::Relaxed)))
}

impl ArenaId {
    /// Its number, for reports.
    pub fn number(self) -> u16 {
        self.0
    }

    /// Files the blocks of a segment as unclaimed, and compares its count of live bytes with
    /// them. Takes up to some 200 us under the arena's lock. Does nothing if the segment is not
    /// the arena's (any more).
    pub fn watch_segment(self, segment: u32) -> Option<ArenaFlaw> {
        let space = space();
        let inner = arena(self.0).inner.lock();
        if !inner.owns(space, segment) {
            return None;
        }
        let mut actual = 0;
        watch::file(segment, |file| {
            inner.each_block(space, segment, |block| {
                actual += block.bytes;
                file(block.address);
            });
        });
        let row = space.segment(segment);
        let counted = row.live.load(Ordering::Relaxed) as usize;
        let differs = row.state() != State::Large && counted != actual;
        differs.then_some(ArenaFlaw { counter: "segment live bytes", counted, actual })
    }

    /// Visits the blocks of a segment that are still unclaimed.
    pub fn unclaimed(self, segment: u32, mut visit: impl FnMut(BlockInfo)) {
        let space = space();
        let inner = arena(self.0).inner.lock();
        if inner.owns(space, segment) {
            inner.each_block(space, segment, |block| {
                if watch::is_unclaimed(block.address) {
                    visit(block);
                }
            });
        }
    }

    /// Compares the arena's totals with its segments, all at one moment. The count of blocks is
    /// compared only while the heap is watched and all segments were looked at.
    pub fn check(self) -> Vec<ArenaFlaw> {
        let space = space();
        let used = space.segment_count_used();
        let arena = arena(self.0);
        let inner = arena.inner.lock();
        let (mut live, mut touched, mut large, mut blocks) = (0, 0, 0, 0);
        for segment in (0..used).filter(|&segment| inner.owns(space, segment)) {
            let row = space.segment(segment);
            blocks += watch::count(segment);
            if row.state() == State::Large {
                large += row.large_bytes.load(Ordering::Relaxed) as usize;
            } else {
                live += row.live.load(Ordering::Relaxed) as usize;
                touched += row.bump.load(Ordering::Relaxed) as usize;
            }
        }
        if !watch::is_on() {
            blocks = inner.blocks;
        }
        let figures = [
            ("live bytes", arena.live.load(Ordering::Relaxed), live + large),
            ("touched bytes", inner.touched, touched + large),
            ("hole bytes", inner.holes, touched.wrapping_sub(live)),
            ("blocks", inner.blocks, blocks),
        ];
        let differing = figures.into_iter().filter(|(_, counted, actual)| counted != actual);
        differing.map(|(counter, counted, actual)| ArenaFlaw { counter, counted, actual }).collect()
    }

    /// Makes the count of live bytes wrong by so many bytes, for tests of those who check it.
    pub fn skew_live_bytes(self, bytes: isize) {
        let _inner = arena(self.0).inner.lock();
        arena(self.0).live.fetch_add(bytes as usize, Ordering::Relaxed);
    }
}
