//! Collections in an entry: packed bytes behind their length, or a pointer to the grown form.
//!
//! ```text
//! packed: | length, 4 bytes | bytes | spare room |
//! grown:  | pointer, 8 bytes |
//! ```

use std::ops::Range;
use std::ptr::NonNull;

use ebb_collections::stream::Stream;
use ebb_collections::{Collection, Footprint, Form, HashRef, ListRef, SetRef, SortedSetRef};
use ebb_heap::{ArenaId, Block, OutOfMemory};

use super::{Entry, EntryMut, EntryRef, Front, HAS_DEADLINE, INT32, StringRef, Type, array};
use crate::lazyfree;

/// Kinds of packed entries, by form, and of grown ones, by type.
const PACKED: u8 = INT32 + 24;
const GROWN: u8 = INT32 + 36;
const FORMS: [Form; 6] =
    [Form::List, Form::Hash, Form::ExpiringHash, Form::IntSet, Form::Set, Form::SortedSet];
const LENGTH_BYTES: usize = 4;
const POINTER_BYTES: usize = 8;
/// Packed bytes beyond this get spare room when they grow, an eighth of their length.
const TIGHT_MAX: usize = 256;

/// A value of any type.
pub enum ValueRef<'a> {
    /// A string.
    String(StringRef<'a>),
    /// A small collection.
    Packed(Form, &'a [u8]),
    /// A large collection.
    Grown(&'a Collection),
}

/// All that the database counts of a collection, found in one look.
#[derive(Clone, Copy, Default)]
pub(crate) struct Summary {
    pub(crate) kind: Type,
    pub(crate) footprint: Footprint,
    /// Has no elements; only while it is being changed.
    pub(crate) is_empty: bool,
    /// Is a hash with fields that have a deadline.
    pub(crate) is_expiring: bool,
    /// When the next of them expires.
    pub(crate) next_field: Option<i64>,
}

fn packed_kind(form: Form) -> u8 {
    PACKED + FORMS.iter().position(|&other| other == form).unwrap_or(0) as u8
}

const fn type_of_form(form: Form) -> Type {
    match form {
        Form::List => Type::List,
        Form::Hash | Form::ExpiringHash => Type::Hash,
        Form::IntSet | Form::Set => Type::Set,
        Form::SortedSet => Type::SortedSet,
    }
}

fn type_of_grown(collection: &Collection) -> Type {
    match collection {
        Collection::List(_) => Type::List,
        Collection::Hash(_) => Type::Hash,
        Collection::Set(_) => Type::Set,
        Collection::SortedSet(_) => Type::SortedSet,
        Collection::Stream(_) => Type::Stream,
    }
}

/// The types of kinds from [`PACKED`] on.
const TYPES: [Type; (GROWN - PACKED) as usize + Type::ALL.len()] = {
    let mut types = [Type::String; (GROWN - PACKED) as usize + Type::ALL.len()];
    let mut at = 0;
    while at < FORMS.len() {
        types[at] = type_of_form(FORMS[at]);
        at += 1;
    }
    at = 0;
    while at < Type::ALL.len() {
        types[(GROWN - PACKED) as usize + at] = Type::ALL[at];
        at += 1;
    }
    types
};

/// The type of a kind that is not a string's.
#[inline]
fn type_of_kind(kind: u8) -> Option<Type> {
    TYPES.get(usize::from(kind.wrapping_sub(PACKED))).copied()
}

/// Where the grown collection of an entry is: looked up once, good until the entry gets another
/// value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GrownPlace(NonNull<Collection>);

/// Bytes of a grown collection, with those of its entry's block.
fn grown_footprint(grown: &Collection, own: usize) -> Footprint {
    let Footprint { data, index, outside } = grown.footprint();
    Footprint { data: data + own, index, outside: outside + size_of::<Collection>() }
}

fn flag_of(front: &Front<'_>) -> u8 {
    if front.deadline.is_some() { HAS_DEADLINE } else { 0 }
}

impl Summary {
    /// Of a grown collection whose entry takes `own` bytes.
    #[inline(always)]
    fn of_grown(grown: &Collection, own: usize) -> Summary {
        let next_field = match grown {
            Collection::Hash(hash) => HashRef::Grown(hash).next_deadline(),
            _ => None,
        };
        Summary {
            kind: type_of_grown(grown),
            footprint: grown_footprint(grown, own),
            // A stream stays without entries: it remembers the last id.
            is_empty: !matches!(grown, Collection::Stream(_)) && grown.is_empty(),
            is_expiring: next_field.is_some(),
            next_field,
        }
    }
}

impl<'a> EntryRef<'a> {
    /// The type of its value.
    #[inline]
    pub fn value_type(&self) -> Type {
        type_of_kind(self.kind()).unwrap_or(Type::String)
    }

    #[inline]
    fn form(&self) -> Option<Form> {
        self.kind().checked_sub(PACKED).and_then(|at| FORMS.get(usize::from(at)).copied())
    }

    #[inline]
    fn pointer(&self) -> Option<*mut Collection> {
        let is_grown = self.kind() >= GROWN;
        let read = || u64::from_le_bytes(array(&self.0.body()[self.key_range().end..]));
        is_grown.then(|| std::ptr::with_exposed_provenance_mut(read() as usize))
    }

    /// Where the grown collection is, if the value is that.
    #[inline]
    pub(crate) fn grown_place(&self) -> Option<GrownPlace> {
        self.pointer().and_then(NonNull::new).map(GrownPlace)
    }

    /// The grown collection at the place that this entry has told; it has got no other value since.
    #[inline]
    pub(crate) fn grown_at(&self, place: GrownPlace) -> &'a Collection {
        debug_assert_eq!(self.grown_place(), Some(place));
        // SAFETY: as for `grown`.
        unsafe { place.0.as_ref() }
    }

    #[inline]
    fn packed(&self) -> &'a [u8] {
        let value = &self.0.body()[self.key_range().end..];
        let len = u32::from_le_bytes(array(value)) as usize;
        &value[LENGTH_BYTES..LENGTH_BYTES + len]
    }

    /// Its value.
    #[inline]
    pub fn value(&self) -> ValueRef<'a> {
        if let Some(form) = self.form() {
            return ValueRef::Packed(form, self.packed());
        }
        match self.grown() {
            Some(grown) => ValueRef::Grown(grown),
            None => ValueRef::String(self.string()),
        }
    }

    /// The grown collection in it.
    #[inline]
    pub fn grown(&self) -> Option<&'a Collection> {
        // SAFETY: the pointer was made of a box that the entry owns, and the entry is borrowed
        // for `'a`.
        self.pointer().map(|pointer| unsafe { &*pointer })
    }

    /// The list in it.
    pub fn list(&self) -> Option<ListRef<'a>> {
        match self.value() {
            ValueRef::Packed(Form::List, bytes) => Some(ListRef::Packed(bytes)),
            ValueRef::Grown(Collection::List(list)) => Some(ListRef::Grown(list)),
            _ => None,
        }
    }

    /// The hash in it.
    #[inline]
    pub fn hash(&self) -> Option<HashRef<'a>> {
        match self.value() {
            ValueRef::Packed(Form::Hash, bytes) => Some(HashRef::Packed(bytes, false)),
            ValueRef::Packed(Form::ExpiringHash, bytes) => Some(HashRef::Packed(bytes, true)),
            ValueRef::Grown(Collection::Hash(hash)) => Some(HashRef::Grown(hash)),
            _ => None,
        }
    }

    /// The set in it.
    #[inline]
    pub fn set(&self) -> Option<SetRef<'a>> {
        match self.value() {
            ValueRef::Packed(Form::IntSet, bytes) => Some(SetRef::Ints(bytes)),
            ValueRef::Packed(Form::Set, bytes) => Some(SetRef::Packed(bytes)),
            ValueRef::Grown(Collection::Set(set)) => Some(SetRef::Grown(set)),
            _ => None,
        }
    }

    /// The sorted set in it.
    #[inline]
    pub fn sorted_set(&self) -> Option<SortedSetRef<'a>> {
        match self.value() {
            ValueRef::Packed(Form::SortedSet, bytes) => Some(SortedSetRef::Packed(bytes)),
            ValueRef::Grown(Collection::SortedSet(set)) => Some(SortedSetRef::Grown(set)),
            _ => None,
        }
    }

    /// The stream in it.
    pub fn stream(&self) -> Option<&'a Stream> {
        match self.grown() {
            Some(Collection::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// What the database counts of it. `grown` is its [`EntryRef::grown_place`].
    #[inline]
    pub(crate) fn summary(&self, grown: Option<GrownPlace>) -> Summary {
        grown.map_or_else(|| self.packed_summary(), |place| self.grown_summary(place))
    }

    #[inline(always)]
    pub(crate) fn grown_summary(&self, place: GrownPlace) -> Summary {
        Summary::of_grown(self.grown_at(place), self.0.bytes())
    }

    pub(crate) fn packed_summary(&self) -> Summary {
        let footprint = Footprint { data: self.0.bytes(), ..Footprint::default() };
        let is_expiring = self.form() == Some(Form::ExpiringHash);
        let (is_empty, next_field) = match self.value() {
            ValueRef::Packed(Form::IntSet, bytes) => (bytes.len() <= 1, None),
            ValueRef::Packed(_, bytes) => {
                let is_empty = ebb_collections::packed::count(bytes) == 0;
                (is_empty, HashRef::Packed(bytes, is_expiring).next_deadline())
            }
            _ => (false, None),
        };
        Summary { kind: self.value_type(), footprint, is_empty, is_expiring, next_field }
    }

    /// Bytes that the entry takes: its block, and its value's blocks and tables.
    pub fn footprint(&self) -> Footprint {
        let own = self.0.bytes();
        if self.is_plain() {
            return Footprint { data: own, ..Footprint::default() };
        }
        match self.value() {
            ValueRef::String(StringRef::Shared(shared)) => {
                Footprint { data: own + shared.heap_bytes(), ..Footprint::default() }
            }
            ValueRef::Grown(grown) => grown_footprint(grown, own),
            _ => Footprint { data: own, ..Footprint::default() },
        }
    }

    /// Whether it is a hash with fields that have a deadline.
    #[inline]
    pub(crate) fn is_expiring_hash(&self) -> bool {
        if self.is_plain() {
            return false;
        }
        match self.value() {
            ValueRef::Packed(form, _) => form == Form::ExpiringHash,
            ValueRef::Grown(Collection::Hash(hash)) => HashRef::Grown(hash).is_expiring(),
            _ => false,
        }
    }

    /// When the next field of a hash expires.
    #[inline]
    pub fn next_field_deadline(&self) -> Option<i64> {
        self.hash()?.next_deadline()
    }

    /// The name that OBJECT ENCODING answers for a collection.
    pub(super) fn collection_encoding(&self) -> Option<&'static str> {
        match self.value_type() {
            Type::String => None,
            Type::List => self.list().map(|list| list.encoding()),
            Type::Hash => self.hash().map(|hash| hash.encoding()),
            Type::Set => self.set().map(|set| set.encoding()),
            Type::SortedSet => self.sorted_set().map(|set| set.encoding()),
            Type::Stream => Some("stream"),
        }
    }

    fn front_with<'k>(&self, key: &'k [u8], deadline: Option<i64>) -> Front<'k> {
        let body = self.0.body();
        Front {
            key,
            deadline,
            clock: array(&body[super::CLOCK]),
            partition: body[super::PARTITION],
        }
    }

    /// A copy of a collection under another key.
    pub(super) fn copy_collection(
        &self,
        arena: ArenaId,
        key: &[u8],
        deadline: Option<i64>,
    ) -> Option<Result<Entry, OutOfMemory>> {
        let front = self.front_with(key, deadline);
        match self.value() {
            ValueRef::String(_) => None,
            ValueRef::Packed(form, bytes) => Some(Entry::packed(arena, &front, form, bytes, 0)),
            ValueRef::Grown(grown) => {
                Some(grown.duplicate().and_then(|copy| Entry::with_grown(arena, &front, copy)))
            }
        }
    }
}

