//! Lua values as JSON.

use ebb_engine::scratch;
use mlua::{Table, Value};

use super::{DEPTH_LIMIT, Invalid, Settings};
use crate::api::type_name;
use crate::number::general;

/// A value as JSON; the error is Lua's text.
pub(super) fn encode(settings: &Settings, value: &Value) -> Result<Vec<u8>, String> {
    let mut encoder = Encoder { settings, out: Vec::new() };
    encoder.value(value, 0)?;
    Ok(encoder.out)
}

/// More than the text of a number, a word, or what stands between values.
const SHORT_MAX: usize = 64;
/// The most bytes that stand for one.
const ESCAPED_MAX: usize = 6;
/// Room is made for so many bytes of a text at a time.
const CHUNK: usize = 4096;

struct Encoder<'s> {
    settings: &'s Settings,
    out: Vec<u8>,
}

/// What a table is.
enum Shape {
    /// So many elements, missing ones included.
    Array(usize),
    Object,
}

fn as_f64(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

fn memory(error: mlua::Error) -> String {
    error.to_string()
}

impl Encoder<'_> {
    /// Makes room for what comes next.
    fn fit(&mut self, bytes: usize) -> Result<(), String> {
        scratch::make_room(&mut self.out, bytes).map_err(|_| "not enough memory".into())
    }

    fn value(&mut self, value: &Value, depth: i64) -> Result<(), String> {
        self.fit(SHORT_MAX)?;
        match value {
            Value::String(text) => self.string(&text.as_bytes())?,
            Value::Integer(_) | Value::Number(_) => {
                self.number(as_f64(value).unwrap_or_default())?;
            }
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(data) if data.0.is_null() => self.out.extend_from_slice(b"null"),
            Value::Table(table) => self.table(table, depth + 1)?,
            other => {
                let kind = type_name(Some(other));
                return Err(format!("Cannot serialise {kind}: type not supported"));
            }
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), String> {
        if !number.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refused => {
                    return Err("Cannot serialise number: must not be NaN or Inf".into());
                }
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                Invalid::Written => {}
            }
        }
        self.out.extend_from_slice(general(number, self.settings.precision as usize).as_bytes());
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> Result<(), String> {
        self.out.push(b'"');
        for chunk in text.chunks(CHUNK) {
            self.fit(chunk.len() * ESCAPED_MAX + SHORT_MAX)?;
            self.escaped(chunk);
        }
        self.out.push(b'"');
        Ok(())
    }

    fn escaped(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                b'"' | b'\\' | b'/' => self.out.extend([b'\\', byte]),
                8 => self.out.extend(b"\\b"),
                9 => self.out.extend(b"\\t"),
                10 => self.out.extend(b"\\n"),
                12 => self.out.extend(b"\\f"),
                13 => self.out.extend(b"\\r"),
                0..=31 | 127 => self.out.extend(format!("\\u{byte:04x}").bytes()),
                _ => self.out.push(byte),
            }
        }
    }

    fn table(&mut self, table: &Table, depth: i64) -> Result<(), String> {
        if depth > self.settings.encode_depth_max.min(DEPTH_LIMIT) {
            return Err(format!("Cannot serialise, excessive depth ({depth})"));
        }
        match self.shape(table)? {
            Shape::Array(len) => self.array(table, len, depth),
            Shape::Object => self.object(table, depth),
        }
    }

    /// A table is an array if all of its keys are positive integers and not too many between
    /// them are missing.
    fn shape(&self, table: &Table) -> Result<Shape, String> {
        let (mut largest, mut count) = (0_f64, 0_usize);
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair.map_err(memory)?;
            count += 1;
            match as_f64(&key) {
                Some(number) if number >= 1.0 && number.fract() == 0.0 => {
                    largest = largest.max(number);
                }
                _ => return Ok(Shape::Object),
            }
        }
        let Settings { sparse_ratio, sparse_safe, sparse_convert, .. } = *self.settings;
        let many = largest > count as f64 * sparse_ratio as f64;
        if sparse_ratio > 0 && many && largest > sparse_safe as f64 {
            return if sparse_convert {
                Ok(Shape::Object)
            } else {
                Err("Cannot serialise table: excessively sparse array".into())
            };
        }
        Ok(if count == 0 { Shape::Object } else { Shape::Array(largest as usize) })
    }

    fn array(&mut self, table: &Table, len: usize, depth: i64) -> Result<(), String> {
        self.out.push(b'[');
        for at in 1..=len {
            if at > 1 {
                self.out.push(b',');
            }
            let value = table.raw_get(at).map_err(memory)?;
            self.value(&value, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: i64) -> Result<(), String> {
        self.out.push(b'{');
        for (at, pair) in table.pairs::<Value, Value>().enumerate() {
            let (key, value) = pair.map_err(memory)?;
            if at > 0 {
                self.out.push(b',');
            }
            match (&key, as_f64(&key)) {
                (Value::String(text), _) => self.string(&text.as_bytes())?,
                (_, Some(number)) => {
                    self.out.push(b'"');
                    self.number(number)?;
                    self.out.push(b'"');
                }
                _ => {
                    let text = "Cannot serialise table: table key must be a number or string";
                    return Err(text.into());
                }
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}
