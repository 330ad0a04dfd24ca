//! A list in chunks. Those at its ends are never compressed, others beyond a depth may be.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use ebb_heap::{Block, OutOfMemory};

use crate::chunk::{Chunk, End, encode, offset_of};
use crate::collection::Footprint;
use crate::list::Fill;
use crate::packed::{item_before, list_item, list_item_bytes};
use crate::slot::Arenas;

/// Chunks looked at in one step of moving, and bytes moved.
const LOOK_MAX: usize = 256;
const MOVE_BYTES: usize = 64 * 1024;

/// A large list.
pub struct GrownList {
    arenas: Arenas,
    chunks: VecDeque<Chunk>,
    len: usize,
    /// Bytes of the chunks' blocks.
    bytes: usize,
    /// Has outgrown one chunk (and not shrunk to half of one since), if only by one item that is
    /// larger than a chunk may be.
    quick: bool,
    /// Chunks that were removed, ever: by so many the others may have moved up.
    removed: u32,
}

impl GrownList {
    pub(crate) fn new(arenas: Arenas) -> GrownList {
        GrownList { arenas, chunks: VecDeque::new(), len: 0, bytes: 0, quick: false, removed: 0 }
    }

    /// A list of items that lie one after the other.
    pub(crate) fn of(arenas: Arenas, items: &[u8], count: usize) -> Result<GrownList, OutOfMemory> {
        let mut list = GrownList::new(arenas);
        let chunk = Chunk::new(arenas.data, items, count, 0, End::Right)?;
        list.bytes = chunk.bytes();
        list.chunks.push_back(chunk);
        list.len = count;
        Ok(list)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.quick
    }

    /// Does something with a chunk, expanded, and keeps the count of bytes.
    fn with<R>(
        &mut self,
        chunk: usize,
        work: impl FnOnce(&mut Chunk) -> Result<R, OutOfMemory>,
    ) -> Result<R, OutOfMemory> {
        let chunk = &mut self.chunks[chunk];
        self.bytes -= chunk.bytes();
        let result = chunk.expand().and_then(|()| work(chunk));
        self.bytes += chunk.bytes();
        result
    }

    /// Compresses a chunk that is more than `depth` chunks away from both ends, and expands any
    /// other, if there is memory for it.
    fn settle_chunk(&mut self, at: usize, depth: usize) {
        let is_inner = at >= depth && at.saturating_add(depth) < self.chunks.len();
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        self.bytes -= chunk.bytes();
        match is_inner {
            true => chunk.compress(),
            false => drop(chunk.expand()),
        }
        self.bytes += chunk.bytes();
    }

    /// Settles chunks that were changed, and, if chunks have come or gone, those that thereby
    /// have come farther from an end or nearer to it.
    fn settle(&mut self, depth: usize, touched: Range<usize>, come_or_gone: usize) {
        if depth == 0 {
            return;
        }
        touched.for_each(|at| self.settle_chunk(at, depth));
        if come_or_gone > 0 {
            let len = self.chunks.len();
            let to = depth.saturating_add(come_or_gone).min(len);
            for at in depth.saturating_sub(come_or_gone)..to {
                self.settle_chunk(at, depth);
                self.settle_chunk(len - 1 - at, depth);
            }
        }
    }

    /// Expands the chunks that will be at the ends when some items are gone.
    fn expand_new_ends(&mut self, gone: &Range<usize>) -> Result<(), OutOfMemory> {
        if gone.start == 0 && gone.end < self.len {
            let first = self.locate(gone.end).0;
            self.with(first, |_| Ok(()))?;
        }
        if gone.end == self.len && gone.start > 0 {
            let last = self.locate(gone.start - 1).0;
            self.with(last, |_| Ok(()))?;
        }
        Ok(())
    }

    fn insert_chunk(&mut self, at: usize, chunk: Chunk) {
        self.bytes += chunk.bytes();
        self.chunks.insert(at, chunk);
    }

    fn remove_chunk(&mut self, at: usize) {
        if let Some(chunk) = self.chunks.remove(at) {
            self.removed = self.removed.wrapping_add(1);
            self.bytes -= chunk.bytes();
        }
    }

    #[inline]
    fn end_chunk(&self, end: End) -> Option<usize> {
        match end {
            End::Left => (!self.chunks.is_empty()).then_some(0),
            End::Right => self.chunks.len().checked_sub(1),
        }
    }

