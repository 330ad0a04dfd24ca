//! Writes replies in the dialect that the client chose with HELLO.

use ebb_types::float::write_f64;
use ebb_types::number::{IntegerText, write_i64, write_u64};

use crate::frame;

/// The dialect of a connection. A connection begins with RESP2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The protocol of Redis 2 to 5: no maps, sets, doubles, booleans, attributes or pushes.
    #[default]
    Resp2,
    /// The protocol of Redis 6.
    Resp3,
}

/// A reply that holds others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Elements in order.
    Array,
    /// Pairs of a key and a value; counted in pairs. In RESP2 an array of twice as many elements.
    Map,
    /// Elements without order or repetition. In RESP2 an array.
    Set,
    /// A message that answers no command. In RESP2 an array.
    Push,
}

/// The place where the header of an aggregate goes when its length is known.
#[derive(Debug)]
#[must_use = "an aggregate without its header breaks the protocol"]
pub struct Deferred {
    at: usize,
    kind: Aggregate,
}

/// Appends replies to a buffer.
///
/// Lengths and counts are those of what follows; the writer does not check that it does follow.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> ReplyWriter<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The dialect that is written.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The bytes in the buffer, including any from before this writer.
    #[inline]
    pub fn written_len(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written after the buffer had this length.
    pub fn truncate(&mut self, written_len: usize) {
        self.out.truncate(written_len);
    }

    /// Appends bytes that already are replies in this dialect, or a part of one.
    #[inline]
    pub fn raw(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string, for text that is the server's own and has no line ends.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a simple string ends at its first line end");
        self.out.push(b'+');
        self.raw(text.as_bytes());
        self.end_line();
    }

    /// An error: `text` begins with its code, as in `ERR syntax error`. It may quote what a client sent, so line
    /// ends at its ends are cut off and those within become blanks.
    #[cold]
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let text = text.as_ref();
        let start = text.iter().take_while(|byte| is_line_end(byte)).count();
        let text = &text[start..];
        let end = text.len() - text.iter().rev().take_while(|byte| is_line_end(byte)).count();
        self.out.push(b'-');
        self.out
            .extend(text[..end].iter().map(|byte| if is_line_end(byte) { b' ' } else { *byte }));
        self.end_line();
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        if let Ok(value @ 0..100) = usize::try_from(value) {
            self.header(b':', value);
        } else {
            self.out.push(b':');
            write_i64(self.out, value);
            self.end_line();
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if bytes.len() < frame::SHORT {
            return frame::append_short_bulk(self.out, bytes);
        }
        self.long_bulk(bytes);
    }

    fn long_bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + HEADER_LEN_MAX);
        self.bulk_header(bytes.len());
        self.raw(bytes);
        self.end_line();
    }

    /// The header of a bulk string. The `len` bytes and a final `\r\n` (see [`bulk_end`](Self::bulk_end)) follow,
    /// perhaps sent from where they are stored instead of through this buffer.
    #[inline]
    pub fn bulk_header(&mut self, len: usize) {
        self.header(b'$', len);
    }

    /// The line end after a bulk string whose payload was written by other means.
    #[inline]
    pub fn bulk_end(&mut self) {
        self.end_line();
    }

    /// An integer as a bulk string.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(IntegerText::from_i64(value).as_bytes());
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absence of an array.
    #[inline]
    pub fn null_array(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The header of an array; `len` replies follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.aggregate(Aggregate::Array, len);
    }

    /// The header of a map; `pairs` times a key and a value follow.
    #[inline]
    pub fn map(&mut self, pairs: usize) {
        self.aggregate(Aggregate::Map, pairs);
    }

    /// The header of a set; `len` replies follow.
    #[inline]
    pub fn set(&mut self, len: usize) {
        self.aggregate(Aggregate::Set, len);
    }

    /// The header of a push message; `len` replies follow.
    #[inline]
    pub fn push(&mut self, len: usize) {
        self.aggregate(Aggregate::Push, len);
    }

    /// The header of an aggregate of any kind, counted as [`Aggregate`] says.
    #[inline]
    pub fn aggregate(&mut self, kind: Aggregate, len: usize) {
        let (marker, len) = aggregate_header(self.protocol, kind, len);
        self.header(marker, len);
    }

    /// The header of an attribute of the reply that comes next; `pairs` times a key and a value follow, then that
    /// reply. RESP2 has no attributes: then this writes nothing and gives false, and the pairs must be left out.
    #[must_use = "in RESP2 the pairs must not be written"]
    pub fn attribute(&mut self, pairs: usize) -> bool {
        if self.protocol == Protocol::Resp3 {
            self.header(b'|', pairs);
        }
        self.protocol == Protocol::Resp3
    }

    /// Begins an aggregate whose length is not known yet.
    #[inline]
    pub fn defer(&mut self, kind: Aggregate) -> Deferred {
        Deferred { at: self.out.len(), kind }
    }

    /// Puts the header before what was written since [`defer`](Self::defer); aggregates that were deferred within
    /// this one have to be finished first. The cost is that of moving those bytes.
    pub fn finish(&mut self, deferred: Deferred, len: usize) {
        let (marker, len) = aggregate_header(self.protocol, deferred.kind, len);
        let body_end = self.out.len();
        self.header(marker, len);
        let header_len = self.out.len() - body_end;
        // Only a writer that was truncated past it has the place beyond its end.
        if let Some(moved) = self.out.get_mut(deferred.at..) {
            moved.rotate_right(header_len);
        }
    }

    /// A double: in RESP2 a bulk string.
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(24);
        write_f64(&mut text, value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(&text),
            Protocol::Resp3 => self.line(b',', &text),
        }
    }

    /// A truth value: in RESP2 the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        self.raw(match (self.protocol, value) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// An integer of any size, as decimal text: in RESP2 a bulk string.
    pub fn big_number(&mut self, digits: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => self.line(b'(', digits),
        }
    }

    /// Text to be shown as it is, with its format, `txt` or `mkd`: in RESP2 a bulk string.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() + format.len() + 1);
                self.raw(&format);
                self.out.push(b':');
                self.raw(text);
                self.end_line();
            }
        }
    }

    #[inline(always)]
    fn header(&mut self, marker: u8, len: usize) {
        let digit = |value: usize| b'0' + value as u8;
        match len {
            0..10 => self.raw(&[marker, digit(len), b'\r', b'\n']),
            10..100 => self.raw(&[marker, digit(len / 10), digit(len % 10), b'\r', b'\n']),
            _ => self.long_header(marker, len),
        }
    }

    #[inline(never)]
    fn long_header(&mut self, marker: u8, len: usize) {
        self.out.push(marker);
        write_u64(self.out, len as u64);
        self.end_line();
    }

    fn line(&mut self, marker: u8, text: &[u8]) {
        self.out.push(marker);
        self.raw(text);
        self.end_line();
    }

    #[inline]
    fn end_line(&mut self) {
        self.raw(b"\r\n");
    }
}

