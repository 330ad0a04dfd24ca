//! Commands on strings.

use ebb_engine::CommandSpec;

mod get;
mod set;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[&get::SPEC, &set::SPEC];
