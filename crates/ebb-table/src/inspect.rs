//! Looking at a table segment by segment while it changes in between.

use ebb_heap::{Block, Compact};

use crate::handle::BlockRef;
use crate::point::Point;
use crate::{Blocks, Found, Table};

/// The position of a hash: what orders the entries of a table.
#[inline]
pub fn position_of(hash: u64) -> u64 {
    Point::of(hash).position
}

impl Found {
    /// The position of what was found.
    #[inline]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl Table {
    /// Visits the segment that a position belongs to: its block, then its entries. Answers the
    /// position after it, 0 at the end.
    ///
    /// An entry that is there from the first call to the last is visited, and may be visited
    /// again when segments merge: whoever counts skips entries before `position`.
    pub fn inspect(
        &self,
        position: u64,
        segment: impl FnOnce(&Block),
        mut visit: impl FnMut(Compact),
    ) -> u64 {
        if self.directory.is_empty() {
            return 0;
        }
        let first = self.first_row(self.row(position));
        let here = self.directory[first];
        // SAFETY: the directory's row owns the segment's block, and is borrowed.
        let block: BlockRef<'_> = unsafe { BlockRef::new(here.compact()) };
        segment(&block);
        here.for_each(|entry| entry.prefetch());
        here.for_each(&mut visit);
        let next = (self.rows(first).end as u128) << (64 - u32::from(self.depth));
        u64::try_from(next).unwrap_or(0)
    }
}

impl Blocks {
    /// Visits one segment of the table from `position` on: its block, and those that it names.
    /// Answers the position to go on from, 0 at the end.
    pub fn inspect(&self, position: u64, visit: &mut dyn FnMut(&Block)) -> u64 {
        let mut names = Vec::new();
        let next = self.table.inspect(position, &mut *visit, |name| names.push(name));
        for name in names {
            // SAFETY: the table owns its blocks and is borrowed.
            let block: BlockRef<'_> = unsafe { BlockRef::new(name) };
            visit(&block);
        }
        next
    }
}
