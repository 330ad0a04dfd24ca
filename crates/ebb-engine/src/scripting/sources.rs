//! Sources of scripts, in blocks of the heap that can be moved.
//!
//! A script may outlive its place in the cache, since interpreters keep what they have compiled.
//! So all that live are known here, too: what holds a block can be found.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ebb_heap::{ArenaId, Block, OutOfMemory, Shared, watch};
use ebb_keyspace::defrag::Moved;
use parking_lot::{Mutex, RwLock};

use super::{ScriptFlags, Sha};

/// Scripts looked at in one step of a walk.
const STEP: usize = 64;

/// A script whose source compiles.
#[derive(Debug)]
pub struct Script {
    /// Its digest.
    pub sha: Sha,
    source: RwLock<Shared>,
    /// What its first line says of it; `None` if that line says nothing, and the rules from
    /// before Redis 7 hold.
    pub flags: Option<ScriptFlags>,
    /// When it was used, counted in uses of scripts.
    pub(super) last_use: AtomicU64,
    pub(super) is_forgotten: AtomicBool,
}

impl Script {
    /// The source as it was given. It stays in its place while this is held.
    pub fn source(&self) -> Shared {
        self.source.read().clone()
    }

    /// Whether this is its source.
    pub fn is(&self, source: &[u8]) -> bool {
        **self.source.read() == *source
    }

    /// Bytes of the source.
    pub(super) fn source_len(&self) -> usize {
        self.source.read().len()
    }

    /// The server has forgotten it: who kept it besides must ask again.
    pub fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Acquire)
    }

    pub(super) fn note_use(&self, number: u64) {
        self.last_use.store(number, Ordering::Relaxed);
    }

    /// Moves the source, if it should be and nobody reads it.
    fn relocate(&self, moved: &mut Moved) -> Result<(), OutOfMemory> {
        let mut source = self.source.write();
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

/// All scripts that live.
#[derive(Debug, Default)]
struct Living {
    scripts: Vec<Weak<Script>>,
    /// How often those that are gone were taken out, so that the others have other places.
    cleanings: u64,
}

/// Where a walk over all scripts stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Walk {
    at: usize,
    cleanings: u64,
}

/// The sources of all scripts.
#[derive(Debug)]
pub struct Sources {
    arena: ArenaId,
    living: Mutex<Living>,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources { arena: ArenaId::new(), living: Mutex::default() }
    }
}

impl Sources {
    /// A script that was never used.
    pub fn script(
        &self,
        sha: Sha,
        source: &[u8],
        flags: Option<ScriptFlags>,
    ) -> Result<Arc<Script>, OutOfMemory> {
        let source = RwLock::new(Shared::copy_from(self.arena, source)?);
        let (last_use, is_forgotten) = Default::default();
        let script = Arc::new(Script { sha, source, flags, last_use, is_forgotten });
        let mut living = self.living.lock();
        if living.scripts.len() == living.scripts.capacity() {
            living.scripts.retain(|script| script.strong_count() > 0);
            let len = living.scripts.len();
            living.scripts.shrink_to(len * 2);
            living.cleanings += 1;
        }
        living.scripts.push(Arc::downgrade(&script));
        Ok(script)
    }

    /// The arena of their blocks.
    pub(crate) fn arena(&self) -> ArenaId {
        self.arena
    }

    /// Bytes outside of the heap, those of the scripts themselves aside.
    pub(super) fn outside_bytes(&self) -> usize {
        self.living.lock().scripts.capacity() * size_of::<Weak<Script>>()
    }

    /// Visits some scripts; answers whether there are more. Who is there from the first step to
    /// the last is visited.
    fn step(&self, walk: &mut Walk, mut visit: impl FnMut(&Script)) -> bool {
        let living = self.living.lock();
        if walk.cleanings != living.cleanings {
            *walk = Walk { at: 0, cleanings: living.cleanings };
        }
        let here = living.scripts.iter().skip(walk.at).take(STEP);
        here.filter_map(Weak::upgrade).for_each(|script| visit(&script));
        walk.at += STEP;
        walk.at < living.scripts.len()
    }

    /// Moves some sources out of closed segments; answers whether there is more.
    pub(crate) fn relocate_step(
        &self,
        walk: &mut Walk,
        moved: &mut Moved,
    ) -> Result<bool, OutOfMemory> {
        let mut result = Ok(());
        let more = self.step(walk, |script| {
            if result.is_ok() {
                result = script.relocate(moved);
            }
        });
        result.map(|()| more)
    }

    /// Claims the blocks of some for the audit; answers whether there is more.
    pub(crate) fn claim_step(&self, walk: &mut Walk) -> bool {
        self.step(walk, |script| {
            watch::claim(script.source.read().block().compact());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(sources: &Sources, number: usize) -> Arc<Script> {
        let source = format!("return {number}");
        sources.script([b'0'; 40], source.as_bytes(), None).unwrap()
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
        loop {
            let more = sources.step(&mut walk, |script| seen.push(script.source().to_vec()));
            // Scripts come and go meanwhile, until the list is cleaned.
            (0..30).for_each(|number| drop(make(&sources, number)));
            steps += 1;
            if !more {
                break;
            }
        }
        assert!(steps > 5 && sources.living.lock().cleanings > 0);
        assert!(kept.iter().all(|script| seen.contains(&script.source().to_vec())));
        assert!(sources.living.lock().scripts.len() < 2000);
    }

    #[test]
    fn sources_move_unless_they_are_read() {
        let sources = Sources::default();
        let scripts: Vec<_> = (0..1000).map(|number| make(&sources, number)).collect();
        let held = scripts[7].source();
        for segment in sources.arena.segments() {
            assert!(sources.arena.begin_evacuation(segment.index));
        }
        let (mut walk, mut moved) = (Walk::default(), Moved::default());
        while sources.relocate_step(&mut walk, &mut moved).unwrap() {}
        sources.arena.end_evacuation();
        assert_eq!((moved.blocks, moved.pinned, moved.stayed), (999, 1, 0));
        assert!((0..1000).all(|number| scripts[number].is(format!("return {number}").as_bytes())));
        drop((held, scripts));
        assert_eq!(sources.arena.live_bytes(), 0);
    }
}
