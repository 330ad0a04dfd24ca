//! Setting strings.

use ebb_heap::OutOfMemory;
use ebb_table::Found;

use super::{Deadline, Part};
use crate::Key;
use crate::entry::{Entry, Rewritten, StringValue};

impl Part {
    /// Sets a string; answers the deadline of what was there.
    pub fn set(
        &mut self,
        key: &Key<'_>,
        value: StringValue<'_>,
        deadline: Deadline,
    ) -> Result<Option<i64>, OutOfMemory> {
        let Some(found) = self.entries.find(key) else {
            let deadline = match deadline {
                Deadline::At(at) => Some(at),
                Deadline::Keep | Deadline::Clear => None,
            };
            let entry = Entry::build(self.data, key.bytes(), deadline, value)?;
            self.insert_new(key.hash(), entry)?;
            return Ok(None);
        };
        if deadline != Deadline::Keep {
            // Who keeps a deadline has looked at the key before.
            self.touch(found);
        }
        let old = self.entries.get(found).deadline();
        let new = match deadline {
            Deadline::Keep => old,
            Deadline::Clear => None,
            Deadline::At(at) => Some(at),
        };
        if old.is_some() != new.is_some() {
            let mut entry = Entry::build(self.data, key.bytes(), new, value)?;
            entry.inherit_clock(&self.entries.get(found));
            self.exchange(found, entry);
        } else {
            self.rewrite(found, value, new)?;
        }
        self.file(key.hash(), old, new);
        Ok(old)
    }

    /// Gives the entry that was found another string. Its deadline stays.
    pub fn put(&mut self, found: Found, value: StringValue<'_>) -> Result<(), OutOfMemory> {
        self.rewrite(found, value, None)
    }

    /// Gives a found entry another value, and another deadline if it has one.
    fn rewrite(
        &mut self,
        found: Found,
        value: StringValue<'_>,
        deadline: Option<i64>,
    ) -> Result<(), OutOfMemory> {
        let mut entry = self.entries.get_mut(found);
        if let Some(at) = deadline {
            entry.set_deadline(at);
        }
        if entry.as_ref().is_plain() && value.is_plain() {
            // In the same block it counts as before.
            if let Rewritten::Moved(moved) = entry.rewrite(value)? {
                self.exchange(found, moved);
            }
            return Ok(());
        }
        let before = *self.counts;
        self.counts.subtract(found, &entry.as_ref());
        match entry.rewrite(value) {
            Ok(Rewritten::InPlace) => self.counts.add(found, &entry.as_ref()),
            Ok(Rewritten::Moved(moved)) => {
                self.counts.set(found, before);
                self.exchange(found, moved);
            }
            Err(error) => {
                self.counts.set(found, before);
                return Err(error);
            }
        }
        Ok(())
    }
}
