//! Replies as values of Lua, as Redis converts them.

use std::ffi::c_int;

use ebb_engine::Reply;
use ebb_keyspace::Shared;
use mlua::ffi;

use super::call::push_error;
use super::{State, push_bytes};

/// Pushes the one reply that was written. It was encoded here, so it is well formed. May raise an
/// error.
///
/// # Safety
/// `state` is that of a C function that is called, and the rules of the module are kept.
pub(super) unsafe fn push_reply(state: State, reply: &Reply) {
    let (bytes, references) = reply.parts();
    let mut reader = Reader { state, bytes, references, at: 0 };
    // SAFETY: the caller's.
    unsafe { reader.value() }
}

/// Slots that a value needs while it is read, besides those of the values in it.
const SLOTS: c_int = 5;

/// Owns nothing, see the rules of the module.
struct Reader<'a> {
    state: State,
    bytes: &'a [u8],
    /// Values that belong at these offsets.
    references: &'a [(usize, Shared)],
    at: usize,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&byte| byte == b'\r').unwrap_or(rest.len());
        self.at += len + 2;
        &rest[..len]
    }

    fn bulk(&mut self, len: usize) -> &'a [u8] {
        if let Some(((offset, shared), rest)) = self.references.split_first()
            && *offset == self.at
        {
            self.references = rest;
            self.at += 2;
            return shared;
        }
        let bytes = self.bytes.get(self.at..self.at + len).unwrap_or_default();
        self.at += len + 2;
        bytes
    }

    /// Pushes the next value.
    ///
    /// # Safety
    /// As for [`push_reply`], and for all functions below.
    unsafe fn value(&mut self) {
        let line = self.line();
        let state = self.state;
        let (kind, rest) = line.split_first().map_or((b'_', line), |(kind, rest)| (*kind, rest));
        // SAFETY: the caller's; room for what follows is made first.
        unsafe {
            ffi::luaL_checkstack(state, SLOTS, c"reply is nested too deep".as_ptr());
            match kind {
                b'$' | b'*' if rest.starts_with(b"-") => ffi::lua_pushboolean(state, 0),
                b'$' => push_bytes(state, self.bulk(number(rest) as usize)),
                b':' => ffi::lua_pushnumber(state, number(rest) as f64),
                b'+' => self.field(b"ok", |_| push_bytes(state, rest)),
                b'-' => push_error(state, rest, true),
                b'*' | b'>' => self.array(number(rest)),
                b'%' => self.field(b"map", |reader| reader.map(number(rest))),
                b'~' => self.field(b"set", |reader| reader.set(number(rest))),
                b'#' => ffi::lua_pushboolean(state, c_int::from(rest == b"t")),
                b',' => {
                    let value = ebb_types::float::parse_f64(rest).unwrap_or(f64::NAN);
                    self.field(b"double", |_| ffi::lua_pushnumber(state, value));
                }
                b'(' => self.field(b"big_number", |_| push_bytes(state, rest)),
                b'=' => self.field(b"verbatim_string", |reader| reader.verbatim(rest)),
                b'|' => {
                    self.map(number(rest));
                    ffi::lua_settop(state, -2);
                    self.value();
                }
                _ => ffi::lua_pushnil(state),
            }
        }
    }

    /// A table with one field.
    unsafe fn field(&mut self, name: &[u8], push: impl FnOnce(&mut Self)) {
        // SAFETY: the caller's. What pushes the value owns nothing.
        unsafe {
            ffi::lua_createtable(self.state, 0, 1);
            push_bytes(self.state, name);
            push(self);
            ffi::lua_rawset(self.state, -3);
        }
    }

    unsafe fn array(&mut self, len: i64) {
        // SAFETY: the caller's.
        unsafe {
            ffi::lua_createtable(self.state, size_hint(len), 0);
            for index in 1..=c_int::try_from(len).unwrap_or(0) {
                self.value();
                ffi::lua_rawseti_(self.state, -2, index);
            }
        }
    }

    unsafe fn map(&mut self, pairs: i64) {
        // SAFETY: the caller's.
        unsafe {
            ffi::lua_createtable(self.state, 0, size_hint(pairs));
            for _ in 0..pairs {
                self.value();
                self.value();
                self.set_unless_nil();
            }
        }
    }

    unsafe fn set(&mut self, len: i64) {
        // SAFETY: the caller's.
        unsafe {
            ffi::lua_createtable(self.state, 0, size_hint(len));
            for _ in 0..len {
                self.value();
                ffi::lua_pushboolean(self.state, 1);
                self.set_unless_nil();
            }
        }
    }

    /// Sets what is beneath a key and its value, unless the key is nil, which no table has.
    unsafe fn set_unless_nil(&mut self) {
        // SAFETY: the caller's.
        unsafe {
            if ffi::lua_isnil(self.state, -2) != 0 {
                ffi::lua_settop(self.state, -3);
            } else {
                ffi::lua_rawset(self.state, -3);
            }
        }
    }

    unsafe fn verbatim(&mut self, len: &[u8]) {
        let bytes = self.bulk(number(len) as usize);
        let (format, text) = bytes.split_at(bytes.len().min(3));
        // SAFETY: the caller's.
        unsafe {
            ffi::luaL_checkstack(self.state, SLOTS, c"reply is nested too deep".as_ptr());
            ffi::lua_createtable(self.state, 0, 2);
            push_bytes(self.state, b"format");
            push_bytes(self.state, format);
            ffi::lua_rawset(self.state, -3);
            push_bytes(self.state, b"string");
            push_bytes(self.state, text.strip_prefix(b":").unwrap_or(text));
            ffi::lua_rawset(self.state, -3);
        }
    }
}

fn number(line: &[u8]) -> i64 {
    ebb_types::number::parse_i64(line).unwrap_or(0)
}

fn size_hint(len: i64) -> c_int {
    c_int::try_from(len).unwrap_or(0)
}
