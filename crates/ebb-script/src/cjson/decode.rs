//! JSON as Lua values.

use mlua::{Lua, Value};

use super::{DEPTH_LIMIT, Settings};

/// The value that a text is; the error is Lua's text.
pub(super) fn decode(lua: &Lua, settings: &Settings, text: &[u8]) -> Result<Value, String> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err("JSON parser does not support UTF-16 or UTF-32".into());
    }
    let mut decoder = Decoder { lua, settings, text, at: 0, depth: 0 };
    let first = decoder.token();
    let value = decoder.value(first)?;
    match decoder.token() {
        Token { kind: Kind::End, .. } => Ok(value),
        other => Err(unexpected("the end", &other)),
    }
}

struct Token {
    kind: Kind,
    /// Where it begins, or where what is wrong with it is.
    at: usize,
}

enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::ObjectBegin => "T_OBJ_BEGIN",
            Kind::ObjectEnd => "T_OBJ_END",
            Kind::ArrayBegin => "T_ARR_BEGIN",
            Kind::ArrayEnd => "T_ARR_END",
            Kind::String(_) => "T_STRING",
            Kind::Number(_) => "T_NUMBER",
            Kind::Boolean(_) => "T_BOOLEAN",
            Kind::Null => "T_NULL",
            Kind::Colon => "T_COLON",
            Kind::Comma => "T_COMMA",
            Kind::End => "T_END",
            Kind::Wrong(text) => text,
        }
    }
}

fn unexpected(expected: &str, found: &Token) -> String {
    format!("Expected {expected} but found {} at character {}", found.kind.name(), found.at + 1)
}

struct Decoder<'d> {
    lua: &'d Lua,
    settings: &'d Settings,
    text: &'d [u8],
    at: usize,
    depth: i64,
}

impl Decoder<'_> {
    fn rest(&self) -> &[u8] {
        &self.text[self.at.min(self.text.len())..]
    }

    fn token(&mut self) -> Token {
        let blanks = self.rest().iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        self.at += blanks;
        let at = self.at;
        let Some(&byte) = self.rest().first() else { return Token { kind: Kind::End, at } };
        let single = match byte {
            b'{' => Some(Kind::ObjectBegin),
            b'}' => Some(Kind::ObjectEnd),
            b'[' => Some(Kind::ArrayBegin),
            b']' => Some(Kind::ArrayEnd),
            b':' => Some(Kind::Colon),
            b',' => Some(Kind::Comma),
            _ => None,
        };
        if let Some(kind) = single {
            self.at += 1;
            return Token { kind, at };
        }
        match byte {
            0 => Token { kind: Kind::End, at },
            b'"' => match self.string() {
                Ok(text) => Token { kind: Kind::String(text), at },
                Err(wrong) => Token { kind: Kind::Wrong(wrong), at: self.at },
            },
            _ => Token { kind: self.word(byte), at },
        }
    }

    /// A number, or one of the words.
    fn word(&mut self, first: u8) -> Kind {
        let odd = is_odd_number(self.rest());
        if first == b'-' || first.is_ascii_digit() {
            if odd && !self.settings.decode_invalid {
                return Kind::Wrong("invalid number");
            }
            return self.number();
        }
        let words =
            [("true", Kind::Boolean(true)), ("false", Kind::Boolean(false)), ("null", Kind::Null)];
        for (word, kind) in words {
            if self.rest().starts_with(word.as_bytes()) {
                self.at += word.len();
                return kind;
            }
        }
        if odd && self.settings.decode_invalid {
            self.number()
        } else {
            Kind::Wrong("invalid token")
        }
    }

    fn number(&mut self) -> Kind {
        match read_number(self.rest()) {
            Some((number, len)) => {
                self.at += len;
                Kind::Number(number)
            }
            None => Kind::Wrong("invalid number"),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, &'static str> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let plain = self.rest().iter().take_while(|byte| !b"\"\\\0".contains(byte)).count();
            out.extend_from_slice(&self.rest()[..plain]);
            self.at += plain;
            match self.rest() {
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(out);
                }
                [b'\\', b'u', ..] => {
                    let (text, len) =
                        read_unicode(self.rest()).ok_or("invalid unicode escape code")?;
                    out.extend_from_slice(&text);
                    self.at += len;
                }
                [b'\\', escape, ..] => {
                    out.push(unescaped(*escape).ok_or("invalid escape code")?);
                    self.at += 2;
                }
                [b'\\'] => return Err("invalid escape code"),
                _ => return Err("unexpected end of string"),
            }
        }
    }

    fn value(&mut self, token: Token) -> Result<Value, String> {
        match token.kind {
            Kind::String(text) => self.lua.create_string(text).map(Value::String).map_err(memory),
            Kind::Number(number) => Ok(Value::Number(number)),
            Kind::Boolean(value) => Ok(Value::Boolean(value)),
            Kind::Null => Ok(Value::NULL),
            Kind::ObjectBegin => self.deeper(Self::object),
            Kind::ArrayBegin => self.deeper(Self::array),
            _ => Err(unexpected("value", &token)),
        }
    }

    fn deeper(&mut self, read: fn(&mut Self) -> Result<Value, String>) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > self.settings.decode_depth_max.min(DEPTH_LIMIT) {
            return Err(format!(
                "Found too many nested data structures ({}) at character {}",
                self.depth, self.at
            ));
        }
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, String> {
        let table = self.lua.create_table().map_err(memory)?;
        let mut token = self.token();
        if matches!(token.kind, Kind::ObjectEnd) {
            return Ok(Value::Table(table));
        }
        loop {
            let Kind::String(key) = token.kind else {
                return Err(unexpected("object key string", &token));
            };
            let colon = self.token();
            if !matches!(colon.kind, Kind::Colon) {
                return Err(unexpected("colon", &colon));
            }
            let next = self.token();
            let value = self.value(next)?;
            let key = self.lua.create_string(key).map_err(memory)?;
            table.raw_set(key, value).map_err(memory)?;
            let next = self.token();
            match next.kind {
                Kind::ObjectEnd => return Ok(Value::Table(table)),
                Kind::Comma => token = self.token(),
                _ => return Err(unexpected("comma or object end", &next)),
            }
        }
    }

    fn array(&mut self) -> Result<Value, String> {
        let table = self.lua.create_table().map_err(memory)?;
        let mut token = self.token();
        if matches!(token.kind, Kind::ArrayEnd) {
            return Ok(Value::Table(table));
        }
        for index in 1.. {
            let value = self.value(token)?;
            table.raw_set(index, value).map_err(memory)?;
            let next = self.token();
            match next.kind {
                Kind::ArrayEnd => break,
                Kind::Comma => token = self.token(),
                _ => return Err(unexpected("comma or array end", &next)),
            }
        }
        Ok(Value::Table(table))
    }
}

