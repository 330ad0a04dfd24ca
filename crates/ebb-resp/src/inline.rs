//! Splits an inline command, as one types it into a terminal, by Redis's quoting rules.
//!
//! Arguments are parted by blanks. Within double quotes `\n`, `\r`, `\t`, `\b`, `\a` and `\xHH` stand for bytes, and a
//! backslash before anything else for that byte. Within single quotes only `\'` is special. A closing quote must be
//! followed by a blank or the end of the line; an opening one may stand within a word.

use crate::request::{Arg, ProtocolError};

/// Appends the arguments of `line`, which has no line end. An argument without quotes is a range of the line,
/// one with quotes is unquoted into `scratch`.
pub(crate) fn split(
    line: &[u8],
    args: &mut Vec<Arg>,
    scratch: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let mut position = 0;
    loop {
        position += line[position..].iter().take_while(|&&byte| is_blank(byte)).count();
        let word = &line[position..];
        if word.is_empty() {
            return Ok(());
        }
        let plain = word.iter().take_while(|&&byte| !ends_word(byte) && !is_quote(byte)).count();
        if word.get(plain).is_some_and(|&byte| is_quote(byte)) {
            let start = scratch.len();
            position += unquote(word, scratch)?;
            args.push(Arg::Scratch { start: offset(start), len: offset(scratch.len() - start) });
        } else {
            args.push(Arg::Inline { start: offset(position), len: offset(plain) });
            position += plain;
        }
    }
}

/// A line has at most 64 KiB, and the scratch buffer holds the lines of one batch of requests, which never comes
/// near 4 GiB. Should it ever, the argument comes out wrong, but nothing reads out of bounds.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What may stand before a word; the same bytes as C's `isspace`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// What ends a word that is not in quotes. Vertical tabs and form feeds do not, though they count as blanks before
/// a word.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

/// Appends the word at the start of `rest` without its quotes, and gives the bytes it took.
fn unquote(rest: &[u8], scratch: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    let mut position = 0;
    loop {
        match rest.get(position) {
            None => return Ok(position),
            Some(&byte) if ends_word(byte) => return Ok(position),
            Some(b'"') => return Ok(position + 1 + double_quoted(&rest[position + 1..], scratch)?),
            Some(b'\'') => {
                return Ok(position + 1 + single_quoted(&rest[position + 1..], scratch)?);
            }
            Some(&byte) => {
                scratch.push(byte);
                position += 1;
            }
        }
    }
}

/// Unquotes what follows a `"`, and gives the bytes taken, with the closing quote.
fn double_quoted(rest: &[u8], scratch: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    let mut position = 0;
    loop {
        let (byte, taken) = match &rest[position..] {
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(*high) << 4 | hex_value(*low), 4)
            }
            [b'\\', escaped, ..] => (unescape(*escaped), 2),
            [b'"', after @ ..] => return closed(after, position + 1),
            [byte, ..] => (*byte, 1),
            [] => return Err(ProtocolError::UnbalancedQuotes),
        };
        scratch.push(byte);
        position += taken;
    }
}

/// Unquotes what follows a `'`, and gives the bytes taken, with the closing quote.
fn single_quoted(rest: &[u8], scratch: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    let mut position = 0;
    loop {
        let (byte, taken) = match &rest[position..] {
            [b'\\', b'\'', ..] => (b'\'', 2),
            [b'\'', after @ ..] => return closed(after, position + 1),
            [byte, ..] => (*byte, 1),
            [] => return Err(ProtocolError::UnbalancedQuotes),
        };
        scratch.push(byte);
        position += taken;
    }
}

fn closed(after: &[u8], taken: usize) -> Result<usize, ProtocolError> {
    match after.first() {
        Some(&byte) if !is_blank(byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(taken),
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let (mut args, mut scratch) = (Vec::new(), b"before".to_vec());
        split(line.as_bytes(), &mut args, &mut scratch)?;
        let range = |bytes: &[u8], start: u32, len: u32| {
            bytes[start as usize..(start + len) as usize].to_vec()
        };
        let bytes_of = |arg| match arg {
            Arg::Inline { start, len } => range(line.as_bytes(), start, len),
            Arg::Scratch { start, len } => range(&scratch, start, len),
            Arg::External(_) => panic!("an inline command has no external argument"),
        };
        Ok(args.into_iter().map(bytes_of).collect())
    }

    #[test]
    fn words_and_quotes_split_as_in_redis() {
        let cases: [(&str, &[&[u8]]); 14] = [
            ("", &[]),
            (" \t\x0b ", &[]),
            ("PING", &[b"PING"]),
            ("  SET  k\tv ", &[b"SET", b"k", b"v"]),
            ("GET \"a b\"", &[b"GET", b"a b"]),
            ("GET \"a\\x41\\n\\r\\t\\a\\b\\\\\\\"\"", &[b"GET", b"aA\n\r\t\x07\x08\\\""]),
            ("GET \"\\x4g\"", &[b"GET", b"x4g"]),
            ("GET 'a\\'b\\n'", &[b"GET", b"a'b\\n"]),
            ("GET a\"b c\"", &[b"GET", b"ab c"]),
            ("GET \"\" ''", &[b"GET", b"", b""]),
            ("GET a\x0bb \x0bc", &[b"GET", b"a\x0bb", b"c"]),
            ("GET 'a'\x0bb", &[b"GET", b"a", b"b"]),
            ("GET a\rb", &[b"GET", b"a", b"b"]),
            ("\"\\xff\"", &[b"\xff"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).expect(line), expected, "{line:?}");
        }
    }

    #[test]
    fn quotes_must_close_before_a_blank() {
        for line in ["\"a", "'a", "\"a\"b", "'a'b", "\"a\\", "\"a\\\"", "'a\\'", "\"a\"'b'"] {
            assert_eq!(words(line), Err(ProtocolError::UnbalancedQuotes), "{line:?}");
        }
    }
}
