//! Where interpreters have their memory from: the global allocator, and where that has none, Lua is
//! told so and raises `not enough memory`. mlua's own function would end the process.
//!
//! mlua notices that the function is not its own, and from then on guards each of its calls
//! against Lua's errors, as it must where memory may run out.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::Cell;
use std::ffi::c_void;

use ebb_heap::starvation;
use mlua::{Lua, ffi};

/// The alignment of all blocks; mlua's function uses the same.
const ALIGN: usize = ffi::SYS_MIN_ALIGN;

/// What an interpreter had for an allocator when it was made.
pub(crate) struct Original {
    function: ffi::lua_Alloc,
    data: *mut c_void,
}

/// While memory is short, an interpreter gets nothing larger than a function of the host: mlua does not
/// guard the making of those.
const GRANTED_MAX: usize = 40;
/// And no more of that than this at a time of shortage.
const GRANTS_BYTES: usize = 8 << 20;

thread_local! {
    static GRANTED: Cell<usize> = const { Cell::new(0) };
}

/// Memory is short: whether an interpreter may have so many bytes.
#[cold]
fn is_granted(bytes: usize) -> bool {
    let granted = GRANTED.get() + bytes;
    let is_granted = bytes <= GRANTED_MAX && granted <= GRANTS_BYTES;
    if is_granted {
        GRANTED.set(granted);
    }
    is_granted
}

/// After a script: its garbage goes at once while memory is short, and then it is not so any more.
pub(crate) fn recover(lua: &Lua) {
    if starvation::is_starved() || GRANTED.get() > 0 {
        GRANTED.set(0);
        // It fails only if a finalizer does, and there is none.
        let _ = lua.gc_collect();
    }
}

/// Gives an interpreter an allocator that may fail.
pub(crate) fn make_fallible(lua: &Lua) -> mlua::Result<Original> {
    let mut data = std::ptr::null_mut();
    let mut function = None;
    // SAFETY: the function keeps Lua's contract for allocators, and frees what the one before it has
    // allocated: both take blocks from the global allocator, with the same layouts.
    unsafe {
        lua.exec_raw::<()>((), |state| {
            function = Some(ffi::lua_getallocf(state, &mut data));
            ffi::lua_setallocf(state, allocate, std::ptr::null_mut());
        })?;
    }
    match function {
        Some(function) => Ok(Original { function, data }),
        None => Err(mlua::Error::runtime("the interpreter has no allocator")),
    }
}

/// Gives it its own allocator back, so that mlua finds what belongs to it when the interpreter ends.
pub(crate) fn restore(lua: &Lua, original: &Original) {
    // SAFETY: as above, the other way round; the data is the interpreter's, which still lives.
    // Without memory for this call, mlua forgets some bytes that it could have freed.
    let _ = unsafe {
        lua.exec_raw::<()>((), |state| {
            ffi::lua_setallocf(state, original.function, original.data);
        })
    };
}

/// Lua's contract: no block stands for size 0, and a null pointer says that there is no memory.
unsafe extern "C" fn allocate(
    _data: *mut c_void,
    block: *mut c_void,
    old: usize,
    new: usize,
) -> *mut c_void {
    let layout = |size| Layout::from_size_align(size, ALIGN);
    let null = std::ptr::null_mut();
    let (Ok(old_layout), Ok(new_layout)) = (layout(old), layout(new)) else { return null };
    if new == 0 {
        if !block.is_null() {
            // SAFETY: Lua gives back a block with the size that it asked for.
            unsafe { dealloc(block.cast(), old_layout) };
        }
        return null;
    }
    if new > old && starvation::is_starved() && !is_granted(new) {
        return null;
    }
    if block.is_null() {
        // SAFETY: the size is not 0.
        return unsafe { alloc(new_layout) }.cast();
    }
    // SAFETY: both of the above; the new size is within bounds, because it makes a layout.
    unsafe { realloc(block.cast(), old_layout, new) }.cast()
}
