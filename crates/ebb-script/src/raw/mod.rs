//! Beneath mlua: running compiled code, and `redis.call`, through Lua's C interface.
//!
//! What a script does most often must not cost more than the command that it calls, and each value
//! that mlua's safe interface hands over costs a protected call or two. So the way from EVAL into
//! Lua, from there to a command, and back, is made here; all else is made with mlua.
//!
//! Lua's errors are `longjmp`s, which skip destructors. Three rules make that harmless:
//! - Functions that may raise an error (those that allocate within Lua, too) are called only by C
//!   functions of this module, which run in protected calls.
//! - While such a function is called, no frame of Rust between it and the protected call owns
//!   anything that needs to be dropped.
//! - Commands run in [`running::with`], which has returned before a reply becomes a value of Lua, and
//!   whose panics do not pass through frames of Lua ([`call`]).

mod call;
mod read;
mod running;
mod write;

use std::ffi::{c_int, c_void};

use mlua::{Function, Lua, Table, Value, ffi};

use crate::call::Invocation;

pub(crate) use call::add_functions;
pub(crate) use running::with;

type State = *mut ffi::lua_State;

/// The way into an interpreter. It holds for as long as the interpreter that it is made for.
pub(crate) struct Door {
    state: State,
    /// [`enter`], in the registry.
    enter: c_int,
    /// [`write::answer`], in the registry.
    answer: c_int,
    /// The handler of errors, in the registry.
    locate: c_int,
    /// The table whose first element is the result that mlua asks for, in the registry.
    result: c_int,
    result_table: Table,
}

/// What [`enter`] is to do: it gets a pointer to this.
struct Entry<'e> {
    /// The function's place in the table of compiled code.
    function: c_int,
    keys: &'e [&'e [u8]],
    args: &'e [&'e [u8]],
}

/// Upvalues of [`enter`].
const COMPILED: c_int = 1;
/// The table of what scripts see, or nil for functions, which get keys and arguments as parameters.
const VISIBLE: c_int = 2;
const KEYS: c_int = 3;
const ARGV: c_int = 4;

impl Door {
    /// The way into an interpreter, which must live as long. `compiled` is the table of functions,
    /// by their numbers; `visible` has the global variables of scripts; `locate` handles errors.
    pub(crate) fn new(
        lua: &Lua,
        compiled: &Table,
        visible: Option<&Table>,
        locate: &Function,
    ) -> mlua::Result<Door> {
        let result_table = lua.create_sequence_from([false])?;
        let mut refs = [0; 4];
        let mut state = std::ptr::null_mut();
        // SAFETY: the closure runs in a protected call whose stack has the four values and more than
        // the eight slots (LUA_MINSTACK) that are needed; it owns nothing.
        unsafe {
            let values = (compiled, visible, locate, &result_table);
            lua.exec_raw::<()>(values, |inner| {
                state = inner;
                refs[3] = ffi::luaL_ref(inner, ffi::LUA_REGISTRYINDEX);
                refs[2] = ffi::luaL_ref(inner, ffi::LUA_REGISTRYINDEX);
                push_bytes(inner, b"KEYS");
                push_bytes(inner, b"ARGV");
                ffi::lua_pushcclosure(inner, enter, 4);
                refs[0] = ffi::luaL_ref(inner, ffi::LUA_REGISTRYINDEX);
                write::push_answer(inner);
                refs[1] = ffi::luaL_ref(inner, ffi::LUA_REGISTRYINDEX);
            })?;
        }
        let [enter, answer, locate, result] = refs;
        Ok(Door { state, enter, answer, locate, result, result_table })
    }

