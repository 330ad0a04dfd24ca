//! What was emptied and is not yet freed.

use crate::entries::EntryDrain;

/// The contents of a database that was emptied, not yet freed.
#[derive(Default)]
pub struct Trash {
    pub(crate) drains: Vec<EntryDrain>,
    /// Entries and bytes when they were detached.
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

impl Trash {
    /// Both together.
    pub(crate) fn join(mut self, other: Trash) -> Trash {
        self.drains.extend(other.drains);
        self.entries += other.entries;
        self.bytes += other.bytes;
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

    /// Bytes that the entries take, if those that are left are like those that are gone.
    pub fn bytes(&self) -> usize {
        let share = self.len() as f64 / self.entries.max(1) as f64;
        (self.bytes as f64 * share) as usize
    }

    /// Frees some 200 entries; answers whether there were any.
    pub fn step(&mut self) -> bool {
        while let Some(drain) = self.drains.last_mut() {
            if drain.step() {
                return true;
            }
            self.drains.pop();
        }
        false
    }
}
