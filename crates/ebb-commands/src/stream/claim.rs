//! XCLAIM, XAUTOCLAIM: pending entries from one consumer to another.

use ebb_collections::stream::{Group as ConsumerGroup, Stream, StreamId};
use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group,
    KeyFlags, KeySpec,
};
use ebb_keyspace::Key;

use super::{id, no_group};

pub(super) static XCLAIM: CommandSpec = CommandSpec {
    name: "xclaim",
    summary: "Gives pending entries to another consumer.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(log N) for each, with N entries pending.",
    arity: -6,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("group"),
        Argument::string("consumer"),
        Argument::string("min-idle-time"),
        Argument::string("id").multiple(),
        Argument::integer("ms").after("IDLE").optional(),
        Argument::new("unix-time-milliseconds", ArgumentKind::UnixTime).after("TIME").optional(),
        Argument::integer("count").after("RETRYCOUNT").optional(),
        Argument::word("force", "FORCE").optional(),
        Argument::word("justid", "JUSTID").optional(),
        Argument::string("lastid").after("LASTID").optional(),
    ],
    tips: &["nondeterministic_output"],
    run: xclaim,
    ..CommandSpec::NEW
};
pub(super) static XAUTOCLAIM: CommandSpec = CommandSpec {
    name: "xautoclaim",
    summary: "Gives pending entries that nobody cared about to another consumer.",
    since: "6.2.0",
    group: Group::Stream,
    complexity: "O(1) if COUNT is small.",
    arity: -6,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("group"),
        Argument::string("consumer"),
        Argument::string("min-idle-time"),
        Argument::string("start"),
        Argument::integer("count").after("COUNT").optional(),
        Argument::word("justid", "JUSTID").optional(),
    ],
    tips: &["nondeterministic_output"],
    run: xautoclaim,
    ..CommandSpec::NEW
};

struct Options {
    min_idle_ms: i64,
    delivered_ms: i64,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: Option<StreamId>,
}

fn min_idle(ctx: &Context<'_>) -> Result<i64, CommandError> {
    let name = ctx.command.name.to_ascii_uppercase();
    let invalid = || CommandError::new(format!("ERR Invalid min-idle-time argument for {name}"));
    ctx.int(4).map(|ms| ms.max(0)).map_err(|_| invalid())
}

/// The ids from argument 5 on, and the options behind them.
fn parse(ctx: &Context<'_>) -> Result<(Vec<StreamId>, Options), CommandError> {
    let mut options = Options {
        min_idle_ms: min_idle(ctx)?,
        delivered_ms: ctx.now_ms,
        deliveries: None,
        force: false,
        just_id: false,
        last_id: None,
    };
    let mut at = 5;
    let mut ids = Vec::new();
    while let Some(Ok(id)) = ctx.args.get(at).map(|text| id::parse(text, 0)) {
        ids.push(id);
        at += 1;
    }
    let mut invalid_first = ids.is_empty();
    while at < ctx.args.len() {
        let more = ctx.args.len() - 1 - at;
        let named =
            |name| CommandError::new(format!("ERR Invalid {name} option argument for XCLAIM"));
        match () {
            () if ctx.is_word(at, "FORCE") => options.force = true,
            () if ctx.is_word(at, "JUSTID") => options.just_id = true,
            () if ctx.is_word(at, "IDLE") && more > 0 => {
                let idle = ctx.int(at + 1).map_err(|_| named("IDLE"))?;
                options.delivered_ms = ctx.now_ms.saturating_sub(idle);
                at += 1;
            }
            () if ctx.is_word(at, "TIME") && more > 0 => {
                options.delivered_ms = ctx.int(at + 1).map_err(|_| named("TIME"))?;
                at += 1;
            }
            () if ctx.is_word(at, "RETRYCOUNT") && more > 0 => {
                let count = ctx.int(at + 1).map_err(|_| named("RETRYCOUNT"))?;
                // As in Redis, less than none is as if nothing had been said.
                options.deliveries = u64::try_from(count).ok();
                at += 1;
            }
            () if ctx.is_word(at, "LASTID") && more > 0 => {
                options.last_id = Some(id::parse(ctx.arg(at + 1), 0)?);
                at += 1;
            }
            () if invalid_first => {
                id::parse(ctx.arg(at), 0)?;
                invalid_first = false;
            }
            () => {
                let option = ctx.quote(at);
                return Err(CommandError::new(format!(
                    "ERR Unrecognized XCLAIM option '{option}'"
                )));
            }
        }
        at += 1;
    }
    // A time that is yet to come, or was before all times, is now.
    if options.delivered_ms < 0 || options.delivered_ms > ctx.now_ms {
        options.delivered_ms = ctx.now_ms;
    }
    Ok((ids, options))
}

