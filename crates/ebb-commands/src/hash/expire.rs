//! HEXPIRE and its kin: deadlines of fields, as Redis 7.4 and Valkey 9 have them.
//!
//! For each field the answer is -2: no such field; 0: the condition does not hold; 1: done;
//! 2: deleted at once, because the time is past; or for the commands that ask, -1: no deadline.

use ebb_collections::HashRef;
use ebb_engine::{
    Argument, ArgumentKind, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

use super::fields;
use super::get::live;
use crate::deadline::Unit;

const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;

const FIELDS: Argument = Argument::block(
    "fields",
    &[Argument::integer("numfields"), Argument::string("field").multiple()],
)
.after("FIELDS");

const CONDITION: Argument = Argument::one_of(
    "condition",
    &[
        Argument::word("nx", "NX"),
        Argument::word("xx", "XX"),
        Argument::word("gt", "GT"),
        Argument::word("lt", "LT"),
    ],
)
.optional();

/// What the commands that set deadlines have in common.
const SETTER: CommandSpec = CommandSpec {
    since: "7.4.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -6,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    ..CommandSpec::NEW
};

/// What the commands that ask for deadlines have in common.
const GETTER: CommandSpec = CommandSpec {
    since: "7.4.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -5,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), FIELDS],
    ..CommandSpec::NEW
};

pub(super) static HEXPIRE: CommandSpec = CommandSpec {
    name: "hexpire",
    summary: "Lets fields of a hash expire after some seconds.",
    arguments: &[Argument::key("key", 0), Argument::integer("seconds"), CONDITION, FIELDS],
    run: |ctx| set(ctx, Unit::Seconds),
    ..SETTER
};

pub(super) static HPEXPIRE: CommandSpec = CommandSpec {
    name: "hpexpire",
    summary: "Lets fields of a hash expire after some milliseconds.",
    arguments: &[Argument::key("key", 0), Argument::integer("milliseconds"), CONDITION, FIELDS],
    run: |ctx| set(ctx, Unit::Milliseconds),
    ..SETTER
};

pub(super) static HEXPIREAT: CommandSpec = CommandSpec {
    name: "hexpireat",
    summary: "Lets fields of a hash expire at a Unix time.",
    arguments: &[
        Argument::key("key", 0),
        Argument::new("unix-time-seconds", ArgumentKind::UnixTime),
        CONDITION,
        FIELDS,
    ],
    run: |ctx| set(ctx, Unit::UnixSeconds),
    ..SETTER
};

pub(super) static HPEXPIREAT: CommandSpec = CommandSpec {
    name: "hpexpireat",
    summary: "Lets fields of a hash expire at a Unix time in milliseconds.",
    arguments: &[
        Argument::key("key", 0),
        Argument::new("unix-time-milliseconds", ArgumentKind::UnixTime),
        CONDITION,
        FIELDS,
    ],
    run: |ctx| set(ctx, Unit::UnixMilliseconds),
    ..SETTER
};

pub(super) static HPERSIST: CommandSpec = CommandSpec {
    name: "hpersist",
    summary: "Takes the deadlines of fields away.",
    arity: -5,
    arguments: &[Argument::key("key", 0), FIELDS],
    run: persist,
    ..SETTER
};

pub(super) static HTTL: CommandSpec = CommandSpec {
    name: "httl",
    summary: "Returns the seconds that fields have left.",
    tips: &["nondeterministic_output"],
    run: |ctx| get(ctx, |at, now_ms| (at - now_ms + 999) / 1000),
    ..GETTER
};

pub(super) static HPTTL: CommandSpec = CommandSpec {
    name: "hpttl",
    summary: "Returns the milliseconds that fields have left.",
    tips: &["nondeterministic_output"],
    run: |ctx| get(ctx, |at, now_ms| at - now_ms),
    ..GETTER
};

pub(super) static HEXPIRETIME: CommandSpec = CommandSpec {
    name: "hexpiretime",
    summary: "Returns the Unix time at which fields expire.",
    run: |ctx| get(ctx, |at, _| (at + 999) / 1000),
    ..GETTER
};

pub(super) static HPEXPIRETIME: CommandSpec = CommandSpec {
    name: "hpexpiretime",
    summary: "Returns the Unix time in milliseconds at which fields expire.",
    run: |ctx| get(ctx, |at, _| at),
    ..GETTER
};

/// When a deadline is to be set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// The field has none.
    None,
    /// The field has one.
    Some,
    /// It has an earlier one.
    Greater,
    /// It has a later one, or none.
    Less,
}

