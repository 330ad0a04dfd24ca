//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.

use ebb_engine::CommandSpec;

mod multi;
mod watch;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] =
    &[&multi::DISCARD, &multi::EXEC, &multi::MULTI, &watch::UNWATCH, &watch::WATCH];
