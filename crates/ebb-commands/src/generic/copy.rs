//! COPY and MOVE: a key into another name or database.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, KeyFlags, KeySpec,
};

use super::database;

fn same_object() -> CommandError {
    CommandError::new("ERR source and destination objects are the same")
}

pub(super) static COPY: CommandSpec = CommandSpec {
    name: "copy",
    summary: "Copies the value and deadline of a key to another key.",
    since: "6.2.0",
    complexity: "O(1); a large value is shared, not copied.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS)),
        KeySpec::one(2, KeyFlags::OW.and(KeyFlags::UPDATE)),
    ],
    arguments: &[
        Argument::key("source", 0),
        Argument::key("destination", 1),
        Argument::integer("destination-db").after("DB").optional(),
        Argument::word("replace", "REPLACE").optional(),
    ],
    run: copy,
    ..CommandSpec::NEW
};

fn copy(ctx: &mut Context<'_>) -> CommandResult {
    let (mut target, mut replace) = (ctx.session.db, false);
    let mut at = 3;
    while at < ctx.args.len() {
        if ctx.is_word(at, "REPLACE") {
            replace = true;
        } else if ctx.is_word(at, "DB") && at + 1 < ctx.args.len() {
            target = database(ctx, at + 1)?;
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    let (from, to) = (ctx.key(1), ctx.key(2));
    if target == ctx.session.db && from.bytes() == to.bytes() {
        return Err(same_object());
    }
    let arena = ctx.shard(&to).db(target).arenas_of(to.bytes()).data;
    let Some(entry) = ctx.read(&from) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let entry = entry.copy(arena, to.bytes(), entry.deadline())?;
    // Looked for in any case: if it is due, it expires now.
    if ctx.peek_in(target, &to).is_some() && !replace {
        ctx.reply.integer(0);
        return Ok(());
    }
    ctx.insert(target, &to, entry)?;
    ctx.appeared(target, &to);
    ctx.changed_in(target, &to, Event::generic("copy_to"));
    ctx.reply.integer(1);
    Ok(())
}

pub(super) static MOVE: CommandSpec = CommandSpec {
    name: "move",
    summary: "Moves a key to another database unless that has the key.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[Argument::key("key", 0), Argument::integer("db")],
    run: move_to,
    ..CommandSpec::NEW
};

fn move_to(ctx: &mut Context<'_>) -> CommandResult {
    let target = database(ctx, 2)?;
    let key = ctx.key(1);
    let source = ctx.session.db;
    if target == source {
        return Err(same_object());
    }
    let moves = ctx.read_to_write(&key).is_some() && ctx.peek_in(target, &key).is_none();
    if moves && let Some(entry) = ctx.take(source, &key) {
        ctx.insert(target, &key, entry)?;
        ctx.appeared(target, &key);
        ctx.changed_in(source, &key, Event::generic("move_from"));
        ctx.changed_too(target, &key, Event::generic("move_to"));
    }
    ctx.reply.integer(moves.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn copies_are_independent() {
        let mut client = Client::new();
        client.say("SET a 1 PXAT 99999999999999");
        assert_eq!(client.say("COPY a b"), ":1\r\n");
        assert_eq!(client.say("COPY a b"), ":0\r\n");
        client.say("APPEND b 2");
        assert_eq!(client.say("MGET a b"), "*2\r\n$1\r\n1\r\n$2\r\n12\r\n");
        assert_eq!(client.say("COPY a b REPLACE"), ":1\r\n");
        assert_eq!(client.say("PEXPIRETIME b"), ":99999999999999\r\n");
        assert_eq!(client.say("COPY a a"), "-ERR source and destination objects are the same\r\n");
        assert_eq!(client.say("COPY a a DB 1"), ":1\r\n");
        assert_eq!(client.say("COPY a a DB 99"), "-ERR DB index is out of range\r\n");
    }

    #[test]
    fn a_key_that_is_due_expires_when_it_is_replaced() {
        let mut client = Client::new();
        client.say("MSET a 1 b 2");
        client.say("PEXPIRE b 1");
        std::thread::sleep(std::time::Duration::from_millis(3));
        assert_eq!(client.say("COPY a b REPLACE"), ":1\r\n");
        assert!(client.say("INFO stats").contains("expired_keys:1\r\n"));
    }

    #[test]
    fn moves_unless_there_is_one() {
        let mut client = Client::new();
        client.say("SET a 1");
        assert_eq!(client.say("MOVE a 1"), ":1\r\n");
        assert_eq!(client.say("EXISTS a"), ":0\r\n");
        client.say("SET a 2");
        assert_eq!(client.say("MOVE a 1"), ":0\r\n");
        assert_eq!(client.say("SELECT 1"), "+OK\r\n");
        assert_eq!(client.say("GET a"), "$1\r\n1\r\n");
    }
}
