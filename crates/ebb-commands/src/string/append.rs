//! APPEND and STRLEN.

use ebb_engine::{
    Argument, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags, KeySpec,
};
use ebb_keyspace::Deadline;

pub(super) static APPEND: CommandSpec = CommandSpec {
    name: "append",
    summary: "Appends to the string at a key, which is made if it is not there.",
    since: "2.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[Argument::key("key", 0), Argument::string("value")],
    run: append,
    ..CommandSpec::NEW
};

fn append(ctx: &mut Context<'_>) -> CommandResult {
    let (key, tail) = (ctx.key(1), ctx.arg(2));
    let old = ctx.string_to_write(&key)?.map(|value| value.len());
    let len = match old {
        None => {
            let value = ctx.value(2);
            ctx.set_string(&key, value, Deadline::Clear)?;
            tail.len()
        }
        Some(old) => {
            let len = old + tail.len();
            super::check_length(ctx, len as u64)?;
            ctx.edit(&key, len)?[old..len].copy_from_slice(tail);
            len
        }
    };
    ctx.changed(&key, Event::string("append"));
    ctx.reply.count(len);
    Ok(())
}

pub(super) static STRLEN: CommandSpec = CommandSpec {
    name: "strlen",
    summary: "Returns the length of the string at a key.",
    since: "2.2.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    run: strlen,
    ..CommandSpec::NEW
};

fn strlen(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let len = ctx.read_string(&key)?.map_or(0, |value| value.len());
    ctx.reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn appends_at_every_size() {
        let mut client = Client::new();
        let mut expected = String::new();
        for step in 0..300 {
            let part = "x".repeat(step % 40);
            expected += &part;
            let reply = client.run(&["APPEND", "k", &part]);
            assert_eq!(reply, format!(":{}\r\n", expected.len()));
        }
        assert_eq!(client.say("STRLEN k"), format!(":{}\r\n", expected.len()));
        let whole = format!("${}\r\n{expected}\r\n", expected.len());
        assert_eq!(client.say("GET k"), whole);
    }

    #[test]
    fn a_number_becomes_text() {
        let mut client = Client::new();
        client.say("SET k 12");
        assert_eq!(client.say("APPEND k 34"), ":4\r\n");
        assert_eq!(client.say("INCR k"), ":1235\r\n");
    }
}
