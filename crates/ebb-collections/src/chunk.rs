//! A chunk of a grown list: packed items with room at both ends, so that pushing and popping
//! move nothing. The items of a chunk far from the list's ends may be compressed; who changes
//! them, or looks at an end, expands the chunk before.

use std::borrow::Cow;

use ebb_heap::{ArenaId, Block, OutOfMemory};
use ebb_types::lzf;

use crate::packed::{Header, SHORT, Trailer, item_before, list_item, list_item_bytes};

/// The heap's tag for chunks.
const KIND_CHUNK: u8 = 96;
/// The heap's tag for chunks whose items are compressed.
const KIND_COMPRESSED: u8 = 99;

/// Items of fewer bytes are not compressed, nor those of very many, which would take long.
const COMPRESSED_BYTES_MIN: usize = 48;
const COMPRESSED_BYTES_MAX: usize = 1 << 20;
/// Compression that saves less is not worth it.
const SAVING_MIN: usize = 8;

/// Which end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The head, LPUSH's.
    Left,
    /// The tail, RPUSH's.
    Right,
}

/// Items of a list in one block.
pub(crate) struct Chunk {
    block: Block,
    /// Where its items begin in the block; if they are compressed, how long they are expanded.
    start: u32,
    end: u32,
    count: u32,
}

impl Chunk {
    /// A chunk of `items` with `room` for more bytes at an end.
    pub(crate) fn new(
        arena: ArenaId,
        items: &[u8],
        count: usize,
        room: usize,
        at: End,
    ) -> Result<Chunk, OutOfMemory> {
        let mut block = Block::allocate(arena, items.len() + room, KIND_CHUNK)?;
        let body = block.body_mut();
        let start = if at == End::Left { body.len() - items.len() } else { 0 };
        body[start..start + items.len()].copy_from_slice(items);
        let end = (start + items.len()) as u32;
        Ok(Chunk { block, start: start as u32, end, count: count as u32 })
    }

    /// Whether its items are compressed.
    #[inline]
    fn is_compressed(&self) -> bool {
        self.block.kind() == KIND_COMPRESSED
    }

    /// Its items, expanded if they are compressed.
    #[inline]
    pub(crate) fn read(&self) -> Cow<'_, [u8]> {
        if self.is_compressed() { Cow::Owned(self.expanded()) } else { Cow::Borrowed(self.items()) }
    }

    fn expanded(&self) -> Vec<u8> {
        let compressed = &self.block.body()[..self.end as usize];
        // It is what `compress` has made of a chunk, and nobody has changed it since.
        lzf::decompress(compressed, u64::from(self.start)).expect("a chunk that was compressed")
    }

    /// Compresses its items, if that is worth it. Without memory it stays as it is.
    pub(crate) fn compress(&mut self) {
        let len = self.len();
        if self.is_compressed() || !(COMPRESSED_BYTES_MIN..=COMPRESSED_BYTES_MAX).contains(&len) {
            return;
        }
        let Some(compressed) = lzf::compress(self.items(), SAVING_MIN) else { return };
        let block = Block::allocate(self.block.arena(), compressed.len(), KIND_COMPRESSED);
        let Ok(mut block) = block else { return };
        block.body_mut()[..compressed.len()].copy_from_slice(&compressed);
        let (start, end) = (len as u32, compressed.len() as u32);
        *self = Chunk { block, start, end, count: self.count };
    }

    /// Expands its items, if they are compressed.
    #[inline]
    pub(crate) fn expand(&mut self) -> Result<(), OutOfMemory> {
        if self.is_compressed() {
            let items = self.expanded();
            *self = Chunk::new(self.block.arena(), &items, self.count(), 0, End::Right)?;
        }
        Ok(())
    }

    /// Its items, which are not compressed.
    #[inline]
    pub(crate) fn items(&self) -> &[u8] {
        debug_assert!(!self.is_compressed());
        &self.block.body()[self.start as usize..self.end as usize]
    }

    /// Number of items.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes of its items, expanded.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        if self.is_compressed() { self.start as usize } else { (self.end - self.start) as usize }
    }

    /// Whether it holds one item of at least so many bytes.
    #[inline]
    pub(crate) fn is_lone(&self, bytes: usize) -> bool {
        self.count == 1 && self.len() > bytes && list_item(&self.read(), 0).0.len() >= bytes
    }

    /// Bytes of its block.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.block.bytes()
    }

    pub(crate) fn as_block(&self) -> &Block {
        &self.block
    }

    pub(crate) fn block(&mut self) -> &mut Block {
        &mut self.block
    }

    pub(crate) fn duplicate(&self) -> Result<Chunk, OutOfMemory> {
        if !self.is_compressed() {
            return Chunk::new(self.block.arena(), self.items(), self.count(), 0, End::Right);
        }
        let compressed = &self.block.body()[..self.end as usize];
        let mut block = Block::allocate(self.block.arena(), compressed.len(), KIND_COMPRESSED)?;
        block.body_mut()[..compressed.len()].copy_from_slice(compressed);
        Ok(Chunk { block, ..*self })
    }

    /// Where the item with an index begins; the end for the number of items.
    pub(crate) fn offset(&self, index: usize) -> usize {
        offset_of(self.items(), self.count(), index)
    }

    /// Adds an item at an end. `room_max` bounds the bytes that are set aside for items to come.
    pub(crate) fn push(
        &mut self,
        at: End,
        item: &[u8],
        room_max: usize,
    ) -> Result<(), OutOfMemory> {
        if !self.put(at, item) {
            let needed = list_item_bytes(item.len());
            let room = self.len().min(room_max).max(needed);
            *self = Chunk::new(self.block.arena(), self.items(), self.count(), room, at)?;
            self.put(at, item);
        }
        Ok(())
    }

    /// Adds an item at an end, if the block has room there. The items are not compressed.
    #[inline]
    pub(crate) fn put(&mut self, at: End, item: &[u8]) -> bool {
        debug_assert!(!self.is_compressed());
        let needed = list_item_bytes(item.len());
        let (start, end) = (self.start as usize, self.end as usize);
        let from = match at {
            End::Left => start.checked_sub(needed),
            End::Right => Some(end),
        };
        let body = self.block.body_mut();
        let Some(place) = from.and_then(|from| body.get_mut(from..from + needed)) else {
            return false;
        };
        write(place, item);
        match at {
            End::Left => self.start = (start - needed) as u32,
            End::Right => self.end = (end + needed) as u32,
        }
        self.count += 1;
        true
    }

    /// The item at an end.
    #[inline]
    pub(crate) fn peek(&self, at: End) -> &[u8] {
        let items = self.items();
        let start = match at {
            End::Left => 0,
            End::Right => item_before(items, items.len()),
        };
        &items[list_item(items, start).0]
    }

    /// Removes `count` items from an end.
    #[inline]
    pub(crate) fn pop(&mut self, at: End, count: usize) {
        match at {
            End::Left => self.start += self.offset(count) as u32,
            End::Right => self.end = self.start + self.offset(self.count() - count) as u32,
        }
        self.count -= count as u32;
    }

    /// Whether it has more room than so many bytes.
    #[inline]
    pub(crate) fn is_roomy(&self, spare_max: usize) -> bool {
        self.block.body().len() - self.len() > spare_max.max(16)
    }

    /// Gives back most of the room, if there is much.
    pub(crate) fn trim(&mut self, spare_max: usize) -> Result<(), OutOfMemory> {
        if self.is_roomy(spare_max) {
            *self = Chunk::new(self.block.arena(), self.items(), self.count(), 0, End::Right)?;
        }
        Ok(())
    }

    /// Puts `with`, which is `count` items, in the place of items `from..to`.
    pub(crate) fn splice(
        &mut self,
        items: std::ops::Range<usize>,
        with: &[u8],
        count: usize,
    ) -> Result<(), OutOfMemory> {
        let (from, to) = (self.offset(items.start), self.offset(items.end));
        let (start, len) = (self.start as usize, self.len());
        let new_len = len - (to - from) + with.len();
        if start + new_len <= self.block.body().len() {
            let body = self.block.body_mut();
            body.copy_within(start + to..start + len, start + from + with.len());
            body[start + from..start + from + with.len()].copy_from_slice(with);
            self.end = (start + new_len) as u32;
        } else {
            let old = self.items();
            let all = [&old[..from], with, &old[to..]].concat();
            *self = Chunk::new(self.block.arena(), &all, self.count(), 0, End::Right)?;
        }
        self.count = self.count - items.len() as u32 + count as u32;
        Ok(())
    }
}

