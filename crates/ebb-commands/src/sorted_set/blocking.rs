//! BZPOPMIN, BZPOPMAX, BZMPOP: waiting for members.

use ebb_engine::blocking::Wait;
use ebb_engine::{
    Argument, ArgumentKind, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use ebb_keyspace::{Key, Type};

use super::pop::{End, Request, pop_first, reply_with_key};
use crate::deadline::timeout;

pub(super) static BZPOPMIN: CommandSpec = CommandSpec {
    name: "bzpopmin",
    summary: "Removes the member with the lowest score of the first sorted set that has any; waits for it.",
    since: "5.0.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) for N members.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::FAST),
    keys: &[KeySpec::range(1, -2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0).multiple(),
        Argument::new("timeout", ArgumentKind::Double),
    ],
    run: |ctx| pop_one(ctx, End::Min),
    ..CommandSpec::NEW
};
pub(super) static BZPOPMAX: CommandSpec = CommandSpec {
    name: "bzpopmax",
    summary: "Removes the member with the highest score of the first sorted set that has any; waits for it.",
    since: "5.0.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) for N members.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::FAST),
    keys: &[KeySpec::range(1, -2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0).multiple(),
        Argument::new("timeout", ArgumentKind::Double),
    ],
    run: |ctx| pop_one(ctx, End::Max),
    ..CommandSpec::NEW
};
pub(super) static BZMPOP: CommandSpec = CommandSpec {
    name: "bzmpop",
    summary: "Pops members of the first sorted set that has any; waits for them.",
    since: "7.0.0",
    group: Group::SortedSet,
    complexity: "O(K)+O(M*log(N)) for K keys and N members of which M are popped.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::new("timeout", ArgumentKind::Double),
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::one_of("where", &[Argument::word("min", "MIN"), Argument::word("max", "MAX")]),
        Argument::integer("count").after("COUNT").optional(),
    ],
    run: pop_many,
    ..CommandSpec::NEW
};

fn wait(ctx: &mut Context<'_>, keys: std::ops::Range<usize>, deadline_ms: Option<i64>) {
    let on_timeout = |reply: &mut ebb_engine::Reply| reply.null_array();
    ctx.block(Wait {
        keys,
        kind: Some(Type::SortedSet),
        deadline_ms,
        on_timeout,
        args: None,
        again_ms: None,
    });
}

fn pop_one(ctx: &mut Context<'_>, end: End) -> CommandResult {
    let last = ctx.args.len() - 1;
    let deadline_ms = timeout(ctx, last)?;
    let keys: Vec<Key<'_>> = (1..last).map(|at| ctx.key(at)).collect();
    match pop_first(ctx, keys, end, 1)? {
        Some((key, popped)) => {
            ctx.reply.array(3);
            ctx.reply.bulk(key.bytes());
            for (member, score) in &popped {
                ctx.reply.bulk(member);
                ctx.reply.double(*score);
            }
        }
        None => wait(ctx, 1..last, deadline_ms),
    }
    Ok(())
}

fn pop_many(ctx: &mut Context<'_>) -> CommandResult {
    let deadline_ms = timeout(ctx, 1)?;
    let request = Request::parse(ctx, 2)?;
    let keys: Vec<Key<'_>> = request.keys.clone().map(|at| ctx.key(at)).collect();
    match pop_first(ctx, keys, request.end, request.count)? {
        Some((key, popped)) => reply_with_key(ctx.reply, key.bytes(), &popped),
        None => wait(ctx, request.keys, deadline_ms),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn members_come_at_once_or_later() {
        let mut client = Client::new();
        let mut writer = client.another();
        client.say("ZADD b 1 x 2 y 3 z");
        assert_eq!(client.say("BZPOPMIN a b 0"), "*3\r\n$1\r\nb\r\n$1\r\nx\r\n$1\r\n1\r\n");
        assert_eq!(client.say("BZPOPMAX a b 0"), "*3\r\n$1\r\nb\r\n$1\r\nz\r\n$1\r\n3\r\n");
        assert_eq!(
            client.say("BZMPOP 0 2 a b MIN COUNT 5"),
            "*2\r\n$1\r\nb\r\n*1\r\n*2\r\n$1\r\ny\r\n$1\r\n2\r\n"
        );
        assert_eq!(client.say("BZPOPMIN a b 0"), "");
        assert_eq!(writer.say("SADD a m"), ":1\r\n");
        assert_eq!(client.mail(), "", "another type serves nobody");
        writer.say("DEL a");
        assert_eq!(writer.say("ZADD b 5 n 4 m"), ":2\r\n");
        assert_eq!(client.mail(), "*3\r\n$1\r\nb\r\n$1\r\nm\r\n$1\r\n4\r\n");
        let mut third = writer.another();
        assert_eq!(third.say("BZMPOP 0 1 q MAX"), "");
        writer.say("ZRANGESTORE q b 0 -1");
        assert_eq!(third.mail(), "*2\r\n$1\r\nq\r\n*1\r\n*2\r\n$1\r\nn\r\n$1\r\n5\r\n");
        writer.say("SADD a m");
        assert!(writer.say("BZPOPMIN a 0").starts_with("-WRONGTYPE"));
        assert_eq!(writer.say("BZPOPMIN q -1"), "-ERR timeout is negative\r\n");
    }
}