impl Entry {
    fn packed(
        arena: ArenaId,
        front: &Front<'_>,
        form: Form,
        bytes: &[u8],
        spare: usize,
    ) -> Result<Entry, OutOfMemory> {
        let at = front.len();
        let len = at + LENGTH_BYTES + bytes.len() + spare;
        let mut block = Block::allocate(arena, len, packed_kind(form) | flag_of(front))?;
        let body = block.body_mut();
        front.write(body);
        body[at..at + LENGTH_BYTES].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        let at = at + LENGTH_BYTES;
        body[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(Entry(block))
    }

    /// An entry that points to a collection, which is not its own yet.
    fn pointing(
        arena: ArenaId,
        front: &Front<'_>,
        grown: Type,
        pointer: *mut Collection,
    ) -> Result<Entry, OutOfMemory> {
        let at = front.len();
        let kind = GROWN + grown as u8;
        let mut block = Block::allocate(arena, at + POINTER_BYTES, kind | flag_of(front))?;
        let body = block.body_mut();
        front.write(body);
        let address = pointer.expose_provenance() as u64;
        body[at..at + POINTER_BYTES].copy_from_slice(&address.to_le_bytes());
        Ok(Entry(block))
    }

    fn with_grown(
        arena: ArenaId,
        front: &Front<'_>,
        collection: Collection,
    ) -> Result<Entry, OutOfMemory> {
        let grown = type_of_grown(&collection);
        crate::audit::arrived_collection(&collection);
        let pointer = Box::into_raw(Box::new(collection));
        let entry = Entry::pointing(arena, front, grown, pointer);
        if entry.is_err() {
            // SAFETY: the pointer is the box's, and no entry owns it.
            drop(unsafe { Box::from_raw(pointer) });
        }
        entry
    }

    /// An entry of a new collection.
    pub fn build_collection(
        arena: ArenaId,
        key: &[u8],
        deadline: Option<i64>,
        form: Form,
        bytes: &[u8],
        grown: Option<Collection>,
    ) -> Result<Entry, OutOfMemory> {
        let front = Front { key, deadline, clock: [0; 3], partition: 0 };
        match grown {
            Some(grown) => Entry::with_grown(arena, &front, grown),
            None => Entry::packed(arena, &front, form, bytes, 0),
        }
    }

    /// The same entry under another key and with another deadline. A large value stays where it
    /// is. Without memory, the entry comes back as it was.
    pub fn renamed(
        mut self,
        arena: ArenaId,
        key: &[u8],
        deadline: Option<i64>,
    ) -> Result<Entry, (Entry, OutOfMemory)> {
        let old = self.as_ref();
        let made = match old.pointer() {
            Some(pointer) => {
                Entry::pointing(arena, &old.front_with(key, deadline), old.value_type(), pointer)
            }
            None => old.copy(arena, key, deadline),
        };
        match made {
            Ok(entry) => {
                self.disown();
                Ok(entry)
            }
            Err(error) => Err((self, error)),
        }
    }

    /// Gives up the grown collection, which another entry owns now.
    fn disown(&mut self) {
        if self.as_ref().pointer().is_some() {
            self.0.set_kind(INT32);
        }
    }

    /// Frees what is not in the entry's block: at once, or later if that takes long.
    pub(super) fn free_collection(&mut self) {
        if let Some(pointer) = self.as_ref().pointer() {
            // SAFETY: the entry owns the box and is going away.
            lazyfree::discard(unsafe { Box::from_raw(pointer) });
        }
    }
}

impl<'a> EntryMut<'a> {
    /// The grown collection, to change, at the place that this entry has told; it has got no other
    /// value since.
    #[inline]
    pub(crate) fn grown_at(self, place: GrownPlace) -> &'a mut Collection {
        debug_assert_eq!(self.as_ref().grown_place(), Some(place));
        // SAFETY: the entry owns the box and is borrowed mutably for `'a`.
        unsafe { &mut *place.0.as_ptr() }
    }

