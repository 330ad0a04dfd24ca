//! A sequence of block names with access by position: a B+tree that counts.
//!
//! The names are those of a sorted set's members, in order. The tree itself compares nothing.
//! Positions are found with [`RankTree::seek`] or [`RankTree::partition_point`], as in a sorted
//! slice; everything else goes by position, and each inner node knows how many names are below
//! each child, its first name and that one's score (`rank_tree/inner.rs`). So a search reads one
//! node a level, and touches members only in the last (`rank_tree/seek.rs`).
//!
//! Leaves are blocks of the heap with up to [`LEAF_MAX`] names of five bytes.

use ebb_heap::{ArenaId, Block, Compact, OutOfMemory};

use inner::{INNER_MAX, Inner};
use seek::names;

mod inner;
mod seek;

/// Names in a leaf.
const LEAF_MAX: usize = 64;
const NAME_BYTES: usize = 5;
/// The heap's tag for leaves.
const KIND_LEAF: u8 = 97;

/// A name with the score that its block holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranked {
    pub(crate) score: f64,
    pub(crate) name: Compact,
}

enum Node {
    Leaf(Block),
    Inner(Box<Inner>),
}

/// A node with what its parent knows of it.
struct Child {
    low: Ranked,
    /// Names in it.
    count: usize,
    node: Node,
}

/// The sequence.
pub(crate) struct RankTree {
    arena: ArenaId,
    root: Option<Child>,
    leaf_bytes: usize,
    inner_nodes: usize,
    /// Names that were removed, ever: by so many the others may have moved up.
    removed: u32,
}

fn name_at(leaf: &Block, index: usize) -> Compact {
    let at = index * NAME_BYTES;
    match leaf.body()[at..].first_chunk() {
        Some(name) => Compact(*name),
        None => unreachable!("an index is within its leaf"),
    }
}

fn set_name(leaf: &mut Block, index: usize, name: Compact) {
    let at = index * NAME_BYTES;
    leaf.body_mut()[at..at + NAME_BYTES].copy_from_slice(&name.0);
}

/// Inserts into a leaf with `count` names and room for one more.
fn insert_name(leaf: &mut Block, count: usize, at: usize, name: Compact) {
    let (from, end) = (at * NAME_BYTES, count * NAME_BYTES);
    leaf.body_mut().copy_within(from..end, from + NAME_BYTES);
    set_name(leaf, at, name);
}

impl RankTree {
    pub(crate) fn new(arena: ArenaId) -> RankTree {
        RankTree { arena, root: None, leaf_bytes: 0, inner_nodes: 0, removed: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.count)
    }

