//! Sets: of integers, packed, or grown.

use ebb_heap::OutOfMemory;
use ebb_types::number::{IntegerText, parse_i64};
use rand::Rng;

use crate::collection::Collection;
use crate::grown_set::GrownSet;
use crate::intset;
use crate::packed::{COUNT_BYTES, Header, add_count, count, item};
use crate::slot::{Form, Limits, Slot};

/// A member as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member<'a> {
    /// An integer.
    Int(i64),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl<'a> Member<'a> {
    /// The same for the same member, however it is stored: the text of an integer becomes one.
    pub fn canonical(self) -> Member<'a> {
        match self {
            Member::Bytes(bytes) => parse_i64(bytes).map_or(self, Member::Int),
            Member::Int(_) => self,
        }
    }

    /// Calls `use_bytes` with the member's bytes; an integer is formatted on the stack.
    pub fn with_bytes<R>(&self, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Member::Int(value) => use_bytes(IntegerText::from_i64(*value).as_bytes()),
            Member::Bytes(bytes) => use_bytes(bytes),
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }
}

/// A set to read.
#[derive(Clone, Copy)]
pub enum SetRef<'a> {
    /// Integers, packed.
    Ints(&'a [u8]),
    /// Members, packed.
    Packed(&'a [u8]),
    /// The grown form.
    Grown(&'a GrownSet),
}

fn members(bytes: &[u8]) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + '_ {
    let mut at = COUNT_BYTES;
    std::iter::from_fn(move || {
        let range = (at < bytes.len()).then(|| item(bytes, at))?;
        let start = std::mem::replace(&mut at, range.end);
        Some((start, range))
    })
}

fn find(bytes: &[u8], member: &[u8]) -> Option<std::ops::Range<usize>> {
    let found = members(bytes).find(|(_, range)| bytes[range.clone()] == *member);
    found.map(|(start, range)| start..range.end)
}

impl<'a> SetRef<'a> {
    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            SetRef::Ints(bytes) => intset::len(bytes),
            SetRef::Packed(bytes) => count(bytes),
            SetRef::Grown(set) => set.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a member is there.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self {
            SetRef::Ints(bytes) => {
                parse_i64(member).is_some_and(|value| intset::search(bytes, value).is_ok())
            }
            SetRef::Packed(bytes) => find(bytes, member).is_some(),
            SetRef::Grown(set) => set.contains(member),
        }
    }

    /// Visits all members.
    pub fn for_each(&self, mut visit: impl FnMut(Member<'a>)) {
        match self {
            SetRef::Ints(bytes) => intset::iter(bytes).for_each(|value| visit(Member::Int(value))),
            SetRef::Packed(bytes) => {
                members(bytes).for_each(|(_, range)| visit(Member::Bytes(&bytes[range])));
            }
            SetRef::Grown(set) => set.for_each(|bytes| visit(Member::Bytes(bytes))),
        }
    }

    /// Visits members until `visit` answers false.
    pub fn walk(&self, mut visit: impl FnMut(Member<'a>) -> bool) {
        let (mut position, mut on) = (0, true);
        while on {
            position = self.scan(position, |member| on = on && visit(member));
            on &= position != 0;
        }
    }

    /// All members, copied.
    pub fn to_vec(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::with_capacity(self.len());
        self.for_each(|member| all.push(member.to_vec()));
        all
    }

    /// Visits some members from `position` on; the next position, 0 at the end.
    pub fn scan(&self, position: u64, mut visit: impl FnMut(Member<'a>)) -> u64 {
        match self {
            SetRef::Grown(set) => set.scan(position, |bytes| visit(Member::Bytes(bytes))),
            _ => {
                self.for_each(visit);
                0
            }
        }
    }

    /// Looks at a member drawn with the same chance as every other; `None` if there is none.
    pub fn sample<R>(
        &self,
        random: &mut impl Rng,
        look: impl FnOnce(Member<'_>) -> R,
    ) -> Option<R> {
        match self {
            SetRef::Grown(set) => set.sample(random, |bytes| look(Member::Bytes(bytes))),
            _ if self.is_empty() => None,
            SetRef::Ints(bytes) => {
                let at = random.random_range(0..intset::len(bytes));
                Some(look(Member::Int(intset::get(bytes, at))))
            }
            SetRef::Packed(bytes) => {
                let (_, range) = members(bytes).nth(random.random_range(0..count(bytes)))?;
                Some(look(Member::Bytes(&bytes[range])))
            }
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            SetRef::Ints(_) => "intset",
            SetRef::Packed(_) => "listpack",
            SetRef::Grown(_) => "hashtable",
        }
    }
}

/// A set to change.
pub struct SetMut<S> {
    slot: S,
    limits: Limits,
    ints_max: usize,
}

impl<S: Slot> SetMut<S> {
    /// The set in a slot, which stays packed up to `limits`, or up to `ints_max` integers.
    #[inline]
    pub fn new(slot: S, limits: Limits, ints_max: usize) -> SetMut<S> {
        SetMut { slot, limits, ints_max }
    }

    /// Gives the slot back.
    #[inline]
    pub fn into_slot(self) -> S {
        self.slot
    }

    /// The set to read.
    #[inline]
    pub fn as_ref(&self) -> SetRef<'_> {
        match self.slot.grown() {
            Some(Collection::Set(set)) => SetRef::Grown(set),
            _ if self.slot.form() == Form::IntSet => SetRef::Ints(self.slot.bytes()),
            _ => SetRef::Packed(self.slot.bytes()),
        }
    }

    #[inline]
    fn grown(&mut self) -> Option<&mut GrownSet> {
        match self.slot.grown_mut() {
            Some(Collection::Set(set)) => Some(set),
            _ => None,
        }
    }

    /// Adds a member; answers whether it is new.
    pub fn add(&mut self, member: &[u8]) -> Result<bool, OutOfMemory> {
        if let Some(set) = self.grown() {
            return set.add(member);
        }
        if self.as_ref().is_empty() {
            self.slot.pack(Form::IntSet, &[])?;
        }
        if self.slot.form() == Form::IntSet {
            if let Some(value) = parse_i64(member) {
                return self.add_int(value, member);
            }
            // The longest integer that is there counts as an item's length, too.
            let mut longest = member.len();
            self.as_ref().for_each(|int| longest = longest.max(int.with_bytes(<[u8]>::len)));
            if !self.limits.allow(self.as_ref().len() + 1, longest) {
                return self.grow()?.add(member);
            }
            self.repack()?;
        }
        let bytes = self.slot.bytes();
        if find(bytes, member).is_some() {
            return Ok(false);
        }
        if !self.limits.allow(count(bytes) + 1, member.len()) {
            return self.grow()?.add(member);
        }
        let end = bytes.len();
        let header = Header::of(member.len());
        if end == 0 {
            self.slot.splice(0..0, &[&[1, 0], header.as_slice(), member])?;
        } else {
            self.slot.splice(end..end, &[header.as_slice(), member])?;
            add_count(self.slot.bytes_mut(), 1);
        }
        Ok(true)
    }

    fn add_int(&mut self, value: i64, member: &[u8]) -> Result<bool, OutOfMemory> {
        let bytes = self.slot.bytes();
        if intset::search(bytes, value).is_ok() {
            return Ok(false);
        }
        if intset::len(bytes) >= self.ints_max {
            return self.grow()?.add(member);
        }
        intset::insert(&mut self.slot, value)
    }

    /// Removes a member; answers whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> Result<bool, OutOfMemory> {
        if let Some(set) = self.grown() {
            return Ok(set.remove(member));
        }
        if self.slot.form() == Form::IntSet {
            let Some(value) = parse_i64(member) else { return Ok(false) };
            return intset::remove(&mut self.slot, value);
        }
        let Some(range) = find(self.slot.bytes(), member) else { return Ok(false) };
        self.slot.splice(range, &[])?;
        add_count(self.slot.bytes_mut(), -1);
        Ok(true)
    }

    /// Turns integers into packed members.
    fn repack(&mut self) -> Result<(), OutOfMemory> {
        let ints = self.slot.bytes();
        if ints.is_empty() {
            return self.slot.pack(Form::Set, &[]);
        }
        let mut bytes = (intset::len(ints) as u16).to_le_bytes().to_vec();
        for value in intset::iter(ints) {
            let text = IntegerText::from_i64(value);
            bytes.extend_from_slice(Header::of(text.as_bytes().len()).as_slice());
            bytes.extend_from_slice(text.as_bytes());
        }
        self.slot.pack(Form::Set, &bytes)
    }

    fn grow(&mut self) -> Result<&mut GrownSet, OutOfMemory> {
        let mut set = GrownSet::new(self.slot.arenas());
        let mut result = Ok(true);
        self.as_ref().for_each(|member| {
            if result.is_ok() {
                result = member.with_bytes(|bytes| set.add(bytes));
            }
        });
        result?;
        self.slot.grow(Collection::Set(set))?;
        self.grown().ok_or(OutOfMemory)
    }
}
