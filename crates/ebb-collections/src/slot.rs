//! Where a collection lives: bytes that can be edited, and the grown form in their place.

use std::ops::Range;

use ebb_heap::{ArenaId, OutOfMemory};

use crate::Collection;

/// What the packed bytes of a small collection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Items of a list.
    List,
    /// Fields and values.
    Hash,
    /// Fields, values, and 8 bytes each of deadline (0: none).
    ExpiringHash,
    /// Sorted integers.
    IntSet,
    /// Members.
    Set,
    /// Members, each followed by 8 bytes of score, in order.
    SortedSet,
}

/// Where the blocks of a collection are allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arenas {
    /// Elements.
    pub data: ArenaId,
    /// Tables; serves nothing else.
    pub index: ArenaId,
}

/// Up to where a collection stays packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Elements.
    pub entries: usize,
    /// Bytes of one item.
    pub value: usize,
}

impl Limits {
    /// Whether `count` elements, the longest item of which has `len` bytes, stay packed.
    pub fn allow(self, count: usize, len: usize) -> bool {
        count <= self.entries.min(crate::packed::COUNT_MAX) && len <= self.value
    }
}

/// Bytes that can be edited.
pub trait Buffer {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// The bytes, to change without changing their number.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Puts `parts`, one after the other, in the place of a range. On an error nothing has
    /// changed.
    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) -> Result<(), OutOfMemory>;
}

/// Where a collection lives.
pub trait Slot: Buffer {
    /// What its bytes are, while it is packed.
    fn form(&self) -> Form;

    /// The grown form, if it is that.
    fn grown(&self) -> Option<&Collection>;

    /// The same to change.
    fn grown_mut(&mut self) -> Option<&mut Collection>;

    /// Puts a grown form in the place of what is there.
    fn grow(&mut self, collection: Collection) -> Result<(), OutOfMemory>;

    /// Puts packed bytes in the place of what is there.
    fn pack(&mut self, form: Form, bytes: &[u8]) -> Result<(), OutOfMemory>;

    /// Where its blocks are allocated.
    fn arenas(&self) -> Arenas;
}

/// A slot of its own, outside of any keyspace: results in the making, and tests.
pub struct MemorySlot {
    form: Form,
    bytes: Vec<u8>,
    grown: Option<Collection>,
    arenas: Arenas,
}

impl MemorySlot {
    /// An empty collection of a form.
    pub fn new(form: Form, arenas: Arenas) -> MemorySlot {
        MemorySlot { form, bytes: Vec::new(), grown: None, arenas }
    }

    /// What it holds: the grown form, or else form and packed bytes.
    pub fn into_parts(self) -> (Form, Vec<u8>, Option<Collection>) {
        (self.form, self.bytes, self.grown)
    }
}

impl Buffer for MemorySlot {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) -> Result<(), OutOfMemory> {
        self.bytes.splice(range, parts.concat());
        Ok(())
    }
}

impl Slot for MemorySlot {
    fn form(&self) -> Form {
        self.form
    }

    fn grown(&self) -> Option<&Collection> {
        self.grown.as_ref()
    }

    fn grown_mut(&mut self) -> Option<&mut Collection> {
        self.grown.as_mut()
    }

    fn grow(&mut self, collection: Collection) -> Result<(), OutOfMemory> {
        self.bytes = Vec::new();
        self.grown = Some(collection);
        Ok(())
    }

    fn pack(&mut self, form: Form, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.grown = None;
        self.form = form;
        self.bytes = bytes.to_vec();
        Ok(())
    }

    fn arenas(&self) -> Arenas {
        self.arenas
    }
}
