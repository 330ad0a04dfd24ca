//! FLUSHDB, FLUSHALL, SWAPDB and DBSIZE: databases as a whole.

use ebb_config::id;
use ebb_engine::{
    Argument, Categories, CommandError, CommandResult, CommandSpec, Context, Flags, Group, Scope,
};
use ebb_keyspace::{Presence, lazyfree};

pub(super) static FLUSHALL: CommandSpec = CommandSpec {
    name: "flushall",
    summary: "Deletes all keys of all databases.",
    since: "1.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of table segments; keys are freed in the background.",
    arity: -1,
    flags: Flags::WRITE,
    acl: Categories::KEYSPACE.and(Categories::DANGEROUS),
    arguments: &[Argument::one_of(
        "flush-type",
        &[
            Argument::word("async", "ASYNC").since("4.0.0"),
            Argument::word("sync", "SYNC").since("6.2.0"),
        ],
    )
    .optional()],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    scope: Scope::All,
    run: flushall,
    ..CommandSpec::NEW
};

fn flushall(ctx: &mut Context<'_>) -> CommandResult {
    let later = is_later(ctx)?;
    let _freeing = lazyfree::Choice::new(later);
    for db in 0..ctx.server.keyspace.databases() {
        empty(ctx, db);
    }
    ctx.flushed();
    begin_freeing(ctx, later);
    ctx.reply.ok();
    Ok(())
}

pub(super) static FLUSHDB: CommandSpec = CommandSpec {
    name: "flushdb",
    summary: "Deletes all keys of the selected database.",
    since: "1.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of table segments; keys are freed in the background.",
    arity: -1,
    flags: Flags::WRITE,
    acl: Categories::KEYSPACE.and(Categories::DANGEROUS),
    arguments: &[Argument::one_of(
        "flush-type",
        &[
            Argument::word("async", "ASYNC").since("4.0.0"),
            Argument::word("sync", "SYNC").since("6.2.0"),
        ],
    )
    .optional()],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    scope: Scope::All,
    run: flushdb,
    ..CommandSpec::NEW
};

fn flushdb(ctx: &mut Context<'_>) -> CommandResult {
    let later = is_later(ctx)?;
    let _freeing = lazyfree::Choice::new(later);
    empty(ctx, ctx.session.db);
    ctx.flushed();
    begin_freeing(ctx, later);
    ctx.reply.ok();
    Ok(())
}

/// Frees what was detached before the answer, if it is little: who asks for the memory in use
/// next shall see it gone. The rest follows without holding up anybody.
fn begin_freeing(ctx: &Context<'_>, later: bool) {
    /// Each step frees some 200 keys.
    const STEPS_MAX: usize = 64;
    let mut steps = 0;
    while !later && steps < STEPS_MAX && ctx.server.keyspace.free_trash_step() {
        steps += 1;
    }
}

