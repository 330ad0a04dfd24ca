//! Commands on sorted sets.

use ebb_engine::CommandSpec;

pub(crate) mod add;
mod algebra;
mod answer;
mod blocking;
mod bounds;
mod combine;
mod count;
mod get;
pub(crate) mod pop;
mod random;
mod range;
mod remove;
mod scan;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &blocking::BZMPOP,
    &blocking::BZPOPMAX,
    &blocking::BZPOPMIN,
    &add::ZADD,
    &add::ZINCRBY,
    &combine::ZDIFF,
    &combine::ZDIFFSTORE,
    &combine::ZINTER,
    &combine::ZINTERCARD,
    &combine::ZINTERSTORE,
    &combine::ZUNION,
    &combine::ZUNIONSTORE,
    &count::ZCOUNT,
    &count::ZLEXCOUNT,
    &get::ZCARD,
    &get::ZMSCORE,
    &get::ZRANK,
    &get::ZREVRANK,
    &get::ZSCORE,
    &pop::ZMPOP,
    &pop::ZPOPMAX,
    &pop::ZPOPMIN,
    &random::ZRANDMEMBER,
    &range::ZRANGE,
    &range::ZRANGEBYLEX,
    &range::ZRANGEBYSCORE,
    &range::ZRANGESTORE,
    &range::ZREVRANGE,
    &range::ZREVRANGEBYLEX,
    &range::ZREVRANGEBYSCORE,
    &remove::ZREM,
    &remove::ZREMRANGEBYLEX,
    &remove::ZREMRANGEBYRANK,
    &remove::ZREMRANGEBYSCORE,
    &scan::ZSCAN,
];
