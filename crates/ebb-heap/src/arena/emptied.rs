//! Segments without blocks, on their way back to the operating system.
//!
//! Their holes are on the lists of the arena, up to 131,000 in one segment, and each must be taken
//! off before the memory goes: several milliseconds, where neighbours in a list lie far from each
//! other. So that no single free takes that long, a segment's holes go some at a time, from its start
//! on: with each free that follows, and in steps that a maintenance thread asks for. That thread
//! also gives the memory back, which takes some 300 us, and does so without the arena's lock.
//!
//! Until then the segment is in use as before. If a block comes to lie in it, it stays; the holes
//! that were taken off have become few large ones.

use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::ahead::Ahead;
use super::{
    GAP_MAX, Inner, KEEP_EMPTY_BYTES, KIND_HOLE, KIND_PAD, arena, walk_from, write_header,
};
use crate::space::{Space, State, space};

/// Holes taken off the lists at once when a segment becomes empty, and by a step: some 100 us if
/// none of their neighbours is in a cache. Segments with fewer go back immediately.
const HOLES_A_STEP: usize = 1024;
/// Holes taken off with each free while an empty segment is there: more than a free adds, and so few
/// that some hundred frees at once stay far below a millisecond.
const HOLES_A_FREE: usize = 4;
/// Segments that wait for the maintenance thread to give them back. With more, a free does it.
const CLEAN_MAX: usize = 8;

/// Arenas that have empty segments, each once. One may be here that has none any more.
static WAITING: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// A segment without blocks.
pub(super) struct Emptied {
    segment: u32,
    /// No hole before this byte is on a list.
    cleared: usize,
}

/// Gives an empty segment back to the operating system, or prepares some of one for it, if there is
/// one; answers whether to call again. Takes some 100 us under the arena's lock, or 300 us without.
pub fn release_step() -> bool {
    let Some(id) = WAITING.lock().pop() else { return false };
    let space = space();
    let mut inner = arena(id).inner.lock();
    let clean = inner.clean.pop().map(|segment| (segment, inner.detach(space, segment)));
    if clean.is_none() {
        inner.release_some(space, HOLES_A_STEP);
    }
    inner.is_waiting = false;
    inner.wait();
    drop(inner);
    if let Some((segment, touched)) = clean {
        space.give_back(segment, 1, touched);
    }
    true
}

impl Inner {
    /// Begins to give an empty segment back.
    pub(super) fn release(&mut self, space: &Space, segment: u32) {
        let row = space.segment(segment);
        debug_assert_eq!(row.live.load(Ordering::Relaxed), 0);
        match row.state() {
            // Its holes are on no list.
            State::Evacuating if !self.stop_halfway(segment) => self.set_aside(space, segment),
            State::Emptied => {}
            _ => {
                row.set_state(State::Emptied);
                self.emptied.push(Emptied { segment, cleared: 0 });
            }
        }
        self.release_some(space, HOLES_A_STEP);
        self.wait();
    }

    /// Asks for steps while there are empty segments.
    fn wait(&mut self) {
        let is_done = self.emptied.is_empty() && self.clean.is_empty();
        if !is_done && !self.is_waiting {
            WAITING.lock().push(self.id);
            self.is_waiting = true;
        }
    }

    /// The share of a free in the work.
    #[inline]
    pub(super) fn release_with_free(&mut self, space: &Space) {
        if !self.emptied.is_empty() {
            self.release_some(space, HOLES_A_FREE);
        }
    }

    /// Takes up to so many holes of the last empty segment off the lists, and gives it back if
    /// these were all.
    #[inline(never)]
    fn release_some(&mut self, space: &Space, holes_max: usize) {
        let Some(Emptied { segment, cleared }) = self.emptied.pop() else { return };
        if space.segment(segment).live.load(Ordering::Relaxed) > 0 {
            return self.keep(space, segment, cleared);
        }
        let mut holes = 0;
        let mut ahead = Ahead::new(space, segment, cleared);
        let rest = walk_from(space, segment, cleared, |address, bytes, kind| {
            ahead.follow(address);
            if kind == KIND_HOLE {
                if holes == holes_max {
                    return false;
                }
                self.unlink_hole(address, bytes);
                write_header(address, bytes, KIND_PAD);
                holes += 1;
            }
            true
        });
        match rest {
            Some(cleared) => self.emptied.push(Emptied { segment, cleared }),
            None => self.set_aside(space, segment),
        }
    }

    /// A segment is in use again: what was taken off the lists comes back, in few pieces.
    fn keep(&mut self, space: &Space, segment: u32, cleared: usize) {
        space.segment(segment).set_state(State::Blocks);
        self.push_gap(space.segment_base(segment), cleared);
    }

    /// Puts bytes that lie in a row on the lists, as holes of the largest size.
    pub(super) fn push_gap(&mut self, start: *mut u8, bytes: usize) {
        let mut at = 0;
        while at < bytes {
            let piece = (bytes - at).min(GAP_MAX);
            self.push_hole(start.wrapping_add(at), piece);
            at += piece;
        }
    }

    /// Leaves a segment that has no holes on a list to the maintenance thread, or starts it anew if
    /// it is the current one and not much of it was touched.
    fn set_aside(&mut self, space: &Space, segment: u32) {
        let row = space.segment(segment);
        if self.current == Some(segment) {
            let touched = row.bump.load(Ordering::Relaxed) as usize;
            if touched <= KEEP_EMPTY_BYTES {
                row.set_state(State::Blocks);
                row.bump.store(0, Ordering::Relaxed);
                self.bump = 0;
                self.holes -= touched;
                self.touched -= touched;
                return;
            }
            self.current = None;
        }
        row.set_state(State::Emptied);
        self.clean.push(segment);
        if self.clean.len() > CLEAN_MAX {
            let oldest = self.clean.swap_remove(0);
            let touched = self.detach(space, oldest);
            space.give_back(oldest, 1, touched);
        }
    }

    /// Takes a clean segment from the arena; the bytes of it that were touched.
    fn detach(&mut self, space: &Space, segment: u32) -> usize {
        let row = space.segment(segment);
        row.set_state(State::Taken);
        let touched = row.bump.load(Ordering::Relaxed) as usize;
        self.holes -= touched;
        self.touched -= touched;
        if let Some(position) = self.segments.iter().rposition(|&s| s == segment) {
            self.segments.swap_remove(position);
        }
        touched
    }
}