fn memory(error: mlua::Error) -> String {
    error.to_string()
}

fn unescaped(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// The character of `\uXXXX`, or of two that make a surrogate pair, in UTF-8, and the bytes read.
fn read_unicode(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let unit = |text: &[u8]| -> Option<u32> {
        let digits = text.strip_prefix(b"\\u")?.get(..4)?;
        digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
    };
    let first = unit(text)?;
    let (code, len) = match first {
        0xd800..=0xdbff => {
            let second = unit(text.get(6..)?).filter(|unit| (0xdc00..=0xdfff).contains(unit))?;
            (((first & 0x3ff) << 10 | second & 0x3ff) + 0x10000, 12)
        }
        _ => (first, 6),
    };
    let mut buffer = [0; 4];
    Some((char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes().to_vec(), len))
}

/// Whether what begins here is a number for `strtod` but not for JSON: hexadecimal, infinite,
/// or with zeros before it.
fn is_odd_number(text: &[u8]) -> bool {
    if text.first() == Some(&b'+') {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text {
        [b'0', next, ..] => next.is_ascii_digit() || *next | 0x20 == b'x',
        [first, ..] if first.is_ascii_digit() => false,
        _ => starts_with_word(text, b"inf") || starts_with_word(text, b"nan"),
    }
}

fn starts_with_word(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// The number that a text begins with, as C's `strtod` reads it, and its length.
fn read_number(text: &[u8]) -> Option<(f64, usize)> {
    let signed = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let sign = if text.first() == Some(&b'-') { -1.0 } else { 1.0 };
    let body = &text[signed..];
    for (word, value) in
        [(&b"infinity"[..], f64::INFINITY), (b"inf", f64::INFINITY), (b"nan", f64::NAN)]
    {
        if starts_with_word(body, word) {
            return Some((sign * value, signed + word.len()));
        }
    }
    if starts_with_word(body, b"0x") {
        let digits = body[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let value = body[2..2 + digits].iter().fold(0.0, |value, &digit| {
            value * 16.0 + f64::from(char::from(digit).to_digit(16).unwrap_or(0))
        });
        return Some((sign * value, signed + if digits == 0 { 1 } else { 2 + digits }));
    }
    let digits_at =
        |at: usize| body[at.min(body.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut len = digits_at(0);
    let mut digits = len;
    if body.get(len) == Some(&b'.') {
        let fraction = digits_at(len + 1);
        digits += fraction;
        len += 1 + fraction;
    }
    if digits == 0 {
        return None;
    }
    if matches!(body.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(body.get(len + 1), Some(b'-' | b'+')));
        let exponent = digits_at(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    let number: f64 = std::str::from_utf8(&body[..len]).ok()?.parse().ok()?;
    Some((sign * number, signed + len))
}
