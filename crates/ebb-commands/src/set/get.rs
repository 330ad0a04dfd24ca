//! SCARD, SISMEMBER, SMISMEMBER, SMEMBERS: reading a set.

use ebb_collections::SetRef;
use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec};

pub(super) static SCARD: CommandSpec = CommandSpec {
    name: "scard",
    summary: "Counts the members of a set.",
    since: "1.0.0",
    group: Group::Set,
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    run: scard,
    ..CommandSpec::NEW
};
pub(super) static SISMEMBER: CommandSpec = CommandSpec {
    name: "sismember",
    summary: "Tells whether a set has a member.",
    since: "1.0.0",
    group: Group::Set,
    arity: 3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("member")],
    run: sismember,
    ..CommandSpec::NEW
};
pub(super) static SMISMEMBER: CommandSpec = CommandSpec {
    name: "smismember",
    summary: "Tells which of some members a set has.",
    since: "6.2.0",
    group: Group::Set,
    complexity: "O(N) for N members.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
    run: smismember,
    ..CommandSpec::NEW
};
pub(super) static SMEMBERS: CommandSpec = CommandSpec {
    name: "smembers",
    summary: "Returns all members of a set.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members.",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output_order"],
    run: smembers,
    ..CommandSpec::NEW
};

fn scard(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let (set, reply) = ctx.read_set_and_reply(&key)?;
    reply.count(set.map_or(0, |set| set.len()));
    Ok(())
}

fn sismember(ctx: &mut Context<'_>) -> CommandResult {
    let (key, member) = (ctx.key(1), ctx.arg(2));
    let (set, reply) = ctx.read_set_and_reply(&key)?;
    reply.integer(set.is_some_and(|set| set.contains(member)).into());
    Ok(())
}

fn smismember(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let (set, reply) = ctx.read_set_and_reply(&key)?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        reply.integer(set.is_some_and(|set| set.contains(member)).into());
    }
    Ok(())
}

fn smembers(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let (set, reply) = ctx.read_set_and_reply(&key)?;
    let set = set.unwrap_or(SetRef::Ints(&[]));
    reply.set(set.len());
    set.for_each(|member| member.with_bytes(|bytes| reply.bulk(bytes)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn members_are_asked_for() {
        let mut client = Client::new();
        client.say("SADD s 3 1 -2");
        assert_eq!(client.say("SCARD s"), ":3\r\n");
        assert_eq!(client.say("SCARD nothing"), ":0\r\n");
        assert_eq!(client.say("SISMEMBER s 1"), ":1\r\n");
        assert_eq!(client.say("SISMEMBER s 01"), ":0\r\n");
        assert_eq!(client.say("SMISMEMBER s 3 x -2"), "*3\r\n:1\r\n:0\r\n:1\r\n");
        assert_eq!(client.say("SMISMEMBER nothing x"), "*1\r\n:0\r\n");
        assert_eq!(client.say("SMEMBERS s"), "*3\r\n$2\r\n-2\r\n$1\r\n1\r\n$1\r\n3\r\n");
        assert_eq!(client.say("SMEMBERS nothing"), "*0\r\n");
        client.say("HELLO 3");
        assert!(client.say("SMEMBERS s").starts_with("~3\r\n"));
        client.say("SET t x");
        for command in ["SCARD t", "SISMEMBER t a", "SMISMEMBER t a", "SMEMBERS t"] {
            assert!(client.say(command).starts_with("-WRONGTYPE"), "{command}");
        }
    }
}
