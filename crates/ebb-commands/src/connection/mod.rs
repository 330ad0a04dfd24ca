//! Commands that concern the connection.

use ebb_engine::CommandSpec;

mod ping;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[&ping::SPEC];