    /// Before an item comes or takes another's place: a list of one chunk has outgrown it if the
    /// chunk has no room for the item besides those that are there. As long as it has not, no item
    /// has a chunk of its own.
    fn may_outgrow(&mut self, added: usize, fill: Fill) -> Fill {
        if !self.quick {
            let len = self.chunks.front().map_or(0, Chunk::len);
            self.quick = !fill.allows(self.len + 1, len + added);
        }
        if self.quick { fill } else { Fill { lone: usize::MAX, ..fill } }
    }

    pub(crate) fn push(&mut self, end: End, item: &[u8], fill: Fill) -> Result<(), OutOfMemory> {
        let added = list_item_bytes(item.len());
        let fill = self.may_outgrow(added, fill);
        let fits = |list: &GrownList, at: usize| {
            let chunk = &list.chunks[at];
            !chunk.is_lone(fill.lone)
                && item.len() < fill.lone
                && fill.allows(chunk.count() + 1, chunk.len() + added)
        };
        match self.end_chunk(end).filter(|&at| fits(self, at)) {
            Some(at) => {
                // It is not compressed, and nothing but its items changes while it has room.
                if !self.chunks[at].put(end, item) {
                    let room_max = fill.bytes.saturating_sub(self.chunks[at].len());
                    self.with(at, |chunk| chunk.push(end, item, room_max))?;
                }
            }
            None => self.push_chunk(end, item, fill)?,
        }
        self.len += 1;
        Ok(())
    }

    /// Adds a chunk of one item at an end.
    fn push_chunk(&mut self, end: End, item: &[u8], fill: Fill) -> Result<(), OutOfMemory> {
        // The chunk that stays behind keeps no room, the new one is for many more.
        if let Some(at) = self.end_chunk(end) {
            self.with(at, |chunk| chunk.trim(chunk.len() / 64))?;
        }
        let room = if self.chunks.is_empty() { 0 } else { fill.bytes.min(8192) };
        let encoded = encode(item);
        let room = room.saturating_sub(encoded.len());
        let chunk = Chunk::new(self.arenas.data, &encoded, 1, room, end)?;
        let at = if end == End::Left { 0 } else { self.chunks.len() };
        self.insert_chunk(at, chunk);
        self.settle(fill.depth, 0..0, 1);
        Ok(())
    }

    #[inline]
    pub(crate) fn peek(&self, end: End) -> Option<&[u8]> {
        self.end_chunk(end).map(|at| self.chunks[at].peek(end))
    }

    /// The chunk of an item, and the item's index in it.
    fn locate(&self, index: usize) -> (usize, usize) {
        if index < self.len / 2 {
            let mut rest = index;
            for (at, chunk) in self.chunks.iter().enumerate() {
                if rest < chunk.count() {
                    return (at, rest);
                }
                rest -= chunk.count();
            }
        } else {
            let mut before = self.len;
            for (at, chunk) in self.chunks.iter().enumerate().rev() {
                before -= chunk.count();
                if index >= before {
                    return (at, index - before);
                }
            }
        }
        (self.chunks.len(), 0)
    }

