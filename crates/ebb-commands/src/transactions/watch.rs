//! WATCH and UNWATCH.

use std::sync::Arc;

use ebb_engine::session::WatchedKey;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    transaction,
};

pub(super) static WATCH: CommandSpec = CommandSpec {
    name: "watch",
    summary: "Lets the next transaction fail if one of these keys changes before it.",
    since: "2.2.0",
    group: Group::Transactions,
    complexity: "O(N) where N is the number of keys.",
    arity: -2,
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::ALLOW_BUSY),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0).multiple()],
    run: watch,
    ..CommandSpec::NEW
};

fn watch(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.session.transaction.is_some() {
        return Err(CommandError::new("ERR WATCH inside MULTI is not allowed"));
    }
    // Nothing can save a transaction that will fail already.
    if !ctx.session.watcher.as_ref().is_some_and(|watcher| watcher.is_dirty()) {
        (1..ctx.args.len()).for_each(|at| add(ctx, at));
    }
    ctx.reply.ok();
    Ok(())
}

fn add(ctx: &mut Context<'_>, at: usize) {
    let (db, key) = (ctx.session.db, ctx.key(at));
    let is_same = |watched: &WatchedKey| watched.db == db && *watched.key == *key.bytes();
    if ctx.session.watched.iter().any(is_same) {
        return;
    }
    let was_due = transaction::is_due(ctx.locks, db, &key, ctx.now_ms);
    let watcher = Arc::clone(ctx.session.watcher.get_or_insert_default());
    ctx.shard(&key).watch.add(db, key.bytes(), &watcher, was_due);
    ctx.session.watched.push(WatchedKey { db, key: key.bytes().into() });
}

pub(super) static UNWATCH: CommandSpec = CommandSpec {
    name: "unwatch",
    summary: "Forgets the keys that are watched.",
    since: "2.2.0",
    group: Group::Transactions,
    complexity: "O(N) where N is the number of keys watched.",
    arity: 1,
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::ALLOW_BUSY),
    run: unwatch,
    ..CommandSpec::NEW
};

fn unwatch(ctx: &mut Context<'_>) -> CommandResult {
    transaction::unwatch(ctx.session, ctx.locks);
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// What EXEC of a transaction that sets `x` answers after `between` was said by another.
    fn exec_after(watched: &str, between: &[&str]) -> String {
        let mut client = Client::with_config(&[("io-threads", "2")]);
        let mut other = client.another();
        client.say("SET k 1");
        assert_eq!(client.say(&format!("WATCH {watched}")), "+OK\r\n");
        between.iter().for_each(|line| drop(other.say(line)));
        client.say("MULTI");
        client.say("SET x 1");
        client.say("EXEC")
    }

    #[test]
    fn changes_of_watched_keys_are_noticed() {
        let (ran, failed) = ("*1\r\n+OK\r\n", "*-1\r\n");
        assert_eq!(exec_after("k", &["SET other 1"]), ran);
        assert_eq!(exec_after("k", &["GET k"]), ran);
        assert_eq!(exec_after("k", &["SET k 2"]), failed);
        assert_eq!(exec_after("a b", &["SET b 2"]), failed);
        assert_eq!(exec_after("k", &["DEL k"]), failed);
        assert_eq!(exec_after("k", &["EXPIRE k 100"]), failed);
        assert_eq!(exec_after("k", &["FLUSHALL"]), failed);
        assert_eq!(exec_after("nothing", &["FLUSHALL"]), ran);
        assert_eq!(exec_after("k", &["SWAPDB 0 1"]), failed);
        assert_eq!(exec_after("k", &["SELECT 1", "SET k 2"]), ran);
    }

    #[test]
    fn watches_can_be_dropped() {
        let mut client = Client::new();
        let mut other = client.another();
        for end in ["UNWATCH", "DISCARD"] {
            client.say("WATCH k");
            if end == "DISCARD" {
                client.say("MULTI");
                assert_eq!(client.say("WATCH k"), "-ERR WATCH inside MULTI is not allowed\r\n");
            }
            assert_eq!(client.say(end), "+OK\r\n");
            other.say("SET k 1");
            client.say("MULTI");
            client.say("GET k");
            assert_eq!(client.say("EXEC"), "*1\r\n$1\r\n1\r\n");
        }
    }
}
