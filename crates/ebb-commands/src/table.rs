//! All groups of commands.

use ebb_engine::CommandSpec;

/// The commands of all groups.
pub fn all() -> Vec<&'static CommandSpec> {
    let groups = [
        crate::bitmap::COMMANDS,
        crate::connection::COMMANDS,
        crate::generic::COMMANDS,
        crate::scripting::COMMANDS,
        crate::server::COMMANDS,
        crate::string::COMMANDS,
        crate::transactions::COMMANDS,
    ];
    groups.concat()
}