/// The most bytes of a bulk beside its payload: marker, length and two line ends.
const HEADER_LEN_MAX: usize = 1 + ebb_types::number::INTEGER_LEN_MAX + 4;

#[inline]
fn aggregate_header(protocol: Protocol, kind: Aggregate, len: usize) -> (u8, usize) {
    match (protocol, kind) {
        (Protocol::Resp2, Aggregate::Map) => (b'*', len * 2),
        (Protocol::Resp2, _) | (_, Aggregate::Array) => (b'*', len),
        (Protocol::Resp3, Aggregate::Map) => (b'%', len),
        (Protocol::Resp3, Aggregate::Set) => (b'~', len),
        (Protocol::Resp3, Aggregate::Push) => (b'>', len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Write = dyn Fn(&mut ReplyWriter<'_>);

    /// What `write` writes in RESP2 and in RESP3.
    fn both(write: impl Fn(&mut ReplyWriter<'_>)) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut out = Vec::new();
            write(&mut ReplyWriter::new(&mut out, protocol));
            String::from_utf8(out).expect("these replies are text")
        })
    }

    #[test]
    fn replies_that_are_the_same_in_both_dialects() {
        let cases: [(&str, &Write); 10] = [
            ("+OK\r\n", &|w| w.ok()),
            ("+PONG\r\n", &|w| w.simple("PONG")),
            ("-ERR a  b\r\n", &|w| w.error("\r\nERR a\r\nb\r\n")),
            ("-\r\n", &|w| w.error("\r\n\r")),
            (":-12\r\n", &|w| w.integer(-12)),
            ("$5\r\nhello\r\n", &|w| w.bulk(b"hello")),
            ("$11\r\nhello world\r\n", &|w| w.bulk(b"hello world")),
            ("$3\r\n-42\r\n", &|w| w.bulk_integer(-42)),
            ("$12345\r\n\r\n", &|w| {
                w.bulk_header(12345);
                w.bulk_end();
            }),
            ("*10\r\n", &|w| w.array(10)),
        ];
        for (expected, write) in cases {
            assert_eq!(both(write), [expected, expected]);
        }
    }

    #[test]
    fn replies_that_differ_between_dialects() {
        assert_eq!(both(|w| w.null()), ["$-1\r\n", "_\r\n"]);
        assert_eq!(both(|w| w.null_array()), ["*-1\r\n", "_\r\n"]);
        assert_eq!(both(|w| w.map(3)), ["*6\r\n", "%3\r\n"]);
        assert_eq!(both(|w| w.set(3)), ["*3\r\n", "~3\r\n"]);
        assert_eq!(both(|w| w.push(3)), ["*3\r\n", ">3\r\n"]);
        assert_eq!(both(|w| w.boolean(true)), [":1\r\n", "#t\r\n"]);
        assert_eq!(both(|w| w.boolean(false)), [":0\r\n", "#f\r\n"]);
        assert_eq!(both(|w| w.double(1.5)), ["$3\r\n1.5\r\n", ",1.5\r\n"]);
        assert_eq!(both(|w| w.double(f64::NEG_INFINITY)), ["$4\r\n-inf\r\n", ",-inf\r\n"]);
        assert_eq!(both(|w| w.double(f64::NAN)), ["$3\r\nnan\r\n", ",nan\r\n"]);
        assert_eq!(both(|w| w.big_number(b"123")), ["$3\r\n123\r\n", "(123\r\n"]);
        assert_eq!(both(|w| w.verbatim(*b"txt", b"hi")), ["$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"]);
        assert_eq!(
            both(|w| assert_eq!(w.attribute(1), w.protocol() == Protocol::Resp3)),
            ["", "|1\r\n"]
        );
    }

    #[test]
    fn deferred_aggregates_nest() {
        let written = both(|w| {
            w.simple("before");
            let outer = w.defer(Aggregate::Array);
            w.integer(1);
            let inner = w.defer(Aggregate::Map);
            for i in 0..12 {
                w.integer(i);
                w.null();
            }
            w.finish(inner, 12);
            let empty = w.defer(Aggregate::Set);
            w.finish(empty, 0);
            w.finish(outer, 3);
        });
        let body = |null: &str| (0..12).map(|i| format!(":{i}\r\n{null}")).collect::<String>();
        assert_eq!(written[0], format!("+before\r\n*3\r\n:1\r\n*24\r\n{}*0\r\n", body("$-1\r\n")));
        assert_eq!(written[1], format!("+before\r\n*3\r\n:1\r\n%12\r\n{}~0\r\n", body("_\r\n")));
    }
}
