//! Searches in a [`RankTree`].
//!
//! Inner nodes know scores; in a leaf each step of a binary search would touch a member, a miss
//! that waits for the one before. So a search looks first where the member would be if the leaf's
//! scores were spread evenly, and asks for all that it may touch there at once.

use ebb_heap::{Block, Compact, prefetch};

use super::{NAME_BYTES, Node, RankTree};

/// Names to both sides of where a search in a leaf begins. Of 44 evenly spread members a place is
/// known within 3.3 (one standard deviation), at worst.
const WINDOW: usize = 5;
/// Steps of a binary search within a leaf whose members are asked for at once.
const STEPS_AHEAD: u32 = 3;

/// The leaf in which a search ends, before anything of it has been touched.
pub(crate) struct Spot<'a> {
    leaf: &'a Block,
    /// Names in the leaf.
    count: usize,
    /// Names in the leaves before.
    passed: usize,
    /// Where the member is among the leaf's, if their scores are spread evenly.
    guess: usize,
}

impl RankTree {
    /// The leaf in which something with a score is, or belongs; `None` if there is none. `before`
    /// tells whether a name stands before it.
    pub(crate) fn seek(&self, score: f64, before: impl Fn(Compact) -> bool) -> Option<Spot<'_>> {
        let root = self.root.as_ref()?;
        let (mut node, mut count, mut passed) = (&root.node, root.count, 0);
        let (mut low, mut high) = (root.low.score, None);
        loop {
            match node {
                Node::Leaf(leaf) => {
                    // Behind the last leaf there is nothing: mostly it is appended to.
                    let part: f64 = high.map_or(1.0, |high: f64| (score - low) / (high - low));
                    // What is not a number becomes 0.
                    let guess = (part.clamp(0.0, 1.0) * count as f64) as usize;
                    return Some(Spot { leaf, count, passed, guess });
                }
                Node::Inner(inner) => {
                    let index = inner.child_before(score, &before);
                    passed += inner.count_before(index);
                    low = inner.low(index).score;
                    high = inner.score_of(index + 1).or(high);
                    (node, count) = (&inner.nodes()[index], inner.count_of(index));
                }
            }
        }
    }

    /// How many names `before` holds for: it must hold for all up to some position and for none
    /// from there on.
    pub(crate) fn partition_point(&self, before: impl Fn(Compact) -> bool) -> usize {
        let Some(root) = &self.root else { return 0 };
        let (mut node, mut count, mut passed) = (&root.node, root.count, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return passed + bisect(names(leaf, count), &before),
                Node::Inner(inner) => {
                    let index = inner.child_before_name(&before);
                    passed += inner.count_before(index);
                    (node, count) = (&inner.nodes()[index], inner.count_of(index));
                }
            }
        }
    }
}

impl Spot<'_> {
    /// Asks for the leaf's names.
    pub(crate) fn prefetch(&self) {
        let bytes = self.count * NAME_BYTES;
        (0..=bytes).step_by(64).for_each(|at| prefetch(self.leaf.as_ptr().wrapping_add(at)));
    }

    /// The position of a name that is there. It touches no member.
    pub(crate) fn position_of(&self, name: Compact) -> usize {
        let names = names(self.leaf, self.count);
        // The first of a leaf belongs to the end of the leaf before, too.
        let within = names.iter().position(|other| *other == name.0);
        self.passed + within.unwrap_or(names.len())
    }

    /// Asks for the members that [`Spot::partition_point`] looks at first.
    pub(crate) fn prefetch_members(&self) {
        let (from, to) = self.window();
        names(self.leaf, self.count)[from..to]
            .iter()
            .for_each(|&name| Compact(name).prefetch_head());
    }

    /// The position of the first name for which `before`, as given to [`RankTree::seek`], does not
    /// hold.
    pub(crate) fn partition_point(&self, before: impl Fn(Compact) -> bool) -> usize {
        let names = names(self.leaf, self.count);
        let (from, to) = self.window();
        let found = from + names[from..to].partition_point(|&name| before(Compact(name)));
        let within = if found == from {
            bisect(&names[..from], &before)
        } else if found == to {
            to + bisect(&names[to..], &before)
        } else {
            found
        };
        self.passed + within
    }

    fn window(&self) -> (usize, usize) {
        (self.guess.saturating_sub(WINDOW), (self.guess + WINDOW).min(self.count))
    }
}

/// The names of a leaf that has so many.
pub(super) fn names(leaf: &Block, count: usize) -> &[[u8; NAME_BYTES]] {
    let (names, _) = leaf.body().as_chunks();
    &names[..count]
}

/// How many names `before` holds for.
fn bisect(names: &[[u8; NAME_BYTES]], before: &impl Fn(Compact) -> bool) -> usize {
    let (mut low, mut high) = (0, names.len());
    let mut steps = 0;
    while low < high {
        if steps % STEPS_AHEAD == 0 {
            prefetch_steps(&names[low..high], STEPS_AHEAD);
        }
        steps += 1;
        let middle = low + (high - low) / 2;
        if before(Compact(names[middle])) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Asks for the members that the next steps of a binary search may look at.
fn prefetch_steps(names: &[[u8; NAME_BYTES]], steps: u32) {
    if !names.is_empty() && steps > 0 {
        let middle = names.len() / 2;
        Compact(names[middle]).prefetch_head();
        prefetch_steps(&names[..middle], steps - 1);
        prefetch_steps(&names[middle + 1..], steps - 1);
    }
}
