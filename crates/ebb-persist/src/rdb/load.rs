//! From bytes to an entry.

use ebb_collections::{
    Arenas, End, FieldDeadline, Form, HashMut, ListMut, MemorySlot, SetMut, SortedSetMut,
};
use ebb_keyspace::{Entry, StringValue};
use ebb_types::float::parse_f64;

use super::intset::Intset;
use super::items::{Items, Strings};
use super::listpack::Listpack;
use super::load_stream::{Version, load_stream};
use super::reader::Reader;
use super::text::Text;
use super::ziplist::Ziplist;
use super::zipmap::Zipmap;
use super::{LoadError, Loaded, Sizes, VERSION_OF_VALKEY, ensure, kind};

/// What a node of a list is: one item, or a listpack.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;
/// The latest deadline of a field that Redis reads.
const DEADLINE_MAX: i64 = (1 << 48) - 2;

/// Where a value goes that is read.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// When the key expires: milliseconds since 1970.
    pub deadline: Option<i64>,
    /// Where its blocks are allocated.
    pub arenas: Arenas,
    /// How collections are kept.
    pub sizes: Sizes,
}

/// Reads a value of a type into a new entry. `version` is that of the bytes.
pub fn load_value(
    kind: u8,
    version: u16,
    reader: &mut Reader<'_>,
    place: &Place<'_>,
) -> Loaded<Entry> {
    if kind == kind::STRING {
        let text = reader.string()?;
        let value = StringValue::Bytes(&text);
        return Ok(Entry::build(place.arenas.data, place.key, place.deadline, value)?);
    }
    let stream = match kind {
        kind::STREAM_1 => Some(Version::One),
        kind::STREAM_2 => Some(Version::Two),
        kind::STREAM_3 => Some(Version::Three),
        _ => None,
    };
    let (form, bytes, grown) = match stream {
        Some(version) => {
            let stream = load_stream(reader, version, place.arenas)?;
            (Form::List, Vec::new(), Some(stream))
        }
        None => load_collection(kind, version, reader, place)?.into_parts(),
    };
    let Place { key, deadline, arenas, .. } = *place;
    Ok(Entry::build_collection(arenas.data, key, deadline, form, &bytes, grown)?)
}

fn load_collection(
    kind: u8,
    version: u16,
    reader: &mut Reader<'_>,
    place: &Place<'_>,
) -> Loaded<MemorySlot> {
    match kind {
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_OF_ZIPLISTS | kind::LIST_OF_LISTPACKS => {
            load_list(kind, reader, place)
        }
        kind::SET => load_set(Strings::new(reader, 1)?, place),
        kind::SET_INTSET => load_set(Intset::new(&reader.string()?)?, place),
        kind::SET_LISTPACK => load_set(Listpack::new(&reader.string()?)?, place),
        kind::SORTED_SET => load_scored(reader, binary_score, place),
        kind::SORTED_SET_TEXT => load_scored(reader, text_score, place),
        kind::SORTED_SET_ZIPLIST => load_sorted_set(Ziplist::new(&reader.string()?)?, place),
        kind::SORTED_SET_LISTPACK => load_sorted_set(Listpack::new(&reader.string()?)?, place),
        kind::HASH => load_hash(Strings::new(reader, 2)?, place),
        kind::HASH_ZIPMAP => load_hash(Zipmap::new(&reader.string()?)?, place),
        kind::HASH_ZIPLIST => load_hash(Ziplist::new(&reader.string()?)?, place),
        kind::HASH_LISTPACK => load_hash(Listpack::new(&reader.string()?)?, place),
        kind::HASH_DEADLINES_22 if version >= VERSION_OF_VALKEY => {
            load_deadlines(reader, DeadlineForm::Valkey, place)
        }
        kind::HASH_DEADLINES_22 => load_deadlines(reader, DeadlineForm::Absolute, place),
        kind::HASH_DEADLINES => {
            let first = reader.time()?;
            load_deadlines(reader, DeadlineForm::From(first), place)
        }
        kind::HASH_DEADLINES_23 => load_packed_deadlines(reader, place),
        kind::HASH_DEADLINES_LISTPACK => {
            // The first deadline, which the fields tell as well.
            reader.time()?;
            load_packed_deadlines(reader, place)
        }
        _ => Err(LoadError::Corrupt),
    }
}

type List = ListMut<MemorySlot>;

fn push_all<'a>(list: &mut List, mut items: impl Items<'a>) -> Loaded<()> {
    while let Some(item) = items.next()? {
        list.push(End::Right, &item)?;
    }
    Ok(())
}

fn load_list(kind: u8, reader: &mut Reader<'_>, place: &Place<'_>) -> Loaded<MemorySlot> {
    let slot = MemorySlot::new(Form::List, place.arenas);
    let mut list = ListMut::new(slot, place.sizes.list);
    match kind {
        kind::LIST => push_all(&mut list, Strings::new(reader, 1)?)?,
        kind::LIST_ZIPLIST => push_all(&mut list, Ziplist::new(&reader.string()?)?)?,
        kind::LIST_OF_ZIPLISTS => {
            for _ in 0..reader.count()? {
                push_all(&mut list, Ziplist::new(&reader.string()?)?)?;
            }
        }
        _ => {
            for _ in 0..reader.count()? {
                load_list_node(&mut list, reader)?;
            }
        }
    }
    ensure(!list.as_ref().is_empty())?;
    Ok(list.into_slot())
}

fn load_list_node(list: &mut List, reader: &mut Reader<'_>) -> Loaded<()> {
    match reader.number()? {
        PLAIN => {
            let item = reader.string()?;
            ensure(!item.is_empty())?;
            Ok(list.push(End::Right, &item)?)
        }
        PACKED => push_all(list, Listpack::new(&reader.string()?)?),
        _ => Err(LoadError::Corrupt),
    }
}

