//! Commands on strings.

use ebb_engine::{CommandError, CommandSpec, Context};

mod append;
mod compare;
mod get;
mod getex;
mod incr;
mod incrbyfloat;
mod increx;
mod lcs;
mod many;
mod range;
mod set;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &append::APPEND,
    &append::STRLEN,
    &compare::DELEX,
    &compare::DELIFEQ,
    &compare::DIGEST,
    &get::SPEC,
    &getex::GETDEL,
    &getex::GETEX,
    &incr::DECR,
    &incr::DECRBY,
    &incr::INCR,
    &incr::INCRBY,
    &incrbyfloat::SPEC,
    &increx::SPEC,
    &lcs::SPEC,
    &many::MGET,
    &many::MSET,
    &many::MSETEX,
    &many::MSETNX,
    &range::GETRANGE,
    &range::SETRANGE,
    &range::SUBSTR,
    &set::GETSET,
    &set::PSETEX,
    &set::SET,
    &set::SETEX,
    &set::SETNX,
];

/// Refuses a string that would be longer than `proto-max-bulk-len`.
pub(crate) fn check_length(ctx: &Context<'_>, len: u64) -> Result<(), CommandError> {
    if len > ctx.server.config.get(ebb_config::id::PROTO_MAX_BULK_LEN) {
        return Err(CommandError::new(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ));
    }
    Ok(())
}
