//! Sources of scripts and of libraries, in blocks of the heap that can be moved.
//!
//! A source may outlive its place among the server's: interpreters keep the scripts that they have
//! compiled, and whoever loads a library holds it. So all that live are known here, too: what
//! holds a block can be found.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use ebb_heap::{ArenaId, Block, OutOfMemory, Shared, watch};
use ebb_keyspace::defrag::{Moved, STEP_BYTES};
use parking_lot::{Mutex, RwLock};

/// Sources looked at in one step of a walk.
const STEP: usize = 64;

/// All sources of a kind that live, by their numbers, which rise.
#[derive(Debug, Default)]
struct Living {
    sources: BTreeMap<u64, Weak<Source>>,
    last: u64,
}

/// The source of a script or of a library.
#[derive(Debug)]
pub struct Source {
    text: RwLock<Shared>,
    number: u64,
    living: Arc<Mutex<Living>>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.living.lock().sources.remove(&self.number);
    }
}

impl Source {
    /// Bytes outside of the heap, the counts of those who hold it included.
    pub(super) const OUTSIDE: usize = 2 * size_of::<usize>() + size_of::<Source>();

    /// The source as it was given. It stays in its place while this is held.
    pub fn read(&self) -> Shared {
        self.text.read().clone()
    }

    /// Whether these are its bytes.
    pub fn is(&self, bytes: &[u8]) -> bool {
        **self.text.read() == *bytes
    }

    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.text.read().len()
    }

    /// Moves it, if it should be and nobody reads it.
    fn relocate(&self, moved: &mut Moved) -> Result<(), OutOfMemory> {
        let mut source = self.text.write();
        if !Block::should_move(source.block()) {
            moved.stayed += 1;
        } else if source.relocate()? {
            moved.blocks += 1;
            moved.bytes += source.block().bytes() as u64;
        } else {
            moved.pinned += 1;
        }
        Ok(())
    }
}

/// Where a walk over all sources stands: at the first of this number or a higher one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Walk(u64);

/// All sources of one kind, in an arena of their own, so that their bytes are known exactly.
#[derive(Debug)]
pub struct Sources {
    arena: ArenaId,
    living: Arc<Mutex<Living>>,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources { arena: ArenaId::new(), living: Arc::default() }
    }
}

impl Sources {
    /// A copy of a source.
    pub fn add(&self, bytes: &[u8]) -> Result<Arc<Source>, OutOfMemory> {
        let text = RwLock::new(Shared::copy_from(self.arena, bytes)?);
        let mut living = self.living.lock();
        living.last += 1;
        let number = living.last;
        let source = Arc::new(Source { text, number, living: self.living.clone() });
        living.sources.insert(number, Arc::downgrade(&source));
        Ok(source)
    }

    /// The arena of their blocks.
    pub(crate) fn arena(&self) -> ArenaId {
        self.arena
    }

    /// Bytes outside of the heap, about, those of the sources themselves aside: a node of the tree
    /// has room for eleven, and is half full where numbers only rise.
    pub(super) fn outside_bytes(&self) -> usize {
        self.living.lock().sources.len() * 2 * size_of::<(u64, Weak<Source>)>()
    }

    /// Visits some sources, until `visit` answers that it shall not go on; answers whether there
    /// may be more. Who is there from the first step to the last is visited.
    fn step(&self, walk: &mut Walk, mut visit: impl FnMut(&Source) -> bool) -> bool {
        // They are let go of without the lock: the last who does so needs it.
        let some: Vec<Option<Arc<Source>>> = {
            let living = self.living.lock();
            living.sources.range(walk.0..).take(STEP).map(|(_, source)| source.upgrade()).collect()
        };
        for source in some.iter().flatten() {
            walk.0 = source.number + 1;
            if !visit(source) {
                return true;
            }
        }
        some.len() == STEP
    }

