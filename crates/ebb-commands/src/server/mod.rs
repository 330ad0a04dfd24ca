//! Commands of the group "server".

use ebb_engine::CommandSpec;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[];
