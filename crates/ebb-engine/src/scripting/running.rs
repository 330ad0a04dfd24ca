//! The script that runs: there is never more than one, because it holds the gate or the only
//! shard. Others see how long it has run, and ask it to stop. Most scripts end before anybody could
//! ask: one is noted here only when it looks around for the first time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::Scripting;
use crate::server::Server;

/// A script that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// The digest of a script, or the name of a function.
    pub name: String,
    /// Whether it is a function.
    pub is_function: bool,
    /// The arguments of its command.
    pub command: Vec<Vec<u8>>,
    /// When it began.
    pub began: Instant,
    /// Whether it called a command that writes.
    pub wrote: bool,
}

/// Where the script that runs is noted.
#[derive(Debug, Default)]
pub(super) struct Slot {
    running: Mutex<Option<Running>>,
    killed: AtomicBool,
}

/// Why a script cannot be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillError {
    /// None runs.
    NotBusy,
    /// It has changed data.
    Unkillable,
    /// It is a function, or a script, and the other was meant.
    OtherKind,
}

/// What a script that is asked to look around finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Nothing.
    None,
    /// It has run for long: other clients must be served meanwhile.
    Long,
    /// It is to stop.
    Killed,
}

impl Scripting {
    /// A copy of what is known of the script that runs.
    pub fn running(&self) -> Option<Running> {
        self.running.running.lock().clone()
    }

    /// The script that runs is about to change data: said of it if it was noted before.
    pub fn note_write(&self) {
        if let Some(running) = &mut *self.running.running.lock() {
            running.wrote = true;
        }
    }

    /// What other clients are answered.
    pub fn busy_text(&self) -> &'static str {
        let running = self.running.running.lock();
        if running.as_ref().is_some_and(|running| running.is_function) {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        } else {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        }
    }
}

impl Server {
    /// A script runs for so long that others may ask for it.
    pub fn note_script(&self, running: Running) {
        let mut slot = self.scripting.running.running.lock();
        self.scripting.running.killed.store(false, Ordering::Relaxed);
        *slot = Some(running);
    }

    /// A script that was noted has ended.
    pub fn end_script(&self) {
        *self.scripting.running.running.lock() = None;
        if self.keyspace.gate.is_busy() {
            self.keyspace.gate.set_busy(false);
        }
    }

    /// Asks the script, or the function, that runs to stop.
    pub fn kill_script(&self, function: bool) -> Result<(), KillError> {
        let slot = &self.scripting.running;
        let running = slot.running.lock();
        let Some(running) = running.as_ref() else { return Err(KillError::NotBusy) };
        if running.wrote {
            return Err(KillError::Unkillable);
        }
        if running.is_function != function {
            return Err(KillError::OtherKind);
        }
        slot.killed.store(true, Ordering::Release);
        Ok(())
    }

    /// The script that runs looks around, every now and then.
    pub fn interrupt_script(&self, began: Instant) -> Interruption {
        if self.scripting.running.killed.load(Ordering::Acquire) || self.is_stopping() {
            return Interruption::Killed;
        }
        if !self.keyspace.gate.is_busy() {
            let limit_ms = self.config.get(ebb_config::id::BUSY_REPLY_THRESHOLD);
            if limit_ms == 0 || (began.elapsed().as_millis() as u64) < limit_ms {
                return Interruption::None;
            }
            tracing::warn!(
                "Slow script detected: still in execution after {} milliseconds. You can try \
                 killing the script using the {} KILL command.",
                began.elapsed().as_millis(),
                if self.scripting.running().is_some_and(|r| r.is_function) {
                    "FUNCTION"
                } else {
                    "SCRIPT"
                },
            );
            self.keyspace.gate.set_busy(true);
        }
        Interruption::Long
    }
}
