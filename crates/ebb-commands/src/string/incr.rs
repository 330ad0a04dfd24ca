//! INCR, DECR, INCRBY and DECRBY.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

const FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const KEYS: &[KeySpec] =
    &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))];

pub(super) static INCR: CommandSpec = CommandSpec {
    name: "incr",
    summary: "Adds one to the integer at a key, which counts as 0 if it is not there.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: FLAGS,
    keys: KEYS,
    arguments: &[Argument::key("key", 0)],
    run: |ctx| add(ctx, 1),
    ..CommandSpec::NEW
};

pub(super) static DECR: CommandSpec = CommandSpec {
    name: "decr",
    summary: "Subtracts one from the integer at a key, which counts as 0 if it is not there.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: FLAGS,
    keys: KEYS,
    arguments: &[Argument::key("key", 0)],
    run: |ctx| add(ctx, -1),
    ..CommandSpec::NEW
};

pub(super) static INCRBY: CommandSpec = CommandSpec {
    name: "incrby",
    summary: "Adds to the integer at a key, which counts as 0 if it is not there.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: FLAGS,
    keys: KEYS,
    arguments: &[Argument::key("key", 0), Argument::integer("increment")],
    run: |ctx| add(ctx, ctx.int(2)?),
    ..CommandSpec::NEW
};

pub(super) static DECRBY: CommandSpec = CommandSpec {
    name: "decrby",
    summary: "Subtracts from the integer at a key, which counts as 0 if it is not there.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: FLAGS,
    keys: KEYS,
    arguments: &[Argument::key("key", 0), Argument::integer("decrement")],
    run: decrby,
    ..CommandSpec::NEW
};

fn decrby(ctx: &mut Context<'_>) -> CommandResult {
    let negated = ctx.int(2)?.checked_neg();
    add(ctx, negated.ok_or(CommandError::new("ERR decrement would overflow"))?)
}

fn add(ctx: &mut Context<'_>, change: i64) -> CommandResult {
    let key = ctx.key(1);
    let new = ctx.edit_integer(&key, |old| {
        let overflow = || CommandError::new("ERR increment or decrement would overflow");
        old.checked_add(change).ok_or_else(overflow)
    })?;
    ctx.changed(&key, Event::string("incrby"));
    ctx.reply.integer(new);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn counts_up_to_the_limits() {
        let mut client = Client::new();
        assert_eq!(client.say("INCR k"), ":1\r\n");
        assert_eq!(client.say("DECRBY k 3"), ":-2\r\n");
        assert_eq!(client.say("INCRBY k 4294967296"), ":4294967294\r\n");
        client.say("SET k 9223372036854775807");
        let overflow = "-ERR increment or decrement would overflow\r\n";
        assert_eq!(client.say("INCR k"), overflow);
        assert_eq!(
            client.say("DECRBY k -9223372036854775808"),
            "-ERR decrement would overflow\r\n"
        );
        client.say("SET k abc");
        assert_eq!(client.say("INCR k"), "-ERR value is not an integer or out of range\r\n");
    }
}
