//! PARTITION: parts of the keyspace with limits of their own.

use ebb_engine::{Argument, Categories, CommandError, CommandSpec, Context, Flags, Group};

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

/// The settings that CREATE and ALTER take.
const SETTINGS: [Argument; 4] = [
    Argument::string("bytes").after("MAXMEMORY").optional(),
    Argument::string("policy").after("MAXMEMORY-POLICY").optional(),
    Argument::integer("seconds").after("DEFAULT-TTL").optional(),
    Argument::string("yes-or-no").after("LAZYFREE-LAZY-EVICTION").optional(),
];

/// The arguments from a position on, as text.
fn words<'a>(ctx: &Context<'a>, from: usize) -> Result<Vec<&'a str>, CommandError> {
    let words = ctx.args[from..].iter().map(|arg| std::str::from_utf8(arg));
    words
        .collect::<Result<_, _>>()
        .map_err(|_| CommandError::new("ERR names and prefixes of partitions must be valid UTF-8"))
}
