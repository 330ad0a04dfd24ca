//! ZRANGE, ZRANGESTORE, and the older commands that each do a part of what they do.

use std::ops;

use ebb_collections::SortedSetRef;
use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group,
    KeyFlags, KeySpec,
};

use super::answer;
use super::bounds::{By, Selection};

pub(super) static ZRANGE: CommandSpec = CommandSpec {
    name: "zrange",
    summary: "Returns the members of a sorted set in a range.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(log(N)+M) for N members of which M are returned.",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[
        Argument::key("key", 0),
        Argument::string("start"),
        Argument::string("stop"),
        Argument::one_of(
            "sortby",
            &[Argument::word("byscore", "BYSCORE"), Argument::word("bylex", "BYLEX")],
        )
        .optional()
        .since("6.2.0"),
        Argument::word("rev", "REV").optional().since("6.2.0"),
        Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
            .after("LIMIT")
            .optional()
            .since("6.2.0"),
        Argument::word("withscores", "WITHSCORES").optional(),
    ],
    history: &[("6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.")],
    run: |ctx| reply_with(ctx, None, None),
    ..CommandSpec::NEW
};
pub(super) static ZRANGESTORE: CommandSpec = CommandSpec {
    name: "zrangestore",
    summary: "Stores the members of a sorted set in a range in a key.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(log(N)+M) for N members of which M are stored.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::one(2, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[
        Argument::key("dst", 0),
        Argument::key("src", 1),
        Argument::string("min"),
        Argument::string("max"),
        Argument::one_of(
            "sortby",
            &[Argument::word("byscore", "BYSCORE"), Argument::word("bylex", "BYLEX")],
        )
        .optional(),
        Argument::word("rev", "REV").optional(),
        Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
            .after("LIMIT")
            .optional(),
    ],
    run: zrangestore,
    ..CommandSpec::NEW
};
pub(super) static ZRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zrangebyscore",
    summary: "Returns the members of a sorted set with scores in a range.",
    since: "1.0.5",
    group: Group::SortedSet,
    complexity: "O(log(N)+M) for N members of which M are returned.",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[
        Argument::key("key", 0),
        Argument::new("min", ArgumentKind::Double),
        Argument::new("max", ArgumentKind::Double),
        Argument::word("withscores", "WITHSCORES").optional().since("2.0.0"),
        Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
            .after("LIMIT")
            .optional(),
    ],
    history: &[("2.0.0", "Added the `WITHSCORES` modifier.")],
    deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
    run: |ctx| reply_with(ctx, Some(By::Score), Some(false)),
    ..CommandSpec::NEW
};
pub(super) static ZREVRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zrevrangebyscore",
    summary: "Returns the members of a sorted set with scores in a range, highest first.",
    since: "2.2.0",
    group: Group::SortedSet,
    complexity: "O(log(N)+M) for N members of which M are returned.",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[
        Argument::key("key", 0),
        Argument::new("max", ArgumentKind::Double),
        Argument::new("min", ArgumentKind::Double),
        Argument::word("withscores", "WITHSCORES").optional(),
        Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
            .after("LIMIT")
            .optional(),
    ],
    history: &[("2.1.6", "`min` and `max` can be exclusive.")],
    deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
    run: |ctx| reply_with(ctx, Some(By::Score), Some(true)),
    ..CommandSpec::NEW
};
pub(super) static ZRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zrangebylex",
    summary: "Returns the members of a sorted set in a range of names.",
    since: "2.8.9",
    group: Group::SortedSet,
    complexity: "O(log(N)+M) for N members of which M are returned.",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[
        Argument::key("key", 0),
        Argument::string("min"),
        Argument::string("max"),
        Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
            .after("LIMIT")
            .optional(),
    ],
    deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
    run: |ctx| reply_with(ctx, Some(By::Lex), Some(false)),
    ..CommandSpec::NEW
};
pub(super) static ZREVRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zrevrangebylex",
    summary: "Returns the members of a sorted set in a range of names, last first.",
    since: "2.8.9",
    group: Group::SortedSet,
    complexity: "O(log(N)+M) for N members of which M are returned.",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[
        Argument::key("key", 0),
        Argument::string("max"),
        Argument::string("min"),
        Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
            .after("LIMIT")
            .optional(),
    ],
    deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
    run: |ctx| reply_with(ctx, Some(By::Lex), Some(true)),
    ..CommandSpec::NEW
};
pub(super) static ZREVRANGE: CommandSpec = CommandSpec {
    name: "zrevrange",
    summary: "Returns the members of a sorted set in a range of ranks from the end.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(log(N)+M) for N members of which M are returned.",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("start"),
        Argument::integer("stop"),
        Argument::word("withscores", "WITHSCORES").optional(),
    ],
    deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
    run: |ctx| reply_with(ctx, Some(By::Rank), Some(true)),
    ..CommandSpec::NEW
};

