//! What is in the heap and is no data: subscriptions, and sources of scripts.
//!
//! It belongs to no shard. Defragmentation and the audit go over it after the keyspace, in steps
//! of some 10 to 100 us, each under a lock of its own.

use ebb_heap::{ArenaId, OutOfMemory};
use ebb_keyspace::defrag::Moved;

use crate::scripting::SourceWalk;
use crate::{Server, pubsub};

/// Where a walk stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Walk {
    subscriptions: pubsub::Sweep,
    are_subscriptions_done: bool,
    sources: SourceWalk,
}

impl Server {
    /// The arenas of all of it.
    pub(crate) fn arenas_beside(&self) -> impl Iterator<Item = ArenaId> {
        self.pubsub.arenas().into_iter().chain([self.scripting.sources.arena()])
    }

    /// Moves blocks out of closed segments; answers whether there is more.
    pub fn relocate_beside(&self, walk: &mut Walk, moved: &mut Moved) -> Result<bool, OutOfMemory> {
        if walk.are_subscriptions_done {
            return self.scripting.sources.relocate_step(&mut walk.sources, moved);
        }
        walk.are_subscriptions_done = !self.pubsub.relocate_step(&mut walk.subscriptions, moved)?;
        Ok(true)
    }

    /// Claims blocks for the audit; answers whether there is more.
    pub(crate) fn claim_beside(&self, walk: &mut Walk) -> bool {
        if walk.are_subscriptions_done {
            return self.scripting.sources.claim_step(&mut walk.sources);
        }
        walk.are_subscriptions_done = !self.pubsub.claim_step(&mut walk.subscriptions);
        true
    }
}
