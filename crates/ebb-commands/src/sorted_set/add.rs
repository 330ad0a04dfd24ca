//! ZADD, ZINCRBY: members and their scores.

use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group,
    KeyFlags, KeySpec,
};
use ebb_keyspace::Key;
use ebb_types::float::parse_f64;

pub(super) static ZADD: CommandSpec = CommandSpec {
    name: "zadd",
    summary: "Adds members to a sorted set or changes their scores.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) for each member, N members in the set.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    element: 3,
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")])
            .optional()
            .since("3.0.2"),
        Argument::one_of("comparison", &[Argument::word("gt", "GT"), Argument::word("lt", "LT")])
            .optional()
            .since("6.2.0"),
        Argument::word("change", "CH").optional().since("3.0.2"),
        Argument::word("increment", "INCR").optional().since("3.0.2"),
        Argument::block(
            "data",
            &[Argument::new("score", ArgumentKind::Double), Argument::string("member")],
        )
        .multiple(),
    ],
    history: &[
        ("2.4.0", "Accepts multiple elements."),
        ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
        ("6.2.0", "Added the `GT` and `LT` options."),
    ],
    run: zadd,
    ..CommandSpec::NEW
};
pub(super) static ZINCRBY: CommandSpec = CommandSpec {
    name: "zincrby",
    summary: "Adds to the score of a member of a sorted set.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) for N members in the set.",
    arity: 4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    element: 3,
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("increment"),
        Argument::string("member"),
    ],
    run: zincrby,
    ..CommandSpec::NEW
};

/// When members are added or changed, and what is answered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Only new members.
    pub(crate) if_new: bool,
    /// Only members that are there.
    pub(crate) if_there: bool,
    /// Only to a greater score.
    pub(crate) if_greater: bool,
    /// Only to a lesser score.
    pub(crate) if_less: bool,
    /// Changed members are counted, too.
    pub(crate) count_changed: bool,
    /// The number is added to the score, which is answered.
    pub(crate) increment: bool,
}

impl Options {
    /// Notes an option; answers whether it is one.
    fn take(&mut self, word: &[u8]) -> bool {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        match () {
            () if is(b"NX") => self.if_new = true,
            () if is(b"XX") => self.if_there = true,
            () if is(b"GT") => self.if_greater = true,
            () if is(b"LT") => self.if_less = true,
            () if is(b"CH") => self.count_changed = true,
            () if is(b"INCR") => self.increment = true,
            () => return false,
        }
        true
    }

    fn check(&self, pairs: usize) -> Result<(), CommandError> {
        let conditions = [self.if_new, self.if_greater, self.if_less];
        let text = if self.if_new && self.if_there {
            "ERR XX and NX options at the same time are not compatible"
        } else if conditions.iter().filter(|&&on| on).count() > 1 {
            "ERR GT, LT, and/or NX options at the same time are not compatible"
        } else if self.increment && pairs > 1 {
            "ERR INCR option supports a single increment-element pair"
        } else {
            return Ok(());
        };
        Err(CommandError::new(text))
    }
}

/// What became of the members.
#[derive(Default)]
struct Outcome {
    added: u64,
    changed: u64,
    /// The score of the last member that was not passed over.
    score: Option<f64>,
}

impl Outcome {
    /// The score that a member is to have, which has `old` or is not there; nothing if it stays
    /// as it is.
    fn decide(
        &mut self,
        options: &Options,
        old: Option<f64>,
        score: f64,
    ) -> Result<Option<f64>, CommandError> {
        let Some(old) = old else {
            if options.if_there {
                return Ok(None);
            }
            self.added += 1;
            self.score = Some(score);
            return Ok(Some(score));
        };
        let score = if options.increment { old + score } else { score };
        if options.if_new {
            return Ok(None);
        }
        if score.is_nan() {
            return Err(CommandError::new("ERR resulting score is not a number (NaN)"));
        }
        if options.if_less && score >= old || options.if_greater && score <= old {
            return Ok(None);
        }
        self.score = Some(score);
        if score == old {
            return Ok(None);
        }
        self.changed += 1;
        Ok(Some(score))
    }
}

fn zadd(ctx: &mut Context<'_>) -> CommandResult {
    let args = ctx.args;
    let mut options = Options::default();
    let mut at = 2;
    while at < args.len() && options.take(args[at]) {
        at += 1;
    }
    let pairs = &args[at..];
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(CommandError::Syntax);
    }
    options.check(pairs.len() / 2)?;
    if let [score, member] = pairs {
        let score = parse_f64(score).ok_or(CommandError::NotFloat)?;
        return add(ctx, &options, &[(score, member)]);
    }
    let mut scored = Vec::with_capacity(pairs.len() / 2);
    for pair in pairs.chunks_exact(2) {
        scored.push((parse_f64(pair[0]).ok_or(CommandError::NotFloat)?, pair[1]));
    }
    add(ctx, &options, &scored)
}

fn zincrby(ctx: &mut Context<'_>) -> CommandResult {
    let score = parse_f64(ctx.arg(2)).ok_or(CommandError::NotFloat)?;
    let options = Options { increment: true, ..Options::default() };
    add(ctx, &options, &[(score, ctx.arg(3))])
}