/// Does something with a group of a stream, which both exist.
fn with_group<R>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    name: &[u8],
    work: impl FnOnce(&Stream, &mut ConsumerGroup) -> R,
) -> Result<R, CommandError> {
    let missing = || no_group(key.bytes(), name);
    let (stream, _) = ctx.edit_stream(key)?;
    let mut stream = stream.ok_or_else(missing)?;
    // The group is taken out while it and the rest of the stream are looked at together.
    let (name, mut group) = stream.groups.remove_entry(name).ok_or_else(missing)?;
    let result = work(&stream, &mut group);
    stream.groups.insert(name, group);
    Ok(result)
}

/// Notes that a consumer has asked; answers whether it is new.
fn greet(group: &mut ConsumerGroup, name: &[u8], now_ms: i64) -> bool {
    let (consumer, made) = group.consumer(name, now_ms);
    consumer.seen_ms = now_ms;
    made
}

fn check_group(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    match ctx.read_stream(&key)? {
        Some(stream) if stream.groups.contains_key(name) => Ok(()),
        _ => Err(no_group(key.bytes(), name)),
    }
}

fn xclaim(ctx: &mut Context<'_>) -> CommandResult {
    check_group(ctx)?;
    let (ids, options) = parse(ctx)?;
    let (key, name, consumer, now_ms) = (ctx.key(1), ctx.arg(2), ctx.arg(3), ctx.now_ms);
    let (claimed, made) = with_group(ctx, &key, name, |stream, group| {
        if let Some(last_id) = options.last_id {
            group.last_id = group.last_id.max(last_id);
        }
        let made = greet(group, consumer, now_ms);
        let claimed: Vec<StreamId> = ids
            .into_iter()
            .filter(|&id| claim(stream, group, consumer, id, &options, now_ms))
            .collect();
        if !claimed.is_empty() {
            group.consumer(consumer, now_ms).0.active_ms = now_ms;
        }
        (claimed, made)
    })?;
    if made {
        ctx.changed_aside(&key, Event::stream("xgroup-createconsumer"));
    }
    ctx.journal.dirty += claimed.len() as u64;
    if !claimed.is_empty() && (options.force || options.delivered_ms < now_ms) {
        // Who waits for what is pending for long may wait shorter now.
        ctx.may_be_ready(&key);
    }
    answer_entries(ctx, &key, &claimed, options.just_id);
    Ok(())
}

/// Gives an entry to a consumer; answers whether it got it. An entry that is deleted is not pending
/// any more, either.
fn claim(
    stream: &Stream,
    group: &mut ConsumerGroup,
    consumer: &[u8],
    id: StreamId,
    options: &Options,
    now_ms: i64,
) -> bool {
    let pending = group.pending().get(&id);
    if stream.get(id).is_none() {
        group.acknowledge(id);
        return false;
    }
    let (delivered_ms, deliveries, next) = match pending {
        Some(pending) => (Some(pending.delivered_ms), pending.deliveries, pending.next_delivery()),
        None if options.force => (None, 0, 1),
        None => return false,
    };
    if delivered_ms.is_some_and(|at| now_ms - at < options.min_idle_ms) {
        return false;
    }
    let deliveries = match options.deliveries {
        Some(count) => count,
        None if options.just_id => deliveries,
        None => next,
    };
    group.assign(id, consumer, options.delivered_ms, deliveries);
    true
}

fn answer_entries(ctx: &mut Context<'_>, key: &Key<'_>, ids: &[StreamId], just_id: bool) {
    ctx.reply.array(ids.len());
    if just_id {
        ids.iter().for_each(|&id| id::reply_id(ctx.reply, id));
        return;
    }
    let (db, reply) = (ctx.session.db, &mut *ctx.reply);
    let entry = ctx.locks.shard_of(key).db_ref(db).get(key);
    let Some(stream) = entry.and_then(|entry| entry.stream()) else { return };
    ids.iter().filter_map(|&id| stream.get(id)).for_each(|entry| id::reply_entry(reply, &entry));
}

/// Pending entries that are looked at for each that is wanted.
const ATTEMPTS: usize = 10;

