//! Commands on sets.

use ebb_engine::CommandSpec;

mod algebra;
mod card;
mod change;
mod get;
mod random;
mod scan;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &algebra::SDIFF,
    &algebra::SDIFFSTORE,
    &algebra::SINTER,
    &algebra::SINTERSTORE,
    &algebra::SUNION,
    &algebra::SUNIONSTORE,
    &card::SDIFFCARD,
    &card::SINTERCARD,
    &card::SUNIONCARD,
    &change::SADD,
    &change::SMOVE,
    &change::SREM,
    &get::SCARD,
    &get::SISMEMBER,
    &get::SMEMBERS,
    &get::SMISMEMBER,
    &random::SPOP,
    &random::SRANDMEMBER,
    &scan::SSCAN,
];
