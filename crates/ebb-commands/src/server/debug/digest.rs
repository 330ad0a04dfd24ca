//! Digests of data, comparable with those that Redis computes: SHA-1 over every part, parts
//! whose order does not matter combined with exclusive or.

use ebb_collections::stream::StreamId;
use ebb_engine::{CommandResult, Context};
use ebb_keyspace::{EntryRef, Type, ValueRef};
use ebb_types::float::format_g17;
use sha1::{Digest as _, Sha1};

/// Twenty bytes that parts are mixed into.
#[derive(Default)]
struct Digest([u8; 20]);

fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

impl Digest {
    /// Adds a part whose order does not matter.
    fn combine(&mut self, part: &[u8]) {
        self.combine_hash(&sha1(part));
    }

    fn combine_hash(&mut self, hash: &[u8; 20]) {
        self.0.iter_mut().zip(hash).for_each(|(mine, other)| *mine ^= other);
    }

    /// Adds a part whose order matters.
    fn mix(&mut self, part: &[u8]) {
        self.combine(part);
        self.0 = sha1(&self.0);
    }

    /// Adds a value: its type, its contents, and that it expires.
    fn mix_value(&mut self, entry: &EntryRef<'_>) {
        const TYPES: [(Type, u32); 6] = [
            (Type::String, 0),
            (Type::List, 1),
            (Type::Set, 2),
            (Type::SortedSet, 3),
            (Type::Hash, 4),
            (Type::Stream, 6),
        ];
        let number = TYPES.iter().find(|(kind, _)| *kind == entry.value_type());
        self.mix(&number.map_or(0, |(_, number)| *number).to_be_bytes());
        if let ValueRef::String(string) = entry.value() {
            string.with_bytes(|bytes| self.mix(bytes));
        }
        self.mix_elements(entry);
        if entry.has_deadline() {
            self.combine(b"!!expire!!");
        }
    }

    fn mix_elements(&mut self, entry: &EntryRef<'_>) {
        if let Some(list) = entry.list() {
            list.walk(0, |item| {
                self.mix(item);
                true
            });
        }
        if let Some(set) = entry.set() {
            set.for_each(|member| member.with_bytes(|bytes| self.combine(bytes)));
        }
        if let Some(set) = entry.sorted_set() {
            set.walk(0, |member, score| {
                self.combine_pair(member, &format_g17(score));
                true
            });
        }
        if let Some(hash) = entry.hash() {
            hash.for_each(|field| self.combine_pair(field.name, field.value));
        }
        if let Some(stream) = entry.stream() {
            stream.walk(StreamId::MIN, StreamId::MAX, |entry| {
                self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (name, value) in entry.fields {
                    self.mix(name);
                    self.mix(value);
                }
                true
            });
        }
    }

    /// Adds two parts that belong together.
    fn combine_pair(&mut self, first: &[u8], second: &[u8]) {
        let mut pair = Digest::default();
        pair.mix(first);
        pair.mix(second);
        self.combine(&pair.0);
    }

    fn text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// DEBUG DIGEST.
pub(super) fn all(ctx: &mut Context<'_>) -> CommandResult {
    let mut whole = Digest::default();
    for number in 0..ctx.server.keyspace.databases() {
        let (mut keys, mut is_empty) = (Digest::default(), true);
        ctx.each_shard(|shard| {
            is_empty &= shard.db_ref(number).is_empty();
            shard.db_ref(number).for_each(|entry| {
                let mut one = Digest::default();
                one.mix(entry.key());
                one.mix_value(&entry);
                keys.combine(&one.0);
            });
        });
        if !is_empty {
            whole.mix(&(number as u32).to_be_bytes());
            whole.combine_hash(&keys.0);
        }
    }
    ctx.reply.simple(&whole.text());
    Ok(())
}

/// DEBUG DIGEST-VALUE.
pub(super) fn values(ctx: &mut Context<'_>) -> CommandResult {
    ctx.reply.array(ctx.args.len() - 2);
    for at in 2..ctx.args.len() {
        let key = ctx.key(at);
        let mut digest = Digest::default();
        if let Some(entry) = ctx.peek(&key) {
            digest.mix_value(&entry);
        }
        ctx.reply.simple(&digest.text());
    }
    Ok(())
}
