//! SET and its relatives: SETNX, SETEX, PSETEX, GETSET.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_keyspace::{Deadline, Key};

use super::compare::{self, Comparison};
use crate::deadline::{self, Unit};

const WRITE: Flags = Flags::WRITE.and(Flags::DENYOOM);

pub(super) static SET: CommandSpec = CommandSpec {
    name: "set",
    summary: "Sets a key to a string, whatever it held before, under conditions if asked.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: -3,
    flags: WRITE,
    keys: &[KeySpec {
        notes: "RW and ACCESS due to the optional `GET` argument",
        ..KeySpec::one(
            1,
            KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE).and(KeyFlags::VARIABLE_FLAGS),
        )
    }],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("value"),
        Argument::one_of(
            "condition",
            &[
                Argument::word("nx", "NX"),
                Argument::word("xx", "XX"),
                compare::IFEQ.since("8.4.0"),
                compare::IFNE.since("8.4.0"),
                compare::IFDEQ.since("8.4.0"),
                compare::IFDNE.since("8.4.0"),
            ],
        )
        .optional()
        .since("2.6.12"),
        Argument::word("get", "GET").optional().since("6.2.0"),
        Argument::one_of(
            "expiration",
            &[
                deadline::OPTIONS[0],
                deadline::OPTIONS[1],
                deadline::OPTIONS[2],
                deadline::OPTIONS[3],
                Argument::word("keepttl", "KEEPTTL").since("6.0.0"),
            ],
        )
        .optional(),
    ],
    history: &[
        ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
        ("6.0.0", "Added the `KEEPTTL` option."),
        ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
        ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
        ("8.4.0", "Added the `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` options."),
    ],
    run: set,
    ..CommandSpec::NEW
};

/// When SET acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    Absent,
    Present,
    Compared(Comparison<'a>),
}

struct Options<'a> {
    condition: Condition<'a>,
    get: bool,
    deadline: Deadline,
}

fn parse<'a>(ctx: &Context<'a>) -> Result<Options<'a>, CommandError> {
    let mut options =
        Options { condition: Condition::Always, get: false, deadline: Deadline::Clear };
    let mut time = None;
    let mut at = 3;
    while at < ctx.args.len() {
        let free = options.condition == Condition::Always;
        let untimed = time.is_none() && options.deadline == Deadline::Clear;
        let next = ctx.args.get(at + 1);
        if ctx.is_word(at, "NX")
            && matches!(options.condition, Condition::Always | Condition::Absent)
        {
            options.condition = Condition::Absent;
        } else if ctx.is_word(at, "XX")
            && matches!(options.condition, Condition::Always | Condition::Present)
        {
            options.condition = Condition::Present;
        } else if ctx.is_word(at, "GET") {
            options.get = true;
        } else if ctx.is_word(at, "KEEPTTL") && time.is_none() {
            options.deadline = Deadline::Keep;
        } else if let (true, Some(found)) =
            (free, next.and_then(|with| Comparison::of_word(ctx.arg(at), with)))
        {
            options.condition = Condition::Compared(found);
            at += 1;
        } else if let (Some(unit), true, Some(value)) = (Unit::of_word(ctx.arg(at)), untimed, next)
        {
            time = Some((unit, *value));
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    if let Some((unit, text)) = time {
        options.deadline = Deadline::At(deadline::positive(ctx, text, unit)?);
    }
    Ok(options)
}

fn set(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    if ctx.args.len() == 3 {
        store(ctx, &key, 2, Deadline::Clear)?;
        ctx.reply.ok();
        return Ok(());
    }
    let options = parse(ctx)?;
    let allowed = match options.condition {
        Condition::Always => true,
        Condition::Absent => ctx.read_to_write(&key).is_none(),
        Condition::Present => ctx.read_to_write(&key).is_some(),
        Condition::Compared(comparison) => match ctx.string_to_write(&key)? {
            Some(value) => comparison.holds(&value)?,
            None => comparison.holds_without(),
        },
    };
    if options.get {
        ctx.reply_string(&key)?;
    }
    if !allowed {
        if !options.get {
            ctx.reply.null();
        }
        return Ok(());
    }
    store(ctx, &key, 2, options.deadline)?;
    if !options.get {
        ctx.reply.ok();
    }
    Ok(())
}

/// Sets the key to an argument. A deadline that is over deletes it.
fn store(ctx: &mut Context<'_>, key: &Key<'_>, value: usize, deadline: Deadline) -> CommandResult {
    if let Deadline::At(at) = deadline
        && at <= ctx.now_ms
    {
        if ctx.remove(key) {
            ctx.changed(key, Event::generic("del"));
        }
        return Ok(());
    }
    if matches!(deadline, Deadline::Keep) {
        ctx.peek(key);
    }
    let value = ctx.value(value);
    ctx.set_string(key, value, deadline)?;
    ctx.changed(key, Event::string("set"));
    if matches!(deadline, Deadline::At(_)) {
        ctx.notify(key, Event::generic("expire"));
    }
    Ok(())
}

pub(super) static SETNX: CommandSpec = CommandSpec {
    name: "setnx",
    summary: "Sets a key to a string if the key does not exist.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::OW.and(KeyFlags::INSERT))],
    arguments: &[Argument::key("key", 0), Argument::string("value")],
    deprecated: Some(("2.6.12", "`SET` with the `NX` argument")),
    run: setnx,
    ..CommandSpec::NEW
};

fn setnx(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let absent = ctx.read_to_write(&key).is_none();
    if absent {
        store(ctx, &key, 2, Deadline::Clear)?;
    }
    ctx.reply.integer(absent.into());
    Ok(())
}

const TIMED_KEYS: &[KeySpec] = &[KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE))];

