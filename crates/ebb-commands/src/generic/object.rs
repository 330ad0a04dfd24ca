//! OBJECT: how a value is kept.

use ebb_config::{MaxmemoryPolicy, id};
use ebb_engine::eviction::access_clock;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, KeyFlags, KeySpec,
};
use ebb_keyspace::eviction::{self, AccessClock};
use ebb_keyspace::{EntryRef, StringRef, ValueRef};

use crate::help;

pub(super) static OBJECT: CommandSpec = CommandSpec {
    name: "object",
    summary: "A container of commands on how values are kept.",
    since: "2.2.3",
    arity: -2,
    subcommands: &[ENCODING, FREQ, HELP, IDLETIME, REFCOUNT],
    ..CommandSpec::NEW
};

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "6.2.0",
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};

/// Answers with what `describe` says of the key's entry; null without a key.
fn describe(ctx: &mut Context<'_>, describe: impl FnOnce(EntryRef<'_>, &mut ebb_engine::Reply)) {
    let key = ctx.key(2);
    if ctx.inspect(&key).is_none() {
        ctx.reply.null();
        return;
    }
    let db = ctx.session.db;
    let Context { locks, reply, .. } = ctx;
    if let Some(entry) = locks.shard_of(&key).db_ref(db).get(&key) {
        describe(entry, reply);
    }
}

pub(super) const ENCODING: CommandSpec = CommandSpec {
    name: "encoding",
    summary: "Names the encoding of the value at a key.",
    since: "2.2.3",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output"],
    run: encoding,
    ..CommandSpec::NEW
};

fn encoding(ctx: &mut Context<'_>) -> CommandResult {
    describe(ctx, |entry, reply| reply.bulk(entry.encoding().as_bytes()));
    Ok(())
}

pub(super) const REFCOUNT: CommandSpec = CommandSpec {
    name: "refcount",
    summary: "Counts the references to the value at a key.",
    since: "2.2.3",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output"],
    run: refcount,
    ..CommandSpec::NEW
};

/// Integers below this have no object of their own. Redis says so with the largest count that
/// there is; here no integer has one, and those that Redis shares are shown as it shows them.
const SHARED_INTEGERS: i64 = 10_000;

fn refcount(ctx: &mut Context<'_>) -> CommandResult {
    use MaxmemoryPolicy as Policy;
    // As in Redis: under these policies each key needs a clock of its own.
    let has_clocks = ctx.server.config.get(id::MAXMEMORY) > 0
        && matches!(
            ctx.server.config.get(id::MAXMEMORY_POLICY),
            Policy::AllkeysLru | Policy::VolatileLru | Policy::AllkeysLfu | Policy::VolatileLfu
        );
    describe(ctx, |entry, reply| {
        let count = match entry.value() {
            ValueRef::String(StringRef::Shared(shared)) => i64::from(shared.reference_count()),
            ValueRef::String(StringRef::Int(0..SHARED_INTEGERS)) if !has_clocks => {
                i64::from(i32::MAX)
            }
            _ => 1,
        };
        reply.integer(count);
    });
    Ok(())
}

pub(super) const IDLETIME: CommandSpec = CommandSpec {
    name: "idletime",
    summary: "Returns the seconds since the key was last used.",
    since: "2.2.3",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output"],
    run: idletime,
    ..CommandSpec::NEW
};

fn idletime(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(2);
    let now_ms = ctx.now_ms;
    let idle = ctx.inspect(&key).map(|entry| eviction::idle_seconds(entry.clock(), now_ms));
    match idle {
        None => ctx.reply.null(),
        Some(_) if counts_uses(ctx) => {
            return Err(CommandError::new(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
                 when switching between policies at runtime LRU and LFU data will take some time \
                 to adjust.",
            ));
        }
        Some(seconds) => ctx.reply.integer(seconds.into()),
    }
    Ok(())
}

/// Whether the policy counts how often keys are used, not when they were.
fn counts_uses(ctx: &Context<'_>) -> bool {
    !matches!(access_clock(&ctx.server.config, ctx.now_ms), AccessClock::Lru { .. })
}

pub(super) const FREQ: CommandSpec = CommandSpec {
    name: "freq",
    summary: "Returns the access frequency of the value at a key.",
    since: "4.0.0",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output"],
    run: freq,
    ..CommandSpec::NEW
};

fn freq(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(2);
    if ctx.inspect(&key).is_none() {
        ctx.reply.null();
        return Ok(());
    }
    let db = ctx.db(&key);
    let frequency = db.get(&key).and_then(|entry| db.frequency(&entry));
    if let Some(frequency) = frequency {
        ctx.reply.integer(frequency.into());
        return Ok(());
    }
    Err(CommandError::new(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
         that when switching between policies at runtime LRU and LFU data will take some time to \
         adjust.",
    ))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn describes() {
        let mut client = Client::new();
        client.say("MSET int 1 short abc");
        client.run(&["SET", "long", &"x".repeat(100)]);
        for (key, encoding) in
            [("int", "$3\r\nint"), ("short", "$6\r\nembstr"), ("long", "$3\r\nraw")]
        {
            assert_eq!(client.say(&format!("OBJECT ENCODING {key}")), format!("{encoding}\r\n"));
        }
        assert_eq!(client.say("OBJECT ENCODING nothing"), "$-1\r\n");
        assert_eq!(client.say("OBJECT REFCOUNT short"), ":1\r\n");
        assert_eq!(client.say("OBJECT IDLETIME short"), ":0\r\n");
        assert!(client.say("OBJECT FREQ short").starts_with("-ERR An LFU"));
        client.say("CONFIG SET maxmemory-policy allkeys-lfu");
        assert!(client.say("OBJECT IDLETIME short").starts_with("-ERR An LFU"));
        assert_eq!(client.say("OBJECT IDLETIME nothing"), "$-1\r\n");
        client.say("SET new v");
        assert_eq!(client.say("OBJECT FREQ new"), ":5\r\n");
        client.say("GET new");
        assert_eq!(client.say("OBJECT FREQ new"), ":6\r\n");
        client.say("CLIENT NO-TOUCH on");
        (0..200).for_each(|_| drop(client.say("GET new")));
        client.say("CLIENT NO-TOUCH off");
        client.say("RENAME new newer");
        assert!(client.say("OBJECT FREQ newer").as_str() <= ":7\r\n");
        assert!(client.say("OBJECT HELP").contains("ENCODING <key>"));
        assert_eq!(
            client.say("OBJECT WHAT"),
            "-ERR unknown subcommand 'WHAT'. Try OBJECT HELP.\r\n"
        );
    }
}
