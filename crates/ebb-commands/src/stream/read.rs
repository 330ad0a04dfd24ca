//! XREAD, XREADGROUP: what is new in streams, waiting for it if asked to.

use ebb_collections::stream::{Group as ConsumerGroup, Stream, StreamEntry, StreamId};
use ebb_engine::blocking::Wait;
use ebb_engine::{
    Argument, Begin, CommandError, CommandResult, CommandSpec, Context, Event, Find, Flags, Group,
    KeyFlags, KeySpec, Reply,
};
use ebb_keyspace::{Key, Type};

use super::budget::Budget;
use super::id;
use super::overdue::{self, Overdue};

pub(super) static XREAD: CommandSpec = CommandSpec {
    name: "xread",
    summary: "Returns the entries behind an id of some streams; waits for them if asked to.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries returned.",
    arity: -4,
    flags: Flags::READONLY.and(Flags::BLOCKING).and(Flags::MOVABLEKEYS),
    keys: &[KeySpec {
        flags: KeyFlags::RO.and(KeyFlags::ACCESS),
        begin: Begin::Keyword("STREAMS", 1),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        notes: "",
    }],
    arguments: &[
        Argument::integer("count").after("COUNT").optional(),
        Argument::integer("maxcount").after("MAXCOUNT").optional().since("8.10.0"),
        Argument::integer("maxsize").after("MAXSIZE").optional().since("8.10.0"),
        Argument::integer("milliseconds").after("BLOCK").optional(),
        Argument::block(
            "streams",
            &[Argument::key("key", 0).multiple(), Argument::string("id").multiple()],
        )
        .after("STREAMS"),
    ],
    run: xread,
    ..CommandSpec::NEW
};
pub(super) static XREADGROUP: CommandSpec = CommandSpec {
    name: "xreadgroup",
    summary: "Returns entries to a consumer of a group; waits for them if asked to.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries returned.",
    arity: -7,
    flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::MOVABLEKEYS),
    keys: &[KeySpec {
        flags: KeyFlags::RO.and(KeyFlags::ACCESS),
        begin: Begin::Keyword("STREAMS", 4),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        notes: "",
    }],
    arguments: &[
        Argument::block("group-block", &[Argument::string("group"), Argument::string("consumer")])
            .after("GROUP"),
        Argument::integer("count").after("COUNT").optional(),
        Argument::integer("maxcount").after("MAXCOUNT").optional().since("8.10.0"),
        Argument::integer("maxsize").after("MAXSIZE").optional().since("8.10.0"),
        Argument::integer("milliseconds").after("BLOCK").optional(),
        Argument::integer("min-idle-time").after("CLAIM").optional().since("8.4.0"),
        Argument::word("noack", "NOACK").optional(),
        Argument::block(
            "streams",
            &[Argument::key("key", 0).multiple(), Argument::string("id").multiple()],
        )
        .after("STREAMS"),
    ],
    history: &[("8.4.0", "Added the `CLAIM` option.")],
    run: xreadgroup,
    ..CommandSpec::NEW
};

/// Where to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Behind an id.
    After(StreamId),
    /// `$`: behind what is there now.
    Now,
    /// `+`: with the last entry.
    Last,
    /// `>`: behind what the group has read.
    New,
}

pub(super) struct Options<'a> {
    pub(super) count: usize,
    pub(super) budget: Budget,
    /// How long to wait, in milliseconds; 0 for ever.
    block_ms: Option<i64>,
    /// Pending entries come first that were not delivered for so many milliseconds.
    claim_ms: Option<i64>,
    /// When the first of the others will be that old, in milliseconds since 1970.
    again_ms: Option<i64>,
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// The position of the first key, and how many there are.
    first: usize,
    streams: usize,
}

