//! All groups of commands.

use ebb_engine::CommandSpec;

/// The commands of all groups.
pub fn all() -> Vec<&'static CommandSpec> {
    let groups = [
        crate::acl::COMMANDS,
        crate::bitmap::COMMANDS,
        crate::connection::COMMANDS,
        crate::generic::COMMANDS,
        crate::geo::COMMANDS,
        crate::hash::COMMANDS,
        crate::hyperloglog::COMMANDS,
        crate::list::COMMANDS,
        crate::partition::COMMANDS,
        crate::pubsub::COMMANDS,
        crate::scripting::COMMANDS,
        crate::server::COMMANDS,
        crate::set::COMMANDS,
        crate::sorted_set::COMMANDS,
        crate::stream::COMMANDS,
        crate::string::COMMANDS,
        crate::transactions::COMMANDS,
    ];
    groups.concat()
}
