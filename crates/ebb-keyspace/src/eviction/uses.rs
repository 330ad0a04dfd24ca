//! The part of a database that notes the uses of its keys.

use ebb_table::Found;

use super::{AccessClock, S3Fifo, lfu_count};
use crate::entry::EntryRef;
use crate::part::Part;

impl Part {
    /// S3-FIFO's memory, made if it is not there.
    pub(crate) fn fifo(&mut self) -> &mut S3Fifo {
        self.fifo.get_or_insert_with(|| Box::new(S3Fifo::new(self.dice.roll())))
    }

    /// The entry that was found, its access clock set to now.
    #[inline]
    pub fn touch(&mut self, found: Found) {
        let old = self.entries.get(found).clock();
        let clock = match self.clock {
            AccessClock::Lru { seconds } => seconds,
            _ => self.used(old),
        };
        if clock != old {
            self.entries.get_mut(found).set_clock(clock);
        }
    }

    /// What the clock of an entry says after one more use, if that is not just the time.
    #[inline(never)]
    fn used(&mut self, old: u32) -> u32 {
        match self.clock {
            AccessClock::S3Fifo => self.fifo().touched(old),
            clock => clock.touched(old, || self.dice.roll()),
        }
    }

    /// The clock of an entry that is added; `old` is what it says now, 0 if it was just made.
    pub(crate) fn fresh_clock(&mut self, hash: u64, old: u32) -> u32 {
        if self.clock == AccessClock::S3Fifo {
            let keys = self.counts.keys;
            return self.fifo().admit(hash, keys);
        }
        self.fifo = None;
        match self.clock {
            // A key that was renamed or copied keeps its frequency.
            AccessClock::Lfu { .. } if old != 0 => old,
            clock => clock.fresh(),
        }
    }

    /// How often an entry was used, if the policy counts that.
    pub fn frequency(&self, entry: &EntryRef<'_>) -> Option<u32> {
        match self.clock {
            AccessClock::Lru { .. } => None,
            AccessClock::Lfu { minutes, decay_minutes, .. } => {
                Some(lfu_count(entry.clock(), minutes, decay_minutes))
            }
            AccessClock::S3Fifo => {
                Some(self.fifo.as_deref().map_or(0, |fifo| fifo.uses(entry.clock())))
            }
        }
    }

    /// The hash of a key with a deadline: any, or one that expires early. `None` if what was
    /// drawn was of no use; then it is gone.
    pub(crate) fn draw_volatile(&mut self, first: bool, roll: u64) -> Option<u64> {
        let hash = self.wheel.draw(first, roll)?;
        let entry = self.entries.get(self.entries.find_volatile(hash)?);
        let (key_at, field_at) = (entry.deadline(), entry.next_field_deadline());
        let next = key_at.into_iter().chain(field_at).min()?;
        self.wheel.insert(next, hash);
        key_at.map(|_| hash)
    }

    /// Deletes the entry that was found.
    pub(crate) fn remove_found(&mut self, found: Found) {
        let entry = self.entries.remove(found);
        self.counts.subtract(found, &entry.as_ref());
    }

    /// Bytes of the data that are not in the heap.
    pub(crate) fn outside_bytes(&self) -> usize {
        if self.is_empty() && self.wheel.is_empty() && self.fifo.is_none() {
            return 0;
        }
        let fifo = self.fifo.as_deref().map_or(0, S3Fifo::bytes);
        let directory = self.entries.raw().directory_bytes();
        self.counts.outside + fifo + directory + self.wheel.heap_bytes()
    }
}
