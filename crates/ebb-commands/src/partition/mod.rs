//! PARTITION: parts of the keyspace with limits of their own.

use ebb_engine::{Categories, CommandSpec, Flags, Group};

use crate::help;

mod change;
mod flush;
mod info;
#[cfg(test)]
mod tests;

pub(crate) use info::{Figures, TYPE_NAMES};

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[&PARTITION];

static PARTITION: CommandSpec = CommandSpec {
    name: "partition",
    summary: "A container of commands on partitions of the keyspace.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "Depends on subcommand.",
    arity: -2,
    subcommands: &[
        change::ALTER,
        change::CREATE,
        change::DROP,
        flush::FLUSH,
        HELP,
        info::INFO,
        info::LIST,
    ],
    ..CommandSpec::NEW
};

const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "7.2.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::PARTITION,
    run: help::run,
    ..CommandSpec::NEW
};