    /// Moves some sources out of closed segments, until [`STEP_BYTES`] are moved; answers whether
    /// there is more.
    pub(crate) fn relocate_step(
        &self,
        walk: &mut Walk,
        moved: &mut Moved,
    ) -> Result<bool, OutOfMemory> {
        let enough = moved.bytes + STEP_BYTES as u64;
        let mut result = Ok(());
        let more = self.step(walk, |source| {
            result = source.relocate(moved);
            result.is_ok() && moved.bytes < enough
        });
        result.map(|()| more)
    }

    /// Claims the blocks of some for the audit; answers whether there is more.
    pub(crate) fn claim_step(&self, walk: &mut Walk) -> bool {
        self.step(walk, |source| {
            watch::claim(source.text.read().block().compact());
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(sources: &Sources, number: usize) -> Arc<Source> {
        sources.add(format!("return {number}").as_bytes()).unwrap()
    }

    #[test]
    fn walks_meet_all_that_live() {
        let sources = Sources::default();
        let mut kept: Vec<_> = (0..1000).map(|number| make(&sources, number)).collect();
        let mut number = 0;
        kept.retain(|_| {
            number += 1;
            number % 3 == 0
        });
        let (mut walk, mut seen, mut steps) = (Walk::default(), Vec::new(), 0);
        while sources.step(&mut walk, |source| {
            seen.push(source.read().to_vec());
            true
        }) {
            // Sources come and go meanwhile.
            (0..30).for_each(|number| drop(make(&sources, number)));
            steps += 1;
        }
        assert_eq!(steps, kept.len() / STEP);
        assert!(kept.iter().all(|source| seen.contains(&source.read().to_vec())));
    }

    #[test]
    fn what_is_gone_leaves_nothing_behind() {
        let sources = Sources::default();
        let kept: Vec<_> = (0..100).map(|number| make(&sources, number)).collect();
        (0..10_000).for_each(|number| drop(make(&sources, number)));
        assert_eq!(sources.living.lock().sources.len(), kept.len());
        // The last to let go of a source may be a walk.
        let mut owner = Some(kept);
        sources.step(&mut Walk::default(), |_| owner.take().is_some());
        assert_eq!((sources.outside_bytes(), sources.arena.live_bytes()), (0, 0));
    }

    #[test]
    fn a_step_moves_no_more_than_it_may_and_none_is_left() {
        let sources = Sources::default();
        let text = |number: usize| vec![number as u8; number * 7919 % 120_000];
        let all: Vec<_> = (0..500).map(|number| sources.add(&text(number)).unwrap()).collect();
        for segment in sources.arena.segments() {
            assert!(sources.arena.begin_evacuation(segment.index));
        }
        let (mut walk, mut blocks, mut more) = (Walk::default(), 0, true);
        while more {
            let mut moved = Moved::default();
            more = sources.relocate_step(&mut walk, &mut moved).unwrap();
            assert!(moved.bytes < (STEP_BYTES + ebb_heap::LARGE_BYTES) as u64, "{moved:?}");
            blocks += moved.blocks;
        }
        assert_eq!((blocks, sources.arena.end_evacuation()), (500, 0));
        assert!(all.iter().enumerate().all(|(number, source)| source.is(&text(number))));
    }

    #[test]
    fn sources_move_unless_they_are_read() {
        let sources = Sources::default();
        let all: Vec<_> = (0..1000).map(|number| make(&sources, number)).collect();
        let held = all[7].read();
        for segment in sources.arena.segments() {
            assert!(sources.arena.begin_evacuation(segment.index));
        }
        let (mut walk, mut moved) = (Walk::default(), Moved::default());
        while sources.relocate_step(&mut walk, &mut moved).unwrap() {}
        sources.arena.end_evacuation();
        assert_eq!((moved.blocks, moved.pinned, moved.stayed), (999, 1, 0));
        assert!((0..1000).all(|number| all[number].is(format!("return {number}").as_bytes())));
        drop((held, all));
        assert_eq!(sources.arena.live_bytes(), 0);
    }
}
