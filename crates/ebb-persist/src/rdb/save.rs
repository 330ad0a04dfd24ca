//! From an entry to bytes.

use ebb_collections::{Collection, Field, Form, HashRef, ListRef, SetRef, SortedSetRef};
use ebb_keyspace::{EntryRef, StringRef, ValueRef};
use ebb_types::float::format_f64;

use super::kind;
use super::listpack::Builder;
use super::save_stream::save_stream;
use super::writer::Writer;

/// Bytes of one listpack of a list.
const NODE_BYTES_MAX: usize = 8192;
/// What a node of a list is: one item, or a listpack.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;
/// Integers up to this are doubles, and so are all between.
const EXACT_MAX: f64 = (1_i64 << 53) as f64;

/// The byte that names the type in which [`save_value`] writes an entry's value.
pub fn type_of(entry: &EntryRef<'_>) -> u8 {
    let has_deadlines = || entry.hash().and_then(|hash| hash.next_deadline()).is_some();
    match entry.value() {
        ValueRef::String(_) => kind::STRING,
        ValueRef::Packed(Form::List, _) | ValueRef::Grown(Collection::List(_)) => {
            kind::LIST_OF_LISTPACKS
        }
        ValueRef::Packed(Form::IntSet, _) => kind::SET_INTSET,
        ValueRef::Packed(Form::Set, _) => kind::SET_LISTPACK,
        ValueRef::Packed(Form::SortedSet, _) => kind::SORTED_SET_LISTPACK,
        ValueRef::Packed(Form::ExpiringHash, _) if has_deadlines() => kind::HASH_DEADLINES_LISTPACK,
        ValueRef::Packed(Form::Hash | Form::ExpiringHash, _) => kind::HASH_LISTPACK,
        ValueRef::Grown(Collection::Set(_)) => kind::SET,
        ValueRef::Grown(Collection::SortedSet(_)) => kind::SORTED_SET,
        ValueRef::Grown(Collection::Hash(_)) if has_deadlines() => kind::HASH_DEADLINES,
        ValueRef::Grown(Collection::Hash(_)) => kind::HASH,
        ValueRef::Grown(Collection::Stream(_)) => kind::STREAM_3,
    }
}

/// Writes an entry's value without its type.
pub fn save_value(writer: &mut Writer, entry: &EntryRef<'_>) {
    match entry.value() {
        ValueRef::String(StringRef::Int(value)) => writer.int(value),
        ValueRef::String(string) => string.with_bytes(|bytes| writer.string(bytes)),
        ValueRef::Packed(Form::IntSet, bytes) => save_intset(writer, bytes),
        ValueRef::Grown(Collection::Stream(stream)) => save_stream(writer, stream),
        _ => {
            let kind = type_of(entry);
            save_collection(writer, entry, kind);
        }
    }
}

fn save_collection(writer: &mut Writer, entry: &EntryRef<'_>, kind: u8) {
    if let Some(list) = entry.list() {
        save_list(writer, &list);
    }
    if let Some(set) = entry.set() {
        save_set(writer, &set);
    }
    if let Some(set) = entry.sorted_set() {
        save_sorted_set(writer, &set);
    }
    if let Some(hash) = entry.hash() {
        match kind {
            kind::HASH_DEADLINES => save_deadlines(writer, &hash),
            kind::HASH_DEADLINES_LISTPACK => save_packed_deadlines(writer, &hash),
            _ => save_hash(writer, &hash),
        }
    }
}

fn save_list(writer: &mut Writer, list: &ListRef<'_>) {
    let mut nodes = ListNodes { body: writer.another(), count: 0, node: Builder::new() };
    list.walk(0, |item| {
        nodes.push(item);
        true
    });
    nodes.end_node();
    writer.count(nodes.count);
    writer.raw(&nodes.body.into_bytes());
}

/// The nodes of a list, of which the last is not yet written.
struct ListNodes {
    body: Writer,
    count: usize,
    node: Builder,
}

