//! Finds commands in the bytes a client sent.
//!
//! The parser is a small state machine that a connection keeps. It copies nothing: an argument is a range of the
//! caller's buffer, measured from the first byte of the command, so that it stays right when the buffer grows and
//! moves. Positions already parsed are never looked at again, so a command that dribbles in costs as much as one
//! that comes whole.
//!
//! # Big values
//!
//! A bulk of at least [`Limits::external_bulk_min`] bytes that has not wholly arrived is *external*: `parse` answers
//! [`Progress::NeedBulk`], and the caller reads the payload to where it shall live, without passing it through the
//! buffer. The parser then sees the stream as if the payload had been cut out of it:
//!
//! ```text
//! at NeedBulk { len, offset }:   *3 $3 SET $1 k $90000\r\n | xxxxxx            (what has come of the payload)
//!                                <------- offset --------->|
//! after external_done():         *3 $3 SET $1 k $90000\r\n | \r\n ...           (what follows the payload)
//! ```
//!
//! The caller keeps `buf[..offset]` (earlier arguments point into it), takes the first `len` bytes from `offset` on
//! out of the stream, from the buffer and then from the socket, calls [`RequestParser::external_done`], and goes on
//! calling `parse` with a buffer in which the byte at `offset` is the first one after the payload. The `consumed` of
//! the finished command counts the bytes of this buffer, hence not the payload.

use crate::inline;
use crate::plain;
use ebb_types::number::parse_i64;
use std::fmt;

/// The longest inline command, and the longest line that announces a count or a length. From Redis 7.2.
const LINE_LEN_MAX: usize = 64 * 1024;

/// The most arguments a client may announce before it has authenticated.
pub(crate) const UNAUTHENTICATED_ARGS_MAX: i64 = 10;

/// The longest argument a client may announce before it has authenticated, in bytes.
const UNAUTHENTICATED_BULK_LEN_MAX: usize = 16 * 1024;

/// The most arguments that are reserved on the mere word of a client.
const ARGS_RESERVED_MAX: usize = 1024;

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest argument, in bytes: `proto-max-bulk-len`.
    pub max_bulk_len: usize,
    /// From this length in bytes on, an argument that has not wholly arrived is external.
    pub external_bulk_min: usize,
    /// An argument that would end further than this from the start of its command is external whatever its length
    /// and even if it has arrived, which bounds the buffer of a command with many arguments, and keeps the ranges
    /// of [`Arg`] within 32 bits.
    pub inline_span_max: u32,
    /// Whether the client may use the full limits; see `requirepass`.
    pub authenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bulk_len: 512 * 1024 * 1024,
            external_bulk_min: 32 * 1024,
            inline_span_max: u32::MAX,
            authenticated: true,
        }
    }
}

/// Where the bytes of one argument are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// In the caller's buffer, `start` bytes after the first byte of the command.
    Inline {
        /// Offset from the start of the command, in bytes.
        start: u32,
        /// Length in bytes.
        len: u32,
    },
    /// In the parser's [`scratch`](RequestParser::scratch): an argument of an inline command that was quoted.
    Scratch {
        /// Offset in the scratch buffer, in bytes.
        start: u32,
        /// Length in bytes.
        len: u32,
    },
    /// The external bulk of this index, counted from 0 in each command.
    External(u32),
}

/// What [`RequestParser::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A whole command, whose arguments were appended: at least one.
    Command {
        /// The bytes of the buffer that the command took.
        consumed: usize,
    },
    /// Something that asks for nothing and gets no reply: a blank line, or a count of zero or less.
    Empty {
        /// The bytes of the buffer that it took.
        consumed: usize,
    },
    /// More bytes are needed. Call again with the same bytes and more after them.
    Incomplete,
    /// The payload of an external bulk has to be taken out of the stream; see the [module](self).
    NeedBulk {
        /// The index that [`Arg::External`] and [`RequestParser::external_done`] use.
        index: u32,
        /// The length of the payload in bytes.
        len: usize,
        /// Where the payload begins in the buffer.
        offset: usize,
    },
}

/// A breach of the protocol. The reply is `-ERR ` and the text of this error, then the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count of arguments is not a number or beyond 2^31 - 1.
    InvalidMultibulkLength,
    /// More than 10 arguments from a client that has not authenticated.
    UnauthenticatedMultibulkLength,
    /// A length is not a number, negative, or over the limit.
    InvalidBulkLength,
    /// An argument over 16 KiB from a client that has not authenticated.
    UnauthenticatedBulkLength,
    /// The line of the count does not end.
    TooBigMultibulkCount,
    /// The line of a length does not end.
    TooBigBulkCount,
    /// An inline command over 64 KiB.
    TooBigInline,
    /// Another byte than `$` before a length.
    ExpectedBulk(u8),
    /// An inline command whose quotes do not match, or do not end at a blank.
    UnbalancedQuotes,
    /// There is no memory for so many arguments. Not the protocol's fault, but the end of the request.
    OutOfMemory,
}

