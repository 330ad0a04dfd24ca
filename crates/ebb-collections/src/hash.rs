//! Hashes, packed or grown.

use ebb_heap::OutOfMemory;
use rand::Rng;

use crate::collection::Collection;
use crate::grown_hash::GrownHash;
use crate::packed::{COUNT_BYTES, Header, add_count, count, item};
use crate::slot::{Form, Limits, Slot};

/// A field as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// When it expires, in milliseconds since 1970.
    pub deadline: Option<i64>,
}

impl Field<'_> {
    /// Whether its time is over. In the millisecond of its deadline it is still there, as in Redis.
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.deadline.is_some_and(|at| at < now_ms)
    }
}

/// What becomes of a field's deadline when it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldDeadline {
    /// It stays.
    Keep,
    /// It goes.
    Clear,
    /// Another one, in milliseconds since 1970.
    At(i64),
}

/// A hash to read. Fields that are due but still there are shown: callers ask
/// [`Field::is_due`].
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// Packed bytes, and whether their fields have deadlines.
    Packed(&'a [u8], bool),
    /// The grown form.
    Grown(&'a GrownHash),
}

/// A field in packed bytes.
struct Place {
    start: usize,
    name: std::ops::Range<usize>,
    value: std::ops::Range<usize>,
    end: usize,
}

fn place(bytes: &[u8], at: usize, expiring: bool) -> Place {
    let name = item(bytes, at);
    let value = item(bytes, name.end);
    let end = value.end + if expiring { 8 } else { 0 };
    Place { start: at, name, value, end }
}

fn places(bytes: &[u8], expiring: bool) -> impl Iterator<Item = Place> + '_ {
    let mut at = COUNT_BYTES;
    std::iter::from_fn(move || {
        let place = (at < bytes.len()).then(|| place(bytes, at, expiring))?;
        at = place.end;
        Some(place)
    })
}

fn find(bytes: &[u8], expiring: bool, name: &[u8]) -> Option<Place> {
    places(bytes, expiring).find(|place| bytes[place.name.clone()] == *name)
}

fn field_at<'a>(bytes: &'a [u8], place: &Place) -> Field<'a> {
    let deadline = match bytes[place.value.end..place.end].first_chunk() {
        Some(deadline) => Some(i64::from_le_bytes(*deadline)).filter(|&at| at != 0),
        None => None,
    };
    Field { name: &bytes[place.name.clone()], value: &bytes[place.value.clone()], deadline }
}

impl<'a> HashRef<'a> {
    /// Number of fields, with those that are due and still there.
    pub fn len(&self) -> usize {
        match self {
            HashRef::Packed(bytes, _) => count(bytes),
            HashRef::Grown(hash) => hash.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Field<'a>> {
        match self {
            HashRef::Packed(bytes, expiring) => {
                find(bytes, *expiring, name).map(|place| field_at(bytes, &place))
            }
            HashRef::Grown(hash) => hash.get(name),
        }
    }

    /// Visits all fields.
    pub fn for_each(&self, mut visit: impl FnMut(Field<'a>)) {
        match self {
            HashRef::Packed(bytes, expiring) => {
                places(bytes, *expiring).for_each(|place| visit(field_at(bytes, &place)));
            }
            HashRef::Grown(hash) => hash.for_each(visit),
        }
    }

    /// Visits some fields from `position` on; the next position, 0 at the end.
    pub fn scan(&self, position: u64, mut visit: impl FnMut(Field<'_>)) -> u64 {
        match self {
            HashRef::Packed(..) => {
                self.for_each(visit);
                0
            }
            HashRef::Grown(hash) => hash.scan(position, &mut visit),
        }
    }

    /// A field drawn with the same chance as every other.
    pub fn sample(&self, random: &mut impl Rng) -> Option<Field<'a>> {
        match self {
            HashRef::Packed(bytes, expiring) => {
                let number = random.random_range(0..count(bytes).max(1));
                places(bytes, *expiring).nth(number).map(|place| field_at(bytes, &place))
            }
            HashRef::Grown(hash) => hash.sample(random),
        }
    }

    /// Whether any field may have a deadline.
    #[inline]
    pub fn is_expiring(&self) -> bool {
        match self {
            HashRef::Packed(_, expiring) => *expiring,
            HashRef::Grown(hash) => hash.is_expiring(),
        }
    }

    /// When the next field expires.
    #[inline]
    pub fn next_deadline(&self) -> Option<i64> {
        match self {
            HashRef::Packed(_, false) => None,
            HashRef::Packed(bytes, true) => {
                places(bytes, true).filter_map(|place| field_at(bytes, &place).deadline).min()
            }
            HashRef::Grown(hash) => hash.next_deadline(),
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            HashRef::Packed(_, false) => "listpack",
            HashRef::Packed(_, true) => "listpackex",
            HashRef::Grown(_) => "hashtable",
        }
    }
}

/// A hash to change.
pub struct HashMut<S> {
    slot: S,
    limits: Limits,
}

impl<S: Slot> HashMut<S> {
    /// The hash in a slot, which stays packed up to `limits`.
    #[inline]
    pub fn new(slot: S, limits: Limits) -> HashMut<S> {
        HashMut { slot, limits }
    }

    /// Gives the slot back.
    #[inline]
    pub fn into_slot(self) -> S {
        self.slot
    }

    /// The hash to read.
    #[inline]
    pub fn as_ref(&self) -> HashRef<'_> {
        match self.slot.grown() {
            Some(Collection::Hash(hash)) => HashRef::Grown(hash),
            _ => HashRef::Packed(self.slot.bytes(), self.slot.form() == Form::ExpiringHash),
        }
    }

    #[inline]
    fn grown(&mut self) -> Option<&mut GrownHash> {
        match self.slot.grown_mut() {
            Some(Collection::Hash(hash)) => Some(hash),
            _ => None,
        }
    }

    /// Sets a field; answers whether it is new.
    pub fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        deadline: FieldDeadline,
    ) -> Result<bool, OutOfMemory> {
        let new_deadline = match deadline {
            FieldDeadline::Keep => self.as_ref().get(name).and_then(|field| field.deadline),
            FieldDeadline::Clear => None,
            FieldDeadline::At(at) => Some(at),
        };
        if let Some(hash) = self.grown() {
            return hash.set(name, value, new_deadline);
        }
        if name.len().max(value.len()) > self.limits.value {
            return self.grow()?.set(name, value, new_deadline);
        }
        if new_deadline.is_some() && self.slot.form() == Form::Hash {
            self.widen()?;
        }
        let expiring = self.slot.form() == Form::ExpiringHash;
        let bytes = self.slot.bytes();
        let deadline = new_deadline.unwrap_or(0).to_le_bytes();
        let tail = if expiring { &deadline[..] } else { &[] };
        let length = Header::of(value.len());
        if let Some(place) = find(bytes, expiring, name) {
            let parts = [length.as_slice(), value, tail];
            self.slot.splice(place.name.end..place.end, &parts)?;
            return Ok(false);
        }
        if !self.limits.allow(count(bytes) + 1, 0) {
            return self.grow()?.set(name, value, new_deadline);
        }
        let end = bytes.len();
        let head = Header::of(name.len());
        let first: &[u8] = if end == 0 { &[1, 0] } else { &[] };
        let parts = [first, head.as_slice(), name, length.as_slice(), value, tail];
        self.slot.splice(end..end, &parts)?;
        if end > 0 {
            add_count(self.slot.bytes_mut(), 1);
        }
        Ok(true)
    }

