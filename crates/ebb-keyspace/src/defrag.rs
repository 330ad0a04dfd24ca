//! Defragmentation: moving the blocks out of sparse segments, so that these can be released.
//!
//! A *pass* chooses the sparsest segments of all arenas, closes them for new blocks, and walks
//! every shard's entries to move what lies in them. The heap releases each segment with its
//! last block. What could not be moved (a value that is just being sent) keeps its segment,
//! which is opened again at the end of the pass.
//!
//! A moved block first takes memory elsewhere, and its segment is released only when the last
//! of its neighbours has moved too. So a pass chooses no more than its *budget* of bytes to
//! move, and many passes follow each other while there is something to gain. Which segments
//! are worth it follows from the sizes alone: moving a segment's live bytes gains its holes.
//!
//! Nothing here locks or sleeps: callers hold a shard's lock for one [`Pass::step`], some 100
//! microseconds of work.

use std::collections::VecDeque;

use ebb_heap::{ArenaId, Block, OutOfMemory, SEGMENT_BYTES};

pub use crate::entry::relocate::Moved;
use crate::entry::relocate::Work;
use crate::{Key, KeyHasher, PartId, Shard};

/// Bytes moved in one step, but for the block that exceeds them: at 1 GB/s and more, some 100 us.
pub const STEP_BYTES: usize = 96 * 1024;
/// A segment that is fuller than this is left alone: moving 15 bytes would gain one.
const DENSE_PERCENT: usize = 94;
/// Holes of this share of what is touched are left.
const REST_PERCENT: usize = 2;

/// Bytes of some arenas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fragmentation {
    /// In blocks.
    pub live: usize,
    /// In holes between them.
    pub holes: usize,
    /// Segments.
    pub segments: usize,
}

impl Fragmentation {
    /// Of some arenas, now.
    pub fn of(arenas: impl IntoIterator<Item = ArenaId>) -> Fragmentation {
        arenas.into_iter().map(ArenaId::stats).fold(Fragmentation::default(), |sum, arena| {
            Fragmentation {
                live: sum.live + arena.live,
                holes: sum.holes + arena.holes,
                segments: sum.segments + arena.segments,
            }
        })
    }

    /// Holes in percent of live bytes, as Redis's thresholds mean it.
    pub fn percent(&self) -> f64 {
        self.holes as f64 * 100.0 / self.live.max(1) as f64
    }
}

/// A segment that could be emptied.
struct Candidate {
    arena: ArenaId,
    segment: u32,
    live: usize,
    touched: usize,
}

/// The sparsest segments, whose live bytes together do not exceed `budget` (but for the first
/// one), and only as long as enough holes remain to be worth it.
fn choose(arenas: &[ArenaId], budget: usize) -> Vec<Candidate> {
    let mut all = Vec::new();
    let (mut holes, mut touched) = (0, 0);
    for &arena in arenas {
        for info in arena.segments() {
            holes += info.touched - info.live;
            touched += info.touched;
            all.push(Candidate {
                arena,
                segment: info.index,
                live: info.live,
                touched: info.touched,
            });
        }
    }
    all.retain(|one| one.live * 100 < one.touched * DENSE_PERCENT);
    all.sort_by_key(|one| one.live * SEGMENT_BYTES / one.touched.max(1));
    let (mut moving, mut chosen) = (0, 0);
    for one in &all {
        let too_much = chosen > 0 && moving + one.live > budget;
        if too_much || holes * 100 <= touched * REST_PERCENT {
            break;
        }
        moving += one.live;
        let gain = one.touched - one.live;
        holes -= gain;
        touched -= gain;
        chosen += 1;
    }
    all.truncate(chosen);
    all
}

/// Bytes of holes that passes would gain, were they to run now until nothing is left to gain.
pub fn repairable(arenas: &[ArenaId]) -> usize {
    choose(arenas, usize::MAX).iter().map(|one| one.touched - one.live).sum()
}

/// What a pass has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Segments that were to be emptied.
    pub chosen: usize,
    /// Segments of them that are gone.
    pub released: usize,
    /// Bytes of holes in the chosen segments at the beginning.
    pub expected: usize,
    /// What was moved.
    pub moved: Moved,
}

