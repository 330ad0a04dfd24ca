//! ZUNION, ZINTER, ZDIFF, the same into a key, and ZINTERCARD.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_keyspace::Key;
use ebb_types::float::parse_f64;

use super::algebra::{Aggregate, Operation, Source, Weighted, intersection, sources_in};
use super::answer;
use crate::numkeys;

/// How scores become one, in a command's syntax.
const AGGREGATE: Argument = Argument::one_of(
    "aggregate",
    &[
        Argument::word("sum", "SUM"),
        Argument::word("min", "MIN"),
        Argument::word("max", "MAX"),
        Argument::word("count", "COUNT").since("8.8.0"),
    ],
)
.after("AGGREGATE");

const COUNT_ADDED: (&str, &str) = ("8.8.0", "Added the `COUNT` aggregate.");

pub(super) static ZUNION: CommandSpec = CommandSpec {
    name: "zunion",
    summary: "Returns the union of sorted sets.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(N)+O(M*log(M)) for N members of all sets and M of the result.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::integer("weight").after("WEIGHTS").optional().multiple(),
        AGGREGATE.optional(),
        Argument::word("withscores", "WITHSCORES").optional(),
    ],
    history: &[COUNT_ADDED],
    run: |ctx| reply_with(ctx, Operation::Union),
    ..CommandSpec::NEW
};
pub(super) static ZUNIONSTORE: CommandSpec = CommandSpec {
    name: "zunionstore",
    summary: "Stores the union of sorted sets in a key.",
    since: "2.0.0",
    group: Group::SortedSet,
    complexity: "O(N)+O(M*log(M)) for N members of all sets and M of the result.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::counted(2, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[
        Argument::key("destination", 0),
        Argument::integer("numkeys"),
        Argument::key("key", 1).multiple(),
        Argument::integer("weight").after("WEIGHTS").optional().multiple(),
        AGGREGATE.optional(),
    ],
    history: &[COUNT_ADDED],
    run: |ctx| store(ctx, Operation::Union, Event::zset("zunionstore")),
    ..CommandSpec::NEW
};
pub(super) static ZINTER: CommandSpec = CommandSpec {
    name: "zinter",
    summary: "Returns the intersection of sorted sets.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(N*K)+O(M*log(M)) for N members of the smallest of K sets and M of the result.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::integer("weight").after("WEIGHTS").optional().multiple(),
        AGGREGATE.optional(),
        Argument::word("withscores", "WITHSCORES").optional(),
    ],
    history: &[COUNT_ADDED],
    run: |ctx| reply_with(ctx, Operation::Intersection),
    ..CommandSpec::NEW
};
pub(super) static ZINTERSTORE: CommandSpec = CommandSpec {
    name: "zinterstore",
    summary: "Stores the intersection of sorted sets in a key.",
    since: "2.0.0",
    group: Group::SortedSet,
    complexity: "O(N*K)+O(M*log(M)) for N members of the smallest of K sets and M of the result.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::counted(2, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[
        Argument::key("destination", 0),
        Argument::integer("numkeys"),
        Argument::key("key", 1).multiple(),
        Argument::integer("weight").after("WEIGHTS").optional().multiple(),
        AGGREGATE.optional(),
    ],
    history: &[COUNT_ADDED],
    run: |ctx| store(ctx, Operation::Intersection, Event::zset("zinterstore")),
    ..CommandSpec::NEW
};
pub(super) static ZDIFF: CommandSpec = CommandSpec {
    name: "zdiff",
    summary: "Returns the members of a sorted set that others do not have.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(N)+O(M*log(M)) for N members of all sets and M of the result.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::word("withscores", "WITHSCORES").optional(),
    ],
    run: |ctx| reply_with(ctx, Operation::Difference),
    ..CommandSpec::NEW
};
pub(super) static ZDIFFSTORE: CommandSpec = CommandSpec {
    name: "zdiffstore",
    summary: "Stores the members of a sorted set that others do not have in a key.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(N)+O(M*log(M)) for N members of all sets and M of the result.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::counted(2, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[
        Argument::key("destination", 0),
        Argument::integer("numkeys"),
        Argument::key("key", 1).multiple(),
    ],
    run: |ctx| store(ctx, Operation::Difference, Event::zset("zdiffstore")),
    ..CommandSpec::NEW
};
pub(super) static ZINTERCARD: CommandSpec = CommandSpec {
    name: "zintercard",
    summary: "Counts the members of an intersection of sorted sets.",
    since: "7.0.0",
    group: Group::SortedSet,
    complexity: "O(N*K) for N members of the smallest of K sets.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::integer("limit").after("LIMIT").optional(),
    ],
    run: zintercard,
    ..CommandSpec::NEW
};

