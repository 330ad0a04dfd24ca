//! The script that runs in this thread, for the functions that it calls.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{from_mut, null_mut};

use crate::call::Invocation;

type Pointer = *mut Invocation<'static, 'static>;

thread_local! {
    /// Null if there is none, or while [`with`] has it.
    static RUNNING: Cell<Pointer> = const { Cell::new(null_mut()) };
    /// What a command of it panicked with.
    static PANIC: RefCell<Option<Box<dyn Any + Send>>> = const { RefCell::new(None) };
}

/// Puts back what was there before.
struct Restore(Pointer);

impl Drop for Restore {
    fn drop(&mut self) {
        RUNNING.set(self.0);
    }
}

/// Calls a function during which [`with`] finds this.
pub(super) fn during<R>(invocation: &mut Invocation<'_, '_>, f: impl FnOnce() -> R) -> R {
    // It is borrowed until this returns, and `with` lets nobody keep it.
    let _restore = Restore(RUNNING.replace(from_mut(invocation).cast()));
    f()
}

/// Calls a function with the script that runs. `None` without one.
pub(crate) fn with<R>(f: impl FnOnce(&mut Invocation<'_, '_>) -> R) -> Option<R> {
    let pointer = RUNNING.replace(null_mut());
    let restore = Restore(pointer);
    // SAFETY: `during` put the pointer there and has not returned, so that it is valid and nobody
    // else uses what it points to; an inner call of this function finds null. The function cannot
    // keep what is in it, because it does not know its lifetimes.
    let running = unsafe { pointer.as_mut() };
    let result = running.map(f);
    drop(restore);
    result
}

/// The same for a caller with frames of Lua above it, through which a panic must not pass: the panic
/// goes on when the script has ended. `Err` if there was one.
pub(super) fn with_caught<R>(
    f: impl FnOnce(&mut Invocation<'_, '_>) -> R,
) -> Result<Option<R>, ()> {
    catch_unwind(AssertUnwindSafe(|| with(f))).map_err(|panic| PANIC.set(Some(panic)))
}

/// Goes on with a panic of a command of the script that has ended.
pub(super) fn resume_panic() {
    if let Some(panic) = PANIC.take() {
        resume_unwind(panic);
    }
}
