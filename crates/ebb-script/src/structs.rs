//! The library `struct`: values as bytes of a given layout, as lua-struct 0.2 packs them.

use ebb_engine::scratch;
use mlua::{Lua, MultiValue, Table, Value};

use crate::api::{Answer, as_number, as_string, bad, bad_number, raise, type_name};
use crate::number::to_i64;

/// The largest integer, in bytes.
const INTEGER_MAX: usize = 32;
/// What `!` alone aligns to.
const ALIGN_DEFAULT: usize = 8;
/// More results than this do not fit Lua's stack.
const RESULTS_MAX: usize = 6000;

/// One item of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Integer {
        bytes: usize,
        signed: bool,
    },
    Single,
    Double,
    /// Ends with a zero byte.
    Text,
    /// So many bytes; 0 for as many as there are, or as the number before says.
    Bytes(usize),
    Padding,
}

impl Item {
    fn bytes(self) -> usize {
        match self {
            Item::Integer { bytes, .. } | Item::Bytes(bytes) => bytes,
            Item::Single => 4,
            Item::Double => 8,
            Item::Text => 0,
            Item::Padding => 1,
        }
    }
}

/// Goes through a format.
struct Format<'f> {
    rest: &'f [u8],
    name: &'static str,
    big_endian: bool,
    align: usize,
}

impl<'f> Format<'f> {
    fn new(rest: &'f [u8], name: &'static str) -> Format<'f> {
        Format { rest, name, big_endian: cfg!(target_endian = "big"), align: 1 }
    }

    fn argument_error(&self, at: usize, what: &str) -> String {
        format!("bad argument #{at} to '{}' ({what})", self.name)
    }

    fn number(&mut self, default: usize) -> Result<usize, String> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = ebb_types::number::parse_i64(number.trim_ascii_start());
        let number = number.filter(|number| *number <= i64::from(i32::MAX));
        number.map(|number| number as usize).ok_or_else(|| "integral size overflow".into())
    }

    /// The next item, and how much padding comes before it at a position.
    fn next(&mut self, at: usize) -> Result<Option<(Item, usize)>, String> {
        while let Some((&option, rest)) = self.rest.split_first() {
            self.rest = rest;
            let signed = option.is_ascii_lowercase();
            let item = match option {
                b'b' | b'B' => Item::Integer { bytes: 1, signed },
                b'h' | b'H' => Item::Integer { bytes: 2, signed },
                b'l' | b'L' => Item::Integer { bytes: 8, signed },
                b'T' => Item::Integer { bytes: 8, signed },
                b'i' | b'I' => {
                    let bytes = self.number(4)?;
                    if bytes > INTEGER_MAX {
                        return Err(format!(
                            "integral size {bytes} is larger than limit of {INTEGER_MAX}"
                        ));
                    }
                    Item::Integer { bytes, signed }
                }
                b'f' => Item::Single,
                b'd' => Item::Double,
                b's' => Item::Text,
                b'c' => Item::Bytes(self.number(1)?),
                b'x' => Item::Padding,
                _ => {
                    self.control(option)?;
                    continue;
                }
            };
            return Ok(Some((item, self.padding(item, at))));
        }
        Ok(None)
    }

    fn control(&mut self, option: u8) -> Result<(), String> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let align = self.number(ALIGN_DEFAULT)?;
                if !align.is_power_of_two() {
                    return Err("alignment is not a power of 2".into());
                }
                self.align = align;
            }
            other => {
                let what = format!("invalid format option '{}'", char::from(other));
                return Err(self.argument_error(1, &what));
            }
        }
        Ok(())
    }

    fn padding(&self, item: Item, at: usize) -> usize {
        let bytes = item.bytes().min(self.align);
        if bytes == 0 || matches!(item, Item::Bytes(_)) {
            return 0;
        }
        bytes.wrapping_sub(at & (bytes - 1)) & (bytes - 1)
    }

    fn ordered(&self, mut little: Vec<u8>) -> Vec<u8> {
        if self.big_endian {
            little.reverse();
        }
        little
    }
}

