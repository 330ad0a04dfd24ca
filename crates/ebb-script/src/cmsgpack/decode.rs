//! MessagePack as Lua values.

use mlua::{Lua, Value};

/// The deepest nesting that is read.
const DEPTH_MAX: usize = 1000;

/// Takes a value from the front of `rest`; the error is Lua's text.
pub(super) fn decode(lua: &Lua, rest: &mut &[u8]) -> Result<Value, String> {
    Decoder { lua, rest }.value(0)
}

struct Decoder<'d, 'b> {
    lua: &'d Lua,
    rest: &'d mut &'b [u8],
}

fn memory(error: mlua::Error) -> String {
    error.to_string()
}

impl<'b> Decoder<'_, 'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("Missing bytes in input.")?;
        *self.rest = rest;
        Ok(taken)
    }

    /// An unsigned number of so many bytes.
    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        let bytes = self.take(bytes)?;
        Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn signed(&mut self, bytes: usize) -> Result<Value, String> {
        let unused = 64 - 8 * bytes as u32;
        let number = (self.number(bytes)? << unused) as i64 >> unused;
        Ok(Value::Number(number as f64))
    }

    fn string(&mut self, len: usize) -> Result<Value, String> {
        let bytes = self.take(len)?;
        self.lua.create_string(bytes).map(Value::String).map_err(memory)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err("stack overflow (in function mp_decode_to_lua_type)".into());
        }
        let kind = self.take(1)?[0];
        let len = |decoder: &mut Self, bytes| decoder.number(bytes).map(|len| len as usize);
        match kind {
            0x00..=0x7f => Ok(Value::Number(f64::from(kind))),
            0xe0..=0xff => Ok(Value::Number(f64::from(kind as i8))),
            0x80..=0x8f => self.map(usize::from(kind & 15), depth),
            0x90..=0x9f => self.array(usize::from(kind & 15), depth),
            0xa0..=0xbf => self.string(usize::from(kind & 31)),
            0xc0 => Ok(Value::Nil),
            0xc2 | 0xc3 => Ok(Value::Boolean(kind == 0xc3)),
            0xc4..=0xc6 => {
                let len = len(self, 1 << (kind - 0xc4))?;
                self.string(len)
            }
            0xca => Ok(Value::Number(f64::from(f32::from_bits(self.number(4)? as u32)))),
            0xcb => Ok(Value::Number(f64::from_bits(self.number(8)?))),
            0xcc..=0xcf => Ok(Value::Number(self.number(1 << (kind - 0xcc))? as f64)),
            0xd0..=0xd3 => self.signed(1 << (kind - 0xd0)),
            0xd9..=0xdb => {
                let len = len(self, 1 << (kind - 0xd9))?;
                self.string(len)
            }
            0xdc | 0xdd => {
                let len = len(self, 2 << (kind - 0xdc))?;
                self.array(len, depth)
            }
            0xde | 0xdf => {
                let len = len(self, 2 << (kind - 0xde))?;
                self.map(len, depth)
            }
            _ => Err("Bad data format in input.".into()),
        }
    }

    fn array(&mut self, len: usize, depth: usize) -> Result<Value, String> {
        let table = self.lua.create_table().map_err(memory)?;
        for index in 1..=len {
            let value = self.value(depth + 1)?;
            table.raw_set(index, value).map_err(memory)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, pairs: usize, depth: usize) -> Result<Value, String> {
        let table = self.lua.create_table().map_err(memory)?;
        for _ in 0..pairs {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            match key {
                Value::Nil => return Err("table index is nil".into()),
                Value::Number(number) if number.is_nan() => return Err("table index is NaN".into()),
                key => table.raw_set(key, value).map_err(memory)?,
            }
        }
        Ok(Value::Table(table))
    }
}
