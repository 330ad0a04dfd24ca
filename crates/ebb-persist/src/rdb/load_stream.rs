//! From bytes to a stream; [`super::save_stream`] says how the nodes look.

use std::collections::BTreeMap;

use ebb_collections::stream::{Group, NodeLimits, Stream, StreamId};
use ebb_collections::{Arenas, Collection};

use super::items::Items;
use super::listpack::Listpack;
use super::reader::Reader;
use super::save_stream::{DELETED, NOBODY, SAME_FIELDS, UNKNOWN};
use super::text::Text;
use super::{LoadError, Loaded, ensure};

/// What is written of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// Entries and groups.
    One,
    /// And how many entries were added, deleted and read.
    Two,
    /// And when consumers were active.
    Three,
}

/// Reads a stream.
pub(super) fn load_stream(
    reader: &mut Reader<'_>,
    version: Version,
    arenas: Arenas,
) -> Loaded<Collection> {
    let mut stream = Stream::new(arenas);
    let mut last = None;
    for _ in 0..reader.count()? {
        let key = reader.string()?;
        let (master, rest) = id_of(&key).ok_or(LoadError::Corrupt)?;
        ensure(rest.is_empty())?;
        load_node(&mut stream, master, &reader.string()?, &mut last)?;
    }
    let len = reader.number()?;
    ensure(len == stream.len() as u64)?;
    let last_id = load_id(reader)?;
    ensure(last.is_none_or(|last| last <= last_id))?;
    stream.last_id = last_id;
    if version >= Version::Two {
        // The first id, which the entries tell as well.
        load_id(reader)?;
        stream.max_deleted_id = load_id(reader)?;
        stream.entries_added = reader.number()?;
        ensure(stream.entries_added >= len)?;
    } else {
        stream.entries_added = len;
    }
    for _ in 0..reader.count()? {
        load_group(&mut stream, reader, version)?;
    }
    Ok(Collection::Stream(Box::new(stream)))
}

/// The id in the first sixteen bytes, the highest first, and what follows them.
fn id_of(bytes: &[u8]) -> Option<(StreamId, &[u8])> {
    let (ms, rest) = bytes.split_first_chunk()?;
    let (seq, rest) = rest.split_first_chunk()?;
    Some((StreamId { ms: u64::from_be_bytes(*ms), seq: u64::from_be_bytes(*seq) }, rest))
}

fn load_raw_id(reader: &mut Reader<'_>) -> Loaded<StreamId> {
    let bytes = reader.take(16)?;
    id_of(bytes).map(|(id, _)| id).ok_or(LoadError::Corrupt)
}

fn load_id(reader: &mut Reader<'_>) -> Loaded<StreamId> {
    Ok(StreamId { ms: reader.number()?, seq: reader.number()? })
}

/// Reads the entries of a node, which follow the `last` one.
fn load_node(
    stream: &mut Stream,
    master: StreamId,
    bytes: &[u8],
    last: &mut Option<StreamId>,
) -> Loaded<()> {
    let mut items = Listpack::new(bytes)?;
    let (live, deleted) = (items.require_int()?, items.require_int()?);
    let names = load_names(&mut items)?;
    ensure(items.require_int()? == 0)?;
    let (mut live_seen, mut deleted_seen) = (0, 0);
    while let Some(flags) = items.next()? {
        let flags = flags.int().ok_or(LoadError::Corrupt)?;
        let (id, fields) = load_entry(&mut items, master, flags, &names)?;
        if flags & DELETED != 0 {
            deleted_seen += 1;
            continue;
        }
        ensure(id != StreamId::MIN && last.is_none_or(|last| last < id))?;
        *last = Some(id);
        let fields: Vec<&[u8]> = fields.iter().map(|text| &**text).collect();
        if live_seen == 0 {
            let names: Vec<&[u8]> = names.iter().map(|name| &**name).collect();
            stream.begin_node(id, &names)?;
        }
        // All that was in one node stays in one: its names are not repeated.
        stream.append(id, &fields, NodeLimits { bytes: usize::MAX, entries: 0 })?;
        live_seen += 1;
    }
    ensure(live_seen == live && deleted_seen == deleted)
}

