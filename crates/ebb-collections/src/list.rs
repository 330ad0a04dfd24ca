//! Lists, packed or in chunks.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_heap::OutOfMemory;

pub use crate::chunk::End;
use crate::chunk::{encode, offset_of};
use crate::collection::Collection;
use crate::grown_list::GrownList;
use crate::packed::{
    COUNT_BYTES, COUNT_MAX, add_count, count, item_before, list_item, list_item_bytes,
};
use crate::slot::{Form, Slot};

/// Packed items of more bytes get a chunk of their own: within the entry, each change would
/// move them.
const PACKED_BYTES_MAX: usize = 512;

/// How much one chunk may hold: `list-max-listpack-size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    pub(crate) bytes: usize,
    pub(crate) count: usize,
    /// Items of so many bytes have a chunk of their own.
    pub(crate) lone: usize,
    /// Chunks at each end that are not compressed; 0 if none is.
    pub(crate) depth: usize,
}

/// Items of so many bytes have a chunk of their own, unless a test says otherwise.
const LONE_BYTES: usize = 1 << 30;
static LONE: AtomicUsize = AtomicUsize::new(LONE_BYTES);

/// Gives items of so many bytes a chunk of their own from now on; 0 for what is usual.
pub fn set_lone_bytes(bytes: usize) {
    LONE.store(if bytes == 0 { LONE_BYTES } else { bytes }, Ordering::Relaxed);
}

impl Fill {
    /// From the directive's value: a positive one limits the number of items (and the bytes to
    /// 8 KiB), -1 to -5 the bytes to 4, 8, 16, 32 or 64 KiB.
    #[inline]
    pub fn from_directive(value: i64) -> Fill {
        let lone = LONE.load(Ordering::Relaxed);
        if value >= 0 {
            let count = value.clamp(1, COUNT_MAX as i64) as usize;
            return Fill { bytes: 8192, count, lone, depth: 0 };
        }
        let exponent = (-value).clamp(1, 5) - 1;
        Fill { bytes: 4096 << exponent, count: usize::MAX, lone, depth: 0 }
    }

    /// The same, with all but so many chunks at each end compressed; 0 for none.
    #[inline]
    pub fn with_depth(self, depth: usize) -> Fill {
        Fill { depth, ..self }
    }

    #[inline]
    pub(crate) fn allows(self, count: usize, bytes: usize) -> bool {
        count <= self.count && bytes <= self.bytes
    }

    pub(crate) fn half(self) -> Fill {
        Fill { bytes: self.bytes / 2, count: (self.count / 2).max(1), ..self }
    }
}

/// A list to read.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    /// Packed bytes.
    Packed(&'a [u8]),
    /// The grown form.
    Grown(&'a GrownList),
}

fn items(bytes: &[u8]) -> &[u8] {
    bytes.get(COUNT_BYTES..).unwrap_or_default()
}

impl<'a> ListRef<'a> {
    /// Number of items.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            ListRef::Packed(bytes) => count(bytes),
            ListRef::Grown(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An item.
    pub fn get(&self, index: usize) -> Option<Cow<'a, [u8]>> {
        match self {
            _ if index >= self.len() => None,
            ListRef::Packed(bytes) => {
                let items = items(bytes);
                let at = offset_of(items, count(bytes), index);
                Some(Cow::Borrowed(&items[list_item(items, at).0]))
            }
            ListRef::Grown(list) => list.get(index),
        }
    }

    /// The item at an end.
    #[inline]
    pub fn peek(&self, end: End) -> Option<&'a [u8]> {
        match (self, end) {
            (ListRef::Grown(list), _) => list.peek(end),
            (ListRef::Packed(bytes), end) => {
                let items = items(bytes);
                let last = count(bytes).checked_sub(1)?;
                let index = if end == End::Left { 0 } else { last };
                Some(&items[list_item(items, offset_of(items, count(bytes), index)).0])
            }
        }
    }

    /// Visits items from an index on, until `visit` answers false.
    pub fn walk(&self, from: usize, mut visit: impl FnMut(&[u8]) -> bool) {
        match self {
            _ if from >= self.len() => {}
            ListRef::Packed(bytes) => {
                let items = items(bytes);
                let mut at = offset_of(items, count(bytes), from);
                while at < items.len() {
                    let (body, end) = list_item(items, at);
                    if !visit(&items[body]) {
                        return;
                    }
                    at = end;
                }
            }
            ListRef::Grown(list) => list.walk(from, visit),
        }
    }

    /// Visits the items before an index, backwards, until `visit` answers false.
    pub fn walk_back(&self, before: usize, mut visit: impl FnMut(&[u8]) -> bool) {
        let before = before.min(self.len());
        match self {
            ListRef::Packed(bytes) => {
                let items = items(bytes);
                let mut at = offset_of(items, count(bytes), before);
                while at > 0 {
                    at = item_before(items, at);
                    if !visit(&items[list_item(items, at).0]) {
                        return;
                    }
                }
            }
            ListRef::Grown(list) => list.walk_back(before, visit),
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            ListRef::Grown(list) if list.is_quick() => "quicklist",
            _ => "listpack",
        }
    }
}

