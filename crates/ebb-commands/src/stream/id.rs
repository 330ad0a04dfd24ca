//! Ids of stream entries as arguments and in replies.

use ebb_collections::stream::{StreamEntry, StreamId};
use ebb_engine::{CommandError, Reply};
use ebb_types::number::{IntegerText, parse_u64};

/// A number as C's `strtoull` reads it: blanks, a `+` and zeros may come first.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let significant = &digits[zeros.min(digits.len().saturating_sub(1))..];
    parse_u64(significant)
}

fn invalid() -> CommandError {
    CommandError::new("ERR Invalid stream ID specified as stream command argument")
}

/// `ms` or `ms-seq`; a missing number is `missing`.
pub(super) fn parse(text: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    let (ms, seq) = match text.iter().position(|&byte| byte == b'-') {
        Some(at) => (&text[..at], number(&text[at + 1..]).ok_or_else(invalid)?),
        None => (text, missing),
    };
    let ms = number(ms).ok_or_else(invalid)?;
    Ok(StreamId { ms, seq })
}

/// The same, or `-` and `+` for the least and the greatest.
pub(super) fn parse_or_end(text: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse(text, missing),
    }
}

/// The first id of an interval; `(` before it leaves it out.
pub(super) fn parse_start(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            parse(rest, 0)?.next().ok_or(CommandError::new("ERR invalid start ID for the interval"))
        }
        _ => parse_or_end(text, 0),
    }
}

/// The last id of an interval; `(` before it leaves it out.
pub(super) fn parse_end(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => parse(rest, u64::MAX)?
            .previous()
            .ok_or(CommandError::new("ERR invalid end ID for the interval")),
        _ => parse_or_end(text, u64::MAX),
    }
}

/// Answers an id.
pub(super) fn reply_id(reply: &mut Reply, id: StreamId) {
    let (ms, seq) = (IntegerText::from_u64(id.ms), IntegerText::from_u64(id.seq));
    let mut text = [0; 41];
    let mut len = 0;
    for part in [ms.as_bytes(), b"-", seq.as_bytes()] {
        text[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    reply.bulk(&text[..len]);
}

/// Answers an entry.
pub(super) fn reply_entry(reply: &mut Reply, entry: &StreamEntry<'_>) {
    reply.array(2);
    reply_parts(reply, entry);
}

/// Answers an entry's id, and names and values.
pub(super) fn reply_parts(reply: &mut Reply, entry: &StreamEntry<'_>) {
    reply_id(reply, entry.id);
    reply.array(entry.fields.len() * 2);
    for (name, value) in &entry.fields {
        reply.bulk(name);
        reply.bulk(value);
    }
}

/// Answers all of some entries.
pub(super) fn reply_entries(reply: &mut Reply, entries: &[StreamEntry<'_>]) {
    reply.array(entries.len());
    entries.iter().for_each(|entry| reply_entry(reply, entry));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_strict() {
        let id = |ms, seq| StreamId { ms, seq };
        assert_eq!(parse(b"5-3", 0), Ok(id(5, 3)));
        assert_eq!(parse(b"5", 7), Ok(id(5, 7)));
        assert_eq!(parse(b" +05-003", 0), Ok(id(5, 3)));
        for text in ["", "-", "+", "5-", "-5", "5-x", "5-3-1", "a", "18446744073709551616"] {
            assert!(parse(text.as_bytes(), 0).is_err(), "{text}");
        }
        assert_eq!(parse_start(b"(5-3"), Ok(id(5, 4)));
        assert_eq!(parse_end(b"(5-0"), Ok(id(4, u64::MAX)));
        assert_eq!(parse_end(b"+"), Ok(StreamId::MAX));
        assert!(parse_end(b"(0-0").is_err() && parse_start(b"(-").is_err());
    }
}
