//! What active defragmentation does and has done, for INFO and MEMORY DEFRAG STATUS. The work
//! itself is the keyspace's; the server's maintenance drives it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ebb_heap::ArenaId;
use ebb_keyspace::defrag::Outcome;
use parking_lot::Mutex;

use crate::Server;

/// Where defragmentation stands, as a whole or in one shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// There is nothing to do.
    #[default]
    Idle,
    /// Sparse segments are being chosen and closed.
    Scanning,
    /// Blocks are being moved.
    Moving,
    /// The shard is finished in this pass.
    Done,
}

impl State {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Scanning => "scanning",
            State::Moving => "moving",
            State::Done => "done",
        }
    }
}

/// What is known of one shard.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShardState {
    /// Where it stands in the pass that runs.
    pub state: State,
    /// Bytes moved since the start.
    pub moved_bytes: u64,
    /// Blocks moved since the start.
    pub moved_blocks: u64,
}

/// The whole picture, renewed between slices.
#[derive(Debug, Clone, Default)]
pub struct Detail {
    /// Where the work stands.
    pub state: State,
    /// Why it began or ended.
    pub reason: &'static str,
    /// Each shard.
    pub shards: Vec<ShardState>,
    /// Passes since the start.
    pub passes: u64,
    /// Segments released by moving since the start.
    pub released: u64,
    /// The last pass that has ended.
    pub last: Outcome,
    /// Milliseconds until the next attempt, after one that gained too little.
    pub retry_ms: u64,
}

/// Counters and state of active defragmentation.
#[derive(Debug, Default)]
pub struct Defrag {
    /// The share of a processor it uses now, in percent; 0 if it rests.
    pub running: AtomicU64,
    /// Blocks moved.
    pub hits: AtomicU64,
    /// Blocks looked at that stayed.
    pub misses: AtomicU64,
    /// Keys of which something was moved.
    pub key_hits: AtomicU64,
    /// Keys of which nothing was.
    pub key_misses: AtomicU64,
    /// The process holds more than it may: a cycle is to begin whatever the thresholds say.
    pub wanted: AtomicBool,
    /// Milliseconds in cycles, pauses included.
    pub total_ms: AtomicU64,
    /// Milliseconds since the cycle that runs began; 0 if none runs.
    pub current_ms: AtomicU64,
    /// The rest.
    pub detail: Mutex<Detail>,
}

impl Defrag {
    /// Milliseconds in cycles, the one that runs included.
    pub fn total_ms(&self) -> u64 {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        read(&self.total_ms) + read(&self.current_ms)
    }
}

impl Server {
    /// Every arena of the heap: those of the shards, those into which workers read values, and
    /// those of what is not data.
    pub fn all_arenas(&self) -> Vec<ArenaId> {
        let shards = self.keyspace.arenas().iter().flat_map(|&(data, index)| [data, index]);
        let shards = shards.chain(self.keyspace.partition_arenas());
        let workers = self.workers.iter().map(|worker| worker.arena);
        shards.chain(workers).chain(self.arenas_beside()).collect()
    }
}