fn pack_all(lua: &Lua, args: &[Value]) -> Result<Vec<u8>, String> {
    let format = text(lua, args, 0, "pack")?;
    let mut format = Format::new(&format, "pack");
    let mut out = Vec::new();
    let mut at = 1;
    while let Some((item, padding)) = format.next(out.len())? {
        scratch::make_room(&mut out, padding).map_err(|_| "not enough memory")?;
        out.resize(out.len() + padding, 0);
        match item {
            Item::Padding => {
                out.push(0);
                continue;
            }
            Item::Integer { bytes, .. } => {
                let number = number(lua, args, at, "pack")?;
                let value = if number < 0.0 { to_i64(number) as u64 } else { number as u64 };
                let mut little = value.to_le_bytes().to_vec();
                little.resize(bytes, 0);
                out.extend(format.ordered(little));
            }
            Item::Single => {
                let bytes = (number(lua, args, at, "pack")? as f32).to_le_bytes();
                out.extend(format.ordered(bytes.to_vec()));
            }
            Item::Double => {
                let bytes = number(lua, args, at, "pack")?.to_le_bytes();
                out.extend(format.ordered(bytes.to_vec()));
            }
            Item::Text => {
                out.extend(text(lua, args, at, "pack")?);
                out.push(0);
            }
            Item::Bytes(bytes) => {
                let text = text(lua, args, at, "pack")?;
                let bytes = if bytes == 0 { text.len() } else { bytes };
                let taken = text.get(..bytes);
                out.extend(taken.ok_or_else(|| format.argument_error(at + 1, "string too short"))?);
            }
        }
        at += 1;
    }
    Ok(out)
}

fn number(lua: &Lua, args: &[Value], at: usize, name: &str) -> Result<f64, String> {
    let value = args.get(at);
    value.and_then(|value| as_number(lua, value)).ok_or_else(|| bad_number(name, at, value))
}

fn text(lua: &Lua, args: &[Value], at: usize, name: &str) -> Result<Vec<u8>, String> {
    args.get(at).and_then(|value| as_string(lua, value)).ok_or_else(|| {
        let got = type_name(args.get(at));
        format!("bad argument #{} to '{name}' (string expected, got {got})", at + 1)
    })
}

/// An integer of any size; what lies beyond 64 bits is ignored.
fn read_integer(little: &[u8], signed: bool) -> f64 {
    let mut bytes = [0; 8];
    let len = little.len().min(8);
    bytes[..len].copy_from_slice(&little[..len]);
    let unused = 64 - 8 * len as u32;
    let value = u64::from_le_bytes(bytes);
    match (signed, len) {
        (_, 0) => 0.0,
        (true, _) => (((value << unused) as i64) >> unused) as f64,
        (false, _) => value as f64,
    }
}

/// What a text holds, and the position behind it.
fn unpack_all(lua: &Lua, args: &[Value]) -> Result<MultiValue, String> {
    let format = text(lua, args, 0, "unpack")?;
    let data = text(lua, args, 1, "unpack")?;
    let mut format = Format::new(&format, "unpack");
    let start = match args.get(2) {
        None | Some(Value::Nil) => 1,
        Some(_) => to_i64(number(lua, args, 2, "unpack")?),
    };
    if start < 1 {
        return Err(format.argument_error(3, "offset must be 1 or greater"));
    }
    let memory = |error: mlua::Error| error.to_string();
    let mut at = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let mut results = MultiValue::new();
    while let Some((item, padding)) = format.next(at)? {
        at = at.saturating_add(padding);
        let take = |at: usize, bytes: usize| {
            let end = at.checked_add(bytes);
            end.and_then(|end| data.get(at..end))
                .ok_or_else(|| "bad argument #2 to 'unpack' (data string too short)".to_owned())
        };
        let bytes = take(at, item.bytes())?;
        let mut used = bytes.len();
        let string = |bytes: &[u8]| lua.create_string(bytes).map(Value::String).map_err(memory);
        let little = || format.ordered(bytes.to_vec());
        let value = match item {
            Item::Padding => {
                at += used;
                continue;
            }
            Item::Integer { signed, .. } => Value::Number(read_integer(&little(), signed)),
            Item::Single => {
                let bytes = little().first_chunk().copied().unwrap_or_default();
                Value::Number(f64::from(f32::from_le_bytes(bytes)))
            }
            Item::Double => {
                let bytes = little().first_chunk().copied().unwrap_or_default();
                Value::Number(f64::from_le_bytes(bytes))
            }
            Item::Text => {
                let rest = data.get(at..).unwrap_or_default();
                let end = rest.iter().position(|byte| *byte == 0);
                let end = end.ok_or("unfinished string in data")?;
                used = end + 1;
                string(&rest[..end])?
            }
            Item::Bytes(0) => {
                let size = results.pop_back().and_then(|size| as_number(lua, &size));
                let size = size.ok_or("format 'c0' needs a previous size")?;
                let bytes = take(at, usize::try_from(to_i64(size)).unwrap_or(usize::MAX))?;
                used = bytes.len();
                string(bytes)?
            }
            Item::Bytes(_) => string(bytes)?,
        };
        at += used;
        if results.len() >= RESULTS_MAX {
            return Err("stack overflow (too many results)".into());
        }
        results.push_back(value);
    }
    results.push_back(Value::Number((at + 1) as f64));
    Ok(results)
}

