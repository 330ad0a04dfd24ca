//! PFADD, PFCOUNT, PFMERGE.

use ebb_config::id;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_keyspace::{Deadline, Key, StringRef, StringValue};
use ebb_types::hyperloglog::{self, Added, Invalid, Registers};

pub(super) static PFADD: CommandSpec = CommandSpec {
    name: "pfadd",
    summary: "Adds elements to a HyperLogLog.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "O(1) for each element.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[Argument::key("key", 0), Argument::string("element").optional().multiple()],
    run: pfadd,
    ..CommandSpec::NEW
};
pub(super) static PFCOUNT: CommandSpec = CommandSpec {
    name: "pfcount",
    summary: "Estimates how many different elements HyperLogLogs have seen.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "O(1) for one key, O(N) for N.",
    arity: -2,
    flags: Flags::READONLY.and(Flags::MAY_REPLICATE),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RW.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0).multiple()],
    run: pfcount,
    ..CommandSpec::NEW
};
pub(super) static PFMERGE: CommandSpec = CommandSpec {
    name: "pfmerge",
    summary: "Merges HyperLogLogs into one.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "O(N) for N keys.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::INSERT)),
        KeySpec::range(2, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[Argument::key("destkey", 0), Argument::key("sourcekey", 1).optional().multiple()],
    run: pfmerge,
    ..CommandSpec::NEW
};

/// The error for bytes that are no HyperLogLog.
pub(super) fn error_of(invalid: Invalid) -> CommandError {
    CommandError::new(match invalid {
        Invalid::Kind => "WRONGTYPE Key is not a valid HyperLogLog string value.",
        Invalid::Broken => "INVALIDOBJ Corrupted HLL object detected",
    })
}

/// Reads the HyperLogLog of a key, if it is there, with `look`.
pub(super) fn look_at<R>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    look: impl FnOnce(&[u8]) -> Result<R, Invalid>,
) -> Result<Option<R>, CommandError> {
    ctx.read_string(key)?.map(|value| look_into(&value, look)).transpose()
}

/// The same for the HyperLogLog of a command that changes it.
pub(super) fn look_to_write<R>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    look: impl FnOnce(&[u8]) -> Result<R, Invalid>,
) -> Result<Option<R>, CommandError> {
    ctx.string_to_write(key)?.map(|value| look_into(&value, look)).transpose()
}

fn look_into<R>(
    value: &StringRef<'_>,
    look: impl FnOnce(&[u8]) -> Result<R, Invalid>,
) -> Result<R, CommandError> {
    value.with_bytes(|bytes| hyperloglog::check(bytes).and_then(|()| look(bytes))).map_err(error_of)
}

fn pfadd(ctx: &mut Context<'_>) -> CommandResult {
    let (key, elements) = (ctx.key(1), &ctx.args[2..]);
    let sparse_max = ctx.server.config.get(id::HLL_SPARSE_MAX_BYTES) as usize;
    let added = look_to_write(ctx, &key, |bytes| hyperloglog::add(bytes, elements, sparse_max))?;
    let is_new = added.is_none();
    let added = match added {
        Some(added) => added,
        None => match hyperloglog::add(&hyperloglog::empty(), elements, sparse_max) {
            Ok(Added::Nothing) => Added::Rewritten(hyperloglog::empty()),
            other => other.map_err(error_of)?,
        },
    };
    let changed = is_new || added != Added::Nothing;
    match added {
        Added::Nothing => {}
        Added::Dense(raised) => hyperloglog::raise(ctx.edit(&key, 0)?, &raised),
        Added::Rewritten(bytes) => {
            ctx.set_string(&key, StringValue::Raw(&bytes), Deadline::Keep)?;
        }
    }
    if changed {
        ctx.changed(&key, Event::string("pfadd"));
    }
    ctx.reply.integer(changed.into());
    Ok(())
}

