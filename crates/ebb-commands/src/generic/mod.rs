//! Commands on keys of any type.

use ebb_engine::{CommandError, CommandSpec, Context};

mod copy;
mod del;
pub(crate) mod dump;
mod exists;
mod expire;
mod flush;
mod keys;
mod object;
mod rename;
mod scan;
mod sort;
mod ttl;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &copy::COPY,
    &copy::MOVE,
    &del::DEL,
    &del::UNLINK,
    &dump::DUMP,
    &dump::RESTORE,
    &exists::EXISTS,
    &exists::TOUCH,
    &exists::TYPE,
    &expire::EXPIRE,
    &expire::EXPIREAT,
    &expire::PEXPIRE,
    &expire::PEXPIREAT,
    &flush::DBSIZE,
    &flush::FLUSHALL,
    &flush::FLUSHDB,
    &flush::SWAPDB,
    &keys::KEYS,
    &keys::RANDOMKEY,
    &object::OBJECT,
    &rename::RENAME,
    &rename::RENAMENX,
    &scan::SCAN,
    &sort::SORT,
    &sort::SORT_RO,
    &ttl::EXPIRETIME,
    &ttl::PERSIST,
    &ttl::PEXPIRETIME,
    &ttl::PTTL,
    &ttl::TTL,
];

/// An argument as the number of a database that exists.
pub(crate) fn database(ctx: &Context<'_>, index: usize) -> Result<usize, CommandError> {
    let number = ctx.int(index)?;
    let number = i32::try_from(number).map_err(|_| CommandError::NotInteger)?;
    usize::try_from(number)
        .ok()
        .filter(|&number| number < ctx.server.keyspace.databases())
        .ok_or_else(|| CommandError::new("ERR DB index is out of range"))
}