    pub(crate) fn get(&self, index: usize) -> Option<Cow<'_, [u8]>> {
        let (at, index) = self.locate(index);
        let chunk = self.chunks.get(at)?;
        let items = chunk.read();
        let body = list_item(&items, offset_of(&items, chunk.count(), index)).0;
        Some(match items {
            Cow::Borrowed(items) => Cow::Borrowed(&items[body]),
            Cow::Owned(items) => Cow::Owned(items[body].to_vec()),
        })
    }

    /// Visits items from an index on, until `visit` answers false.
    pub(crate) fn walk(&self, from: usize, mut visit: impl FnMut(&[u8]) -> bool) {
        let (first, index) = self.locate(from);
        let mut skip = index;
        for chunk in self.chunks.range(first.min(self.chunks.len())..) {
            let items = chunk.read();
            let mut at = offset_of(&items, chunk.count(), std::mem::take(&mut skip));
            while at < items.len() {
                let (body, end) = list_item(&items, at);
                if !visit(&items[body]) {
                    return;
                }
                at = end;
            }
        }
    }

    /// Visits items before an index, backwards, until `visit` answers false.
    pub(crate) fn walk_back(&self, before: usize, mut visit: impl FnMut(&[u8]) -> bool) {
        let Some(last) = before.checked_sub(1) else { return };
        let (first, index) = self.locate(last);
        let mut upto = Some(index + 1);
        for chunk in self.chunks.range(..=first).rev() {
            let items = chunk.read();
            let mut at = offset_of(&items, chunk.count(), upto.take().unwrap_or(chunk.count()));
            while at > 0 {
                at = item_before(&items, at);
                if !visit(&items[list_item(&items, at).0]) {
                    return;
                }
            }
        }
    }

    pub(crate) fn set(&mut self, index: usize, item: &[u8], fill: Fill) -> Result<(), OutOfMemory> {
        let fill = self.may_outgrow(list_item_bytes(item.len()), fill);
        self.replace(index, item, fill)?;
        if self.chunks.len() == 1 {
            self.quick &= !self.is_small(fill);
        }
        Ok(())
    }

    fn replace(&mut self, index: usize, item: &[u8], fill: Fill) -> Result<(), OutOfMemory> {
        let (at, index) = self.locate(index);
        self.with(at, |_| Ok(()))?;
        let chunk = &self.chunks[at];
        let old = chunk.offset(index + 1) - chunk.offset(index);
        let len = chunk.len() - old + list_item_bytes(item.len());
        let shares = item.len() < fill.lone && fill.allows(chunk.count(), len);
        if chunk.count() == 1 || shares {
            self.with(at, |chunk| chunk.splice(index..index + 1, &encode(item), 1))?;
            self.settle(fill.depth, at..at + 1, 0);
            return Ok(());
        }
        // The item gets a chunk of its own, between what was before it and after it.
        let own = Chunk::new(self.arenas.data, &encode(item), 1, 0, End::Right)?;
        self.split(at, index + 1)?;
        self.with(at, |chunk| {
            chunk.pop(End::Right, 1);
            Ok(())
        })?;
        self.insert_chunk(at + 1, own);
        self.drop_empty(at..at + 3);
        self.settle(fill.depth, at..at + 3, 2);
        Ok(())
    }

    /// Inserts an item before the one with an index.
    pub(crate) fn insert(
        &mut self,
        index: usize,
        item: &[u8],
        fill: Fill,
    ) -> Result<(), OutOfMemory> {
        if index == 0 {
            return self.push(End::Left, item, fill);
        }
        if index >= self.len {
            return self.push(End::Right, item, fill);
        }
        let fill = self.may_outgrow(list_item_bytes(item.len()), fill);
        let (at, index) = self.locate(index);
        self.with(at, |_| Ok(()))?;
        let chunk = &self.chunks[at];
        let encoded = encode(item);
        let shares = item.len() < fill.lone && !chunk.is_lone(fill.lone);
        if shares && fill.allows(chunk.count() + 1, chunk.len() + encoded.len()) {
            self.with(at, |chunk| chunk.splice(index..index, &encoded, 1))?;
            self.settle(fill.depth, at..at + 1, 0);
        } else {
            let own = Chunk::new(self.arenas.data, &encoded, 1, 0, End::Right)?;
            self.split(at, index)?;
            self.insert_chunk(at + 1, own);
            self.drop_empty(at..at + 3);
            self.merge_around(at, fill)?;
            self.settle(fill.depth, at.saturating_sub(1)..at + 3, 4);
        }
        self.len += 1;
        Ok(())
    }

    /// Splits a chunk before an item; the second part may be empty.
    fn split(&mut self, at: usize, index: usize) -> Result<(), OutOfMemory> {
        let chunk = &self.chunks[at];
        let items = &chunk.items()[chunk.offset(index)..];
        let count = chunk.count() - index;
        let second = Chunk::new(self.arenas.data, items, count, 0, End::Right)?;
        self.with(at, |chunk| {
            chunk.pop(End::Right, count);
            Ok(())
        })?;
        self.insert_chunk(at + 1, second);
        Ok(())
    }

    fn drop_empty(&mut self, range: Range<usize>) {
        for at in range.rev() {
            if self.chunks.get(at).is_some_and(|chunk| chunk.count() == 0) {
                self.remove_chunk(at);
            }
        }
    }

    /// Joins a chunk with its neighbours where both are small.
    fn merge_around(&mut self, at: usize, fill: Fill) -> Result<(), OutOfMemory> {
        for first in [at, at.saturating_sub(1)] {
            let (Some(low), Some(high)) = (self.chunks.get(first), self.chunks.get(first + 1))
            else {
                continue;
            };
            if low.is_lone(fill.lone) || high.is_lone(fill.lone) {
                continue;
            }
            if !fill.half().allows(low.count() + high.count(), low.len() + high.len()) {
                continue;
            }
            let (items, count) = (high.read().into_owned(), high.count());
            let end = low.count();
            self.with(first, |chunk| chunk.splice(end..end, &items, count))?;
            self.remove_chunk(first + 1);
        }
        Ok(())
    }

    /// Removes the item at an end. A chunk that becomes small that way is not joined with its
    /// neighbour, because it is soon gone.
    pub(crate) fn pop(&mut self, end: End, fill: Fill) -> Result<(), OutOfMemory> {
        let Some(at) = self.end_chunk(end) else { return Ok(()) };
        if self.chunks[at].count() == 1 || fill.depth > 0 {
            let index = if end == End::Left { 0 } else { self.len - 1 };
            return self.remove(index..index + 1, fill);
        }
        let chunk = &mut self.chunks[at];
        chunk.pop(end, 1);
        self.len -= 1;
        let spare_max = chunk.len().max(512) * 3;
        if chunk.is_roomy(spare_max) {
            // Without memory for a smaller block it stays as it is.
            let _ = self.with(at, |chunk| chunk.trim(spare_max));
        }
        if self.chunks.len() == 1 {
            self.quick &= !self.is_small(fill);
        }
        Ok(())
    }

    /// Whether the first chunk, if it is the only one, is so small that packed bytes will do.
    fn is_small(&self, fill: Fill) -> bool {
        fill.half().allows(self.chunks[0].count(), self.chunks[0].len())
    }

    /// Removes items.
    pub(crate) fn remove(&mut self, range: Range<usize>, fill: Fill) -> Result<(), OutOfMemory> {
        self.expand_new_ends(&range)?;
        let chunks = self.chunks.len();
        let mut left = range.len();
        let (mut at, mut index) = self.locate(range.start);
        while left > 0 {
            let count = self.chunks[at].count();
            let here = left.min(count - index);
            if here == count {
                self.remove_chunk(at);
            } else {
                self.with(at, |chunk| {
                    match index {
                        0 => chunk.pop(End::Left, here),
                        _ if index + here == count => chunk.pop(End::Right, here),
                        _ => chunk.splice(index..index + here, &[], 0)?,
                    }
                    chunk.trim(chunk.len().max(512) * 3)
                })?;
                at += 1;
            }
            self.len -= here;
            left -= here;
            index = 0;
        }
        self.merge_around(at.min(self.chunks.len().saturating_sub(1)), fill)?;
        self.settle(fill.depth, at.saturating_sub(2)..at + 1, chunks - self.chunks.len());
        let shrunk = match self.chunks.len() {
            0 => true,
            1 => self.is_small(fill),
            _ => false,
        };
        self.quick &= !shrunk;
        Ok(())
    }

    #[inline]
    pub(crate) fn footprint(&self) -> Footprint {
        let outside = self.chunks.capacity() * size_of::<Chunk>();
        Footprint { data: self.bytes, index: 0, outside }
    }

    pub(crate) fn duplicate(&self) -> Result<GrownList, OutOfMemory> {
        let mut copy = GrownList::new(self.arenas);
        for chunk in &self.chunks {
            copy.insert_chunk(copy.chunks.len(), chunk.duplicate()?);
        }
        (copy.len, copy.quick) = (self.len, self.quick);
        Ok(copy)
    }

    pub(crate) fn free_step(&mut self) -> bool {
        let left = self.chunks.len().saturating_sub(64);
        self.chunks.truncate(left);
        left > 0
    }

    /// A position is the index of a chunk, and above it the number of those removed so far: so
    /// many chunks further to the front the walk goes on, since others have moved up.
    pub(crate) fn inspect(&self, position: u128, visit: &mut dyn FnMut(&Block)) -> u128 {
        const CHUNKS: usize = 1024;
        let removed = self.removed.wrapping_sub((position >> 64) as u32);
        let from = (position as u64 as usize).saturating_sub(removed as usize);
        let shown = self.chunks.iter().skip(from).take(CHUNKS);
        shown.for_each(|chunk| visit(chunk.as_block()));
        let next = from + CHUNKS;
        if next >= self.chunks.len() { 0 } else { next as u128 | u128::from(self.removed) << 64 }
    }

    pub(crate) fn relocate(
        &mut self,
        position: u128,
        should: impl Fn(&Block) -> bool,
    ) -> Result<u128, OutOfMemory> {
        let first = (position as usize).min(self.chunks.len());
        let mut moved = 0;
        for (at, chunk) in self.chunks.iter_mut().enumerate().skip(first) {
            if at == first + LOOK_MAX || moved >= MOVE_BYTES {
                return Ok(at as u128);
            }
            if should(chunk.block()) {
                moved += chunk.bytes();
                chunk.block().relocate()?;
            }
        }
        Ok(0)
    }
}
