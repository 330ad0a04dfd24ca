//! A sorted set whose members are blocks in a table, in an order that counts.

use std::ops::Range;

use ebb_heap::{Block, Compact, OutOfMemory};
use ebb_table::handle::BlockRef;
use ebb_table::{BlockDrain, Blocks, Found, hash};
use rand::Rng;

use crate::collection::Footprint;
use crate::grown_set::footprint_of;
use crate::item::{Element, score_in, scored, scored_member_of, set_score};
use crate::rank_tree::{RankTree, Ranked};
use crate::slot::Arenas;

/// Where the positions of members begin, for moving; below are those of leaves.
const MEMBERS_FROM: u128 = 1 << 64;

/// A large sorted set.
pub struct GrownSortedSet {
    arenas: Arenas,
    members: Blocks,
    order: RankTree,
    drain: Option<BlockDrain>,
}

/// The member of a name in the order.
///
/// SAFETY of the callers: a name is in `order` exactly while its block is in `members`, and
/// both are borrowed for `'a`.
fn element<'a>(name: Compact) -> Element<'a> {
    // SAFETY: as said above.
    unsafe { BlockRef::<'a>::new(name) }.into()
}

#[inline]
fn score_of(name: Compact) -> f64 {
    // SAFETY: as for `element`; the block is looked at before this returns.
    score_in(unsafe { BlockRef::new(name) }.head())
}

/// Whether a name stands before a member with a score.
#[inline]
fn stands_before(score: f64, member: &[u8]) -> impl Fn(Compact) -> bool {
    move |name| {
        let other = score_of(name);
        if other != score { other < score } else { element(name).scored_member() < member }
    }
}

impl GrownSortedSet {
    pub(crate) fn new(arenas: Arenas) -> GrownSortedSet {
        GrownSortedSet {
            arenas,
            members: Blocks::new(arenas.index, scored_member_of),
            order: RankTree::new(arenas.data),
            drain: None,
        }
    }

    /// Its elements by name.
    #[inline]
    pub(crate) fn elements(&self) -> &Blocks {
        &self.members
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        let found = self.members.find(member)?;
        Some(score_in(self.members.get(found).head()))
    }

    /// How many members `before` holds for.
    pub(crate) fn partition_point(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.order.partition_point(|name| {
            let element = element(name);
            before(element.score(), element.scored_member())
        })
    }

    /// The position at which a member is that was found.
    fn position(&self, found: Found, score: f64, member: &[u8]) -> usize {
        let spot = self.order.seek(score, stands_before(score, member));
        spot.map_or(0, |spot| spot.position_of(found.entry()))
    }

    /// The position at which a member is that was found, and the one at which it would stand with
    /// another score. What the two searches have to wait for they wait for together.
    fn positions(&self, found: Found, old: f64, member: &[u8], new: f64) -> (usize, usize) {
        let before_new = stands_before(new, member);
        let Some(new_spot) = self.order.seek(new, &before_new) else { return (0, 0) };
        new_spot.prefetch();
        let Some(old_spot) = self.order.seek(old, stands_before(old, member)) else {
            return (0, 0);
        };
        old_spot.prefetch();
        new_spot.prefetch_members();
        (old_spot.position_of(found.entry()), new_spot.partition_point(before_new))
    }

    pub(crate) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let found = self.members.find(member)?;
        let score = score_in(self.members.get(found).head());
        Some((self.position(found, score, member), score))
    }

    pub(crate) fn get(&self, rank: usize) -> Option<(&[u8], f64)> {
        let element = element(self.order.get(rank)?);
        Some((element.scored_member(), element.score()))
    }

    /// Sets a member's score; answers whether the member is new.
    pub(crate) fn set(&mut self, member: &[u8], score: f64) -> Result<bool, OutOfMemory> {
        self.update(member, |_| Ok(Some(score)))
    }

    /// Sets a member's score to what `decide` makes of the one it has, if the member is there and
    /// `decide` wants that; answers whether the member is new.
    pub(crate) fn update<E: From<OutOfMemory>>(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<bool, E> {
        let hash = hash(member);
        let found = self.members.find_hashed(hash, member);
        let old = found.map(|found| score_in(self.members.get(found).head()));
        let Some(score) = decide(old)? else { return Ok(false) };
        match found {
            None => self.add(hash, member, score)?,
            Some(found) => self.change(found, member, score)?,
        }
        Ok(found.is_none())
    }

    /// Adds a member that is not there, with the hash of its name.
    fn add(&mut self, hash: u64, member: &[u8], score: f64) -> Result<(), OutOfMemory> {
        let name = self.members.insert_hashed(hash, scored(self.arenas.data, score, member)?)?;
        let before = stands_before(score, member);
        let at = self.order.seek(score, &before).map_or(0, |spot| {
            spot.prefetch_members();
            spot.partition_point(before)
        });
        let result = self.order.insert(at, Ranked { score, name }, &score_of);
        if result.is_err()
            && let Some(found) = self.members.find(member)
        {
            drop(self.members.remove(found));
        }
        result
    }

    /// Changes the score of a member that was found.
    fn change(&mut self, found: Found, member: &[u8], score: f64) -> Result<(), OutOfMemory> {
        let old = score_in(self.members.get(found).head());
        if old == score {
            return Ok(());
        }
        let (from, mut to) = self.positions(found, old, member, score);
        self.order.remove(from, &score_of);
        if from < to {
            to -= 1;
        }
        set_score(&mut self.members.get_mut(found), score);
        let result = self.order.insert(to, Ranked { score, name: found.entry() }, &score_of);
        if result.is_err() {
            // A member that cannot be in the order is not in the set either.
            drop(self.members.remove(found));
        }
        result
    }

    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(found) = self.members.find(member) else { return false };
        let score = Element::from(self.members.get(found)).score();
        let at = self.position(found, score, member);
        self.order.remove(at, &score_of);
        drop(self.members.remove(found));
        true
    }

    pub(crate) fn remove_ranks(&mut self, ranks: Range<usize>) {
        for _ in ranks.clone() {
            let Some(name) = self.order.get(ranks.start) else { return };
            let found = self.members.find(element(name).scored_member());
            self.order.remove(ranks.start, &score_of);
            if let Some(found) = found {
                drop(self.members.remove(found));
            }
        }
    }

    pub(crate) fn walk<'a>(&'a self, from: usize, mut visit: impl FnMut(&'a [u8], f64) -> bool) {
        self.order.walk(from, |name| {
            let element = element(name);
            visit(element.scored_member(), element.score())
        });
    }

    pub(crate) fn walk_back<'a>(
        &'a self,
        before: usize,
        mut visit: impl FnMut(&'a [u8], f64) -> bool,
    ) {
        self.order.walk_back(before, |name| {
            let element = element(name);
            visit(element.scored_member(), element.score())
        });
    }

    pub(crate) fn scan(&self, position: u64, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        self.members.scan(position, |block| {
            let element = Element::from(block);
            visit(element.scored_member(), element.score());
        })
    }

    pub(crate) fn sample(&self, random: &mut impl Rng) -> Option<(&[u8], f64)> {
        let element = Element::from(self.members.sample(random)?);
        Some((element.scored_member(), element.score()))
    }

    #[inline]
    pub(crate) fn footprint(&self) -> Footprint {
        let mut footprint = footprint_of(&self.members);
        let (leaves, inner) = self.order.bytes();
        footprint.data += leaves;
        footprint.outside += inner;
        footprint
    }

    pub(crate) fn duplicate(&self) -> Result<GrownSortedSet, OutOfMemory> {
        let mut copy = GrownSortedSet::new(self.arenas);
        let mut result = Ok(());
        self.walk(0, |member, score| {
            result = (|| {
                let name = copy.members.insert(scored(self.arenas.data, score, member)?)?;
                let ranked = Ranked { score, name };
                copy.order.insert(copy.order.len(), ranked, &score_of)
            })();
            result.is_ok()
        });
        result.map(|()| copy)
    }

    pub(crate) fn free_step(&mut self) -> bool {
        if self.order.free_step() {
            return true;
        }
        let members = &mut self.members;
        self.drain.get_or_insert_with(|| members.drain()).step()
    }

    /// The leaves of the order come first; then the members.
    pub(crate) fn inspect(&self, position: u128, visit: &mut dyn FnMut(&Block)) -> u128 {
        const MEMBERS: u128 = 1 << 127;
        if position < MEMBERS {
            return self.order.inspect(position, visit).unwrap_or(MEMBERS);
        }
        match self.members.inspect(position as u64, visit) {
            0 => 0,
            next => MEMBERS | u128::from(next),
        }
    }

    /// The leaves of the order come first, by rank; then the members.
    pub(crate) fn relocate(
        &mut self,
        position: u128,
        should: impl Fn(&Block) -> bool,
    ) -> Result<u128, OutOfMemory> {
        if position < MEMBERS_FROM {
            let next = self.order.relocate(position as usize, should)?;
            return Ok(next.map_or(MEMBERS_FROM, |rank| rank as u128));
        }
        let order = &mut self.order;
        let next = self.members.relocate(position as u64, should, |block, old| {
            let moved = Element::from(block);
            let (score, member) = (moved.score(), moved.scored_member());
            // The former block is gone: its name stands for the moved one.
            let before = |name| name != old && stands_before(score, member)(name);
            let at = order.seek(score, before).map_or(0, |spot| spot.partition_point(before));
            order.rename(at, block.compact());
        })?;
        Ok(if next == 0 { 0 } else { MEMBERS_FROM + u128::from(next) })
    }
}