/// A list to change.
pub struct ListMut<S> {
    slot: S,
    fill: Fill,
}

impl<S: Slot> ListMut<S> {
    /// The list in a slot.
    #[inline]
    pub fn new(slot: S, fill: Fill) -> ListMut<S> {
        ListMut { slot, fill }
    }

    /// Gives the slot back.
    #[inline]
    pub fn into_slot(self) -> S {
        self.slot
    }

    /// The list to read.
    #[inline]
    pub fn as_ref(&self) -> ListRef<'_> {
        match self.slot.grown() {
            Some(Collection::List(list)) => ListRef::Grown(list),
            _ => ListRef::Packed(self.slot.bytes()),
        }
    }

    #[inline]
    fn grown(&mut self) -> Option<&mut GrownList> {
        match self.slot.grown_mut() {
            Some(Collection::List(list)) => Some(list),
            _ => None,
        }
    }

    /// Whether the packed bytes have room for one item more.
    fn has_room(&self, item: &[u8]) -> bool {
        let bytes = self.slot.bytes();
        let more = list_item_bytes(item.len());
        bytes.len() + more <= PACKED_BYTES_MAX
            && self.fill.allows(count(bytes) + 1, bytes.len() + more)
    }

    fn grow(&mut self) -> Result<&mut GrownList, OutOfMemory> {
        let bytes = self.slot.bytes();
        let list = match count(bytes) {
            0 => GrownList::new(self.slot.arenas()),
            count => GrownList::of(self.slot.arenas(), items(bytes), count)?,
        };
        self.slot.grow(Collection::List(list))?;
        self.grown().ok_or(OutOfMemory)
    }

    /// Puts an item before the one with an index, into packed bytes that have room.
    fn splice_in(&mut self, index: usize, item: &[u8]) -> Result<(), OutOfMemory> {
        let bytes = self.slot.bytes();
        let encoded = encode(item);
        if bytes.is_empty() {
            return self.slot.splice(0..0, &[&[1, 0], &encoded]);
        }
        let at = COUNT_BYTES + offset_of(items(bytes), count(bytes), index);
        self.slot.splice(at..at, &[&encoded])?;
        add_count(self.slot.bytes_mut(), 1);
        Ok(())
    }

    /// Adds an item at an end.
    #[inline]
    pub fn push(&mut self, end: End, item: &[u8]) -> Result<(), OutOfMemory> {
        let fill = self.fill;
        if let Some(list) = self.grown() {
            return list.push(end, item, fill);
        }
        if !self.has_room(item) {
            return self.grow()?.push(end, item, fill);
        }
        let index = if end == End::Left { 0 } else { self.as_ref().len() };
        self.splice_in(index, item)
    }

    /// Removes the item at an end after `look` has seen it; `None` if the list is empty.
    pub fn pop<R>(
        &mut self,
        end: End,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, OutOfMemory> {
        let Some(seen) = self.as_ref().peek(end).map(look) else { return Ok(None) };
        let fill = self.fill;
        if let Some(list) = self.grown() {
            return list.pop(end, fill).map(|()| Some(seen));
        }
        let index = if end == End::Left { 0 } else { self.as_ref().len() - 1 };
        self.remove(index..index + 1)?;
        Ok(Some(seen))
    }

    /// Puts another item in the place of one that is there.
    pub fn set(&mut self, index: usize, item: &[u8]) -> Result<(), OutOfMemory> {
        let fill = self.fill;
        if let Some(list) = self.grown() {
            return list.set(index, item, fill);
        }
        if !self.has_room(item) {
            return self.grow()?.set(index, item, fill);
        }
        let bytes = self.slot.bytes();
        let from = COUNT_BYTES + offset_of(items(bytes), count(bytes), index);
        let to = from - COUNT_BYTES;
        let to = COUNT_BYTES + list_item(items(bytes), to).1;
        self.slot.splice(from..to, &[&encode(item)])
    }

    /// Inserts an item before the one with an index.
    pub fn insert(&mut self, index: usize, item: &[u8]) -> Result<(), OutOfMemory> {
        let fill = self.fill;
        if let Some(list) = self.grown() {
            return list.insert(index, item, fill);
        }
        if !self.has_room(item) {
            return self.grow()?.insert(index, item, fill);
        }
        self.splice_in(index, item)
    }

    /// Removes items.
    pub fn remove(&mut self, range: Range<usize>) -> Result<(), OutOfMemory> {
        if range.is_empty() {
            return Ok(());
        }
        let fill = self.fill;
        if let Some(list) = self.grown() {
            return list.remove(range, fill);
        }
        let bytes = self.slot.bytes();
        let all = count(bytes);
        let from = COUNT_BYTES + offset_of(items(bytes), all, range.start);
        let to = COUNT_BYTES + offset_of(items(bytes), all, range.end);
        self.slot.splice(from..to, &[])?;
        add_count(self.slot.bytes_mut(), -(range.len() as isize));
        Ok(())
    }

    /// The form a new list's slot has.
    pub const FORM: Form = Form::List;
}