    /// Bytes of the leaves' blocks, and of the inner nodes.
    #[inline]
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.leaf_bytes, self.inner_nodes * size_of::<Inner>())
    }

    /// The leaf that holds a position, the position within it, and how many names it has.
    fn leaf_of(&self, mut at: usize) -> Option<(&Block, usize, usize)> {
        let root = self.root.as_ref().filter(|root| at < root.count)?;
        let (mut node, mut count) = (&root.node, root.count);
        loop {
            match node {
                Node::Leaf(leaf) => return Some((leaf, at, count)),
                Node::Inner(inner) => {
                    let (index, within) = inner.child_of(at);
                    (node, count, at) = (&inner.nodes()[index], inner.count_of(index), within);
                }
            }
        }
    }

    /// The name at a position.
    pub(crate) fn get(&self, at: usize) -> Option<Compact> {
        self.leaf_of(at).map(|(leaf, within, _)| name_at(leaf, within))
    }

    /// Visits names from a position on, until `visit` answers false.
    pub(crate) fn walk(&self, from: usize, mut visit: impl FnMut(Compact) -> bool) {
        if let Some(root) = self.root.as_ref().filter(|root| from < root.count) {
            walk(&root.node, root.count, from, &mut visit);
        }
    }

    /// Visits names before a position, backwards, until `visit` answers false.
    pub(crate) fn walk_back(&self, before: usize, mut visit: impl FnMut(Compact) -> bool) {
        if let Some(root) = self.root.as_ref().filter(|_| before > 0) {
            walk_back(&root.node, before.min(root.count), &mut visit);
        }
    }

    fn leaf(&mut self) -> Result<Block, OutOfMemory> {
        let leaf = Block::allocate(self.arena, LEAF_MAX * NAME_BYTES, KIND_LEAF)?;
        self.leaf_bytes += leaf.bytes();
        Ok(leaf)
    }

    /// Counts a node that goes.
    fn forget(&mut self, node: &Node) {
        match node {
            Node::Leaf(leaf) => self.leaf_bytes -= leaf.bytes(),
            Node::Inner(_) => self.inner_nodes -= 1,
        }
    }

    /// Inserts a name at a position; `score_of` tells the scores of names. On an error nothing has
    /// changed.
    pub(crate) fn insert(
        &mut self,
        at: usize,
        new: Ranked,
        score_of: &impl Fn(Compact) -> f64,
    ) -> Result<(), OutOfMemory> {
        let Some(mut root) = self.root.take() else {
            let mut leaf = self.leaf()?;
            set_name(&mut leaf, 0, new.name);
            self.root = Some(Child { low: new, count: 1, node: Node::Leaf(leaf) });
            return Ok(());
        };
        let second = match self.insert_below(&mut root.node, root.count, at, new, score_of) {
            Ok(second) => second,
            Err(error) => {
                self.root = Some(root);
                return Err(error);
            }
        };
        root.count += 1;
        if at == 0 {
            root.low = new;
        }
        if let Some(second) = second {
            let (low, count) = (root.low, root.count);
            root.count -= second.count;
            self.inner_nodes += 1;
            root = Child { low, count, node: Node::Inner(Inner::of(root, second)) };
        }
        self.root = Some(root);
        Ok(())
    }

    /// Inserts into a node with `count` names; answers what was split off behind it. What the
    /// parent knows of the node is the parent's to change.
    fn insert_below(
        &mut self,
        node: &mut Node,
        count: usize,
        at: usize,
        new: Ranked,
        score_of: &impl Fn(Compact) -> f64,
    ) -> Result<Option<Child>, OutOfMemory> {
        let inner = match node {
            Node::Inner(inner) => inner,
            Node::Leaf(leaf) if count < LEAF_MAX => {
                insert_name(leaf, count, at, new.name);
                return Ok(None);
            }
            Node::Leaf(leaf) => return self.split_leaf(leaf, at, new, score_of).map(Some),
        };
        let (index, within) = inner.child_for_insert(at);
        let below = inner.count_of(index);
        let second = self.insert_below(inner.node_mut(index), below, within, new, score_of)?;
        let split_off = second.as_ref().map_or(0, |second| second.count);
        inner.set_count(index, below + 1 - split_off);
        if within == 0 {
            inner.set_low(index, new);
        }
        let Some(second) = second else { return Ok(None) };
        inner.insert(index + 1, second);
        if inner.len() <= INNER_MAX {
            return Ok(None);
        }
        self.inner_nodes += 1;
        let appended = index + 2 == inner.len();
        let keep = if appended { inner.len() - 1 } else { inner.len() / 2 };
        Ok(Some(inner.split(keep)))
    }

    /// Inserts into a full leaf; answers what was split off behind it.
    fn split_leaf(
        &mut self,
        leaf: &mut Block,
        at: usize,
        new: Ranked,
        score_of: &impl Fn(Compact) -> f64,
    ) -> Result<Child, OutOfMemory> {
        let mut second = self.leaf()?;
        // Who appends fills leaves to the brim.
        let keep = if at == LEAF_MAX { LEAF_MAX } else { LEAF_MAX / 2 };
        let moved = &leaf.body()[keep * NAME_BYTES..LEAF_MAX * NAME_BYTES];
        second.body_mut()[..moved.len()].copy_from_slice(moved);
        let mut count = LEAF_MAX - keep;
        if at > keep || count == 0 {
            insert_name(&mut second, count, at - keep, new.name);
            count += 1;
        } else {
            insert_name(leaf, keep, at, new.name);
        }
        let name = name_at(&second, 0);
        let low = if name == new.name { new } else { Ranked { score: score_of(name), name } };
        Ok(Child { low, count, node: Node::Leaf(second) })
    }

    /// Removes the name at a position. `score_of` tells the scores of names.
    pub(crate) fn remove(&mut self, at: usize, score_of: &impl Fn(Compact) -> f64) {
        let Some(mut root) = self.root.take() else { return };
        self.removed = self.removed.wrapping_add(1);
        if let Some(low) = self.remove_below(&mut root.node, root.count, at, score_of) {
            root.low = low;
        }
        root.count -= 1;
        // A root with one child gives way to it.
        while let Node::Inner(inner) = &mut root.node
            && inner.len() == 1
        {
            self.inner_nodes -= 1;
            root = inner.remove(0);
        }
        if root.count > 0 {
            self.root = Some(root);
        } else {
            self.forget(&root.node);
        }
    }

    /// Removes from a node with `count` names; answers its first name if that is another now.
    fn remove_below(
        &mut self,
        node: &mut Node,
        count: usize,
        at: usize,
        score_of: &impl Fn(Compact) -> f64,
    ) -> Option<Ranked> {
        match node {
            Node::Leaf(leaf) => {
                let (from, end) = ((at + 1) * NAME_BYTES, count * NAME_BYTES);
                leaf.body_mut().copy_within(from..end, at * NAME_BYTES);
                (at == 0 && count > 1).then(|| {
                    let name = name_at(leaf, 0);
                    Ranked { score: score_of(name), name }
                })
            }
            Node::Inner(inner) => {
                let (index, within) = inner.child_of(at);
                let below = inner.count_of(index);
                let low = self.remove_below(inner.node_mut(index), below, within, score_of);
                if let Some(low) = low {
                    inner.set_low(index, low);
                }
                inner.set_count(index, below - 1);
                self.tidy(inner, index);
                (at == 0 && inner.len() > 0).then(|| inner.low(0))
            }
        }
    }

    /// Joins a child that has become small with a neighbour, or drops it if it is empty.
    fn tidy(&mut self, inner: &mut Inner, index: usize) {
        let counts = inner.counts();
        if counts[index] == 0 {
            let gone = inner.remove(index);
            return self.forget(&gone.node);
        }
        let first = if index + 1 < counts.len() { index } else { index.saturating_sub(1) };
        let Some(&[low, high]) = counts.get(first..first + 2).and_then(|pair| pair.first_chunk())
        else {
            return;
        };
        match inner.pair_mut(first) {
            (Node::Leaf(into), Node::Leaf(from)) if low + high <= LEAF_MAX / 2 => {
                let (at, moved) = (low * NAME_BYTES, high * NAME_BYTES);
                into.body_mut()[at..at + moved].copy_from_slice(&from.body()[..moved]);
            }
            (Node::Inner(into), Node::Inner(from)) if into.len() + from.len() <= INNER_MAX / 2 => {
                into.append(from);
            }
            _ => return,
        }
        inner.set_count(first, low + high);
        let gone = inner.remove(first + 1);
        self.forget(&gone.node);
    }

    /// Puts another name in the place of the one at a position: its block has moved.
    pub(crate) fn rename(&mut self, mut at: usize, name: Compact) {
        let Some(root) = self.root.as_mut().filter(|root| at < root.count) else { return };
        if at == 0 {
            root.low.name = name;
        }
        let mut node = &mut root.node;
        loop {
            match node {
                Node::Leaf(leaf) => return set_name(leaf, at, name),
                Node::Inner(inner) => {
                    let (index, within) = inner.child_of(at);
                    if within == 0 {
                        inner.set_low_name(index, name);
                    }
                    (node, at) = (inner.node_mut(index), within);
                }
            }
        }
    }

    /// Shows the next few leaves. A position is the rank of a name, and above it the number of
    /// those removed so far: so many ranks further to the front the walk goes on.
    pub(crate) fn inspect(&self, position: u128, visit: &mut dyn FnMut(&Block)) -> Option<u128> {
        const LEAVES: usize = 256;
        let removed = self.removed.wrapping_sub((position >> 64) as u32);
        let mut at = (position as u64 as usize).saturating_sub(removed as usize);
        for _ in 0..LEAVES {
            let (leaf, within, count) = self.leaf_of(at)?;
            visit(leaf);
            at += count - within;
        }
        Some(at as u128 | u128::from(self.removed) << 64)
    }

    /// Moves the leaves for which `should` holds among the next few from a position on; the
    /// position after them, if there are more.
    pub(crate) fn relocate(
        &mut self,
        from: usize,
        should: impl Fn(&Block) -> bool,
    ) -> Result<Option<usize>, OutOfMemory> {
        const LEAVES: usize = 64;
        let mut at = from;
        for _ in 0..LEAVES {
            let Some(root) = self.root.as_mut().filter(|root| at < root.count) else {
                return Ok(None);
            };
            at += relocate(&mut root.node, root.count, at, &should)?;
        }
        Ok(Some(at))
    }

    /// Frees some leaves; answers whether any are left.
    pub(crate) fn free_step(&mut self) -> bool {
        let left = match self.root.as_mut().map(|root| &mut root.node) {
            Some(Node::Inner(inner)) => inner.free_some(),
            Some(Node::Leaf(_)) | None => false,
        };
        if !left {
            self.root = None;
        }
        left
    }
}

