//! A sequence of block names with access by position: a B+tree that counts.
//!
//! The names are those of a sorted set's members, in order. The tree itself compares nothing.
//! Positions are found with [`RankTree::partition_point`], as in a sorted slice; everything
//! else goes by position, and each inner node knows how many names are below each child. A
//! child's first name and score stand beside the pointer to it, so that a search reads one
//! node a level and touches members only in the last.
//!
//! Leaves are blocks of the heap with up to [`LEAF_MAX`] names of five bytes.

use ebb_heap::{ArenaId, Block, Compact, OutOfMemory};

/// Names in a leaf.
const LEAF_MAX: usize = 64;
/// Children of an inner node. One more, for a moment, still fits a vector of 32.
const INNER_MAX: usize = 31;
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
    Inner(Vec<Child>),
}

/// A node, as its parent sees it.
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
    leaves: usize,
    leaf_bytes: usize,
    /// Names that were removed, ever: by so many the others may have moved up.
    removed: u32,
}

/// Steps of a search within a leaf whose members are asked for at once. Each step would else be a
/// miss that waits for the one before.
const STEPS_AHEAD: u32 = 3;

/// Asks for the members that the next steps of a binary search may look at.
fn prefetch_steps(names: &[[u8; NAME_BYTES]], steps: u32) {
    if !names.is_empty() && steps > 0 {
        let middle = names.len() / 2;
        Compact(names[middle]).prefetch();
        prefetch_steps(&names[..middle], steps - 1);
        prefetch_steps(&names[middle + 1..], steps - 1);
    }
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

/// The child that holds a position, and the position within it. A position at a border
/// belongs to the child that ends there.
fn child_for_insert(children: &[Child], mut at: usize) -> (usize, usize) {
    for (index, child) in children.iter().enumerate() {
        if at <= child.count {
            return (index, at);
        }
        at -= child.count;
    }
    unreachable!("a position is within its node")
}

fn child_of(children: &[Child], mut at: usize) -> (usize, usize) {
    for (index, child) in children.iter().enumerate() {
        if at < child.count {
            return (index, at);
        }
        at -= child.count;
    }
    unreachable!("a position is within its node")
}

impl RankTree {
    pub(crate) fn new(arena: ArenaId) -> RankTree {
        RankTree { arena, root: None, leaves: 0, leaf_bytes: 0, removed: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.count)
    }

    /// Bytes of the leaves' blocks, and of the inner nodes.
    #[inline]
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.leaf_bytes, self.leaves * size_of::<Child>())
    }

    /// The name at a position.
    pub(crate) fn get(&self, mut at: usize) -> Option<Compact> {
        let mut child = self.root.as_ref().filter(|root| at < root.count)?;
        loop {
            match &child.node {
                Node::Leaf(leaf) => return Some(name_at(leaf, at)),
                Node::Inner(children) => {
                    let (index, within) = child_of(children, at);
                    (child, at) = (&children[index], within);
                }
            }
        }
    }

    /// How many names `before` holds for: it must hold for all up to some position and for none
    /// from there on. It gets the score where that is known without touching the member.
    pub(crate) fn partition_point(&self, before: impl Fn(Compact, Option<f64>) -> bool) -> usize {
        let Some((passed, names)) = self.descend(&before) else { return 0 };
        let (mut low, mut high) = (0, names.len());
        let mut steps = 0;
        while low < high {
            if steps % STEPS_AHEAD == 0 {
                prefetch_steps(&names[low..high], STEPS_AHEAD);
            }
            steps += 1;
            let middle = low + (high - low) / 2;
            if before(Compact(names[middle]), None) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        passed + low
    }

    /// The position of a name that is there; `before` as for [`RankTree::partition_point`]. It
    /// touches no member that the inner nodes do not make it touch.
    pub(crate) fn position_of(
        &self,
        name: Compact,
        before: impl Fn(Compact, Option<f64>) -> bool,
    ) -> usize {
        let Some((passed, names)) = self.descend(&before) else { return 0 };
        // The first of a leaf belongs to the end of the leaf before, too.
        let within = names.iter().position(|other| *other == name.0);
        passed + within.unwrap_or(names.len())
    }

    /// The names of the leaf in which `before` ends to hold, or at whose end, and how many names
    /// are in the leaves before it; `None` if there are no leaves.
    fn descend(
        &self,
        before: &impl Fn(Compact, Option<f64>) -> bool,
    ) -> Option<(usize, &[[u8; NAME_BYTES]])> {
        let mut child = self.root.as_ref()?;
        let mut passed = 0;
        loop {
            match &child.node {
                Node::Leaf(leaf) => {
                    let (names, _) = leaf.body().as_chunks::<NAME_BYTES>();
                    return Some((passed, &names[..child.count]));
                }
                Node::Inner(children) => {
                    let is_before = |child: &Child| before(child.low.name, Some(child.low.score));
                    let index = children[1..].partition_point(is_before);
                    passed += children[..index].iter().map(|child| child.count).sum::<usize>();
                    child = &children[index];
                }
            }
        }
    }

    /// Visits names from a position on, until `visit` answers false.
    pub(crate) fn walk(&self, from: usize, mut visit: impl FnMut(Compact) -> bool) {
        if let Some(root) = self.root.as_ref().filter(|root| from < root.count) {
            walk(root, from, &mut visit);
        }
    }

    /// Visits names before a position, backwards, until `visit` answers false.
    pub(crate) fn walk_back(&self, before: usize, mut visit: impl FnMut(Compact) -> bool) {
        if let Some(root) = self.root.as_ref().filter(|_| before > 0) {
            walk_back(root, before.min(root.count), &mut visit);
        }
    }

    fn leaf(&mut self) -> Result<Block, OutOfMemory> {
        let leaf = Block::allocate(self.arena, LEAF_MAX * NAME_BYTES, KIND_LEAF)?;
        self.leaves += 1;
        self.leaf_bytes += leaf.bytes();
        Ok(leaf)
    }

    fn forget_leaf(&mut self, leaf: &Block) {
        self.leaves -= 1;
        self.leaf_bytes -= leaf.bytes();
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
        let result = self.insert_below(&mut root, at, new, score_of);
        let (root, result) = match result {
            Ok(None) => (root, Ok(())),
            Ok(Some(second)) => {
                let (low, count) = (root.low, root.count + second.count);
                let node = Node::Inner(vec![root, second]);
                (Child { low, count, node }, Ok(()))
            }
            Err(error) => (root, Err(error)),
        };
        self.root = Some(root);
        result
    }

    /// Inserts into a node; answers what was split off behind it.
    fn insert_below(
        &mut self,
        child: &mut Child,
        at: usize,
        new: Ranked,
        score_of: &impl Fn(Compact) -> f64,
    ) -> Result<Option<Child>, OutOfMemory> {
        let mut split = None;
        match &mut child.node {
            Node::Inner(children) => {
                let (index, within) = child_for_insert(children, at);
                if let Some(second) =
                    self.insert_below(&mut children[index], within, new, score_of)?
                {
                    children.insert(index + 1, second);
                    if children.len() > INNER_MAX {
                        split = Some(split_inner(children, index + 1));
                    }
                }
            }
            Node::Leaf(leaf) if child.count < LEAF_MAX => {
                let end = child.count * NAME_BYTES;
                let from = at * NAME_BYTES;
                leaf.body_mut().copy_within(from..end, from + NAME_BYTES);
                set_name(leaf, at, new.name);
            }
            Node::Leaf(leaf) => {
                let mut second = self.leaf()?;
                // Who appends fills leaves to the brim.
                let keep = if at == LEAF_MAX { LEAF_MAX } else { LEAF_MAX / 2 };
                let moved = &leaf.body()[keep * NAME_BYTES..LEAF_MAX * NAME_BYTES];
                second.body_mut()[..moved.len()].copy_from_slice(moved);
                let low = if keep == LEAF_MAX {
                    new
                } else {
                    let name = name_at(&second, 0);
                    Ranked { score: score_of(name), name }
                };
                let count = LEAF_MAX - keep;
                let mut second = Child { low, count, node: Node::Leaf(second) };
                child.count = keep;
                let into_second = at > keep || keep == LEAF_MAX;
                let (into, at) =
                    if into_second { (&mut second, at - keep) } else { (&mut *child, at) };
                self.insert_below(into, at, new, score_of)?;
                return Ok(Some(second));
            }
        }
        child.count += 1;
        if at == 0 {
            child.low = new;
        }
        if let Some(second) = &split {
            child.count -= second.count;
        }
        Ok(split)
    }

    /// Removes the name at a position. `score_of` tells the scores of names.
    pub(crate) fn remove(&mut self, at: usize, score_of: &impl Fn(Compact) -> f64) {
        let Some(mut root) = self.root.take() else { return };
        self.removed = self.removed.wrapping_add(1);
        self.remove_below(&mut root, at, score_of);
        // A root with one child gives way to it.
        while let Node::Inner(children) = &mut root.node {
            if children.len() > 1 {
                break;
            }
            match children.pop() {
                Some(only) => root = only,
                None => return,
            }
        }
        if root.count > 0 {
            self.root = Some(root);
        } else if let Node::Leaf(leaf) = &root.node {
            self.forget_leaf(leaf);
        }
    }

    fn remove_below(&mut self, child: &mut Child, at: usize, score_of: &impl Fn(Compact) -> f64) {
        child.count -= 1;
        match &mut child.node {
            Node::Leaf(leaf) => {
                let end = (child.count + 1) * NAME_BYTES;
                leaf.body_mut().copy_within((at + 1) * NAME_BYTES..end, at * NAME_BYTES);
                if at == 0 && child.count > 0 {
                    let name = name_at(leaf, 0);
                    child.low = Ranked { score: score_of(name), name };
                }
            }
            Node::Inner(children) => {
                let (index, within) = child_of(children, at);
                self.remove_below(&mut children[index], within, score_of);
                self.tidy(children, index);
                if let Some(first) = children.first() {
                    child.low = first.low;
                }
            }
        }
    }

    /// Joins a child that has become small with a neighbour, or drops it if it is empty.
    fn tidy(&mut self, children: &mut Vec<Child>, index: usize) {
        if children[index].count == 0 {
            if let Node::Leaf(leaf) = &children[index].node {
                self.forget_leaf(leaf);
            }
            children.remove(index);
            return;
        }
        let first = if index + 1 < children.len() { index } else { index.saturating_sub(1) };
        if first + 1 >= children.len() {
            return;
        }
        let (low, high) = children.split_at_mut(first + 1);
        let (low, high) = (&mut low[first], &mut high[0]);
        match (&mut low.node, &mut high.node) {
            (Node::Leaf(into), Node::Leaf(from)) if low.count + high.count <= LEAF_MAX / 2 => {
                let moved = &from.body()[..high.count * NAME_BYTES];
                let at = low.count * NAME_BYTES;
                into.body_mut()[at..at + moved.len()].copy_from_slice(moved);
                self.forget_leaf(from);
            }
            (Node::Inner(into), Node::Inner(from)) if into.len() + from.len() <= INNER_MAX / 2 => {
                into.append(from);
            }
            _ => return,
        }
        low.count += high.count;
        children.remove(first + 1);
    }

    /// Puts another name in the place of the one at a position: its block has moved.
    pub(crate) fn rename(&mut self, mut at: usize, name: Compact) {
        let Some(mut child) = self.root.as_mut().filter(|root| at < root.count) else { return };
        loop {
            if at == 0 {
                child.low.name = name;
            }
            match &mut child.node {
                Node::Leaf(leaf) => return set_name(leaf, at, name),
                Node::Inner(children) => {
                    let (index, within) = child_of(children, at);
                    (child, at) = (&mut children[index], within);
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
            let mut child = self.root.as_ref().filter(|root| at < root.count)?;
            let mut within = at;
            while let Node::Inner(children) = &child.node {
                let (index, rest) = child_of(children, within);
                (child, within) = (&children[index], rest);
            }
            if let Node::Leaf(leaf) = &child.node {
                visit(leaf);
            }
            at += child.count - within;
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
            at += relocate(root, at, &should)?;
        }
        Ok(Some(at))
    }

    /// Frees some leaves; answers whether any are left.
    pub(crate) fn free_step(&mut self) -> bool {
        if self.root.as_mut().is_some_and(|root| !free_some(root)) {
            self.root = None;
        }
        self.root.is_some()
    }
}

/// Splits children that have become too many; `new` is the one that was added last.
fn split_inner(children: &mut Vec<Child>, new: usize) -> Child {
    let keep = if new + 1 == children.len() { children.len() - 1 } else { children.len() / 2 };
    let second = children.split_off(keep);
    let count = second.iter().map(|child| child.count).sum();
    Child { low: second[0].low, count, node: Node::Inner(second) }
}

/// Frees one node above leaves; answers whether anything is left below `child`.
fn free_some(child: &mut Child) -> bool {
    let Node::Inner(children) = &mut child.node else { return false };
    if children.last_mut().is_some_and(|last| !free_some(last)) {
        let leaves = children.iter().rev().take_while(|child| matches!(child.node, Node::Leaf(_)));
        let gone = leaves.count().max(1);
        children.truncate(children.len() - gone);
    }
    !children.is_empty()
}

fn walk(child: &Child, from: usize, visit: &mut impl FnMut(Compact) -> bool) -> bool {
    match &child.node {
        Node::Leaf(leaf) => {
            let (names, _) = leaf.body().as_chunks();
            names[from..child.count].iter().all(|&name| visit(Compact(name)))
        }
        Node::Inner(children) => {
            let (first, mut from) = child_of(children, from);
            children[first..].iter().all(|child| walk(child, std::mem::take(&mut from), visit))
        }
    }
}

fn walk_back(child: &Child, before: usize, visit: &mut impl FnMut(Compact) -> bool) -> bool {
    match &child.node {
        Node::Leaf(leaf) => (0..before).rev().all(|at| visit(name_at(leaf, at))),
        Node::Inner(children) => {
            let (last, before) = child_of(children, before - 1);
            let mut before = Some(before + 1);
            let mut step =
                |child: &Child| walk_back(child, before.take().unwrap_or(child.count), visit);
            children[..=last].iter().rev().all(&mut step)
        }
    }
}

/// Moves the leaf that holds a position, if it should; the names from there to its end.
fn relocate(
    child: &mut Child,
    at: usize,
    should: &impl Fn(&Block) -> bool,
) -> Result<usize, OutOfMemory> {
    match &mut child.node {
        Node::Leaf(leaf) => {
            if should(leaf) {
                leaf.relocate()?;
            }
            Ok(child.count - at)
        }
        Node::Inner(children) => {
            let (index, within) = child_of(children, at);
            relocate(&mut children[index], within, should)
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
        let point = tree.partition_point(|name, score| {
            assert!(score.is_none_or(|score| score == name.units() as f64));
            name.units() < 500
        });
        assert_eq!(point, expected);
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
                    prop_assert_eq!(at, tree.partition_point(|name, _| name.units() < number));
                    let found = model.get(at) == Some(&number);
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
