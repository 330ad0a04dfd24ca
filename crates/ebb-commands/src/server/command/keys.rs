//! COMMAND GETKEYS and GETKEYSANDFLAGS: where the keys of a command are.

use ebb_engine::acl::touched;
use ebb_engine::{
    Argument, Categories, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
    KeyFlags, Resolved,
};

pub(super) const GETKEYS: CommandSpec = CommandSpec {
    name: "getkeys",
    summary: "Returns the keys of a command that is given with its arguments.",
    since: "2.8.13",
    group: Group::Server,
    complexity: "O(N) where N is the number of arguments.",
    arity: -3,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::CONNECTION,
    arguments: &[Argument::string("command"), Argument::string("arg").optional().multiple()],
    run: getkeys,
    ..CommandSpec::NEW
};

fn getkeys(ctx: &mut Context<'_>) -> CommandResult {
    let keys = find(&ctx.args[2..], ctx)?;
    ctx.reply.array(keys.len());
    keys.iter().for_each(|(at, _)| ctx.reply.bulk(ctx.args[2 + at]));
    Ok(())
}

pub(super) const GETKEYSANDFLAGS: CommandSpec = CommandSpec {
    name: "getkeysandflags",
    summary: "Returns the keys of a command, and what it does with each.",
    since: "7.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of arguments.",
    arity: -3,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::CONNECTION,
    arguments: &[Argument::string("command"), Argument::string("arg").optional().multiple()],
    run: getkeysandflags,
    ..CommandSpec::NEW
};

fn getkeysandflags(ctx: &mut Context<'_>) -> CommandResult {
    let keys = find(&ctx.args[2..], ctx)?;
    ctx.reply.array(keys.len());
    for (at, flags) in keys {
        let names: Vec<_> = flags.names().collect();
        ctx.reply.array(2);
        ctx.reply.bulk(ctx.args[2 + at]);
        ctx.reply.set(names.len());
        names.iter().for_each(|name| ctx.reply.simple(name));
    }
    Ok(())
}

/// Positions of keys in `args`, in order of the specification.
fn find(args: &[&[u8]], ctx: &Context<'_>) -> Result<Vec<(usize, KeyFlags)>, CommandError> {
    let Resolved::Command(command) = ctx.server.commands.resolve(args) else {
        return Err(CommandError::new("ERR Invalid command specified"));
    };
    // Channels of shards have positions, but are no keys.
    if command.spec.keys.iter().all(|spec| spec.flags.has(KeyFlags::NOT_KEY)) {
        return Err(CommandError::new("ERR The command has no key arguments"));
    }
    if !command.spec.arity_allows(args.len()) {
        return Err(CommandError::new("ERR Invalid number of arguments specified for command"));
    }
    let mut keys = Vec::new();
    let found = command.spec.each_key(args, |at, flags| keys.push((at, flags)));
    if keys.iter().any(|(_, flags)| flags.has(KeyFlags::VARIABLE_FLAGS)) {
        keys.clear();
        touched::each_key(command, args, |at, flags| keys.push((at, flags)));
    }
    if found.is_err() {
        keys.clear();
    }
    if keys.is_empty() && !command.spec.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err(CommandError::new("ERR Invalid arguments specified for command"));
    }
    Ok(keys)
}
