//! jemalloc, for everything but keys and values, with short decay.

use std::sync::atomic::Ordering;

use ebb_engine::server::AllocatorFigures;
use ebb_server::Allocator;
use tikv_jemalloc_ctl::{epoch, stats};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static GLOBAL: Jemalloc = Jemalloc;

pub(crate) const ALLOCATOR: Allocator = Allocator { refresh, purge, report };

fn refresh(figures: &AllocatorFigures) {
    // Statistics are cached until the epoch advances. Reading cannot fail in a build that
    // has them, and figures that are a little old do no harm.
    let _ = epoch::advance();
    let read = |value: Result<usize, _>| value.unwrap_or(0);
    figures.allocated.store(read(stats::allocated::read()), Ordering::Relaxed);
    figures.active.store(read(stats::active::read()), Ordering::Relaxed);
    figures.resident.store(read(stats::resident::read()), Ordering::Relaxed);
}

/// Read by jemalloc when it starts: few arenas, and free pages go back within a second, by
/// themselves.
#[unsafe(export_name = "_rjem_malloc_conf")]
static CONFIGURATION: &[u8; 70] =
    b"narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true\0";

/// Purges the pages of all arenas that are free.
fn purge() {
    // `MALLCTL_ARENAS_ALL` is 4096.
    // SAFETY: "purge" takes and gives no value.
    unsafe {
        tikv_jemalloc_sys::mallctl(
            c"arena.4096.purge".as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        );
    }
}

/// jemalloc's own report.
fn report() -> String {
    let mut text = Vec::new();
    let options = tikv_jemalloc_ctl::stats_print::Options::default();
    match tikv_jemalloc_ctl::stats_print::stats_print(&mut text, options) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("jemalloc cannot report: {error}"),
    }
}
