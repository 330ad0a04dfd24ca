//! The system's allocator, for builds under a sanitizer, which must see every allocation. jemalloc is not even asked
//! for its figures: a question alone would start it, beside what the sanitizer watches.

use ebb_server::Allocator;

/// There is nothing to prepare.
pub(crate) fn prepare() {}

pub(crate) const ALLOCATOR: Allocator = Allocator {
    refresh: |_| (),
    purge: || (),
    report: || "The system's allocator has no report.".to_owned(),
};
