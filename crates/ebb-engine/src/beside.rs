//! What is in the heap and is no data: subscriptions, keys that clients keep copies of, and sources
//! of scripts and of libraries.
//!
//! It belongs to no shard. Defragmentation and the audit go over it after the keyspace, in steps
//! of some 10 to 100 us, each under a lock of its own: as many blocks as one segment of a table names,
//! or some sources, but no more than a step may move.

use ebb_heap::{ArenaId, Block, OutOfMemory};
use ebb_keyspace::defrag::Moved;

use crate::scripting::{SourceWalk, Sources};
use crate::{Server, pubsub, tracking};

/// Where a walk stands: one of these, and then the next.
#[derive(Debug, Clone, Copy)]
enum Place {
    Subscriptions(pubsub::Sweep),
    Tracking(tracking::Sweep),
    Scripts(SourceWalk),
    Libraries(SourceWalk),
}

/// A walk over all of it.
#[derive(Debug, Clone, Copy)]
pub struct Walk(Place);

impl Default for Walk {
    fn default() -> Walk {
        Walk(Place::Subscriptions(pubsub::Sweep::default()))
    }
}

impl Walk {
    /// After a step, which said whether there is more in this place; answers whether there is
    /// more at all.
    fn go_on(&mut self, more: bool) -> bool {
        match self.0 {
            _ if more => {}
            Place::Subscriptions(_) => self.0 = Place::Tracking(Default::default()),
            Place::Tracking(_) => self.0 = Place::Scripts(Default::default()),
            Place::Scripts(_) => self.0 = Place::Libraries(Default::default()),
            Place::Libraries(_) => return false,
        }
        true
    }
}

impl Server {
    /// The arenas of all of it.
    pub(crate) fn arenas_beside(&self) -> impl Iterator<Item = ArenaId> {
        let tables = [self.pubsub.arenas(), self.tracking.arenas()];
        let sources = [&self.scripting.script_sources, &self.scripting.library_sources];
        tables.into_iter().flatten().chain(sources.map(Sources::arena))
    }

    /// Moves blocks out of closed segments; answers whether there is more.
    pub fn relocate_beside(&self, walk: &mut Walk, moved: &mut Moved) -> Result<bool, OutOfMemory> {
        let should = Block::should_move;
        let more = match &mut walk.0 {
            Place::Subscriptions(sweep) => {
                self.pubsub.step(sweep, |names, position| names.relocate(position, should, moved))
            }
            Place::Tracking(sweep) => {
                self.tracking.step(sweep, |keys, position| keys.relocate(position, should, moved))
            }
            Place::Scripts(walk) => self.scripting.script_sources.relocate_step(walk, moved),
            Place::Libraries(walk) => self.scripting.library_sources.relocate_step(walk, moved),
        }?;
        Ok(walk.go_on(more))
    }

    /// Claims blocks for the audit; answers whether there is more.
    pub(crate) fn claim_beside(&self, walk: &mut Walk) -> bool {
        let Ok(more) = match &mut walk.0 {
            Place::Subscriptions(sweep) => self.pubsub.step(sweep, |names, at| names.claim(at)),
            Place::Tracking(sweep) => self.tracking.step(sweep, |keys, at| keys.claim(at)),
            Place::Scripts(walk) => Ok(self.scripting.script_sources.claim_step(walk)),
            Place::Libraries(walk) => Ok(self.scripting.library_sources.claim_step(walk)),
        };
        walk.go_on(more)
    }
}
