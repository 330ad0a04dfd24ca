//! BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP: waiting for elements.

use ebb_collections::End;
use ebb_engine::blocking::Wait;
use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
    KeyFlags, KeySpec,
};
use ebb_keyspace::Type;

use super::ends::pop_one;
use super::lmove::{end_of, move_one};
use super::lmpop;
use crate::deadline::timeout;

pub(super) static BLPOP: CommandSpec = CommandSpec {
    name: "blpop",
    summary: "Removes the first element of the first list that has one; waits for it.",
    since: "2.0.0",
    group: Group::List,
    complexity: "O(N) for N keys.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::BLOCKING),
    keys: &[KeySpec::range(1, -2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0).multiple(),
        Argument::new("timeout", ArgumentKind::Double),
    ],
    run: |ctx| pop(ctx, End::Left),
    ..CommandSpec::NEW
};
pub(super) static BRPOP: CommandSpec = CommandSpec {
    name: "brpop",
    summary: "Removes the last element of the first list that has one; waits for it.",
    since: "2.0.0",
    group: Group::List,
    complexity: "O(N) for N keys.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::BLOCKING),
    keys: &[KeySpec::range(1, -2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0).multiple(),
        Argument::new("timeout", ArgumentKind::Double),
    ],
    run: |ctx| pop(ctx, End::Right),
    ..CommandSpec::NEW
};
pub(super) static BLMOVE: CommandSpec = CommandSpec {
    name: "blmove",
    summary: "Moves an element from an end of a list to an end of another; waits for it.",
    since: "6.2.0",
    group: Group::List,
    arity: 6,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::BLOCKING),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::RW.and(KeyFlags::INSERT)),
    ],
    arguments: &[
        Argument::key("source", 0),
        Argument::key("destination", 1),
        Argument::one_of(
            "wherefrom",
            &[Argument::word("left", "LEFT"), Argument::word("right", "RIGHT")],
        ),
        Argument::one_of(
            "whereto",
            &[Argument::word("left", "LEFT"), Argument::word("right", "RIGHT")],
        ),
        Argument::new("timeout", ArgumentKind::Double),
    ],
    run: blmove,
    ..CommandSpec::NEW
};
pub(super) static BRPOPLPUSH: CommandSpec = CommandSpec {
    name: "brpoplpush",
    summary: "Moves the last element of a list to the head of another; waits for it.",
    since: "2.2.0",
    group: Group::List,
    arity: 4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::BLOCKING),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::RW.and(KeyFlags::INSERT)),
    ],
    arguments: &[
        Argument::key("source", 0),
        Argument::key("destination", 1),
        Argument::new("timeout", ArgumentKind::Double),
    ],
    deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
    run: brpoplpush,
    ..CommandSpec::NEW
};
pub(super) static BLMPOP: CommandSpec = CommandSpec {
    name: "blmpop",
    summary: "Removes elements from the first list that has any; waits for them.",
    since: "7.0.0",
    group: Group::List,
    complexity: "O(N+M) for N keys and M elements.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::new("timeout", ArgumentKind::Double),
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::one_of(
            "where",
            &[Argument::word("left", "LEFT"), Argument::word("right", "RIGHT")],
        ),
        Argument::integer("count").after("COUNT").optional(),
    ],
    run: blmpop,
    ..CommandSpec::NEW
};

fn pop(ctx: &mut Context<'_>, end: End) -> CommandResult {
    let last = ctx.args.len() - 1;
    let deadline_ms = timeout(ctx, last)?;
    for at in 1..last {
        let key = ctx.key(at);
        if ctx.read_list(&key)?.is_some() {
            ctx.reply.array(2);
            ctx.reply.bulk(key.bytes());
            pop_one(ctx, &key, end)?;
            return Ok(());
        }
    }
    wait(ctx, 1..last, deadline_ms, |reply| reply.null_array());
    Ok(())
}

fn wait(
    ctx: &mut Context<'_>,
    keys: std::ops::Range<usize>,
    deadline_ms: Option<i64>,
    on_timeout: fn(&mut ebb_engine::Reply),
) {
    ctx.block(Wait {
        keys,
        kind: Some(Type::List),
        deadline_ms,
        on_timeout,
        args: None,
        again_ms: None,
    });
}

fn move_or_wait(ctx: &mut Context<'_>, from: End, to: End, timeout_at: usize) -> CommandResult {
    let deadline_ms = timeout(ctx, timeout_at)?;
    if !move_one(ctx, from, to)? {
        wait(ctx, 1..2, deadline_ms, |reply| reply.null());
    }
    Ok(())
}

fn blmove(ctx: &mut Context<'_>) -> CommandResult {
    let (from, to) = (end_of(ctx, 3)?, end_of(ctx, 4)?);
    move_or_wait(ctx, from, to, 5)
}

fn brpoplpush(ctx: &mut Context<'_>) -> CommandResult {
    move_or_wait(ctx, End::Right, End::Left, 3)
}

