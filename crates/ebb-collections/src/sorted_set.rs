//! Sorted sets, packed or grown.

use std::cmp::Ordering;
use std::ops;

use ebb_heap::OutOfMemory;
use rand::Rng;

use crate::collection::Collection;
use crate::grown_sorted_set::GrownSortedSet;
use crate::packed::{COUNT_BYTES, Header, add_count, count, item};
use crate::slot::{Limits, Slot};

const SCORE_BYTES: usize = 8;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound<T> {
    /// Without an end.
    Unbounded,
    /// Up to this, which is within.
    Included(T),
    /// Up to this, which is not.
    Excluded(T),
}

/// Some of a sorted set's members, by score or by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range<'a> {
    /// By score.
    Score(Bound<f64>, Bound<f64>),
    /// By name, where all scores are the same.
    Lex(Bound<&'a [u8]>, Bound<&'a [u8]>),
}

/// Whether a value lies before a lower bound.
fn is_below<T: PartialOrd>(value: &T, bound: &Bound<T>) -> bool {
    match bound {
        Bound::Unbounded => false,
        Bound::Included(low) => value < low,
        Bound::Excluded(low) => value <= low,
    }
}

/// Whether a value lies within an upper bound.
fn is_within<T: PartialOrd>(value: &T, bound: &Bound<T>) -> bool {
    match bound {
        Bound::Unbounded => true,
        Bound::Included(high) => value <= high,
        Bound::Excluded(high) => value < high,
    }
}

/// The order of members: by score, then by name.
fn is_before(a: (f64, &[u8]), b: (f64, &[u8])) -> bool {
    match a.0.partial_cmp(&b.0) {
        Some(Ordering::Less) => true,
        Some(Ordering::Greater) => false,
        _ => a.1 < b.1,
    }
}

/// A sorted set to read.
#[derive(Clone, Copy)]
pub enum SortedSetRef<'a> {
    /// Packed bytes.
    Packed(&'a [u8]),
    /// The grown form.
    Grown(&'a GrownSortedSet),
}

/// A member in packed bytes.
struct Place {
    start: usize,
    member: ops::Range<usize>,
}

impl Place {
    fn end(&self) -> usize {
        self.member.end + SCORE_BYTES
    }

    fn member<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.member.clone()]
    }

    fn score(&self, bytes: &[u8]) -> f64 {
        match bytes[self.member.end..].first_chunk() {
            Some(score) => f64::from_le_bytes(*score),
            None => unreachable!("a score follows every member"),
        }
    }
}

fn places(bytes: &[u8]) -> impl Iterator<Item = Place> + '_ {
    let mut at = COUNT_BYTES;
    std::iter::from_fn(move || {
        let member = (at < bytes.len()).then(|| item(bytes, at))?;
        let place = Place { start: at, member };
        at = place.end();
        Some(place)
    })
}