/// What is left of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The shard has more.
    More,
    /// The next step is for the next shard, or there is none.
    ShardDone,
}

/// A large collection whose blocks are being moved.
struct Large {
    db: usize,
    key: Box<[u8]>,
    position: u128,
}

/// A pass over all shards.
pub struct Pass {
    arenas: Vec<ArenaId>,
    closing: Vec<Candidate>,
    hasher: KeyHasher,
    outcome: Outcome,
    db: usize,
    part: usize,
    position: u64,
    large: VecDeque<Large>,
    elements_max: usize,
}

impl Pass {
    /// Chooses segments of `arenas` with at most `budget` live bytes. None if there is nothing
    /// worth moving. Collections of more than `elements_max` elements are visited after the
    /// entries of their segment, some elements at a time.
    pub fn begin(
        arenas: Vec<ArenaId>,
        hasher: &KeyHasher,
        budget: usize,
        elements_max: usize,
    ) -> Option<Pass> {
        let closing = choose(&arenas, budget);
        if closing.is_empty() {
            return None;
        }
        let (hasher, outcome) = (hasher.clone(), Outcome::default());
        let (db, part, position, large) = (0, 0, 0, VecDeque::new());
        Some(Pass { arenas, closing, hasher, outcome, db, part, position, large, elements_max })
    }

    /// Closes one of the chosen segments for new blocks, which takes some 100 us; answers
    /// whether there was one. All are closed before the first step.
    pub fn close_next(&mut self) -> bool {
        let Some(one) = self.closing.pop() else { return false };
        if one.arena.begin_evacuation(one.segment) {
            self.outcome.chosen += 1;
            self.outcome.expected += one.touched - one.live;
        }
        true
    }

    /// Moves some blocks of a shard. Shards are visited one after the other, each until its
    /// step answers [`Step::ShardDone`]. Without memory to move to, the pass should end.
    pub fn step(&mut self, shard: &mut Shard) -> Result<Step, OutOfMemory> {
        let mut work = Work {
            should: &Block::should_move,
            bytes_left: STEP_BYTES,
            elements_max: self.elements_max,
            large: Vec::new(),
            moved: Moved::default(),
        };
        let result = self.advance(shard, &mut work);
        self.outcome.moved.add(work.moved);
        if matches!(result, Ok(Step::ShardDone)) {
            (self.db, self.part, self.position) = (0, 0, 0);
        }
        result
    }

    fn advance(&mut self, shard: &mut Shard, work: &mut Work<'_>) -> Result<Step, OutOfMemory> {
        // Large collections come as soon as they are found: their keys are kept for a short
        // time, and few of them.
        if let Some(large) = self.large.front_mut() {
            let key = Key::with_hash(&large.key, self.hasher.hash(&large.key));
            let db = shard.db(large.db);
            large.position = db.relocate_collection(&key, large.position, work)?;
            if large.position == 0 {
                self.large.pop_front();
            }
            return Ok(Step::More);
        }
        while self.db < shard.dbs().len() {
            let db = self.db;
            let next = shard.db(db).relocate(self.part as PartId, self.position, work)?;
            let large = std::mem::take(&mut work.large).into_iter();
            self.large.extend(large.map(|key| Large { db, key, position: 0 }));
            match next {
                None => return Ok(Step::More),
                Some(0) if self.part + 1 < shard.db(db).part_count() => {
                    (self.part, self.position) = (self.part + 1, 0);
                }
                Some(0) => (self.db, self.part, self.position) = (self.db + 1, 0, 0),
                Some(next) => {
                    self.position = next;
                    return Ok(Step::More);
                }
            }
            if !self.large.is_empty() {
                return Ok(Step::More);
            }
        }
        Ok(Step::ShardDone)
    }

    /// Counts what the caller has moved out of the closed segments, and the keyspace does not
    /// own.
    pub fn add_moved(&mut self, moved: Moved) {
        self.outcome.moved.add(moved);
    }

    /// What was done so far.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Opens the segments again that are not empty, and tells what was done.
    pub fn end(mut self) -> Outcome {
        let left: usize = self.arenas.iter().map(|arena| arena.end_evacuation()).sum();
        self.outcome.released = self.outcome.chosen.saturating_sub(left);
        self.outcome
    }
}

#[cfg(test)]
mod tests;
