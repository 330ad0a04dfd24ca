//! How a line of `redis.conf` becomes arguments, and how an argument is written back.
//!
//! Arguments are separated by blanks. `"..."` knows `\n \r \t \b \a \xHH` (any other escaped byte is itself);
//! `'...'` knows only `\'`. A closing quote ends its argument: what follows must be a blank or the end.

/// The reason given for a line whose quotes do not close.
pub(crate) const UNBALANCED: &str = "Unbalanced quotes in configuration line";

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The line without leading and trailing blanks.
pub(crate) fn trim(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = line {
        line = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = line {
        line = rest;
    }
    line
}

/// Splits a line into its arguments; `None` when a quote is left open or is followed by more than a blank.
pub fn split_arguments(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut arguments = Vec::new();
    let mut at = 0;
    loop {
        while at < line.len() && is_blank(line[at]) {
            at += 1;
        }
        if at == line.len() {
            return Some(arguments);
        }
        let mut argument = Vec::new();
        at = read_argument(line, at, &mut argument)?;
        arguments.push(argument);
    }
}

/// Reads one argument that starts at `at`; returns where it ends.
fn read_argument(line: &[u8], mut at: usize, into: &mut Vec<u8>) -> Option<usize> {
    while at < line.len() {
        match line[at] {
            blank if is_blank(blank) => break,
            quote @ (b'"' | b'\'') => {
                at = if quote == b'"' {
                    read_double_quoted(line, at + 1, into)?
                } else {
                    read_single_quoted(line, at + 1, into)?
                };
                return (at == line.len() || is_blank(line[at])).then_some(at);
            }
            byte => {
                into.push(byte);
                at += 1;
            }
        }
    }
    Some(at)
}

fn read_double_quoted(line: &[u8], mut at: usize, into: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *line.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if at + 1 < line.len() => {
                if let Some(byte) = hexadecimal(&line[at + 1..]) {
                    into.push(byte);
                    at += 4;
                    continue;
                }
                into.push(match line[at + 1] {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => other,
                });
                at += 2;
            }
            byte => {
                into.push(byte);
                at += 1;
            }
        }
    }
}

fn read_single_quoted(line: &[u8], mut at: usize, into: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *line.get(at)? {
            b'\'' => return Some(at + 1),
            b'\\' if line.get(at + 1) == Some(&b'\'') => {
                into.push(b'\'');
                at += 2;
            }
            byte => {
                into.push(byte);
                at += 1;
            }
        }
    }
}

/// The byte meant by `xHH` at the start of `text`.
fn hexadecimal(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match text {
        [b'x', high, low, ..] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    }
}

/// Writes `value` in double quotes, so that [`split_arguments`] reads the same bytes back.
pub(crate) fn quote(value: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for &byte in value {
        match byte {
            b'\\' | b'"' => quoted.extend_from_slice(&[b'\\', byte]),
            b'\n' => quoted.extend_from_slice(b"\\n"),
            b'\r' => quoted.extend_from_slice(b"\\r"),
            b'\t' => quoted.extend_from_slice(b"\\t"),
            0x07 => quoted.extend_from_slice(b"\\a"),
            0x08 => quoted.extend_from_slice(b"\\b"),
            b' '..=b'~' => quoted.push(byte),
            _ => quoted.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}

/// A word as it is, or in quotes if it would not be read back as it is.
pub(crate) fn quote_if_needed(word: &[u8]) -> Vec<u8> {
    let is_plain = |&byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !word.is_empty() && word.iter().all(is_plain) { word.to_vec() } else { quote(word) }
}

/// As [`quote`], but leaves UTF-8 text readable, for words of the command line that messages show.
pub(crate) fn quote_word(word: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(word) {
        Ok(text)
            if !text.is_ascii()
                && !text.chars().any(|c| c.is_control() || c == '"' || c == '\\') =>
        {
            format!("\"{text}\"").into_bytes()
        }
        _ => quote(word),
    }
}

#[cfg(test)]
mod tests {
    use super::{quote, split_arguments};
    use proptest::prelude::*;

    fn split(line: &str) -> Option<Vec<String>> {
        let arguments = split_arguments(line.as_bytes())?;
        Some(arguments.into_iter().map(|a| String::from_utf8_lossy(&a).into_owned()).collect())
    }

    #[test]
    fn quotes_and_escapes() {
        let is = |line: &str, expected: &[&str]| {
            assert_eq!(
                split(line).as_deref(),
                Some(&expected.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..])
            );
        };
        is("port 7000", &["port", "7000"]);
        is("  a\t b  ", &["a", "b"]);
        is(r#"save """#, &["save", ""]);
        is(r#"x "a b\n\r\t\b\a\x41\"\\\q""#, &["x", "a b\n\r\t\u{8}\u{7}A\"\\q"]);
        is(r"x 'a\'b\n'", &["x", "a'b\\n"]);
        is(r#"x ab"c d""#, &["x", "abc d"]);
        is(r#"x "\xZZ""#, &["x", "xZZ"]);
        for broken in [r#"x "a"#, "x 'a", r#"hz "1"2"#, r"x 'a'b", r#"x "a\"#] {
            assert_eq!(split(broken), None, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_split_or_refused(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = split_arguments(&line);
        }

        #[test]
        fn a_quoted_argument_reads_back(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(split_arguments(&quote(&value)), Some(vec![value]));
        }
    }
}