/// The positions of the keys after their number at `at`.
fn keys_at(ctx: &Context<'_>, at: usize) -> Result<std::ops::Range<usize>, CommandError> {
    let count = ctx.int(at)?;
    if count < 1 {
        let name = ctx.command.name;
        return Err(CommandError::new(format!(
            "ERR at least 1 input key is needed for '{name}' command"
        )));
    }
    if count > (ctx.args.len() - at - 1) as i64 {
        return Err(CommandError::Syntax);
    }
    Ok(at + 1..at + 1 + count as usize)
}

/// What stands behind the keys.
struct Options {
    weights: Option<Vec<f64>>,
    aggregate: Aggregate,
    scores: bool,
}

impl Options {
    /// Parses from `at` on. A difference takes neither weights nor an aggregate, and what is stored
    /// needs no scores in the reply.
    fn parse(
        ctx: &Context<'_>,
        mut at: usize,
        keys: usize,
        operation: Operation,
        store: bool,
    ) -> Result<Options, CommandError> {
        let mut options = Options { weights: None, aggregate: Aggregate::Sum, scores: false };
        let weighs = operation != Operation::Difference;
        while at < ctx.args.len() {
            let more = ctx.args.len() - at - 1;
            if weighs && more >= keys && ctx.is_word(at, "WEIGHTS") {
                options.weights = Some(weights(&ctx.args[at + 1..at + 1 + keys])?);
                at += keys;
            } else if weighs && more >= 1 && ctx.is_word(at, "AGGREGATE") {
                options.aggregate = aggregate(ctx, at + 1)?;
                at += 1;
            } else if !store && ctx.is_word(at, "WITHSCORES") {
                options.scores = true;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(options)
    }

    fn weigh<'a>(&self, sources: Vec<Source<'a>>) -> Vec<Weighted<'a>> {
        let weight = |at| self.weights.as_ref().map_or(1.0, |weights| weights[at]);
        sources.into_iter().enumerate().map(|(at, source)| (source, weight(at))).collect()
    }
}

fn weights(words: &[&[u8]]) -> Result<Vec<f64>, CommandError> {
    let weight =
        |word: &&[u8]| parse_f64(word).ok_or(CommandError::new("ERR weight value is not a float"));
    words.iter().map(weight).collect()
}

fn aggregate(ctx: &Context<'_>, at: usize) -> Result<Aggregate, CommandError> {
    match () {
        () if ctx.is_word(at, "SUM") => Ok(Aggregate::Sum),
        () if ctx.is_word(at, "MIN") => Ok(Aggregate::Min),
        () if ctx.is_word(at, "MAX") => Ok(Aggregate::Max),
        () if ctx.is_word(at, "COUNT") => Ok(Aggregate::Count),
        () => Err(CommandError::Syntax),
    }
}