impl ListNodes {
    fn push(&mut self, item: &[u8]) {
        if self.node.len() + item.len() > NODE_BYTES_MAX {
            self.end_node();
        }
        if item.len() > NODE_BYTES_MAX {
            self.write(PLAIN, item);
        } else {
            self.node.push(item);
        }
    }

    fn end_node(&mut self) {
        if self.node.count() > 0 {
            let node = std::mem::replace(&mut self.node, Builder::new());
            self.write(PACKED, &node.finish());
        }
    }

    fn write(&mut self, container: u64, bytes: &[u8]) {
        self.body.number(container);
        self.body.string(bytes);
        self.count += 1;
    }
}

fn save_intset(writer: &mut Writer, packed: &[u8]) {
    let (width, ints) = packed.split_first().unwrap_or((&2, &[]));
    let mut blob = u32::from(*width).to_le_bytes().to_vec();
    blob.extend(((ints.len() / usize::from(*width)) as u32).to_le_bytes());
    blob.extend_from_slice(ints);
    writer.string(&blob);
}

fn save_set(writer: &mut Writer, set: &SetRef<'_>) {
    if let SetRef::Grown(_) = set {
        writer.count(set.len());
        set.for_each(|member| member.with_bytes(|bytes| writer.string(bytes)));
        return;
    }
    let mut packed = Builder::new();
    set.for_each(|member| member.with_bytes(|bytes| packed.push(bytes)));
    writer.string(&packed.finish());
}

fn save_sorted_set(writer: &mut Writer, set: &SortedSetRef<'_>) {
    if let SortedSetRef::Grown(_) = set {
        // From the end, so that who reads puts each member in front.
        writer.count(set.len());
        set.walk_back(usize::MAX, |member, score| {
            writer.string(member);
            writer.raw(&score.to_le_bytes());
            true
        });
        return;
    }
    let mut packed = Builder::new();
    set.walk(0, |member, score| {
        packed.push(member);
        push_score(&mut packed, score);
        true
    });
    writer.string(&packed.finish());
}

fn push_score(packed: &mut Builder, score: f64) {
    let is_integer = score.trunc() == score && score.abs() <= EXACT_MAX;
    if is_integer && !(score == 0.0 && score.is_sign_negative()) {
        packed.push_int(score as i64);
    } else {
        packed.push(&format_f64(score));
    }
}

fn save_hash(writer: &mut Writer, hash: &HashRef<'_>) {
    if let HashRef::Grown(_) = hash {
        writer.count(hash.len());
        hash.for_each(|field| {
            writer.string(field.name);
            writer.string(field.value);
        });
        return;
    }
    let mut packed = Builder::new();
    hash.for_each(|field| {
        packed.push(field.name);
        packed.push(field.value);
    });
    writer.string(&packed.finish());
}

/// The first deadline; then each field's distance from it plus one, or 0 for none.
fn save_deadlines(writer: &mut Writer, hash: &HashRef<'_>) {
    let first = hash.next_deadline().unwrap_or(0);
    writer.time(first);
    writer.count(hash.len());
    hash.for_each(|field| {
        let distance = field.deadline.map_or(0, |at| at.abs_diff(first) + 1);
        writer.number(distance);
        writer.string(field.name);
        writer.string(field.value);
    });
}

/// The first deadline; then a listpack of fields, values and deadlines in the order of these, and those without at
/// the end.
fn save_packed_deadlines(writer: &mut Writer, hash: &HashRef<'_>) {
    let mut fields: Vec<Field<'_>> = Vec::with_capacity(hash.len());
    hash.for_each(|field| fields.push(field));
    fields.sort_by_key(|field| field.deadline.unwrap_or(i64::MAX));
    let mut packed = Builder::new();
    for field in fields {
        packed.push(field.name);
        packed.push(field.value);
        packed.push_int(field.deadline.unwrap_or(0));
    }
    writer.time(hash.next_deadline().unwrap_or(0));
    writer.string(&packed.finish());
}
