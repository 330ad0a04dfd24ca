//! HSET, HMSET, HSETNX: setting fields.

use ebb_collections::FieldDeadline;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

pub(super) static HSET: CommandSpec = CommandSpec {
    name: "hset",
    summary: "Sets fields of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    element: 2,
    arguments: &[
        Argument::key("key", 0),
        Argument::block("data", &[Argument::string("field"), Argument::string("value")]).multiple(),
    ],
    run: hset,
    ..CommandSpec::NEW
};
pub(super) static HMSET: CommandSpec = CommandSpec {
    name: "hmset",
    summary: "Sets fields of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    element: 2,
    arguments: &[
        Argument::key("key", 0),
        Argument::block("data", &[Argument::string("field"), Argument::string("value")]).multiple(),
    ],
    deprecated: Some(("4.0.0", "`HSET` with multiple field-value pairs")),
    run: hmset,
    ..CommandSpec::NEW
};
pub(super) static HSETNX: CommandSpec = CommandSpec {
    name: "hsetnx",
    summary: "Sets a field of a hash unless it is there.",
    since: "2.0.0",
    group: Group::Hash,
    arity: 4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("field"), Argument::string("value")],
    run: hsetnx,
    ..CommandSpec::NEW
};

/// Sets all pairs of the arguments; answers how many fields are new.
fn set_all(ctx: &mut Context<'_>) -> Result<i64, CommandError> {
    if ctx.args.len() % 2 == 1 {
        return Err(CommandError::WrongArity(ctx.command.name.into()));
    }
    let (key, args) = (ctx.key(1), ctx.args);
    let mut hash = ctx.open_hash(&key)?;
    let mut new = 0;
    for pair in args[2..].chunks_exact(2) {
        new += i64::from(hash.set(pair[0], pair[1], FieldDeadline::Clear)?);
    }
    hash.into_slot().finish();
    ctx.changed_many(&key, Event::hash("hset"), (args.len() as u64 - 2) / 2);
    Ok(new)
}

fn hset(ctx: &mut Context<'_>) -> CommandResult {
    let new = set_all(ctx)?;
    ctx.reply.integer(new);
    Ok(())
}

fn hmset(ctx: &mut Context<'_>) -> CommandResult {
    set_all(ctx)?;
    ctx.reply.ok();
    Ok(())
}

fn hsetnx(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name, value) = (ctx.key(1), ctx.arg(2), ctx.arg(3));
    let mut hash = ctx.open_hash(&key)?;
    let is_new = hash.as_ref().get(name).is_none();
    if is_new {
        hash.set(name, value, FieldDeadline::Clear)?;
    }
    hash.into_slot().finish();
    if is_new {
        ctx.changed(&key, Event::hash("hset"));
    }
    ctx.reply.integer(is_new.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn counts_new_fields() {
        let mut client = Client::new();
        assert_eq!(client.say("HSET h a 1 b 2"), ":2\r\n");
        assert_eq!(client.say("HSET h a 3 c 4"), ":1\r\n");
        assert_eq!(client.say("HMSET h a 5"), "+OK\r\n");
        assert_eq!(client.say("HSETNX h a 6"), ":0\r\n");
        assert_eq!(client.say("HSETNX h d 7"), ":1\r\n");
        assert_eq!(client.say("HVALS h"), "*4\r\n$1\r\n5\r\n$1\r\n2\r\n$1\r\n4\r\n$1\r\n7\r\n");
        assert_eq!(
            client.say("HSET h a 1 b"),
            "-ERR wrong number of arguments for 'hset' command\r\n"
        );
    }
}