/// Adds an argument, if there is memory for it.
#[inline]
fn add(args: &mut Vec<Arg>, arg: Arg) -> Result<(), ProtocolError> {
    args.try_reserve(1).map_err(|_| ProtocolError::OutOfMemory)?;
    args.push(arg);
    Ok(())
}

impl ProtocolError {
    /// The text of the error reply, without the leading `-` and the line end: `ERR Protocol error: ...`.
    pub fn reply_text(self) -> Vec<u8> {
        let mut text = b"ERR Protocol error: ".to_vec();
        if let Self::ExpectedBulk(got) = self {
            // The byte goes out as it came, so this is not always UTF-8; a line end cannot.
            let got = if matches!(got, b'\r' | b'\n') { b' ' } else { got };
            text.extend_from_slice(b"expected '$', got '");
            text.extend_from_slice(&[got, b'\'']);
        } else {
            text.extend_from_slice(self.description().as_bytes());
        }
        text
    }

    fn description(self) -> &'static str {
        match self {
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::InvalidBulkLength => "invalid bulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
            Self::TooBigMultibulkCount => "too big mbulk count string",
            Self::TooBigBulkCount => "too big bulk count string",
            Self::TooBigInline => "too big inline request",
            Self::ExpectedBulk(_) => "expected '$'",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::OutOfMemory => "out of memory",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("protocol error: ")?;
        f.write_str(self.description())
    }
}

impl std::error::Error for ProtocolError {}

/// What the byte at `RequestParser::position` belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first byte of a command.
    Start,
    /// The `$` of an argument.
    BulkHeader,
    /// The payload of an argument of this many bytes, in the buffer.
    Payload(usize),
    /// The payload of an external argument of this many bytes, which the caller is taking out.
    External(usize),
    /// The line end after the payload of an external argument.
    ExternalEnd,
}

/// The state of one connection's requests.
#[derive(Debug)]
pub struct RequestParser {
    state: State,
    /// Everything before this offset from the start of the command has been parsed.
    position: usize,
    /// From `position` up to here there is no end of the line that is being looked for.
    scanned: usize,
    /// The arguments still to come, including the one being parsed.
    args_left: usize,
    /// The external arguments seen in this command.
    externals: u32,
    scratch: Vec<u8>,
}

impl Default for RequestParser {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestParser {
    /// A parser at the start of a command.
    pub const fn new() -> Self {
        Self {
            state: State::Start,
            position: 0,
            scanned: 0,
            args_left: 0,
            externals: 0,
            scratch: Vec::new(),
        }
    }

    /// Whether a command has begun of which more is to come.
    pub fn is_mid_command(&self) -> bool {
        self.state != State::Start || self.scanned > 0
    }

    /// Forgets a command that has begun, and the scratch buffer.
    pub fn reset(&mut self) {
        self.begin_next();
        self.clear_scratch();
    }

    /// The bytes that [`Arg::Scratch`] points to.
    pub fn scratch(&self) -> &[u8] {
        &self.scratch
    }

    /// The bytes of an argument that is not external; `buf` begins where its offset counts from.
    #[inline]
    pub fn resolve<'a>(&'a self, arg: &Arg, buf: &'a [u8]) -> &'a [u8] {
        match *arg {
            Arg::Inline { start, len } => &buf[start as usize..][..len as usize],
            Arg::Scratch { start, len } => &self.scratch[start as usize..][..len as usize],
            Arg::External(_) => &[],
        }
    }

    /// Empties the scratch buffer. It grows until then, so that the arguments of a batch of commands stay valid.
    pub fn clear_scratch(&mut self) {
        self.scratch.clear();
        // A rare long line shall not hold its memory for as long as the connection lives.
        self.scratch.shrink_to(1024);
    }

    /// Parses on. `buf` begins at the first byte of the current command, and holds at least what it held at the
    /// last call. Arguments are appended to `args`, some already before the command is complete, so `args` has to
    /// be kept between calls; the caller empties it when it has executed the command, or a batch of commands.
    ///
    /// After an error the stream cannot be understood any more: the parser is of no use until [`reset`](Self::reset).
    #[inline]
    pub fn parse(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        args: &mut Vec<Arg>,
    ) -> Result<Progress, ProtocolError> {
        if self.state == State::Start {
            match buf.first() {
                None => return Ok(Progress::Incomplete),
                Some(b'*') => {}
                Some(_) => return self.parse_inline(buf, args),
            }
            if let Some(progress) = self.parse_count(buf, limits, args)? {
                return Ok(progress);
            }
        }
        self.parse_bulks(buf, limits, args)
    }

