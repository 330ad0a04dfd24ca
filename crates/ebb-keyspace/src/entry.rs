//! The entry: one block that holds a key, its deadline and its value.
//!
//! ```text
//! 0      2      3         4       7           8
//! | size | kind | key len | clock | partition | deadline? | long key len? | key | value |
//! ```
//!
//! The first three bytes are the heap's. The top bit of `kind` says that a deadline of 8
//! bytes (milliseconds since 1970) follows the header. A key length of 255 says that the
//! real one follows in 4 bytes. `clock` is the 24-bit access clock of LRU or LFU. The value
//! of a string is, by kind:
//!
//! - an integer of 4 or 8 bytes;
//! - its bytes up to the block's end, less the 0 to 3 bytes of slack that the kind names;
//! - a length of 4 bytes, its bytes, and spare capacity;
//! - the 5-byte handle of a [`Shared`], for values of [`SHARED_MIN`] and more.

mod collection;
mod grow;
mod owned;
pub(crate) mod relocate;
mod string;

pub use collection::ValueRef;
pub(crate) use collection::{GrownPlace, Summary};
pub(crate) use grow::grown;
use string::parse_int;
pub use string::{StringRef, StringValue};

use ebb_heap::{ArenaId, Block, Compact, FIRST_OWNER_KIND, OutOfMemory, Shared, rounded};

use crate::lazyfree;
use ebb_table::handle::{self, BlockMut, BlockRef, SharedRef};

/// Strings of this many bytes and more are reference-counted blocks of their own.
pub const SHARED_MIN: usize = 2048;
/// The longest string that is reported as "embstr".
pub const EMBSTR_MAX: usize = 44;

const HEAP_HEADER: usize = 3;
const KEY_LEN: usize = 0;
const CLOCK: std::ops::Range<usize> = 1..4;
const PARTITION: usize = 4;
const HEADER: usize = 5;
const LONG_KEY: usize = 255;
const HAS_DEADLINE: u8 = 0x80;

const INT32: u8 = FIRST_OWNER_KIND + 8;
const INT64: u8 = INT32 + 1;
const TIGHT: u8 = INT32 + 2;
const TIGHT_RAW: u8 = INT32 + 6;
const SIZED: u8 = INT32 + 10;
const SIZED_RAW: u8 = INT32 + 11;
const SHARED: u8 = INT32 + 12;

/// The type of a value, as TYPE names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Type {
    /// Bytes, or an integer.
    #[default]
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl Type {
    /// All types, in the order of their counters.
    pub const ALL: [Type; 6] =
        [Type::String, Type::List, Type::Set, Type::SortedSet, Type::Hash, Type::Stream];

    /// The name that TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::SortedSet => "zset",
            Type::Hash => "hash",
            Type::Stream => "stream",
        }
    }
}

/// What an entry is to hold: the value's kind and bytes of room, not yet in a block.
enum Plan<'a> {
    Int(i64),
    Bytes { bytes: &'a [u8], raw: bool },
    Shared(Shared),
}

impl<'a> Plan<'a> {
    /// `arena` says where a large value gets its own block.
    #[inline]
    fn of(
        arena: impl FnOnce() -> ArenaId,
        value: StringValue<'a>,
    ) -> Result<Plan<'a>, OutOfMemory> {
        let (bytes, raw) = match value {
            StringValue::Int(value) => return Ok(Plan::Int(value)),
            StringValue::Shared(shared) if shared.len() >= SHARED_MIN => {
                return Ok(Plan::Shared(shared));
            }
            StringValue::Shared(shared) => return Plan::shared_copy(arena(), &shared),
            StringValue::Bytes(bytes) => match parse_int(bytes) {
                Some(value) => return Ok(Plan::Int(value)),
                None => (bytes, bytes.len() > EMBSTR_MAX),
            },
            StringValue::Text(bytes) => (bytes, bytes.len() > EMBSTR_MAX),
            StringValue::Raw(bytes) => (bytes, true),
        };
        if bytes.len() >= SHARED_MIN {
            return Plan::shared_copy(arena(), bytes);
        }
        Ok(Plan::Bytes { bytes, raw })
    }

    fn shared_copy(arena: ArenaId, bytes: &[u8]) -> Result<Plan<'a>, OutOfMemory> {
        Shared::copy_from(arena, bytes).map(Plan::Shared)
    }

    /// Bytes of the value in the entry, without a length field.
    fn len(&self) -> usize {
        match self {
            Plan::Int(value) => int_len(*value),
            Plan::Bytes { bytes, .. } => bytes.len(),
            Plan::Shared(_) => 5,
        }
    }
}

