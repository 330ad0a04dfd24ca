//! MGET, MSET, MSETNX and MSETEX: several keys at once.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec, Type,
};
use ebb_keyspace::Deadline;

use crate::deadline::{self, Unit};

pub(super) static MGET: CommandSpec = CommandSpec {
    name: "mget",
    summary: "Returns the strings at several keys.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(N) where N is the number of keys.",
    arity: -2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[Argument::key("key", 0).multiple()],
    tips: &["request_policy:multi_shard"],
    run: mget,
    ..CommandSpec::NEW
};

fn mget(ctx: &mut Context<'_>) -> CommandResult {
    ctx.reply.array(ctx.args.len() - 1);
    for first in (1..ctx.args.len()).step_by(Context::KEYS_TOGETHER) {
        let end = (first + Context::KEYS_TOGETHER).min(ctx.args.len());
        for key in ctx.keys_together(first..end) {
            let (entry, reply) = ctx.read_and_reply(&key);
            match entry.filter(|entry| entry.value_type() == Type::String) {
                Some(entry) => reply.string(&entry.string()),
                None => reply.null(),
            }
        }
    }
    Ok(())
}

const PAIRS: &[Argument] =
    &[Argument::block("data", &[Argument::key("key", 0), Argument::string("value")]).multiple()];

pub(super) static MSET: CommandSpec = CommandSpec {
    name: "mset",
    summary: "Sets several keys to strings.",
    since: "1.0.1",
    group: Group::String,
    complexity: "O(N) where N is the number of keys.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::range(1, -1, 2, KeyFlags::OW.and(KeyFlags::UPDATE))],
    paced_by_length: true,
    arguments: PAIRS,
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    run: mset,
    ..CommandSpec::NEW
};

fn check_pairs(ctx: &Context<'_>) -> CommandResult {
    if ctx.args.len().is_multiple_of(2) {
        return Err(CommandError::WrongArity(ctx.command.name.into()));
    }
    Ok(())
}

/// Sets the keys that stand at every second argument from `first` to `end`.
fn set_pairs(ctx: &mut Context<'_>, first: usize, end: usize, deadline: Deadline) -> CommandResult {
    const ARGUMENTS: usize = Context::KEYS_TOGETHER * 2;
    for first in (first..end).step_by(ARGUMENTS) {
        let positions = || (first..end.min(first + ARGUMENTS)).step_by(2);
        for (key, at) in ctx.keys_together(positions()).into_iter().zip(positions()) {
            if matches!(deadline, Deadline::Keep) {
                ctx.peek(&key);
            }
            let value = ctx.value(at + 1);
            ctx.set_string(&key, value, deadline)?;
            ctx.changed(&key, Event::string("set"));
            if matches!(deadline, Deadline::At(_)) {
                ctx.notify(&key, Event::generic("expire"));
            }
        }
    }
    Ok(())
}

fn mset(ctx: &mut Context<'_>) -> CommandResult {
    check_pairs(ctx)?;
    set_pairs(ctx, 1, ctx.args.len(), Deadline::Clear)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) static MSETNX: CommandSpec = CommandSpec {
    name: "msetnx",
    summary: "Sets several keys to strings if none of them exists.",
    since: "1.0.1",
    group: Group::String,
    complexity: "O(N) where N is the number of keys.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::range(1, -1, 2, KeyFlags::OW.and(KeyFlags::INSERT))],
    arguments: PAIRS,
    run: msetnx,
    ..CommandSpec::NEW
};

fn msetnx(ctx: &mut Context<'_>) -> CommandResult {
    check_pairs(ctx)?;
    let end = ctx.args.len();
    if any_exists(ctx, 1, end) {
        ctx.reply.integer(0);
        return Ok(());
    }
    set_pairs(ctx, 1, end, Deadline::Clear)?;
    ctx.reply.integer(1);
    Ok(())
}

fn any_exists(ctx: &mut Context<'_>, first: usize, end: usize) -> bool {
    (first..end).step_by(2).any(|at| {
        let key = ctx.key(at);
        ctx.read_to_write(&key).is_some()
    })
}

