//! A node: some entries of a stream in one block.
//!
//! ```text
//! | number of names | name ... | entry ... |
//! entry: | flags | ms - first ms | seq (less first seq in the first ms) | fields |
//! fields: | value ... |                       if the names are the node's
//!         | number | name, value ... |        otherwise
//! ```
//!
//! Numbers have seven bits a byte, the lowest first; names and values are packed items. The
//! names are those of the entry with which the node began. A deleted entry is only marked.

use ebb_heap::{ArenaId, Block, OutOfMemory};

use super::{NodeLimits, StreamEntry, StreamId};
use crate::packed::{Header, item};

/// The heap's tag for nodes.
const KIND_NODE: u8 = 98;
const DELETED: u8 = 1;
const SAME_NAMES: u8 = 2;

/// Entries in one block.
pub(super) struct Node {
    block: Block,
    /// Bytes in use.
    used: u32,
    /// Entries, deleted ones included, and how many of them are not.
    entries: u32,
    live: u32,
    first: StreamId,
}

/// Where an entry lies.
pub(super) struct Place<'a> {
    pub(super) id: StreamId,
    body: &'a [u8],
    flags_at: usize,
    fields_at: usize,
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
        shift += 7;
    }
}

fn write_item(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(Header::of(bytes.len()).as_slice());
    out.extend_from_slice(bytes);
}

/// The names of the node, and where its entries begin.
fn names(body: &[u8]) -> (impl Iterator<Item = &[u8]> + Clone, usize) {
    let mut at = 0;
    let count = read_number(body, &mut at);
    let start = at;
    for _ in 0..count {
        at = item(body, at).end;
    }
    let mut next = start;
    let names = (0..count).map(move |_| {
        let name = item(body, next);
        next = name.end;
        &body[name]
    });
    (names, at)
}

impl Node {
    /// A node that begins with an entry.
    pub(super) fn new(arena: ArenaId, id: StreamId, fields: &[&[u8]]) -> Result<Node, OutOfMemory> {
        let mut node = Node::empty(arena, id, fields.chunks_exact(2).map(|pair| pair[0]))?;
        node.append(id, fields, NodeLimits { bytes: 0, entries: 0 })?;
        Ok(node)
    }

