//! TTL, PTTL, EXPIRETIME, PEXPIRETIME and PERSIST: a key's deadline.

use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Event, Flags, KeyFlags, KeySpec};

pub(super) static TTL: CommandSpec = CommandSpec {
    name: "ttl",
    summary: "Returns the seconds until a key expires.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output"],
    run: |ctx| answer(ctx, |deadline, now| to_seconds(deadline - now)),
    ..CommandSpec::NEW
};

pub(super) static PTTL: CommandSpec = CommandSpec {
    name: "pttl",
    summary: "Returns the milliseconds until a key expires.",
    since: "2.6.0",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output"],
    run: |ctx| answer(ctx, |deadline, now| deadline - now),
    ..CommandSpec::NEW
};

pub(super) static EXPIRETIME: CommandSpec = CommandSpec {
    name: "expiretime",
    summary: "Returns the Unix time in seconds at which a key expires.",
    since: "7.0.0",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0)],
    run: |ctx| answer(ctx, |deadline, _| to_seconds(deadline)),
    ..CommandSpec::NEW
};

pub(super) static PEXPIRETIME: CommandSpec = CommandSpec {
    name: "pexpiretime",
    summary: "Returns the Unix time in milliseconds at which a key expires.",
    since: "7.0.0",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0)],
    run: |ctx| answer(ctx, |deadline, _| deadline),
    ..CommandSpec::NEW
};

/// Rounded to the nearest second.
fn to_seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

/// Answers -2 without a key, -1 without a deadline.
fn answer(ctx: &mut Context<'_>, number: impl Fn(i64, i64) -> i64) -> CommandResult {
    let key = ctx.key(1);
    let now_ms = ctx.now_ms;
    let answer = match ctx.ask(&key).map(|entry| entry.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => number(deadline, now_ms),
    };
    ctx.reply.integer(answer);
    Ok(())
}

pub(super) static PERSIST: CommandSpec = CommandSpec {
    name: "persist",
    summary: "Takes a key's deadline away.",
    since: "2.2.0",
    arity: 2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[Argument::key("key", 0)],
    run: persist,
    ..CommandSpec::NEW
};

fn persist(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let volatile = ctx.read_to_write(&key).is_some_and(|entry| entry.has_deadline());
    if volatile {
        ctx.db(&key).set_deadline(&key, None)?;
        ctx.changed(&key, Event::generic("persist"));
    }
    ctx.reply.integer(volatile.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn answers_in_each_unit() {
        let mut client = Client::new();
        client.say("SET k v PXAT 4000000000600");
        assert_eq!(client.say("PEXPIRETIME k"), ":4000000000600\r\n");
        assert_eq!(client.say("EXPIRETIME k"), ":4000000001\r\n");
        assert_eq!(client.say("TTL nothing"), ":-2\r\n");
        assert_eq!(client.say("PERSIST k"), ":1\r\n");
        assert_eq!(client.say("PERSIST k"), ":0\r\n");
        assert_eq!(client.say("PTTL k"), ":-1\r\n");
        client.say("EXPIRE k 100");
        assert_eq!(client.say("TTL k"), ":100\r\n");
    }
}
