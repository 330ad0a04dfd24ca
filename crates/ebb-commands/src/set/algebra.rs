//! SINTER, SUNION, SDIFF, and the same into a key.

use std::cmp::Reverse;

use ahash::AHashSet;
use ebb_collections::{Member, SetRef};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_keyspace::{EntryRef, Key};

pub(super) static SINTER: CommandSpec = CommandSpec {
    name: "sinter",
    summary: "Returns the intersection of sets.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N*M) for N members of the smallest set and M sets.",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0).multiple()],
    tips: &["nondeterministic_output_order"],
    run: |ctx| reply_with(ctx, Operation::Intersection),
    ..CommandSpec::NEW
};
pub(super) static SINTERSTORE: CommandSpec = CommandSpec {
    name: "sinterstore",
    summary: "Stores the intersection of sets in a key.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N*M) for N members of the smallest set and M sets.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::range(2, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[Argument::key("destination", 0), Argument::key("key", 1).multiple()],
    run: |ctx| store(ctx, Operation::Intersection, Event::set("sinterstore")),
    ..CommandSpec::NEW
};
pub(super) static SUNION: CommandSpec = CommandSpec {
    name: "sunion",
    summary: "Returns the union of sets.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members of all sets.",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0).multiple()],
    tips: &["nondeterministic_output_order"],
    run: |ctx| reply_with(ctx, Operation::Union),
    ..CommandSpec::NEW
};
pub(super) static SUNIONSTORE: CommandSpec = CommandSpec {
    name: "sunionstore",
    summary: "Stores the union of sets in a key.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members of all sets.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::range(2, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[Argument::key("destination", 0), Argument::key("key", 1).multiple()],
    run: |ctx| store(ctx, Operation::Union, Event::set("sunionstore")),
    ..CommandSpec::NEW
};
pub(super) static SDIFF: CommandSpec = CommandSpec {
    name: "sdiff",
    summary: "Returns the members of a set that others do not have.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members of all sets.",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0).multiple()],
    tips: &["nondeterministic_output_order"],
    run: |ctx| reply_with(ctx, Operation::Difference),
    ..CommandSpec::NEW
};
pub(super) static SDIFFSTORE: CommandSpec = CommandSpec {
    name: "sdiffstore",
    summary: "Stores the members of a set that others do not have in a key.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members of all sets.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::range(2, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[Argument::key("destination", 0), Argument::key("key", 1).multiple()],
    run: |ctx| store(ctx, Operation::Difference, Event::set("sdiffstore")),
    ..CommandSpec::NEW
};

/// How sets become one.
#[derive(Clone, Copy)]
pub(super) enum Operation {
    Intersection,
    Union,
    /// Of the first with all others.
    Difference,
}