fn size_of_all(lua: &Lua, args: &[Value]) -> Result<usize, String> {
    let format = text(lua, args, 0, "size")?;
    let mut format = Format::new(&format, "size");
    let mut size: usize = 0;
    while let Some((item, padding)) = format.next(size)? {
        match item {
            Item::Text => return Err(format.argument_error(1, "variable-size format in size")),
            Item::Bytes(0) => return Err(format.argument_error(1, "variable-length format")),
            _ => {}
        }
        size = size.saturating_add(padding).saturating_add(item.bytes());
    }
    Ok(size)
}

/// The library.
pub(crate) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let pack = |lua: &Lua, args: MultiValue| -> Answer {
        match pack_all(lua, &args.into_vec()) {
            Ok(bytes) => Ok(Value::String(lua.create_string(bytes)?)),
            Err(text) => bad(lua, text),
        }
    };
    table.set("pack", lua.create_function(pack)?)?;
    let unpack = |lua: &Lua, args: MultiValue| {
        unpack_all(lua, &args.into_vec()).map_err(|text| raise(lua, text))
    };
    table.set("unpack", lua.create_function(unpack)?)?;
    let size = |lua: &Lua, args: MultiValue| -> Answer {
        match size_of_all(lua, &args.into_vec()) {
            Ok(size) => Ok(Value::Number(size as f64)),
            Err(text) => bad(lua, text),
        }
    };
    table.set("size", lua.create_function(size)?)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn layouts_are_packed_and_unpacked() {
        check(&[
            ("struct.pack('>I2', 258)", "\u{1}\u{2}"),
            ("struct.pack('<I2', 258)", "\u{2}\u{1}"),
            ("#struct.pack('!4 b i4', 1, 2)", "8"),
            ("#struct.pack('bxh', 1, 2)", "4"),
            ("struct.pack('s', 'ab'):byte(3)", "0"),
            ("struct.pack('c2', 'abc')", "ab"),
            ("struct.pack('c0', 'abc')", "abc"),
            ("(struct.unpack('>i2', '\\255\\254'))", "-2"),
            ("(struct.unpack('>I2', '\\255\\254'))", "65534"),
            ("select(2, struct.unpack('>I2', '\\255\\254'))", "3"),
            ("(struct.unpack('bc0', '\\2abc'))", "ab"),
            ("(struct.unpack('s', 'ab\\0c', 2))", "b"),
            ("(struct.unpack('d', struct.pack('d', 1.5)))", "1.5"),
            ("(struct.unpack('>f', struct.pack('>f', -2)))", "-2"),
            ("(struct.unpack('i16', struct.pack('i16', 7)))", "7"),
            ("struct.size('!8 b d')", "16"),
            ("struct.size('bhilTfd')", "35"),
        ]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        check(&[
            (
                "struct.pack('y', 1)",
                "user_script:1: bad argument #1 to 'pack' (invalid format option 'y')",
            ),
            ("struct.pack('i33', 1)", "user_script:1: integral size 33 is larger than limit of 32"),
            ("struct.pack('i99999999999', 1)", "user_script:1: integral size overflow"),
            ("struct.pack('!3 i', 1)", "user_script:1: alignment is not a power of 2"),
            (
                "struct.pack('i', 'x')",
                "user_script:1: bad argument #2 to 'pack' (number expected, got string)",
            ),
            (
                "struct.pack('c5', 'x')",
                "user_script:1: bad argument #2 to 'pack' (string too short)",
            ),
            (
                "struct.unpack('i', 'x')",
                "user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                "struct.unpack('i', 'abcd', 0)",
                "user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater)",
            ),
            (
                "struct.unpack('i', 'abcd', 2^62)",
                "user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            ("struct.unpack('c0', 'abcd')", "user_script:1: format 'c0' needs a previous size"),
            (
                "struct.unpack('bc0', '\\255a')",
                "user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            ("struct.unpack('s', 'abc')", "user_script:1: unfinished string in data"),
            (
                "struct.size('s')",
                "user_script:1: bad argument #1 to 'size' (variable-size format in size)",
            ),
        ]);
    }
}