fn reply_with(ctx: &mut Context<'_>, operation: Operation) -> CommandResult {
    let keys = keys_at(ctx, 1)?;
    // Of two errors, a wrong type is told first.
    let options = Options::parse(ctx, keys.end, keys.len(), operation, false);
    let keys: Vec<Key<'_>> = keys.map(|at| ctx.key(at)).collect();
    ctx.require_copies(keys.iter().chain(&keys).copied())?;
    let (entries, reply) = ctx.read_all(&keys);
    let sources = sources_in(entries)?;
    let options = options?;
    let members = operation.evaluate(options.weigh(sources), options.aggregate);
    answer::begin(reply, members.len(), options.scores);
    for (member, score) in members {
        member.with_bytes(|bytes| answer::member(reply, bytes, score, options.scores));
    }
    Ok(())
}

fn store(ctx: &mut Context<'_>, operation: Operation, event: Event) -> CommandResult {
    let target = ctx.key(1);
    let keys = keys_at(ctx, 2)?;
    let options = Options::parse(ctx, keys.end, keys.len(), operation, true);
    let keys: Vec<Key<'_>> = keys.map(|at| ctx.key(at)).collect();
    ctx.require_copies(keys.iter().chain(&keys).copied())?;
    let mut result = ctx.new_sorted_set(&target);
    let (entries, _) = ctx.read_all(&keys);
    let sources = sources_in(entries)?;
    let options = options?;
    for (member, score) in operation.evaluate(options.weigh(sources), options.aggregate) {
        member.with_bytes(|bytes| result.set(bytes, score))?;
    }
    let len = result.as_ref().len();
    ctx.store(&target, result.into_slot(), event)?;
    ctx.reply.count(len);
    Ok(())
}

