//! XLEN, XRANGE, XREVRANGE, XDEL, XSETID.

use ebb_collections::stream::StreamId;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_types::number::parse_i64;

use super::id;

pub(super) static XLEN: CommandSpec = CommandSpec {
    name: "xlen",
    summary: "Counts the entries of a stream.",
    since: "5.0.0",
    group: Group::Stream,
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    run: xlen,
    ..CommandSpec::NEW
};
pub(super) static XRANGE: CommandSpec = CommandSpec {
    name: "xrange",
    summary: "Returns the entries between two ids.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries returned.",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("start"),
        Argument::string("end"),
        Argument::integer("count").after("COUNT").optional(),
    ],
    run: |ctx| range(ctx, false),
    ..CommandSpec::NEW
};
pub(super) static XREVRANGE: CommandSpec = CommandSpec {
    name: "xrevrange",
    summary: "Returns the entries between two ids, the last one first.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries returned.",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("end"),
        Argument::string("start"),
        Argument::integer("count").after("COUNT").optional(),
    ],
    run: |ctx| range(ctx, true),
    ..CommandSpec::NEW
};
pub(super) static XDEL: CommandSpec = CommandSpec {
    name: "xdel",
    summary: "Deletes entries of a stream.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::string("id").multiple()],
    run: xdel,
    ..CommandSpec::NEW
};
pub(super) static XSETID: CommandSpec = CommandSpec {
    name: "xsetid",
    summary: "Sets the last id of a stream (for replication).",
    since: "5.0.0",
    group: Group::Stream,
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("last-id"),
        Argument::integer("entries-added").after("ENTRIESADDED").optional().since("7.0.0"),
        Argument::string("max-deleted-id").after("MAXDELETEDID").optional().since("7.0.0"),
    ],
    run: xsetid,
    ..CommandSpec::NEW
};

fn xlen(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let (stream, reply) = ctx.read_stream_and_reply(&key)?;
    reply.count(stream.map_or(0, |stream| stream.len()));
    Ok(())
}

fn range(ctx: &mut Context<'_>, reversed: bool) -> CommandResult {
    let (first, last) = if reversed { (3, 2) } else { (2, 3) };
    let (from, to) = (id::parse_start(ctx.arg(first))?, id::parse_end(ctx.arg(last))?);
    let mut count = usize::MAX;
    let mut at = 4;
    while at < ctx.args.len() {
        if !ctx.is_word(at, "COUNT") || at + 1 == ctx.args.len() {
            return Err(CommandError::Syntax);
        }
        count = ctx.int(at + 1)?.max(0) as usize;
        at += 2;
    }
    let key = ctx.key(1);
    let (stream, reply) = ctx.read_stream_and_reply(&key)?;
    let Some(stream) = stream else {
        reply.array(0);
        return Ok(());
    };
    if count == 0 {
        reply.null_array();
        return Ok(());
    }
    let mut entries = Vec::new();
    let visit = |entry| {
        entries.push(entry);
        entries.len() < count
    };
    match reversed {
        true => stream.walk_back(from, to, visit),
        false => stream.walk(from, to, visit),
    }
    id::reply_entries(reply, &entries);
    Ok(())
}

fn xdel(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    if ctx.read_stream(&key)?.is_none() {
        ctx.reply.integer(0);
        return Ok(());
    }
    let ids: Vec<StreamId> =
        ctx.args[2..].iter().map(|text| id::parse(text, 0)).collect::<Result<_, _>>()?;
    let deleted = match ctx.edit_stream(&key)?.0 {
        Some(mut stream) => ids.iter().filter(|&&id| stream.delete(id)).count(),
        None => 0,
    };
    if deleted > 0 {
        ctx.changed_many(&key, Event::stream("xdel"), deleted as u64);
    }
    ctx.reply.count(deleted);
    Ok(())
}

fn xsetid(ctx: &mut Context<'_>) -> CommandResult {
    let last_id = id::parse(ctx.arg(2), 0)?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut at = 3;
    while at < ctx.args.len() {
        let Some(&value) = ctx.args.get(at + 1) else { return Err(CommandError::Syntax) };
        if ctx.is_word(at, "ENTRIESADDED") {
            let count = parse_i64(value).ok_or(CommandError::NotInteger)?;
            let count = u64::try_from(count)
                .map_err(|_| CommandError::new("ERR entries_added must be positive"))?;
            added = Some(count);
        } else if ctx.is_word(at, "MAXDELETEDID") {
            max_deleted = id::parse(value, 0)?;
            if last_id < max_deleted {
                return Err(CommandError::new(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let key = ctx.key(1);
    let Some(mut stream) = ctx.edit_stream(&key)?.0 else { return Err(CommandError::NoSuchKey) };
    if last_id < stream.max_deleted_id {
        return Err(CommandError::new(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if stream.last_entry_id().is_some_and(|last| last_id < last) {
        return Err(CommandError::new(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if added.is_some_and(|added| added < stream.len() as u64) {
        return Err(CommandError::new(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    stream.last_id = last_id;
    stream.entries_added = added.unwrap_or(stream.entries_added);
    if max_deleted != StreamId::MIN {
        stream.max_deleted_id = max_deleted;
    }
    drop(stream);
    ctx.changed_aside(&key, Event::stream("xsetid"));
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn entries_are_found_by_id() {
        let mut client = Client::new();
        (1..=3).for_each(|n| drop(client.say(&format!("XADD s {n} a {n}"))));
        let entry = |n: u32| format!("*2\r\n$3\r\n{n}-0\r\n*2\r\n$1\r\na\r\n$1\r\n{n}\r\n");
        assert_eq!(client.say("XRANGE s - + COUNT 2"), format!("*2\r\n{}{}", entry(1), entry(2)));
        assert_eq!(client.say("XRANGE s (1 3"), format!("*2\r\n{}{}", entry(2), entry(3)));
        assert_eq!(client.say("XREVRANGE s + 2"), format!("*2\r\n{}{}", entry(3), entry(2)));
        assert_eq!(client.say("XRANGE s - + COUNT 0"), "*-1\r\n");
        assert_eq!(client.say("XRANGE nothing - +"), "*0\r\n");
        assert_eq!(client.say("XDEL s 2 9"), ":1\r\n");
        assert_eq!(client.say("XRANGE s - +"), format!("*2\r\n{}{}", entry(1), entry(3)));
        assert_eq!(client.say("XLEN s"), ":2\r\n");
    }

    #[test]
    fn the_last_id_can_be_set() {
        let mut client = Client::new();
        assert_eq!(client.say("XSETID s 1-1"), "-ERR no such key\r\n");
        client.say("XADD s 5-3 a 1");
        assert!(client.say("XSETID s 5-2").contains("smaller than the target stream top"));
        assert!(client.say("XSETID s 7 ENTRIESADDED 0").contains("smaller than the target stream"));
        assert!(client.say("XSETID s 7 ENTRIESADDED 1 MAXDELETEDID 8").contains("max_deleted"));
        assert_eq!(client.say("XSETID s 9-9 ENTRIESADDED 4 MAXDELETEDID 8"), "+OK\r\n");
        assert!(client.say("XADD s 9-9 a 1").contains("equal or smaller"));
    }
}
