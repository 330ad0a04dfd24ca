//! PARTITION CREATE, ALTER and DROP.

use ebb_config::PartitionLine;
use ebb_engine::{Argument, Categories, CommandResult, CommandSpec, Context, Flags, Group, Scope};

use ebb_engine::partitions::registry::refusal;

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

/// What CREATE and ALTER take.
const ARGUMENTS: &[Argument] = &[
    Argument::string("name"),
    Argument::string("prefix").after("PREFIX").optional(),
    Argument::string("database").after("DB").optional(),
    Argument::string("bytes").after("MAXMEMORY").optional(),
    Argument::string("policy").after("MAXMEMORY-POLICY").optional(),
    Argument::integer("seconds").after("DEFAULT-TTL").optional(),
    Argument::string("yes-or-no").after("LAZYFREE-LAZY-EVICTION").optional(),
];

pub(super) const CREATE: CommandSpec = CommandSpec {
    name: "create",
    summary: "Makes a partition of the keys with a prefix, of a database, or both.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards; keys are moved in the background.",
    arity: -5,
    flags: FLAGS,
    acl: Categories::PARTITION,
    arguments: ARGUMENTS,
    scope: Scope::All,
    run: create,
    ..CommandSpec::NEW
};

fn create(ctx: &mut Context<'_>) -> CommandResult {
    let line = PartitionLine::read(&ctx.args[2..]).map_err(|reason| refusal(&reason.0))?;
    ctx.create_partition(line)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) const ALTER: CommandSpec = CommandSpec {
    name: "alter",
    summary: "Changes settings of a partition, and which keys it has.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of partitions, and of shards if it has other keys \
                 then; keys are moved and evicted in the background.",
    arity: -5,
    flags: FLAGS,
    acl: Categories::PARTITION,
    arguments: ARGUMENTS,
    scope: Scope::All,
    run: alter,
    ..CommandSpec::NEW
};

fn alter(ctx: &mut Context<'_>) -> CommandResult {
    ctx.alter_partition(ctx.arg(2), &ctx.args[3..])?;
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
