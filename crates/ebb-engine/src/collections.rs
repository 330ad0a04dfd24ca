//! Collections as a running command sees them.

use std::ops::{Deref, DerefMut};

use ebb_collections::stream::Stream;
use ebb_collections::{
    Collection, Fill, Form, HashMut, HashRef, Limits, ListMut, ListRef, SetMut, SetRef, Slot,
    SortedSetMut, SortedSetRef,
};
use ebb_config::id;
use ebb_heap::OutOfMemory;
use ebb_keyspace::{Editor, EntryRef, Found, Key, Type};

use crate::context::{Access, Context};
use crate::error::CommandError;
use crate::journal::Event;
use crate::reply::Reply;
use crate::server::Server;

/// Up to where a hash stays packed.
pub fn hash_limits(server: &Server) -> Limits {
    Limits {
        entries: server.config.get(id::HASH_MAX_LISTPACK_ENTRIES) as usize,
        value: server.config.get(id::HASH_MAX_LISTPACK_VALUE) as usize,
    }
}

/// Up to where a set stays packed.
pub fn set_limits(server: &Server) -> Limits {
    Limits {
        entries: server.config.get(id::SET_MAX_LISTPACK_ENTRIES) as usize,
        value: server.config.get(id::SET_MAX_LISTPACK_VALUE) as usize,
    }
}

/// Up to where a sorted set stays packed.
pub fn sorted_set_limits(server: &Server) -> Limits {
    Limits {
        entries: server.config.get(id::ZSET_MAX_LISTPACK_ENTRIES) as usize,
        value: server.config.get(id::ZSET_MAX_LISTPACK_VALUE) as usize,
    }
}

/// How much a list keeps in one chunk, and which chunks are compressed.
pub fn list_fill(server: &Server) -> Fill {
    let depth = server.config.get(id::LIST_COMPRESS_DEPTH) as usize;
    Fill::from_directive(server.config.get(id::LIST_MAX_LISTPACK_SIZE)).with_depth(depth)
}

/// Wraps a slot as a set, with the configured limits.
pub fn set_in<S: ebb_collections::Slot>(server: &Server, slot: S) -> SetMut<S> {
    let ints = server.config.get(id::SET_MAX_INTSET_ENTRIES) as usize;
    SetMut::new(slot, set_limits(server), ints)
}

/// The collection in an entry, or the error for other types.
fn expect<'e, T>(
    entry: Option<EntryRef<'e>>,
    view: impl FnOnce(&EntryRef<'e>) -> Option<T>,
) -> Result<Option<T>, CommandError> {
    match entry {
        None => Ok(None),
        Some(entry) => view(&entry).map(Some).ok_or(CommandError::WrongType),
    }
}

/// A stream while it is changed.
pub struct StreamMut<'a>(Editor<'a>);

impl Deref for StreamMut<'_> {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        match self.0.grown() {
            Some(Collection::Stream(stream)) => stream,
            _ => unreachable!("the type was checked when it was opened"),
        }
    }
}

impl DerefMut for StreamMut<'_> {
    fn deref_mut(&mut self) -> &mut Stream {
        match self.0.grown_mut() {
            Some(Collection::Stream(stream)) => stream,
            _ => unreachable!("the type was checked when it was opened"),
        }
    }
}