pub(super) static SETEX: CommandSpec = CommandSpec {
    name: "setex",
    summary: "Sets a key to a string that expires after seconds.",
    since: "2.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 4,
    flags: WRITE,
    keys: TIMED_KEYS,
    arguments: &[Argument::key("key", 0), Argument::integer("seconds"), Argument::string("value")],
    deprecated: Some(("2.6.12", "`SET` with the `EX` argument")),
    run: |ctx| set_timed(ctx, Unit::Seconds),
    ..CommandSpec::NEW
};

pub(super) static PSETEX: CommandSpec = CommandSpec {
    name: "psetex",
    summary: "Sets a key to a string that expires after milliseconds.",
    since: "2.6.0",
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("milliseconds"),
        Argument::string("value"),
    ],
    deprecated: Some(("2.6.12", "`SET` with the `PX` argument")),
    group: Group::String,
    complexity: "O(1)",
    arity: 4,
    flags: WRITE,
    keys: TIMED_KEYS,
    run: |ctx| set_timed(ctx, Unit::Milliseconds),
    ..CommandSpec::NEW
};

fn set_timed(ctx: &mut Context<'_>, unit: Unit) -> CommandResult {
    let key = ctx.key(1);
    let at = deadline::positive(ctx, ctx.arg(2), unit)?;
    store(ctx, &key, 3, Deadline::At(at))?;
    ctx.reply.ok();
    Ok(())
}

pub(super) static GETSET: CommandSpec = CommandSpec {
    name: "getset",
    summary: "Sets a key to a string and returns the one before.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[Argument::key("key", 0), Argument::string("value")],
    deprecated: Some(("6.2.0", "`SET` with the `!GET` argument")),
    run: getset,
    ..CommandSpec::NEW
};

fn getset(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    ctx.reply_string(&key)?;
    store(ctx, &key, 2, Deadline::Clear)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn conditions_hold() {
        let mut client = Client::new();
        assert_eq!(client.say("SET k a XX"), "$-1\r\n");
        assert_eq!(client.say("SET k a NX"), "+OK\r\n");
        assert_eq!(client.say("SET k b NX GET"), "$1\r\na\r\n");
        assert_eq!(client.say("SET k b XX GET"), "$1\r\na\r\n");
        assert_eq!(client.say("SET k c IFEQ a"), "$-1\r\n");
        assert_eq!(client.say("SET k c IFEQ b"), "+OK\r\n");
        assert_eq!(client.say("GET k"), "$1\r\nc\r\n");
        assert_eq!(client.say("SETNX k d"), ":0\r\n");
        assert_eq!(client.say("GETSET k d"), "$1\r\nc\r\n");
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        let mut client = Client::new();
        for line in [
            "SET k v NX XX",
            "SET k v EX 1 PX 1",
            "SET k v EX 1 KEEPTTL",
            "SET k v KEEPTTL PX 1",
            "SET k v EX",
            "SET k v IFEQ a NX",
            "SET k v WHAT",
        ] {
            assert_eq!(client.say(line), "-ERR syntax error\r\n", "{line}");
        }
        let invalid = "-ERR invalid expire time in 'set' command\r\n";
        assert_eq!(client.say("SET k v EX 0"), invalid);
        assert_eq!(client.say("SET k v EX 9223372036854775807"), invalid);
        assert_eq!(client.say("SET k v EX x"), "-ERR value is not an integer or out of range\r\n");
        assert_eq!(client.say("PSETEX k -1 v"), "-ERR invalid expire time in 'psetex' command\r\n");
        assert_eq!(client.say("GET k"), "$-1\r\n");
    }

    #[test]
    fn the_deadline_of_a_key_that_is_due_is_not_kept() {
        let mut client = Client::new();
        client.say("SET k old PX 1");
        std::thread::sleep(std::time::Duration::from_millis(3));
        assert_eq!(client.say("SET k new KEEPTTL"), "+OK\r\n");
        assert_eq!(client.say("TTL k"), ":-1\r\n");
    }

    #[test]
    fn a_key_that_is_due_expires_when_it_is_set_anew() {
        let mut client = Client::new();
        for line in ["SET k new", "MSET k new", "SETEX k 100 new"] {
            client.say("SET k old PX 1");
            std::thread::sleep(std::time::Duration::from_millis(3));
            client.say(line);
        }
        client.say("SET k newer");
        assert!(client.say("INFO stats").contains("expired_keys:3\r\n"));
    }

    #[test]
    fn a_deadline_in_the_past_is_told_as_a_deletion() {
        let mut client = Client::with_config(&[("notify-keyspace-events", "AKE")]);
        let mut listener = client.another();
        listener.say("PSUBSCRIBE __keyevent@0__:*");
        client.say("SET k v");
        listener.mail();
        client.say("SET k v PXAT 1");
        let mail = listener.mail();
        assert!(mail.contains(":del\r\n") && !mail.contains(":expire\r\n"), "{mail}");
        client.say("SET k v PXAT 1");
        assert_eq!(listener.mail(), "");
        client.say("SET k v PX 100000");
        let mail = listener.mail();
        assert!(mail.contains(":set\r\n") && mail.contains(":expire\r\n"), "{mail}");
    }

    #[test]
    fn a_deadline_in_the_past_deletes() {
        let mut client = Client::new();
        client.say("SET k v");
        assert_eq!(client.say("SET k w PXAT 1"), "+OK\r\n");
        assert_eq!(client.say("GET k"), "$-1\r\n");
    }
}
