//! A set whose members are blocks in a table.

use ebb_heap::{Block, OutOfMemory};
use ebb_table::{BlockDrain, Blocks, hash};
use rand::Rng;

use crate::collection::Footprint;
use crate::item::{Element, duplicate, member, member_of};
use crate::slot::Arenas;

/// A large set.
pub struct GrownSet {
    arenas: Arenas,
    members: Blocks,
    drain: Option<BlockDrain>,
}

impl GrownSet {
    pub(crate) fn new(arenas: Arenas) -> GrownSet {
        GrownSet { arenas, members: Blocks::new(arenas.index, member_of), drain: None }
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

    pub(crate) fn contains(&self, member: &[u8]) -> bool {
        self.members.find(member).is_some()
    }

    /// Adds a member; answers whether it is new.
    pub(crate) fn add(&mut self, new: &[u8]) -> Result<bool, OutOfMemory> {
        let hash = hash(new);
        if self.members.find_hashed(hash, new).is_some() {
            return Ok(false);
        }
        self.members.insert_hashed(hash, member(self.arenas.data, new)?)?;
        Ok(true)
    }

    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(found) = self.members.find(member) else { return false };
        drop(self.members.remove(found));
        true
    }

    pub(crate) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a [u8])) {
        self.members.for_each(|block| visit(Element::from(block).member()));
    }

    pub(crate) fn scan<'a>(&'a self, position: u64, mut visit: impl FnMut(&'a [u8])) -> u64 {
        self.members.scan(position, |block| visit(Element::from(block).member()))
    }

    pub(crate) fn sample<R>(
        &self,
        random: &mut impl Rng,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        self.members.sample(random).map(|block| look(Element::from(block).member()))
    }

    #[inline]
    pub(crate) fn footprint(&self) -> Footprint {
        footprint_of(&self.members)
    }

    pub(crate) fn duplicate(&self) -> Result<GrownSet, OutOfMemory> {
        let mut copy = GrownSet::new(self.arenas);
        let mut result = Ok(());
        self.members.for_each(|block| {
            if result.is_ok() {
                result = duplicate(&block).and_then(|block| copy.members.insert(block)).map(drop);
            }
        });
        result.map(|()| copy)
    }

    pub(crate) fn free_step(&mut self) -> bool {
        let members = &mut self.members;
        self.drain.get_or_insert_with(|| members.drain()).step()
    }

    pub(crate) fn inspect(&self, position: u128, visit: &mut dyn FnMut(&Block)) -> u128 {
        self.members.inspect(position as u64, visit).into()
    }

    pub(crate) fn relocate(
        &mut self,
        position: u128,
        should: impl Fn(&Block) -> bool,
    ) -> Result<u128, OutOfMemory> {
        let next = self.members.relocate(position as u64, should, |_, _| {})?;
        Ok(next.into())
    }
}

/// What blocks in a table take.
#[inline]
pub(crate) fn footprint_of(blocks: &Blocks) -> Footprint {
    let (index, directory) = blocks.index_bytes();
    Footprint { data: blocks.block_bytes(), index, outside: directory }
}
