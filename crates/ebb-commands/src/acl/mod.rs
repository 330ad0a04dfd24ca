//! ACL: users, what they may do, and what was denied.

use ebb_engine::{CommandError, CommandSpec, Context, Flags, Group};

use crate::help;

mod cat;
mod dryrun;
mod file;
mod genpass;
mod getuser;
mod log;
#[cfg(test)]
mod tests;
mod users;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[&ACL];

static ACL: CommandSpec = CommandSpec {
    name: "acl",
    summary: "A container of commands on users and permissions.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "Depends on subcommand.",
    arity: -2,
    subcommands: &[
        cat::CAT,
        users::DELUSER,
        dryrun::DRYRUN,
        genpass::GENPASS,
        getuser::GETUSER,
        HELP,
        users::LIST,
        file::LOAD,
        log::LOG,
        file::SAVE,
        users::SETUSER,
        users::USERS,
        users::WHOAMI,
    ],
    ..CommandSpec::NEW
};

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "6.0.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};

/// What subcommands with too many arguments answer.
fn wrong_arguments(ctx: &Context<'_>) -> CommandError {
    let name = ctx.quote(1);
    CommandError::new(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL HELP."
    ))
}