/// The sets in entries; one that is missing is empty.
pub(super) fn sets_in(entries: Vec<Option<EntryRef<'_>>>) -> Result<Vec<SetRef<'_>>, CommandError> {
    let mut sets = Vec::with_capacity(entries.len());
    for entry in entries {
        sets.push(match entry {
            None => SetRef::Ints(&[]),
            Some(entry) => entry.set().ok_or(CommandError::WrongType)?,
        });
    }
    Ok(sets)
}

/// A set in which members are looked up. A packed one is searched from its beginning, so it is
/// hashed if that is done often.
enum Lookup<'s> {
    Direct(SetRef<'s>),
    Hashed(AHashSet<&'s [u8]>),
}

impl<'s> Lookup<'s> {
    /// Comparisons from which on hashing a packed set pays off.
    const COMPARISONS_MIN: usize = 500;

    fn new(set: SetRef<'s>, lookups: usize) -> Lookup<'s> {
        let is_packed = matches!(set, SetRef::Packed(_));
        if !is_packed || set.len() * lookups < Self::COMPARISONS_MIN {
            return Lookup::Direct(set);
        }
        let mut hashed = AHashSet::with_capacity(set.len());
        set.for_each(|member| {
            if let Member::Bytes(bytes) = member {
                hashed.insert(bytes);
            }
        });
        Lookup::Hashed(hashed)
    }

    fn has(&self, member: &Member<'_>) -> bool {
        member.with_bytes(|bytes| match self {
            Lookup::Direct(set) => set.contains(bytes),
            Lookup::Hashed(members) => members.contains(bytes),
        })
    }
}

impl Operation {
    /// Visits the members of the result, each once, until `visit` answers false.
    pub(super) fn walk<'s>(self, sets: Vec<SetRef<'s>>, visit: impl FnMut(Member<'s>) -> bool) {
        match self {
            Operation::Intersection => intersection(sets, visit),
            Operation::Union => union(&sets, visit),
            Operation::Difference => difference(sets, visit),
        }
    }
}

/// Looks the members of the smallest set up in the others, smaller ones first.
fn intersection<'s>(mut sets: Vec<SetRef<'s>>, mut visit: impl FnMut(Member<'s>) -> bool) {
    sets.sort_by_key(SetRef::len);
    let Some((smallest, others)) = sets.split_first() else { return };
    if smallest.is_empty() {
        return;
    }
    let lookups = smallest.len();
    let others: Vec<_> = others.iter().map(|&set| Lookup::new(set, lookups)).collect();
    smallest.walk(|member| !others.iter().all(|set| set.has(&member)) || visit(member));
}

fn union<'s>(sets: &[SetRef<'s>], mut visit: impl FnMut(Member<'s>) -> bool) {
    let mut seen = AHashSet::new();
    let mut on = true;
    for set in sets {
        set.walk(|member| {
            on = !seen.insert(member.canonical()) || visit(member);
            on
        });
        if !on {
            return;
        }
    }
}

/// Either looks the members of the first set up in the others, or takes the others' members out
/// of the first: whatever is less work.
fn difference<'s>(sets: Vec<SetRef<'s>>, mut visit: impl FnMut(Member<'s>) -> bool) {
    let Some((first, others)) = sets.split_first() else { return };
    let lookups = first.len() * others.len();
    let removals = first.len() + others.iter().map(SetRef::len).sum::<usize>();
    if lookups / 2 <= removals {
        let mut others = others.to_vec();
        others.sort_by_key(|set| Reverse(set.len()));
        let others: Vec<_> = others.into_iter().map(|set| Lookup::new(set, first.len())).collect();
        first.walk(|member| others.iter().any(|set| set.has(&member)) || visit(member));
        return;
    }
    let mut left = AHashSet::with_capacity(first.len());
    first.for_each(|member| {
        left.insert(member.canonical());
    });
    for set in others {
        set.for_each(|member| {
            left.remove(&member.canonical());
        });
    }
    let _ = left.into_iter().all(visit);
}

fn reply_with(ctx: &mut Context<'_>, operation: Operation) -> CommandResult {
    let keys: Vec<Key<'_>> = (1..ctx.args.len()).map(|at| ctx.key(at)).collect();
    ctx.require_copies(keys.iter().copied())?;
    let (entries, reply) = ctx.read_all(&keys);
    let mut members = Vec::new();
    operation.walk(sets_in(entries)?, |member| {
        members.push(member);
        true
    });
    reply.set(members.len());
    members.iter().for_each(|member| member.with_bytes(|bytes| reply.bulk(bytes)));
    Ok(())
}

fn store(ctx: &mut Context<'_>, operation: Operation, event: Event) -> CommandResult {
    let target = ctx.key(1);
    let keys: Vec<Key<'_>> = (2..ctx.args.len()).map(|at| ctx.key(at)).collect();
    ctx.require_copies(keys.iter().copied())?;
    let mut result = ctx.new_set(&target);
    let (entries, _) = ctx.read_all(&keys);
    let mut added = Ok(true);
    operation.walk(sets_in(entries)?, |member| {
        added = member.with_bytes(|bytes| result.add(bytes));
        added.is_ok()
    });
    added?;
    let len = result.as_ref().len();
    ctx.store(&target, result.into_slot(), event)?;
    ctx.reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn sorted(reply: &str) -> String {
        let mut members: Vec<&str> =
            reply.lines().filter(|line| !line.starts_with(['*', '$', '~'])).collect();
        members.sort_unstable();
        members.join(" ")
    }

    #[test]
    fn sets_are_combined_whatever_their_encodings() {
        let mut client = Client::new();
        client.say("SADD ints 1 2 3");
        client.say("SADD mixed 2 3 x");
        (0..300).for_each(|n| drop(client.say(&format!("SADD big {n} m{n}"))));
        client.say("SET t x");
        assert_eq!(sorted(&client.say("SINTER big mixed ints")), "2 3");
        assert_eq!(client.say("SINTER ints nothing"), "*0\r\n");
        assert!(client.say("SINTER nothing t").starts_with("-WRONGTYPE"));
        assert_eq!(sorted(&client.say("SUNION ints mixed nothing ints")), "1 2 3 x");
        assert_eq!(sorted(&client.say("SDIFF mixed ints big")), "x");
        assert_eq!(sorted(&client.say("SDIFF ints mixed")), "1");
        assert_eq!(sorted(&client.say("SDIFF mixed ints ints ints ints ints ints ints")), "x");
        assert_eq!(client.say("SDIFF nothing mixed"), "*0\r\n");
        assert!(client.say("SDIFF mixed t").starts_with("-WRONGTYPE"));
        client.say("HELLO 3");
        assert!(client.say("SUNION ints").starts_with("~3\r\n"));
    }

    #[test]
    fn packed_sets_are_the_same_whether_hashed_or_not() {
        let mut client = Client::new();
        for (members, expected) in [(4, 2), (100, 50)] {
            (0..members).for_each(|n| drop(client.say(&format!("SADD a m{n}"))));
            (members / 2..members * 3 / 2).for_each(|n| drop(client.say(&format!("SADD b m{n}"))));
            assert_eq!(client.say("OBJECT ENCODING b"), "$8\r\nlistpack\r\n");
            assert!(client.say("SINTER a b").starts_with(&format!("*{expected}\r\n")));
            assert!(client.say("SDIFF a b").starts_with(&format!("*{expected}\r\n")));
            client.say("DEL a b");
        }
    }

    #[test]
    fn results_take_the_place_of_what_was_there() {
        let mut client = Client::new();
        client.say("SADD a 1 2 3");
        client.say("SADD b 2 3 4");
        client.say("SET t x EX 100");
        assert_eq!(client.say("SUNIONSTORE t a b"), ":4\r\n");
        assert_eq!(client.say("TTL t"), ":-1\r\n");
        assert_eq!(client.say("OBJECT IDLETIME t"), ":0\r\n");
        assert_eq!(client.say("OBJECT ENCODING t"), "$6\r\nintset\r\n");
        assert_eq!(client.say("SINTERSTORE a a b"), ":2\r\n");
        assert_eq!(sorted(&client.say("SMEMBERS a")), "2 3");
        assert_eq!(client.say("SDIFFSTORE t a b"), ":0\r\n");
        assert_eq!(client.say("EXISTS t"), ":0\r\n");
        (0..600).for_each(|n| drop(client.say(&format!("SADD big {n} m{n}"))));
        assert_eq!(client.say("SDIFFSTORE t big a"), ":1198\r\n");
        assert_eq!(client.say("SCARD t"), ":1198\r\n");
    }
}