fn zintercard(ctx: &mut Context<'_>) -> CommandResult {
    let keys = keys_at(ctx, 1)?;
    let limit = numkeys::limit(ctx, keys.end);
    let keys: Vec<Key<'_>> = keys.map(|at| ctx.key(at)).collect();
    let (entries, reply) = ctx.read_all(&keys);
    let sources = sources_in(entries)?;
    let limit = limit?;
    let mut sources: Vec<Weighted<'_>> = sources.into_iter().map(|source| (source, 1.0)).collect();
    let mut count = 0;
    intersection(&mut sources, Aggregate::Sum, |_, _| {
        count += 1;
        count < limit
    });
    reply.count(count);
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
    fn scores_are_combined() {
        let mut client = Client::new();
        client.say("ZADD a 1 x 2 y 3 1");
        client.say("ZADD b 10 y 20 z");
        client.say("SADD s y 1 7");
        for (command, expected) in [
            ("ZUNION 2 a b WITHSCORES", "x 1 1 3 y 12 z 20"),
            ("ZUNION 2 a b WEIGHTS 2 0.5 AGGREGATE MAX WITHSCORES", "x 2 y 5 1 6 z 10"),
            ("ZUNION 2 a s WITHSCORES", "7 1 x 1 y 3 1 4"),
            ("ZINTER 2 a b AGGREGATE MIN WITHSCORES", "y 2"),
            ("ZINTER 3 s a nothing", ""),
            ("ZINTER 2 s a", "y 1"),
            ("ZDIFF 2 a b WITHSCORES", "x 1 1 3"),
            ("ZDIFF 9 a s b b b b b b b", "x"),
            ("ZDIFF 2 s a", "7"),
            ("ZINTERCARD 2 a s", ":2"),
            ("ZINTERCARD 2 a s LIMIT 1", ":1"),
        ] {
            assert_eq!(words(&mut client, command), expected, "{command}");
        }
    }

    #[test]
    fn sets_with_a_member_are_counted_whatever_its_scores() {
        let mut client = Client::new();
        client.say("ZADD a -inf x 2 y");
        client.say("ZADD b inf x 20 z");
        client.say("SADD s y");
        for (command, expected) in [
            ("ZUNION 3 a b s AGGREGATE COUNT WITHSCORES", "z 1 x 2 y 2"),
            ("ZUNION 3 a b s AGGREGATE count WEIGHTS 1 0.5 -3 WITHSCORES", "y -2 z 0.5 x 1.5"),
            ("ZINTER 2 a b AGGREGATE COUNT WITHSCORES", "x 2"),
            ("ZINTER 2 a b WEIGHTS inf -inf AGGREGATE COUNT WITHSCORES", "x 0"),
            ("ZUNION 2 a a AGGREGATE COUNT WITHSCORES", "x 2 y 2"),
            ("ZUNIONSTORE t 2 a b AGGREGATE COUNT", ":3"),
            ("ZRANGE t 0 -1 WITHSCORES", "y 1 z 1 x 2"),
            ("ZINTERSTORE t 2 a s WEIGHTS 0 4 AGGREGATE COUNT", ":1"),
            ("ZRANGE t 0 -1 WITHSCORES", "y 4"),
        ] {
            assert_eq!(words(&mut client, command), expected, "{command}");
        }
    }

    #[test]
    fn what_is_no_number_is_zero() {
        let mut client = Client::new();
        client.say("ZADD a inf x");
        client.say("ZADD b -inf x");
        assert_eq!(words(&mut client, "ZUNION 2 a b WITHSCORES"), "x 0");
        assert_eq!(words(&mut client, "ZINTER 2 a b WITHSCORES"), "x 0");
        assert_eq!(words(&mut client, "ZUNION 1 a WEIGHTS 0 WITHSCORES"), "x 0");
        assert_eq!(words(&mut client, "ZINTER 2 a b WEIGHTS 0 1 WITHSCORES"), "x -inf");
    }

    #[test]
    fn results_are_stored() {
        let mut client = Client::new();
        client.say("ZADD a 1 x 2 y");
        client.say("ZADD b 3 y");
        client.say("SET t x EX 100");
        assert_eq!(client.say("ZUNIONSTORE t 2 a b"), ":2\r\n");
        assert_eq!(words(&mut client, "ZRANGE t 0 -1 WITHSCORES"), "x 1 y 5");
        assert_eq!(client.say("TTL t"), ":-1\r\n");
        assert_eq!(client.say("ZINTERSTORE a 2 a b WEIGHTS 1 2"), ":1\r\n");
        assert_eq!(words(&mut client, "ZRANGE a 0 -1 WITHSCORES"), "y 8");
        assert_eq!(client.say("ZDIFFSTORE t 2 a b"), ":0\r\n");
        assert_eq!(client.say("EXISTS t"), ":0\r\n");
        (0..500).for_each(|n| drop(client.say(&format!("ZADD big {n} m{n}"))));
        assert_eq!(client.say("ZUNIONSTORE t 2 big a"), ":501\r\n");
        assert_eq!(client.say("OBJECT ENCODING t"), "$8\r\nskiplist\r\n");
        assert_eq!(client.say("ZRANK t m9"), ":10\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = Client::new();
        client.say("SET t x");
        for (command, text) in [
            ("ZUNION 0 a", "at least 1 input key is needed for 'zunion' command"),
            ("ZUNIONSTORE d 0 a", "at least 1 input key is needed for 'zunionstore' command"),
            ("ZUNION x a", "value is not an integer"),
            ("ZUNION 2 a", "syntax error"),
            ("ZUNION 1 a WEIGHTS", "syntax error"),
            ("ZUNION 1 a WEIGHTS x", "weight value is not a float"),
            ("ZUNION 1 a AGGREGATE AVG", "syntax error"),
            ("ZDIFF 1 a WEIGHTS 1", "syntax error"),
            ("ZDIFF 1 a AGGREGATE COUNT", "syntax error"),
            ("ZUNIONSTORE d 1 a WITHSCORES", "syntax error"),
            ("ZUNION 1 t BOGUS", "WRONGTYPE"),
            ("ZINTERCARD 1 a LIMIT -1", "LIMIT can't be negative"),
        ] {
            let reply = client.say(command);
            assert!(reply.starts_with('-') && reply.contains(text), "{command}: {reply}");
        }
    }
}
