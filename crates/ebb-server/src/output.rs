//! Output that a socket has not taken yet: bytes, and values by reference.

use std::collections::{TryReserveError, VecDeque};
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use ebb_engine::Reply;
use ebb_engine::mailbox::Message;
use ebb_keyspace::Shared;

/// Slices given to one system call.
const SLICES_MAX: usize = 64;

/// Slices in the first attempt to send a reply: few, so that they need no memory.
const SLICES_FIRST: usize = 16;

/// Messages of this many bytes and more are referred to; shorter ones are cheaper to copy than
/// to hand to the system one by one.
const MESSAGE_REFERENCE_MIN: usize = 1024;

/// Messages of so many bytes together are copied, to be sent as one piece.
const SCRATCH_MAX: usize = 16 * 1024;

#[derive(Debug)]
enum Chunk {
    Bytes(Vec<u8>),
    Shared(Shared),
    Message(Message),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Bytes(bytes) => bytes,
            Chunk::Shared(shared) => shared,
            Chunk::Message(message) => message,
        }
    }

    /// Bytes that others have, too.
    fn shared_bytes(&self) -> usize {
        match self {
            Chunk::Bytes(_) => 0,
            Chunk::Shared(_) | Chunk::Message(_) => self.bytes().len(),
        }
    }
}

/// A queue of output.
#[derive(Debug, Default)]
pub(crate) struct Output {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that were sent.
    sent: usize,
    bytes: usize,
    /// Bytes of the chunks that are references.
    shared: usize,
}

/// The parts of a reply in order.
fn parts(reply: &Reply) -> impl Iterator<Item = Part<'_>> {
    let (bytes, references) = reply.parts();
    let ends = references.iter().map(|(offset, _)| *offset).chain([bytes.len()]);
    let starts = [0].into_iter().chain(references.iter().map(|(offset, _)| *offset));
    let texts = starts.zip(ends).map(|(start, end)| Part::Bytes(&bytes[start..end]));
    let values = references.iter().map(|(_, shared)| Some(Part::Shared(shared))).chain([None]);
    texts.zip(values).flat_map(|(text, value)| [Some(text), value]).flatten()
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Bytes(&'a [u8]),
    Shared(&'a Shared),
}

impl<'a> Part<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Part::Bytes(bytes) => bytes,
            Part::Shared(shared) => shared,
        }
    }
}