/// Writes an item of a list into the bytes that it takes.
#[inline]
fn write(place: &mut [u8], item: &[u8]) {
    if item.len() < SHORT
        && let [head, body @ .., tail] = &mut *place
    {
        *head = item.len() as u8;
        body.copy_from_slice(item);
        *tail = item.len() as u8 + 1;
        return;
    }
    write_long(place, item);
}

#[inline(never)]
fn write_long(place: &mut [u8], item: &[u8]) {
    let header = Header::of(item.len());
    let trailer = Trailer::of(header.as_slice().len() + item.len());
    let (head, rest) = place.split_at_mut(header.as_slice().len());
    let (body, tail) = rest.split_at_mut(item.len());
    head.copy_from_slice(header.as_slice());
    body.copy_from_slice(item);
    tail.copy_from_slice(trailer.as_slice());
}

/// Where the item with an index begins in `items`, which are `count`; from the nearer end.
#[inline]
pub(crate) fn offset_of(items: &[u8], count: usize, index: usize) -> usize {
    if index <= count / 2 {
        let mut at = 0;
        for _ in 0..index {
            at = list_item(items, at).1;
        }
        at
    } else {
        let mut at = items.len();
        for _ in index..count {
            at = item_before(items, at);
        }
        at
    }
}

/// An item as it lies in a list.
pub(crate) fn encode(item: &[u8]) -> Vec<u8> {
    let header = Header::of(item.len());
    let trailer = Trailer::of(header.as_slice().len() + item.len());
    [header.as_slice(), item, trailer.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_every_length_are_put_in_place_at_both_ends() {
        let arena = ArenaId::new();
        for len in [0, 1, 125, 126, 127, 128, 191, 192, 300, 16_200] {
            let item = vec![b'x'; len];
            for end in [End::Left, End::Right] {
                let mut chunk = Chunk::new(arena, &encode(b"first"), 1, 20_000, end).unwrap();
                let bytes = chunk.bytes();
                assert!(chunk.put(end, &item));
                assert_eq!((chunk.count(), chunk.bytes(), chunk.peek(end)), (2, bytes, &item[..]));
                chunk.pop(end, 1);
                assert_eq!((chunk.count(), chunk.peek(end)), (1, &b"first"[..]));
            }
        }
    }

    #[test]
    fn without_room_nothing_is_put() {
        let mut chunk = Chunk::new(ArenaId::new(), &encode(b"first"), 1, 0, End::Right).unwrap();
        assert!(!chunk.put(End::Left, b"x") && !chunk.put(End::Right, &[b'x'; 40]));
        assert_eq!((chunk.count(), chunk.items()), (1, &encode(b"first")[..]));
        chunk.push(End::Left, &[b'x'; 40], 4096).unwrap();
        assert_eq!((chunk.count(), chunk.peek(End::Left)), (2, &[b'x'; 40][..]));
    }
}
