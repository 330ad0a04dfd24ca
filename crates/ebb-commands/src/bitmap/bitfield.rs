//! BITFIELD and BITFIELD_RO: integers of any width in a string.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_types::bitfield::{FieldType, Overflow};
use ebb_types::number::parse_i64;

use super::parse_offset;

const GET: Argument =
    Argument::block("get-block", &[Argument::string("encoding"), Argument::integer("offset")])
        .after("GET");

pub(super) static BITFIELD: CommandSpec = CommandSpec {
    name: "bitfield",
    summary: "Reads, sets and increments integers of any width in a string.",
    since: "3.2.0",
    group: Group::Bitmap,
    complexity: "O(1) for each subcommand specified",
    arity: -2,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec {
        notes: "This command allows both access and modification of the key",
        ..KeySpec::one(
            1,
            KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE).and(KeyFlags::VARIABLE_FLAGS),
        )
    }],
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of(
            "operation",
            &[
                GET,
                Argument::block(
                    "write",
                    &[
                        Argument::one_of(
                            "overflow-block",
                            &[
                                Argument::word("wrap", "WRAP"),
                                Argument::word("sat", "SAT"),
                                Argument::word("fail", "FAIL"),
                            ],
                        )
                        .after("OVERFLOW")
                        .optional(),
                        Argument::one_of(
                            "write-operation",
                            &[
                                Argument::block(
                                    "set-block",
                                    &[
                                        Argument::string("encoding"),
                                        Argument::integer("offset"),
                                        Argument::integer("value"),
                                    ],
                                )
                                .after("SET"),
                                Argument::block(
                                    "incrby-block",
                                    &[
                                        Argument::string("encoding"),
                                        Argument::integer("offset"),
                                        Argument::integer("increment"),
                                    ],
                                )
                                .after("INCRBY"),
                            ],
                        ),
                    ],
                ),
            ],
        )
        .optional()
        .multiple(),
    ],
    run: |ctx| run(ctx, false),
    ..CommandSpec::NEW
};

pub(super) static BITFIELD_RO: CommandSpec = CommandSpec {
    name: "bitfield_ro",
    summary: "Reads integers of any width in a string.",
    since: "6.0.0",
    group: Group::Bitmap,
    complexity: "O(1) for each subcommand specified",
    arity: -2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), GET.optional().multiple().multiple_token()],
    run: |ctx| run(ctx, true),
    ..CommandSpec::NEW
};

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

#[derive(Clone, Copy)]
struct Operation {
    field: FieldType,
    offset: u64,
    overflow: Overflow,
    action: Action,
}

fn parse_overflow(ctx: &Context<'_>, at: usize) -> Result<Overflow, CommandError> {
    match () {
        () if ctx.is_word(at, "WRAP") => Ok(Overflow::Wrap),
        () if ctx.is_word(at, "SAT") => Ok(Overflow::Saturate),
        () if ctx.is_word(at, "FAIL") => Ok(Overflow::Fail),
        () => Err(CommandError::new("ERR Invalid OVERFLOW type specified")),
    }
}

fn parse(ctx: &Context<'_>) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < ctx.args.len() {
        let left = ctx.args.len() - at - 1;
        if ctx.is_word(at, "OVERFLOW") && left >= 1 {
            overflow = parse_overflow(ctx, at + 1)?;
            at += 2;
            continue;
        }
        let is_get = ctx.is_word(at, "GET") && left >= 2;
        let is_set = ctx.is_word(at, "SET") && left >= 3;
        let is_add = ctx.is_word(at, "INCRBY") && left >= 3;
        if !is_get && !is_set && !is_add {
            return Err(CommandError::Syntax);
        }
        let field = FieldType::parse(ctx.arg(at + 1)).ok_or(CommandError::new(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
             but i64 is.",
        ))?;
        let offset = parse_offset(ctx, ctx.arg(at + 2), Some(field.bits()))?;
        let action = if is_get {
            Action::Get
        } else {
            let value = parse_i64(ctx.arg(at + 3)).ok_or(CommandError::NotInteger)?;
            if is_set { Action::Set(value) } else { Action::Add(value) }
        };
        operations.push(Operation { field, offset, overflow, action });
        at += if is_get { 3 } else { 4 };
    }
    Ok(operations)
}

fn run(ctx: &mut Context<'_>, read_only: bool) -> CommandResult {
    let operations = parse(ctx)?;
    let end_of = |operation: &Operation| operation.offset + u64::from(operation.field.bits());
    let writes = operations.iter().filter(|operation| !matches!(operation.action, Action::Get));
    let highest = writes.map(end_of).max();
    if read_only && highest.is_some() {
        return Err(CommandError::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let key = ctx.key(1);
    let Some(highest) = highest else {
        let text = match ctx.read_string(&key)? {
            None => Vec::new(),
            // Only the bytes that are read are copied out.
            Some(value) => {
                let end = operations.iter().map(end_of).max().unwrap_or(0).div_ceil(8) as usize;
                value.with_bytes(|bytes| bytes[..bytes.len().min(end)].to_vec())
            }
        };
        ctx.reply.array(operations.len());
        for operation in operations {
            ctx.reply.integer(operation.field.get(&text, operation.offset));
        }
        return Ok(());
    };
    let len = highest.div_ceil(8) as usize;
    let grows = ctx.string_to_write(&key)?.is_none_or(|string| string.len() < len);
    let mut writes = Writes { grows, changed: false };
    let bytes = ctx.edit(&key, len)?;
    let results: Vec<Option<i64>> =
        operations.iter().map(|operation| apply(bytes, operation, &mut writes)).collect();
    if writes.changed {
        ctx.changed(&key, Event::string("setbit"));
    }
    ctx.reply.array(results.len());
    for result in results {
        match result {
            Some(value) => ctx.reply.integer(value),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

/// What the operations of a command do to its string.
struct Writes {
    /// The string gets longer.
    grows: bool,
    /// As in Redis a string counts as changed only if an operation that did not fail changed or
    /// lengthened it.
    changed: bool,
}

/// Does one operation; its result, `None` if it failed for overflow.
fn apply(bytes: &mut [u8], operation: &Operation, writes: &mut Writes) -> Option<i64> {
    let Operation { field, offset, overflow, action } = *operation;
    let old = field.get(bytes, offset);
    let (new, result) = match action {
        Action::Get => return Some(old),
        Action::Set(value) => (field.fit(value, overflow)?, old),
        Action::Add(change) => {
            let new = field.increment(old, change, overflow)?;
            (new, new)
        }
    };
    field.set(bytes, offset, new);
    writes.changed |= writes.grows || new != old;
    Some(result)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn sets_reads_and_overflows() {
        let mut client = Client::new();
        assert_eq!(client.say("BITFIELD k SET u8 0 255 GET u8 0"), "*2\r\n:0\r\n:255\r\n");
        assert_eq!(client.say("BITFIELD k INCRBY u8 0 10"), "*1\r\n:9\r\n");
        assert_eq!(client.say("BITFIELD k OVERFLOW SAT INCRBY u8 0 300"), "*1\r\n:255\r\n");
        assert_eq!(client.say("BITFIELD k OVERFLOW FAIL INCRBY u8 0 1"), "*1\r\n$-1\r\n");
        assert_eq!(client.say("BITFIELD_RO k GET i8 #0"), "*1\r\n:-1\r\n");
        assert_eq!(
            client.say("BITFIELD_RO k SET u8 0 1"),
            "-ERR BITFIELD_RO only supports the GET subcommand\r\n"
        );
        assert!(client.say("BITFIELD k GET u64 0").starts_with("-ERR Invalid bitfield type."));
    }
}
