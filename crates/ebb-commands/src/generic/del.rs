//! DEL and UNLINK.

use ebb_config::id;
use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Event, Flags, KeyFlags, KeySpec};
use ebb_keyspace::lazyfree;

pub(super) static DEL: CommandSpec = CommandSpec {
    name: "del",
    summary: "Deletes keys.",
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys.",
    arity: -2,
    flags: Flags::WRITE,
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RM.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0).multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    run: del,
    ..CommandSpec::NEW
};

pub(super) static UNLINK: CommandSpec = CommandSpec {
    name: "unlink",
    summary: "Deletes keys; what takes long to free is freed in the background.",
    since: "4.0.0",
    complexity: "O(N) where N is the number of keys.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RM.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0).multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    run: unlink,
    ..CommandSpec::NEW
};

fn del(ctx: &mut Context<'_>) -> CommandResult {
    let later = ctx.server.config.get(id::LAZYFREE_LAZY_USER_DEL);
    delete(ctx, later)
}

fn unlink(ctx: &mut Context<'_>) -> CommandResult {
    delete(ctx, true)
}

fn delete(ctx: &mut Context<'_>, later: bool) -> CommandResult {
    let _freeing = lazyfree::Choice::new(later);
    let mut deleted = 0;
    for at in 1..ctx.args.len() {
        let key = ctx.key(at);
        if ctx.peek(&key).is_some() {
            ctx.remove(&key);
            ctx.changed(&key, Event::generic("del"));
            deleted += 1;
        }
    }
    ctx.reply.integer(deleted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn counts_what_was_there() {
        let mut client = Client::new();
        client.say("MSET a 1 b 2");
        assert_eq!(client.say("DEL a a nothing"), ":1\r\n");
        assert_eq!(client.say("UNLINK a b"), ":1\r\n");
        assert_eq!(client.say("DBSIZE"), ":0\r\n");
    }
}
