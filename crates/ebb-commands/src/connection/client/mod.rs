//! CLIENT: connections, seen from within and from others.

use ebb_engine::{CommandSpec, Flags, Group};

use crate::help;

mod filter;
mod filter_arguments;
mod list;
mod modes;
mod name;
mod pause;
mod tracking;

pub use list::describe;
pub(super) use name::{check_name, set_name};

pub(super) static CLIENT: CommandSpec = CommandSpec {
    name: "client",
    summary: "A container of commands on connections.",
    since: "2.4.0",
    group: Group::Connection,
    arity: -2,
    subcommands: &[
        tracking::CACHING,
        name::GETNAME,
        tracking::GETREDIR,
        HELP,
        list::ID,
        list::INFO,
        list::KILL,
        list::LIST,
        modes::NO_EVICT,
        modes::NO_TOUCH,
        pause::PAUSE,
        modes::REPLY,
        name::SETINFO,
        name::SETNAME,
        tracking::TRACKING,
        tracking::TRACKINGINFO,
        pause::UNBLOCK,
        pause::UNPAUSE,
    ],
    ..CommandSpec::NEW
};

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "5.0.0",
    group: Group::Connection,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};
