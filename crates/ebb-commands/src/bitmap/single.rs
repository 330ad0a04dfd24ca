//! SETBIT and GETBIT.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_types::bitmap;

use super::parse_offset;

pub(super) static SETBIT: CommandSpec = CommandSpec {
    name: "setbit",
    summary: "Sets or clears a bit of a string, which grows if needed.",
    since: "2.2.0",
    group: Group::Bitmap,
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[Argument::key("key", 0), Argument::integer("offset"), Argument::integer("value")],
    run: setbit,
    ..CommandSpec::NEW
};

fn setbit(ctx: &mut Context<'_>) -> CommandResult {
    let offset = parse_offset(ctx, ctx.arg(2), None)?;
    let bit = match ctx.int(3) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(CommandError::new("ERR bit is not an integer or out of range")),
    };
    let key = ctx.key(1);
    let len = (offset / 8) as usize + 1;
    let grows = ctx.string_to_write(&key)?.is_none_or(|string| string.len() < len);
    let bytes = ctx.edit(&key, len)?;
    let old = bitmap::set_bit(bytes, offset, bit).unwrap_or(false);
    if grows || old != bit {
        ctx.changed(&key, Event::string("setbit"));
    }
    ctx.reply.integer(old.into());
    Ok(())
}

pub(super) static GETBIT: CommandSpec = CommandSpec {
    name: "getbit",
    summary: "Returns a bit of a string; 0 beyond its end.",
    since: "2.2.0",
    group: Group::Bitmap,
    complexity: "O(1)",
    arity: 3,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), Argument::integer("offset")],
    run: getbit,
    ..CommandSpec::NEW
};

fn getbit(ctx: &mut Context<'_>) -> CommandResult {
    let offset = parse_offset(ctx, ctx.arg(2), None)?;
    let key = ctx.key(1);
    let value = ctx.read_string(&key)?;
    let bit = value.is_some_and(|value| value.with_bytes(|bytes| bitmap::get_bit(bytes, offset)));
    ctx.reply.integer(bit.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn bits_are_set_and_read() {
        let mut client = Client::new();
        assert_eq!(client.say("SETBIT k 7 1"), ":0\r\n");
        assert_eq!(client.say("SETBIT k 7 0"), ":1\r\n");
        assert_eq!(client.say("SETBIT k 100 1"), ":0\r\n");
        assert_eq!(client.say("GETBIT k 100"), ":1\r\n");
        assert_eq!(client.say("GETBIT k 1000"), ":0\r\n");
        assert_eq!(client.say("STRLEN k"), ":13\r\n");
        let offset = "-ERR bit offset is not an integer or out of range\r\n";
        assert_eq!(client.say("SETBIT k 4294967296 1"), offset);
        assert_eq!(client.say("SETBIT k -1 1"), offset);
        assert_eq!(client.say("SETBIT k 1 2"), "-ERR bit is not an integer or out of range\r\n");
    }
}
