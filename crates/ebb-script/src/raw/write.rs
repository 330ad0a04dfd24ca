//! Values of Lua as replies, as Redis converts them.

use std::ffi::{c_int, c_void};

use ebb_engine::Reply;
use ebb_resp::Protocol;
use mlua::ffi;

use super::{Outcome, State, push_bytes};
use crate::number::to_i64;

/// The deepest nesting of tables that is answered.
const DEPTH_MAX: usize = 1000;

/// Fields of tables that mean something, the upvalues of [`answer`].
const NAMES: [&[u8]; 10] = [
    b"err",
    b"ok",
    b"double",
    b"map",
    b"set",
    b"big_number",
    b"verbatim_string",
    b"string",
    b"format",
    b"ignore_error_stats_update",
];
const ERR: c_int = 1;
const OK: c_int = 2;
const DOUBLE: c_int = 3;
const MAP: c_int = 4;
const SET: c_int = 5;
const BIG_NUMBER: c_int = 6;
const VERBATIM: c_int = 7;
const STRING: c_int = 8;
const FORMAT: c_int = 9;
const COUNTED: c_int = 10;

/// What a script returned that is an error: the text, and whether it was counted.
pub(crate) type Returned = Option<(Vec<u8>, bool)>;

/// What [`answer`] is to do: its second argument is a pointer to this.
struct Answering<'r> {
    reply: &'r mut Reply,
    protocol: Protocol,
    error: Returned,
}

/// Pushes [`answer`]. May raise an error.
///
/// # Safety
/// There are as many free slots on the stack as there are [`NAMES`], and the rules of the module are
/// kept.
pub(super) unsafe fn push_answer(state: State) {
    // SAFETY: the caller's.
    unsafe {
        NAMES.iter().for_each(|name| push_bytes(state, name));
        ffi::lua_pushcclosure(state, answer, NAMES.len() as c_int);
    }
}

impl Outcome<'_> {
    /// Writes the result as a reply, unless it is an error, which is answered instead. `protocol` is
    /// the script's (`redis.setresp`): booleans are such only in RESP3. The error is Lua's text.
    pub(crate) fn write(&self, reply: &mut Reply, protocol: Protocol) -> Result<Returned, String> {
        let state = self.door.state;
        // SAFETY: the result is on top of the stack. Without tables nothing is allocated within Lua;
        // tables are looked through in a protected call, for which three slots are free.
        unsafe {
            if ffi::lua_type(state, -1) != ffi::LUA_TTABLE {
                write_plain(state, reply, protocol);
                return Ok(None);
            }
            let mut answering = Answering { reply, protocol, error: None };
            let pointer: *mut Answering<'_> = &mut answering;
            ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, self.door.answer);
            ffi::lua_pushvalue(state, -2);
            ffi::lua_pushlightuserdata(state, pointer.cast::<c_void>());
            if ffi::lua_pcall(state, 2, 0, 0) == ffi::LUA_OK {
                return Ok(answering.error);
            }
            let text = String::from_utf8_lossy(bytes_at(state, -1).unwrap_or_default());
            let text = text.into_owned();
            ffi::lua_settop(state, -2);
            Err(text)
        }
    }
}

/// The bytes of a value that is a string, and nothing that could be converted to one. Never raises an
/// error.
///
/// # Safety
/// The index is a value's, which stays where it is as long as the bytes are used.
unsafe fn bytes_at<'s>(state: State, index: c_int) -> Option<&'s [u8]> {
    // SAFETY: the caller's; a string has the bytes that are told.
    unsafe {
        if ffi::lua_type(state, index) != ffi::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let text = ffi::lua_tolstring(state, index, &mut len);
        Some(std::slice::from_raw_parts(text.cast(), len))
    }
}

/// Writes the value on top of the stack, which is no table. Never raises an error.
///
/// # Safety
/// There is a value on the stack.
unsafe fn write_plain(state: State, reply: &mut Reply, protocol: Protocol) {
    // SAFETY: the caller's.
    unsafe {
        match ffi::lua_type(state, -1) {
            ffi::LUA_TSTRING => reply.bulk(bytes_at(state, -1).unwrap_or_default()),
            ffi::LUA_TNUMBER => reply.integer(to_i64(ffi::lua_tonumber(state, -1))),
            ffi::LUA_TBOOLEAN => match (ffi::lua_toboolean(state, -1) != 0, protocol) {
                (value, Protocol::Resp3) => reply.boolean(value),
                (true, _) => reply.integer(1),
                (false, _) => reply.null(),
            },
            _ => reply.null(),
        }
    }
}

/// The C function that writes a table, its first argument.
unsafe extern "C-unwind" fn answer(state: State) -> c_int {
    // SAFETY: only `Outcome::write` calls this, with a pointer to what outlives the call. This frame
    // and those of the functions below own nothing while Lua is called.
    unsafe {
        let answering = &mut *ffi::lua_touserdata(state, 2).cast::<Answering<'_>>();
        ffi::lua_settop(state, 1);
        push_field(state, ERR);
        if let Some(text) = bytes_at(state, -1) {
            push_named(state, 1, COUNTED);
            let counted =
                ffi::lua_type(state, -1) == ffi::LUA_TBOOLEAN && ffi::lua_toboolean(state, -1) != 0;
            answering.error = Some((text.to_vec(), counted));
            return 0;
        }
        ffi::lua_settop(state, 1);
        let Answering { reply, protocol, .. } = answering;
        write_table(state, reply, *protocol, 0);
    }
    0
}

