//! What hashes begin with: numbers that no client knows, unless an operator has fixed them, so that
//! several servers have their keys in the same order.

use std::sync::OnceLock;

use rand::Rng;

static FIXED: OnceLock<[u64; 4]> = OnceLock::new();

/// Fixes the seeds of all tables. Those made before keep theirs, so it comes first of all.
pub fn fix(seeds: [u64; 4]) {
    // A second server in one process (tests) keeps the seeds of the first.
    let _ = FIXED.set(seeds);
}

/// A hasher's state with seeds from the operating system, or with those that were fixed.
pub fn state() -> ahash::RandomState {
    let drawn = || {
        let mut random = rand::rng();
        std::array::from_fn(|_| random.random())
    };
    let [a, b, c, d] = FIXED.get().copied().unwrap_or_else(drawn);
    ahash::RandomState::with_seeds(a, b, c, d)
}
