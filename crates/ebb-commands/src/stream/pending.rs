//! XACK, XPENDING: what was delivered and not acknowledged.

use ebb_collections::stream::{Pending, StreamId};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};

use super::{id, no_group};

pub(super) static XACK: CommandSpec = CommandSpec {
    name: "xack",
    summary: "Acknowledges entries that were delivered to a consumer.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("group"),
        Argument::string("id").multiple(),
    ],
    run: xack,
    ..CommandSpec::NEW
};
pub(super) static XPENDING: CommandSpec = CommandSpec {
    name: "xpending",
    summary: "Tells what was delivered and not acknowledged.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries returned.",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("group"),
        Argument::block(
            "filters",
            &[
                Argument::integer("min-idle-time").after("IDLE").optional().since("6.2.0"),
                Argument::string("start"),
                Argument::string("end"),
                Argument::integer("count"),
                Argument::string("consumer").optional(),
            ],
        )
        .optional(),
    ],
    tips: &["nondeterministic_output"],
    run: xpending,
    ..CommandSpec::NEW
};

fn xack(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    if !ctx.read_stream(&key)?.is_some_and(|stream| stream.groups.contains_key(name)) {
        ctx.reply.integer(0);
        return Ok(());
    }
    let ids: Vec<StreamId> =
        ctx.args[3..].iter().map(|text| id::parse(text, 0)).collect::<Result<_, _>>()?;
    let mut done = 0;
    if let Some(mut stream) = ctx.edit_stream(&key)?.0
        && let Some(group) = stream.groups.get_mut(name)
    {
        done = ids.iter().filter(|&&id| group.acknowledge(id)).count();
    }
    ctx.journal.dirty += done as u64;
    ctx.reply.count(done);
    Ok(())
}

fn xpending(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.args.len() == 3 {
        return summary(ctx);
    }
    let mut at = 3;
    let mut idle_min_ms = 0;
    if ctx.is_word(at, "IDLE") {
        if ctx.args.len() < 8 {
            return Err(CommandError::Syntax);
        }
        idle_min_ms = ctx.int(4)?;
        at = 5;
    }
    if ctx.args.len() < at + 3 || ctx.args.len() > 9 {
        return Err(CommandError::Syntax);
    }
    let count = ctx.int(at + 2)?.max(0) as usize;
    let (from, to) = (id::parse_start(ctx.arg(at))?, id::parse_end(ctx.arg(at + 1))?);
    let consumer = ctx.args.get(at + 3).copied();
    let (key, name, now_ms) = (ctx.key(1), ctx.arg(2), ctx.now_ms);
    let (stream, reply) = ctx.read_stream_and_reply(&key)?;
    let Some(group) = stream.and_then(|stream| stream.groups.get(name)) else {
        return Err(no_group(key.bytes(), name));
    };
    let mut found = Vec::new();
    let range = if from <= to { Some(from..=to) } else { None };
    for (&id, pending) in range.into_iter().flat_map(|range| group.pending().range(range)) {
        if found.len() == count {
            break;
        }
        let is_wanted = consumer.is_none_or(|name| pending.consumer.as_deref() == Some(name));
        if is_wanted && (now_ms - pending.delivered_ms).max(0) >= idle_min_ms {
            found.push((id, pending));
        }
    }
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        id::reply_id(reply, id);
        reply.bulk(pending.owner());
        reply.integer(idle_ms(pending, now_ms));
        reply.integer(pending.deliveries as i64);
    }
    Ok(())
}

/// How long ago an entry was delivered, in milliseconds; -1 if it was released since.
pub(super) fn idle_ms(pending: &Pending, now_ms: i64) -> i64 {
    match pending.consumer {
        Some(_) => (now_ms - pending.delivered_ms).max(0),
        None => -1,
    }
}

/// How many entries are pending, the first and the last of them, and how many for whom.
fn summary(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    let (stream, reply) = ctx.read_stream_and_reply(&key)?;
    let Some(group) = stream.and_then(|stream| stream.groups.get(name)) else {
        return Err(no_group(key.bytes(), name));
    };
    reply.array(4);
    reply.count(group.pending().len());
    let ends = (group.pending().first_key_value(), group.pending().last_key_value());
    let (Some((&first, _)), Some((&last, _))) = ends else {
        reply.null();
        reply.null();
        reply.null_array();
        return Ok(());
    };
    id::reply_id(reply, first);
    id::reply_id(reply, last);
    let busy = group.consumers().iter().filter(|(_, consumer)| !consumer.pending.is_empty());
    reply.array(busy.clone().count());
    for (name, consumer) in busy {
        reply.array(2);
        reply.bulk(name);
        reply.bulk(consumer.pending.len().to_string().as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn what_is_pending_is_told_and_acknowledged() {
        let mut client = Client::new();
        (1..=3).for_each(|n| drop(client.say(&format!("XADD s {n} a {n}"))));
        client.say("XGROUP CREATE s g 0");
        assert_eq!(client.say("XPENDING s g"), "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n");
        client.say("XREADGROUP GROUP g c STREAMS s >");
        assert_eq!(
            client.say("XPENDING s g"),
            "*4\r\n:3\r\n$3\r\n1-0\r\n$3\r\n3-0\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n"
        );
        assert!(
            client.say("XPENDING s g - + 1").starts_with("*1\r\n*4\r\n$3\r\n1-0\r\n$1\r\nc\r\n:")
        );
        assert_eq!(client.say("XPENDING s g - + 5 nobody"), "*0\r\n");
        assert_eq!(client.say("XPENDING s g IDLE 100000 - + 5"), "*0\r\n");
        assert_eq!(client.say("XPENDING s g - +"), "-ERR syntax error\r\n");
        assert_eq!(client.say("XACK s g 1 2 9"), ":2\r\n");
        assert_eq!(client.say("XACK s nothing 1"), ":0\r\n");
        assert!(client.say("XACK s g x").contains("Invalid stream ID"));
        assert!(client.say("XPENDING s x").starts_with("-NOGROUP"));
    }
}
