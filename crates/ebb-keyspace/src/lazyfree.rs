//! Values that nobody can reach any more and that take long to free.
//!
//! Whatever deletes a key drops its entry. A small value is freed right there. What becomes of a
//! large one is the [`Choice`] of who deletes it, which the directives `lazyfree-lazy-*` make:
//! either it is freed at once, for at most [`AT_ONCE`], or it waits here until the maintenance
//! thread, or whoever needs memory, frees it in steps. What of it is left after that time waits,
//! too: no command, whichever way it deletes, is slow because of what it deletes.
//!
//! Tables of blocks that are no data (see [`discard_tables`]) always wait here, unless they are
//! small.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ebb_collections::Collection;
use ebb_heap::Shared;
use ebb_table::{BlockDrain, Blocks};
use parking_lot::Mutex;

/// A collection of so many elements is small.
const SMALL_MAX: usize = 64;
/// So is a string of so many bytes. The kernel takes some 50 us for each megabyte it gets back.
const SMALL_BYTES_MAX: usize = 4 << 20;
/// A thread frees large values at once for so long ...
pub const AT_ONCE: Duration = Duration::from_micros(200);
/// ... in so long: a pipeline of deletions is no reason to keep others waiting either.
const WINDOW: Duration = Duration::from_millis(1);

/// How a thread frees large values for the time being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As `lazyfree-lazy-server-del` says.
    Default,
    AtOnce,
    Later,
    /// Later, as parts of what has waited and was counted before.
    Part,
}

thread_local! {
    static WAY: Cell<Way> = const { Cell::new(Way::Default) };
    /// When the window began, and what was spent in it.
    static SPENT: Cell<(Option<Instant>, Duration)> = const { Cell::new((None, Duration::ZERO)) };
}

/// Whether values wait that are deleted for reasons that no [`Choice`] was made for.
static DEFAULT_IS_LATER: AtomicBool = AtomicBool::new(false);

/// Sets how values are freed where no [`Choice`] is made: later, or at once.
pub fn set_default(later: bool) {
    DEFAULT_IS_LATER.store(later, Ordering::Relaxed);
}

/// How this thread frees large values while it lives.
pub struct Choice {
    before: Way,
}

impl Choice {
    /// Later, or at once.
    pub fn new(later: bool) -> Choice {
        Choice::of(if later { Way::Later } else { Way::AtOnce })
    }

    /// Later, as parts of what was counted already.
    pub(crate) fn part() -> Choice {
        Choice::of(Way::Part)
    }

    fn of(way: Way) -> Choice {
        Choice { before: WAY.replace(way) }
    }

    /// Changes one's mind.
    pub fn set(&self, later: bool) {
        WAY.set(if later { Way::Later } else { Way::AtOnce });
    }
}

impl Drop for Choice {
    fn drop(&mut self) {
        WAY.set(self.before);
    }
}

/// Whether values are to be freed at once.
fn is_at_once() -> bool {
    match WAY.get() {
        Way::Default => !DEFAULT_IS_LATER.load(Ordering::Relaxed),
        Way::AtOnce => true,
        Way::Later | Way::Part => false,
    }
}

/// Takes steps at once, if that is this thread's choice and as long as it may; answers whether
/// any are left. `step` answers that, too.
pub(crate) fn begin(mut step: impl FnMut() -> bool) -> bool {
    if !is_at_once() {
        return true;
    }
    let start = Instant::now();
    let (since, spent) = match SPENT.get() {
        (Some(since), spent) if start - since < WINDOW => (since, spent),
        _ => (start, Duration::ZERO),
    };
    let mut more = true;
    let mut is_allowed = spent < AT_ONCE;
    while more && is_allowed {
        more = step();
        is_allowed = spent + start.elapsed() < AT_ONCE;
    }
    SPENT.set((Some(since), spent + start.elapsed()));
    more
}

enum Value {
    Collection(Box<Collection>),
    String(Shared),
    /// Tables of blocks that are no data; each is empty before the one ahead of it is begun.
    Tables(Vec<BlockDrain>),
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Value::Collection(collection) => {
                let footprint = collection.footprint();
                footprint.data + footprint.index + footprint.outside
            }
            Value::String(shared) => shared.heap_bytes(),
            // They count against no limit. So who looks for room finds none in them.
            Value::Tables(_) => 0,
        }
    }

    /// Bytes that one step frees, about: what is left cannot be asked any more when freeing has
    /// begun.
    fn step_bytes(&self, bytes: usize) -> usize {
        /// A step frees a segment of a table, or a chunk.
        const ELEMENTS: usize = 200;
        match self {
            Value::Collection(collection) => bytes / (collection.len() / ELEMENTS + 1),
            Value::String(_) | Value::Tables(_) => bytes,
        }
    }

    /// Frees a part; answers whether something is left.
    fn free_step(&mut self) -> bool {
        match self {
            Value::Collection(collection) => collection.free_step(),
            Value::String(_) => false,
            Value::Tables(tables) => {
                if !tables.last_mut().is_some_and(BlockDrain::step) {
                    tables.pop();
                }
                !tables.is_empty()
            }
        }
    }
}