fn blmpop(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    let deadline_ms = timeout(ctx, 1)?;
    let options = lmpop::parse(ctx, 2)?;
    if !lmpop::pop_first(ctx, &options)? {
        wait(ctx, options.keys, deadline_ms, |reply| reply.null_array());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ebb_engine::blocking::waiting;

    use crate::testing::Client;

    #[test]
    fn elements_that_are_there_come_at_once() {
        let mut client = Client::new();
        client.say("RPUSH b 1 2 3 4");
        assert_eq!(client.say("BLPOP a b 0"), "*2\r\n$1\r\nb\r\n$1\r\n1\r\n");
        assert_eq!(client.say("BRPOP a b 0"), "*2\r\n$1\r\nb\r\n$1\r\n4\r\n");
        assert_eq!(client.say("BLMOVE b c LEFT LEFT 0"), "$1\r\n2\r\n");
        assert_eq!(client.say("BRPOPLPUSH c b 0"), "$1\r\n2\r\n");
        assert_eq!(
            client.say("BLMPOP 0 2 a b LEFT COUNT 5"),
            "*2\r\n$1\r\nb\r\n*2\r\n$1\r\n2\r\n$1\r\n3\r\n"
        );
        assert_eq!(client.say("BLPOP a -1"), "-ERR timeout is negative\r\n");
        assert_eq!(client.say("BLPOP a x"), "-ERR timeout is not a float or out of range\r\n");
    }

    #[test]
    fn who_waits_is_served_in_order() {
        let mut first = Client::new();
        let (mut second, mut writer) = (first.another(), first.another());
        assert_eq!(first.say("BLPOP a b 0"), "");
        assert_eq!(second.say("BLMOVE b c LEFT RIGHT 0"), "");
        let mut third = first.another();
        assert_eq!(third.say("BRPOP c 0"), "");
        assert_eq!(writer.say("SET b x"), "+OK\r\n");
        assert_eq!(first.mail(), "", "another type serves nobody");
        writer.say("DEL b");
        assert_eq!(writer.say("RPUSH b 1 2"), ":2\r\n");
        assert_eq!(first.mail(), "*2\r\n$1\r\nb\r\n$1\r\n1\r\n");
        assert_eq!(second.mail(), "$1\r\n2\r\n");
        assert_eq!(third.mail(), "*2\r\n$1\r\nc\r\n$1\r\n2\r\n", "what was served serves others");
        assert_eq!(writer.say("EXISTS a b c"), ":0\r\n");
    }

    #[test]
    fn who_waits_needs_the_permission_when_served() {
        let mut client = Client::new();
        let mut other = client.another();
        other.say("ACL SETUSER ann on nopass +@all allkeys");
        client.say("AUTH ann x");
        assert_eq!(client.say("BLPOP a 0"), "");
        other.say("ACL SETUSER ann resetkeys");
        other.say("CONFIG RESETSTAT");
        other.say("RPUSH a 1");
        assert_eq!(client.mail(), "-NOPERM No permissions to access a key\r\n");
        assert_eq!(other.say("LLEN a"), ":1\r\n");
        let info = other.say("INFO commandstats");
        let counted =
            "cmdstat_blpop:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0";
        assert!(info.contains(counted), "{info}");
        let log = other.say("ACL LOG");
        assert!(log.contains("$8\r\ntoplevel\r\n$6\r\nobject\r\n$1\r\na\r\n"), "{log}");
    }

    #[test]
    fn what_is_due_when_a_transaction_is_over_serves_nobody() {
        let mut client = Client::with_config(&[("enable-debug-command", "yes")]);
        let mut other = client.another();
        assert_eq!(client.say("BLPOP a 0"), "");
        for command in ["MULTI", "RPUSH a 1", "PEXPIRE a 20", "DEBUG SLEEP 0.05", "EXEC"] {
            other.say(command);
        }
        assert_eq!(client.mail(), "");
        other.say("RPUSH a 2");
        assert_eq!(client.mail(), "*2\r\n$1\r\na\r\n$1\r\n2\r\n");
    }

    #[test]
    fn nobody_waits_in_a_transaction() {
        let mut client = Client::new();
        client.say("MULTI");
        client.say("BLPOP a 0");
        client.say("BLMOVE a b LEFT LEFT 0");
        assert_eq!(client.say("EXEC"), "*2\r\n*-1\r\n$-1\r\n");
    }

    #[test]
    fn a_wait_is_ended_from_outside() {
        let mut client = Client::new();
        let mut other = client.another();
        assert_eq!(client.say("BLPOP a 0"), "");
        assert!(waiting() > 0);
        let id = client.session.id();
        assert_eq!(other.say(&format!("CLIENT UNBLOCK {id}")), ":1\r\n");
        assert_eq!(other.say(&format!("CLIENT UNBLOCK {id}")), ":0\r\n");
        assert_eq!(client.mail(), "*-1\r\n");
        let info = other.say("INFO commandstats");
        assert!(info.contains("cmdstat_blpop:calls=1,"), "{info}");
        other.say("RPUSH a 1");
        assert_eq!(other.say("LLEN a"), ":1\r\n", "the wait is over");
    }
}
