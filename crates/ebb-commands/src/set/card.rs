//! SINTERCARD, SUNIONCARD, SDIFFCARD: how large a combination of sets would be.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use ebb_keyspace::Key;

use super::algebra::{Operation, sets_in};
use crate::numkeys;

pub(super) static SINTERCARD: CommandSpec = CommandSpec {
    name: "sintercard",
    summary: "Counts the members of an intersection of sets.",
    since: "7.0.0",
    group: Group::Set,
    complexity: "O(N*M) for N members of the smallest set and M sets.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::integer("limit").after("LIMIT").optional(),
    ],
    run: |ctx| card(ctx, Operation::Intersection),
    ..CommandSpec::NEW
};

pub(super) static SUNIONCARD: CommandSpec = CommandSpec {
    name: "sunioncard",
    summary: "Counts the members of a union of sets.",
    complexity: "O(N) for N members of all sets.",
    run: |ctx| card(ctx, Operation::Union),
    ..SINTERCARD_LIKE
};
pub(super) static SDIFFCARD: CommandSpec = CommandSpec {
    name: "sdiffcard",
    summary: "Counts the members of a set that others do not have.",
    complexity: "O(N) for N members of all sets.",
    run: |ctx| card(ctx, Operation::Difference),
    ..SINTERCARD_LIKE
};

/// What the commands that newer servers have share with SINTERCARD.
const SINTERCARD_LIKE: CommandSpec = CommandSpec {
    since: "8.10.0",
    group: Group::Set,
    arity: -3,
    flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::integer("limit").after("LIMIT").optional(),
    ],
    ..CommandSpec::NEW
};

fn card(ctx: &mut Context<'_>, operation: Operation) -> CommandResult {
    let too_many = CommandError::new("ERR Number of keys can't be greater than number of args");
    let keys = numkeys::counted_keys(ctx, 1, too_many)?;
    let limit = numkeys::limit(ctx, keys.end)?;
    let keys: Vec<Key<'_>> = keys.map(|at| ctx.key(at)).collect();
    let (entries, reply) = ctx.read_all(&keys);
    let mut count = 0;
    operation.walk(sets_in(entries)?, |_| {
        count += 1;
        count < limit
    });
    reply.count(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn counts_up_to_a_limit() {
        let mut client = Client::new();
        client.say("SADD a 1 2 3");
        client.say("SADD b 2 3 4 x");
        assert_eq!(client.say("SINTERCARD 2 a b"), ":2\r\n");
        assert_eq!(client.say("SINTERCARD 2 a b LIMIT 1"), ":1\r\n");
        assert_eq!(client.say("SINTERCARD 2 a b LIMIT 0"), ":2\r\n");
        assert_eq!(client.say("SUNIONCARD 2 a b"), ":5\r\n");
        assert_eq!(client.say("SUNIONCARD 2 a b LIMIT 4"), ":4\r\n");
        assert_eq!(client.say("SDIFFCARD 2 b a"), ":2\r\n");
        assert_eq!(client.say("SDIFFCARD 3 b a nothing LIMIT 1"), ":1\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = Client::new();
        client.say("SET t x");
        assert_eq!(client.say("SINTERCARD 0 a"), "-ERR numkeys should be greater than 0\r\n");
        assert_eq!(client.say("SINTERCARD x a"), "-ERR numkeys should be greater than 0\r\n");
        assert!(client.say("SINTERCARD 3 a b").contains("can't be greater than number of args"));
        assert_eq!(client.say("SINTERCARD 1 a b"), "-ERR syntax error\r\n");
        assert_eq!(client.say("SINTERCARD 1 a LIMIT"), "-ERR syntax error\r\n");
        assert_eq!(client.say("SINTERCARD 1 a LIMIT -1"), "-ERR LIMIT can't be negative\r\n");
        assert!(client.say("SUNIONCARD 2 a t").starts_with("-WRONGTYPE"));
    }
}