    /// The packed bytes, to change.
    pub(crate) fn into_packed(self) -> &'a mut [u8] {
        let at = self.as_ref().key_range().end + LENGTH_BYTES;
        let len = self.as_ref().packed().len();
        &mut self.0.into_body()[at..at + len]
    }

    /// Puts `parts` in the place of a range of the packed bytes. Answers the entry that takes
    /// this one's place if there is no room here, or far too much.
    pub(crate) fn splice_packed(
        mut self,
        range: Range<usize>,
        parts: &[&[u8]],
    ) -> Result<Option<Entry>, OutOfMemory> {
        let added: usize = parts.iter().map(|part| part.len()).sum();
        let at = self.as_ref().key_range().end;
        let old_len = self.as_ref().packed().len();
        let len = old_len - range.len() + added;
        let room = self.0.body().len() - at - LENGTH_BYTES;
        let start = at + LENGTH_BYTES;
        if len <= room && (room - len <= TIGHT_MAX || room <= 4 * len) {
            let body = self.0.body_mut();
            let tail = start + range.end..start + old_len;
            body.copy_within(tail, start + range.start + added);
            let mut to = start + range.start;
            for part in parts {
                body[to..to + part.len()].copy_from_slice(part);
                to += part.len();
            }
            body[at..at + LENGTH_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
            return Ok(None);
        }
        let old = self.as_ref();
        let spare = if len > TIGHT_MAX && len > old_len { len / 8 } else { 0 };
        let form = old.form().unwrap_or(Form::List);
        let front = old.front_with(old.key(), old.deadline());
        let mut entry = Entry::packed(self.0.arena(), &front, form, &[], len + spare)?;
        let bytes = old.packed();
        let body = entry.0.body_mut();
        body[at..at + LENGTH_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
        let mut to = start;
        let before = [&bytes[..range.start]];
        let after = [&bytes[range.end..]];
        for part in before.iter().chain(parts).chain(&after) {
            body[to..to + part.len()].copy_from_slice(part);
            to += part.len();
        }
        Ok(Some(entry))
    }

    /// The entry with another value, in packed form.
    pub(crate) fn packed_as(&self, form: Form, bytes: &[u8]) -> Result<Entry, OutOfMemory> {
        let old = self.as_ref();
        let front = old.front_with(old.key(), old.deadline());
        Entry::packed(self.0.arena(), &front, form, bytes, 0)
    }

    /// The entry with a grown collection for its value.
    pub(crate) fn grown_as(&self, collection: Collection) -> Result<Entry, OutOfMemory> {
        let old = self.as_ref();
        let front = old.front_with(old.key(), old.deadline());
        Entry::with_grown(self.0.arena(), &front, collection)
    }
}