fn load_names<'a>(items: &mut Listpack<'a>) -> Loaded<Vec<Text<'a>>> {
    let count = items.require_int()?;
    ensure(count > 0)?;
    (0..count).map(|_| items.require()).collect()
}

/// Reads an entry behind its flags: its id, names and values.
fn load_entry<'a>(
    items: &mut Listpack<'a>,
    master: StreamId,
    flags: i64,
    names: &[Text<'a>],
) -> Loaded<(StreamId, Vec<Text<'a>>)> {
    ensure(flags & !(DELETED | SAME_FIELDS) == 0)?;
    let ms = master.ms.wrapping_add_signed(items.require_int()?);
    let seq = master.seq.wrapping_add_signed(items.require_int()?);
    let mut fields = Vec::new();
    let mut elements = 3;
    if flags & SAME_FIELDS != 0 {
        for name in names {
            fields.extend([name.clone(), items.require()?]);
        }
        elements += names.len() as i64;
    } else {
        let count = items.require_int()?;
        ensure(count > 0)?;
        for _ in 0..count {
            fields.extend([items.require()?, items.require()?]);
        }
        elements += 1 + 2 * count;
    }
    ensure(items.require_int()? == elements)?;
    Ok((StreamId { ms, seq }, fields))
}

fn load_group(stream: &mut Stream, reader: &mut Reader<'_>, version: Version) -> Loaded<()> {
    let name = reader.string()?.to_vec();
    let last_id = load_id(reader)?;
    let entries_read = match version {
        Version::One => stream.entries_read_at(last_id),
        _ => match reader.number()? {
            UNKNOWN => None,
            read => Some(read),
        },
    };
    let mut group = Group::new(last_id, entries_read);
    let deliveries = load_pending(reader)?;
    for _ in 0..reader.count()? {
        load_consumer(&mut group, reader, version, &deliveries)?;
    }
    // What is nobody's is with the consumer whose name is empty.
    ensure(group.pending().len() == deliveries.len())?;
    ensure(stream.groups.insert(name, group).is_none())
}

/// What is pending: when it was delivered last, and how often.
type Deliveries = BTreeMap<StreamId, (i64, u64)>;

fn load_pending(reader: &mut Reader<'_>) -> Loaded<Deliveries> {
    let mut deliveries = Deliveries::new();
    for _ in 0..reader.count()? {
        let id = load_raw_id(reader)?;
        let delivered_ms = reader.time()?.max(0);
        let count = reader.number()?;
        ensure(deliveries.insert(id, (delivered_ms, count)).is_none())?;
    }
    Ok(deliveries)
}

fn load_consumer(
    group: &mut Group,
    reader: &mut Reader<'_>,
    version: Version,
    deliveries: &Deliveries,
) -> Loaded<()> {
    let name = reader.string()?;
    let seen_ms = reader.time()?.max(0);
    let active_ms = if version == Version::Three { reader.time()?.max(-1) } else { seen_ms };
    // One that was never seen stands for nobody.
    if *name != *NOBODY || seen_ms > 0 {
        let (consumer, is_new) = group.consumer(&name, seen_ms);
        ensure(is_new)?;
        consumer.active_ms = active_ms;
    }
    for _ in 0..reader.count()? {
        let id = load_raw_id(reader)?;
        let &(delivered_ms, count) = deliveries.get(&id).ok_or(LoadError::Corrupt)?;
        ensure(!group.pending().contains_key(&id))?;
        if *name == *NOBODY && delivered_ms == 0 {
            group.release(id, count);
        } else {
            ensure(group.consumers().contains_key(&*name))?;
            group.assign(id, &name, delivered_ms, count);
        }
    }
    Ok(())
}