/// Merges the HyperLogLogs of keys; answers whether any was there.
fn merge(
    ctx: &mut Context<'_>,
    keys: std::ops::Range<usize>,
    registers: &mut Registers,
) -> Result<bool, CommandError> {
    let mut any_dense = false;
    for at in keys {
        let key = ctx.key(at);
        let dense = look_at(ctx, &key, |bytes| {
            hyperloglog::merge(registers, bytes).map(|()| !hyperloglog::is_sparse(bytes))
        })?;
        any_dense |= dense.unwrap_or(false);
    }
    Ok(any_dense)
}

fn pfcount(ctx: &mut Context<'_>) -> CommandResult {
    let mut registers = hyperloglog::no_registers();
    if ctx.args.len() > 2 {
        merge(ctx, 1..ctx.args.len(), &mut registers)?;
        ctx.reply.integer(hyperloglog::estimate(&registers) as i64);
        return Ok(());
    }
    let key = ctx.key(1);
    let cached = look_at(ctx, &key, |bytes| match hyperloglog::cached(bytes) {
        Some(count) => Ok(Some(count)),
        None => hyperloglog::merge(&mut registers, bytes).map(|()| None),
    })?;
    let count = match cached {
        None => 0,
        Some(Some(count)) => count,
        Some(None) => {
            let count = hyperloglog::estimate(&registers);
            hyperloglog::set_cached(ctx.edit(&key, 0)?, count);
            // The bytes have changed, though not what they mean.
            ctx.changed(&key, Event::untold());
            count
        }
    };
    ctx.reply.integer(count as i64);
    Ok(())
}

fn pfmerge(ctx: &mut Context<'_>) -> CommandResult {
    let mut registers = hyperloglog::no_registers();
    let dense = merge(ctx, 1..ctx.args.len(), &mut registers)?;
    let sparse_max = ctx.server.config.get(id::HLL_SPARSE_MAX_BYTES) as usize;
    // What was dense stays dense.
    let mut bytes = hyperloglog::encode(&registers, if dense { 0 } else { sparse_max });
    let key = ctx.key(1);
    look_to_write(ctx, &key, |old| {
        hyperloglog::keep_stale(&mut bytes, old);
        Ok(())
    })?;
    ctx.set_string(&key, StringValue::Raw(&bytes), Deadline::Keep)?;
    ctx.changed(&key, Event::string("pfadd"));
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn elements_are_counted_once() {
        let mut client = Client::new();
        assert_eq!(client.say("PFADD a x y z"), ":1\r\n");
        assert_eq!(client.say("PFADD a x y"), ":0\r\n");
        assert_eq!(client.say("PFADD e"), ":1\r\n");
        assert_eq!(client.say("PFADD e"), ":0\r\n");
        assert_eq!(client.say("PFCOUNT a"), ":3\r\n");
        assert_eq!(client.say("PFCOUNT a"), ":3\r\n", "from the cache");
        client.say("PFADD b z w");
        assert_eq!(client.say("PFCOUNT a b nothing"), ":4\r\n");
        assert_eq!(client.say("PFMERGE c a b"), "+OK\r\n");
        assert_eq!(client.say("PFCOUNT c"), ":4\r\n");
        client.say("SET s x");
        assert!(client.say("PFADD s x").contains("not a valid HyperLogLog"));
        client.say("SETRANGE a 20 xxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        assert!(client.say("PFCOUNT a b").starts_with("-INVALIDOBJ"));
    }

    #[test]
    fn many_elements_make_it_dense() {
        let mut client = Client::new();
        (0..3000).for_each(|n| drop(client.say(&format!("PFADD a {n}"))));
        assert_eq!(client.say("PFDEBUG ENCODING a"), "+dense\r\n");
        assert_eq!(client.say("STRLEN a"), ":12304\r\n");
        let count: i64 = client.say("PFCOUNT a").trim_matches([':', '\r', '\n']).parse().unwrap();
        assert!((2900..3100).contains(&count), "{count}");
        client.say("PFMERGE b a");
        assert_eq!(client.say("PFDEBUG ENCODING b"), "+dense\r\n");
    }
}
