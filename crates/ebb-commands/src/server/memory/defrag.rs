//! MEMORY DEFRAG: what active defragmentation does.

use std::sync::atomic::Ordering;

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Group, defrag::ShardState,
};
use ebb_keyspace::defrag::Fragmentation;

pub(super) const DEFRAG: CommandSpec = CommandSpec {
    name: "defrag",
    summary: "Returns what active defragmentation does and has done, in all and by shard.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards.",
    arity: 3,
    arguments: &[Argument::word("status", "STATUS")],
    tips: &["nondeterministic_output"],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    if !ctx.is_word(2, "STATUS") {
        return Err(CommandError::Syntax);
    }
    let server = ctx.server;
    let defrag = &server.defrag;
    let detail = defrag.detail.lock().clone();
    let all = Fragmentation::of(server.all_arenas());
    let number = |ctx: &mut Context<'_>, name: &str, value: u64| {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(value as i64);
    };
    ctx.reply.map(18);
    ctx.reply.bulk(b"state");
    ctx.reply.bulk(detail.state.name().as_bytes());
    ctx.reply.bulk(b"reason");
    ctx.reply.bulk(detail.reason.as_bytes());
    number(ctx, "cpu-percent", defrag.running.load(Ordering::Relaxed));
    number(ctx, "retry-ms", detail.retry_ms);
    number(ctx, "live-bytes", all.live as u64);
    number(ctx, "hole-bytes", all.holes as u64);
    ctx.reply.bulk(b"hole-percent");
    ctx.reply.double((all.percent() * 100.0).round() / 100.0);
    number(ctx, "segments", all.segments as u64);
    number(ctx, "passes", detail.passes);
    number(ctx, "moved-blocks", defrag.hits.load(Ordering::Relaxed));
    number(ctx, "stayed-blocks", defrag.misses.load(Ordering::Relaxed));
    number(ctx, "released-segments", detail.released);
    number(ctx, "last-pass-chosen-segments", detail.last.chosen as u64);
    number(ctx, "last-pass-released-segments", detail.last.released as u64);
    number(ctx, "last-pass-moved-bytes", detail.last.moved.bytes);
    number(ctx, "last-pass-pinned-blocks", detail.last.moved.pinned);
    number(ctx, "total-ms", defrag.total_ms());
    ctx.reply.bulk(b"shards");
    let shards: Vec<(ShardState, Fragmentation)> = (detail.shards.iter())
        .zip(server.keyspace.arenas())
        .map(|(state, &(data, index))| (*state, Fragmentation::of([data, index])))
        .collect();
    ctx.reply.array(shards.len());
    for (at, (shard, now)) in shards.into_iter().enumerate() {
        ctx.reply.map(8);
        number(ctx, "shard", at as u64);
        ctx.reply.bulk(b"state");
        ctx.reply.bulk(shard.state.name().as_bytes());
        number(ctx, "segments", now.segments as u64);
        number(ctx, "live-bytes", now.live as u64);
        number(ctx, "hole-bytes", now.holes as u64);
        ctx.reply.bulk(b"hole-percent");
        ctx.reply.double((now.percent() * 100.0).round() / 100.0);
        number(ctx, "moved-blocks", shard.moved_blocks);
        number(ctx, "moved-bytes", shard.moved_bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn the_state_is_told() {
        let mut client = Client::new();
        client.say("SET a 1");
        let status = client.say("MEMORY DEFRAG STATUS");
        for field in ["state\r\n$4\r\nidle", "hole-bytes", "last-pass-pinned-blocks", "shards"] {
            assert!(status.contains(field), "{field} is missing in {status}");
        }
        assert_eq!(client.say("MEMORY DEFRAG NOW"), "-ERR syntax error\r\n");
    }
}
