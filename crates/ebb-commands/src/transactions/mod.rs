//! Commands of the group "transactions".

use ebb_engine::CommandSpec;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[];
