//! Commands of the group "bitmap".

use ebb_engine::CommandSpec;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[];
