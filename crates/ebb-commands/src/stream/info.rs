//! XINFO: streams, groups and consumers described.

use ebb_collections::stream::{Group as ConsumerGroup, Stream, StreamId};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    Reply,
};

use super::{id, no_group_of};
use crate::help;

pub(super) static XINFO: CommandSpec = CommandSpec {
    name: "xinfo",
    summary: "A container of commands that describe streams.",
    since: "5.0.0",
    group: Group::Stream,
    arity: -2,
    subcommands: &[CONSUMERS, GROUPS, HELP, STREAM],
    ..CommandSpec::NEW
};

pub(super) const CONSUMERS: CommandSpec = CommandSpec {
    name: "consumers",
    summary: "Describes the consumers of a group.",
    since: "5.0.0",
    group: Group::Stream,
    arity: 4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), Argument::string("group")],
    tips: &["nondeterministic_output"],
    run: consumers,
    ..CommandSpec::NEW
};
pub(super) const GROUPS: CommandSpec = CommandSpec {
    name: "groups",
    summary: "Describes the consumer groups of a stream.",
    since: "5.0.0",
    group: Group::Stream,
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0)],
    run: groups,
    ..CommandSpec::NEW
};
pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "5.0.0",
    group: Group::Stream,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};
pub(super) const STREAM: CommandSpec = CommandSpec {
    name: "stream",
    summary: "Describes a stream.",
    since: "5.0.0",
    group: Group::Stream,
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::block(
            "full-block",
            &[Argument::word("full", "FULL"), Argument::integer("count").after("COUNT").optional()],
        )
        .optional(),
    ],
    history: &[("8.8.0", "Added the `nacked-count` field of groups.")],
    run: stream,
    ..CommandSpec::NEW
};

fn consumers(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name, now_ms) = (ctx.key(2), ctx.arg(3), ctx.now_ms);
    let (stream, reply) = ctx.read_stream_and_reply(&key)?;
    let Some(stream) = stream else { return Err(CommandError::NoSuchKey) };
    let Some(group) = stream.groups.get(name) else {
        return Err(no_group_of(key.bytes(), name));
    };
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        let since = |at: i64| if at < 0 { -1 } else { (now_ms - at).max(0) };
        reply.map(4);
        text(reply, "name", name);
        count(reply, "pending", consumer.pending.len());
        reply.bulk(b"idle");
        reply.integer(since(consumer.seen_ms));
        reply.bulk(b"inactive");
        reply.integer(since(consumer.active_ms));
    }
    Ok(())
}

fn text(reply: &mut Reply, name: &str, value: &[u8]) {
    reply.bulk(name.as_bytes());
    reply.bulk(value);
}

fn count(reply: &mut Reply, name: &str, value: usize) {
    reply.bulk(name.as_bytes());
    reply.count(value);
}

fn entry_id(reply: &mut Reply, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    id::reply_id(reply, id);
}

fn maybe(reply: &mut Reply, name: &str, value: Option<i64>) {
    reply.bulk(name.as_bytes());
    match value {
        Some(value) => reply.integer(value),
        None => reply.null(),
    }
}

fn groups(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(2);
    let (stream, reply) = ctx.read_stream_and_reply(&key)?;
    let Some(stream) = stream else { return Err(CommandError::NoSuchKey) };
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(6);
        text(reply, "name", name);
        count(reply, "consumers", group.consumers().len());
        count(reply, "pending", group.pending().len());
        entry_id(reply, "last-delivered-id", group.last_id);
        maybe(reply, "entries-read", group.entries_read.map(|read| read as i64));
        maybe(reply, "lag", stream.lag(group));
    }
    Ok(())
}

fn stream(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(2);
    if ctx.read_stream(&key)?.is_none() {
        return Err(CommandError::NoSuchKey);
    }
    let name = ctx.quote(1);
    let usage = || {
        CommandError::new(format!(
            "ERR unknown subcommand or wrong number of arguments for '{name}'. Try XINFO HELP."
        ))
    };
    let full = match ctx.args.len() {
        3 => None,
        4 if ctx.is_word(3, "FULL") => Some(10),
        6 if ctx.is_word(3, "FULL") && ctx.is_word(4, "COUNT") => {
            let count = ctx.int(5)?;
            Some(if count < 0 { 10 } else { count as usize })
        }
        _ => return Err(usage()),
    };
    let (stream, reply) = ctx.read_stream_and_reply(&key)?;
    let Some(stream) = stream else { return Err(CommandError::NoSuchKey) };
    reply.map(if full.is_some() { 9 } else { 10 });
    count(reply, "length", stream.len());
    count(reply, "radix-tree-keys", stream.nodes());
    count(reply, "radix-tree-nodes", stream.nodes() + 1);
    entry_id(reply, "last-generated-id", stream.last_id);
    entry_id(reply, "max-deleted-entry-id", stream.max_deleted_id);
    count(reply, "entries-added", stream.entries_added as usize);
    entry_id(reply, "recorded-first-entry-id", stream.first_id().unwrap_or_default());
    match full {
        Some(limit) => details(reply, stream, limit),
        None => {
            count(reply, "groups", stream.groups.len());
            ends(reply, stream);
        }
    }
    Ok(())
}

