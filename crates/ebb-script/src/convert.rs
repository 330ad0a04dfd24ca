//! Replies as Lua values, and Lua values as replies, as Redis converts them.
//!
//! A host may hold some thousand of an interpreter's values at a time: elements of tables are
//! taken one by one.

use ebb_engine::Reply;
use ebb_keyspace::Shared;
use ebb_resp::Protocol;
use mlua::{Lua, Table, Value};

use crate::api::{copied, error_table};
use crate::number::to_i64;

/// The deepest nesting of tables that is answered.
const DEPTH_MAX: usize = 1000;

/// The one reply that was written as a Lua value. It was encoded here, so it is well formed.
pub(crate) fn to_lua(lua: &Lua, reply: &Reply) -> mlua::Result<Value> {
    let (bytes, references) = reply.parts();
    Reader { lua, bytes, references, at: 0 }.value()
}

struct Reader<'a> {
    lua: &'a Lua,
    bytes: &'a [u8],
    /// Values that belong at these offsets.
    references: &'a [(usize, Shared)],
    at: usize,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.windows(2).position(|pair| pair == b"\r\n").unwrap_or(rest.len());
        self.at += len + 2;
        &rest[..len]
    }

    fn number(line: &[u8]) -> i64 {
        ebb_types::number::parse_i64(line).unwrap_or(0)
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

    fn string(&self, bytes: &[u8]) -> mlua::Result<Value> {
        self.lua.create_string(bytes).map(Value::String)
    }

    /// A table with one field.
    fn field(&self, name: &str, value: Value) -> mlua::Result<Value> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn value(&mut self) -> mlua::Result<Value> {
        let line = self.line();
        let Some((&kind, rest)) = line.split_first() else { return Ok(Value::Nil) };
        match kind {
            b'+' => self.field("ok", self.string(rest)?),
            b'-' => error_table(self.lua, rest, true),
            b':' => Ok(Value::Number(Self::number(rest) as f64)),
            b'$' | b'*' if rest.starts_with(b"-") => Ok(Value::Boolean(false)),
            b'$' => {
                let bytes = self.bulk(Self::number(rest) as usize);
                self.string(bytes)
            }
            b'*' | b'>' => Ok(Value::Table(self.array(Self::number(rest))?)),
            b'%' => {
                let map = self.map(Self::number(rest))?;
                self.field("map", Value::Table(map))
            }
            b'~' => {
                let set = self.set(Self::number(rest))?;
                self.field("set", Value::Table(set))
            }
            b'_' => Ok(Value::Nil),
            b'#' => Ok(Value::Boolean(rest == b"t")),
            b',' => {
                let text = ebb_types::float::parse_f64(rest).unwrap_or(f64::NAN);
                self.field("double", Value::Number(text))
            }
            b'(' => self.field("big_number", self.string(rest)?),
            b'=' => self.verbatim(Self::number(rest) as usize),
            b'|' => {
                self.map(Self::number(rest))?;
                self.value()
            }
            _ => Ok(Value::Nil),
        }
    }

    fn array(&mut self, len: i64) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(len as usize, 0)?;
        for index in 1..=len {
            let value = self.value()?;
            table.raw_set(index, value)?;
        }
        Ok(table)
    }

    fn map(&mut self, pairs: i64) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(0, pairs as usize)?;
        for _ in 0..pairs {
            let (key, value) = (self.value()?, self.value()?);
            if !matches!(key, Value::Nil) {
                table.raw_set(key, value)?;
            }
        }
        Ok(table)
    }

    fn set(&mut self, len: i64) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(0, len as usize)?;
        for _ in 0..len {
            let member = self.value()?;
            if !matches!(member, Value::Nil) {
                table.raw_set(member, true)?;
            }
        }
        Ok(table)
    }

    fn verbatim(&mut self, len: usize) -> mlua::Result<Value> {
        let bytes = self.bulk(len);
        let (format, text) = bytes.split_at(bytes.len().min(3));
        let table = self.lua.create_table_with_capacity(0, 2)?;
        table.raw_set("format", self.string(format)?)?;
        table.raw_set("string", self.string(text.strip_prefix(b":").unwrap_or(text))?)?;
        self.field("verbatim_string", Value::Table(table))
    }
}