/// What the arguments ask for.
struct Query<'a> {
    selection: Selection<'a>,
    reversed: bool,
    /// How many are passed over, and how many then follow at most; below zero, all.
    offset: i64,
    count: i64,
    scores: bool,
}

/// Options as they are read.
#[derive(Default)]
struct Options {
    by: Option<By>,
    reversed: Option<bool>,
    limit: Option<(i64, i64)>,
    scores: bool,
}

impl Options {
    /// Reads the options from `at` on. What the command says already cannot be given again.
    fn parse(&mut self, ctx: &Context<'_>, mut at: usize, scores: bool) -> CommandResult {
        while at < ctx.args.len() {
            if scores && ctx.is_word(at, "WITHSCORES") {
                self.scores = true;
            } else if ctx.is_word(at, "LIMIT") && at + 2 < ctx.args.len() {
                self.limit = Some((ctx.int(at + 1)?, ctx.int(at + 2)?));
                at += 2;
            } else if self.reversed.is_none() && ctx.is_word(at, "REV") {
                self.reversed = Some(true);
            } else if self.by.is_none() && ctx.is_word(at, "BYLEX") {
                self.by = Some(By::Lex);
            } else if self.by.is_none() && ctx.is_word(at, "BYSCORE") {
                self.by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(())
    }
}

impl<'a> Query<'a> {
    /// Parses `first last [option ...]` from `at` on.
    fn parse(
        ctx: &Context<'a>,
        at: usize,
        mut options: Options,
        store: bool,
    ) -> Result<Query<'a>, CommandError> {
        options.parse(ctx, at + 2, !store)?;
        let by = options.by.unwrap_or(By::Rank);
        let (offset, count) = options.limit.unwrap_or((0, -1));
        if count != -1 && by == By::Rank {
            return Err(CommandError::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if options.scores && by == By::Lex {
            return Err(CommandError::new(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (offset, count) = if by == By::Rank { (0, -1) } else { (offset, count) };
        let reversed = options.reversed.unwrap_or(false);
        let (first, last) = (ctx.arg(at), ctx.arg(at + 1));
        let swapped = reversed && by != By::Rank;
        let (low, high) = if swapped { (last, first) } else { (first, last) };
        let selection = Selection::parse(by, low, high)?;
        Ok(Query { selection, reversed, offset, count, scores: options.scores })
    }

    /// The ranks of the members that are asked for.
    fn ranks(&self, set: &SortedSetRef<'_>) -> ops::Range<usize> {
        let all = self.selection.ranks(set, self.reversed);
        let passed = usize::try_from(self.offset).unwrap_or(usize::MAX).min(all.len());
        let count = usize::try_from(self.count).unwrap_or(usize::MAX).min(all.len() - passed);
        match self.reversed {
            true => all.end - passed - count..all.end - passed,
            false => all.start + passed..all.start + passed + count,
        }
    }
}

/// Visits the members at some ranks, backwards if `reversed`, while `visit` answers true.
pub(super) fn walk<'a>(
    set: &SortedSetRef<'a>,
    ranks: ops::Range<usize>,
    reversed: bool,
    mut visit: impl FnMut(&'a [u8], f64) -> bool,
) {
    let mut left = ranks.len();
    if left == 0 {
        return;
    }
    let visit = |member: &'a [u8], score| {
        left -= 1;
        visit(member, score) && left > 0
    };
    match reversed {
        true => set.walk_back(ranks.end, visit),
        false => set.walk(ranks.start, visit),
    }
}

fn reply_with(ctx: &mut Context<'_>, by: Option<By>, reversed: Option<bool>) -> CommandResult {
    let options = Options { by, reversed, ..Options::default() };
    let query = Query::parse(ctx, 2, options, false)?;
    let key = ctx.key(1);
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    let Some(set) = set else {
        reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(&set);
    answer::begin(reply, ranks.len(), query.scores);
    if query.scores {
        walk(&set, ranks, query.reversed, |member, score| {
            answer::member(reply, member, score, true);
            true
        });
    } else {
        walk(&set, ranks, query.reversed, |member, _| {
            reply.bulk(member);
            true
        });
    }
    Ok(())
}

fn zrangestore(ctx: &mut Context<'_>) -> CommandResult {
    let query = Query::parse(ctx, 3, Options::default(), true)?;
    let (target, source) = (ctx.key(1), ctx.key(2));
    let mut result = ctx.new_sorted_set(&target);
    if let Some(set) = ctx.read_sorted_set(&source)? {
        let mut set_all = Ok(true);
        walk(&set, query.ranks(&set), false, |member, score| {
            set_all = result.set(member, score);
            set_all.is_ok()
        });
        set_all?;
    }
    let len = result.as_ref().len();
    ctx.store(&target, result.into_slot(), Event::zset("zrangestore"))?;
    ctx.reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// The members of a reply, or its error.
    fn words(client: &mut Client, command: &str) -> String {
        let reply = client.say(command);
        if reply.starts_with('-') {
            return reply;
        }
        let lines: Vec<&str> = reply.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
        lines.join(" ")
    }

    #[test]
    fn ranges_of_every_kind() {
        let mut client = Client::with_config(&[("zset-max-listpack-entries", "4")]);
        client.say("ZADD z 1 a 2 b 3 c 4 d");
        client.say("ZADD grown 1 a 2 b 3 c 4 d 5 e");
        client.say("ZREM grown e");
        for key in ["z", "grown"] {
            for (command, expected) in [
                ("ZRANGE $ 0 -1", "a b c d"),
                ("ZRANGE $ 1 2 WITHSCORES", "b 2 c 3"),
                ("ZRANGE $ 0 1 REV", "d c"),
                ("ZREVRANGE $ 0 1 WITHSCORES", "d 4 c 3"),
                ("ZRANGE $ (1 3 BYSCORE", "b c"),
                ("ZRANGE $ 3 (1 BYSCORE REV", "c b"),
                ("ZRANGE $ -inf +inf BYSCORE LIMIT 1 2", "b c"),
                ("ZRANGE $ +inf -inf BYSCORE REV LIMIT 1 2", "c b"),
                ("ZRANGEBYSCORE $ 2 9 LIMIT 0 -1", "b c d"),
                ("ZRANGEBYSCORE $ 2 9 LIMIT -1 2", ""),
                ("ZRANGEBYSCORE $ 2 9 LIMIT 0 0", ""),
                ("ZREVRANGEBYSCORE $ 3 1 LIMIT 2 5 WITHSCORES", "a 1"),
                ("ZRANGE $ 3 1 BYSCORE", ""),
                ("ZRANGE $ 9 12", ""),
            ] {
                assert_eq!(words(&mut client, &command.replace('$', key)), expected, "{command}");
            }
        }
        client.say("ZADD l 0 a 0 b 0 c 0 d 0 e");
        assert_eq!(words(&mut client, "ZRANGEBYLEX l (a [c"), "b c");
        assert_eq!(words(&mut client, "ZREVRANGEBYLEX l + - LIMIT 1 2"), "d c");
        assert_eq!(words(&mut client, "ZRANGE l [c - BYLEX REV"), "c b a");
        assert_eq!(words(&mut client, "ZRANGE l + - BYLEX"), "");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = Client::new();
        client.say("SET t x");
        for (command, text) in [
            ("ZRANGE z 0 x", "value is not an integer"),
            ("ZRANGE z 0 1 LIMIT 0 1", "LIMIT is only supported in combination"),
            ("ZRANGE z - + BYLEX WITHSCORES", "WITHSCORES not supported in combination"),
            ("ZRANGE z 0 1 BYSCORE BYLEX", "syntax error"),
            ("ZRANGE z 0 1 BYSCORE LIMIT 1", "syntax error"),
            ("ZRANGEBYSCORE z 0 1 REV", "syntax error"),
            ("ZRANGEBYSCORE z x 1", "min or max is not a float"),
            ("ZRANGEBYLEX z x 1", "min or max not valid string range item"),
            ("ZRANGE t 0 1", "WRONGTYPE"),
            ("ZRANGESTORE d z 0 1 WITHSCORES", "syntax error"),
        ] {
            let reply = client.say(command);
            assert!(reply.starts_with('-') && reply.contains(text), "{command}: {reply}");
        }
    }

    #[test]
    fn ranges_are_stored_and_pairs_nest() {
        let mut client = Client::new();
        client.say("ZADD z 1 a 2 b 3 c");
        assert_eq!(client.say("ZRANGESTORE d z +inf (1 BYSCORE REV LIMIT 0 1"), ":1\r\n");
        client.say("HELLO 3");
        assert_eq!(client.say("ZRANGE d 0 -1 WITHSCORES"), "*1\r\n*2\r\n$1\r\nc\r\n,3\r\n");
        assert_eq!(client.say("ZRANGESTORE z z 0 0"), ":1\r\n");
        assert_eq!(client.say("ZRANGESTORE d nothing 0 1"), ":0\r\n");
        assert_eq!(client.say("EXISTS d z"), ":1\r\n");
    }
}