/// Whether memory is to be freed later, by the option or by the directive. In both modes the keys
/// are gone when the reply is sent.
fn is_later(ctx: &Context<'_>) -> Result<bool, CommandError> {
    match ctx.args {
        [_] => Ok(ctx.server.config.get(id::LAZYFREE_LAZY_USER_FLUSH)),
        [_, _] if ctx.is_word(1, "ASYNC") => Ok(true),
        [_, _] if ctx.is_word(1, "SYNC") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

fn empty(ctx: &mut Context<'_>, db: usize) {
    let keyspace = &ctx.server.keyspace;
    let mut deleted = 0;
    let now_ms = ctx.now_ms;
    ctx.each_shard(|shard| {
        if shard.db_ref(db).is_empty() {
            return;
        }
        let (dbs, watch) = shard.dbs_and_watch();
        let before = |key: &[u8]| dbs[db].presence(&keyspace.key(key), now_ms);
        watch.replace_all(db, before, |_| Presence::Absent);
        let trash = shard.db(db).detach();
        deleted += trash.len() as u64;
        keyspace.discard(trash);
    });
    // Who reads for a group learns that the group is gone.
    for shard in 0..keyspace.shards() {
        ctx.all_may_be_ready(shard);
    }
    ctx.journal.dirty += deleted;
}

pub(super) static SWAPDB: CommandSpec = CommandSpec {
    name: "swapdb",
    summary: "Exchanges two databases.",
    since: "4.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of keys that clients watch.",
    arity: 3,
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Categories::KEYSPACE.and(Categories::DANGEROUS),
    arguments: &[Argument::integer("index1"), Argument::integer("index2")],
    scope: Scope::All,
    run: swapdb,
    ..CommandSpec::NEW
};

fn swapdb(ctx: &mut Context<'_>) -> CommandResult {
    let index = |at: usize, which: &str| {
        let number = ctx.int(at).ok().filter(|&number| i32::try_from(number).is_ok());
        number.ok_or_else(|| CommandError::new(format!("ERR invalid {which} DB index")))
    };
    let (first, second) = (index(1, "first")?, index(2, "second")?);
    let databases = ctx.server.keyspace.databases();
    let checked = |number| usize::try_from(number).ok().filter(|&number| number < databases);
    let (Some(first), Some(second)) = (checked(first), checked(second)) else {
        return Err(CommandError::new("ERR DB index is out of range"));
    };
    if first != second {
        let keyspace = &ctx.server.keyspace;
        let now_ms = ctx.now_ms;
        ctx.each_shard(|shard| {
            for (db, other) in [(first, second), (second, first)] {
                let (dbs, watch) = shard.dbs_and_watch();
                let in_db = |db: usize| {
                    let contents = &dbs[db];
                    move |key: &[u8]| contents.presence(&keyspace.key(key), now_ms)
                };
                watch.replace_all(db, in_db(db), in_db(other));
            }
            shard.swap_dbs(first, second);
        });
        ctx.server.partitions.note_scattered();
        for shard in 0..keyspace.shards() {
            ctx.all_may_be_ready(shard);
        }
    }
    ctx.journal.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

pub(super) static DBSIZE: CommandSpec = CommandSpec {
    name: "dbsize",
    summary: "Counts the keys of the selected database.",
    since: "1.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards.",
    arity: 1,
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Categories::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    scope: Scope::Walk,
    run: dbsize,
    ..CommandSpec::NEW
};

fn dbsize(ctx: &mut Context<'_>) -> CommandResult {
    let (db, mut keys) = (ctx.session.db, 0);
    ctx.each_shard(|shard| keys += shard.db_ref(db).len());
    ctx.reply.count(keys);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn databases_are_emptied_and_swapped() {
        let mut client = Client::with_config(&[("io-threads", "2")]);
        client.say("MSET a 1 b 2 c 3");
        assert_eq!(client.say("SWAPDB 0 1"), "+OK\r\n");
        assert_eq!(client.say("DBSIZE"), ":0\r\n");
        client.say("SET a 4");
        client.say("SELECT 1");
        assert_eq!(client.say("GET a"), "$1\r\n1\r\n");
        assert_eq!(client.say("FLUSHDB"), "+OK\r\n");
        assert_eq!(client.say("DBSIZE"), ":0\r\n");
        client.say("SELECT 0");
        assert_eq!(client.say("DBSIZE"), ":1\r\n");
        assert_eq!(client.say("FLUSHALL ASYNC"), "+OK\r\n");
        assert_eq!(client.say("DBSIZE"), ":0\r\n");
        assert_eq!(client.say("FLUSHALL NOW"), "-ERR syntax error\r\n");
        assert_eq!(client.say("SWAPDB 0 16"), "-ERR DB index is out of range\r\n");
        assert_eq!(client.say("SWAPDB a 0"), "-ERR invalid first DB index\r\n");
        while client.server.keyspace.free_trash_step() {}
        assert_eq!(client.server.keyspace.live_bytes(), (0, 0));
    }
}
