//! Whether the process is short of memory outside of the heap.
//!
//! The allocator says so while the reserve that it keeps for small allocations is used up. Who asks
//! for much on behalf of a client is refused then, so that what is left goes to the server itself.

use std::sync::atomic::{AtomicBool, Ordering};

static IS_STARVED: AtomicBool = AtomicBool::new(false);

/// What is no larger is given even then.
const SMALL_BYTES: usize = 64 << 10;

/// Says whether memory is short.
pub fn set_starved(is_starved: bool) {
    IS_STARVED.store(is_starved, Ordering::Relaxed);
}

/// Whether memory is short.
#[inline]
pub fn is_starved() -> bool {
    IS_STARVED.load(Ordering::Relaxed)
}

/// Whether something for a client may be so large now.
#[inline]
pub fn allows(bytes: usize) -> bool {
    bytes <= SMALL_BYTES || !is_starved()
}
