//! EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT: giving a key a deadline.

use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Event, Flags,
    KeyFlags, KeySpec,
};

use crate::deadline::Unit;

pub(super) static EXPIRE: CommandSpec = CommandSpec {
    name: "expire",
    summary: "Lets a key expire after some seconds.",
    since: "1.0.0",
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("seconds"),
        Argument::one_of(
            "condition",
            &[
                Argument::word("nx", "NX"),
                Argument::word("xx", "XX"),
                Argument::word("gt", "GT"),
                Argument::word("lt", "LT"),
            ],
        )
        .optional()
        .since("7.0.0"),
    ],
    run: |ctx| run(ctx, Unit::Seconds),
    ..CommandSpec::NEW
};

pub(super) static PEXPIRE: CommandSpec = CommandSpec {
    name: "pexpire",
    summary: "Lets a key expire after some milliseconds.",
    since: "2.6.0",
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("milliseconds"),
        Argument::one_of(
            "condition",
            &[
                Argument::word("nx", "NX"),
                Argument::word("xx", "XX"),
                Argument::word("gt", "GT"),
                Argument::word("lt", "LT"),
            ],
        )
        .optional()
        .since("7.0.0"),
    ],
    run: |ctx| run(ctx, Unit::Milliseconds),
    ..CommandSpec::NEW
};

pub(super) static EXPIREAT: CommandSpec = CommandSpec {
    name: "expireat",
    summary: "Lets a key expire at a Unix time in seconds.",
    since: "1.2.0",
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::new("unix-time-seconds", ArgumentKind::UnixTime),
        Argument::one_of(
            "condition",
            &[
                Argument::word("nx", "NX"),
                Argument::word("xx", "XX"),
                Argument::word("gt", "GT"),
                Argument::word("lt", "LT"),
            ],
        )
        .optional()
        .since("7.0.0"),
    ],
    run: |ctx| run(ctx, Unit::UnixSeconds),
    ..CommandSpec::NEW
};

pub(super) static PEXPIREAT: CommandSpec = CommandSpec {
    name: "pexpireat",
    summary: "Lets a key expire at a Unix time in milliseconds.",
    since: "2.6.0",
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::new("unix-time-milliseconds", ArgumentKind::UnixTime),
        Argument::one_of(
            "condition",
            &[
                Argument::word("nx", "NX"),
                Argument::word("xx", "XX"),
                Argument::word("gt", "GT"),
                Argument::word("lt", "LT"),
            ],
        )
        .optional()
        .since("7.0.0"),
    ],
    run: |ctx| run(ctx, Unit::UnixMilliseconds),
    ..CommandSpec::NEW
};

/// When the deadline is to be set.
#[derive(Default)]
struct Condition {
    /// The key has none yet.
    nx: bool,
    /// It has one.
    xx: bool,
    /// It has an earlier one.
    gt: bool,
    /// It has a later one, or none.
    lt: bool,
}

impl Condition {
    fn parse(ctx: &Context<'_>) -> Result<Condition, CommandError> {
        let mut condition = Condition::default();
        for at in 3..ctx.args.len() {
            match () {
                () if ctx.is_word(at, "NX") => condition.nx = true,
                () if ctx.is_word(at, "XX") => condition.xx = true,
                () if ctx.is_word(at, "GT") => condition.gt = true,
                () if ctx.is_word(at, "LT") => condition.lt = true,
                () => {
                    let option = ctx.quote(at);
                    return Err(CommandError::new(format!("ERR Unsupported option {option}")));
                }
            }
        }
        let Condition { nx, xx, gt, lt } = condition;
        if nx && (xx || gt || lt) {
            return Err(CommandError::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if gt && lt {
            return Err(CommandError::new(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    fn allows(&self, current: Option<i64>, new: i64) -> bool {
        match current {
            Some(_) if self.nx => false,
            None if self.xx || self.gt => false,
            Some(at) if self.gt => new > at,
            Some(at) if self.lt => new < at,
            _ => true,
        }
    }
}

fn run(ctx: &mut Context<'_>, unit: Unit) -> CommandResult {
    let condition = Condition::parse(ctx)?;
    let value = ctx.int(2)?;
    let deadline = unit.to_unix_ms(value, ctx.now_ms).ok_or_else(|| {
        CommandError::new(format!("ERR invalid expire time in '{}' command", ctx.command.name))
    })?;
    let key = ctx.key(1);
    let allowed = match ctx.read_to_write(&key) {
        Some(entry) => condition.allows(entry.deadline(), deadline),
        None => false,
    };
    if allowed && deadline <= ctx.now_ms {
        ctx.remove(&key);
        ctx.changed(&key, Event::generic("del"));
    } else if allowed {
        ctx.db(&key).set_deadline(&key, Some(deadline))?;
        ctx.changed(&key, Event::generic("expire"));
    }
    ctx.reply.integer(allowed.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn conditions_hold() {
        let mut client = Client::new();
        client.say("SET k v");
        for (line, answer) in [
            ("EXPIREAT k 4000000000 XX", 0),
            ("EXPIREAT k 4000000000 GT", 0),
            ("EXPIREAT k 4000000000 LT", 1),
            ("EXPIREAT k 4000000000 NX", 0),
            ("EXPIREAT k 4000000000 GT", 0),
            ("EXPIREAT k 4000000001 GT", 1),
            ("EXPIREAT k 4000000002 LT", 0),
            ("EXPIREAT k 4000000000 XX LT", 1),
            ("PEXPIRETIME k", 4_000_000_000_000_i64),
            ("EXPIRE nothing 10", 0),
        ] {
            assert_eq!(client.say(line), format!(":{answer}\r\n"), "{line}");
        }
    }

    #[test]
    fn the_past_deletes() {
        let mut client = Client::new();
        client.say("SET k v");
        assert_eq!(client.say("EXPIRE k -1"), ":1\r\n");
        assert_eq!(client.say("EXISTS k"), ":0\r\n");
    }

    #[test]
    fn bad_times_and_options_are_refused() {
        let mut client = Client::new();
        client.say("SET k v");
        let invalid = "-ERR invalid expire time in 'expire' command\r\n";
        assert_eq!(client.say("EXPIRE k 9223372036854775807"), invalid);
        assert_eq!(client.say("EXPIRE k x"), "-ERR value is not an integer or out of range\r\n");
        assert_eq!(client.say("EXPIRE k 1 AB"), "-ERR Unsupported option AB\r\n");
        assert_eq!(
            client.say("EXPIRE k 1 NX GT"),
            "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"
        );
        assert_eq!(client.say("TTL k"), ":-1\r\n");
    }
}
