//! Flaws that are planted, so that tests of MEMORY AUDIT can fail.

use ebb_engine::{CommandError, CommandResult, Context};
use ebb_heap::{Block, FIRST_OWNER_KIND};

/// Allocates a block and forgets it.
pub(super) fn leak(ctx: &mut Context<'_>) -> CommandResult {
    const KIND: u8 = FIRST_OWNER_KIND + 3;
    const BYTES_MAX: usize = 1 << 30;
    let bytes = usize::try_from(ctx.int(2)?).ok().filter(|bytes| *bytes <= BYTES_MAX);
    let bytes = bytes.ok_or(CommandError::OutOfRange)?;
    let arena = ctx.enter_shard(0).arena();
    std::mem::forget(Block::allocate(arena, bytes, KIND)?);
    ctx.reply.ok();
    Ok(())
}

/// Counts one key too many in the selected database, and 64 bytes in an arena.
pub(super) fn skew(ctx: &mut Context<'_>) -> CommandResult {
    let db = ctx.session.db;
    let shard = ctx.enter_shard(0);
    ebb_keyspace::audit::skew_counter(shard, db);
    shard.arena().skew_live_bytes(64);
    ctx.reply.ok();
    Ok(())
}
