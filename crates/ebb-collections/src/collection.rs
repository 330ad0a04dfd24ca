//! The grown form of any collection.

use ebb_heap::{Block, OutOfMemory};
use ebb_table::Blocks;

use crate::grown_hash::GrownHash;
use crate::grown_list::GrownList;
use crate::grown_set::GrownSet;
use crate::grown_sorted_set::GrownSortedSet;
use crate::stream::Stream;

/// The grown form of a collection.
pub enum Collection {
    /// A list.
    List(GrownList),
    /// A hash.
    Hash(GrownHash),
    /// A set.
    Set(GrownSet),
    /// A sorted set.
    SortedSet(GrownSortedSet),
    /// A stream, which has no packed form.
    Stream(Box<Stream>),
}

/// Bytes that a collection takes, by where they lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Blocks of elements.
    pub data: usize,
    /// Segments of tables.
    pub index: usize,
    /// Outside of the heap: directories, inner nodes.
    pub outside: usize,
}

macro_rules! each {
    ($self:expr, $grown:ident => $what:expr) => {
        match $self {
            Collection::List($grown) => $what,
            Collection::Hash($grown) => $what,
            Collection::Set($grown) => $what,
            Collection::SortedSet($grown) => $what,
            Collection::Stream($grown) => $what,
        }
    };
}

impl Collection {
    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        each!(self, grown => grown.len())
    }

    /// Where its elements are found by name, if they are.
    #[inline]
    fn elements(&self) -> Option<&Blocks> {
        match self {
            Collection::Hash(hash) => Some(hash.elements()),
            Collection::Set(set) => Some(set.elements()),
            Collection::SortedSet(set) => Some(set.elements()),
            Collection::List(_) | Collection::Stream(_) => None,
        }
    }

    /// Asks for the bucket of the element with this [`element_hash`] ahead of use.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if let Some(elements) = self.elements() {
            elements.prefetch(hash);
        }
    }

    /// Asks for the element itself, once its bucket has arrived.
    #[inline]
    pub fn prefetch_element(&self, hash: u64) {
        if let Some(elements) = self.elements() {
            elements.prefetch_block(hash);
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes it takes now, known without a walk.
    #[inline]
    pub fn footprint(&self) -> Footprint {
        each!(self, grown => grown.footprint())
    }

    /// A copy of everything.
    pub fn duplicate(&self) -> Result<Collection, OutOfMemory> {
        Ok(match self {
            Collection::List(list) => Collection::List(list.duplicate()?),
            Collection::Hash(hash) => Collection::Hash(hash.duplicate()?),
            Collection::Set(set) => Collection::Set(set.duplicate()?),
            Collection::SortedSet(set) => Collection::SortedSet(set.duplicate()?),
            Collection::Stream(stream) => Collection::Stream(Box::new(stream.duplicate()?)),
        })
    }

    /// Frees some elements, in no order; answers whether any are left. Only for collections
    /// that nobody will use again.
    pub fn free_step(&mut self) -> bool {
        each!(self, grown => grown.free_step())
    }

    /// Moves some blocks, those for which `should` holds among the next few from `position`
    /// on, in some 100 us at most. Answers the position to go on from, 0 at the end: whatever
    /// is there from the first call to the last and lies in its place is visited.
    pub fn relocate(
        &mut self,
        position: u128,
        should: impl Fn(&Block) -> bool,
    ) -> Result<u128, OutOfMemory> {
        each!(self, grown => grown.relocate(position, should))
    }

    /// Shows some of its blocks, from `position` on: the position to go on from, 0 at the end.
    /// Some 1000 blocks a call. A block that it owns from the first call to the last is shown,
    /// whatever else changes in between.
    pub fn inspect(&self, position: u128, visit: &mut dyn FnMut(&Block)) -> u128 {
        each!(self, grown => grown.inspect(position, visit))
    }
}
