//! Commands of the group "generic".

use ebb_engine::CommandSpec;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[];