    /// Removes a field; answers whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> Result<bool, OutOfMemory> {
        if let Some(hash) = self.grown() {
            return Ok(hash.remove(name));
        }
        let expiring = self.slot.form() == Form::ExpiringHash;
        let Some(place) = find(self.slot.bytes(), expiring, name) else { return Ok(false) };
        self.slot.splice(place.start..place.end, &[])?;
        add_count(self.slot.bytes_mut(), -1);
        Ok(true)
    }

    /// Changes the deadline of a field; answers whether the field is there.
    pub fn set_deadline(
        &mut self,
        name: &[u8],
        deadline: Option<i64>,
    ) -> Result<bool, OutOfMemory> {
        if self.as_ref().get(name).is_none() {
            return Ok(false);
        }
        if let Some(hash) = self.grown() {
            hash.set_deadline(name, deadline)?;
            return Ok(true);
        }
        if self.slot.form() == Form::Hash {
            if deadline.is_none() {
                return Ok(true);
            }
            self.widen()?;
        }
        if let Some(place) = find(self.slot.bytes(), true, name) {
            let bytes = deadline.unwrap_or(0).to_le_bytes();
            self.slot.bytes_mut()[place.value.end..place.end].copy_from_slice(&bytes);
        }
        Ok(true)
    }

    /// Removes a field that is due, if there is one, and answers its name.
    pub fn expire_one(&mut self, now_ms: i64) -> Result<Option<Vec<u8>>, OutOfMemory> {
        let name = match self.as_ref() {
            HashRef::Grown(hash) => hash.due_field(now_ms),
            HashRef::Packed(_, false) => None,
            HashRef::Packed(bytes, true) => places(bytes, true)
                .map(|place| field_at(bytes, &place))
                .find(|field| field.is_due(now_ms))
                .map(|field| field.name.to_vec()),
        };
        if let Some(name) = &name {
            self.remove(name)?;
        }
        Ok(name)
    }

    /// Gives all fields room for a deadline.
    fn widen(&mut self) -> Result<(), OutOfMemory> {
        let bytes = self.slot.bytes();
        let mut wide = bytes[..COUNT_BYTES.min(bytes.len())].to_vec();
        for place in places(bytes, false) {
            wide.extend_from_slice(&bytes[place.start..place.end]);
            wide.extend_from_slice(&[0; 8]);
        }
        self.slot.pack(Form::ExpiringHash, &wide)
    }

    fn grow(&mut self) -> Result<&mut GrownHash, OutOfMemory> {
        let mut hash = GrownHash::new(self.slot.arenas());
        let mut result = Ok(true);
        self.as_ref().for_each(|field| {
            if result.is_ok() {
                result = hash.set(field.name, field.value, field.deadline);
            }
        });
        result?;
        self.slot.grow(Collection::Hash(hash))?;
        self.grown().ok_or(OutOfMemory)
    }
}