fn int_len(value: i64) -> usize {
    if i32::try_from(value).is_ok() { 4 } else { 8 }
}

/// Header, deadline, key length and key: what comes before the value.
struct Front<'a> {
    key: &'a [u8],
    deadline: Option<i64>,
    clock: [u8; 3],
    partition: u8,
}

impl Front<'_> {
    fn len(&self) -> usize {
        let deadline = if self.deadline.is_some() { 8 } else { 0 };
        let long = if self.key.len() >= LONG_KEY { 4 } else { 0 };
        HEADER + deadline + long + self.key.len()
    }

    fn write(&self, body: &mut [u8]) {
        body[KEY_LEN] = self.key.len().min(LONG_KEY) as u8;
        body[CLOCK].copy_from_slice(&self.clock);
        body[PARTITION] = self.partition;
        let mut at = HEADER;
        let mut put = |bytes: &[u8]| {
            body[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if let Some(deadline) = self.deadline {
            put(&deadline.to_le_bytes());
        }
        if self.key.len() >= LONG_KEY {
            put(&(self.key.len() as u32).to_le_bytes());
        }
        put(self.key);
    }
}

/// Writes the value behind the front and sets the kind.
fn write_value(block: &mut Block, front: usize, flag: u8, plan: Plan<'_>) {
    let body = block.body_mut();
    let room = body.len() - front;
    let kind = match plan {
        Plan::Int(value) => {
            let len = int_len(value);
            body[front..front + len].copy_from_slice(&value.to_le_bytes()[..len]);
            if len == 4 { INT32 } else { INT64 }
        }
        Plan::Bytes { bytes, raw } if room - bytes.len() <= 3 => {
            body[front..front + bytes.len()].copy_from_slice(bytes);
            (if raw { TIGHT_RAW } else { TIGHT }) + (room - bytes.len()) as u8
        }
        Plan::Bytes { bytes, raw } => {
            body[front..front + 4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
            body[front + 4..front + 4 + bytes.len()].copy_from_slice(bytes);
            if raw { SIZED_RAW } else { SIZED }
        }
        Plan::Shared(shared) => {
            crate::audit::arrived_string(&shared);
            body[front..front + 5].copy_from_slice(&shared.into_compact().0);
            SHARED
        }
    };
    block.set_kind(kind | flag);
}

/// Bytes that a block must have for `len` bytes of value behind `front` bytes, so that its
/// length is known: through slack of at most 3 bytes, or through a length field.
fn block_bytes(front: usize, plan: &Plan<'_>) -> usize {
    let tight = rounded(HEAP_HEADER + front + plan.len());
    let slack = tight - (HEAP_HEADER + front + plan.len());
    match plan {
        Plan::Bytes { .. } if slack > 3 => rounded(HEAP_HEADER + front + plan.len() + 4),
        _ => tight,
    }
}

/// Whether a value that needs a block of `needed` bytes is kept in one of `bytes`. Blocks of
/// more than 1 KiB may be a little larger than asked for, because their holes are.
fn fits(needed: usize, bytes: usize) -> bool {
    needed == bytes || (needed > 1024 && needed < bytes && bytes - needed <= bytes / 256)
}

/// An entry that belongs to no table.
#[derive(Debug)]
pub struct Entry(Block);

impl Entry {
    /// Builds an entry with a clock of 0 in partition 0.
    pub fn build(
        arena: ArenaId,
        key: &[u8],
        deadline: Option<i64>,
        value: StringValue<'_>,
    ) -> Result<Entry, OutOfMemory> {
        let front = Front { key, deadline, clock: [0; 3], partition: 0 };
        Entry::from_plan(arena, &front, Plan::of(|| arena, value)?)
    }

    fn from_plan(arena: ArenaId, front: &Front<'_>, plan: Plan<'_>) -> Result<Entry, OutOfMemory> {
        let bytes = block_bytes(front.len(), &plan);
        let mut block = Block::allocate(arena, bytes - HEAP_HEADER, INT32)?;
        front.write(block.body_mut());
        let flag = if front.deadline.is_some() { HAS_DEADLINE } else { 0 };
        write_value(&mut block, front.len(), flag, plan);
        Ok(Entry(block))
    }

    /// Looks at the entry.
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_> {
        // SAFETY: `self` owns the block and is borrowed.
        EntryRef(unsafe { BlockRef::new(self.0.compact()) })
    }

    /// Sets the access clock (24 bits) of a new entry.
    pub(crate) fn set_clock(&mut self, clock: u32) {
        self.0.body_mut()[CLOCK].copy_from_slice(&clock.to_le_bytes()[..3]);
    }

    /// Takes over the access clock and partition of the entry that this one replaces.
    pub(crate) fn inherit_clock(&mut self, old: &EntryRef<'_>) {
        let body = self.0.body_mut();
        body[CLOCK].copy_from_slice(&old.0.body()[CLOCK]);
        body[PARTITION] = old.0.body()[PARTITION];
    }

    /// Says which partition it belongs to.
    pub(crate) fn set_partition(&mut self, id: u8) {
        self.0.body_mut()[PARTITION] = id;
    }

    /// What an index slot holds of it.
    pub(crate) fn name(&self) -> Compact {
        self.0.compact()
    }

    pub(crate) fn into_compact(self) -> Compact {
        let compact = self.0.compact();
        std::mem::forget(self);
        compact
    }

    /// # Safety
    /// The table has just given `compact` up.
    pub(crate) unsafe fn from_compact(compact: Compact) -> Entry {
        // SAFETY: as the caller promises.
        Entry(unsafe { handle::take(compact) })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(compact) = self.as_ref().shared_handle() {
            // SAFETY: the entry held the reference and is going away.
            lazyfree::discard_string(unsafe { handle::take_shared(compact) });
        }
        self.free_collection();
    }
}

/// An entry in a table, to read.
pub struct EntryRef<'a>(BlockRef<'a>);

impl<'a> EntryRef<'a> {
    /// # Safety
    /// As for [`BlockRef::new`], and the block is an entry.
    #[inline]
    pub(crate) unsafe fn new(compact: Compact) -> EntryRef<'a> {
        // SAFETY: as the caller promises.
        EntryRef(unsafe { BlockRef::new(compact) })
    }

    #[inline]
    fn kind(&self) -> u8 {
        self.0.kind() & !HAS_DEADLINE
    }

    /// The key's bounds in the body.
    #[inline]
    fn key_range(&self) -> std::ops::Range<usize> {
        let at = HEADER + if self.has_deadline() { 8 } else { 0 };
        let len = usize::from(self.0.head()[KEY_LEN]);
        if len == LONG_KEY { self.long_key_range(at) } else { at..at + len }
    }

    #[cold]
    fn long_key_range(&self, at: usize) -> std::ops::Range<usize> {
        let len = u32::from_le_bytes(array(&self.0.body()[at..])) as usize;
        at + 4..at + 4 + len
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        let range = self.key_range();
        debug_assert!(range.end <= self.0.body().len());
        // SAFETY: the key lies where the front of the entry says, in its block, which the table
        // owns and is borrowed for `'a`. That is not checked here once more, as a key is looked
        // at with every search.
        unsafe {
            let start = self.0.as_ptr().add(HEAP_HEADER + range.start);
            std::slice::from_raw_parts(start, range.len())
        }
    }

    /// Whether the entry has a deadline.
    #[inline]
    pub fn has_deadline(&self) -> bool {
        self.0.kind() & HAS_DEADLINE != 0
    }

    /// When the entry expires, in milliseconds since 1970.
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        let read = || i64::from_le_bytes(array(&self.0.head()[HEADER..]));
        self.has_deadline().then(read)
    }

    /// Whether its time is over. In the millisecond of its deadline it is still there, as in Redis.
    #[inline]
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.deadline().is_some_and(|at| at < now_ms)
    }

    /// The access clock.
    #[inline]
    pub fn clock(&self) -> u32 {
        let head = self.0.head();
        u32::from_le_bytes([head[1], head[2], head[3], 0])
    }

    /// The name that OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self.kind() {
            INT32 | INT64 => "int",
            TIGHT..TIGHT_RAW | SIZED => "embstr",
            TIGHT_RAW..=SHARED => "raw",
            _ => self.collection_encoding().unwrap_or("raw"),
        }
    }

    /// Where the entry lies now; it may lie elsewhere as soon as the shard is let go.
    pub fn address(&self) -> usize {
        self.0.body().as_ptr().addr()
    }

    /// Whether it is a string that lies in the entry's own block.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.kind(), INT32..SHARED)
    }

    fn shared_handle(&self) -> Option<Compact> {
        (self.kind() == SHARED).then(|| Compact(array(&self.0.body()[self.key_range().end..])))
    }

    /// The string value.
    #[inline]
    pub fn string(&self) -> StringRef<'a> {
        let body = self.0.body();
        let value = &body[self.key_range().end..];
        match self.kind() {
            INT32 => StringRef::Int(i32::from_le_bytes(array(value)).into()),
            INT64 => StringRef::Int(i64::from_le_bytes(array(value))),
            SIZED | SIZED_RAW => {
                let len = u32::from_le_bytes(array(value)) as usize;
                StringRef::Bytes(&value[4..4 + len])
            }
            // SAFETY: the entry holds the reference and is borrowed for `'a`.
            SHARED => StringRef::Shared(unsafe { SharedRef::new(Compact(array(value))) }),
            tight => {
                let slack = usize::from((tight - TIGHT) & 3);
                StringRef::Bytes(&value[..value.len() - slack])
            }
        }
    }

    /// A copy under another key. A large value is not copied but referred to.
    pub fn copy(
        &self,
        arena: ArenaId,
        key: &[u8],
        deadline: Option<i64>,
    ) -> Result<Entry, OutOfMemory> {
        if let Some(copy) = self.copy_collection(arena, key, deadline) {
            return copy;
        }
        let plan = match self.string() {
            StringRef::Int(value) => Plan::Int(value),
            StringRef::Bytes(bytes) => Plan::Bytes { bytes, raw: self.encoding() == "raw" },
            StringRef::Shared(shared) => Plan::Shared(shared.to_shared()),
        };
        let body = self.0.body();
        let front = Front { key, deadline, clock: array(&body[CLOCK]), partition: body[PARTITION] };
        Entry::from_plan(arena, &front, plan)
    }
}