fn parse<'a>(ctx: &Context<'a>, grouped: bool) -> Result<Options<'a>, CommandError> {
    let mut options = Options {
        count: usize::MAX,
        budget: Budget::UNLIMITED,
        block_ms: None,
        claim_ms: None,
        again_ms: None,
        group: None,
        no_ack: false,
        first: 0,
        streams: 0,
    };
    let only_grouped = |option: &str| {
        CommandError::new(format!(
            "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
        ))
    };
    let mut at = 1;
    while at < ctx.args.len() {
        let more = ctx.args.len() - 1 - at;
        if ctx.is_word(at, "BLOCK") && more > 0 {
            options.block_ms = Some(milliseconds(ctx, at + 1, "timeout", "is negative")?);
            at += 1;
        } else if ctx.is_word(at, "CLAIM") && more > 0 {
            if !grouped {
                return Err(only_grouped("CLAIM"));
            }
            let wrong = "must be a positive integer";
            options.claim_ms = Some(milliseconds(ctx, at + 1, "min-idle-time", wrong)?);
            at += 1;
        } else if ctx.is_word(at, "COUNT") && more > 0 {
            let count = ctx.int(at + 1)?;
            options.count = if count > 0 { count as usize } else { usize::MAX };
            at += 1;
        } else if more > 0 && options.budget.parse(ctx, at)? {
            at += 1;
        } else if ctx.is_word(at, "STREAMS") && more > 0 {
            options.first = at + 1;
            options.streams = more / 2;
            if more % 2 == 1 {
                return Err(unbalanced(ctx.command.name, grouped));
            }
            break;
        } else if ctx.is_word(at, "GROUP") && more >= 2 {
            if !grouped {
                return Err(only_grouped("GROUP"));
            }
            options.group = Some((ctx.arg(at + 1), ctx.arg(at + 2)));
            at += 2;
        } else if ctx.is_word(at, "NOACK") {
            if !grouped {
                return Err(only_grouped("NOACK"));
            }
            options.no_ack = true;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    if options.streams == 0 {
        return Err(CommandError::Syntax);
    }
    options.budget.check(options.count)?;
    if grouped && options.group.is_none() {
        return Err(CommandError::new("ERR Missing GROUP option for XREADGROUP"));
    }
    Ok(options)
}

fn unbalanced(name: &str, grouped: bool) -> CommandError {
    let symbol = if grouped { '>' } else { '$' };
    CommandError::new(format!(
        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be \
         specified."
    ))
}

/// A number of milliseconds, and what is said of one that is less than none.
fn milliseconds(
    ctx: &Context<'_>,
    at: usize,
    name: &str,
    negative: &str,
) -> Result<i64, CommandError> {
    let error = |text: &str| CommandError::new(format!("ERR {name} {text}"));
    match ctx.int(at) {
        Ok(ms) if ms >= 0 => Ok(ms),
        Ok(_) => Err(error(negative)),
        Err(_) => Err(error("is not an integer or out of range")),
    }
}

fn parse_from(text: &[u8], grouped: bool) -> Result<From, CommandError> {
    match text {
        b"$" if grouped => Err(CommandError::new(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the \
             history of this consumer by specifying a proper ID, or use the > ID to get new \
             messages. The $ ID would just return an empty result set.",
        )),
        b"$" => Ok(From::Now),
        b"+" if !grouped => Ok(From::Last),
        b">" if grouped => Ok(From::New),
        b">" => Err(CommandError::new(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
             <consumer> option.",
        )),
        _ => Ok(From::After(id::parse(text, 0)?)),
    }
}

/// A part of the answer: a stream's name and entries.
struct Part<'a> {
    name: &'a [u8],
    encoded: Vec<u8>,
}