/// An error that a script returned: its text, and whether it was counted when a command made it.
pub(crate) fn as_error(value: &Value) -> Option<(Vec<u8>, bool)> {
    let Value::Table(table) = value else { return None };
    let text = string_field(table, "err")?;
    let counted = matches!(table.raw_get("ignore_error_stats_update"), Ok(Value::Boolean(true)));
    Some((text, counted))
}

/// A field that is a string, and nothing that could be converted to one.
pub(crate) fn string_field(table: &Table, name: &str) -> Option<Vec<u8>> {
    match table.raw_get(name) {
        Ok(Value::String(text)) => copied(&text.as_bytes()),
        _ => None,
    }
}

/// Writes a Lua value as a reply. `protocol` is the script's (`redis.setresp`): booleans are
/// such only in RESP3.
pub(crate) fn write(reply: &mut Reply, value: &Value, protocol: Protocol) -> mlua::Result<()> {
    write_at(reply, value, protocol, 0)
}

fn write_at(
    reply: &mut Reply,
    value: &Value,
    protocol: Protocol,
    depth: usize,
) -> mlua::Result<()> {
    if depth > DEPTH_MAX {
        reply.error("ERR reached lua stack limit");
        return Ok(());
    }
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(integer) => reply.integer(*integer),
        Value::Number(number) => reply.integer(to_i64(*number)),
        Value::Boolean(value) if protocol == Protocol::Resp3 => reply.boolean(*value),
        Value::Boolean(true) => reply.integer(1),
        Value::Table(table) => write_table(reply, table, protocol, depth)?,
        _ => reply.null(),
    }
    Ok(())
}

fn one_line(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

fn write_table(
    reply: &mut Reply,
    table: &Table,
    protocol: Protocol,
    depth: usize,
) -> mlua::Result<()> {
    if let Some(text) = string_field(table, "err") {
        reply.error(&String::from_utf8_lossy(text.strip_prefix(b"-").unwrap_or(&text)));
        return Ok(());
    }
    if let Some(text) = string_field(table, "ok") {
        reply.raw(&[b"+", one_line(&text).as_slice(), b"\r\n"].concat());
        return Ok(());
    }
    match table.raw_get("double")? {
        Value::Integer(integer) => {
            reply.double(integer as f64);
            return Ok(());
        }
        Value::Number(number) => {
            reply.double(number);
            return Ok(());
        }
        _ => {}
    }
    if let Value::Table(map) = table.raw_get("map")? {
        reply.map(map.pairs::<Value, Value>().count());
        for pair in map.pairs() {
            let (key, value) = pair?;
            write_at(reply, &key, protocol, depth + 1)?;
            write_at(reply, &value, protocol, depth + 1)?;
        }
        return Ok(());
    }
    if let Value::Table(set) = table.raw_get("set")? {
        reply.set(set.pairs::<Value, Value>().count());
        for pair in set.pairs::<Value, Value>() {
            write_at(reply, &pair?.0, protocol, depth + 1)?;
        }
        return Ok(());
    }
    if let Some(digits) = string_field(table, "big_number") {
        reply.big_number(&one_line(&digits));
        return Ok(());
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let Some(text) = string_field(&verbatim, "string")
        && let Some(format) = string_field(&verbatim, "format")
    {
        let mut name = [b' '; 3];
        name.iter_mut().zip(&format).for_each(|(to, from)| *to = *from);
        reply.verbatim_bytes(name, &text);
        return Ok(());
    }
    write_array(reply, table, protocol, depth)
}

/// The elements up to the first that is missing.
fn write_array(
    reply: &mut Reply,
    table: &Table,
    protocol: Protocol,
    depth: usize,
) -> mlua::Result<()> {
    let mut len = 0;
    while !matches!(table.raw_get(len + 1)?, Value::Nil) {
        len += 1;
    }
    reply.array(len);
    for index in 1..=len {
        write_at(reply, &table.raw_get(index)?, protocol, depth + 1)?;
    }
    Ok(())
}