fn put_all(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    options: &Options,
    members: &[(f64, &[u8])],
) -> Result<Outcome, CommandError> {
    let mut outcome = Outcome::default();
    let set = match options.if_there {
        true => ctx.edit_sorted_set(key)?.0,
        false => Some(ctx.open_sorted_set(key)?),
    };
    if let Some(mut set) = set {
        for (score, member) in members {
            set.update(member, |old| outcome.decide(options, old, *score))?;
        }
        set.into_slot().finish();
    }
    Ok(outcome)
}

/// Adds members with their scores to the key of the first argument, and answers.
pub(crate) fn add(
    ctx: &mut Context<'_>,
    options: &Options,
    members: &[(f64, &[u8])],
) -> CommandResult {
    let key = ctx.key(1);
    let Outcome { added, changed, score } = put_all(ctx, &key, options, members)?;
    if added + changed > 0 {
        let name = if options.increment { "zincr" } else { "zadd" };
        ctx.changed_many(&key, Event::zset(name), added + changed);
    }
    match score {
        _ if !options.increment => {
            let changed = if options.count_changed { changed } else { 0 };
            ctx.reply.integer((added + changed) as i64);
        }
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn members_are_added_and_changed() {
        let mut client = Client::new();
        assert_eq!(client.say("ZADD z 1 a 2 b"), ":2\r\n");
        assert_eq!(client.say("ZADD z 3 a 2 c"), ":1\r\n");
        assert_eq!(client.say("ZADD z CH 3 a 4 c 5 d"), ":2\r\n");
        assert_eq!(client.say("ZADD z XX CH 9 x 7 a"), ":1\r\n");
        assert_eq!(client.say("ZADD z NX CH 9 a 9 e"), ":1\r\n");
        assert_eq!(client.say("ZADD z GT CH 1 a 10 e 1 f"), ":2\r\n");
        assert_eq!(client.say("ZADD z LT CH 1 a 11 e"), ":1\r\n");
        assert_eq!(client.say("ZADD nothing XX 1 a"), ":0\r\n");
        assert_eq!(client.say("EXISTS nothing"), ":0\r\n");
        assert_eq!(
            client.say("ZRANGE z 0 -1"),
            "*6\r\n$1\r\na\r\n$1\r\nf\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n"
        );
    }

    #[test]
    fn scores_are_added_to() {
        let mut client = Client::new();
        assert_eq!(client.say("ZINCRBY z 1.5 a"), "$3\r\n1.5\r\n");
        assert_eq!(client.say("ZADD z INCR 0.25 a"), "$4\r\n1.75\r\n");
        assert_eq!(client.say("ZADD z NX INCR 1 a"), "$-1\r\n");
        assert_eq!(client.say("ZADD z GT INCR -1 a"), "$-1\r\n");
        assert_eq!(client.say("ZADD z XX INCR 1 b"), "$-1\r\n");
        assert_eq!(client.say("ZINCRBY z inf a"), "$3\r\ninf\r\n");
        assert_eq!(
            client.say("ZINCRBY z -inf a"),
            "-ERR resulting score is not a number (NaN)\r\n"
        );
        client.say("HELLO 3");
        assert_eq!(client.say("ZINCRBY z 1.5 c"), ",1.5\r\n");
        assert_eq!(client.say("ZADD z XX INCR 1 b"), "_\r\n");
    }

    #[test]
    fn bad_arguments_change_nothing() {
        let mut client = Client::new();
        client.say("SET t x");
        for (command, text) in [
            ("ZADD z 1 a 2", "syntax error"),
            ("ZADD z NX XX 1 a", "XX and NX options at the same time are not compatible"),
            ("ZADD z NX GT 1 a", "GT, LT, and/or NX options at the same time"),
            ("ZADD z LT GT 1 a", "GT, LT, and/or NX options at the same time"),
            ("ZADD z INCR 1 a 2 b", "INCR option supports a single"),
            ("ZADD z 1 a nan b", "value is not a valid float"),
            ("ZADD z x a", "value is not a valid float"),
            ("ZADD t 1 a", "WRONGTYPE"),
            ("ZINCRBY z x a", "value is not a valid float"),
        ] {
            let reply = client.say(command);
            assert!(reply.starts_with('-') && reply.contains(text), "{command}: {reply}");
        }
        assert_eq!(client.say("EXISTS z"), ":0\r\n");
    }

    #[test]
    fn encodings_follow_the_limits() {
        let mut client = Client::with_config(&[
            ("zset-max-listpack-entries", "2"),
            ("zset-max-listpack-value", "5"),
        ]);
        client.say("ZADD z 1 a 2 b");
        assert_eq!(client.say("OBJECT ENCODING z"), "$8\r\nlistpack\r\n");
        client.say("ZADD z 3 c");
        assert_eq!(client.say("OBJECT ENCODING z"), "$8\r\nskiplist\r\n");
        client.say("ZADD long 3 abcdef");
        assert_eq!(client.say("OBJECT ENCODING long"), "$8\r\nskiplist\r\n");
    }
}