/// Answers the parts, or waits, or answers that there is nothing.
fn finish(
    ctx: &mut Context<'_>,
    options: &Options<'_>,
    parts: &[Part<'_>],
    wait_for: Option<Type>,
    args: Option<Vec<&[u8]>>,
) {
    if !parts.is_empty() {
        match ctx.reply.is_resp3() {
            true => ctx.reply.map(parts.len()),
            false => ctx.reply.array(parts.len()),
        }
        for part in parts {
            if !ctx.reply.is_resp3() {
                ctx.reply.array(2);
            }
            ctx.reply.bulk(part.name);
            ctx.reply.raw(&part.encoded);
        }
        return;
    }
    let Some(block_ms) = options.block_ms else {
        ctx.reply.null_array();
        return;
    };
    let deadline_ms = (block_ms > 0).then(|| ctx.now_ms.saturating_add(block_ms));
    let keys = options.first..options.first + options.streams;
    let on_timeout = |reply: &mut Reply| reply.null_array();
    let again_ms = options.again_ms;
    ctx.block(Wait { keys, kind: wait_for, deadline_ms, again_ms, on_timeout, args });
}

fn xread(ctx: &mut Context<'_>) -> CommandResult {
    let mut options = parse(ctx, false)?;
    let args = ctx.args;
    let mut texts: Vec<Option<String>> = vec![None; options.streams];
    let mut parts = Vec::new();
    for (index, text) in texts.iter_mut().enumerate() {
        let at = options.first + index;
        let key = ctx.key(at);
        let protocol = ctx.reply.protocol();
        let stream = ctx.read_stream(&key)?;
        let from = parse_from(args[at + options.streams], false)?;
        let Some(stream) = stream else {
            if matches!(from, From::Now | From::Last) {
                *text = Some(StreamId::MIN.to_string());
            }
            continue;
        };
        let after = match from {
            From::After(id) => id,
            From::Last => match stream.last_entry_id().and_then(StreamId::previous) {
                Some(id) => id,
                None => stream.last_id,
            },
            From::Now | From::New => stream.last_id,
        };
        if from == From::Now || from == From::Last {
            *text = Some(stream.last_id.to_string());
        }
        let Some(start) = after.next().filter(|_| stream.has_after(after)) else { continue };
        let entries = walk(stream, start, options.count, &mut options.budget);
        if entries.is_empty() {
            continue;
        }
        let mut reply = Reply::default();
        reply.set_protocol(protocol);
        id::reply_entries(&mut reply, &entries);
        parts.push(Part { name: args[at], encoded: reply.parts().0.to_vec() });
    }
    // Who waits for what comes after `$` waits for what comes after what is there now.
    let fixed: Vec<&[u8]> = args
        .iter()
        .enumerate()
        .map(|(at, &arg)| {
            let text = at.checked_sub(options.first + options.streams);
            let text = text.and_then(|index| texts.get(index)?.as_deref());
            text.map_or(arg, str::as_bytes)
        })
        .collect();
    finish(ctx, &options, &parts, Some(Type::Stream), Some(fixed));
    Ok(())
}

/// Entries from an id on, as many as are wanted and fit.
fn walk<'s>(
    stream: &'s Stream,
    start: StreamId,
    count: usize,
    budget: &mut Budget,
) -> Vec<StreamEntry<'s>> {
    let mut entries = Vec::new();
    stream.walk(start, StreamId::MAX, |entry| {
        let fits = budget.take(Some(&entry));
        if fits {
            entries.push(entry);
        }
        fits && entries.len() < count
    });
    entries
}

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::new(format!(
        "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
        String::from_utf8_lossy(key),
        String::from_utf8_lossy(group)
    ))
}

