//! HINCRBY, HINCRBYFLOAT: numbers in fields.

use ebb_collections::FieldDeadline;
use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group,
    KeyFlags, KeySpec,
};
use ebb_types::long_double::LongDouble;
use ebb_types::number::{IntegerText, parse_i64};

pub(super) static HINCRBY: CommandSpec = CommandSpec {
    name: "hincrby",
    summary: "Adds an integer to the value of a field.",
    since: "2.0.0",
    group: Group::Hash,
    arity: 4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    element: 2,
    arguments: &[
        Argument::key("key", 0),
        Argument::string("field"),
        Argument::integer("increment"),
    ],
    run: hincrby,
    ..CommandSpec::NEW
};
pub(super) static HINCRBYFLOAT: CommandSpec = CommandSpec {
    name: "hincrbyfloat",
    summary: "Adds a number to the value of a field.",
    since: "2.6.0",
    group: Group::Hash,
    arity: 4,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    element: 2,
    arguments: &[
        Argument::key("key", 0),
        Argument::string("field"),
        Argument::new("increment", ArgumentKind::Double),
    ],
    run: hincrbyfloat,
    ..CommandSpec::NEW
};

fn hincrby(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name, change) = (ctx.key(1), ctx.arg(2), ctx.int(3)?);
    let mut hash = ctx.open_hash(&key)?;
    let old = match hash.as_ref().get(name) {
        None => 0,
        Some(field) => {
            parse_i64(field.value).ok_or(CommandError::new("ERR hash value is not an integer"))?
        }
    };
    let sum = old
        .checked_add(change)
        .ok_or(CommandError::new("ERR increment or decrement would overflow"))?;
    hash.set(name, IntegerText::from_i64(sum).as_bytes(), FieldDeadline::Keep)?;
    hash.into_slot().finish();
    ctx.changed(&key, Event::hash("hincrby"));
    ctx.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    let change = LongDouble::parse(ctx.arg(3)).ok_or(CommandError::NotFloat)?;
    if !change.is_finite() {
        return Err(CommandError::new("ERR value is NaN or Infinity"));
    }
    let mut hash = ctx.open_hash(&key)?;
    let old = hash.as_ref().get(name).map_or(&b"0"[..], |field| field.value);
    let old = LongDouble::parse(old).ok_or(CommandError::new("ERR hash value is not a float"))?;
    let sum = old
        .checked_add(change)
        .ok_or(CommandError::new("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_text();
    hash.set(name, &text, FieldDeadline::Keep)?;
    hash.into_slot().finish();
    ctx.changed(&key, Event::hash("hincrbyfloat"));
    ctx.reply.bulk(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn numbers_are_added() {
        let mut client = Client::new();
        assert_eq!(client.say("HINCRBY h a 5"), ":5\r\n");
        assert_eq!(client.say("HINCRBY h a -7"), ":-2\r\n");
        assert_eq!(client.say("HINCRBYFLOAT h f 10.5"), "$4\r\n10.5\r\n");
        assert_eq!(client.say("HINCRBYFLOAT h f 0.1"), "$4\r\n10.6\r\n");
        assert_eq!(client.say("HINCRBYFLOAT h f inf"), "-ERR value is NaN or Infinity\r\n");
        client.say("HSET h t text m 9223372036854775807");
        assert_eq!(client.say("HINCRBY h t 1"), "-ERR hash value is not an integer\r\n");
        assert_eq!(client.say("HINCRBYFLOAT h t 1"), "-ERR hash value is not a float\r\n");
        assert_eq!(client.say("HINCRBY h m 1"), "-ERR increment or decrement would overflow\r\n");
        assert_eq!(
            client.say("HINCRBY new t x"),
            "-ERR value is not an integer or out of range\r\n"
        );
        assert_eq!(client.say("EXISTS new"), ":0\r\n");
    }
}
