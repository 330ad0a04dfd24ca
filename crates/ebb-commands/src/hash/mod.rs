//! Commands on hashes.

use ebb_engine::CommandSpec;

mod del;
mod expire;
mod fields;
mod get;
mod getex;
mod incr;
mod random;
mod scan;
mod set;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &del::HDEL,
    &del::HGETDEL,
    &expire::HEXPIRE,
    &expire::HEXPIREAT,
    &expire::HEXPIRETIME,
    &expire::HPERSIST,
    &expire::HPEXPIRE,
    &expire::HPEXPIREAT,
    &expire::HPEXPIRETIME,
    &expire::HPTTL,
    &expire::HTTL,
    &get::HEXISTS,
    &get::HGET,
    &get::HGETALL,
    &get::HKEYS,
    &get::HLEN,
    &get::HMGET,
    &get::HSTRLEN,
    &get::HVALS,
    &getex::HGETEX,
    &getex::HSETEX,
    &incr::HINCRBY,
    &incr::HINCRBYFLOAT,
    &random::HRANDFIELD,
    &scan::HSCAN,
    &set::HMSET,
    &set::HSET,
    &set::HSETNX,
];