fn walk(node: &Node, count: usize, from: usize, visit: &mut impl FnMut(Compact) -> bool) -> bool {
    match node {
        Node::Leaf(leaf) => names(leaf, count)[from..].iter().all(|&name| visit(Compact(name))),
        Node::Inner(inner) => {
            let (first, mut from) = inner.child_of(from);
            let children = inner.nodes().iter().zip(inner.counts()).skip(first);
            let mut step =
                |(node, &count)| walk(node, count, std::mem::take(&mut from), &mut *visit);
            for child in children {
                if !step(child) {
                    return false;
                }
            }
            true
        }
    }
}

/// Visits the first `before` names of a node, backwards.
fn walk_back(node: &Node, before: usize, visit: &mut impl FnMut(Compact) -> bool) -> bool {
    match node {
        Node::Leaf(leaf) => names(leaf, before).iter().rev().all(|&name| visit(Compact(name))),
        Node::Inner(inner) => {
            let (last, within) = inner.child_of(before - 1);
            let mut before = Some(within + 1);
            let children = inner.nodes().iter().zip(inner.counts()).take(last + 1);
            children
                .rev()
                .all(|(node, &count)| walk_back(node, before.take().unwrap_or(count), &mut *visit))
        }
    }
}

/// Moves the leaf that holds a position, if it should; the names from there to its end.
fn relocate(
    node: &mut Node,
    count: usize,
    at: usize,
    should: &impl Fn(&Block) -> bool,
) -> Result<usize, OutOfMemory> {
    match node {
        Node::Leaf(leaf) => {
            if should(leaf) {
                leaf.relocate()?;
            }
            Ok(count - at)
        }
        Node::Inner(inner) => {
            let (index, within) = inner.child_of(at);
            let count = inner.count_of(index);
            relocate(inner.node_mut(index), count, within, should)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranked(number: u64) -> Ranked {
        Ranked { score: number as f64, name: Compact::from_units(number) }
    }

    fn check(tree: &RankTree, model: &[u64]) {
        let mut names = Vec::new();
        tree.walk(0, |name| {
            names.push(name.units());
            true
        });
        assert_eq!(names, model);
        names.clear();
        tree.walk_back(model.len(), |name| {
            names.push(name.units());
            true
        });
        assert!(names.iter().rev().eq(model));
        for probe in [0, 1, model.len() / 2, model.len()] {
            assert_eq!(tree.get(probe).map(Compact::units), model.get(probe).copied());
        }
        let expected = model.partition_point(|&n| n < 500);
        let before = |name: Compact| name.units() < 500;
        let point = tree.partition_point(before);
        assert_eq!(point, expected);
        let sought = tree.seek(500.0, before).map_or(0, |spot| spot.partition_point(before));
        assert_eq!(sought, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn behaves_like_a_sorted_vector(
            phases in prop::collection::vec((any::<bool>(), 0u64..1000, 1u64..6000, 1u64..7), 1..6),
        ) {
            let mut tree = RankTree::new(ArenaId::new());
            let mut model: Vec<u64> = Vec::new();
            for (add, from, count, step) in phases {
                for i in 0..count {
                    let number = (from + i * step * 37) % 8000;
                    let at = model.partition_point(|&n| n < number);
                    let before = |name: Compact| name.units() < number;
                    prop_assert_eq!(at, tree.partition_point(before));
                    let spot = tree.seek(number as f64, before);
                    prop_assert_eq!(at, spot.as_ref().map_or(0, |s| s.partition_point(before)));
                    let found = model.get(at) == Some(&number);
                    if let Some(spot) = spot.filter(|_| found) {
                        prop_assert_eq!(at, spot.position_of(Compact::from_units(number)));
                    }
                    if add && !found {
                        model.insert(at, number);
                        tree.insert(at, ranked(number), &|name| name.units() as f64).unwrap();
                    } else if !add && found {
                        model.remove(at);
                        tree.remove(at, &|name| name.units() as f64);
                    }
                }
                check(&tree, &model);
            }
            while tree.free_step() {}
        }
    }
}
