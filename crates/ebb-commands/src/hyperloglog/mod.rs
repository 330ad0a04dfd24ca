//! Commands on HyperLogLogs.

use ebb_engine::CommandSpec;

mod count;
mod debug;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] =
    &[&count::PFADD, &count::PFCOUNT, &count::PFMERGE, &debug::PFDEBUG, &debug::PFSELFTEST];