/// What a command sees of one type of collection.
macro_rules! collection {
    ($what:literal, $view:ident, $read:ident, $read_and_reply:ident, $Ref:ident) => {
        #[doc = concat!("The key's ", $what, ", for a command that reads it.")]
        #[inline]
        pub fn $read(&mut self, key: &Key<'_>) -> Result<Option<$Ref<'_>>, CommandError> {
            expect(self.read(key), |entry| entry.$view())
        }

        #[doc = concat!("The key's ", $what, " and the reply, to answer one with the other.")]
        #[inline]
        pub fn $read_and_reply(
            &mut self,
            key: &Key<'_>,
        ) -> Result<(Option<$Ref<'_>>, &mut Reply), CommandError> {
            let (entry, reply) = self.read_and_reply(key);
            Ok((expect(entry, |entry| entry.$view())?, reply))
        }
    };
}

/// The functions that open collections are always inlined: what they answer would else be written word
/// by word and read again as vectors, and to read it would wait for the memory.
impl<'a> Context<'a> {
    collection!("hash", hash, read_hash, read_hash_and_reply, HashRef);
    collection!("list", list, read_list, read_list_and_reply, ListRef);
    collection!("set", set, read_set, read_set_and_reply, SetRef);
    collection!("sorted set", sorted_set, read_sorted_set, read_sorted_set_and_reply, SortedSetRef);

    /// Where a collection is that is about to change. Of a hash the fields that are due expire first.
    #[inline(always)]
    fn locate_to_change(
        &mut self,
        key: &Key<'_>,
        kind: Type,
    ) -> Result<Option<Found>, OutOfMemory> {
        let number = self.session.db;
        let Some(found) = self.locate(number, key, Access::Write) else { return Ok(None) };
        if kind == Type::Hash {
            let entry = self.locks.shard_of(key).db(number).at(found);
            if entry.next_field_deadline().is_some_and(|at| at < self.now_ms) {
                self.expire_fields(key, found)?;
                return Ok(self.locate(number, key, Access::Write));
            }
        }
        Ok(Some(found))
    }

    #[cold]
    fn expire_fields(&mut self, key: &Key<'_>, found: Found) -> Result<(), OutOfMemory> {
        let (number, now_ms) = (self.session.db, self.now_ms);
        let db = self.locks.shard_of(key).db(number);
        let (expired, emptied) = db.expire_fields(key, found, now_ms)?;
        self.journal.expired_fields += expired as u64;
        self.changed(key, Event::hash("hexpired"));
        if emptied {
            self.changed(key, Event::generic("del"));
        }
        Ok(())
    }

    /// Opens the collection of a key to change it, and the reply beside it. A key that is not
    /// there is made with `new`, if that says so: whoever opens it fills it.
    #[inline(always)]
    pub fn edit_collection(
        &mut self,
        key: &Key<'_>,
        kind: Type,
        new: Option<Form>,
    ) -> Result<(Option<Editor<'_>>, &mut Reply), CommandError> {
        let number = self.session.db;
        let found = self.locate_to_change(key, kind)?;
        let db = self.locks.shard_of(key).db(number);
        let Some(found) = found else {
            let editor = new.map(|form| db.new_collection(key, form)).transpose()?;
            return Ok((editor, self.reply));
        };
        if db.at(found).value_type() != kind {
            return Err(CommandError::WrongType);
        }
        Ok((Some(db.edit_collection(key, found)), self.reply))
    }

    /// The key's hash to change, without fields that are due, if it is there.
    pub fn edit_hash(
        &mut self,
        key: &Key<'_>,
    ) -> Result<Option<HashMut<Editor<'_>>>, CommandError> {
        let limits = hash_limits(self.server);
        let (editor, _) = self.edit_collection(key, Type::Hash, None)?;
        Ok(editor.map(|editor| HashMut::new(editor, limits)))
    }

    /// The key's hash to change, made if it is not there.
    #[inline(always)]
    pub fn open_hash(&mut self, key: &Key<'_>) -> Result<HashMut<Editor<'_>>, CommandError> {
        let limits = hash_limits(self.server);
        let (editor, _) = self.edit_collection(key, Type::Hash, Some(Form::Hash))?;
        editor.map(|editor| HashMut::new(editor, limits)).ok_or(CommandError::OutOfMemory)
    }

    /// The key's list to change, if it is there.
    #[inline]
    pub fn edit_list(
        &mut self,
        key: &Key<'_>,
    ) -> Result<(Option<ListMut<Editor<'_>>>, &mut Reply), CommandError> {
        let fill = list_fill(self.server);
        let (editor, reply) = self.edit_collection(key, Type::List, None)?;
        Ok((editor.map(|editor| ListMut::new(editor, fill)), reply))
    }

    /// The key's list to change, made if it is not there.
    #[inline(always)]
    pub fn open_list(&mut self, key: &Key<'_>) -> Result<ListMut<Editor<'_>>, CommandError> {
        let fill = list_fill(self.server);
        let (editor, _) = self.edit_collection(key, Type::List, Some(Form::List))?;
        editor.map(|editor| ListMut::new(editor, fill)).ok_or(CommandError::OutOfMemory)
    }

    /// The key's set to change, if it is there.
    #[inline]
    pub fn edit_set(
        &mut self,
        key: &Key<'_>,
    ) -> Result<(Option<SetMut<Editor<'_>>>, &mut Reply), CommandError> {
        let server = self.server;
        let (editor, reply) = self.edit_collection(key, Type::Set, None)?;
        Ok((editor.map(|editor| set_in(server, editor)), reply))
    }

    /// The key's set to change, made if it is not there.
    #[inline(always)]
    pub fn open_set(&mut self, key: &Key<'_>) -> Result<SetMut<Editor<'_>>, CommandError> {
        let server = self.server;
        let (editor, _) = self.edit_collection(key, Type::Set, Some(Form::IntSet))?;
        editor.map(|editor| set_in(server, editor)).ok_or(CommandError::OutOfMemory)
    }

    /// The key's sorted set to change, if it is there.
    #[inline]
    pub fn edit_sorted_set(
        &mut self,
        key: &Key<'_>,
    ) -> Result<(Option<SortedSetMut<Editor<'_>>>, &mut Reply), CommandError> {
        let limits = sorted_set_limits(self.server);
        let (editor, reply) = self.edit_collection(key, Type::SortedSet, None)?;
        Ok((editor.map(|editor| SortedSetMut::new(editor, limits)), reply))
    }

    /// The key's sorted set to change, made if it is not there.
    #[inline(always)]
    pub fn open_sorted_set(
        &mut self,
        key: &Key<'_>,
    ) -> Result<SortedSetMut<Editor<'_>>, CommandError> {
        let limits = sorted_set_limits(self.server);
        let (editor, _) = self.edit_collection(key, Type::SortedSet, Some(Form::SortedSet))?;
        editor.map(|editor| SortedSetMut::new(editor, limits)).ok_or(CommandError::OutOfMemory)
    }

    /// The key's stream, for a command that reads it.
    pub fn read_stream(&mut self, key: &Key<'_>) -> Result<Option<&Stream>, CommandError> {
        expect(self.read(key), |entry| entry.stream())
    }

    /// The key's stream and the reply, to answer one with the other.
    pub fn read_stream_and_reply(
        &mut self,
        key: &Key<'_>,
    ) -> Result<(Option<&Stream>, &mut Reply), CommandError> {
        let (entry, reply) = self.read_and_reply(key);
        Ok((expect(entry, |entry| entry.stream())?, reply))
    }

    /// The key's stream to change, if it is there, and the reply.
    pub fn edit_stream(
        &mut self,
        key: &Key<'_>,
    ) -> Result<(Option<StreamMut<'_>>, &mut Reply), CommandError> {
        let (editor, reply) = self.edit_collection(key, Type::Stream, None)?;
        Ok((editor.map(StreamMut), reply))
    }

    /// The key's stream to change, made if it is not there.
    pub fn open_stream(&mut self, key: &Key<'_>) -> Result<StreamMut<'_>, CommandError> {
        let found = self.locate(self.session.db, key, Access::Write);
        let db = self.db(key);
        match found {
            None => Ok(StreamMut(db.new_stream(key)?)),
            Some(found) if db.at(found).value_type() != Type::Stream => {
                Err(CommandError::WrongType)
            }
            Some(found) => Ok(StreamMut(db.edit_collection(key, found))),
        }
    }

    /// Tells of one event for so many changes.
    #[inline]
    pub fn changed_many(&mut self, key: &Key<'_>, event: Event, changes: u64) {
        self.journal.dirty += changes;
        self.changed_too(self.session.db, key, event);
    }

    /// The same for a value that took the place of another. As in Redis that serves nobody who
    /// waits: only a key that appears does.
    pub fn replaced(&mut self, key: &Key<'_>, event: Event, changes: u64) {
        let ready = self.journal.ready.len();
        self.changed_many(key, event, changes);
        self.journal.ready.truncate(ready);
    }

    /// Tells of the end of a key whose collection has become empty, if it has.
    pub fn gone_if(&mut self, key: &Key<'_>, gone: bool) {
        if gone {
            self.notify(key, Event::generic("del"));
        }
    }
}
