//! ACL LOG: what was denied lately.

use ebb_engine::acl::LogEntry;
use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group, Reply};

const SHOWN: i64 = 10;

pub(super) const LOG: CommandSpec = CommandSpec {
    name: "log",
    summary: "Shows what was denied lately, newest first, or forgets it.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "O(N) with N being the number of entries shown.",
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::one_of(
        "operation",
        &[Argument::integer("count"), Argument::word("reset", "RESET")],
    )
    .optional()],
    history: &[("7.2.0", "Added entry ID, timestamp created, and timestamp last updated.")],
    run: log,
    ..CommandSpec::NEW
};

fn log(ctx: &mut Context<'_>) -> CommandResult {
    let shown = match ctx.args {
        [_, _] => SHOWN,
        [_, _, _] if ctx.is_word(2, "RESET") => {
            ctx.server.acl.log.clear();
            ctx.reply.ok();
            return Ok(());
        }
        [_, _, _] => ctx.int(2)?.max(0),
        _ => return Err(super::wrong_arguments(ctx)),
    };
    let entries = ctx.server.acl.log.newest(usize::try_from(shown).unwrap_or(usize::MAX));
    ctx.reply.array(entries.len());
    entries.iter().for_each(|entry| describe(ctx.reply, entry, ctx.now_ms));
    Ok(())
}

fn describe(reply: &mut Reply, entry: &LogEntry, now_ms: i64) {
    let denied = &entry.denied;
    reply.map(10);
    reply.bulk(b"count");
    reply.count(entry.count as usize);
    reply.bulk(b"reason");
    reply.bulk(denied.reason.as_bytes());
    reply.bulk(b"context");
    reply.bulk(denied.context.word().as_bytes());
    reply.bulk(b"object");
    reply.bulk(&denied.object);
    reply.bulk(b"username");
    reply.bulk(&denied.username);
    reply.bulk(b"age-seconds");
    reply.double((now_ms - entry.updated_ms).max(0) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(entry.client_info.as_bytes());
    reply.bulk(b"entry-id");
    reply.integer(entry.id as i64);
    reply.bulk(b"timestamp-created");
    reply.integer(entry.created_ms);
    reply.bulk(b"timestamp-last-updated");
    reply.integer(entry.updated_ms);
}
