//! Commands on places, which are members of sorted sets with a geohash for a score.

use ebb_engine::CommandSpec;

mod add;
mod arguments;
mod get;
mod query;
mod radius;
mod search;
mod units;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &add::GEOADD,
    &get::GEODIST,
    &get::GEOHASH,
    &get::GEOPOS,
    &radius::GEORADIUS,
    &radius::GEORADIUSBYMEMBER,
    &radius::GEORADIUSBYMEMBER_RO,
    &radius::GEORADIUS_RO,
    &search::GEOSEARCH,
    &search::GEOSEARCHSTORE,
];