#[inline]
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    match bytes.first_chunk() {
        Some(chunk) => *chunk,
        None => unreachable!("an entry's fields lie within its block"),
    }
}

/// An entry in a table, to write.
pub struct EntryMut<'a>(BlockMut<'a>);

impl<'a> EntryMut<'a> {
    /// # Safety
    /// As for [`BlockMut::new`], and the block is an entry.
    #[inline]
    pub(crate) unsafe fn new(compact: Compact) -> EntryMut<'a> {
        // SAFETY: as the caller promises.
        EntryMut(unsafe { BlockMut::new(compact) })
    }

    /// The same entry to read.
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_> {
        // SAFETY: the table is borrowed through `self`.
        EntryRef(unsafe { BlockRef::new(self.0.compact()) })
    }

    /// Sets the access clock (24 bits).
    #[inline]
    pub fn set_clock(&mut self, clock: u32) {
        if self.as_ref().clock() != clock {
            self.0.head_mut()[CLOCK].copy_from_slice(&clock.to_le_bytes()[..3]);
        }
    }

    /// Changes the deadline of an entry that has one.
    pub(crate) fn set_deadline(&mut self, deadline: i64) {
        debug_assert!(self.as_ref().has_deadline());
        self.0.body_mut()[HEADER..HEADER + 8].copy_from_slice(&deadline.to_le_bytes());
    }

    /// Rewrites the value in place if it fits the block exactly as a new block would;
    /// otherwise gives the value back, with the entry as it was.
    pub(crate) fn rewrite(&mut self, value: StringValue<'_>) -> Result<Rewritten, OutOfMemory> {
        if self.overwrite_shared(&value) {
            return Ok(Rewritten::InPlace);
        }
        let plan = Plan::of(|| self.0.arena(), value)?;
        let front = self.as_ref().key_range().end;
        let is_string = self.as_ref().value_type() == Type::String;
        if is_string && fits(block_bytes(front, &plan), self.0.bytes()) {
            if let Some(old) = self.as_ref().shared_handle() {
                // SAFETY: the value that holds the reference is overwritten now.
                lazyfree::discard_string(unsafe { handle::take_shared(old) });
            }
            let flag = self.0.kind() & HAS_DEADLINE;
            write_value(&mut self.0, front, flag, plan);
            return Ok(Rewritten::InPlace);
        }
        let entry = {
            let old = self.as_ref();
            let body = old.0.body();
            let front = Front {
                key: old.key(),
                deadline: old.deadline(),
                clock: array(&body[CLOCK]),
                partition: body[PARTITION],
            };
            Entry::from_plan(self.0.arena(), &front, plan)?
        };
        Ok(Rewritten::Moved(entry))
    }

    /// Writes a large value over the one before it, if that has a block of the right size which
    /// nobody else reads. Answers whether it did.
    fn overwrite_shared(&mut self, value: &StringValue<'_>) -> bool {
        let (StringValue::Bytes(bytes) | StringValue::Text(bytes) | StringValue::Raw(bytes)) =
            value
        else {
            return false;
        };
        if bytes.len() < SHARED_MIN {
            return false;
        }
        self.as_ref().shared_handle().is_some_and(|handle| {
            // SAFETY: the entry holds the reference and is borrowed mutably.
            unsafe { SharedRef::new(handle).shared_mut().overwrite(bytes) }
        })
    }

    /// The string's bytes to write, if it has at least `len` bytes now or can have them
    /// without another block. An integer or a value that others refer to is not writable.
    pub(crate) fn into_bytes(mut self, len: usize) -> Option<&'a mut [u8]> {
        let (kind, value) = (self.as_ref().kind(), self.as_ref().key_range().end);
        match kind {
            SIZED | SIZED_RAW => {
                let flag = self.0.kind() & HAS_DEADLINE;
                self.0.set_kind(SIZED_RAW | flag);
                let body = self.0.into_body();
                let old = u32::from_le_bytes(array(&body[value..])) as usize;
                if len > old {
                    let bytes = body.get_mut(value + 4..value + 4 + len)?;
                    bytes[old..].fill(0);
                    body[value..value + 4].copy_from_slice(&(len as u32).to_le_bytes());
                }
                Some(&mut body[value + 4..value + 4 + len.max(old)])
            }
            SHARED => {
                let handle = Compact(array(&self.0.body()[value..]));
                // SAFETY: the entry holds the reference and is borrowed mutably for `'a`.
                unsafe {
                    let mut shared = SharedRef::<'a>::new(handle);
                    if len > shared.len() && !shared.shared_mut().resize(len) {
                        return None;
                    }
                    shared.into_mut()
                }
            }
            _ => None,
        }
    }
}

/// What [`EntryMut::rewrite`] did.
pub(crate) enum Rewritten {
    InPlace,
    /// This entry takes the old one's place.
    Moved(Entry),
}

#[cfg(test)]
mod tests;
