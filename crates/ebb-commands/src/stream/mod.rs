//! Commands on streams.

use ebb_engine::{CommandError, CommandSpec};

mod add;
mod budget;
mod claim;
mod delex;
mod group;
mod id;
mod info;
mod nack;
mod overdue;
mod pending;
mod range;
mod read;
mod references;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &add::XADD,
    &add::XTRIM,
    &claim::XAUTOCLAIM,
    &claim::XCLAIM,
    &delex::XACKDEL,
    &delex::XDELEX,
    &group::XGROUP,
    &info::XINFO,
    &nack::XNACK,
    &pending::XACK,
    &pending::XPENDING,
    &range::XDEL,
    &range::XLEN,
    &range::XRANGE,
    &range::XREVRANGE,
    &range::XSETID,
    &read::XREAD,
    &read::XREADGROUP,
];

/// The stream is not there, or has no such group.
fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::new(format!(
        "NOGROUP No such key '{}' or consumer group '{}'",
        String::from_utf8_lossy(key),
        String::from_utf8_lossy(group)
    ))
}

/// The stream is there, but has no such group.
fn no_group_of(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::new(format!(
        "NOGROUP No such consumer group '{}' for key name '{}'",
        String::from_utf8_lossy(group),
        String::from_utf8_lossy(key)
    ))
}