pub(super) static MSETEX: CommandSpec = CommandSpec {
    name: "msetex",
    summary: "Sets several keys to strings, under a condition and with one deadline if asked.",
    since: "8.4.0",
    group: Group::String,
    complexity: "O(N) where N is the number of keys.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 2, KeyFlags::OW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::block("data", &[Argument::key("key", 0), Argument::string("value")]).multiple(),
        Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")])
            .optional(),
        Argument::one_of(
            "expiration",
            &[
                deadline::OPTIONS[0],
                deadline::OPTIONS[1],
                deadline::OPTIONS[2],
                deadline::OPTIONS[3],
                Argument::word("keepttl", "KEEPTTL"),
            ],
        )
        .optional(),
    ],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    run: msetex,
    ..CommandSpec::NEW
};

/// NX is `Some(false)`, XX is `Some(true)`.
fn parse_options(
    ctx: &Context<'_>,
    first: usize,
) -> Result<(Option<bool>, Deadline), CommandError> {
    let (mut exists, mut deadline, mut time) = (None, None, None);
    let mut at = first;
    while at < ctx.args.len() {
        let next = ctx.args.get(at + 1);
        let untimed = deadline.is_none() && time.is_none();
        if ctx.is_word(at, "NX") && exists.is_none() {
            exists = Some(false);
        } else if ctx.is_word(at, "XX") && exists.is_none() {
            exists = Some(true);
        } else if ctx.is_word(at, "KEEPTTL") && untimed {
            deadline = Some(Deadline::Keep);
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
        deadline = Some(Deadline::At(deadline::positive(ctx, text, unit)?));
    }
    Ok((exists, deadline.unwrap_or(Deadline::Clear)))
}

fn msetex(ctx: &mut Context<'_>) -> CommandResult {
    let invalid = || CommandError::new("ERR invalid numkeys value");
    let count = ctx.int(1).map_err(|_| invalid())?;
    let count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or_else(invalid)?;
    let end = count.checked_mul(2).and_then(|pairs| pairs.checked_add(2));
    let end = end.filter(|&end| end <= ctx.args.len());
    let end = end.ok_or_else(|| CommandError::WrongArity("msetex".into()))?;
    let (exists, deadline) = parse_options(ctx, end)?;
    let allowed = match exists {
        None => true,
        Some(false) => !any_exists(ctx, 2, end),
        Some(true) => (2..end).step_by(2).all(|at| {
            let key = ctx.key(at);
            ctx.read_to_write(&key).is_some()
        }),
    };
    if allowed {
        let over = matches!(deadline, Deadline::At(at) if at <= ctx.now_ms);
        if over {
            for at in (2..end).step_by(2) {
                let key = ctx.key(at);
                if ctx.remove(&key) {
                    ctx.changed(&key, Event::generic("del"));
                }
            }
        } else {
            set_pairs(ctx, 2, end, deadline)?;
        }
    }
    ctx.reply.integer(allowed.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn all_or_nothing() {
        let mut client = Client::new();
        assert_eq!(client.say("MSET a 1 b 2 a 3"), "+OK\r\n");
        assert_eq!(client.say("MGET a b c"), "*3\r\n$1\r\n3\r\n$1\r\n2\r\n$-1\r\n");
        assert_eq!(client.say("MSETNX c 1 a 2"), ":0\r\n");
        assert_eq!(client.say("MSETNX c 1 d 2"), ":1\r\n");
        assert_eq!(
            client.say("MSET a 1 b"),
            "-ERR wrong number of arguments for 'mset' command\r\n"
        );
        assert_eq!(client.say("MSETEX 2 c 5 x 6 XX"), ":0\r\n");
        assert_eq!(client.say("MSETEX 2 c 5 d 6 XX EX 100"), ":1\r\n");
        assert_eq!(client.say("MSETEX 2 c 5 d 6 EX 100 KEEPTTL"), "-ERR syntax error\r\n");
        assert_eq!(client.say("MSETEX 0 c 5"), "-ERR invalid numkeys value\r\n");
        assert_eq!(client.say("MGET c d"), "*2\r\n$1\r\n5\r\n$1\r\n6\r\n");
    }

    #[test]
    fn deadlines_of_several_keys_are_told_of() {
        let mut client = Client::with_config(&[("notify-keyspace-events", "AKE")]);
        let mut listener = client.another();
        listener.say("PSUBSCRIBE __keyevent@0__:*");
        assert_eq!(client.say("MSETEX 2 a 1 b 2 EX 100"), ":1\r\n");
        let mail = listener.mail();
        let events: Vec<_> = mail
            .split("__keyevent@0__:")
            .filter_map(|rest| rest.split("\r\n").next())
            .filter(|event| ["set", "expire"].contains(event))
            .collect();
        assert_eq!(events, ["set", "expire", "set", "expire"]);
    }
}
