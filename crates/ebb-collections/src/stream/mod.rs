//! Streams: entries in the order of their ids, and consumer groups.
//!
//! Entries lie in [`node::Node`]s of up to `stream-node-max-bytes` and `-entries`, packed one after the
//! other in a block of the heap, under the id of the node's first entry. Groups and what is
//! pending in them are kept outside of the heap, in trees.

mod group;
mod node;
mod trim;

use std::collections::BTreeMap;
use std::ops::Bound;

use ebb_heap::{Block, OutOfMemory};

use crate::collection::Footprint;
use crate::slot::Arenas;
pub use group::{Consumer, DELIVERIES_MAX, Group, Pending};
use node::Node;
pub use trim::{References, Trim};

/// The id of an entry: milliseconds since 1970 and a number within the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Milliseconds.
    pub ms: u64,
    /// The number.
    pub seq: u64,
}

impl StreamId {
    /// The least id.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The greatest id.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The next id; `None` after the greatest.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id before; `None` before the least.
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_sub(1).map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An entry as it is stored.
#[derive(Debug)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Names and values.
    pub fields: Vec<(&'a [u8], &'a [u8])>,
}

/// How much one node may hold.
#[derive(Debug, Clone, Copy)]
pub struct NodeLimits {
    /// Bytes; 0 for no limit.
    pub bytes: usize,
    /// Entries; 0 for no limit.
    pub entries: usize,
}

/// About what a B-tree of the standard library takes, if what is added goes to its end: leaves with
/// room for 11 entries, of which 6 stay when one is split, and nodes above them.
fn tree_bytes(len: usize, entry: usize) -> usize {
    let leaf = 11 * entry + 16;
    match len {
        0 => 0,
        1..=11 => leaf,
        _ => len / 6 * leaf + len / 36 * (leaf + 96) + leaf + 96,
    }
}

/// A stream.
pub struct Stream {
    arenas: Arenas,
    nodes: BTreeMap<StreamId, Node>,
    len: u64,
    /// Bytes of the nodes' blocks.
    bytes: usize,
    /// The id of the last entry that was added.
    pub last_id: StreamId,
    /// The greatest id of an entry that was deleted.
    pub max_deleted_id: StreamId,
    /// Entries that were ever added.
    pub entries_added: u64,
    /// Consumer groups by name.
    pub groups: BTreeMap<Vec<u8>, Group>,
}

