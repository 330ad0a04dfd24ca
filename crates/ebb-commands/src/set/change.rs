//! SADD, SREM, SMOVE: members in and out.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

pub(super) static SADD: CommandSpec = CommandSpec {
    name: "sadd",
    summary: "Adds members to a set.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
    history: &[("2.4.0", "Accepts multiple `member` arguments.")],
    run: sadd,
    ..CommandSpec::NEW
};
pub(super) static SREM: CommandSpec = CommandSpec {
    name: "srem",
    summary: "Removes members of a set.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
    history: &[("2.4.0", "Accepts multiple `member` arguments.")],
    run: srem,
    ..CommandSpec::NEW
};
pub(super) static SMOVE: CommandSpec = CommandSpec {
    name: "smove",
    summary: "Moves a member from one set to another.",
    since: "1.0.0",
    group: Group::Set,
    arity: 4,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::RW.and(KeyFlags::INSERT)),
    ],
    arguments: &[
        Argument::key("source", 0),
        Argument::key("destination", 1),
        Argument::string("member"),
    ],
    run: smove,
    ..CommandSpec::NEW
};

fn sadd(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let mut set = ctx.open_set(&key)?;
    let mut added = 0;
    for member in &args[2..] {
        added += u64::from(set.add(member)?);
    }
    set.into_slot().finish();
    if added > 0 {
        ctx.changed_many(&key, Event::set("sadd"), added);
    }
    ctx.reply.integer(added as i64);
    Ok(())
}

fn srem(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let (Some(mut set), _) = ctx.edit_set(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let mut removed = 0;
    for member in &args[2..] {
        removed += u64::from(set.remove(member)?);
    }
    let gone = set.into_slot().finish();
    if removed > 0 {
        ctx.changed_many(&key, Event::set("srem"), removed);
        ctx.gone_if(&key, gone);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn smove(ctx: &mut Context<'_>) -> CommandResult {
    let (from, to, member) = (ctx.key(1), ctx.key(2), ctx.arg(3));
    let Some(set) = ctx.read_to_write(&from) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let found = set.set().ok_or(CommandError::WrongType)?.contains(member);
    if ctx.read_to_write(&to).is_some_and(|entry| entry.set().is_none()) {
        return Err(CommandError::WrongType);
    }
    if found && from.bytes() != to.bytes() {
        // It is put in before it is taken out, so that it is not lost when memory ends.
        let mut target = ctx.open_set(&to)?;
        let is_new = target.add(member)?;
        target.into_slot().finish();
        let gone = match ctx.edit_set(&from)?.0 {
            Some(mut source) => {
                source.remove(member)?;
                source.into_slot().finish()
            }
            None => false,
        };
        ctx.changed(&from, Event::set("srem"));
        ctx.gone_if(&from, gone);
        if is_new {
            ctx.changed(&to, Event::set("sadd"));
        }
    }
    ctx.reply.integer(found.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn members_come_and_go() {
        let mut client = Client::new();
        assert_eq!(client.say("SADD s a b a"), ":2\r\n");
        assert_eq!(client.say("SADD s b c"), ":1\r\n");
        assert_eq!(client.say("SREM s a x"), ":1\r\n");
        assert_eq!(client.say("SREM s b c"), ":2\r\n");
        assert_eq!(client.say("EXISTS s"), ":0\r\n");
        assert_eq!(client.say("SREM s b"), ":0\r\n");
        client.say("SET t x");
        assert!(client.say("SADD t a").starts_with("-WRONGTYPE"));
        assert!(client.say("SREM t a").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn a_member_moves_and_the_last_takes_the_key_along() {
        let mut client = Client::new();
        client.say("SADD s a");
        client.say("SET t x");
        assert_eq!(client.say("SMOVE s other x"), ":0\r\n");
        assert_eq!(client.say("EXISTS other"), ":0\r\n");
        assert_eq!(client.say("SMOVE s s a"), ":1\r\n");
        assert!(client.say("SMOVE s t a").starts_with("-WRONGTYPE"));
        assert_eq!(client.say("SMOVE nothing t a"), ":0\r\n");
        assert_eq!(client.say("SMOVE s other a"), ":1\r\n");
        assert_eq!(client.say("EXISTS s other"), ":1\r\n");
        assert_eq!(client.say("SMEMBERS other"), "*1\r\n$1\r\na\r\n");
    }

    #[test]
    fn encodings_follow_the_limits() {
        let mut client = Client::with_config(&[
            ("set-max-intset-entries", "3"),
            ("set-max-listpack-entries", "4"),
        ]);
        let encoding = |client: &mut Client| client.say("OBJECT ENCODING s");
        client.say("SADD s 1 2 3");
        assert_eq!(encoding(&mut client), "$6\r\nintset\r\n");
        client.say("SADD s a");
        assert_eq!(encoding(&mut client), "$8\r\nlistpack\r\n");
        client.say("SADD s b");
        assert_eq!(encoding(&mut client), "$9\r\nhashtable\r\n");
        client.say("SADD ints 1 2 3 4");
        assert_eq!(client.say("OBJECT ENCODING ints"), "$9\r\nhashtable\r\n");
    }
}
