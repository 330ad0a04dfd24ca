//! The gate: who locks several shards passes it first.
//!
//! A holder of the gate may wait for any shard in any order: whoever holds shards then got all
//! that it needs and waits for nothing. `docs/decisions/0003-script-locks.md` has the argument.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

/// How often those who wait look whether waiting has become pointless.
const PATIENCE: Duration = Duration::from_millis(20);

/// The gate of a keyspace.
#[derive(Debug, Default)]
pub struct Gate {
    mutex: Mutex<()>,
    busy: AtomicBool,
}

impl Gate {
    /// Passes, or gives up when somebody holds locks for long.
    pub fn pass(&self) -> Option<MutexGuard<'_, ()>> {
        self.wait(&self.mutex)
    }

    /// Says that the holder of locks will not let go of them soon, or that it will again. Those
    /// who wait give up.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Release);
    }

    /// Whether somebody holds locks for long.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn wait<'m, T>(&self, mutex: &'m Mutex<T>) -> Option<MutexGuard<'m, T>> {
        mutex.try_lock().or_else(|| self.wait_long(mutex))
    }

    #[cold]
    fn wait_long<'m, T>(&self, mutex: &'m Mutex<T>) -> Option<MutexGuard<'m, T>> {
        while !self.is_busy() {
            if let Some(guard) = mutex.try_lock_for(PATIENCE) {
                return Some(guard);
            }
        }
        mutex.try_lock()
    }
}
