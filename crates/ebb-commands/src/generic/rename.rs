//! RENAME and RENAMENX.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, KeyFlags, KeySpec,
};
use ebb_keyspace::{Deadline, StringValue};

pub(super) static RENAME: CommandSpec = CommandSpec {
    name: "rename",
    summary: "Gives a key another name, in the place of a key that has it.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE,
    keys: &[
        KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::OW.and(KeyFlags::UPDATE)),
    ],
    arguments: &[Argument::key("key", 0), Argument::key("newkey", 1)],
    run: rename,
    ..CommandSpec::NEW
};

fn rename(ctx: &mut Context<'_>) -> CommandResult {
    move_key(ctx, true)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) static RENAMENX: CommandSpec = CommandSpec {
    name: "renamenx",
    summary: "Gives a key another name unless a key has it already.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::OW.and(KeyFlags::INSERT)),
    ],
    arguments: &[Argument::key("key", 0), Argument::key("newkey", 1)],
    run: renamenx,
    ..CommandSpec::NEW
};

fn renamenx(ctx: &mut Context<'_>) -> CommandResult {
    let moved = move_key(ctx, false)?;
    ctx.reply.integer(moved.into());
    Ok(())
}

/// Answers whether the second key holds now what the first held.
fn move_key(ctx: &mut Context<'_>, overwrite: bool) -> Result<bool, CommandError> {
    let (from, to) = (ctx.key(1), ctx.key(2));
    if ctx.read_to_write(&from).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if from.bytes() == to.bytes() {
        return Ok(overwrite);
    }
    if ctx.read_to_write(&to).is_some() && !overwrite {
        return Ok(false);
    }
    // A place is taken first: from then on nothing can fail that would lose the value.
    let (db, arena) = (ctx.session.db, ctx.db(&to).arenas_of(to.bytes()).data);
    ctx.set_string(&to, StringValue::Int(0), Deadline::Clear)?;
    let Some(entry) = ctx.take(db, &from) else { return Err(CommandError::NoSuchKey) };
    let deadline = entry.as_ref().deadline();
    match entry.renamed(arena, to.bytes(), deadline) {
        Ok(entry) => ctx.insert(db, &to, entry)?,
        Err((entry, error)) => {
            ctx.remove(&to);
            ctx.insert(db, &from, entry)?;
            return Err(error.into());
        }
    }
    ctx.appeared(db, &to);
    ctx.changed(&from, Event::generic("rename_from"));
    ctx.changed_too(db, &to, Event::generic("rename_to"));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn the_deadline_moves_along() {
        let mut client = Client::new();
        client.say("SET a 1 PXAT 99999999999999");
        client.say("SET b 2");
        assert_eq!(client.say("RENAMENX a b"), ":0\r\n");
        assert_eq!(client.say("RENAME a b"), "+OK\r\n");
        assert_eq!(client.say("GET b"), "$1\r\n1\r\n");
        assert_eq!(client.say("PEXPIRETIME b"), ":99999999999999\r\n");
        assert_eq!(client.say("EXISTS a"), ":0\r\n");
        assert_eq!(client.say("RENAME a b"), "-ERR no such key\r\n");
        assert_eq!(client.say("RENAME b b"), "+OK\r\n");
        assert_eq!(client.say("RENAMENX b b"), ":0\r\n");
    }
}