impl Condition {
    fn of_word(word: &[u8]) -> Option<Condition> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("NX") => Some(Condition::None),
            () if is("XX") => Some(Condition::Some),
            () if is("GT") => Some(Condition::Greater),
            () if is("LT") => Some(Condition::Less),
            () => None,
        }
    }

    fn allows(self, current: Option<i64>, new: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::None => current.is_none(),
            Condition::Some => current.is_some(),
            Condition::Greater => current.is_some_and(|at| new > at),
            Condition::Less => current.is_none_or(|at| new < at),
        }
    }
}

fn set(ctx: &mut Context<'_>, unit: Unit) -> CommandResult {
    let (key, args, now_ms) = (ctx.key(1), ctx.args, ctx.now_ms);
    // Of a key of another type Redis says so before it looks at anything else.
    ctx.read_hash(&key)?;
    let deadline = fields::deadline(ctx, ctx.arg(2), unit)?;
    let (condition, at) = match Condition::of_word(ctx.arg(3)) {
        Some(condition) => (condition, 4),
        None => (Condition::Always, 3),
    };
    let names = fields::parse(args, at, fields::NOT_ABOVE_0)?;
    let Some(mut hash) = ctx.edit_hash(&key)? else {
        answer(ctx, &vec![NO_FIELD; names.len()]);
        return Ok(());
    };
    let mut answers = Vec::with_capacity(names.len());
    for name in &args[names] {
        let Some(field) = hash.as_ref().get(name) else {
            answers.push(NO_FIELD);
            continue;
        };
        if !condition.allows(field.deadline, deadline) {
            answers.push(0);
        } else if deadline <= now_ms {
            hash.remove(name)?;
            answers.push(2);
        } else {
            hash.set_deadline(name, Some(deadline))?;
            answers.push(1);
        }
    }
    let gone = hash.into_slot().finish();
    let count = |wanted: i64| answers.iter().filter(|&&answer| answer == wanted).count() as u64;
    if count(1) > 0 {
        ctx.changed_many(&key, Event::hash("hexpire"), count(1));
    }
    if count(2) > 0 {
        ctx.changed_many(&key, Event::hash("hdel"), count(2));
    }
    ctx.gone_if(&key, gone);
    answer(ctx, &answers);
    Ok(())
}

fn answer(ctx: &mut Context<'_>, answers: &[i64]) {
    ctx.reply.array(answers.len());
    answers.iter().for_each(|&answer| ctx.reply.integer(answer));
}

fn persist(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    ctx.read_hash(&key)?;
    let names = fields::parse(args, 2, fields::NOT_POSITIVE)?;
    let Some(mut hash) = ctx.edit_hash(&key)? else {
        answer(ctx, &vec![NO_FIELD; names.len()]);
        return Ok(());
    };
    let mut answers = Vec::with_capacity(names.len());
    for name in &args[names] {
        answers.push(match hash.as_ref().get(name).map(|field| field.deadline) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(_)) => {
                hash.set_deadline(name, None)?;
                1
            }
        });
    }
    let gone = hash.into_slot().finish();
    let done = answers.iter().filter(|&&answer| answer == 1).count() as u64;
    if done > 0 {
        ctx.changed_many(&key, Event::hash("hpersist"), done);
    }
    ctx.gone_if(&key, gone);
    answer(ctx, &answers);
    Ok(())
}

