//! ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK: asking about members.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    Reply,
};

pub(super) static ZCARD: CommandSpec = CommandSpec {
    name: "zcard",
    summary: "Counts the members of a sorted set.",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    run: zcard,
    ..CommandSpec::NEW
};
pub(super) static ZSCORE: CommandSpec = CommandSpec {
    name: "zscore",
    summary: "Returns the score of a member.",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: 3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("member")],
    run: zscore,
    ..CommandSpec::NEW
};
pub(super) static ZMSCORE: CommandSpec = CommandSpec {
    name: "zmscore",
    summary: "Returns the scores of some members.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(N) for N members asked for.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
    run: zmscore,
    ..CommandSpec::NEW
};
pub(super) static ZRANK: CommandSpec = CommandSpec {
    name: "zrank",
    summary: "Returns how many members of a sorted set come before one.",
    since: "2.0.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) for N members.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    element: 2,
    arguments: &[
        Argument::key("key", 0),
        Argument::string("member"),
        Argument::word("withscore", "WITHSCORE").optional(),
    ],
    history: &[("7.2.0", "Added the optional `WITHSCORE` argument.")],
    run: |ctx| rank(ctx, false),
    ..CommandSpec::NEW
};
pub(super) static ZREVRANK: CommandSpec = CommandSpec {
    name: "zrevrank",
    summary: "Returns how many members of a sorted set come after one.",
    since: "2.0.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) for N members.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    element: 2,
    arguments: &[
        Argument::key("key", 0),
        Argument::string("member"),
        Argument::word("withscore", "WITHSCORE").optional(),
    ],
    history: &[("7.2.0", "Added the optional `WITHSCORE` argument.")],
    run: |ctx| rank(ctx, true),
    ..CommandSpec::NEW
};

fn zcard(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    reply.count(set.map_or(0, |set| set.len()));
    Ok(())
}

fn reply_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(ctx: &mut Context<'_>) -> CommandResult {
    let (key, member) = (ctx.key(1), ctx.arg(2));
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    reply_score(reply, set.and_then(|set| set.score(member)));
    Ok(())
}

fn zmscore(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        reply_score(reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn rank(ctx: &mut Context<'_>, reversed: bool) -> CommandResult {
    let (key, member) = (ctx.key(1), ctx.arg(2));
    let with_score = match ctx.args.len() {
        3 => false,
        4 if ctx.is_word(3, "WITHSCORE") => true,
        5.. => return Err(CommandError::WrongArity(ctx.command.name.into())),
        _ => return Err(CommandError::Syntax),
    };
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    let found = set.and_then(|set| {
        let (rank, score) = set.rank(member)?;
        Some((if reversed { set.len() - 1 - rank } else { rank }, score))
    });
    match found {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.count(rank);
            reply.double(score);
        }
        Some((rank, _)) => reply.count(rank),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn members_are_asked_for() {
        let mut client = Client::new();
        client.say("ZADD z 1 a 2.5 b 2.5 c");
        assert_eq!(client.say("ZCARD z"), ":3\r\n");
        assert_eq!(client.say("ZCARD nothing"), ":0\r\n");
        assert_eq!(client.say("ZSCORE z b"), "$3\r\n2.5\r\n");
        assert_eq!(client.say("ZSCORE z x"), "$-1\r\n");
        assert_eq!(client.say("ZMSCORE z a x"), "*2\r\n$1\r\n1\r\n$-1\r\n");
        assert_eq!(client.say("ZRANK z c"), ":2\r\n");
        assert_eq!(client.say("ZREVRANK z c"), ":0\r\n");
        assert_eq!(client.say("ZRANK z b WITHSCORE"), "*2\r\n:1\r\n$3\r\n2.5\r\n");
        assert_eq!(client.say("ZRANK z x WITHSCORE"), "*-1\r\n");
        assert_eq!(client.say("ZREVRANK nothing x"), "$-1\r\n");
        assert_eq!(client.say("ZRANK z b WITHSCORES"), "-ERR syntax error\r\n");
        let arity = "-ERR wrong number of arguments for 'zrevrank' command\r\n";
        assert_eq!(client.say("ZREVRANK z b WITHSCORE x"), arity);
        client.say("HELLO 3");
        assert_eq!(client.say("ZSCORE z b"), ",2.5\r\n");
        client.say("SET t x");
        for command in ["ZCARD t", "ZSCORE t a", "ZMSCORE t a", "ZRANK t a"] {
            assert!(client.say(command).starts_with("-WRONGTYPE"), "{command}");
        }
    }
}
