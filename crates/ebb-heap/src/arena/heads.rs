//! The first holes of an arena's lists, and which lists have any.
//!
//! There are two thousand lists, and most arenas ever use a few dozen: those of the sizes that
//! their owner's values have. So the heads come in groups, each made with its first hole.

use std::alloc::{Layout, alloc_zeroed};

use super::NONE;
use crate::size::LISTS;

/// Lists of a group: as many as a word has bits.
const GROUP: usize = 64;
const GROUPS: usize = LISTS.div_ceil(GROUP);

/// The heads of all lists.
pub(super) struct Heads {
    /// First hole of each list, in units plus one; [`NONE`] if empty.
    groups: [Option<Box<[u64; GROUP]>>; GROUPS],
    /// One bit for each list that is not empty.
    filled: [u64; GROUPS],
}

impl Heads {
    /// Of lists that are empty.
    pub(super) const fn new() -> Heads {
        Heads { groups: [const { None }; GROUPS], filled: [0; GROUPS] }
    }

    /// The first hole of a list; [`NONE`] if there is none.
    #[inline]
    pub(super) fn get(&self, list: usize) -> u64 {
        self.groups[list / GROUP].as_ref().map_or(NONE, |group| group[list % GROUP])
    }

    /// Makes sure that the list can have a hole; answers false if there is no memory for that.
    #[inline]
    pub(super) fn prepare(&mut self, list: usize) -> bool {
        let group = &mut self.groups[list / GROUP];
        if group.is_none() {
            *group = empty_group();
        }
        group.is_some()
    }

    /// Changes the first hole of a list, which had one or was prepared for one.
    #[inline]
    pub(super) fn set(&mut self, list: usize, head: u64) {
        let bit = 1 << (list % GROUP);
        let filled = &mut self.filled[list / GROUP];
        *filled = if head == NONE { *filled & !bit } else { *filled | bit };
        match &mut self.groups[list / GROUP] {
            Some(group) => group[list % GROUP] = head,
            None => unreachable!("a list is prepared before it has a hole"),
        }
    }

    /// The first list at or after `list` that has a hole.
    pub(super) fn list_from(&self, list: usize) -> Option<usize> {
        let mut word = list / GROUP;
        let mut bits = *self.filled.get(word)? & (!0 << (list % GROUP));
        loop {
            if bits != 0 {
                return Some(word * GROUP + bits.trailing_zeros() as usize);
            }
            word += 1;
            bits = *self.filled.get(word)?;
        }
    }
}

#[cold]
fn empty_group() -> Option<Box<[u64; GROUP]>> {
    // SAFETY: the layout has a size; zeros are numbers, and the box frees with the same layout.
    unsafe {
        let heads = alloc_zeroed(Layout::new::<[u64; GROUP]>());
        (!heads.is_null()).then(|| Box::from_raw(heads.cast()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_list_with_a_hole_is_found() {
        let mut heads = Heads::new();
        assert_eq!((heads.get(700), heads.list_from(0)), (NONE, None));
        for list in [3, 64, 700, LISTS - 1] {
            assert!(heads.prepare(list));
            heads.set(list, 7 + list as u64);
        }
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(list) = heads.list_from(from) {
            assert_eq!(heads.get(list), 7 + list as u64);
            found.push(list);
            from = list + 1;
        }
        assert_eq!(found, [3, 64, 700, LISTS - 1]);
        heads.set(700, NONE);
        assert_eq!((heads.get(700), heads.list_from(65)), (NONE, Some(LISTS - 1)));
        assert_eq!(heads.groups.iter().flatten().count(), 4);
    }
}