fn xautoclaim(ctx: &mut Context<'_>) -> CommandResult {
    let min_idle_ms = min_idle(ctx)?;
    let start = id::parse_start(ctx.arg(5))?;
    let (mut count, mut just_id, mut at) = (100, false, 6);
    while at < ctx.args.len() {
        if ctx.is_word(at, "COUNT") && at + 1 < ctx.args.len() {
            let value = ctx.int(at + 1).ok().filter(|count| (1..=1 << 40).contains(count));
            count = value.ok_or(CommandError::new("ERR COUNT must be > 0"))? as usize;
            at += 1;
        } else if ctx.is_word(at, "JUSTID") {
            just_id = true;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    check_group(ctx)?;
    let (key, name, consumer, now_ms) = (ctx.key(1), ctx.arg(2), ctx.arg(3), ctx.now_ms);
    let options = Options {
        min_idle_ms,
        delivered_ms: now_ms,
        deliveries: None,
        force: false,
        just_id,
        last_id: None,
    };
    let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
    let (next, made) = with_group(ctx, &key, name, |stream, group| {
        let made = greet(group, consumer, now_ms);
        let mut ids = group.pending().range(start..).map(|(&id, _)| id).collect::<Vec<_>>();
        let looked_at = ids.len().min(count.saturating_mul(ATTEMPTS));
        let mut next = ids.get(looked_at).copied();
        ids.truncate(looked_at);
        for (number, &id) in ids.iter().enumerate() {
            if claimed.len() + deleted.len() == count {
                next = Some(ids[number]);
                break;
            }
            if stream.get(id).is_none() {
                group.acknowledge(id);
                deleted.push(id);
            } else if claim(stream, group, consumer, id, &options, now_ms) {
                claimed.push(id);
            }
        }
        if !claimed.is_empty() {
            group.consumer(consumer, now_ms).0.active_ms = now_ms;
        }
        (next.unwrap_or(StreamId::MIN), made)
    })?;
    if made {
        ctx.changed_aside(&key, Event::stream("xgroup-createconsumer"));
    }
    ctx.journal.dirty += (claimed.len() + deleted.len()) as u64;
    ctx.reply.array(3);
    id::reply_id(ctx.reply, next);
    answer_entries(ctx, &key, &claimed, just_id);
    ctx.reply.array(deleted.len());
    deleted.iter().for_each(|&id| id::reply_id(ctx.reply, id));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn delivered() -> Client {
        let mut client = Client::new();
        (1..=3).for_each(|n| drop(client.say(&format!("XADD s {n} a {n}"))));
        client.say("XGROUP CREATE s g 0");
        client.say("XREADGROUP GROUP g one STREAMS s >");
        client
    }

    #[test]
    fn entries_change_hands() {
        let mut client = delivered();
        assert_eq!(
            client.say("XCLAIM s g two 0 1 9"),
            "*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
        assert_eq!(client.say("XCLAIM s g two 100000 2"), "*0\r\n");
        assert_eq!(client.say("XCLAIM s g two 0 2 JUSTID RETRYCOUNT 7"), "*1\r\n$3\r\n2-0\r\n");
        assert!(client.say("XPENDING s g 2 2 1").ends_with(":7\r\n"));
        client.say("XCLAIM s g two 0 2 JUSTID RETRYCOUNT -1");
        assert!(client.say("XPENDING s g 2 2 1").ends_with(":7\r\n"));
        client.say("XDEL s 3");
        assert_eq!(client.say("XCLAIM s g two 0 3"), "*0\r\n");
        assert!(client.say("XPENDING s g").starts_with("*4\r\n:2\r\n"));
        assert!(client.say("XCLAIM s x two 0 1").starts_with("-NOGROUP"));
        assert!(client.say("XCLAIM s g two x 1").contains("Invalid min-idle-time"));
        assert!(client.say("XCLAIM s g two 0 1 what").contains("Unrecognized XCLAIM option"));
        assert!(client.say("XCLAIM s g two 0 x").contains("Invalid stream ID"));
        client.say("XACK s g 1");
        assert_eq!(client.say("XCLAIM s g two 0 1"), "*0\r\n");
        assert_eq!(client.say("XCLAIM s g two 0 1 FORCE JUSTID"), "*1\r\n$3\r\n1-0\r\n");
    }

    #[test]
    fn forgotten_entries_are_found() {
        let mut client = delivered();
        client.say("XDEL s 2");
        assert_eq!(
            client.say("XAUTOCLAIM s g two 0 - COUNT 1 JUSTID"),
            "*3\r\n$3\r\n2-0\r\n*1\r\n$3\r\n1-0\r\n*0\r\n"
        );
        assert_eq!(
            client.say("XAUTOCLAIM s g two 0 2-0 COUNT 1 JUSTID"),
            "*3\r\n$3\r\n3-0\r\n*0\r\n*1\r\n$3\r\n2-0\r\n",
            "what is deleted counts"
        );
        assert_eq!(
            client.say("XAUTOCLAIM s g two 0 2-0 JUSTID"),
            "*3\r\n$3\r\n0-0\r\n*1\r\n$3\r\n3-0\r\n*0\r\n"
        );
        assert_eq!(client.say("XAUTOCLAIM s g two 0 - COUNT 0"), "-ERR COUNT must be > 0\r\n");
        assert!(client.say("XAUTOCLAIM s x two 0 -").starts_with("-NOGROUP"));
    }
}
