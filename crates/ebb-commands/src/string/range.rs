//! GETRANGE, SUBSTR and SETRANGE: parts of a string.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec, string_of,
};

const READ_KEYS: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))];
const BOUNDS: &[Argument] =
    &[Argument::key("key", 0), Argument::integer("start"), Argument::integer("end")];

pub(super) static GETRANGE: CommandSpec = CommandSpec {
    name: "getrange",
    summary: "Returns the part of a string between two offsets.",
    since: "2.4.0",
    group: Group::String,
    complexity: "O(N) where N is the length of the returned part.",
    arity: 4,
    flags: Flags::READONLY,
    keys: READ_KEYS,
    arguments: BOUNDS,
    run: getrange,
    ..CommandSpec::NEW
};

pub(super) static SUBSTR: CommandSpec = CommandSpec {
    name: "substr",
    summary: "Returns the part of a string between two offsets.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(N) where N is the length of the returned part.",
    arity: 4,
    flags: Flags::READONLY,
    keys: READ_KEYS,
    arguments: BOUNDS,
    deprecated: Some(("2.0.0", "`GETRANGE`")),
    run: getrange,
    ..CommandSpec::NEW
};

/// The offsets from `start` to `end`, both included, negative ones counted from the end.
fn clamp(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_end = |offset: i64| if offset < 0 { offset.saturating_add(len) } else { offset };
    let start = from_end(start).max(0);
    let end = from_end(end).max(0).min(len - 1);
    if start > end || len == 0 { 0..0 } else { start as usize..end as usize + 1 }
}

fn getrange(ctx: &mut Context<'_>) -> CommandResult {
    let (start, end) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let (entry, reply) = ctx.read_and_reply(&key);
    match entry.map(string_of).transpose()? {
        None => reply.bulk(b""),
        Some(value) => value.with_bytes(|bytes| reply.bulk(&bytes[clamp(start, end, bytes.len())])),
    }
    Ok(())
}

pub(super) static SETRANGE: CommandSpec = CommandSpec {
    name: "setrange",
    summary: "Overwrites a part of a string, which grows if needed.",
    since: "2.2.0",
    group: Group::String,
    complexity: "O(N) where N is the length of the value.",
    arity: 4,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[Argument::key("key", 0), Argument::integer("offset"), Argument::string("value")],
    run: setrange,
    ..CommandSpec::NEW
};

fn setrange(ctx: &mut Context<'_>) -> CommandResult {
    let (key, patch) = (ctx.key(1), ctx.arg(3));
    let offset = ctx.int(2)?;
    let offset =
        usize::try_from(offset).map_err(|_| CommandError::new("ERR offset is out of range"))?;
    let old = ctx.string_to_write(&key)?.map(|value| value.len());
    if patch.is_empty() {
        ctx.reply.count(old.unwrap_or(0));
        return Ok(());
    }
    let end = offset.saturating_add(patch.len());
    super::check_length(ctx, end as u64)?;
    let bytes = ctx.edit(&key, end)?;
    bytes[offset..end].copy_from_slice(patch);
    let len = bytes.len();
    ctx.changed(&key, Event::string("setrange"));
    ctx.reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn ranges_clamp() {
        let mut client = Client::new();
        client.run(&["SET", "k", "Hello World"]);
        for (bounds, part) in [
            ("0 3", "Hell"),
            ("-5 -1", "World"),
            ("0 -1", "Hello World"),
            ("5 2", ""),
            ("-1 -5", ""),
            ("-100 4", "Hello"),
            ("3 99999", "lo World"),
            ("9223372036854775807 -1", ""),
            ("-9223372036854775808 9223372036854775807", "Hello World"),
        ] {
            let reply = client.say(&format!("GETRANGE k {bounds}"));
            assert_eq!(reply, format!("${}\r\n{part}\r\n", part.len()), "{bounds}");
        }
    }

    #[test]
    fn overwrites_and_pads() {
        let mut client = Client::new();
        assert_eq!(client.run(&["SETRANGE", "k", "0", ""]), ":0\r\n");
        assert_eq!(client.say("GET k"), "$-1\r\n");
        assert_eq!(client.say("SETRANGE k 2 ab"), ":4\r\n");
        assert_eq!(client.say("GET k"), "$4\r\n\0\0ab\r\n");
        assert_eq!(client.say("SETRANGE k -1 a"), "-ERR offset is out of range\r\n");
        assert_eq!(
            client.say("SETRANGE k 536870912 a"),
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"
        );
    }
}
