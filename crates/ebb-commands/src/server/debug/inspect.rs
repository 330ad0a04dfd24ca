//! DEBUG OBJECT, HTSTATS, HTSTATS-KEY and STRUCTSIZE: how things are kept.

use ebb_config::id;
use ebb_engine::{CommandError, CommandResult, Context, Session};
use ebb_keyspace::{Db, Shard, StringRef, ValueRef};
use ebb_persist::rdb;

/// DEBUG OBJECT.
pub(super) fn object(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(2);
    let now_s = (ctx.now_ms / 1000) as u32;
    let compress = ctx.server.config.get(id::RDBCOMPRESSION);
    let Some(entry) = ctx.uncover(&key) else { return Err(CommandError::NoSuchKey) };
    let references = match entry.value() {
        ValueRef::String(StringRef::Shared(shared)) => shared.reference_count(),
        _ => 1,
    };
    let length = rdb::value_len(&entry, compress);
    let text = format!(
        "Value at:{:#x} refcount:{references} encoding:{} serializedlength:{} lru:{} \
         lru_seconds_idle:{}",
        entry.address(),
        entry.encoding(),
        length,
        entry.clock(),
        now_s.wrapping_sub(entry.clock()) & 0xff_ffff,
    );
    ctx.reply.simple(&text);
    Ok(())
}

/// DEBUG HTSTATS.
pub(super) fn table(ctx: &mut Context<'_>) -> CommandResult {
    let number = ctx.int(2)?;
    let db = usize::try_from(number).ok().filter(|&db| db < ctx.server.keyspace.databases());
    let db = db.ok_or_else(|| CommandError::new("ERR Out of range database"))?;
    let (mut keys, mut volatile, mut segments, mut slots) = (0, 0, 0, 0);
    ctx.each_shard(|shard| {
        let db = shard.db_ref(db);
        let (some_segments, some_slots, _, _) = db.index_shape();
        keys += db.len();
        volatile += db.counts().volatile;
        segments += some_segments;
        slots += some_slots;
    });
    let load = keys as f64 / slots.max(1) as f64 * 100.0;
    let text = format!(
        "[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: {slots}\n number \
         of elements: {keys}\n segments: {segments}\n slots in use: {load:.1}%\n[Expires HT]\n \
         number of elements: {volatile}\n"
    );
    ctx.reply.verbatim(*b"txt", &text);
    Ok(())
}

/// DEBUG HTSTATS-KEY.
pub(super) fn table_of_key(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(2);
    if ctx.peek(&key).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    Err(CommandError::new(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))
}

/// DEBUG STRUCTSIZE.
pub(super) fn structures(ctx: &mut Context<'_>) -> CommandResult {
    let text = format!(
        "bits:{} shard:{} db:{} client:{} session:{}",
        usize::BITS,
        size_of::<Shard>(),
        size_of::<Db>(),
        size_of::<ebb_engine::Client>(),
        size_of::<Session>()
    );
    ctx.reply.simple(&text);
    Ok(())
}
