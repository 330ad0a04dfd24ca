//! SET: the value of a key, with conditions and a deadline.

use ebb_engine::{
    Argument, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags, KeySpec,
};
use ebb_keyspace::Deadline;

pub(super) static SPEC: CommandSpec = CommandSpec {
    name: "set",
    summary: "Sets the string at a key, whatever was there.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE))],
    arguments: &[Argument::key("key", 0), Argument::string("value")],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let value = ctx.value(2);
    ctx.set_string(&key, value, Deadline::Clear)?;
    ctx.changed(&key, Event::string("set"));
    ctx.reply.ok();
    Ok(())
}
