//! FUNCTION: libraries of functions.

use ebb_engine::{CommandError, CommandSpec, Context, Flags, Group};

use crate::help;

mod change;
mod dump;
mod list;

pub(super) static FUNCTION: CommandSpec = CommandSpec {
    name: "function",
    summary: "A container of commands on functions.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "Depends on subcommand.",
    arity: -2,
    subcommands: &[
        change::DELETE,
        dump::DUMP,
        change::FLUSH,
        HELP,
        change::KILL,
        list::LIST,
        change::LOAD,
        dump::RESTORE,
        list::STATS,
    ],
    ..CommandSpec::NEW
};

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};

/// A subcommand got more arguments than it takes.
fn wrong_arguments(ctx: &Context<'_>) -> CommandError {
    CommandError::new(format!(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try FUNCTION HELP.",
        ctx.quote(1)
    ))
}