fn xreadgroup(ctx: &mut Context<'_>) -> CommandResult {
    let mut options = parse(ctx, true)?;
    let args = ctx.args;
    let Some((group, consumer)) = options.group else { return Err(CommandError::Syntax) };
    let mut froms = Vec::new();
    for index in 0..options.streams {
        let at = options.first + index;
        let key = ctx.key(at);
        let stream = ctx.read_stream(&key)?;
        if !stream.is_some_and(|stream| stream.groups.contains_key(group)) {
            return Err(no_group(args[at], group));
        }
        froms.push(parse_from(args[at + options.streams], true)?);
    }
    let mut parts = Vec::new();
    for (index, from) in froms.into_iter().enumerate() {
        if options.budget.is_spent() {
            break;
        }
        let at = options.first + index;
        let key = ctx.key(at);
        let encoded = match from {
            From::After(after) => {
                Some(read_pending(ctx, &key, (group, consumer), after, &mut options)?)
            }
            _ => read_new(ctx, &key, (group, consumer), &mut options)?,
        };
        if let Some(encoded) = encoded {
            ctx.journal.dirty += 1;
            parts.push(Part { name: args[at], encoded });
        }
    }
    finish(ctx, &options, &parts, None, None);
    Ok(())
}

/// Makes the consumer if it is not there, and notes that it has asked.
fn greet(ctx: &mut Context<'_>, key: &Key<'_>, (group, consumer): (&[u8], &[u8])) -> CommandResult {
    let now_ms = ctx.now_ms;
    let mut is_new = false;
    if let Some(mut stream) = ctx.edit_stream(key)?.0
        && let Some(group) = stream.groups.get_mut(group)
    {
        let (consumer, made) = group.consumer(consumer, now_ms);
        consumer.seen_ms = now_ms;
        is_new = made;
    }
    if is_new {
        ctx.changed_aside(key, Event::stream("xgroup-createconsumer"));
    }
    Ok(())
}

/// Entries that the group has not read, behind those that have been pending for too long, if they
/// are asked for; `None` if there are none.
fn read_new(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    names: (&[u8], &[u8]),
    options: &mut Options<'_>,
) -> Result<Option<Vec<u8>>, CommandError> {
    greet(ctx, key, names)?;
    let (now_ms, protocol) = (ctx.now_ms, ctx.reply.protocol());
    let (Some(mut opened), _) = ctx.edit_stream(key)? else { return Ok(None) };
    let stream: &mut Stream = &mut opened;
    // The group is taken out while it and the entries are looked at together.
    let Some((name, mut group)) = stream.groups.remove_entry(names.0) else { return Ok(None) };
    let overdue = match options.claim_ms {
        Some(ms) => overdue::find(stream, &mut group, now_ms.saturating_sub(ms), options),
        None => Overdue::default(),
    };
    let entries = unread(stream, &group, options.count - overdue.len(), &mut options.budget);
    let encoded = (overdue.len() + entries.len() > 0).then(|| {
        let mut reply = Reply::default();
        reply.set_protocol(protocol);
        match options.claim_ms {
            Some(_) => overdue.reply(&mut reply, &entries, now_ms),
            None => id::reply_entries(&mut reply, &entries),
        }
        reply.parts().0.to_vec()
    });
    let dropped = overdue.give(&mut group, names.1, now_ms);
    for entry in &entries {
        advance(stream, &mut group, entry.id);
        if !options.no_ack {
            group.assign(entry.id, names.1, now_ms, 1);
        }
    }
    if encoded.is_some() {
        group.consumer(names.1, now_ms).0.active_ms = now_ms;
    } else if let Some(ms) = options.claim_ms {
        let next_ms = group.oldest_ms().map(|oldest_ms| oldest_ms.saturating_add(ms));
        options.again_ms = options.again_ms.into_iter().chain(next_ms).min();
    }
    stream.groups.insert(name, group);
    drop(opened);
    ctx.journal.dirty += dropped;
    Ok(encoded)
}

/// Entries that a group has not read, as many as are wanted and fit.
fn unread<'s>(
    stream: &'s Stream,
    group: &ConsumerGroup,
    count: usize,
    budget: &mut Budget,
) -> Vec<StreamEntry<'s>> {
    match group.last_id.next() {
        Some(start) if count > 0 && stream.has_after(group.last_id) => {
            walk(stream, start, count, budget)
        }
        _ => Vec::new(),
    }
}

