//! What was emptied and is not yet freed.

use crate::entries::EntryDrain;

/// The contents of a database that was emptied, not yet freed.
#[derive(Default)]
pub struct Trash {
    pub(crate) drains: Vec<EntryDrain>,
    /// Bytes of heap in the entries that are left, and in their values.
    pub(crate) bytes: usize,
    /// Entries, and bytes of their tables, when they were detached.
    pub(crate) entries: usize,
    pub(crate) index: usize,
}

impl Trash {
    /// Both together.
    pub(crate) fn join(mut self, other: Trash) -> Trash {
        self.drains.extend(other.drains);
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.index += other.index;
        self
    }

    /// Entries left to free.
    pub fn len(&self) -> usize {
        self.drains.iter().map(EntryDrain::len).sum()
    }

    /// Whether all are freed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap that are left: those of entries and values exactly, those of the tables if
    /// their segments are filled alike.
    pub fn bytes(&self) -> usize {
        let left = self.len();
        let share = left as f64 / self.entries.max(1) as f64;
        if left == 0 { 0 } else { self.bytes + (self.index as f64 * share) as usize }
    }

    /// Frees some 200 entries; answers whether there were any.
    pub fn step(&mut self) -> bool {
        while let Some(drain) = self.drains.last_mut() {
            if let Some(freed) = drain.step() {
                self.bytes = self.bytes.saturating_sub(freed);
                return true;
            }
            self.drains.pop();
        }
        false
    }
}