impl<'a> SortedSetRef<'a> {
    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            SortedSetRef::Packed(bytes) => count(bytes),
            SortedSetRef::Grown(set) => set.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A member's score.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            SortedSetRef::Packed(bytes) => {
                let mut places = places(bytes);
                places.find(|place| place.member(bytes) == member).map(|place| place.score(bytes))
            }
            SortedSetRef::Grown(set) => set.score(member),
        }
    }

    /// How many members come before a member, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            SortedSetRef::Packed(bytes) => {
                let mut all = places(bytes).enumerate();
                let (rank, place) = all.find(|(_, place)| place.member(bytes) == member)?;
                Some((rank, place.score(bytes)))
            }
            SortedSetRef::Grown(set) => set.rank(member),
        }
    }

    /// The member at a rank.
    pub fn get(&self, rank: usize) -> Option<(&'a [u8], f64)> {
        match self {
            SortedSetRef::Packed(bytes) => {
                places(bytes).nth(rank).map(|place| (place.member(bytes), place.score(bytes)))
            }
            SortedSetRef::Grown(set) => set.get(rank),
        }
    }

    /// How many members `before` holds for: for all up to some rank, for none from there on.
    fn partition_point(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        match self {
            SortedSetRef::Packed(bytes) => places(bytes)
                .take_while(|place| before(place.score(bytes), place.member(bytes)))
                .count(),
            SortedSetRef::Grown(set) => set.partition_point(before),
        }
    }

    /// The ranks of the members in a range.
    pub fn ranks(&self, range: &Range<'_>) -> ops::Range<usize> {
        let (from, to) = match range {
            Range::Score(low, high) => (
                self.partition_point(|score, _| is_below(&score, low)),
                self.partition_point(|score, _| is_within(&score, high)),
            ),
            Range::Lex(low, high) => (
                self.partition_point(|_, member| is_below(&member, low)),
                self.partition_point(|_, member| is_within(&member, high)),
            ),
        };
        from..to.max(from)
    }

    /// Visits members from a rank on, until `visit` answers false.
    pub fn walk(&self, from: usize, mut visit: impl FnMut(&'a [u8], f64) -> bool) {
        match self {
            SortedSetRef::Packed(bytes) => {
                let _ = places(bytes)
                    .skip(from)
                    .all(|place| visit(place.member(bytes), place.score(bytes)));
            }
            SortedSetRef::Grown(set) => set.walk(from, visit),
        }
    }

    /// Visits the members before a rank, backwards, until `visit` answers false.
    pub fn walk_back(&self, before: usize, mut visit: impl FnMut(&'a [u8], f64) -> bool) {
        match self {
            SortedSetRef::Packed(bytes) => {
                let all: Vec<Place> = places(bytes).take(before).collect();
                let _ =
                    all.iter().rev().all(|place| visit(place.member(bytes), place.score(bytes)));
            }
            SortedSetRef::Grown(set) => set.walk_back(before, visit),
        }
    }

    /// Visits some members from `position` on; the next position, 0 at the end.
    pub fn scan(&self, position: u64, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        match self {
            SortedSetRef::Packed(_) => {
                self.walk(0, |member, score| {
                    visit(member, score);
                    true
                });
                0
            }
            SortedSetRef::Grown(set) => set.scan(position, visit),
        }
    }

    /// A member drawn with the same chance as every other.
    pub fn sample(&self, random: &mut impl Rng) -> Option<(&'a [u8], f64)> {
        match self {
            SortedSetRef::Packed(bytes) => self.get(random.random_range(0..count(bytes).max(1))),
            SortedSetRef::Grown(set) => set.sample(random),
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            SortedSetRef::Packed(_) => "listpack",
            SortedSetRef::Grown(_) => "skiplist",
        }
    }
}

/// A sorted set to change.
pub struct SortedSetMut<S> {
    slot: S,
    limits: Limits,
}

impl<S: Slot> SortedSetMut<S> {
    /// The sorted set in a slot, which stays packed up to `limits`.
    #[inline]
    pub fn new(slot: S, limits: Limits) -> SortedSetMut<S> {
        SortedSetMut { slot, limits }
    }

    /// Gives the slot back.
    #[inline]
    pub fn into_slot(self) -> S {
        self.slot
    }

    /// The sorted set to read.
    #[inline]
    pub fn as_ref(&self) -> SortedSetRef<'_> {
        match self.slot.grown() {
            Some(Collection::SortedSet(set)) => SortedSetRef::Grown(set),
            _ => SortedSetRef::Packed(self.slot.bytes()),
        }
    }

    #[inline]
    fn grown(&mut self) -> Option<&mut GrownSortedSet> {
        match self.slot.grown_mut() {
            Some(Collection::SortedSet(set)) => Some(set),
            _ => None,
        }
    }

    /// Sets a member's score, which is a number; answers whether the member is new.
    pub fn set(&mut self, member: &[u8], score: f64) -> Result<bool, OutOfMemory> {
        if let Some(set) = self.grown() {
            return set.set(member, score);
        }
        let bytes = self.slot.bytes();
        let old = places(bytes).find(|place| place.member(bytes) == member);
        if let Some(place) = &old {
            if place.score(bytes) == score {
                return Ok(false);
            }
            self.slot.splice(place.start..place.end(), &[])?;
            add_count(self.slot.bytes_mut(), -1);
        } else if !self.limits.allow(count(bytes) + 1, member.len()) {
            return self.grow()?.set(member, score);
        }
        self.insert(member, score)?;
        Ok(old.is_none())
    }

    /// Sets a member's score to what `decide` makes of the one it has, if the member is there, and
    /// to nothing else if that answers nothing.
    #[inline]
    pub fn update<E: From<OutOfMemory>>(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<(), E> {
        if let Some(set) = self.grown() {
            return set.update(member, decide).map(drop);
        }
        if let Some(score) = decide(self.as_ref().score(member))? {
            self.set(member, score)?;
        }
        Ok(())
    }

    fn insert(&mut self, member: &[u8], score: f64) -> Result<(), OutOfMemory> {
        let bytes = self.slot.bytes();
        let behind =
            |place: &Place| !is_before((place.score(bytes), place.member(bytes)), (score, member));
        let at = places(bytes).find(behind).map_or(bytes.len(), |place| place.start);
        let header = Header::of(member.len());
        // Redis packs whole numbers as integers, which know no -0.
        let score = if score == 0.0 { 0.0 } else { score };
        let score = score.to_le_bytes();
        if bytes.is_empty() {
            return self.slot.splice(0..0, &[&[1, 0], header.as_slice(), member, &score]);
        }
        self.slot.splice(at..at, &[header.as_slice(), member, &score])?;
        add_count(self.slot.bytes_mut(), 1);
        Ok(())
    }

    /// Removes a member; answers whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> Result<bool, OutOfMemory> {
        if let Some(set) = self.grown() {
            return Ok(set.remove(member));
        }
        let bytes = self.slot.bytes();
        let Some(place) = places(bytes).find(|place| place.member(bytes) == member) else {
            return Ok(false);
        };
        self.slot.splice(place.start..place.end(), &[])?;
        add_count(self.slot.bytes_mut(), -1);
        Ok(true)
    }

    /// Removes the members at some ranks, which must be there.
    pub fn remove_ranks(&mut self, ranks: ops::Range<usize>) -> Result<(), OutOfMemory> {
        if ranks.is_empty() {
            return Ok(());
        }
        if let Some(set) = self.grown() {
            set.remove_ranks(ranks);
            return Ok(());
        }
        let bytes = self.slot.bytes();
        let mut removed = places(bytes).skip(ranks.start).take(ranks.len());
        let Some(first) = removed.next() else { return Ok(()) };
        let end = removed.last().map_or(first.end(), |last| last.end());
        self.slot.splice(first.start..end, &[])?;
        add_count(self.slot.bytes_mut(), -(ranks.len() as isize));
        Ok(())
    }

    fn grow(&mut self) -> Result<&mut GrownSortedSet, OutOfMemory> {
        let mut set = GrownSortedSet::new(self.slot.arenas());
        let mut result = Ok(true);
        self.as_ref().walk(0, |member, score| {
            result = set.set(member, score);
            result.is_ok()
        });
        result?;
        self.slot.grow(Collection::SortedSet(set))?;
        self.grown().ok_or(OutOfMemory)
    }
}