    /// A node for entries from an id on that share some names.
    pub(super) fn empty<'n>(
        arena: ArenaId,
        id: StreamId,
        names: impl ExactSizeIterator<Item = &'n [u8]>,
    ) -> Result<Node, OutOfMemory> {
        let mut bytes = Vec::new();
        write_number(&mut bytes, names.len() as u64);
        names.for_each(|name| write_item(&mut bytes, name));
        let mut block = Block::allocate(arena, bytes.len(), KIND_NODE)?;
        block.body_mut()[..bytes.len()].copy_from_slice(&bytes);
        Ok(Node { block, used: bytes.len() as u32, entries: 0, live: 0, first: id })
    }

    fn body(&self) -> &[u8] {
        &self.block.body()[..self.used as usize]
    }

    /// Bytes of its block.
    pub(super) fn bytes(&self) -> usize {
        self.block.bytes()
    }

    /// Entries that are not deleted.
    pub(super) fn len(&self) -> usize {
        self.live as usize
    }

    /// Whether another entry may go in.
    pub(super) fn has_room(&self, limits: NodeLimits, fields: &[&[u8]]) -> bool {
        let bytes: usize = fields.iter().map(|field| field.len()).sum();
        let fits = limits.bytes == 0 || self.used as usize + bytes <= limits.bytes;
        fits && (limits.entries == 0 || (self.entries as usize) < limits.entries)
            && self.used as usize + bytes < u32::MAX as usize / 2
    }

    /// Adds an entry. `limits` tells how much room to set aside for others.
    pub(super) fn append(
        &mut self,
        id: StreamId,
        fields: &[&[u8]],
        limits: NodeLimits,
    ) -> Result<(), OutOfMemory> {
        let pairs = || fields.chunks_exact(2);
        let same = names(self.body()).0.eq(pairs().map(|pair| pair[0]));
        // Two numbers of at most ten bytes, and five more for the length of each item.
        let room = fields.iter().map(|field| field.len() + 5).sum::<usize>() + 32;
        let mut entry = Vec::with_capacity(room);
        entry.push(if same { SAME_NAMES } else { 0 });
        write_number(&mut entry, id.ms - self.first.ms);
        let base = if id.ms == self.first.ms { self.first.seq } else { 0 };
        write_number(&mut entry, id.seq - base);
        if same {
            pairs().for_each(|pair| write_item(&mut entry, pair[1]));
        } else {
            write_number(&mut entry, fields.len() as u64 / 2);
            fields.iter().for_each(|part| write_item(&mut entry, part));
        }
        let end = self.used as usize + entry.len();
        if end > self.block.body().len() {
            // Room for as much again, up to what the node may hold.
            let spare = limits.bytes.saturating_sub(end).min(end);
            let mut block = Block::allocate(self.block.arena(), end + spare, KIND_NODE)?;
            block.body_mut()[..self.used as usize].copy_from_slice(self.body());
            self.block = block;
        }
        self.block.body_mut()[self.used as usize..end].copy_from_slice(&entry);
        self.used = end as u32;
        self.entries += 1;
        self.live += 1;
        Ok(())
    }

    /// Gives the room for more entries back.
    pub(super) fn trim_room(&mut self) -> Result<(), OutOfMemory> {
        let used = self.used as usize;
        if self.block.body().len() > used + used / 32 + 16 {
            let mut block = Block::allocate(self.block.arena(), used, KIND_NODE)?;
            block.body_mut()[..used].copy_from_slice(self.body());
            self.block = block;
        }
        Ok(())
    }

    /// The entries that are not deleted.
    pub(super) fn entries(&self) -> impl Iterator<Item = Place<'_>> {
        let body = self.body();
        let (names, mut at) = names(body);
        let shared = names.count();
        let first = self.first;
        std::iter::from_fn(move || {
            while at < body.len() {
                let flags_at = at;
                let flags = body[at];
                at += 1;
                let ms = first.ms + read_number(body, &mut at);
                let base = if ms == first.ms { first.seq } else { 0 };
                let id = StreamId { ms, seq: base + read_number(body, &mut at) };
                let fields_at = at;
                let items = match flags & SAME_NAMES {
                    0 => read_number(body, &mut at) as usize * 2,
                    _ => shared,
                };
                for _ in 0..items {
                    at = item(body, at).end;
                }
                if flags & DELETED == 0 {
                    return Some(Place { id, body, flags_at, fields_at });
                }
            }
            None
        })
    }

    /// The id of its last entry.
    pub(super) fn last_id(&self) -> Option<StreamId> {
        self.entries().last().map(|entry| entry.id)
    }

    /// Marks an entry as deleted; answers whether it was there.
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let Some(at) = self.entries().find(|entry| entry.id == id).map(|entry| entry.flags_at)
        else {
            return false;
        };
        self.block.body_mut()[at] |= DELETED;
        self.live -= 1;
        true
    }

    pub(super) fn duplicate(&self) -> Result<Node, OutOfMemory> {
        let mut block = Block::allocate(self.block.arena(), self.used as usize, KIND_NODE)?;
        block.body_mut()[..self.used as usize].copy_from_slice(self.body());
        Ok(Node { block, ..*self })
    }

    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    /// Moves its block, if it should; the bytes moved.
    pub(super) fn relocate(
        &mut self,
        should: impl Fn(&Block) -> bool,
    ) -> Result<usize, OutOfMemory> {
        if !should(&self.block) || !self.block.relocate()? {
            return Ok(0);
        }
        Ok(self.block.bytes())
    }
}

impl<'a> Place<'a> {
    /// The entry with its fields.
    pub(super) fn read(&self) -> StreamEntry<'a> {
        let body = self.body;
        let mut at = self.fields_at;
        let next = |at: &mut usize| {
            let range = item(body, *at);
            *at = range.end;
            &body[range]
        };
        let fields = if body[self.flags_at] & SAME_NAMES != 0 {
            names(body).0.map(|name| (name, next(&mut at))).collect()
        } else {
            let count = read_number(body, &mut at);
            (0..count).map(|_| (next(&mut at), next(&mut at))).collect()
        };
        StreamEntry { id: self.id, fields }
    }
}
