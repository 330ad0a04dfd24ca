//! Values of some kilobytes are read straight to their places, if the requests before foretell them.
//!
//! Such a value mostly comes whole: one read brings it into the worker's buffer, and from there it is copied into the
//! block in which it stays, which is not in the cache. To read it into that block one would have to know how long it
//! is, and its length comes with it. But a client that has sent two requests of one shape (so many bytes before the
//! value, so many of the value) most likely sends another one. So the block is allocated beforehand, and one `readv`
//! fills three parts:
//!
//! ```text
//! buffer:  | *3 $3 SET $1 k $9000\r\n |         gap          | \r\n (and what else comes)
//!          |<--------- head --------->|<-------- len ------->|
//! block:                              | xxxxxxxxxxxxxxxxxxxx |
//! ```
//!
//! If what came is a request of this shape and nothing else, it takes part in the group with an argument that lies in
//! a block. Only its head and line end stay in the buffer: the gap is free again, and a group has room for many. If it
//! is anything else, what lies in the block is copied into the gap; then the buffer holds what a plain read would have
//! brought, and the client has to send two requests alike again before the next guess.
//!
//! A block lives no longer than the read, or than the request: a connection that waits for its client has none.

use std::io::{self, IoSliceMut, Read};

use ebb_engine::{Request, Server};
use ebb_heap::ArenaId;
use ebb_keyspace::Shared;
use ebb_resp::{Arg, Limits, Progress};

use super::{Connection, EXTERNAL_BULK_MIN};

/// Shorter values are copied: to prepare a block and three parts costs more than that.
const LEN_MIN: usize = 4 * 1024;
/// So many requests alike, with nothing between them, foretell the next.
const ALIKE: u8 = 2;
/// The end of a value.
const LINE_END: usize = b"\r\n".len();

/// What a request looks like that ends with a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Shape {
    /// Bytes before the value.
    head: u16,
    /// Bytes of the value.
    len: u16,
}

impl Shape {
    /// The shape of what was read, if that is one request that gives a key its last argument as
    /// its value.
    fn of(input: &[u8], args: &[Arg], requests: &[Request], name: &[u8]) -> Option<Shape> {
        let ([request], Some(&Arg::Inline { start, len })) = (requests, args.last()) else {
            return None;
        };
        let end = start as usize + len as usize + LINE_END;
        // A command in one line of text has no length to foresee.
        let is_whole = input[0] == b'*' && request.end == input.len() && end == input.len();
        let is_long = (LEN_MIN..EXTERNAL_BULK_MIN).contains(&(len as usize));
        if !is_whole || !is_long || !keeps_last(name, request.count) {
            return None;
        }
        Some(Shape { head: start.try_into().ok()?, len: len.try_into().ok()? })
    }

    fn head(self) -> usize {
        self.head.into()
    }

    fn len(self) -> usize {
        self.len.into()
    }

    /// Bytes of the request.
    fn bytes(self) -> usize {
        self.head() + self.len() + LINE_END
    }
}