    /// Parses a request at `at` that is whole and plain: few and short arguments, as nearly all are. Gives where it
    /// ends; the arguments count their places from the start of `buf`. With `None` nothing was parsed, and
    /// [`parse`](Self::parse) has to look at the request.
    #[inline]
    pub fn parse_plain(
        &self,
        buf: &[u8],
        at: usize,
        limits: &Limits,
        args: &mut Vec<Arg>,
    ) -> Option<usize> {
        if self.is_mid_command() || buf.len() > limits.inline_span_max as usize {
            return None;
        }
        let (count, mut at) = plain::number(buf, at, b'*')?;
        if count == 0 || count > UNAUTHENTICATED_ARGS_MAX as usize {
            return None;
        }
        let before = args.len();
        args.reserve(count);
        for _ in 0..count {
            let Some((start, end)) = plain::bulk(buf, at, limits.max_bulk_len) else {
                args.truncate(before);
                return None;
            };
            args.push(Arg::Inline { start: start as u32, len: (end - start) as u32 });
            at = end + 2;
        }
        Some(at)
    }

    /// Says that the caller has taken the payload of the external bulk `index` out of the stream, so that the next
    /// byte after the `offset` it was given is the one after the payload. Anything but the bulk that was asked for
    /// is ignored.
    pub fn external_done(&mut self, index: u32) {
        if matches!(self.state, State::External(_)) && index.checked_add(1) == Some(self.externals)
        {
            self.state = State::ExternalEnd;
        }
    }

    fn begin_next(&mut self) {
        self.state = State::Start;
        self.position = 0;
        self.scanned = 0;
        self.externals = 0;
    }