/// Notes that the group has read an entry.
pub(super) fn advance(stream: &Stream, group: &mut ConsumerGroup, id: StreamId) {
    if id <= group.last_id {
        return;
    }
    // With nothing deleted or trimmed behind what it had read, the group has read one more.
    let counts = !stream.has_gap(group.last_id, StreamId::MAX)
        && stream.first_id().is_some_and(|first| group.last_id >= first);
    group.entries_read = match group.entries_read {
        Some(read) if counts => Some(read.wrapping_add(1)),
        _ => stream.entries_read_at(id),
    };
    group.last_id = id;
}

/// Entries that were delivered to the consumer already and are pending, behind an id.
fn read_pending(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    names: (&[u8], &[u8]),
    after: StreamId,
    options: &mut Options<'_>,
) -> Result<Vec<u8>, CommandError> {
    greet(ctx, key, names)?;
    let now_ms = ctx.now_ms;
    let (Some(mut stream), _) = ctx.edit_stream(key)? else { return Ok(Vec::new()) };
    let ids: Vec<StreamId> = match (after.next(), stream.groups.get(names.0)) {
        (Some(start), Some(group)) => match group.consumers().get(names.1) {
            Some(consumer) => {
                let pending = consumer.pending.range(start..).take(options.count).copied();
                pending.take_while(|&id| options.budget.take(stream.get(id).as_ref())).collect()
            }
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    // What was deleted meanwhile is answered as pending, but not delivered again.
    let there: Vec<StreamId> = ids.iter().copied().filter(|&id| stream.get(id).is_some()).collect();
    if let Some(group) = stream.groups.get_mut(names.0) {
        there.iter().for_each(|&id| group.redeliver(id, now_ms));
    }
    drop(stream);
    let protocol = ctx.reply.protocol();
    let Some(stream) = ctx.peek(key).and_then(|entry| entry.stream()) else {
        return Ok(Vec::new());
    };
    let mut reply = Reply::default();
    reply.set_protocol(protocol);
    reply.array(ids.len());
    for id in ids {
        match stream.get(id) {
            Some(entry) => id::reply_entry(&mut reply, &entry),
            None => {
                reply.array(2);
                id::reply_id(&mut reply, id);
                reply.null_array();
            }
        }
    }
    Ok(reply.parts().0.to_vec())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn part(name: &str, ids: &[u32]) -> String {
        let entries = ids
            .iter()
            .map(|n| format!("*2\r\n$3\r\n{n}-0\r\n*2\r\n$1\r\na\r\n$1\r\n{n}\r\n"))
            .collect::<String>();
        format!("*2\r\n$1\r\n{name}\r\n*{}\r\n{entries}", ids.len())
    }

    fn filled() -> Client {
        let mut client = Client::new();
        (1..=3).for_each(|n| drop(client.say(&format!("XADD s {n} a {n}"))));
        client
    }

    #[test]
    fn streams_are_read_on() {
        let mut client = filled();
        assert_eq!(client.say("XREAD STREAMS s 1"), format!("*1\r\n{}", part("s", &[2, 3])));
        assert_eq!(
            client.say("XREAD COUNT 1 STREAMS s x 0 0"),
            format!("*1\r\n{}", part("s", &[1]))
        );
        assert_eq!(client.say("XREAD STREAMS s 3"), "*-1\r\n");
        assert_eq!(client.say("XREAD STREAMS s +"), format!("*1\r\n{}", part("s", &[3])));
        assert!(client.say("XREAD COUNT 1 STREAMS s").contains("Unbalanced 'xread'"));
        assert!(client.say("XREAD STREAMS s >").contains("only when calling XREADGROUP"));
        assert!(client.say("XREAD BLOCK -1 STREAMS s 0").contains("timeout is negative"));
    }

    #[test]
    fn readers_wait_for_what_comes() {
        let mut client = filled();
        let mut writer = client.another();
        assert_eq!(client.say("XREAD BLOCK 0 STREAMS none s $ $"), "");
        writer.say("XADD s 4 a 4");
        assert_eq!(client.mail(), format!("*1\r\n{}", part("s", &[4])));
    }

    #[test]
    fn who_waits_as_a_group_waits_for_the_key_itself() {
        let mut client = Client::new();
        let (mut list, mut group) = (client.another(), client.another());
        let mut keys = || {
            let info = client.say("INFO clients");
            let field = |name: &str| {
                let line = info.lines().find(|line| line.starts_with(name)).unwrap_or_default();
                line[name.len()..].to_owned()
            };
            field("total_blocking_keys_on_nokey:")
        };
        assert_eq!(list.say("BLPOP s 0"), "");
        assert_eq!(keys(), "0");
        list.another().say("XGROUP CREATE s g $ MKSTREAM");
        assert_eq!(group.say("XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), "");
        assert_eq!(keys(), "1");
        list.another().say("DEL s");
        assert!(group.mail().starts_with("-NOGROUP"));
        assert_eq!(keys(), "0");
    }

    #[test]
    fn a_group_behind_a_deleted_entry_is_counted_anew() {
        let mut client = Client::new();
        (1..=5).for_each(|n| drop(client.say(&format!("XADD s {n}-0 a b"))));
        client.say("XGROUP CREATE s g 0");
        client.say("XREADGROUP GROUP g c COUNT 3 STREAMS s >");
        client.say("XDEL s 4-0");
        let mut counts = |line: &str| {
            client.say(line);
            let groups = client.say("XINFO GROUPS s");
            groups.split("entries-read\r\n").nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!(counts("XREADGROUP GROUP g c STREAMS s >"), ":5\r\n$3\r\nlag\r\n:0\r\n");
        counts("XADD s 6-0 a b");
        counts("XADD s 7-0 a b");
        counts("XADD s 8-0 a b");
        let trimmed = counts("XTRIM s MINID 7-0");
        assert_eq!(trimmed, ":5\r\n$3\r\nlag\r\n:2\r\n", "what is trimmed need not be read");
        let read = counts("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
        assert_eq!(read, ":7\r\n$3\r\nlag\r\n:1\r\n");
        assert_eq!(counts("XTRIM s MAXLEN 0"), ":7\r\n$3\r\nlag\r\n:0\r\n");
    }

    #[test]
    fn a_group_shares_entries() {
        let mut client = filled();
        let mut other = client.another();
        client.say("XGROUP CREATE s g 0");
        assert_eq!(
            client.say("XREADGROUP GROUP g one COUNT 2 STREAMS s >"),
            format!("*1\r\n{}", part("s", &[1, 2]))
        );
        assert_eq!(
            client.say("XREADGROUP GROUP g two STREAMS s >"),
            format!("*1\r\n{}", part("s", &[3]))
        );
        assert_eq!(client.say("XREADGROUP GROUP g two STREAMS s >"), "*-1\r\n");
        assert_eq!(
            client.say("XREADGROUP GROUP g one STREAMS s 1"),
            format!("*1\r\n{}", part("s", &[2]))
        );
        assert!(client.say("XPENDING s g 2 2 1").ends_with(":2\r\n"), "delivered again");
        client.say("XDEL s 2");
        assert_eq!(
            client.say("XREADGROUP GROUP g one STREAMS s 1"),
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*-1\r\n"
        );
        assert!(client.say("XPENDING s g 2 2 1").ends_with(":2\r\n"), "nothing to deliver");
        assert!(client.say("XREADGROUP GROUP x one STREAMS s >").starts_with("-NOGROUP"));
        assert_eq!(other.say("XREADGROUP GROUP g one BLOCK 0 STREAMS s >"), "");
        client.say("DEL s");
        assert!(other.mail().starts_with("-NOGROUP"), "the group is gone");
    }
}
