//! SINTERCARD, SUNIONCARD, SDIFFCARD: how large a combination of sets would be.

use std::ops::Range;

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use ebb_keyspace::Key;
use ebb_types::hyperloglog;

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
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::word("approx", "APPROX").optional(),
        Argument::integer("limit").after("LIMIT").optional(),
    ],
    run: union_card,
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

/// Takes APPROX out of the options, which leaves at most `[LIMIT n]`.
fn union_card(ctx: &mut Context<'_>) -> CommandResult {
    let too_many = CommandError::new("ERR Number of keys can't be greater than number of args");
    let keys = numkeys::counted_keys(ctx, 1, too_many)?;
    let is_approx = |at: usize| ctx.is_word(at, "APPROX");
    let (limit_at, approximate) = match ctx.args.len() - keys.end {
        1 | 3 if is_approx(keys.end) => (keys.end + 1, true),
        3 if is_approx(keys.end + 2) && ctx.is_word(keys.end, "LIMIT") => {
            let zero_or_more = "ERR LIMIT can't be negative";
            let limit = numkeys::at_least(ctx, keys.end + 1, 0, zero_or_more)?;
            return estimate(ctx, keys, if limit == 0 { usize::MAX } else { limit });
        }
        _ => (keys.end, false),
    };
    if !approximate {
        return card(ctx, Operation::Union);
    }
    let limit = numkeys::limit(ctx, limit_at)?;
    estimate(ctx, keys, limit)
}

/// Answers about how many members sets have together, from a HyperLogLog of them all.
fn estimate(ctx: &mut Context<'_>, keys: Range<usize>, limit: usize) -> CommandResult {
    let keys: Vec<Key<'_>> = keys.map(|at| ctx.key(at)).collect();
    let (entries, reply) = ctx.read_all(&keys);
    let mut registers = hyperloglog::no_registers();
    for set in sets_in(entries)? {
        set.for_each(|member| {
            let (index, value) = member.with_bytes(hyperloglog::place_of);
            registers[index] = registers[index].max(value);
        });
    }
    reply.count(limit.min(hyperloglog::estimate(&registers) as usize));
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

    #[test]
    fn a_union_can_be_estimated() {
        let mut client = Client::new();
        for name in ["a", "b"] {
            let members: Vec<String> = (0..5000).map(|n| format!("{name}{}", n % 4000)).collect();
            let start = ["SADD".to_owned(), name.to_owned()];
            client.run(&[&start[..], &members].concat());
        }
        client.say("SADD b a1 a2 a3 17");
        let reply = client.say("SUNIONCARD 3 a b nothing APPROX");
        let count: f64 = reply[1..].trim_end().parse().unwrap();
        assert!((count - 8001.0).abs() < 8001.0 * 0.04, "{count}");
        assert_eq!(client.say("SUNIONCARD 2 a b APPROX LIMIT 10"), ":10\r\n");
        assert_eq!(client.say("SUNIONCARD 2 a b LIMIT 10 APPROX"), ":10\r\n");
        assert_eq!(client.say("SUNIONCARD 2 a b LIMIT 0 APPROX"), reply);
        assert_eq!(client.say("SUNIONCARD 1 nothing APPROX"), ":0\r\n");
        assert_eq!(client.say("SUNIONCARD 1 a APPROX APPROX"), "-ERR syntax error\r\n");
        assert_eq!(client.say("SDIFFCARD 1 a APPROX"), "-ERR syntax error\r\n");
        client.say("SET t x");
        assert!(client.say("SUNIONCARD 2 a t APPROX").starts_with("-WRONGTYPE"));
    }
}