/// Pushes a field of the table on top of the stack.
///
/// # Safety
/// In [`answer`], with a free slot on the stack; so for all functions below.
unsafe fn push_field(state: State, name: c_int) {
    // SAFETY: the caller's. The name is a string: nothing is allocated, no error raised.
    unsafe {
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(name));
        ffi::lua_rawget_(state, -2);
    }
}

/// Pushes a field of the table at an index that is counted from the bottom.
unsafe fn push_named(state: State, table: c_int, name: c_int) {
    // SAFETY: the caller's.
    unsafe {
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(name));
        ffi::lua_rawget_(state, table);
    }
}

unsafe fn pop(state: State, count: c_int) {
    // SAFETY: the caller's.
    unsafe { ffi::lua_settop(state, -count - 1) }
}

/// Writes the value on top of the stack.
unsafe fn write_value(state: State, reply: &mut Reply, protocol: Protocol, depth: usize) {
    // SAFETY: the caller's.
    unsafe {
        if depth > DEPTH_MAX {
            reply.error("ERR reached lua stack limit");
        } else if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            write_table(state, reply, protocol, depth);
        } else {
            write_plain(state, reply, protocol);
        }
    }
}

/// Writes the table on top of the stack.
unsafe fn write_table(state: State, reply: &mut Reply, protocol: Protocol, depth: usize) {
    // SAFETY: the caller's; room for what follows is made first.
    unsafe {
        ffi::luaL_checkstack(state, 6, c"reached lua stack limit".as_ptr());
        for name in [ERR, OK, DOUBLE, MAP, SET, BIG_NUMBER, VERBATIM] {
            push_field(state, name);
            let written = match name {
                MAP | SET => write_pairs(state, reply, protocol, depth, name == MAP),
                DOUBLE => write_double(state, reply),
                VERBATIM => write_verbatim(state, reply),
                _ => write_text(state, reply, name),
            };
            pop(state, 1);
            if written {
                return;
            }
        }
        write_array(state, reply, protocol, depth);
    }
}

fn one_line(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

/// Writes the field on top of the stack, if it is a string. Calls nothing that raises an error.
unsafe fn write_text(state: State, reply: &mut Reply, name: c_int) -> bool {
    // SAFETY: the caller's.
    let Some(text) = (unsafe { bytes_at(state, -1) }) else { return false };
    match name {
        ERR => reply.error(&String::from_utf8_lossy(text.strip_prefix(b"-").unwrap_or(text))),
        OK => reply.raw(&[b"+", one_line(text).as_slice(), b"\r\n"].concat()),
        _ => reply.big_number(&one_line(text)),
    }
    true
}

unsafe fn write_double(state: State, reply: &mut Reply) -> bool {
    // SAFETY: the caller's.
    unsafe {
        let is_number = ffi::lua_type(state, -1) == ffi::LUA_TNUMBER;
        if is_number {
            reply.double(ffi::lua_tonumber(state, -1));
        }
        is_number
    }
}

/// Writes the field on top of the stack, if it is a table: its pairs, or its keys.
unsafe fn write_pairs(
    state: State,
    reply: &mut Reply,
    protocol: Protocol,
    depth: usize,
    is_map: bool,
) -> bool {
    // SAFETY: the caller's. `lua_next` is given the keys that it answers.
    unsafe {
        if ffi::lua_type(state, -1) != ffi::LUA_TTABLE {
            return false;
        }
        let mut count = 0;
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            count += 1;
            pop(state, 1);
        }
        if is_map {
            reply.map(count)
        } else {
            reply.set(count)
        }
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            ffi::lua_pushvalue(state, -2);
            write_value(state, reply, protocol, depth + 1);
            pop(state, 1);
            if is_map {
                write_value(state, reply, protocol, depth + 1);
            }
            pop(state, 1);
        }
    }
    true
}

/// Writes the field on top of the stack, if it is a table with a text and its format. Calls nothing
/// that raises an error.
unsafe fn write_verbatim(state: State, reply: &mut Reply) -> bool {
    // SAFETY: the caller's.
    unsafe {
        if ffi::lua_type(state, -1) != ffi::LUA_TTABLE {
            return false;
        }
        push_field(state, STRING);
        ffi::lua_insert(state, -2);
        push_field(state, FORMAT);
        // From the top: the format, the table, the text. One more than before, each popped below.
        let both = bytes_at(state, -1).zip(bytes_at(state, -3));
        if let Some((format, text)) = both {
            let mut name = [b' '; 3];
            name.iter_mut().zip(format).for_each(|(to, from)| *to = *from);
            reply.verbatim_bytes(name, text);
        }
        pop(state, 2);
        both.is_some()
    }
}

/// Writes the elements up to the first that is missing.
unsafe fn write_array(state: State, reply: &mut Reply, protocol: Protocol, depth: usize) {
    // SAFETY: the caller's.
    unsafe {
        let mut len = 0;
        loop {
            ffi::lua_rawgeti_(state, -1, len + 1);
            let is_end = ffi::lua_isnil(state, -1) != 0;
            pop(state, 1);
            if is_end {
                break;
            }
            len += 1;
        }
        reply.array(len as usize);
        for index in 1..=len {
            ffi::lua_rawgeti_(state, -1, index);
            write_value(state, reply, protocol, depth + 1);
            pop(state, 1);
        }
    }
}