    /// Runs a function, during which `invocation` answers what it asks. Whatever is to be known of
    /// the result must be asked before the next run.
    pub(crate) fn run(
        &self,
        function: c_int,
        keys: &[&[u8]],
        args: &[&[u8]],
        invocation: &mut Invocation<'_, '_>,
    ) -> Outcome<'_> {
        let mut entry = Entry { function, keys, args };
        let pointer: *mut Entry<'_> = &mut entry;
        let ended = running::during(invocation, || {
            // SAFETY: the interpreter lives, because a `Door` does, and none of its functions runs:
            // it is this thread's, and scripts do not nest. Nothing here allocates within Lua but
            // the protected call. Four slots are free on a stack that is empty.
            unsafe {
                ffi::lua_rawgeti_(self.state, ffi::LUA_REGISTRYINDEX, self.locate);
                ffi::lua_rawgeti_(self.state, ffi::LUA_REGISTRYINDEX, self.enter);
                ffi::lua_pushlightuserdata(self.state, pointer.cast::<c_void>());
                ffi::lua_pcall(self.state, 1, 1, -3)
            }
        });
        let outcome = Outcome { door: self, failed: ended != ffi::LUA_OK };
        running::resume_panic();
        outcome
    }
}

/// How a run ended. The result is on the stack of Lua while this lives, above the handler of errors.
pub(crate) struct Outcome<'d> {
    door: &'d Door,
    pub(crate) failed: bool,
}

impl Outcome<'_> {
    /// The result as a value of mlua's: the error, if the run failed.
    pub(crate) fn value(&self) -> mlua::Result<Value> {
        let Door { state, result, ref result_table, .. } = *self.door;
        // SAFETY: the first element of the table exists, so that setting it allocates nothing.
        unsafe {
            ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, result);
            ffi::lua_pushvalue(state, -2);
            ffi::lua_rawseti_(state, -2, 1);
            ffi::lua_settop(state, -2);
        }
        let value = result_table.raw_get(1);
        result_table.raw_set(1, false)?;
        value
    }
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        // SAFETY: the handler and the result are on the stack.
        unsafe { ffi::lua_settop(self.door.state, -3) }
    }
}

/// Pushes a string. May raise an error.
///
/// # Safety
/// There is a free slot on the stack, and the rules of this module are kept.
#[inline]
unsafe fn push_bytes(state: State, bytes: &[u8]) {
    // SAFETY: the bytes are copied.
    unsafe { ffi::lua_pushlstring_(state, bytes.as_ptr().cast(), bytes.len()) }
}

/// Pushes a table of strings. May raise an error.
///
/// # Safety
/// There are two free slots on the stack, and the rules of this module are kept.
unsafe fn push_words(state: State, words: &[&[u8]]) {
    // SAFETY: of the two slots the table takes one, and each word the other for a while.
    unsafe {
        ffi::lua_createtable(state, c_int::try_from(words.len()).unwrap_or(0), 0);
        for (at, word) in (1..).zip(words) {
            push_bytes(state, word);
            ffi::lua_rawseti_(state, -2, at);
        }
    }
}

/// The C function that runs compiled code. Its argument is a pointer to an [`Entry`]. A script that
/// fails leaves its variables behind.
unsafe extern "C-unwind" fn enter(state: State) -> c_int {
    // SAFETY: only `Door::run` calls this, with a pointer to an entry that outlives the call. The
    // frame owns nothing. At most six of the slots (LUA_MINSTACK) are in use.
    unsafe {
        let entry = &*ffi::lua_touserdata(state, 1).cast::<Entry<'_>>();
        let (visible, compiled) = (ffi::lua_upvalueindex(VISIBLE), ffi::lua_upvalueindex(COMPILED));
        ffi::lua_rawgeti_(state, compiled, entry.function);
        if ffi::lua_isnil(state, visible) != 0 {
            push_words(state, entry.keys);
            push_words(state, entry.args);
            ffi::lua_call(state, 2, 1);
            return 1;
        }
        for (name, words) in [(KEYS, entry.keys), (ARGV, entry.args)] {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(name));
            push_words(state, words);
            ffi::lua_rawset(state, visible);
        }
        ffi::lua_call(state, 0, 1);
        for name in [KEYS, ARGV] {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(name));
            ffi::lua_pushnil(state);
            ffi::lua_rawset(state, visible);
        }
    }
    1
}
