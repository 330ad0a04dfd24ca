//! The client's end of the protocol: encodes commands, and reads replies into owned values.

use ebb_types::number::{parse_i64, write_u64};
use std::fmt;

/// The deepest nesting of replies that is read; deeper ones come from no honest server.
const DEPTH_MAX: usize = 512;

/// Appends a command in the form that servers read fastest: an array of bulk strings.
pub fn encode_command<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.push(b'*');
    write_u64(out, args.len() as u64);
    out.extend_from_slice(b"\r\n");
    for arg in args {
        let arg = arg.as_ref();
        out.push(b'$');
        write_u64(out, arg.len() as u64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`
    Simple(Vec<u8>),
    /// `-` or `!`, with its code first.
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1` or `_`
    Null,
    /// `*-1`
    NullArray,
    /// `*`
    Array(Vec<Value>),
    /// `%`, in the order in which the pairs came.
    Map(Vec<(Value, Value)>),
    /// `~`, in the order in which the elements came.
    Set(Vec<Value>),
    /// `>`
    Push(Vec<Value>),
    /// `|`, and the reply it belongs to.
    Attributed {
        /// The pairs of the attribute.
        attributes: Vec<(Value, Value)>,
        /// The reply itself.
        value: Box<Value>,
    },
    /// `,`
    Double(f64),
    /// `#`
    Boolean(bool),
    /// `(`, as decimal text.
    BigNumber(Vec<u8>),
    /// `=`
    Verbatim {
        /// Three bytes such as `txt`.
        format: [u8; 3],
        /// What follows the format and its colon.
        text: Vec<u8>,
    },
}

/// What a server sent is not RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyError(&'static str);

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a reply: {}", self.0)
    }
}

impl std::error::Error for ReplyError {}

/// Puts replies together from bytes as they come. What has been read is not read again, however a reply is split.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buffer: Vec<u8>,
    /// The bytes of `buffer` that have been read.
    position: usize,
    /// The aggregates that have begun, outermost first.
    open: Vec<OpenAggregate>,
}

