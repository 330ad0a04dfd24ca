//! ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX: members that go.

use ebb_engine::{
    Argument, ArgumentKind, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

use super::bounds::{By, Selection};

pub(super) static ZREM: CommandSpec = CommandSpec {
    name: "zrem",
    summary: "Removes members of a sorted set.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(M*log(N)) for N members of which M are removed.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
    history: &[("2.4.0", "Accepts multiple elements.")],
    run: zrem,
    ..CommandSpec::NEW
};
pub(super) static ZREMRANGEBYRANK: CommandSpec = CommandSpec {
    name: "zremrangebyrank",
    summary: "Removes the members of a sorted set in a range of ranks.",
    since: "2.0.0",
    group: Group::SortedSet,
    complexity: "O(M*log(N)) for N members of which M are removed.",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::integer("start"), Argument::integer("stop")],
    run: |ctx| remove_range(ctx, By::Rank, Event::zset("zremrangebyrank")),
    ..CommandSpec::NEW
};
pub(super) static ZREMRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zremrangebyscore",
    summary: "Removes the members of a sorted set with scores in a range.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(M*log(N)) for N members of which M are removed.",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::new("min", ArgumentKind::Double),
        Argument::new("max", ArgumentKind::Double),
    ],
    run: |ctx| remove_range(ctx, By::Score, Event::zset("zremrangebyscore")),
    ..CommandSpec::NEW
};
pub(super) static ZREMRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zremrangebylex",
    summary: "Removes the members of a sorted set in a range of names.",
    since: "2.8.9",
    group: Group::SortedSet,
    complexity: "O(M*log(N)) for N members of which M are removed.",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::string("min"), Argument::string("max")],
    run: |ctx| remove_range(ctx, By::Lex, Event::zset("zremrangebylex")),
    ..CommandSpec::NEW
};

fn zrem(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let (Some(mut set), _) = ctx.edit_sorted_set(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let mut removed = 0;
    for member in &args[2..] {
        removed += u64::from(set.remove(member)?);
    }
    let gone = set.into_slot().finish();
    if removed > 0 {
        ctx.changed_many(&key, Event::zset("zrem"), removed);
        ctx.gone_if(&key, gone);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn remove_range(ctx: &mut Context<'_>, by: By, event: Event) -> CommandResult {
    let key = ctx.key(1);
    let selection = Selection::parse(by, ctx.arg(2), ctx.arg(3))?;
    let (Some(mut set), _) = ctx.edit_sorted_set(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ranks = selection.ranks(&set.as_ref(), false);
    set.remove_ranks(ranks.clone())?;
    let gone = set.into_slot().finish();
    if !ranks.is_empty() {
        ctx.changed_many(&key, event, ranks.len() as u64);
        ctx.gone_if(&key, gone);
    }
    ctx.reply.count(ranks.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn members_and_ranges_go() {
        let mut client = Client::new();
        client.say("ZADD z 1 a 2 b 3 c 4 d");
        assert_eq!(client.say("ZREM z a x"), ":1\r\n");
        assert_eq!(client.say("ZREMRANGEBYRANK z -1 -1"), ":1\r\n");
        assert_eq!(client.say("ZREMRANGEBYSCORE z (2 3"), ":1\r\n");
        assert_eq!(client.say("ZRANGE z 0 -1"), "*1\r\n$1\r\nb\r\n");
        assert_eq!(client.say("ZREMRANGEBYLEX z [b +"), ":1\r\n");
        assert_eq!(client.say("EXISTS z"), ":0\r\n");
        assert_eq!(client.say("ZREM z a"), ":0\r\n");
        assert_eq!(client.say("ZREMRANGEBYRANK z 0 -1"), ":0\r\n");
        client.say("SET t x");
        assert!(client.say("ZREM t a").starts_with("-WRONGTYPE"));
        assert!(client.say("ZREMRANGEBYSCORE t x 1").contains("not a float"));
        assert!(client.say("ZREMRANGEBYSCORE t 0 1").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn ranges_of_a_large_set_go() {
        let mut client = Client::new();
        (0..1000).for_each(|n| drop(client.say(&format!("ZADD z {n} m{n}"))));
        assert_eq!(client.say("ZREMRANGEBYSCORE z 100 799"), ":700\r\n");
        assert_eq!(client.say("ZCARD z"), ":300\r\n");
        assert_eq!(client.say("ZRANK z m800"), ":100\r\n");
        assert_eq!(client.say("ZSCORE z m500"), "$-1\r\n");
        assert_eq!(client.say("ZREMRANGEBYRANK z 0 -1"), ":300\r\n");
        assert_eq!(client.say("EXISTS z"), ":0\r\n");
    }
}
