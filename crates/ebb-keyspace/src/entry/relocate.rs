//! Moving an entry's blocks.

use ebb_heap::{Block, Compact, OutOfMemory};
use ebb_table::handle::{self, SharedRef};

use super::{EntryMut, SHARED, array};
use crate::entry::ValueRef;

/// A collection with more bytes than this is left for later, as one with many elements.
const LARGE_BYTES: usize = 64 * 1024;

/// Which blocks are to move, how many bytes still may, and what has been done.
pub struct Work<'a> {
    /// Whether a block is one of those.
    pub should: &'a dyn Fn(&Block) -> bool,
    /// Bytes that may still be moved; the block that uses them up moves as a whole.
    pub bytes_left: usize,
    /// Elements up to which a collection is moved together with its entry.
    pub elements_max: usize,
    /// Keys of larger collections, left for later.
    pub large: Vec<Box<[u8]>>,
    /// Blocks and bytes moved.
    pub moved: Moved,
}

/// What was moved, and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Blocks moved.
    pub blocks: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Blocks looked at that stay.
    pub stayed: u64,
    /// Blocks that should move and cannot, because somebody reads them.
    pub pinned: u64,
    /// Entries of which something moved.
    pub keys: u64,
    /// Entries of which nothing did.
    pub keys_stayed: u64,
}

impl Moved {
    /// Adds what was done elsewhere.
    pub fn add(&mut self, other: Moved) {
        self.blocks += other.blocks;
        self.bytes += other.bytes;
        self.stayed += other.stayed;
        self.pinned += other.pinned;
        self.keys += other.keys;
        self.keys_stayed += other.keys_stayed;
    }
}

impl Work<'_> {
    /// Whether a block is to move; counts it as moved or as one that stays.
    pub(crate) fn takes(&mut self, block: &Block) -> bool {
        let takes = (self.should)(block);
        if takes {
            self.moved.blocks += 1;
            self.moved.bytes += block.bytes() as u64;
            self.bytes_left = self.bytes_left.saturating_sub(block.bytes());
        } else {
            self.moved.stayed += 1;
        }
        takes
    }
}

impl EntryMut<'_> {
    /// Moves what the entry refers to, and answers another block with the same content that
    /// takes the entry's place, if that is to move too. The caller frees the old one without
    /// its content, see [`free_husk`].
    pub(crate) fn relocate(&mut self, work: &mut Work<'_>) -> Result<Option<Compact>, OutOfMemory> {
        let before = work.moved.blocks;
        if self.as_ref().kind() == SHARED {
            self.relocate_shared(work)?;
        } else if let ValueRef::Grown(grown) = self.as_ref().value() {
            if grown.len() > work.elements_max || grown.footprint().data > LARGE_BYTES {
                work.large.push(self.as_ref().key().into());
            } else {
                self.relocate_grown(work)?;
            }
        }
        let twin = match work.takes(&self.0) {
            true => self.0.twin()?,
            false => None,
        };
        if work.moved.blocks > before {
            work.moved.keys += 1;
        } else {
            work.moved.keys_stayed += 1;
        }
        Ok(twin.map(Block::into_compact))
    }

    fn relocate_shared(&mut self, work: &mut Work<'_>) -> Result<(), OutOfMemory> {
        let at = self.as_ref().key_range().end;
        let name = Compact(array(&self.0.body()[at..]));
        // SAFETY: the entry holds the reference and is borrowed mutably.
        let mut shared = unsafe { SharedRef::new(name) };
        if !(work.should)(shared.block()) {
            work.moved.stayed += 1;
            return Ok(());
        }
        // SAFETY: as above; the entry gets the handle's new name at once.
        if !unsafe { shared.shared_mut() }.relocate()? {
            work.moved.pinned += 1;
            return Ok(());
        }
        work.moved.blocks += 1;
        work.moved.bytes += shared.heap_bytes() as u64;
        work.bytes_left = work.bytes_left.saturating_sub(shared.heap_bytes());
        let moved = shared.block().compact();
        self.0.body_mut()[at..at + moved.0.len()].copy_from_slice(&moved.0);
        Ok(())
    }

    fn relocate_grown(&mut self, work: &mut Work<'_>) -> Result<(), OutOfMemory> {
        // SAFETY: the entry is borrowed mutably through `self`, which is not used meanwhile.
        let mut entry = unsafe { EntryMut::new(self.0.compact()) };
        let mut position = 0;
        loop {
            position = entry.relocate_some(position, work)?;
            if position == 0 {
                return Ok(());
            }
        }
    }

    /// Moves some blocks of its collection from a position on; the position to go on from, 0
    /// at the end.
    pub(crate) fn relocate_some(
        &mut self,
        position: u128,
        work: &mut Work<'_>,
    ) -> Result<u128, OutOfMemory> {
        // SAFETY: as in `relocate_grown`.
        let entry = unsafe { EntryMut::new(self.0.compact()) };
        let Some(place) = entry.as_ref().grown_place() else { return Ok(0) };
        let grown = entry.grown_at(place);
        let (blocks, bytes) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let should = work.should;
        let next = grown.relocate(position, |block| {
            let takes = should(block);
            if takes {
                blocks.set(blocks.get() + 1);
                bytes.set(bytes.get() + block.bytes());
            }
            takes
        });
        work.moved.blocks += blocks.get();
        work.moved.bytes += bytes.get() as u64;
        work.bytes_left = work.bytes_left.saturating_sub(bytes.get());
        next
    }
}

/// Frees the block of an entry whose content lives on in its twin.
///
/// # Safety
/// The table has just given `husk` up for the twin.
pub(crate) unsafe fn free_husk(husk: Compact) {
    // SAFETY: as the caller promises.
    drop(unsafe { handle::take(husk) });
}
