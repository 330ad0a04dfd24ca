//! `redis.call` and `redis.pcall`.

use std::ffi::c_int;

use ebb_engine::Reply;
use mlua::{Lua, Table, ffi};

use super::{State, push_bytes, read, running};
use crate::call::{Called, Invocation, NOT_RUNNING};
use crate::number;

/// So many arguments are collected without an allocation.
const FEW: usize = 16;

const NO_ARGUMENTS: &str = "ERR Please specify at least one argument for this redis lib call";
const WRONG_TYPE: &str = "ERR Lua redis lib command arguments must be strings or integers";
const PANICKED: &str = "ERR the command has failed";

/// What came of a call. It owns nothing, see the rules of this module; what it points to is the
/// invocation's, and stays as it is until the next call.
enum Answer {
    Reply(*const Reply),
    /// An error of the command: `redis.pcall` makes a table of it.
    Error {
        text: *const [u8],
        counted: bool,
    },
    /// An error of either function.
    Misuse(&'static str),
}

fn error(text: &'static str) -> Answer {
    Answer::Error { text: text.as_bytes(), counted: false }
}

/// Adds both functions to the table of the server's.
pub(crate) fn add_functions(lua: &Lua, table: &Table) -> mlua::Result<()> {
    // SAFETY: they keep the rules of the module, and take any arguments.
    let (call, pcall) =
        unsafe { (lua.create_c_function(call_function)?, lua.create_c_function(pcall_function)?) };
    table.set("call", call)?;
    table.set("pcall", pcall)
}

/// `redis.call`: an error of the command is the script's.
unsafe extern "C-unwind" fn call_function(state: State) -> c_int {
    // SAFETY: Lua calls this.
    unsafe { answer(state, true) }
}

/// `redis.pcall`: an error of the command is a table.
unsafe extern "C-unwind" fn pcall_function(state: State) -> c_int {
    // SAFETY: Lua calls this.
    unsafe { answer(state, false) }
}

/// Runs the command whose arguments are a C function's, and pushes what came of it.
///
/// # Safety
/// `state` is that of a C function that is called, whose frame owns nothing.
unsafe fn answer(state: State, raises: bool) -> c_int {
    // SAFETY: the caller's. The arguments have no more use, so that there are free slots.
    unsafe {
        let answer = run(state);
        ffi::lua_settop(state, 0);
        let raises = match answer {
            Answer::Reply(reply) => {
                read::push_reply(state, &*reply);
                false
            }
            Answer::Error { text, counted } => {
                push_error(state, &*text, counted);
                raises
            }
            Answer::Misuse(text) => {
                push_error(state, text.as_bytes(), false);
                true
            }
        };
        if raises {
            ffi::lua_error(state);
        }
    }
    1
}

/// Pushes an error's table, as scripts get it. Such an error was counted. May raise an error.
///
/// # Safety
/// There are three free slots on the stack, and the rules of the module are kept.
pub(super) unsafe fn push_error(state: State, text: &[u8], counted: bool) {
    // SAFETY: of the slots the table takes one, a key and its value the others.
    unsafe {
        ffi::lua_createtable(state, 0, 2);
        push_bytes(state, b"err");
        push_bytes(state, text);
        ffi::lua_rawset(state, -3);
        if counted {
            push_bytes(state, b"ignore_error_stats_update");
            ffi::lua_pushboolean(state, 1);
            ffi::lua_rawset(state, -3);
        }
    }
}

/// Runs the command whose arguments are a C function's.
///
/// # Safety
/// `state` is that of a C function that is called.
unsafe fn run(state: State) -> Answer {
    let called = running::with_caught(|invocation| {
        // SAFETY: the arguments stay on the stack until the C function returns.
        unsafe { run_for(state, invocation) }
    });
    match called {
        Ok(Some(answer)) => answer,
        Ok(None) => Answer::Misuse(NOT_RUNNING),
        Err(()) => Answer::Misuse(PANICKED),
    }
}

/// # Safety
/// As for [`run`].
unsafe fn run_for(state: State, invocation: &mut Invocation<'_, '_>) -> Answer {
    // SAFETY: the caller's.
    let count = unsafe { ffi::lua_gettop(state) } as usize;
    if count == 0 {
        return error(NO_ARGUMENTS);
    }
    let mut few = [&[][..]; FEW];
    let mut many = Vec::new();
    let args = if count <= FEW {
        &mut few[..count]
    } else {
        many.resize(count, &[][..]);
        &mut many[..]
    };
    // SAFETY: the caller's.
    let Some(numbers) = (unsafe { read_strings(state, args) }) else {
        return error(WRONG_TYPE);
    };
    for (at, text) in &numbers {
        args[*at] = text;
    }
    match invocation.call(args) {
        Called::Replied => Answer::Reply(&raw const invocation.reply),
        Called::Failed => Answer::Error { text: &raw const invocation.error[..], counted: true },
    }
}

/// The strings among a C function's arguments, put in their places, and the numbers as texts, with
/// theirs. `None` if there is anything else. Never raises an error.
///
/// # Safety
/// As for [`run`]; the strings are valid until the C function returns.
unsafe fn read_strings(state: State, args: &mut [&[u8]]) -> Option<Vec<(usize, Vec<u8>)>> {
    let mut numbers = Vec::new();
    for (at, arg) in args.iter_mut().enumerate() {
        let index = at as c_int + 1;
        // SAFETY: the index is an argument's. A string is not converted, and so not allocated.
        unsafe {
            match ffi::lua_type(state, index) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let text = ffi::lua_tolstring(state, index, &mut len);
                    *arg = std::slice::from_raw_parts(text.cast(), len);
                }
                ffi::LUA_TNUMBER => {
                    numbers.push((at, number::argument(ffi::lua_tonumber(state, index))));
                }
                _ => return None,
            }
        }
    }
    Some(numbers)
}
