//! Changing a collection where it lies.

use std::ops::Range;

use ebb_collections::{Arenas, Buffer, Collection, Form, Slot};
use ebb_heap::OutOfMemory;
use ebb_table::Found;

use crate::entry::{EntryMut, EntryRef, GrownPlace, Summary};
use crate::part::Part;
use crate::{Entry, ValueRef};

/// A key's collection while it is changed. When the editor goes, the database's counts are
/// right again, and a collection that has become empty is gone.
///
/// What is changed stands in the part, of which there can be only one editor: editors are handed
/// on by value, from function to function, and had better be small.
pub struct Editor<'a> {
    part: &'a mut Part,
    /// Where its grown form is, if it is that.
    grown: Option<GrownPlace>,
}

/// What an editor changes.
pub(crate) struct Edited {
    hash: u64,
    found: Found,
    /// What it was at the beginning.
    before: Summary,
}

impl<'a> Editor<'a> {
    #[inline]
    pub(crate) fn open(part: &'a mut Part, found: Found, hash: u64) -> Editor<'a> {
        let entry = part.entries.get(found);
        let grown = entry.grown_place();
        // Each branch writes it where it stays, instead of both to the stack.
        match grown {
            Some(place) => {
                let before = entry.grown_summary(place);
                part.edited = Some(Edited { hash, found, before });
            }
            None => {
                let before = entry.packed_summary();
                part.edited = Some(Edited { hash, found, before });
            }
        }
        Editor { part, grown }
    }

    #[inline]
    fn found(&self) -> Found {
        match &self.part.edited {
            Some(edited) => edited.found,
            None => unreachable!("it is there from the editor's beginning to its end"),
        }
    }

    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        self.part.entries.get(self.found())
    }

    #[inline]
    fn entry_mut(&mut self) -> EntryMut<'_> {
        let found = self.found();
        self.part.entries.get_mut(found)
    }

    /// Ends the change; answers whether the key is gone because its collection is empty.
    #[inline]
    pub fn finish(mut self) -> bool {
        let is_gone = self.close();
        std::mem::forget(self);
        is_gone
    }

    fn close(&mut self) -> bool {
        let after = self.entry().summary(self.grown);
        let part = &mut *self.part;
        let Some(Edited { hash, found, before }) = &part.edited else {
            unreachable!("it is there from the editor's beginning to its end")
        };
        let (hash, found, next_before) = (*hash, *found, before.next_field);
        part.counts.replace(found, before, &after);
        if after.is_empty {
            let entry = part.entries.remove(found);
            part.counts.subtract(found, &entry.as_ref());
        } else if after.next_field.is_some() {
            part.file(hash, next_before, after.next_field);
        }
        part.tell_counts();
        after.is_empty
    }

    fn replace(&mut self, entry: Entry) {
        let name = entry.name();
        self.grown = entry.as_ref().grown_place();
        if let Some(edited) = &mut self.part.edited {
            drop(self.part.entries.replace(edited.found, entry));
            edited.found = edited.found.with_entry(name);
        }
    }
}

impl Drop for Editor<'_> {
    #[inline]
    fn drop(&mut self) {
        self.close();
    }
}

impl Buffer for Editor<'_> {
    fn bytes(&self) -> &[u8] {
        match self.entry().value() {
            ValueRef::Packed(_, bytes) => bytes,
            _ => &[],
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.entry_mut().into_packed()
    }

    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) -> Result<(), OutOfMemory> {
        if let Some(entry) = self.entry_mut().splice_packed(range, parts)? {
            self.replace(entry);
        }
        Ok(())
    }
}

impl Slot for Editor<'_> {
    fn form(&self) -> Form {
        match self.entry().value() {
            ValueRef::Packed(form, _) => form,
            _ => Form::List,
        }
    }

    #[inline]
    fn grown(&self) -> Option<&Collection> {
        self.grown.map(|place| self.entry().grown_at(place))
    }

    #[inline]
    fn grown_mut(&mut self) -> Option<&mut Collection> {
        self.grown.map(|place| self.entry_mut().grown_at(place))
    }

    fn grow(&mut self, collection: Collection) -> Result<(), OutOfMemory> {
        let entry = self.entry_mut().grown_as(collection)?;
        self.replace(entry);
        Ok(())
    }

    fn pack(&mut self, form: Form, bytes: &[u8]) -> Result<(), OutOfMemory> {
        let entry = self.entry_mut().packed_as(form, bytes)?;
        self.replace(entry);
        Ok(())
    }

    fn arenas(&self) -> Arenas {
        self.part.arenas()
    }
}