impl Stream {
    /// An empty stream.
    pub fn new(arenas: Arenas) -> Stream {
        Stream {
            arenas,
            nodes: BTreeMap::new(),
            len: 0,
            bytes: 0,
            last_id: StreamId::MIN,
            max_deleted_id: StreamId::MIN,
            entries_added: 0,
            groups: BTreeMap::new(),
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Adds an entry with an id that is greater than all.
    pub fn append(
        &mut self,
        id: StreamId,
        fields: &[&[u8]],
        limits: NodeLimits,
    ) -> Result<(), OutOfMemory> {
        debug_assert!(id > self.last_id || self.entries_added == 0);
        let fits = self.nodes.last_entry().filter(|node| node.get().has_room(limits, fields));
        match fits {
            Some(mut node) => {
                let node = node.get_mut();
                self.bytes -= node.bytes();
                let result = node.append(id, fields, limits);
                self.bytes += node.bytes();
                result?;
            }
            None => {
                self.end_node()?;
                let node = Node::new(self.arenas.data, id, fields)?;
                self.bytes += node.bytes();
                self.nodes.insert(id, node);
            }
        }
        self.len += 1;
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        Ok(())
    }

    /// Begins a node whose entries share some names. The entry with this id must follow at once.
    pub fn begin_node(&mut self, id: StreamId, names: &[&[u8]]) -> Result<(), OutOfMemory> {
        self.end_node()?;
        let node = Node::empty(self.arenas.data, id, names.iter().copied())?;
        self.bytes += node.bytes();
        self.nodes.insert(id, node);
        Ok(())
    }

    /// Gives back what the last node has set aside for more entries.
    fn end_node(&mut self) -> Result<(), OutOfMemory> {
        let Some(mut last) = self.nodes.last_entry() else { return Ok(()) };
        let last = last.get_mut();
        self.bytes -= last.bytes();
        let result = last.trim_room();
        self.bytes += last.bytes();
        result
    }

    /// Where the node that may hold an id is.
    fn node_of(&self, id: StreamId) -> Option<StreamId> {
        self.nodes.range(..=id).next_back().map(|(&first, _)| first)
    }

    /// Deletes an entry, which leaves a gap; answers whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let deleted = self.take_out(id);
        if deleted {
            self.max_deleted_id = self.max_deleted_id.max(id);
        }
        deleted
    }

    fn take_out(&mut self, id: StreamId) -> bool {
        let Some(first) = self.node_of(id) else { return false };
        let Some(node) = self.nodes.get_mut(&first) else { return false };
        if !node.delete(id) {
            return false;
        }
        if node.len() == 0 {
            self.drop_node(first);
        }
        self.len -= 1;
        true
    }

    fn drop_node(&mut self, first: StreamId) {
        if let Some(node) = self.nodes.remove(&first) {
            self.bytes -= node.bytes();
        }
    }

    /// Visits the entries from `from` to `to`, until `visit` answers false.
    pub fn walk<'a>(
        &'a self,
        from: StreamId,
        to: StreamId,
        mut visit: impl FnMut(StreamEntry<'a>) -> bool,
    ) {
        if from > to {
            return;
        }
        let first = self.node_of(from).unwrap_or(from);
        for (_, node) in self.nodes.range(first..=to) {
            for entry in node.entries() {
                if entry.id > to {
                    return;
                }
                if entry.id >= from && !visit(entry.read()) {
                    return;
                }
            }
        }
    }

    /// Visits the entries from `to` back to `from`, until `visit` answers false.
    pub fn walk_back<'a>(
        &'a self,
        from: StreamId,
        to: StreamId,
        mut visit: impl FnMut(StreamEntry<'a>) -> bool,
    ) {
        if from > to {
            return;
        }
        let first = self.node_of(from).unwrap_or(from);
        for (_, node) in self.nodes.range(first..=to).rev() {
            let entries: Vec<_> = node.entries().collect();
            for entry in entries.into_iter().rev().filter(|entry| entry.id <= to) {
                if entry.id < from || !visit(entry.read()) {
                    return;
                }
            }
        }
    }

    /// An entry.
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        let mut found = None;
        self.walk(id, id, |entry| {
            found = Some(entry);
            false
        });
        found
    }

    /// The id of the first entry.
    pub fn first_id(&self) -> Option<StreamId> {
        self.nodes.values().find_map(|node| node.entries().next().map(|entry| entry.id))
    }

