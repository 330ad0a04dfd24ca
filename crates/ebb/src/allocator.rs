//! jemalloc, for everything but keys and values, with short decay.
//!
//! Rust ends the process when a small allocation fails. So some address space is held in reserve, and
//! given up when the operating system has no more: what is small finds room there. Who needs much
//! asks in a way that may be refused.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicPtr, Ordering};

use ebb_engine::server::AllocatorFigures;
use ebb_heap::starvation;
use ebb_server::Allocator;
use tikv_jemalloc_ctl::{epoch, stats};
use tikv_jemalloc_sys::{MALLOCX_ARENA, MALLOCX_TCACHE_NONE, MALLOCX_ZERO};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static GLOBAL: WithReserve = WithReserve;

pub(crate) const ALLOCATOR: Allocator = Allocator { refresh, purge, report };

/// Bytes of address space in reserve. They are never written, and so never in memory.
const RESERVE_BYTES: usize = 32 << 20;
/// Only allocations up to this many bytes may use the reserve up.
const SMALL_MAX: usize = 8 << 20;
/// Arenas of jemalloc, as configured below, and its own one for what is large.
const ARENAS: usize = 5;

/// Where the reserve is; null while it is used up. An odd address says that it is jemalloc's.
static RESERVE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

const RESERVE_LAYOUT: Layout = match Layout::from_size_align(RESERVE_BYTES, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("no layout"),
};

/// jemalloc with a reserve for small allocations.
struct WithReserve;

// SAFETY: all calls are jemalloc's, with the arguments that came; a call that has failed is made again.
unsafe impl GlobalAlloc for WithReserve {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that jemalloc asks for.
        let block = unsafe { Jemalloc.alloc(layout) };
        if block.is_null() { try_again(layout, 0) } else { block }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { Jemalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { Jemalloc.alloc_zeroed(layout) };
        if block.is_null() { try_again(layout, MALLOCX_ZERO) } else { block }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { Jemalloc.realloc(block, layout, size) };
        // SAFETY: a call that has failed has left the block as it was.
        if moved.is_null() { unsafe { move_again(block, layout, size) } } else { moved }
    }
}

/// An allocation has failed in the thread's arena: another one may have room. If none has, what is small
/// gets the reserve.
#[cold]
fn try_again(layout: Layout, flags: i32) -> *mut u8 {
    let block = in_any_arena(layout, flags);
    if !block.is_null() || layout.size() > SMALL_MAX {
        return block;
    }
    starvation::set_starved(true);
    release(RESERVE.swap(std::ptr::null_mut(), Ordering::AcqRel));
    in_any_arena(layout, flags)
}

/// Pages that an arena has had it keeps for a second: so each of them is asked.
fn in_any_arena(layout: Layout, flags: i32) -> *mut u8 {
    let align = layout.align().trailing_zeros() as i32;
    let tries = (0..ARENAS).map(|arena| {
        let flags = align | MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE | flags;
        // SAFETY: the size is not 0, as the allocator's caller promised, and the flags are valid.
        unsafe { tikv_jemalloc_sys::mallocx(layout.size(), flags) }.cast::<u8>()
    });
    tries.into_iter().find(|block| !block.is_null()).unwrap_or(std::ptr::null_mut())
}

/// The same for a block that changes its size.
///
/// # Safety
/// The block has this layout, and the size is not 0.
#[cold]
unsafe fn move_again(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    let Ok(larger) = Layout::from_size_align(size, layout.align()) else {
        return std::ptr::null_mut();
    };
    let moved = try_again(larger, 0);
    if !moved.is_null() {
        // SAFETY: both have at least so many bytes, and do not overlap; the old one is done with.
        unsafe {
            std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
            Jemalloc.dealloc(block, layout);
        }
    }
    moved
}

/// Gives a reserve up.
fn release(reserve: *mut u8) {
    let is_of_jemalloc = reserve.addr() & 1 == 1;
    // SAFETY: whoever takes the reserve out of RESERVE owns it. It was made in `take_reserve`.
    unsafe {
        if is_of_jemalloc {
            Jemalloc.dealloc(reserve.sub(1), RESERVE_LAYOUT);
        } else if !reserve.is_null() {
            libc::munmap(reserve.cast(), RESERVE_BYTES);
        }
    }
}

/// Takes the reserve again if there is none: from the operating system, or else from what jemalloc
/// has and does not use.
fn take_reserve() {
    if !RESERVE.load(Ordering::Acquire).is_null() {
        return;
    }
    // SAFETY: a new mapping anywhere concerns no other memory; the layout is not empty. Both count as
    // if they were written.
    let reserve = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let mapped = libc::mmap(std::ptr::null_mut(), RESERVE_BYTES, protection, flags, -1, 0);
        if mapped != libc::MAP_FAILED {
            mapped.cast()
        } else {
            // Free pages that are still to be given back are in the way of a large block.
            purge();
            let block = Jemalloc.alloc(RESERVE_LAYOUT);
            if block.is_null() { block } else { block.add(1) }
        }
    };
    if !reserve.is_null() {
        RESERVE.store(reserve, Ordering::Release);
        starvation::set_starved(false);
    }
}

/// Called before any other thread begins. The C library has an allocator of its own, which almost nobody uses:
/// it shall not take 64 MB of addresses for each thread.
pub(crate) fn prepare() {
    // SAFETY: it sets a number.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    take_reserve();
}

fn refresh(figures: &AllocatorFigures) {
    take_reserve();
    // Statistics are cached until the epoch advances. Reading cannot fail in a build that
    // has them, and figures that are a little old do no harm.
    let _ = epoch::advance();
    let read = |value: Result<usize, _>| value.unwrap_or(0);
    figures.allocated.store(read(stats::allocated::read()), Ordering::Relaxed);
    figures.active.store(read(stats::active::read()), Ordering::Relaxed);
    figures.resident.store(read(stats::resident::read()), Ordering::Relaxed);
    figures.metadata.store(read(stats::metadata::read()), Ordering::Relaxed);
    figures.cached.store(cached(), Ordering::Relaxed);
}

/// Bytes that were freed and are kept by threads for what they allocate next.
fn cached() -> usize {
    // `MALLCTL_ARENAS_ALL` is 4096.
    // SAFETY: the value is a `size_t`.
    unsafe { tikv_jemalloc_ctl::raw::read(b"stats.arenas.4096.tcache_bytes\0") }.unwrap_or(0)
}

/// Read by jemalloc when it starts: few arenas, and free pages go back within a second, by
/// themselves, with their addresses.
#[unsafe(export_name = "_rjem_malloc_conf")]
static CONFIGURATION: &[u8; 83] =
    b"narenas:4,retain:false,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true\0";

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