    /// Parses `*<count>\r\n`. Gives `None` when arguments follow.
    #[inline]
    fn parse_count(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        args: &mut Vec<Arg>,
    ) -> Result<Option<Progress>, ProtocolError> {
        let (count, position) = match Line::at(buf, 0, &mut self.scanned) {
            Line::Number { value, next } => (value, next),
            Line::NotANumber => return Err(ProtocolError::InvalidMultibulkLength),
            Line::Endless => return Err(ProtocolError::TooBigMultibulkCount),
            Line::Incomplete => return Ok(Some(Progress::Incomplete)),
        };
        if count > i64::from(i32::MAX) {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if count > UNAUTHENTICATED_ARGS_MAX && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        if count <= 0 {
            self.begin_next();
            return Ok(Some(Progress::Empty { consumed: position }));
        }
        self.args_left = count as usize;
        args.reserve(self.args_left.min(ARGS_RESERVED_MAX));
        self.state = State::BulkHeader;
        self.position = position;
        self.scanned = position;
        Ok(None)
    }

    /// Parses arguments until the command is complete or the bytes are used up.
    fn parse_bulks(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        args: &mut Vec<Arg>,
    ) -> Result<Progress, ProtocolError> {
        let mut position = self.position;
        let mut state = self.state;
        let mut args_left = self.args_left;
        let progress = loop {
            let len = match state {
                State::Payload(len) => len,
                State::External(len) => {
                    let index = self.externals - 1;
                    break Progress::NeedBulk { index, len, offset: position };
                }
                State::ExternalEnd => {
                    if buf.len().saturating_sub(position) < 2 {
                        break Progress::Incomplete;
                    }
                    position += 2;
                    self.scanned = position;
                    args_left -= 1;
                    if args_left == 0 {
                        self.begin_next();
                        return Ok(Progress::Command { consumed: position });
                    }
                    state = State::BulkHeader;
                    continue;
                }
                State::BulkHeader | State::Start => {
                    match parse_bulk_len(buf, position, &mut self.scanned, limits)? {
                        Some((len, next)) => {
                            position = next;
                            len
                        }
                        None => {
                            state = State::BulkHeader;
                            break Progress::Incomplete;
                        }
                    }
                }
            };

            let available = buf.len().saturating_sub(position);
            let in_span = position.saturating_add(len) <= limits.inline_span_max as usize;
            if available.saturating_sub(2) >= len && available >= 2 && in_span {
                // Both fit: `position + len` is at most `inline_span_max`, which is a `u32`.
                add(args, Arg::Inline { start: position as u32, len: len as u32 })?;
                // Redis does not look at the two bytes after a payload, so neither does this.
                position += len + 2;
                args_left -= 1;
                if args_left == 0 {
                    self.begin_next();
                    return Ok(Progress::Command { consumed: position });
                }
                self.scanned = position;
                state = State::BulkHeader;
            } else if !in_span || (available < len && len >= limits.external_bulk_min) {
                add(args, Arg::External(self.externals))?;
                self.externals += 1;
                state = State::External(len);
            } else {
                state = State::Payload(len);
                break Progress::Incomplete;
            }
        };
        self.state = state;
        self.position = position;
        self.args_left = args_left;
        Ok(progress)
    }

    #[cold]
    fn parse_inline(&mut self, buf: &[u8], args: &mut Vec<Arg>) -> Result<Progress, ProtocolError> {
        // A line that ends within the limit is taken; this is the only look at more than the new bytes.
        let window = &buf[..buf.len().min(LINE_LEN_MAX + 1)];
        let unseen = window.get(self.scanned..).unwrap_or_default();
        let Some(newline) = memchr::memchr(b'\n', unseen).map(|at| at + self.scanned) else {
            self.scanned = window.len();
            if buf.len() > LINE_LEN_MAX {
                return Err(ProtocolError::TooBigInline);
            }
            return Ok(Progress::Incomplete);
        };
        let line = &window[..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let args_before = args.len();
        inline::split(line, args, &mut self.scratch)?;
        self.begin_next();
        let consumed = newline + 1;
        if args.len() == args_before {
            Ok(Progress::Empty { consumed })
        } else {
            Ok(Progress::Command { consumed })
        }
    }
}

/// Parses `$<len>\r\n`. Gives the length and the position of the payload, or `None` if more bytes are needed.
#[inline(always)]
fn parse_bulk_len(
    buf: &[u8],
    position: usize,
    scanned: &mut usize,
    limits: &Limits,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    let line = Line::at(buf, position, scanned);
    // The line is there, or was too long to be, before its first byte is judged: Redis looks in this order.
    match line {
        Line::Incomplete => return Ok(None),
        Line::Endless => return Err(ProtocolError::TooBigBulkCount),
        Line::Number { .. } | Line::NotANumber => {}
    }
    match buf.get(position) {
        Some(b'$') => {}
        Some(&got) => return Err(ProtocolError::ExpectedBulk(got)),
        None => return Ok(None),
    }
    let Line::Number { value, next } = line else {
        return Err(ProtocolError::InvalidBulkLength);
    };
    let Ok(len) = usize::try_from(value) else {
        return Err(ProtocolError::InvalidBulkLength);
    };
    if len > limits.max_bulk_len {
        return Err(ProtocolError::InvalidBulkLength);
    }
    if len > UNAUTHENTICATED_BULK_LEN_MAX && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedBulkLength);
    }
    Ok(Some((len, next)))
}

/// A line of one marker byte and a number.
enum Line {
    /// The number, and the position after the line end.
    Number { value: i64, next: usize },
    /// The line is whole, and there is something else in it.
    NotANumber,
    /// There is no line end where one must be.
    Endless,
    /// The line end is still to come.
    Incomplete,
}

impl Line {
    /// Reads the line at `position`. Up to `scanned` no line end has been found before, and it is moved on.
    ///
    /// A line ends with `\r` and whichever byte follows, as in Redis. In Redis a zero byte before the `\r` makes it
    /// wait for ever, because the line is taken for a C string; here it is a wrong number at once.
    #[inline(always)]
    fn at(buf: &[u8], position: usize, scanned: &mut usize) -> Self {
        // Counts and most lengths have one or two digits.
        match buf.get(position..) {
            Some([_, d @ b'0'..=b'9', b'\r', _, ..]) => {
                Self::Number { value: i64::from(d - b'0'), next: position + 4 }
            }
            Some([_, tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', _, ..]) => Self::Number {
                value: i64::from(tens - b'0') * 10 + i64::from(ones - b'0'),
                next: position + 5,
            },
            Some(rest) => Self::in_full(rest, position, scanned),
            None => Self::Incomplete,
        }
    }

    #[inline(never)]
    fn in_full(rest: &[u8], position: usize, scanned: &mut usize) -> Self {
        let seen = scanned.saturating_sub(position);
        let window = &rest[..rest.len().min(LINE_LEN_MAX + 1)];
        let unseen = window.get(seen..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\r', unseen).map(|at| at + seen) else {
            *scanned = position + window.len();
            return if rest.len() > LINE_LEN_MAX { Self::Endless } else { Self::Incomplete };
        };
        if end + 1 >= rest.len() {
            *scanned = position + end;
            return Self::Incomplete;
        }
        match window.get(1..end).and_then(parse_i64) {
            Some(value) => Self::Number { value, next: position + end + 2 },
            None => Self::NotANumber,
        }
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
