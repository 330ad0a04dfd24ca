//! HGET, HMGET, HGETALL, HKEYS, HVALS, HEXISTS, HLEN, HSTRLEN: reading fields.

use ebb_collections::{Field, HashRef};
use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec};

pub(super) static HGET: CommandSpec = CommandSpec {
    name: "hget",
    summary: "Returns the value of a field of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    arity: 3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("field")],
    run: hget,
    ..CommandSpec::NEW
};
pub(super) static HMGET: CommandSpec = CommandSpec {
    name: "hmget",
    summary: "Returns the values of some fields of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("field").multiple()],
    run: hmget,
    ..CommandSpec::NEW
};
pub(super) static HGETALL: CommandSpec = CommandSpec {
    name: "hgetall",
    summary: "Returns all fields of a hash with their values.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output_order"],
    run: |ctx| all(ctx, true, true),
    ..CommandSpec::NEW
};
pub(super) static HKEYS: CommandSpec = CommandSpec {
    name: "hkeys",
    summary: "Returns all fields of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output_order"],
    run: |ctx| all(ctx, true, false),
    ..CommandSpec::NEW
};
pub(super) static HVALS: CommandSpec = CommandSpec {
    name: "hvals",
    summary: "Returns all values of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    paced_by_length: true,
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output_order"],
    run: |ctx| all(ctx, false, true),
    ..CommandSpec::NEW
};
pub(super) static HEXISTS: CommandSpec = CommandSpec {
    name: "hexists",
    summary: "Tells whether a hash has a field.",
    since: "2.0.0",
    group: Group::Hash,
    arity: 3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("field")],
    run: hexists,
    ..CommandSpec::NEW
};
pub(super) static HLEN: CommandSpec = CommandSpec {
    name: "hlen",
    summary: "Counts the fields of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    run: hlen,
    ..CommandSpec::NEW
};
pub(super) static HSTRLEN: CommandSpec = CommandSpec {
    name: "hstrlen",
    summary: "Returns the length of a field's value.",
    since: "3.2.0",
    group: Group::Hash,
    arity: 3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("field")],
    run: hstrlen,
    ..CommandSpec::NEW
};

/// A field that is there and not due.
pub(super) fn live<'a>(hash: Option<HashRef<'a>>, name: &[u8], now_ms: i64) -> Option<Field<'a>> {
    hash?.get(name).filter(|field| !field.is_due(now_ms))
}

fn hget(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name, now_ms) = (ctx.key(1), ctx.arg(2), ctx.now_ms);
    let (hash, reply) = ctx.read_hash_and_reply(&key)?;
    match live(hash, name, now_ms) {
        Some(field) => reply.bulk(field.value),
        None => reply.null(),
    }
    Ok(())
}

fn hmget(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args, now_ms) = (ctx.key(1), ctx.args, ctx.now_ms);
    let (hash, reply) = ctx.read_hash_and_reply(&key)?;
    reply.array(args.len() - 2);
    for name in &args[2..] {
        match live(hash, name, now_ms) {
            Some(field) => reply.bulk(field.value),
            None => reply.null(),
        }
    }
    Ok(())
}

/// Answers names, values, or both.
fn all(ctx: &mut Context<'_>, names: bool, values: bool) -> CommandResult {
    let (key, now_ms) = (ctx.key(1), ctx.now_ms);
    let (hash, reply) = ctx.read_hash_and_reply(&key)?;
    let mut due = 0;
    let hash = hash.unwrap_or(HashRef::Packed(&[], false));
    if hash.is_expiring() {
        hash.for_each(|field| due += usize::from(field.is_due(now_ms)));
    }
    match names && values {
        true => reply.map(hash.len() - due),
        false => reply.array(hash.len() - due),
    }
    hash.for_each(|field| {
        if due > 0 && field.is_due(now_ms) {
            return;
        }
        if names {
            reply.bulk(field.name);
        }
        if values {
            reply.bulk(field.value);
        }
    });
    Ok(())
}

fn hexists(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name, now_ms) = (ctx.key(1), ctx.arg(2), ctx.now_ms);
    let (hash, reply) = ctx.read_hash_and_reply(&key)?;
    reply.integer(live(hash, name, now_ms).is_some().into());
    Ok(())
}

fn hlen(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let (hash, reply) = ctx.read_hash_and_reply(&key)?;
    reply.count(hash.map_or(0, |hash| hash.len()));
    Ok(())
}

fn hstrlen(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name, now_ms) = (ctx.key(1), ctx.arg(2), ctx.now_ms);
    let (hash, reply) = ctx.read_hash_and_reply(&key)?;
    reply.count(live(hash, name, now_ms).map_or(0, |field| field.value.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn fields_are_read() {
        let mut client = Client::new();
        client.say("HSET h a 1 b 22");
        assert_eq!(client.say("HGET h a"), "$1\r\n1\r\n");
        assert_eq!(client.say("HGET h c"), "$-1\r\n");
        assert_eq!(client.say("HMGET h b c"), "*2\r\n$2\r\n22\r\n$-1\r\n");
        assert_eq!(client.say("HGETALL h"), "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$2\r\n22\r\n");
        assert_eq!(client.say("HKEYS h"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
        assert_eq!(client.say("HVALS h"), "*2\r\n$1\r\n1\r\n$2\r\n22\r\n");
        assert_eq!(client.say("HEXISTS h a"), ":1\r\n");
        assert_eq!(client.say("HLEN h"), ":2\r\n");
        assert_eq!(client.say("HSTRLEN h b"), ":2\r\n");
        assert_eq!(client.say("HGETALL nothing"), "*0\r\n");
        client.say("SET s 1");
        assert!(client.say("HGET s a").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn a_hash_outgrows_its_packed_form() {
        let mut client = Client::new();
        (0..512).for_each(|n| drop(client.say(&format!("HSET h f{n} {n}"))));
        assert_eq!(client.say("OBJECT ENCODING h"), "$8\r\nlistpack\r\n");
        client.say("HSET h f512 512");
        assert_eq!(client.say("OBJECT ENCODING h"), "$9\r\nhashtable\r\n");
        (0..513).for_each(|n| {
            let expected = n.to_string();
            let reply = client.say(&format!("HGET h f{n}"));
            assert_eq!(reply, format!("${}\r\n{expected}\r\n", expected.len()));
        });
    }
}