/// Whether a command with so many arguments makes the last one a key's value, block and all.
fn keeps_last(name: &[u8], args: usize) -> bool {
    let named: &[&[u8]] = match args {
        3 => &[b"set", b"getset"],
        4 => &[b"setex", b"psetex"],
        _ => &[],
    };
    named.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// What a client has sent last, and so what it may send next.
#[derive(Debug, Default)]
pub(super) struct Foreseen {
    shape: Shape,
    /// How many requests in a row had this shape.
    alike: u8,
}

impl Foreseen {
    fn next(&self) -> Option<Shape> {
        (self.alike >= ALIKE).then_some(self.shape)
    }

    fn note(&mut self, shape: Option<Shape>) {
        match shape {
            None => self.alike = 0,
            Some(shape) if self.alike > 0 && shape == self.shape => {
                self.alike = ALIKE.min(self.alike + 1);
            }
            Some(shape) => *self = Foreseen { shape, alike: 1 },
        }
    }
}

/// A request that is foreseen, and the place of its value.
#[derive(Debug)]
pub(super) struct Guess {
    shape: Shape,
    value: Shared,
}

impl Guess {
    /// Reads around the gap and into the block.
    fn read(&mut self, socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let (head, rest) = buffer.split_at_mut(self.shape.head());
        let (_gap, rest) = rest.split_at_mut(self.shape.len());
        let Some(value) = self.value.get_mut() else {
            unreachable!("nobody else knows a block that is still to be filled")
        };
        socket.read_vectored(&mut [head, value, rest].map(IoSliceMut::new))
    }

    /// Copies what came of the value into the gap, so that all input lies where it would have
    /// been read to.
    fn put_together(&self, input: &mut [u8]) {
        if let Some(gap) = input.get_mut(self.shape.head()..) {
            let len = gap.len().min(self.shape.len());
            gap[..len].copy_from_slice(&self.value[..len]);
        }
    }
}

impl Connection {
    /// Reads into the buffer, but for a value that is foreseen: then there is a guess, which
    /// [`Connection::take_foreseen`] has to judge before anybody looks at the buffer.
    pub(super) fn read_foreseeing(
        &mut self,
        server: &Server,
        arena: ArenaId,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<Guess>)> {
        let Some(mut guess) = self.foresee(server, arena, buffer.len()) else {
            return Ok((self.socket.read(buffer)?, None));
        };
        let len = guess.read(&mut self.socket, buffer)?;
        Ok((len, Some(guess)))
    }

    fn foresee(&self, server: &Server, arena: ArenaId, room: usize) -> Option<Guess> {
        let shape = self.foreseen.next()?;
        // What a transaction queues it copies. More room than the request takes: if not all of it
        // is filled, the socket has no more.
        if self.session.transaction.is_some() || shape.bytes() >= room {
            return None;
        }
        // The block counts before the command is admitted, which must not be why it is refused.
        if server.is_near_limit() {
            return None;
        }
        let value = Shared::allocate(arena, shape.len(), shape.len()).ok()?;
        Some(Guess { shape, value })
    }

    /// Adds the request if it came as foreseen; answers how many bytes of `input` it takes. If it
    /// did not, the input is put together, and nothing of it is parsed.
    pub(super) fn take_foreseen(
        &mut self,
        guess: Guess,
        input: &mut [u8],
        limits: &Limits,
        args: &mut Vec<Arg>,
        requests: &mut Vec<Request>,
    ) -> Option<usize> {
        let (shape, first) = (guess.shape, args.len());
        if self.parse_foreseen(shape, input, limits, args) {
            let (count, end) = (args.len() - first, shape.head() + LINE_END);
            requests.push(Request { first, count, bytes: shape.bytes(), end });
            self.external_bytes = shape.len();
            self.externals.push(Some(guess.value));
            return Some(end);
        }
        args.truncate(first);
        self.parser.reset();
        self.foreseen.note(None);
        guess.put_together(input);
        None
    }

    /// Parses the input, from which the value is cut out; whether it is what was foreseen.
    fn parse_foreseen(
        &mut self,
        shape: Shape,
        input: &mut [u8],
        limits: &Limits,
        args: &mut Vec<Arg>,
    ) -> bool {
        if input.len() != shape.bytes() {
            return false;
        }
        let (first, head, end) = (args.len(), shape.head(), shape.head() + LINE_END);
        // So the parser takes the value for a large one that is still to come.
        let limits = Limits { external_bulk_min: shape.len(), ..*limits };
        let announced = Progress::NeedBulk { index: 0, len: shape.len(), offset: head };
        if self.parser.parse(&input[..head], &limits, args) != Ok(announced) {
            return false;
        }
        self.parser.external_done(0);
        // These two bytes of the gap are not needed even if it has to be filled.
        input.copy_within(head + shape.len().., head);
        let whole = Progress::Command { consumed: end };
        self.parser.parse(&input[..end], &limits, args) == Ok(whole)
            && keeps_last(self.parser.resolve(&args[first], input), args.len() - first)
    }

    /// Notes what was read plainly and parsed.
    pub(super) fn note_shape(&mut self, input: &[u8], args: &[Arg], requests: &[Request]) {
        let shape = match args.first() {
            Some(name) if input.len() > LEN_MIN => {
                Shape::of(input, args, requests, self.parser.resolve(name, input))
            }
            _ => None,
        };
        self.foreseen.note(shape);
    }

    /// After the run of a group: a foreseen request that was held back stays parsed, now by
    /// itself; otherwise its value is the keyspace's alone, or nobody's.
    pub(super) fn settle_foreseen(&mut self, args: &[Arg]) {
        if let Some(held) = &mut self.held {
            self.args.extend_from_slice(&args[held.first..][..held.count]);
            held.first = 0;
        } else {
            self.externals.clear();
            self.external_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests;
