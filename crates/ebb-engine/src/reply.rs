//! What a batch of commands answers: encoded bytes, and large values by reference.

use ebb_heap::starvation;
use ebb_keyspace::{Shared, StringRef};
use ebb_resp::{Protocol, ReplyWriter};

/// Values of this many bytes and more are not copied into the reply but referred to.
pub const REFERENCE_MIN: usize = 16 * 1024;

/// Replies in order. Bytes before a reference's offset precede it.
#[derive(Debug)]
pub struct Reply {
    bytes: Vec<u8>,
    references: Vec<(usize, Shared)>,
    /// Bytes in them.
    referred: usize,
    protocol: Protocol,
    /// The client is closed if it gets this long.
    limit: usize,
    /// There was no memory for it: what it holds is without meaning, and its client is closed.
    is_starved: bool,
}

/// A point in a reply to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    bytes: usize,
    references: usize,
}

impl Default for Reply {
    fn default() -> Reply {
        Reply {
            bytes: Vec::new(),
            references: Vec::new(),
            referred: 0,
            protocol: Protocol::Resp2,
            limit: usize::MAX,
            is_starved: false,
        }
    }
}

/// More than the writer adds to what it is given: a marker, a number, line ends.
const FRAME: usize = 64;

impl Reply {
    /// The writer of the protocol's encodings, for what is short.
    #[inline]
    fn writer(&mut self) -> ReplyWriter<'_> {
        self.fit(0);
        ReplyWriter::new(&mut self.bytes, self.protocol)
    }

    /// The writer, with room for so many bytes and their frame; none if there is no memory.
    #[inline]
    fn writer_of(&mut self, bytes: usize) -> Option<ReplyWriter<'_>> {
        self.fit(bytes).then(|| ReplyWriter::new(&mut self.bytes, self.protocol))
    }

    #[inline]
    fn fit(&mut self, bytes: usize) -> bool {
        let wanted = bytes.saturating_add(FRAME);
        self.bytes.capacity() - self.bytes.len() >= wanted || self.grow(wanted)
    }

    /// Makes room, or gives up: then everything is dropped, and what is still written goes over
    /// itself, so that whoever writes need not stop.
    #[cold]
    fn grow(&mut self, wanted: usize) -> bool {
        if self.is_starved {
            self.bytes.clear();
        }
        let (len, bytes) = (self.bytes.len(), &mut self.bytes);
        let mut make =
            || bytes.try_reserve(wanted).is_ok() || bytes.try_reserve_exact(wanted).is_ok();
        if starvation::allows(len + wanted) && make() {
            return true;
        }
        tracing::warn!(
            "No memory for a reply of {} bytes and more: its client is closed",
            self.len()
        );
        self.bytes = Vec::with_capacity(FRAME);
        self.references = Vec::new();
        self.referred = 0;
        self.is_starved = true;
        false
    }

    /// Whether there was no memory for it. What it holds then is no reply.
    pub fn is_starved(&self) -> bool {
        self.is_starved
    }

    /// RESP2 or RESP3, for what follows.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// How long it may get, in bytes.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// How many bytes longer it may get before its client is closed, and the reply dropped. Who
    /// writes as much as a client asks for, of whatever little data, stops there.
    #[inline]
    pub fn room(&self) -> usize {
        if self.is_starved { 0 } else { self.limit.saturating_sub(self.len()) }
    }

    /// The protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// The point reached.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), references: self.references.len() }
    }

    /// Forgets what was written after a mark.
    pub fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        if self.references.len() > mark.references {
            let dropped = self.references.drain(mark.references..);
            self.referred -= dropped.map(|(_, shared)| shared.len()).sum::<usize>();
        }
    }

    /// Bytes since a mark, those referred to included.
    pub fn len_since(&self, mark: Mark) -> usize {
        let references = self.references.get(mark.references..).unwrap_or_default();
        let referred: usize = references.iter().map(|(_, shared)| shared.len()).sum();
        self.bytes.len().saturating_sub(mark.bytes) + referred
    }

    /// Whether what was written after a mark begins as an error.
    pub fn is_error_at(&self, mark: Mark) -> bool {
        self.bytes.get(mark.bytes) == Some(&b'-')
    }

    /// Bytes, those referred to included.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() + self.referred
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoded bytes and, by offset in them, the values that belong in between.
    pub fn parts(&self) -> (&[u8], &[(usize, Shared)]) {
        (&self.bytes, &self.references)
    }

    /// Forgets everything, keeping up to `keep` bytes of room.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.references.clear();
        self.referred = 0;
        self.is_starved = false;
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.writer().ok();
    }

    /// A simple string.
    pub fn simple(&mut self, text: &str) {
        if let Some(mut writer) = self.writer_of(text.len()) {
            writer.simple(text);
        }
    }

    /// An error; `text` begins with its code.
    pub fn error(&mut self, text: &str) {
        if let Some(mut writer) = self.writer_of(text.len()) {
            writer.error(text);
        }
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.writer().integer(value);
    }

    /// A count.
    #[inline]
    pub fn count(&mut self, value: usize) {
        self.writer().integer(value as i64);
    }

    /// A string of bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if !ebb_resp::append_in_room(&mut self.bytes, bytes) {
            self.any_bulk(bytes);
        }
    }

    fn any_bulk(&mut self, bytes: &[u8]) {
        if let Some(mut writer) = self.writer_of(bytes.len()) {
            writer.bulk(bytes);
        }
    }

    /// No value.
    #[inline]
    pub fn null(&mut self) {
        self.writer().null();
    }

    /// No array.
    pub fn null_array(&mut self) {
        self.writer().null_array();
    }

    /// The header of an array.
    pub fn array(&mut self, len: usize) {
        self.writer().array(len);
    }

    /// The header of a map of pairs; in RESP2 an array of twice as many.
    pub fn map(&mut self, pairs: usize) {
        self.writer().map(pairs);
    }

    /// The header of a set; in RESP2 an array.
    pub fn set(&mut self, len: usize) {
        self.writer().set(len);
    }

    /// The header of a push message; in RESP2 an array.
    pub fn push(&mut self, len: usize) {
        self.writer().push(len);
    }

    /// A floating-point number; in RESP2 a string.
    pub fn double(&mut self, value: f64) {
        self.writer().double(value);
    }

    /// A boolean; in RESP2 the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        self.writer().boolean(value);
    }

    /// Text of a format of three letters (`*b"txt"`); in RESP2 a string.
    pub fn verbatim(&mut self, format: [u8; 3], text: &str) {
        if let Some(mut writer) = self.writer_of(text.len()) {
            writer.verbatim(format, text.as_bytes());
        }
    }

    /// The same for text that may be no UTF-8.
    pub fn verbatim_bytes(&mut self, format: [u8; 3], text: &[u8]) {
        if let Some(mut writer) = self.writer_of(text.len()) {
            writer.verbatim(format, text);
        }
    }

    /// An integer of any size in decimal; in RESP2 a string.
    pub fn big_number(&mut self, digits: &[u8]) {
        if let Some(mut writer) = self.writer_of(digits.len()) {
            writer.big_number(digits);
        }
    }

    /// Bytes that are already encoded.
    pub fn raw(&mut self, encoded: &[u8]) {
        if let Some(mut writer) = self.writer_of(encoded.len()) {
            writer.raw(encoded);
        }
    }

    /// A stored string: copied, or referred to if it is large.
    #[inline]
    pub fn string(&mut self, value: &StringRef<'_>) {
        match value {
            StringRef::Bytes(bytes) => self.bulk(bytes),
            StringRef::Shared(shared) if shared.len() >= REFERENCE_MIN => {
                self.shared(shared.to_shared());
            }
            _ => value.with_bytes(|bytes| self.bulk(bytes)),
        }
    }

    /// A large value, by reference.
    pub fn shared(&mut self, value: Shared) {
        self.writer().bulk_header(value.len());
        if self.is_starved || self.references.try_reserve(1).is_err() {
            // No byte of the value is here; without a place for it the reply is no reply.
            self.is_starved = true;
            return;
        }
        self.referred += value.len();
        self.references.push((self.bytes.len(), value));
        self.writer().bulk_end();
    }
}