fn load_set<'a>(mut members: impl Items<'a>, place: &Place<'_>) -> Loaded<MemorySlot> {
    let slot = MemorySlot::new(Form::IntSet, place.arenas);
    let mut set = SetMut::new(slot, place.sizes.set, place.sizes.set_ints);
    while let Some(member) = members.next()? {
        ensure(set.add(&member)?)?;
    }
    ensure(!set.as_ref().is_empty())?;
    Ok(set.into_slot())
}

type SortedSet = SortedSetMut<MemorySlot>;

fn new_sorted_set(place: &Place<'_>) -> SortedSet {
    SortedSetMut::new(MemorySlot::new(Form::SortedSet, place.arenas), place.sizes.sorted_set)
}

fn finish_sorted_set(set: SortedSet) -> Loaded<MemorySlot> {
    ensure(!set.as_ref().is_empty())?;
    Ok(set.into_slot())
}

/// Adds a member that is new with a score that is a number.
fn add_scored(set: &mut SortedSet, member: &[u8], score: f64) -> Loaded<()> {
    ensure(!score.is_nan() && set.set(member, score)?)
}

fn load_scored<'a>(
    reader: &mut Reader<'a>,
    score: fn(&mut Reader<'a>) -> Loaded<f64>,
    place: &Place<'_>,
) -> Loaded<MemorySlot> {
    let mut set = new_sorted_set(place);
    for _ in 0..reader.count()? {
        let member = reader.string()?;
        add_scored(&mut set, &member, score(reader)?)?;
    }
    finish_sorted_set(set)
}

fn binary_score(reader: &mut Reader<'_>) -> Loaded<f64> {
    reader.array().map(f64::from_le_bytes)
}

/// A score as text behind its length, or one of three lengths that stand for what is not a number, and infinities.
fn text_score(reader: &mut Reader<'_>) -> Loaded<f64> {
    match reader.byte()? {
        253 => Err(LoadError::Corrupt),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        len => parse_f64(reader.take(len.into())?).ok_or(LoadError::Corrupt),
    }
}

fn load_sorted_set<'a>(mut items: impl Items<'a>, place: &Place<'_>) -> Loaded<MemorySlot> {
    let mut set = new_sorted_set(place);
    while let Some(member) = items.next()? {
        let score = match items.require()? {
            Text::Int(score, _) => score as f64,
            text => parse_f64(&text).ok_or(LoadError::Corrupt)?,
        };
        add_scored(&mut set, &member, score)?;
    }
    finish_sorted_set(set)
}

type Hash = HashMut<MemorySlot>;

fn new_hash(place: &Place<'_>) -> Hash {
    HashMut::new(MemorySlot::new(Form::Hash, place.arenas), place.sizes.hash)
}

fn finish_hash(hash: Hash) -> Loaded<MemorySlot> {
    ensure(!hash.as_ref().is_empty())?;
    Ok(hash.into_slot())
}

fn load_hash<'a>(mut items: impl Items<'a>, place: &Place<'_>) -> Loaded<MemorySlot> {
    let mut hash = new_hash(place);
    while let Some(field) = items.next()? {
        let value = items.require()?;
        ensure(hash.set(&field, &value, FieldDeadline::Clear)?)?;
    }
    finish_hash(hash)
}

/// Adds a field that is new.
fn add_field(hash: &mut Hash, field: &[u8], value: &[u8], deadline: Option<i64>) -> Loaded<()> {
    ensure(deadline.is_none_or(|at| (1..=DEADLINE_MAX).contains(&at)))?;
    let deadline = deadline.map_or(FieldDeadline::Clear, FieldDeadline::At);
    ensure(hash.set(field, value, deadline)?)
}

/// How deadlines of fields are written.
#[derive(Clone, Copy)]
enum DeadlineForm {
    /// Before the field: 0, or the distance from a first one, plus 1.
    From(i64),
    /// Before the field: 0, or the deadline.
    Absolute,
    /// Behind the value: -1, or the deadline.
    Valkey,
}

fn load_deadlines(
    reader: &mut Reader<'_>,
    form: DeadlineForm,
    place: &Place<'_>,
) -> Loaded<MemorySlot> {
    let mut hash = new_hash(place);
    for _ in 0..reader.count()? {
        let before = match form {
            DeadlineForm::From(first) => match reader.number()?.checked_sub(1) {
                None => None,
                Some(distance) => {
                    Some(first.checked_add_unsigned(distance).ok_or(LoadError::Corrupt)?)
                }
            },
            DeadlineForm::Absolute => {
                let deadline = i64::try_from(reader.number()?).map_err(|_| LoadError::Corrupt)?;
                Some(deadline).filter(|&at| at != 0)
            }
            DeadlineForm::Valkey => None,
        };
        let (field, value) = (reader.string()?, reader.string()?);
        let deadline = match form {
            // It knows later ones, which are as good as never.
            DeadlineForm::Valkey => match reader.time()? {
                -1 => None,
                at => Some(at.min(DEADLINE_MAX)),
            },
            DeadlineForm::From(_) | DeadlineForm::Absolute => before,
        };
        add_field(&mut hash, &field, &value, deadline)?;
    }
    finish_hash(hash)
}

fn load_packed_deadlines(reader: &mut Reader<'_>, place: &Place<'_>) -> Loaded<MemorySlot> {
    let mut hash = new_hash(place);
    let bytes = reader.string()?;
    let mut items = Listpack::new(&bytes)?;
    while let Some(field) = items.next()? {
        let (value, deadline) = (items.require()?, items.require_int()?);
        add_field(&mut hash, &field, &value, Some(deadline).filter(|&at| at != 0))?;
    }
    finish_hash(hash)
}
