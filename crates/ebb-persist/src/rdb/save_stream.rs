//! From a stream to bytes.
//!
//! Entries lie in listpacks under the id of the first of them:
//!
//! ```text
//! master: | entries | deleted | fields | name ... | 0 |
//! entry:  | flags | ms - master's | seq - master's | value ... | elements before |               with its names
//!         | flags | ms - master's | seq - master's | fields | name, value ... | elements before |
//! ```

use ebb_collections::stream::{Group, Pending, Stream, StreamEntry, StreamId};

use super::listpack::Builder;
use super::writer::Writer;

/// The entry has the names of the master entry.
pub(super) const SAME_FIELDS: i64 = 2;
/// The entry is deleted.
pub(super) const DELETED: i64 = 1;
/// In the place of a number of entries that is not known.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// The name of the consumer that stands for none.
pub(super) const NOBODY: &[u8] = b"";

/// As Redis fills a node by default.
const NODE_BYTES_MAX: usize = 4096;
const NODE_ENTRIES_MAX: usize = 100;

/// A node in the making.
struct Node<'a> {
    first: StreamId,
    names: Vec<&'a [u8]>,
    entries: usize,
    packed: Builder,
}

impl<'a> Node<'a> {
    fn new(first: &StreamEntry<'a>) -> Node<'a> {
        let names = first.fields.iter().map(|(name, _)| *name).collect();
        Node { first: first.id, names, entries: 0, packed: Builder::new() }
    }

    fn is_full(&self) -> bool {
        self.entries >= NODE_ENTRIES_MAX || self.packed.len() >= NODE_BYTES_MAX
    }

    fn push(&mut self, entry: &StreamEntry<'a>) {
        let same = entry.fields.iter().map(|(name, _)| *name).eq(self.names.iter().copied());
        let before = self.packed.count();
        self.packed.push_int(if same { SAME_FIELDS } else { 0 });
        self.packed.push_int(entry.id.ms.wrapping_sub(self.first.ms) as i64);
        self.packed.push_int(entry.id.seq.wrapping_sub(self.first.seq) as i64);
        if !same {
            self.packed.push_int(entry.fields.len() as i64);
        }
        for (name, value) in &entry.fields {
            if !same {
                self.packed.push(name);
            }
            self.packed.push(value);
        }
        self.packed.push_int((self.packed.count() - before) as i64);
        self.entries += 1;
    }

    fn save(&self, writer: &mut Writer) {
        let mut whole = Builder::new();
        whole.push_int(self.entries as i64);
        whole.push_int(0);
        whole.push_int(self.names.len() as i64);
        self.names.iter().for_each(|name| whole.push(name));
        whole.push_int(0);
        whole.append(&self.packed);
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.first.ms.to_be_bytes());
        key[8..].copy_from_slice(&self.first.seq.to_be_bytes());
        writer.string(&key);
        writer.string(&whole.finish());
    }
}

/// Writes a stream's nodes, counters and groups.
pub(super) fn save_stream(writer: &mut Writer, stream: &Stream) {
    let (mut body, mut count) = (writer.another(), 0);
    let mut node: Option<Node<'_>> = None;
    stream.walk(StreamId::MIN, StreamId::MAX, |entry| {
        if let Some(full) = node.take_if(|node| node.is_full()) {
            full.save(&mut body);
        }
        if node.is_none() {
            count += 1;
        }
        node.get_or_insert_with(|| Node::new(&entry)).push(&entry);
        true
    });
    if let Some(last) = node {
        last.save(&mut body);
    }
    writer.count(count);
    writer.raw(&body.into_bytes());
    writer.count(stream.len());
    save_id(writer, stream.last_id);
    save_id(writer, stream.first_id().unwrap_or_default());
    save_id(writer, stream.max_deleted_id);
    writer.number(stream.entries_added);
    writer.count(stream.groups.len());
    for (name, group) in &stream.groups {
        writer.string(name);
        save_group(writer, group);
    }
}

fn save_id(writer: &mut Writer, id: StreamId) {
    writer.number(id.ms);
    writer.number(id.seq);
}

/// Sixteen bytes, the highest first.
fn save_raw_id(writer: &mut Writer, id: StreamId) {
    writer.raw(&id.ms.to_be_bytes());
    writer.raw(&id.seq.to_be_bytes());
}

fn save_group(writer: &mut Writer, group: &Group) {
    save_id(writer, group.last_id);
    writer.number(group.entries_read.unwrap_or(UNKNOWN));
    writer.count(group.pending().len());
    for (&id, pending) in group.pending() {
        save_raw_id(writer, id);
        writer.time(pending.delivered_ms);
        writer.number(pending.deliveries);
    }
    save_consumers(writer, group);
}

/// Readers want an owner for all that is pending. What is nobody's is saved with the consumer whose
/// name is empty: as the time of its last delivery is 0, any consumer may claim it there, too.
fn save_consumers(writer: &mut Writer, group: &Group) {
    let is_released = |pending: &Pending| pending.consumer.is_none();
    let mut released = Vec::new();
    if group.released() > 0 {
        let all = group.pending().iter().filter(|(_, pending)| is_released(pending));
        released.extend(all.map(|(&id, _)| id));
    }
    let has_nameless = group.consumers().contains_key(NOBODY);
    let invents = !released.is_empty() && !has_nameless;
    writer.count(group.consumers().len() + usize::from(invents));
    if invents {
        save_consumer(writer, NOBODY, (0, -1), released.iter());
    }
    for (name, consumer) in group.consumers() {
        let more = released.iter().filter(|_| name.is_empty());
        let times = (consumer.seen_ms, consumer.active_ms);
        save_consumer(writer, name, times, consumer.pending.iter().chain(more));
    }
}

fn save_consumer<'a>(
    writer: &mut Writer,
    name: &[u8],
    (seen_ms, active_ms): (i64, i64),
    pending: impl Iterator<Item = &'a StreamId> + Clone,
) {
    writer.string(name);
    writer.time(seen_ms);
    writer.time(active_ms);
    writer.count(pending.clone().count());
    pending.for_each(|&id| save_raw_id(writer, id));
}