fn get(ctx: &mut Context<'_>, shown: fn(i64, i64) -> i64) -> CommandResult {
    let (key, args, now_ms) = (ctx.key(1), ctx.args, ctx.now_ms);
    ctx.read_hash(&key)?;
    let names = fields::parse(args, 2, fields::NOT_POSITIVE)?;
    let (hash, reply) = ctx.read_hash_and_reply(&key)?;
    let hash = hash.unwrap_or(HashRef::Packed(&[], false));
    reply.array(names.len());
    for name in &args[names] {
        reply.integer(match live(Some(hash), name, now_ms).map(|field| field.deadline) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(at)) => shown(at, now_ms),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn deadlines_are_set_and_asked_for() {
        let mut client = Client::new();
        client.say("HSET h a 1 b 2");
        assert_eq!(client.say("HEXPIRE h 100 FIELDS 2 a x"), "*2\r\n:1\r\n:-2\r\n");
        assert_eq!(client.say("OBJECT ENCODING h"), "$10\r\nlistpackex\r\n");
        assert_eq!(client.say("HTTL h FIELDS 3 a b x"), "*3\r\n:100\r\n:-1\r\n:-2\r\n");
        assert_eq!(client.say("HPEXPIREAT h 99999999999 FIELDS 1 b"), "*1\r\n:2\r\n");
        assert_eq!(client.say("HPEXPIREAT h 9999999999999 GT FIELDS 1 a"), "*1\r\n:1\r\n");
        assert_eq!(client.say("HPEXPIREAT h 9999999999998 GT FIELDS 1 a"), "*1\r\n:0\r\n");
        assert_eq!(client.say("HEXPIRETIME h FIELDS 1 a"), "*1\r\n:10000000000\r\n");
        assert_eq!(client.say("HPERSIST h FIELDS 2 a x"), "*2\r\n:1\r\n:-2\r\n");
        assert_eq!(client.say("HPERSIST h FIELDS 1 a"), "*1\r\n:-1\r\n");
        assert_eq!(client.say("HTTL nothing FIELDS 1 a"), "*1\r\n:-2\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = Client::new();
        client.say("HSET h a 1");
        assert!(client.say("HEXPIRE h 10 FIELDS 2 a").contains("must match"));
        assert!(client.say("HEXPIRE h 10 FIELDS 0 a").contains("greater than 0"));
        assert!(client.say("HTTL h FIELDS 0 a").contains("positive integer"));
        assert!(client.say("HEXPIRE h 10 FIELDS 4294967296 a").contains("must match"));
        assert!(client.say("HEXPIRE h 10 FIELD 1 a").contains("FIELDS is missing"));
        assert!(client.say("HEXPIRE h -1 FIELDS 1 a").contains("must be >= 0"));
        assert!(client.say("HPEXPIRE h 9223372036854775807 FIELDS 1 a").contains("invalid expire"));
        client.say("SET s x");
        for line in ["HEXPIRE s x FIELDS 0 a", "HTTL s FIELDS 0 a", "HPERSIST s FIELD 1 a"] {
            assert!(client.say(line).starts_with("-WRONGTYPE"), "{line}");
        }
    }

    #[test]
    fn a_field_that_is_due_is_not_there() {
        let mut client = Client::new();
        client.say("HSET h a 1 b 2");
        client.say("HPEXPIRE h 1 FIELDS 1 a");
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(client.say("HGET h a"), "$-1\r\n");
        assert_eq!(client.say("HGETALL h"), "*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
        assert_eq!(client.say("HINCRBY h a 1"), ":1\r\n");
        client.say("HPEXPIRE h 1 FIELDS 2 a b");
        std::thread::sleep(std::time::Duration::from_millis(5));
        for shard in 0..client.server.keyspace.shards() {
            client.server.keyspace.lock(shard).expire_step(
                0,
                ebb_engine::unix_ms(),
                100,
                |_, _| {},
            );
        }
        assert_eq!(client.say("EXISTS h"), ":0\r\n");
    }

    #[test]
    fn a_change_finds_fields_that_are_due_and_tells_of_them() {
        let mut client = Client::with_config(&[("notify-keyspace-events", "AKE")]);
        let mut listener = client.another();
        listener.say("PSUBSCRIBE __keyspace@0__:*");
        let mut events = |client: &mut Client, line: &str| {
            client.say("HSETEX h PX 1 FIELDS 2 a 1 b 2");
            std::thread::sleep(std::time::Duration::from_millis(5));
            listener.mail();
            let reply = client.say(line);
            let mail = listener.mail();
            let events = mail.split("__keyspace@0__:h\r\n").skip(1);
            let events =
                events.map(|rest| rest.split("\r\n").nth(1).unwrap_or_default().to_owned());
            (reply, events.collect::<Vec<_>>().join(" "))
        };
        let nothing = |events: &str| (":0\r\n".to_owned(), events.to_owned());
        assert_eq!(events(&mut client, "HDEL h a"), nothing("hexpired del"));
        assert_eq!(client.say("EXISTS h"), ":0\r\n");
        let one = ":1\r\n".to_owned();
        assert_eq!(events(&mut client, "HINCRBY h a 1"), (one, "hexpired del hincrby".to_owned()));
        assert_eq!(events(&mut client, "HDEL h a b"), nothing("hexpired del"));
        client.say("HSET h c 3");
        assert_eq!(events(&mut client, "HDEL h a b"), nothing("hexpired"));
        assert_eq!(client.say("HGETALL h"), "*2\r\n$1\r\nc\r\n$1\r\n3\r\n");
        let info = client.say("INFO stats");
        assert!(info.contains("expired_fields:8\r\nexpired_subkeys:8\r\n"), "{info}");
    }
}