/// The first and the last entry.
fn ends(reply: &mut Reply, stream: &Stream) {
    let first = stream.first_id().and_then(|id| stream.get(id));
    let last = stream.last_entry_id().and_then(|id| stream.get(id));
    for (name, entry) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => id::reply_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

/// Entries, groups and consumers, at most `limit` (0: all) of entries and of what is pending.
fn details(reply: &mut Reply, stream: &Stream, limit: usize) {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut entries = Vec::new();
    stream.walk(StreamId::MIN, StreamId::MAX, |entry| {
        entries.push(entry);
        entries.len() < limit
    });
    reply.bulk(b"entries");
    id::reply_entries(reply, &entries);
    reply.bulk(b"groups");
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(8);
        text(reply, "name", name);
        entry_id(reply, "last-delivered-id", group.last_id);
        maybe(reply, "entries-read", group.entries_read.map(|read| read as i64));
        maybe(reply, "lag", stream.lag(group));
        group_details(reply, group, limit);
    }
}

fn group_details(reply: &mut Reply, group: &ConsumerGroup, limit: usize) {
    count(reply, "pel-count", group.pending().len());
    reply.bulk(b"pending");
    reply.array(group.pending().len().min(limit));
    for (&id, pending) in group.pending().iter().take(limit) {
        reply.array(4);
        id::reply_id(reply, id);
        reply.bulk(pending.owner());
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries as i64);
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        reply.map(5);
        text(reply, "name", name);
        reply.bulk(b"seen-time");
        reply.integer(consumer.seen_ms);
        reply.bulk(b"active-time");
        reply.integer(consumer.active_ms);
        count(reply, "pel-count", consumer.pending.len());
        reply.bulk(b"pending");
        reply.array(consumer.pending.len().min(limit));
        for id in consumer.pending.iter().take(limit) {
            reply.array(3);
            id::reply_id(reply, *id);
            let pending = group.pending().get(id);
            reply.integer(pending.map_or(0, |pending| pending.delivered_ms));
            reply.integer(pending.map_or(0, |pending| pending.deliveries as i64));
        }
    }
    count(reply, "nacked-count", group.released());
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn everything_is_told() {
        let mut client = Client::new();
        assert_eq!(client.say("XINFO STREAM s"), "-ERR no such key\r\n");
        (1..=3).for_each(|n| drop(client.say(&format!("XADD s {n} a {n}"))));
        client.say("XGROUP CREATE s g 0");
        client.say("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
        let stream = client.say("XINFO STREAM s");
        assert!(stream.starts_with("*20\r\n$6\r\nlength\r\n:3\r\n"), "{stream}");
        assert!(stream.contains("$10\r\nlast-entry\r\n*2\r\n$3\r\n3-0\r\n"), "{stream}");
        let groups = client.say("XINFO GROUPS s");
        assert!(groups.contains("$12\r\nentries-read\r\n:2\r\n$3\r\nlag\r\n:1\r\n"), "{groups}");
        let consumers = client.say("XINFO CONSUMERS s g");
        assert!(
            consumers.starts_with("*1\r\n*8\r\n$4\r\nname\r\n$1\r\nc\r\n$7\r\npending\r\n:2\r\n")
        );
        let full = client.say("XINFO STREAM s FULL COUNT 1");
        assert!(full.contains("$9\r\npel-count\r\n:2\r\n$7\r\npending\r\n*1\r\n"), "{full}");
        assert!(client.say("XINFO Stream s what").ends_with("for 'Stream'. Try XINFO HELP.\r\n"));
        assert_eq!(client.say("XINFO STREAM nothing what"), "-ERR no such key\r\n");
        assert!(client.say("XINFO CONSUMERS s x").starts_with("-NOGROUP"));
    }

    #[test]
    fn who_read_more_than_there_was_has_a_negative_lag() {
        let mut client = Client::new();
        client.say("XADD s 1-1 a b");
        client.say("XGROUP CREATE s g 1-1 ENTRIESREAD 5");
        let groups = client.say("XINFO GROUPS s");
        assert!(groups.contains("$12\r\nentries-read\r\n:5\r\n$3\r\nlag\r\n:-4\r\n"), "{groups}");
    }
}
