//! Commands on lists.

use ebb_engine::CommandSpec;

mod blocking;
mod ends;
mod index;
mod lmove;
mod lmovem;
mod lmpop;
mod lpos;
mod range;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &blocking::BLMOVE,
    &blocking::BLMPOP,
    &blocking::BLPOP,
    &blocking::BRPOP,
    &blocking::BRPOPLPUSH,
    &ends::LLEN,
    &ends::LPOP,
    &ends::LPUSH,
    &ends::LPUSHX,
    &ends::RPOP,
    &ends::RPUSH,
    &ends::RPUSHX,
    &index::LINDEX,
    &index::LINSERT,
    &index::LREM,
    &index::LSET,
    &lmove::LMOVE,
    &lmovem::BLMOVEM,
    &lmovem::LMOVEM,
    &lmove::RPOPLPUSH,
    &lmpop::LMPOP,
    &lpos::SPEC,
    &range::LRANGE,
    &range::LTRIM,
];
