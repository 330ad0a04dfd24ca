//! Changing a collection where it lies.

use std::ops::Range;

use ebb_collections::{Arenas, Buffer, Collection, Form, Slot};
use ebb_heap::OutOfMemory;
use ebb_table::Found;

use crate::db::Db;
use crate::entry::Summary;

/// A key's collection while it is changed. When the editor goes, the database's counts are
/// right again, and a collection that has become empty is gone.
pub struct Editor<'a> {
    db: &'a mut Db,
    hash: u64,
    found: Found,
    /// What it was at the beginning.
    before: Summary,
    closed: bool,
}

impl<'a> Editor<'a> {
    pub(crate) fn open(db: &'a mut Db, found: Found, hash: u64) -> Editor<'a> {
        let before = db.entries.get(found).summary();
        Editor { db, hash, found, before, closed: false }
    }

    /// Ends the change; answers whether the key is gone because its collection is empty.
    pub fn finish(mut self) -> bool {
        self.close()
    }

    fn close(&mut self) -> bool {
        if std::mem::replace(&mut self.closed, true) {
            return false;
        }
        let after = self.db.entries.get(self.found).summary();
        self.db.counts.replace(&self.before, &after);
        if after.is_empty {
            let entry = self.db.entries.remove(self.found);
            self.db.counts.subtract(&entry.as_ref());
            return true;
        }
        if after.next_field.is_some() {
            self.db.file(self.hash, self.before.next_field, after.next_field);
        }
        false
    }

    fn replace(&mut self, entry: crate::Entry) {
        let name = entry.name();
        drop(self.db.entries.replace(self.found, entry));
        self.found.entry = name;
    }
}

impl Drop for Editor<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

impl Buffer for Editor<'_> {
    fn bytes(&self) -> &[u8] {
        match self.db.entries.get(self.found).value() {
            crate::ValueRef::Packed(_, bytes) => bytes,
            _ => &[],
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.db.entries.get_mut(self.found).into_packed()
    }

    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) -> Result<(), OutOfMemory> {
        if let Some(entry) = self.db.entries.get_mut(self.found).splice_packed(range, parts)? {
            self.replace(entry);
        }
        Ok(())
    }
}

impl Slot for Editor<'_> {
    fn form(&self) -> Form {
        match self.db.entries.get(self.found).value() {
            crate::ValueRef::Packed(form, _) => form,
            _ => Form::List,
        }
    }

    fn grown(&self) -> Option<&Collection> {
        self.db.entries.get(self.found).grown()
    }

    fn grown_mut(&mut self) -> Option<&mut Collection> {
        self.db.entries.get_mut(self.found).grown_mut()
    }

    fn grow(&mut self, collection: Collection) -> Result<(), OutOfMemory> {
        let entry = self.db.entries.get_mut(self.found).grown_as(collection)?;
        self.replace(entry);
        Ok(())
    }

    fn pack(&mut self, form: Form, bytes: &[u8]) -> Result<(), OutOfMemory> {
        let entry = self.db.entries.get_mut(self.found).packed_as(form, bytes)?;
        self.replace(entry);
        Ok(())
    }

    fn arenas(&self) -> Arenas {
        self.db.arenas()
    }
}
