//! Commands that concern the connection.

use ebb_engine::CommandSpec;

mod auth;
mod client;
mod echo;
mod hello;
mod ping;
mod reset;
mod select;

pub use client::describe;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &auth::AUTH,
    &client::CLIENT,
    &echo::ECHO,
    &hello::HELLO,
    &ping::SPEC,
    &reset::QUIT,
    &reset::RESET,
    &select::SELECT,
];
