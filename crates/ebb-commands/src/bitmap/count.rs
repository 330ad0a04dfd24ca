//! BITCOUNT and BITPOS: bits in a range of a string.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use ebb_types::bitmap;

const KEYS: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))];
const UNIT: Argument =
    Argument::one_of("unit", &[Argument::word("byte", "BYTE"), Argument::word("bit", "BIT")])
        .optional()
        .since("7.0.0");

pub(super) static BITCOUNT: CommandSpec = CommandSpec {
    name: "bitcount",
    summary: "Counts the bits that are set in a string or a part of it.",
    since: "2.6.0",
    group: Group::Bitmap,
    complexity: "O(N)",
    arity: -2,
    flags: Flags::READONLY,
    keys: KEYS,
    arguments: &[
        Argument::key("key", 0),
        Argument::block("range", &[Argument::integer("start"), Argument::integer("end"), UNIT])
            .optional(),
    ],
    history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
    run: bitcount,
    ..CommandSpec::NEW
};

/// Whether an argument says BIT (true) or BYTE.
fn unit_is_bit(ctx: &Context<'_>, at: usize) -> Result<bool, CommandError> {
    match ctx.args.get(at) {
        None => Ok(false),
        Some(_) if ctx.is_word(at, "BIT") => Ok(true),
        Some(_) if ctx.is_word(at, "BYTE") => Ok(false),
        Some(_) => Err(CommandError::Syntax),
    }
}

/// The first and the last bit from `start` to `end`, both included and given in bits or
/// bytes, negative ones counted from the end; `None` if there is none.
fn bit_range(start: i64, end: i64, len: usize, in_bits: bool) -> Option<(u64, u64)> {
    let total = if in_bits { len as i64 * 8 } else { len as i64 };
    let from_end =
        |offset: i64| if offset < 0 { offset.saturating_add(total).max(0) } else { offset };
    let (start, end) = (from_end(start), from_end(end).min(total - 1));
    if start > end {
        return None;
    }
    let (start, end) = (start as u64, end as u64);
    Some(if in_bits { (start, end) } else { (start * 8, end * 8 + 7) })
}

fn bitcount(ctx: &mut Context<'_>) -> CommandResult {
    let range = match ctx.args.len() {
        2 => None,
        4 | 5 => Some((ctx.int(2)?, ctx.int(3)?, unit_is_bit(ctx, 4)?)),
        _ => return Err(CommandError::Syntax),
    };
    let key = ctx.key(1);
    let count = |bytes: &[u8]| match range {
        None => bitmap::count_ones(bytes),
        // Both from the end and in the wrong order: nothing, whatever the length.
        Some((start, end, _)) if start < 0 && end < 0 && start > end => 0,
        Some((start, end, in_bits)) => bit_range(start, end, bytes.len(), in_bits)
            .map_or(0, |(first, last)| bitmap::count_ones_in(bytes, first, last)),
    };
    let ones = ctx.read_string(&key)?.map_or(0, |value| value.with_bytes(count));
    ctx.reply.integer(ones as i64);
    Ok(())
}

pub(super) static BITPOS: CommandSpec = CommandSpec {
    name: "bitpos",
    summary: "Finds the first bit that is set, or clear, in a string or a part of it.",
    since: "2.8.7",
    group: Group::Bitmap,
    complexity: "O(N)",
    arity: -3,
    flags: Flags::READONLY,
    keys: KEYS,
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("bit"),
        Argument::block(
            "range",
            &[
                Argument::integer("start"),
                Argument::block("end-unit-block", &[Argument::integer("end"), UNIT]).optional(),
            ],
        )
        .optional(),
    ],
    history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
    run: bitpos,
    ..CommandSpec::NEW
};

fn bitpos(ctx: &mut Context<'_>) -> CommandResult {
    let bit = match ctx.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::new("ERR The bit argument must be 1 or 0.")),
    };
    let count = ctx.args.len();
    if count > 6 {
        return Err(CommandError::Syntax);
    }
    let start = if count > 3 { ctx.int(3)? } else { 0 };
    let end_given = count > 4;
    let in_bits = unit_is_bit(ctx, 5)?;
    let end = if end_given { ctx.int(4)? } else { -1 };
    let key = ctx.key(1);
    let find = |bytes: &[u8]| {
        let Some((first, last)) = bit_range(start, end, bytes.len(), in_bits) else { return -1 };
        match bitmap::first_bit(bytes, bit, first, last) {
            Some(at) => at as i64,
            // Without an end, zeros go on after the string.
            None if !bit && !end_given => bytes.len() as i64 * 8,
            None => -1,
        }
    };
    let at = match ctx.read_string(&key)? {
        Some(value) => value.with_bytes(find),
        None => -i64::from(bit),
    };
    ctx.reply.integer(at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn counts_in_bytes_and_bits() {
        let mut client = Client::new();
        client.say("SET k foobar");
        for (range, ones) in [
            ("", 26),
            ("0 0", 4),
            ("1 1", 6),
            ("1 1 BYTE", 6),
            ("5 30 BIT", 17),
            ("-2 -1", 7),
            ("3 1", 0),
        ] {
            assert_eq!(
                client.say(&format!("BITCOUNT k {range}")),
                format!(":{ones}\r\n"),
                "{range}"
            );
        }
        assert_eq!(client.say("BITCOUNT k 1"), "-ERR syntax error\r\n");
        assert_eq!(client.say("BITCOUNT k 1 2 BYTE x"), "-ERR syntax error\r\n");
    }

    #[test]
    fn finds_bits() {
        let mut client = Client::new();
        client.run(&["SETRANGE", "k", "0", "~~~"]);
        assert_eq!(client.say("BITPOS k 0"), ":0\r\n");
        assert_eq!(client.say("BITPOS k 1"), ":1\r\n");
        assert_eq!(client.say("BITPOS nothing 0"), ":0\r\n");
        assert_eq!(client.say("BITPOS nothing 1"), ":-1\r\n");
        assert_eq!(client.say("BITPOS k 2"), "-ERR The bit argument must be 1 or 0.\r\n");
    }
}
