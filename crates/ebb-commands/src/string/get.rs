//! GET: the value of a key.

use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec};

pub(super) static SPEC: CommandSpec = CommandSpec {
    name: "get",
    summary: "Returns the string at a key.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0)],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    ctx.reply_string(&key)
}
