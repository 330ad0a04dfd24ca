//! Lua values as MessagePack.

use ebb_engine::scratch;
use mlua::{Table, Value};

use crate::number::exact_i64;

/// Tables nested deeper than this are packed as nil.
const DEPTH_MAX: usize = 16;

/// Appends a value. What MessagePack does not have is nil.
pub(super) fn encode(out: &mut Vec<u8>, value: &Value, depth: usize) -> mlua::Result<()> {
    let len = value.as_string().map_or(0, |text| text.as_bytes().len());
    // Beside a text there is its kind and its length; other values are no longer.
    scratch::make_room(out, len + 16).map_err(|_| mlua::Error::runtime("not enough memory"))?;
    match value {
        Value::String(text) => string(out, &text.as_bytes()),
        Value::Integer(integer) => self::integer(out, *integer),
        Value::Number(number) => match exact_i64(*number) {
            Some(integer) => self::integer(out, integer),
            None => double(out, *number),
        },
        Value::Boolean(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Value::Table(table) if depth < DEPTH_MAX => self::table(out, table, depth)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

fn integer(out: &mut Vec<u8>, value: i64) {
    match value {
        -32..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend([0xcc, value as u8]),
        0x100..=0xffff => put(out, 0xcd, &(value as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => put(out, 0xce, &(value as u32).to_be_bytes()),
        0x1_0000_0000.. => put(out, 0xcf, &value.to_be_bytes()),
        -0x80..=-33 => out.extend([0xd0, value as u8]),
        -0x8000..=-0x81 => put(out, 0xd1, &(value as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => put(out, 0xd2, &(value as i32).to_be_bytes()),
        _ => put(out, 0xd3, &value.to_be_bytes()),
    }
}

fn put(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn double(out: &mut Vec<u8>, value: f64) {
    let single = value as f32;
    if f64::from(single) == value {
        put(out, 0xca, &single.to_be_bytes());
    } else {
        put(out, 0xcb, &value.to_be_bytes());
    }
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        len @ 0..=31 => out.push(0xa0 | len as u8),
        len @ 32..=0xff => out.extend([0xd9, len as u8]),
        len @ 0x100..=0xffff => put(out, 0xda, &(len as u16).to_be_bytes()),
        len => put(out, 0xdb, &(len as u32).to_be_bytes()),
    }
    out.extend_from_slice(text);
}

/// The header of an array or a map: the kinds for up to 15 members, for 16 bits, for 32.
fn header(out: &mut Vec<u8>, kinds: [u8; 3], len: usize) {
    match len {
        0..=15 => out.push(kinds[0] | len as u8),
        16..=0xffff => put(out, kinds[1], &(len as u16).to_be_bytes()),
        _ => put(out, kinds[2], &(len as u32).to_be_bytes()),
    }
}

/// How many pairs a table has, and whether their keys are the integers from 1 on.
fn count(table: &Table) -> mlua::Result<(usize, bool)> {
    let (mut count, mut largest, mut integers) = (0, 0, true);
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair?;
        count += 1;
        let index = match key {
            Value::Integer(integer) => Some(integer),
            Value::Number(number) => exact_i64(number),
            _ => None,
        };
        match index.filter(|index| *index > 0) {
            Some(index) => largest = largest.max(index),
            None => integers = false,
        }
    }
    Ok((count, integers && largest as usize == count))
}

fn table(out: &mut Vec<u8>, table: &Table, depth: usize) -> mlua::Result<()> {
    let (len, is_array) = count(table)?;
    if is_array {
        header(out, [0x90, 0xdc, 0xdd], len);
        for index in 1..=len {
            encode(out, &table.raw_get(index)?, depth + 1)?;
        }
        return Ok(());
    }
    header(out, [0x80, 0xde, 0xdf], len);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        encode(out, &key, depth + 1)?;
        encode(out, &value, depth + 1)?;
    }
    Ok(())
}
