//! BITOP: bitwise operations between strings.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_engine::{scratch, string_of};
use ebb_keyspace::{Deadline, StringValue};
use ebb_types::bitmap::{BitOp, combine};

pub(super) static SPEC: CommandSpec = CommandSpec {
    name: "bitop",
    summary: "Stores the bitwise combination of strings.",
    since: "2.6.0",
    group: Group::Bitmap,
    complexity: "O(N)",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(2, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::range(3, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[
        Argument::one_of(
            "operation",
            &[
                Argument::word("and", "AND"),
                Argument::word("or", "OR"),
                Argument::word("xor", "XOR"),
                Argument::word("not", "NOT"),
                Argument::word("diff", "DIFF").since("8.2.0"),
                Argument::word("diff1", "DIFF1").since("8.2.0"),
                Argument::word("andor", "ANDOR").since("8.2.0"),
                Argument::word("one", "ONE").since("8.2.0"),
            ],
        ),
        Argument::key("destkey", 0),
        Argument::key("key", 1).multiple(),
    ],
    history: &[("8.2.0", "Added the `DIFF`, `DIFF1`, `ANDOR` and `ONE` operations.")],
    run,
    ..CommandSpec::NEW
};

const OPERATIONS: [(&str, BitOp); 8] = [
    ("and", BitOp::And),
    ("or", BitOp::Or),
    ("xor", BitOp::Xor),
    ("not", BitOp::Not),
    ("diff", BitOp::Diff),
    ("diff1", BitOp::Diff1),
    ("andor", BitOp::AndOr),
    ("one", BitOp::One),
];

fn parse(ctx: &Context<'_>) -> Result<BitOp, CommandError> {
    let named = OPERATIONS.iter().find(|(name, _)| ctx.is_word(1, name));
    let (name, operation) = named.ok_or(CommandError::Syntax)?;
    let sources = ctx.args.len() - 3;
    match operation {
        BitOp::Not if sources != 1 => {
            Err(CommandError::new("ERR BITOP NOT must be called with a single source key."))
        }
        BitOp::Diff | BitOp::Diff1 | BitOp::AndOr if sources < 2 => {
            let name = name.to_uppercase();
            let text = format!("ERR BITOP {name} must be called with at least two source keys.");
            Err(CommandError::new(text))
        }
        _ => Ok(*operation),
    }
}

/// The length of the longest source.
fn longest(ctx: &mut Context<'_>) -> Result<usize, CommandError> {
    let mut longest = 0;
    for at in 3..ctx.args.len() {
        let key = ctx.key(at);
        let len = ctx.peek(&key).map(string_of).transpose()?.map_or(0, |value| value.len());
        longest = longest.max(len);
    }
    Ok(longest)
}

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let operation = parse(ctx)?;
    // Copies of the sources, and a result of the length of the longest of them, twice for ONE.
    ctx.require_copies((3..ctx.args.len()).map(|at| ctx.key(at)).collect::<Vec<_>>())?;
    let longest = longest(ctx)?;
    scratch::require(2 * longest)?;
    let mut sources = Vec::with_capacity(ctx.args.len() - 3);
    for at in 3..ctx.args.len() {
        let key = ctx.key(at);
        let value = ctx.read_string(&key)?;
        sources.push(value.map_or_else(Vec::new, |value| value.to_vec()));
    }
    let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
    let result = combine(operation, &sources);
    let target = ctx.key(2);
    if result.is_empty() {
        if ctx.read_to_write(&target).is_some() {
            ctx.remove(&target);
            ctx.changed(&target, Event::generic("del"));
        }
    } else {
        ctx.set_string(&target, StringValue::Raw(&result), Deadline::Clear)?;
        ctx.changed(&target, Event::string("set"));
    }
    ctx.reply.count(result.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn combines() {
        let mut client = Client::new();
        client.run(&["MSET", "a", "\u{f}", "b", "\u{3}", "c", "\u{1}"]);
        for (operation, byte) in [
            ("AND", "\u{1}"),
            ("OR", "\u{f}"),
            ("XOR", "\r"),
            ("DIFF", "\u{c}"),
            ("ANDOR", "\u{3}"),
            ("ONE", "\u{c}"),
        ] {
            assert_eq!(client.say(&format!("BITOP {operation} d a b c")), ":1\r\n");
            assert_eq!(client.say("GET d"), format!("$1\r\n{byte}\r\n"), "{operation}");
        }
        assert_eq!(client.say("BITOP AND d none nothing"), ":0\r\n");
        assert_eq!(client.say("GET d"), "$-1\r\n");
        let text = "-ERR BITOP NOT must be called with a single source key.\r\n";
        assert_eq!(client.say("BITOP NOT d a b"), text);
    }
}
