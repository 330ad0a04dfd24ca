//! PARTITION CREATE, ALTER and DROP.

use ebb_config::PartitionLine;
use ebb_engine::{
    Argument, Categories, CommandError, CommandResult, CommandSpec, Context, Flags, Group, Scope,
};

use super::{SETTINGS, words};

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

pub(super) const CREATE: CommandSpec = CommandSpec {
    name: "create",
    summary: "Makes a partition of the keys with a prefix, of a database, or both.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards; keys are moved in the background.",
    arity: -5,
    flags: FLAGS,
    acl: Categories::PARTITION,
    arguments: &[
        Argument::string("name"),
        Argument::string("prefix").after("PREFIX").optional(),
        Argument::integer("database").after("DB").optional(),
        SETTINGS[0],
        SETTINGS[1],
        SETTINGS[2],
        SETTINGS[3],
    ],
    scope: Scope::All,
    run: create,
    ..CommandSpec::NEW
};

fn create(ctx: &mut Context<'_>) -> CommandResult {
    let line = PartitionLine::read(&words(ctx, 2)?)
        .map_err(|reason| CommandError::new(format!("ERR {}", reason.0)))?;
    ctx.create_partition(line)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) const ALTER: CommandSpec = CommandSpec {
    name: "alter",
    summary: "Changes settings of a partition.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of partitions; keys are evicted in the background.",
    arity: -5,
    flags: FLAGS,
    acl: Categories::PARTITION,
    arguments: &[Argument::string("name"), SETTINGS[0], SETTINGS[1], SETTINGS[2], SETTINGS[3]],
    scope: Scope::All,
    run: alter,
    ..CommandSpec::NEW
};

fn alter(ctx: &mut Context<'_>) -> CommandResult {
    let settings = words(ctx, 3)?;
    ctx.alter_partition(ctx.arg(2), &settings)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) const DROP: CommandSpec = CommandSpec {
    name: "drop",
    summary: "Removes a partition; its keys stay.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards; keys are moved in the background.",
    arity: 3,
    flags: FLAGS,
    acl: Categories::PARTITION,
    arguments: &[Argument::string("name")],
    scope: Scope::All,
    run: drop_it,
    ..CommandSpec::NEW
};

fn drop_it(ctx: &mut Context<'_>) -> CommandResult {
    ctx.drop_partition(ctx.arg(2))?;
    ctx.reply.ok();
    Ok(())
}