#[derive(Debug)]
struct OpenAggregate {
    kind: OpenKind,
    /// The elements still to come.
    left: usize,
    elements: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenKind {
    Array,
    Set,
    Push,
    Map,
    /// The last element is the reply that the attribute belongs to.
    Attribute,
}

/// One step of reading.
enum Step {
    Value(Value),
    Open(OpenKind, usize),
}

impl ReplyReader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that came from the server.
    pub fn feed(&mut self, bytes: &[u8]) {
        // What was read is dropped when it is more than half, so that each byte is moved once on average.
        if self.position > self.buffer.len() / 2 {
            self.buffer.drain(..self.position);
            self.position = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole reply, or `None` if more bytes are needed. After an error the stream cannot be read on.
    pub fn next_reply(&mut self) -> Result<Option<Value>, ReplyError> {
        loop {
            let Some((step, taken)) = read_step(&self.buffer[self.position..])? else {
                return Ok(None);
            };
            self.position += taken;
            let value = match step {
                Step::Open(kind, left) if left > 0 => {
                    if self.open.len() == DEPTH_MAX {
                        return Err(ReplyError("nested too deep"));
                    }
                    self.open.push(OpenAggregate { kind, left, elements: Vec::new() });
                    continue;
                }
                Step::Open(kind, _) => close(kind, Vec::new()),
                Step::Value(value) => value,
            };
            if let Some(reply) = self.add(value) {
                return Ok(Some(reply));
            }
        }
    }

    /// Puts a value where it belongs, and gives the reply that this completes.
    fn add(&mut self, mut value: Value) -> Option<Value> {
        while let Some(innermost) = self.open.last_mut() {
            innermost.elements.push(value);
            innermost.left -= 1;
            if innermost.left > 0 {
                return None;
            }
            let done = self.open.pop()?;
            value = close(done.kind, done.elements);
        }
        Some(value)
    }
}

fn close(kind: OpenKind, mut elements: Vec<Value>) -> Value {
    match kind {
        OpenKind::Array => Value::Array(elements),
        OpenKind::Set => Value::Set(elements),
        OpenKind::Push => Value::Push(elements),
        OpenKind::Map => Value::Map(pairs(elements)),
        OpenKind::Attribute => {
            let value = Box::new(elements.pop().unwrap_or(Value::Null));
            Value::Attributed { attributes: pairs(elements), value }
        }
    }
}

fn pairs(elements: Vec<Value>) -> Vec<(Value, Value)> {
    let mut pairs = Vec::with_capacity(elements.len() / 2);
    let mut elements = elements.into_iter();
    while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// Reads a scalar or the header of an aggregate, and the bytes it took; `None` if it is not all there.
fn read_step(bytes: &[u8]) -> Result<Option<(Step, usize)>, ReplyError> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return Ok(None);
    };
    let [marker, rest @ .., b'\r'] = &bytes[..end] else {
        return Err(ReplyError("a line does not end with CR and LF"));
    };
    let after_line = end + 1;
    let value = match marker {
        b'+' => Value::Simple(rest.to_vec()),
        b'-' => Value::Error(rest.to_vec()),
        b':' => Value::Integer(integer(rest)?),
        b'_' if rest.is_empty() => Value::Null,
        b'#' if rest == b"t" => Value::Boolean(true),
        b'#' if rest == b"f" => Value::Boolean(false),
        b',' => Value::Double(double(rest)?),
        b'(' => Value::BigNumber(rest.to_vec()),
        b'$' | b'*' if rest == b"-1" => {
            if *marker == b'$' {
                Value::Null
            } else {
                Value::NullArray
            }
        }
        b'$' | b'!' | b'=' => return read_blob(*marker, bytes, after_line, length(rest)?),
        _ => return Ok(Some((open(*marker, length(rest)?)?, after_line))),
    };
    Ok(Some((Step::Value(value), after_line)))
}

fn open(marker: u8, len: usize) -> Result<Step, ReplyError> {
    const TOO_LONG: ReplyError = ReplyError("a length is out of range");
    Ok(match marker {
        b'*' => Step::Open(OpenKind::Array, len),
        b'~' => Step::Open(OpenKind::Set, len),
        b'>' => Step::Open(OpenKind::Push, len),
        b'%' => Step::Open(OpenKind::Map, len.checked_mul(2).ok_or(TOO_LONG)?),
        b'|' => {
            let with_value = len.checked_mul(2).and_then(|len| len.checked_add(1));
            Step::Open(OpenKind::Attribute, with_value.ok_or(TOO_LONG)?)
        }
        _ => return Err(ReplyError("unknown type")),
    })
}

fn read_blob(
    marker: u8,
    bytes: &[u8],
    start: usize,
    len: usize,
) -> Result<Option<(Step, usize)>, ReplyError> {
    let Some(after) = start.checked_add(len).and_then(|end| bytes.get(end..)) else {
        return Ok(None);
    };
    let Some(line_end) = after.first_chunk::<2>() else {
        return Ok(None);
    };
    if line_end != b"\r\n" {
        return Err(ReplyError("a bulk does not end with CR and LF"));
    }
    let payload = &bytes[start..start + len];
    let value = match (marker, payload) {
        (b'$', _) => Value::Bulk(payload.to_vec()),
        (b'!', _) => Value::Error(payload.to_vec()),
        (_, [a, b, c, b':', text @ ..]) => {
            Value::Verbatim { format: [*a, *b, *c], text: text.to_vec() }
        }
        _ => return Err(ReplyError("a verbatim string has no format")),
    };
    Ok(Some((Step::Value(value), start + len + 2)))
}

fn integer(text: &[u8]) -> Result<i64, ReplyError> {
    parse_i64(text).ok_or(ReplyError("a number is malformed"))
}

fn length(text: &[u8]) -> Result<usize, ReplyError> {
    usize::try_from(integer(text)?).map_err(|_| ReplyError("a length is out of range"))
}

fn double(text: &[u8]) -> Result<f64, ReplyError> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok()).ok_or(ReplyError("a double is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{Protocol, ReplyWriter};
    use proptest::prelude::*;

    const STREAM: &[u8] = b"+OK\r\n-ERR no\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n#t\r\n#f\r\n,1.5\r\n,-inf\r\n(123\r\n\
        =6\r\ntxt:hi\r\n!6\r\nERR no\r\n*0\r\n*2\r\n*1\r\n:1\r\n%1\r\n+k\r\n~1\r\n:2\r\n>1\r\n+p\r\n|1\r\n+a\r\n:1\r\n$0\r\n\r\n";

    fn expected() -> Vec<Value> {
        let simple = |text: &str| Value::Simple(text.into());
        vec![
            simple("OK"),
            Value::Error(b"ERR no".to_vec()),
            Value::Integer(-5),
            Value::Bulk(b"a\r\n".to_vec()),
            Value::Null,
            Value::NullArray,
            Value::Null,
            Value::Boolean(true),
            Value::Boolean(false),
            Value::Double(1.5),
            Value::Double(f64::NEG_INFINITY),
            Value::BigNumber(b"123".to_vec()),
            Value::Verbatim { format: *b"txt", text: b"hi".to_vec() },
            Value::Error(b"ERR no".to_vec()),
            Value::Array(vec![]),
            Value::Array(vec![
                Value::Array(vec![Value::Integer(1)]),
                Value::Map(vec![(simple("k"), Value::Set(vec![Value::Integer(2)]))]),
            ]),
            Value::Push(vec![simple("p")]),
            Value::Attributed {
                attributes: vec![(simple("a"), Value::Integer(1))],
                value: Box::new(Value::Bulk(vec![])),
            },
        ]
    }

    fn read_all(reader: &mut ReplyReader, into: &mut Vec<Value>) {
        while let Some(value) = reader.next_reply().expect("the stream is well formed") {
            into.push(value);
        }
    }

    #[test]
    fn every_split_gives_the_same_replies() {
        for split in 0..=STREAM.len() {
            let (mut reader, mut values) = (ReplyReader::new(), Vec::new());
            for part in [&STREAM[..split], &STREAM[split..]] {
                reader.feed(part);
                read_all(&mut reader, &mut values);
            }
            assert_eq!(values, expected(), "split at {split}");
        }
        let (mut reader, mut values) = (ReplyReader::new(), Vec::new());
        for byte in STREAM {
            reader.feed(&[*byte]);
            read_all(&mut reader, &mut values);
        }
        assert_eq!(values, expected(), "byte by byte");
    }

    #[test]
    fn what_is_not_a_reply_is_an_error() {
        let cases: [&[u8]; 10] = [
            b"x\r\n",
            b"\r\n",
            b"+a\n",
            b":1x\r\n",
            b"$-2\r\n",
            b"$1\r\nabc",
            b"=2\r\nab\r\n",
            b"#x\r\n",
            b",x\r\n",
            b"%9223372036854775807\r\n",
        ];
        for bytes in cases {
            let mut reader = ReplyReader::new();
            reader.feed(bytes);
            let outcome = reader.next_reply();
            // A map of 2^63 - 1 pairs has a count that fits, so it only waits for elements that never come.
            let waits = bytes.starts_with(b"%") && outcome == Ok(None);
            assert!(
                outcome.is_err() || waits,
                "{:?} gave {outcome:?}",
                String::from_utf8_lossy(bytes)
            );
        }
        let mut reader = ReplyReader::new();
        reader.feed(&b"*1\r\n".repeat(DEPTH_MAX + 1));
        assert!(reader.next_reply().is_err(), "nesting has to end somewhere");
    }

    #[test]
    fn commands_are_arrays_of_bulks() {
        let mut out = Vec::new();
        encode_command(&mut out, &["GET", "a key"]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$5\r\na key\r\n");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'*'), Just(b'$'), Just(b'|'), b'0'..=b'3', any::<u8>()], 0..64)) {
            let mut reader = ReplyReader::new();
            reader.feed(&bytes);
            while let Ok(Some(_)) = reader.next_reply() {}
        }

        #[test]
        fn what_the_writer_writes_reads_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..40), integer: i64, bits: u64, resp3: bool,
        ) {
            let double = f64::from_bits(bits);
            prop_assume!(!double.is_nan());
            let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
            let mut out = Vec::new();
            let mut writer = ReplyWriter::new(&mut out, protocol);
            writer.array(3);
            writer.bulk(&bytes);
            writer.integer(integer);
            writer.double(double);
            let double = match protocol {
                Protocol::Resp2 => Value::Bulk(ebb_types::float::format_f64(double)),
                Protocol::Resp3 => Value::Double(double),
            };
            let mut reader = ReplyReader::new();
            reader.feed(&out);
            let expected = Value::Array(vec![Value::Bulk(bytes), Value::Integer(integer), double]);
            prop_assert_eq!(reader.next_reply(), Ok(Some(expected)));
        }
    }
}
