//! Values that nobody can reach any more and that take long to free.
//!
//! Whatever deletes a key drops its entry. A small value is freed right there; a large one
//! waits here until the maintenance thread, or whoever needs memory, frees it in steps. So
//! no command, whichever way it deletes, is slow because of what it deletes: not DEL, not SET
//! over a large collection, not FLUSHALL SYNC. The directives `lazyfree-lazy-*`, by which Redis
//! chooses between waiting and not waiting, have nothing to choose from.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_collections::Collection;
use ebb_heap::Shared;
use parking_lot::Mutex;

/// A collection of so many elements is freed at once.
const AT_ONCE_MAX: usize = 64;
/// So is a string of so many bytes. The kernel takes some 50 us for each megabyte it gets back.
const BYTES_AT_ONCE_MAX: usize = 4 << 20;

enum Value {
    Collection(Box<Collection>),
    String(Shared),
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Value::Collection(collection) => {
                let footprint = collection.footprint();
                footprint.data + footprint.index + footprint.outside
            }
            Value::String(shared) => shared.heap_bytes(),
        }
    }

    /// Bytes that one step frees, about: what is left cannot be asked any more when freeing has
    /// begun.
    fn step_bytes(&self, bytes: usize) -> usize {
        /// A step frees a segment of a table, or a chunk.
        const ELEMENTS: usize = 200;
        match self {
            Value::Collection(collection) => bytes / (collection.len() / ELEMENTS + 1),
            Value::String(_) => bytes,
        }
    }

    /// Frees a part; answers whether something is left.
    fn free_step(&mut self) -> bool {
        match self {
            Value::Collection(collection) => collection.free_step(),
            Value::String(_) => false,
        }
    }
}

struct Waiting {
    value: Value,
    /// Bytes that it takes, as far as is known.
    bytes: usize,
    step_bytes: usize,
}

static WAITING: Mutex<VecDeque<Waiting>> = Mutex::new(VecDeque::new());
/// Values that wait or are being freed.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes that they take.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Frees a collection, at once or later.
pub(crate) fn discard(collection: Box<Collection>) {
    if collection.len() > AT_ONCE_MAX {
        leave(Value::Collection(collection));
    }
}

/// Gives up a reference to a string: if it was the last, it is freed at once or later.
pub(crate) fn discard_string(shared: Shared) {
    if shared.heap_bytes() > BYTES_AT_ONCE_MAX && shared.reference_count() == 1 {
        leave(Value::String(shared));
    }
}

fn leave(value: Value) {
    let bytes = value.bytes();
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    COUNT.fetch_add(1, Ordering::Relaxed);
    let step_bytes = value.step_bytes(bytes);
    WAITING.lock().push_back(Waiting { value, bytes, step_bytes });
}

/// The counters of what waits (values, bytes), and what is true, at a moment at which no value is
/// on its way; nothing if there was none.
pub fn check() -> Option<[(usize, usize); 2]> {
    let waiting = WAITING.lock();
    let bytes = waiting.iter().map(|one| one.bytes).sum();
    let found = [(pending(), waiting.len()), (pending_bytes(), bytes)];
    // Who leaves a value counts it first, who frees one discounts it last: only with one on its
    // way can more be counted than waits.
    (found[0].0 <= waiting.len()).then_some(found)
}

/// Values waiting to be freed.
pub fn pending() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Bytes that they take.
pub fn pending_bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// Frees some elements of one that waits; answers whether there was one.
pub fn step() -> bool {
    if pending() == 0 {
        return false;
    }
    let Some(mut waiting) = WAITING.lock().pop_front() else { return false };
    if waiting.value.free_step() {
        let freed = waiting.step_bytes.min(waiting.bytes);
        waiting.bytes -= freed;
        BYTES.fetch_sub(freed, Ordering::Relaxed);
        WAITING.lock().push_front(waiting);
    } else {
        let left = waiting.bytes;
        drop(waiting);
        BYTES.fetch_sub(left, Ordering::Relaxed);
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
    true
}
