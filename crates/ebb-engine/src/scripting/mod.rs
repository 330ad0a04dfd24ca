//! What the engine knows of scripts and functions: their sources, which of them runs, and how
//! they call commands. The language itself is not here: a host above runs it.

mod cache;
mod libraries;
mod nested;
mod running;
mod sources;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::server::Server;
use crate::spec::bits;

pub use cache::{EVALUATED_MAX, Script, ScriptCache, Sha};
pub use libraries::{Function, Libraries, Library};
pub use nested::Rules;
pub use running::{Interruption, KillError, Running};
pub(crate) use sources::Walk as SourceWalk;
pub use sources::{Source, Sources};

bits! {
    /// What a script or a function says of itself; the words are those of its first line.
    ScriptFlags: u8 {
        /// Changes no data.
        NO_WRITES = "no-writes",
        /// May run while memory is at its limit.
        ALLOW_OOM = "allow-oom",
        /// May run on a replica with stale data.
        ALLOW_STALE = "allow-stale",
        /// Not in cluster mode.
        NO_CLUSTER = "no-cluster",
        /// May touch keys of several slots.
        ALLOW_CROSS_SLOT_KEYS = "allow-cross-slot-keys",
    }
}

/// Serves the connections of a worker while one of its commands takes long.
pub trait Attendant {
    /// Serves those that are ready, without waiting. Commands other than those that are
    /// allowed beside a long script are answered with an error.
    fn attend(&mut self);
}

/// For callers that have no connections.
impl Attendant for () {
    fn attend(&mut self) {}
}

/// Bytes that the interpreters of a worker hold, as measured after their last use.
#[derive(Debug, Default)]
pub struct VmBytes {
    /// Of scripts.
    pub scripts: AtomicUsize,
    /// Of functions.
    pub functions: AtomicUsize,
}

/// The scripts and functions of a server.
pub struct Scripting {
    /// Where the sources of scripts are.
    pub script_sources: Sources,
    /// Where those of libraries are.
    pub library_sources: Sources,
    /// Scripts by digest.
    pub cache: Mutex<ScriptCache>,
    /// Libraries of functions.
    pub libraries: Mutex<Libraries>,
    /// Scripts may call commands that are not for scripts (DEBUG).
    pub allow_all: AtomicBool,
    /// By worker.
    pub vm_bytes: Box<[VmBytes]>,
    /// Uses of scripts so far.
    uses: AtomicU64,
    /// Counts up when all scripts are forgotten.
    flushes: AtomicU64,
    running: running::Slot,
}

impl Scripting {
    pub(crate) fn new(workers: usize) -> Scripting {
        Scripting {
            script_sources: Sources::default(),
            library_sources: Sources::default(),
            cache: Mutex::default(),
            libraries: Mutex::default(),
            allow_all: AtomicBool::new(false),
            vm_bytes: (0..workers).map(|_| VmBytes::default()).collect(),
            uses: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            running: running::Slot::default(),
        }
    }

    /// A script is about to run: it will be forgotten after those that ran before.
    pub fn note_use(&self, script: &Script) {
        script.note_use(self.uses.fetch_add(1, Ordering::Relaxed) + 1);
    }

    /// Forgets all scripts.
    pub fn flush_scripts(&self) {
        self.cache.lock().flush();
        self.flushes.fetch_add(1, Ordering::Release);
    }

    /// How often all scripts were forgotten.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// Bytes of scripts, those included that only interpreters still have: of their sources, in
    /// the heap, and what is outside of it.
    pub fn script_bytes(&self) -> (usize, usize) {
        let outside = self.cache.lock().overhead() + self.script_sources.outside_bytes();
        (self.script_sources.arena().live_bytes(), outside)
    }

    /// Bytes of libraries: of their sources, in the heap, and what is outside of it.
    pub fn library_bytes(&self) -> (usize, usize) {
        let outside = self.libraries.lock().overhead() + self.library_sources.outside_bytes();
        (self.library_sources.arena().live_bytes(), outside)
    }

    /// Bytes of all interpreters: those of scripts, and those of functions.
    pub fn vm_bytes(&self) -> (usize, usize) {
        let read = |bytes: &AtomicUsize| bytes.load(Ordering::Relaxed);
        self.vm_bytes.iter().fold((0, 0), |(scripts, functions), worker| {
            (scripts + read(&worker.scripts), functions + read(&worker.functions))
        })
    }
}

impl Server {
    /// Whether a script has run for so long that others are told so.
    pub fn is_busy(&self) -> bool {
        self.keyspace.gate.is_busy()
    }
}
