//! Several keys in one command, and results that take a key's place.

use ebb_collections::{Form, MemorySlot, SetMut, SortedSetMut};
use ebb_keyspace::{Entry, EntryRef, Key};

use crate::collections::{set_in, sorted_set_limits};
use crate::context::{Access, Context};
use crate::error::CommandError;
use crate::journal::Event;
use crate::reply::Reply;

impl Context<'_> {
    /// The entries of several keys, to read all at once, and the reply. Counts a hit or a miss for
    /// each.
    pub fn read_all(&mut self, keys: &[Key<'_>]) -> (Vec<Option<EntryRef<'_>>>, &mut Reply) {
        let number = self.session.db;
        // To look for a key may delete it and move others, so all are looked for before any is lent.
        let live: Vec<bool> =
            keys.iter().map(|key| self.locate(number, key, Access::Read).is_some()).collect();
        let locks = &*self.locks;
        let entry = |(key, live): (_, bool)| {
            if live { locks.shard_to_read(key).db_ref(number).get(key) } else { None }
        };
        (keys.iter().zip(live).map(entry).collect(), self.reply)
    }

    /// An empty set to fill, for [`Context::store`] under a key.
    pub fn new_set(&mut self, key: &Key<'_>) -> SetMut<MemorySlot> {
        let arenas = self.db(key).arenas_of(key.bytes());
        set_in(self.server, MemorySlot::new(Form::IntSet, arenas))
    }

    /// An empty sorted set to fill, for [`Context::store`] under a key.
    pub fn new_sorted_set(&mut self, key: &Key<'_>) -> SortedSetMut<MemorySlot> {
        let arenas = self.db(key).arenas_of(key.bytes());
        SortedSetMut::new(MemorySlot::new(Form::SortedSet, arenas), sorted_set_limits(self.server))
    }

    /// Puts a collection in the place of whatever is at a key, and of its deadline. One to which
    /// nothing was added deletes the key.
    pub fn store(
        &mut self,
        key: &Key<'_>,
        collection: MemorySlot,
        event: Event,
    ) -> Result<(), CommandError> {
        let number = self.session.db;
        let (form, bytes, grown) = collection.into_parts();
        if bytes.is_empty() && grown.is_none() {
            if self.locate(number, key, Access::Peek).is_some() && self.remove(key) {
                self.changed(key, Event::generic("del"));
            }
            return Ok(());
        }
        let arena = self.db(key).arenas_of(key.bytes()).data;
        let entry = Entry::build_collection(arena, key.bytes(), None, form, &bytes, grown)?;
        self.insert(number, key, entry)?;
        // It is as new as its value, not as old as what was there.
        self.locate(number, key, Access::Write);
        self.changed(key, event);
        Ok(())
    }
}
