//! Commands on the server itself.

use ebb_engine::CommandSpec;

mod command;
mod commandlog;
mod config;
mod debug;
mod info;
mod latency;
mod lolwut;
mod memory;
mod monitor;
mod shutdown;
mod time;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &command::COMMAND,
    &commandlog::COMMANDLOG,
    &commandlog::SLOWLOG,
    &config::CONFIG,
    &debug::DEBUG,
    &info::INFO,
    &latency::LATENCY,
    &lolwut::LOLWUT,
    &memory::MEMORY,
    &monitor::MONITOR,
    &monitor::ROLE,
    &shutdown::SHUTDOWN,
    &time::TIME,
];