struct Waiting {
    value: Value,
    /// Bytes that it takes, as far as is known.
    bytes: usize,
    step_bytes: usize,
    /// It is part of something that is counted as a whole.
    is_part: bool,
}

impl Waiting {
    fn new(value: Value) -> Waiting {
        let bytes = value.bytes();
        let step_bytes = value.step_bytes(bytes);
        Waiting { value, bytes, step_bytes, is_part: WAY.get() == Way::Part }
    }

    /// Frees a part; answers whether something is left.
    fn step(&mut self) -> bool {
        let more = self.value.free_step();
        if more {
            self.bytes -= self.step_bytes.min(self.bytes);
        }
        more
    }
}

static WAITING: Mutex<VecDeque<Waiting>> = Mutex::new(VecDeque::new());
/// Values that wait or are being freed.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes of data that they take.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// Values that were freed after they had waited.
static FREED: AtomicU64 = AtomicU64::new(0);

/// Frees a collection, at once or later.
pub(crate) fn discard(collection: Box<Collection>) {
    if collection.len() <= SMALL_MAX {
        return;
    }
    let mut value = Waiting::new(Value::Collection(collection));
    if begin(|| value.step()) {
        leave(value);
    }
}

/// Gives up a reference to a string: if it was the last, it is freed at once or later.
pub(crate) fn discard_string(shared: Shared) {
    if shared.heap_bytes() > SMALL_BYTES_MAX && shared.reference_count() == 1 {
        leave(Waiting::new(Value::String(shared)));
    }
}

/// Empties tables of blocks that are no data, and so are in no database and count against no
/// limit. They wait as one value, whatever this thread's [`Choice`] is: who clears them may hold
/// locks that all others need.
pub fn discard_tables(tables: impl IntoIterator<Item = Blocks>) {
    let tables = tables.into_iter().filter(|table| !table.is_empty());
    let tables: Vec<BlockDrain> = tables.map(|mut table| table.drain()).collect();
    if tables.iter().map(BlockDrain::len).sum::<usize>() > SMALL_MAX {
        leave(Waiting::new(Value::Tables(tables)));
    }
}

fn leave(waiting: Waiting) {
    BYTES.fetch_add(waiting.bytes, Ordering::Relaxed);
    COUNT.fetch_add(1, Ordering::Relaxed);
    WAITING.lock().push_back(waiting);
}

/// Values, and keys of databases that were emptied, that have been freed after they had waited.
pub fn freed() -> u64 {
    FREED.load(Ordering::Relaxed)
}

/// Counts them from zero.
pub fn reset_freed() {
    FREED.store(0, Ordering::Relaxed);
}

pub(crate) fn count_freed(many: usize) {
    FREED.fetch_add(many as u64, Ordering::Relaxed);
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

/// Bytes of data that they take.
pub fn pending_bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// Frees some elements of one that waits; answers whether there was one.
pub fn step() -> bool {
    if pending() == 0 {
        return false;
    }
    let Some(mut waiting) = WAITING.lock().pop_front() else { return false };
    let before = waiting.bytes;
    if waiting.step() {
        BYTES.fetch_sub(before - waiting.bytes, Ordering::Relaxed);
        WAITING.lock().push_front(waiting);
    } else {
        // Who sees that nothing waits any more finds it counted.
        count_freed(usize::from(!waiting.is_part));
        drop(waiting);
        BYTES.fetch_sub(before, Ordering::Relaxed);
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many steps of some duration are taken at once.
    fn steps(many: usize, lasting: Duration) -> (usize, bool) {
        let mut taken = 0;
        let more = begin(|| {
            std::thread::sleep(lasting);
            taken += 1;
            taken < many
        });
        (taken, more)
    }

    #[test]
    fn at_once_is_for_a_short_time_only() {
        let _freeing = Choice::new(false);
        assert_eq!(steps(1, Duration::ZERO), (1, false));
        SPENT.set((None, Duration::ZERO));
        let (taken, more) = steps(1000, Duration::from_micros(50));
        assert!((1..=4).contains(&taken) && more, "{taken}");
        // What was spent counts until the window is over, which is later than any test ends.
        SPENT.set((Some(Instant::now() + Duration::from_secs(3600)), AT_ONCE));
        assert_eq!(steps(1, Duration::ZERO), (0, true));
        SPENT.set((Some(Instant::now() - WINDOW), AT_ONCE));
        assert_eq!(steps(1, Duration::ZERO), (1, false));
    }

    #[test]
    fn choices_are_nested() {
        let outer = Choice::new(true);
        assert_eq!(steps(1, Duration::ZERO), (0, true));
        SPENT.set((None, Duration::ZERO));
        let inner = Choice::new(false);
        assert_eq!(steps(1, Duration::ZERO), (1, false));
        inner.set(true);
        assert_eq!(steps(1, Duration::ZERO), (0, true));
        drop(inner);
        assert_eq!(steps(1, Duration::ZERO), (0, true));
        drop(outer);
        assert!(is_at_once());
    }
}
