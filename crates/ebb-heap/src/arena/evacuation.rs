//! Closing segments for new blocks, so that those in them can be moved out, and opening them again.
//!
//! The holes of a segment, up to 131,000, come off the lists, or go back there. That happens in
//! steps, between which others get the arena's lock.

use std::sync::atomic::Ordering;

use parking_lot::{Mutex, MutexGuard};

use super::ahead::Ahead;
use super::{ArenaId, GAP_MAX, Inner, KIND_HOLE, KIND_PAD, arena, walk_from, write_header};
use crate::space::{Space, State, space};

/// Headers that a step reads; one that changes lists, too, counts as [`LISTED`]. Some 100 us.
const STEP: usize = 8192;
const LISTED: usize = 8;

/// How far the closing or opening of a segment has come.
pub(super) struct Halfway {
    segment: u32,
    /// Where it goes on: the start of a block or hole. Holes are on lists on one side of it only:
    /// behind it while the segment is being closed, before it while it is being opened.
    at: usize,
    is_opening: bool,
}

impl Inner {
    /// Whether what is freed there goes on the lists although its segment is closed: the opening
    /// has passed by already.
    #[cold]
    pub(super) fn is_open_again(&self, space: &Space, segment: u32, address: *mut u8) -> bool {
        self.halfway.as_ref().is_some_and(|halfway| {
            let offset = address.addr() - space.segment_base(segment).addr();
            halfway.is_opening && halfway.segment == segment && offset < halfway.at
        })
    }

    /// Ends the closing or opening of a segment because it has no blocks any more. Answers whether
    /// there was something to end: then some of its holes may be on lists.
    pub(super) fn stop_halfway(&mut self, segment: u32) -> bool {
        let is_halfway = self.halfway.as_ref().is_some_and(|halfway| halfway.segment == segment);
        if is_halfway {
            self.halfway = None;
        }
        is_halfway
    }

    /// Takes some holes of the segment that is being closed off the lists.
    fn close_some(&mut self, space: &Space, halfway: Halfway) {
        let mut work = 0;
        let mut ahead = Ahead::new(space, halfway.segment, halfway.at);
        let rest = walk_from(space, halfway.segment, halfway.at, |address, bytes, kind| {
            if work >= STEP {
                return false;
            }
            work += 1;
            ahead.follow(address);
            if kind == KIND_HOLE {
                self.unlink_hole(address, bytes);
                write_header(address, bytes, KIND_PAD);
                work += LISTED;
            }
            true
        });
        self.halfway = rest.map(|at| Halfway { at, ..halfway });
    }

    /// Makes holes of some gaps in the segment that is being opened, neighbours joined.
    fn open_some(&mut self, space: &Space, halfway: Halfway) {
        let mut work = 0;
        let mut gaps: Vec<(*mut u8, usize)> = Vec::new();
        let rest = walk_from(space, halfway.segment, halfway.at, |address, bytes, kind| {
            if work >= STEP {
                return false;
            }
            work += 1;
            if kind != KIND_PAD {
                return true;
            }
            match gaps.last_mut() {
                Some((start, len))
                    if start.wrapping_add(*len) == address && *len + bytes <= GAP_MAX =>
                {
                    *len += bytes;
                }
                _ => {
                    gaps.push((address, bytes));
                    work += LISTED;
                }
            }
            true
        });
        for (address, bytes) in gaps {
            self.push_hole(address, bytes);
        }
        match rest {
            Some(at) => self.halfway = Some(Halfway { at, ..halfway }),
            None => space.segment(halfway.segment).set_state(State::Blocks),
        }
    }

    /// Does some of what is to be done; answers whether there was anything.
    fn halfway_step(&mut self, space: &Space) -> bool {
        match self.halfway.take() {
            None => return false,
            Some(halfway) if halfway.is_opening => self.open_some(space, halfway),
            Some(halfway) => self.close_some(space, halfway),
        }
        true
    }
}

/// Closes or opens the segment that is halfway, and gives others the lock in between.
fn finish<'a>(mutex: &'a Mutex<Inner>, mut inner: MutexGuard<'a, Inner>) {
    while inner.halfway_step(space()) {
        MutexGuard::unlock_fair(inner);
        inner = mutex.lock();
    }
}

impl ArenaId {
    /// Closes a segment for new blocks: each block that is moved or freed brings it nearer
    /// to its release. Answers false if the segment is not this arena's. Only one thread closes
    /// and opens segments of an arena.
    pub fn begin_evacuation(self, segment: u32) -> bool {
        let space = space();
        let mutex = &arena(self.0).inner;
        let mut inner = mutex.lock();
        if inner.current == Some(segment) {
            inner.close_current(space);
        }
        if !inner.segments.contains(&segment) {
            return false;
        }
        if space.segment(segment).state() == State::Blocks {
            // A hole that is still on a list may become a block until its turn comes; that block
            // is moved like others.
            space.segment(segment).set_state(State::Evacuating);
            inner.halfway = Some(Halfway { segment, at: 0, is_opening: false });
            finish(mutex, inner);
        }
        true
    }

    /// Opens the segments again that [`ArenaId::begin_evacuation`] has closed and that still
    /// hold blocks; answers how many.
    pub fn end_evacuation(self) -> usize {
        let space = space();
        let mutex = &arena(self.0).inner;
        let is_closed = |&segment: &u32| space.segment(segment).state() == State::Evacuating;
        let left: Vec<u32> = mutex.lock().segments.iter().copied().filter(is_closed).collect();
        for &segment in &left {
            let mut inner = mutex.lock();
            let row = space.segment(segment);
            // It may have become empty meanwhile, and even be another arena's by now.
            if row.arena.load(Ordering::Relaxed) == self.0
                && inner.segments.contains(&segment)
                && is_closed(&segment)
            {
                inner.halfway = Some(Halfway { segment, at: 0, is_opening: true });
                finish(mutex, inner);
            }
        }
        left.len()
    }
}
