//! The inner nodes of a [`RankTree`](super::RankTree).
//!
//! What a search reads of all children lies together: their scores, then their counts. The names
//! and the pointers of those that the search passes by are never touched, and the scores and
//! counts of some hundred thousand members stay in the processor's first cache.

use arrayvec::ArrayVec;
use ebb_heap::Compact;

use super::{Child, Node, Ranked};

/// Children of an inner node.
pub(super) const INNER_MAX: usize = 32;
/// With one more, for the moment before a node is split.
const ROOM: usize = INNER_MAX + 1;

/// An inner node: its children's first scores, how many names are below each, their first names,
/// and themselves.
pub(super) struct Inner {
    scores: ArrayVec<f64, ROOM>,
    counts: ArrayVec<usize, ROOM>,
    names: ArrayVec<Compact, ROOM>,
    nodes: ArrayVec<Node, ROOM>,
}

impl Inner {
    /// A node of two.
    pub(super) fn of(first: Child, second: Child) -> Box<Inner> {
        let mut inner = Inner::empty();
        inner.insert(0, first);
        inner.insert(1, second);
        inner
    }

    fn empty() -> Box<Inner> {
        let (scores, counts) = (ArrayVec::new(), ArrayVec::new());
        Box::new(Inner { scores, counts, names: ArrayVec::new(), nodes: ArrayVec::new() })
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn node_mut(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    /// Names below a child.
    pub(super) fn count_of(&self, index: usize) -> usize {
        self.counts[index]
    }

    pub(super) fn set_count(&mut self, index: usize, count: usize) {
        self.counts[index] = count;
    }

    pub(super) fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// The score of a child's first name.
    pub(super) fn score_of(&self, index: usize) -> Option<f64> {
        self.scores.get(index).copied()
    }

    /// A child's first name.
    pub(super) fn low(&self, index: usize) -> Ranked {
        Ranked { score: self.scores[index], name: self.names[index] }
    }

    pub(super) fn set_low(&mut self, index: usize, low: Ranked) {
        self.scores[index] = low.score;
        self.names[index] = low.name;
    }

    pub(super) fn set_low_name(&mut self, index: usize, name: Compact) {
        self.names[index] = name;
    }

    /// The child that holds a position, and the position within it.
    pub(super) fn child_of(&self, at: usize) -> (usize, usize) {
        self.child_where(at, |at, count| at < count)
    }

    /// The child into which to insert at a position, and the position within it. A position at a
    /// border belongs to the child that ends there.
    pub(super) fn child_for_insert(&self, at: usize) -> (usize, usize) {
        self.child_where(at, |at, count| at <= count)
    }

    #[inline]
    fn child_where(&self, mut at: usize, within: impl Fn(usize, usize) -> bool) -> (usize, usize) {
        for (index, &count) in self.counts.iter().enumerate() {
            if within(at, count) {
                return (index, at);
            }
            at -= count;
        }
        unreachable!("a position is within its node")
    }

    /// The last child that begins before what is sought, or the first; `before` tells so of a name,
    /// and is asked only about those with the score that is sought.
    pub(super) fn child_before(&self, score: f64, before: impl Fn(Compact) -> bool) -> usize {
        let Some((_, others)) = self.scores.split_first() else { return 0 };
        // To compare all is quicker than to guess five times in which half to look.
        let lower = others.iter().filter(|&&other| other < score).count();
        let not_higher = others.iter().filter(|&&other| other <= score).count();
        let equal = &self.names[1 + lower..1 + not_higher];
        lower + equal.partition_point(|&name| before(name))
    }

    /// The last child that begins before what is sought, or the first, by names alone.
    pub(super) fn child_before_name(&self, before: impl Fn(Compact) -> bool) -> usize {
        self.names[1..].partition_point(|&name| before(name))
    }

    /// Names below the children before one.
    pub(super) fn count_before(&self, index: usize) -> usize {
        self.counts[..index].iter().sum()
    }

    pub(super) fn insert(&mut self, at: usize, child: Child) {
        self.scores.insert(at, child.low.score);
        self.counts.insert(at, child.count);
        self.names.insert(at, child.low.name);
        self.nodes.insert(at, child.node);
    }

    pub(super) fn remove(&mut self, at: usize) -> Child {
        let low = Ranked { score: self.scores.remove(at), name: self.names.remove(at) };
        Child { low, count: self.counts.remove(at), node: self.nodes.remove(at) }
    }

    /// Keeps the first children; answers a node of the others.
    pub(super) fn split(&mut self, keep: usize) -> Child {
        let mut second = Inner::empty();
        second.scores.extend(self.scores.drain(keep..));
        second.counts.extend(self.counts.drain(keep..));
        second.names.extend(self.names.drain(keep..));
        second.nodes.extend(self.nodes.drain(keep..));
        Child { low: second.low(0), count: second.counts.iter().sum(), node: Node::Inner(second) }
    }

    /// Takes another's children behind its own.
    pub(super) fn append(&mut self, other: &mut Inner) {
        self.scores.extend(other.scores.drain(..));
        self.counts.extend(other.counts.drain(..));
        self.names.extend(other.names.drain(..));
        self.nodes.extend(other.nodes.drain(..));
    }

    /// Two neighbours, of which the first is at `first`.
    pub(super) fn pair_mut(&mut self, first: usize) -> (&mut Node, &mut Node) {
        let (low, high) = self.nodes.split_at_mut(first + 1);
        (&mut low[first], &mut high[0])
    }

    /// Frees some of what is below; answers whether anything is left.
    pub(super) fn free_some(&mut self) -> bool {
        match self.nodes.last_mut() {
            None => return false,
            Some(Node::Inner(last)) => {
                if !last.free_some() {
                    self.nodes.pop();
                }
            }
            // All are leaves, then.
            Some(Node::Leaf(_)) => self.nodes.clear(),
        }
        !self.nodes.is_empty()
    }
}
