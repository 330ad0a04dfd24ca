//! INCRBYFLOAT, in the 80-bit arithmetic that clients of Redis see.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_keyspace::{Deadline, StringValue};
use ebb_types::long_double::LongDouble;

pub(super) static SPEC: CommandSpec = CommandSpec {
    name: "incrbyfloat",
    summary: "Adds to the number at a key, which counts as 0 if it is not there.",
    since: "2.6.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::new("increment", ebb_engine::ArgumentKind::Double),
    ],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let parse = |text: &[u8]| LongDouble::parse(text).ok_or(CommandError::NotFloat);
    let old = match ctx.string_to_write(&key)? {
        None => parse(b"0")?,
        Some(value) => value.with_bytes(parse)?,
    };
    let change = parse(ctx.arg(2))?;
    let sum = old
        .checked_add(change)
        .ok_or(CommandError::new("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_text();
    ctx.set_string(&key, StringValue::Text(&text), Deadline::Keep)?;
    ctx.changed(&key, Event::string("incrbyfloat"));
    ctx.reply.bulk(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn adds_in_decimal_as_people_expect() {
        let mut client = Client::new();
        client.say("SET k 10.50");
        assert_eq!(client.say("INCRBYFLOAT k 0.1"), "$4\r\n10.6\r\n");
        client.say("SET k 5.0e3");
        assert_eq!(client.say("INCRBYFLOAT k 2.0e2"), "$4\r\n5200\r\n");
        assert_eq!(client.say("INCRBYFLOAT k x"), "-ERR value is not a valid float\r\n");
    }
}
