//! Changing a collection where it lies.

use std::ops::Range;

use ebb_collections::{Arenas, Buffer, Collection, Form, Slot};
use ebb_heap::OutOfMemory;
use ebb_table::Found;

use crate::entry::GrownPlace;
use crate::part::Part;

/// A key's collection while it is changed. When the editor goes, the database's counts are
/// right again, and a collection that has become empty is gone.
///
/// What the collection was at the beginning stands in the part, of which there can be only one
/// editor: editors are handed on by value, from function to function, and had better be small.
pub struct Editor<'a> {
    part: &'a mut Part,
    hash: u64,
    found: Found,
    /// Where its grown form is, if it is that.
    grown: Option<GrownPlace>,
    closed: bool,
}

impl<'a> Editor<'a> {
    #[inline]
    pub(crate) fn open(part: &'a mut Part, found: Found, hash: u64) -> Editor<'a> {
        let entry = part.entries.get(found);
        let grown = entry.grown_place();
        part.before = entry.summary(grown);
        Editor { part, hash, found, grown, closed: false }
    }

    /// Ends the change; answers whether the key is gone because its collection is empty.
    #[inline]
    pub fn finish(mut self) -> bool {
        self.close()
    }

    fn close(&mut self) -> bool {
        self.closed = true;
        let after = self.part.entries.get(self.found).summary(self.grown);
        let before = self.part.before;
        self.part.counts.replace(self.found, &before, &after);
        if after.is_empty {
            let entry = self.part.entries.remove(self.found);
            self.part.counts.subtract(self.found, &entry.as_ref());
        } else if after.next_field.is_some() {
            self.part.file(self.hash, before.next_field, after.next_field);
        }
        self.part.tell_counts();
        after.is_empty
    }

    fn replace(&mut self, entry: crate::Entry) {
        let name = entry.name();
        self.grown = entry.as_ref().grown_place();
        drop(self.part.entries.replace(self.found, entry));
        self.found.entry = name;
    }
}

impl Drop for Editor<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.closed {
            self.close();
        }
    }
}

impl Buffer for Editor<'_> {
    fn bytes(&self) -> &[u8] {
        match self.part.entries.get(self.found).value() {
            crate::ValueRef::Packed(_, bytes) => bytes,
            _ => &[],
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.part.entries.get_mut(self.found).into_packed()
    }

    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) -> Result<(), OutOfMemory> {
        if let Some(entry) = self.part.entries.get_mut(self.found).splice_packed(range, parts)? {
            self.replace(entry);
        }
        Ok(())
    }
}

impl Slot for Editor<'_> {
    fn form(&self) -> Form {
        match self.part.entries.get(self.found).value() {
            crate::ValueRef::Packed(form, _) => form,
            _ => Form::List,
        }
    }

    #[inline]
    fn grown(&self) -> Option<&Collection> {
        self.grown.map(|place| self.part.entries.get(self.found).grown_at(place))
    }

    #[inline]
    fn grown_mut(&mut self) -> Option<&mut Collection> {
        self.grown.map(|place| self.part.entries.get_mut(self.found).grown_at(place))
    }

    fn grow(&mut self, collection: Collection) -> Result<(), OutOfMemory> {
        let entry = self.part.entries.get_mut(self.found).grown_as(collection)?;
        self.replace(entry);
        Ok(())
    }

    fn pack(&mut self, form: Form, bytes: &[u8]) -> Result<(), OutOfMemory> {
        let entry = self.part.entries.get_mut(self.found).packed_as(form, bytes)?;
        self.replace(entry);
        Ok(())
    }

    fn arenas(&self) -> Arenas {
        self.part.arenas()
    }
}
