//! Collections that nobody can reach any more and that take long to free.
//!
//! Whatever deletes a key drops its entry. A small collection is freed right there; a large
//! one waits here until the maintenance thread, or whoever needs memory, frees it in steps. So
//! no command, whichever way it deletes, is slow because of what it deletes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_collections::Collection;
use parking_lot::Mutex;

/// A collection of so many elements is freed at once.
const AT_ONCE_MAX: usize = 64;

static WAITING: Mutex<VecDeque<Box<Collection>>> = Mutex::new(VecDeque::new());
/// Collections that wait or are being freed.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Frees a collection, at once or later.
pub(crate) fn discard(collection: Box<Collection>) {
    if collection.len() > AT_ONCE_MAX {
        COUNT.fetch_add(1, Ordering::Relaxed);
        WAITING.lock().push_back(collection);
    }
}

/// Collections waiting to be freed.
pub fn pending() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Frees some elements of one that waits; answers whether there was one.
pub fn step() -> bool {
    if pending() == 0 {
        return false;
    }
    let Some(mut collection) = WAITING.lock().pop_front() else { return false };
    if collection.free_step() {
        WAITING.lock().push_front(collection);
    } else {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
    true
}
