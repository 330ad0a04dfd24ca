//! ZCOUNT, ZLEXCOUNT: how many members are in a range.

use ebb_engine::{
    Argument, ArgumentKind, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};

use super::bounds::{By, Selection};

pub(super) static ZCOUNT: CommandSpec = CommandSpec {
    name: "zcount",
    summary: "Counts the members with scores in a range.",
    since: "2.0.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) for N members.",
    arity: 4,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::new("min", ArgumentKind::Double),
        Argument::new("max", ArgumentKind::Double),
    ],
    run: |ctx| count(ctx, By::Score),
    ..CommandSpec::NEW
};
pub(super) static ZLEXCOUNT: CommandSpec = CommandSpec {
    name: "zlexcount",
    summary: "Counts the members in a range of names.",
    since: "2.8.9",
    group: Group::SortedSet,
    complexity: "O(log(N)) for N members.",
    arity: 4,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), Argument::string("min"), Argument::string("max")],
    run: |ctx| count(ctx, By::Lex),
    ..CommandSpec::NEW
};

fn count(ctx: &mut Context<'_>, by: By) -> CommandResult {
    let key = ctx.key(1);
    let selection = Selection::parse(by, ctx.arg(2), ctx.arg(3))?;
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    reply.count(set.map_or(0, |set| selection.ranks(&set, false).len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn ranges_are_counted() {
        let mut client = Client::new();
        client.say("ZADD z 1 a 2 b 3 c");
        assert_eq!(client.say("ZCOUNT z -inf +inf"), ":3\r\n");
        assert_eq!(client.say("ZCOUNT z (1 3"), ":2\r\n");
        assert_eq!(client.say("ZCOUNT z 3 1"), ":0\r\n");
        assert_eq!(client.say("ZCOUNT nothing 1 2"), ":0\r\n");
        assert_eq!(client.say("ZCOUNT z x 1"), "-ERR min or max is not a float\r\n");
        client.say("ZADD l 0 a 0 b 0 c");
        assert_eq!(client.say("ZLEXCOUNT l - +"), ":3\r\n");
        assert_eq!(client.say("ZLEXCOUNT l (a [c"), ":2\r\n");
        assert_eq!(client.say("ZLEXCOUNT l + -"), ":0\r\n");
        assert_eq!(
            client.say("ZLEXCOUNT l a b"),
            "-ERR min or max not valid string range item\r\n"
        );
    }
}