impl Output {
    /// Bytes waiting.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The values that wait by reference.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Shared> {
        self.chunks.iter().filter_map(|chunk| match chunk {
            Chunk::Shared(shared) => Some(shared),
            _ => None,
        })
    }

    /// Bytes among those waiting that are references.
    pub(crate) fn shared_bytes(&self) -> usize {
        let is_first_shared = self.chunks.front().is_some_and(|first| first.shared_bytes() > 0);
        self.shared - if is_first_shared { self.sent } else { 0 }
    }

    /// Pieces waiting.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Adds bytes. An error says that there is no memory for them.
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(Chunk::Bytes(last)) = self.chunks.back_mut()
            && last.len() < 16 * 1024
        {
            last.try_reserve(bytes.len()).map_err(starved)?;
            last.extend_from_slice(bytes);
        } else {
            let mut chunk = Vec::new();
            chunk.try_reserve_exact(bytes.len()).map_err(starved)?;
            chunk.extend_from_slice(bytes);
            self.push_chunk(Chunk::Bytes(chunk))?;
        }
        self.bytes += bytes.len();
        Ok(())
    }

    fn push_chunk(&mut self, chunk: Chunk) -> io::Result<()> {
        self.chunks.try_reserve(1).map_err(starved)?;
        self.shared += chunk.shared_bytes();
        self.chunks.push_back(chunk);
        Ok(())
    }

    /// Adds a message, by reference if that is cheaper.
    fn push_message(&mut self, message: &Message) -> io::Result<()> {
        if message.len() < MESSAGE_REFERENCE_MIN {
            return self.push(message);
        }
        self.push_chunk(Chunk::Message(Arc::clone(message)))?;
        self.bytes += message.len();
        Ok(())
    }

    /// Sends messages, as far as the socket takes them; the rest waits. Answers bytes sent. Short
    /// messages are put together in `scratch`, which is empty before and after.
    pub(crate) fn send_messages(
        &mut self,
        socket: &mut impl Write,
        messages: &[Message],
        scratch: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let total: usize = messages.iter().map(|message| message.len()).sum();
        let bytes: &[u8] = match messages {
            _ if !self.is_empty() => &[],
            [message] => message,
            _ if total <= SCRATCH_MAX => {
                messages.iter().for_each(|message| scratch.extend_from_slice(message));
                scratch
            }
            _ => &[],
        };
        if bytes.is_empty() {
            messages.iter().try_for_each(|message| self.push_message(message))?;
            return self.flush(socket);
        }
        // Most often the socket takes it all.
        let result = socket.write(bytes);
        scratch.clear();
        let sent = match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => sent,
            Err(error) if is_transient(&error) => 0,
            Err(error) => return Err(error),
        };
        if sent < total {
            messages.iter().try_for_each(|message| self.push_message(message))?;
            self.advance(sent);
        }
        Ok(sent)
    }

    /// Adds a reply from its byte `from` on.
    fn push_reply(&mut self, reply: &Reply, mut from: usize) -> io::Result<()> {
        for part in parts(reply) {
            let bytes = part.bytes();
            if from >= bytes.len() {
                from -= bytes.len();
                continue;
            }
            match part {
                Part::Shared(shared) => {
                    // Only the first chunk may be partly sent, and this is the first then.
                    self.bytes += bytes.len() - from;
                    if from > 0 {
                        self.sent = from;
                    }
                    self.push_chunk(Chunk::Shared(shared.clone()))?;
                }
                Part::Bytes(bytes) => self.push(&bytes[from..])?,
            }
            from = 0;
        }
        Ok(())
    }

    /// Sends a reply, as far as the socket takes it; the rest waits. Answers bytes sent.
    pub(crate) fn send(&mut self, socket: &mut impl Write, reply: &Reply) -> io::Result<usize> {
        if !self.is_empty() {
            self.push_reply(reply, 0)?;
            return self.flush(socket);
        }
        let (bytes, references) = reply.parts();
        let result = if references.is_empty() {
            socket.write(bytes)
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES_FIRST];
            let mut count = 0;
            for (slice, part) in slices.iter_mut().zip(parts(reply)) {
                *slice = IoSlice::new(part.bytes());
                count += 1;
            }
            socket.write_vectored(&slices[..count])
        };
        let sent = match result {
            Ok(0) if !bytes.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => sent,
            Err(error) if is_transient(&error) => 0,
            Err(error) => return Err(error),
        };
        if references.is_empty() && sent == bytes.len() {
            return Ok(sent);
        }
        self.push_reply(reply, sent)?;
        if !self.is_empty() && !references.is_empty() {
            // More slices than one call takes: the socket may have room yet.
            return Ok(sent + self.flush(socket)?);
        }
        Ok(sent)
    }

    /// Sends what waits, as far as the socket takes it. Answers bytes sent.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        let mut total = 0;
        while !self.is_empty() {
            let slices: Vec<_> = self
                .chunks
                .iter()
                .take(SLICES_MAX)
                .enumerate()
                .map(|(at, chunk)| {
                    IoSlice::new(&chunk.bytes()[if at == 0 { self.sent } else { 0 }..])
                })
                .collect();
            match socket.write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    total += sent;
                    self.advance(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    fn advance(&mut self, sent: usize) {
        self.bytes -= sent;
        self.sent += sent;
        while let Some(first) = self.chunks.front() {
            let len = first.bytes().len();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            self.shared -= first.shared_bytes();
            self.chunks.pop_front();
        }
        self.chunks.shrink_to(4);
    }
}

/// There is no memory for a buffer of a client: it is closed, as if it had broken off.
pub(crate) fn starved(_: TryReserveError) -> io::Error {
    tracing::warn!("No memory for a buffer of a client: it is closed");
    io::ErrorKind::OutOfMemory.into()
}

/// Whether a socket just has no data or no room now.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use ebb_engine::Reply;

    use super::*;

    /// A socket that takes a few bytes at a time, and now and then none.
    struct Slow {
        got: Vec<u8>,
        step: usize,
        calls: usize,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let len = bytes.len().min(self.step);
            self.got.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_arrives_once_and_in_order() {
        let arena = ebb_heap::ArenaId::new();
        let large = Shared::copy_from(arena, &[b'x'; 40_000]).unwrap();
        for step in [1, 7, 1000, 100_000] {
            let (mut output, mut expected) = (Output::default(), Vec::new());
            let mut slow = Slow { got: Vec::new(), step, calls: 0 };
            for round in 0..3 {
                let mut reply = Reply::default();
                reply.bulk(b"before");
                reply.shared(large.clone());
                reply.shared(large.clone());
                reply.integer(round);
                expected.extend(parts(&reply).flat_map(|part| part.bytes().to_vec()));
                output.send(&mut slow, &reply).unwrap();
            }
            while !output.is_empty() {
                output.flush(&mut slow).unwrap();
            }
            assert!(slow.got == expected, "step {step}");
        }
        assert_eq!(large.reference_count(), 1);
    }

    #[test]
    fn messages_arrive_once_and_in_order_and_are_shared() {
        let large: Message = vec![b'x'; 5000].into();
        let small: Message = b"small"[..].into();
        for step in [1, 7, 1000, 100_000] {
            let (mut output, mut expected) = (Output::default(), Vec::new());
            let mut slow = Slow { got: Vec::new(), step, calls: 0 };
            let (mut scratch, many) = (Vec::new(), vec![&large; 5]);
            for batch in [vec![&small], vec![&large], vec![&small, &large, &small, &small], many] {
                let batch: Vec<Message> = batch.into_iter().cloned().collect();
                expected.extend(batch.concat());
                output.send_messages(&mut slow, &batch, &mut scratch).unwrap();
                assert!(scratch.is_empty());
                assert_eq!(slow.got.len() + output.len(), expected.len());
            }
            while !output.is_empty() {
                output.flush(&mut slow).unwrap();
            }
            assert!(slow.got == expected, "step {step}");
        }
        let mut output = Output::default();
        output.push_message(&large).unwrap();
        assert_eq!(Arc::strong_count(&large), 2);
    }
}