    /// The id of the last entry that is there.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        let mut found = None;
        self.walk_back(StreamId::MIN, StreamId::MAX, |entry| {
            found = Some(entry.id);
            false
        });
        found
    }

    /// How many entries come after an id that a group has read up to, if that can be told from
    /// the counters: with deletions in between it cannot.
    pub fn entries_read_at(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id < self.last_id {
            return Some(self.entries_added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        match id.cmp(&self.last_id) {
            std::cmp::Ordering::Equal => return Some(self.entries_added),
            std::cmp::Ordering::Greater => return None,
            std::cmp::Ordering::Less => {}
        }
        let first = self.first_id().unwrap_or_default();
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < first {
            if id < first {
                return Some(self.entries_added.wrapping_sub(self.len));
            }
            if id == first {
                return Some(self.entries_added.wrapping_sub(self.len).wrapping_add(1));
            }
        }
        None
    }

    /// Whether an entry between two ids (both included) may have been deleted.
    pub fn has_gap(&self, from: StreamId, to: StreamId) -> bool {
        if self.len == 0 || self.max_deleted_id == StreamId::MIN {
            return false;
        }
        (from..=to).contains(&self.max_deleted_id)
    }

    /// How many entries a group has still to read: less than none if it was told to have read more than there were.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let behind = |read: u64| self.entries_added.wrapping_sub(read) as i64;
        let Some(first) = self.first_id() else { return Some(0) };
        if group.last_id < first && self.max_deleted_id < first {
            return Some(self.len as i64);
        }
        if let Some(read) = group.entries_read
            && !self.has_gap(group.last_id, StreamId::MAX)
        {
            return Some(behind(read));
        }
        self.entries_read_at(group.last_id).map(behind)
    }

    /// The bytes it takes now.
    pub(crate) fn footprint(&self) -> Footprint {
        let groups: usize =
            self.groups.iter().map(|(name, group)| name.len() + group.bytes()).sum();
        let nodes = tree_bytes(self.nodes.len(), size_of::<(StreamId, Node)>());
        let own = size_of::<Stream>();
        Footprint { data: self.bytes, index: 0, outside: own + nodes + groups }
    }

    pub(crate) fn duplicate(&self) -> Result<Stream, OutOfMemory> {
        let mut copy = Stream::new(self.arenas);
        for (&first, node) in &self.nodes {
            let node = node.duplicate()?;
            copy.bytes += node.bytes();
            copy.nodes.insert(first, node);
        }
        copy.len = self.len;
        copy.last_id = self.last_id;
        copy.max_deleted_id = self.max_deleted_id;
        copy.entries_added = self.entries_added;
        copy.groups = self.groups.clone();
        Ok(copy)
    }

    pub(crate) fn free_step(&mut self) -> bool {
        for _ in 0..64 {
            if self.nodes.pop_first().is_none() {
                return false;
            }
        }
        true
    }

    /// Positions are ids, as for moving.
    pub(crate) fn inspect(&self, position: u128, visit: &mut dyn FnMut(&Block)) -> u128 {
        const NODES: usize = 512;
        let from = StreamId { ms: (position >> 64) as u64, seq: position as u64 };
        for (shown, (id, node)) in self.nodes.range(from..).enumerate() {
            if shown == NODES {
                return u128::from(id.ms) << 64 | u128::from(id.seq);
            }
            visit(node.block());
        }
        0
    }

    /// Positions are ids: the milliseconds above, the sequence number below.
    pub(crate) fn relocate(
        &mut self,
        position: u128,
        should: impl Fn(&Block) -> bool,
    ) -> Result<u128, OutOfMemory> {
        const LOOK_MAX: usize = 256;
        const MOVE_BYTES: usize = 64 * 1024;
        let from = StreamId { ms: (position >> 64) as u64, seq: position as u64 };
        let (mut looked, mut moved) = (0, 0);
        for (id, node) in self.nodes.range_mut(from..) {
            if looked == LOOK_MAX || moved >= MOVE_BYTES {
                return Ok(u128::from(id.ms) << 64 | u128::from(id.seq));
            }
            looked += 1;
            moved += node.relocate(&should)?;
        }
        Ok(0)
    }

    /// The ids from `from` to `to`, to look at some of them.
    pub fn ids(&self, from: StreamId, to: StreamId) -> Vec<StreamId> {
        let mut ids = Vec::new();
        self.walk(from, to, |entry| {
            ids.push(entry.id);
            true
        });
        ids
    }

    /// Whether an entry after an id is there.
    pub fn has_after(&self, id: StreamId) -> bool {
        let after = (Bound::Excluded(id), Bound::Unbounded);
        if self.nodes.range(after).any(|(_, node)| node.len() > 0) {
            return true;
        }
        let Some(first) = self.node_of(id) else { return false };
        self.nodes.get(&first).and_then(Node::last_id).is_some_and(|last| last > id)
    }
}

#[cfg(test)]
mod tests;
