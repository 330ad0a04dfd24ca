//! PARTITION FLUSH.

use ebb_engine::partitions::registry::no_partition;
use ebb_engine::{Argument, Categories, CommandResult, CommandSpec, Context, Flags, Group, Scope};
use ebb_keyspace::{Presence, lazyfree};

pub(super) const FLUSH: CommandSpec = CommandSpec {
    name: "flush",
    summary: "Deletes all keys of a partition.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards and databases; keys are freed in the \
                 background.",
    arity: 3,
    flags: Flags::WRITE,
    acl: Categories::PARTITION.and(Categories::KEYSPACE).and(Categories::DANGEROUS),
    arguments: &[Argument::string("name")],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    scope: Scope::All,
    run: flush,
    ..CommandSpec::NEW
};

fn flush(ctx: &mut Context<'_>) -> CommandResult {
    let name = ctx.arg(2);
    let table = ctx.server.partitions.table();
    let Some(partition) = table.named(name) else { return Err(no_partition(name)) };
    let (keyspace, now_ms) = (&ctx.server.keyspace, ctx.now_ms);
    let keys = partition.totals.keys();
    let _freeing = lazyfree::Choice::new(true);
    for number in 0..keyspace.shards() {
        let shard = ctx.enter_shard(number);
        for db in 0..keyspace.databases() {
            let (dbs, watch) = shard.dbs_and_watch();
            let contents = &dbs[db];
            let presence = |key: &[u8]| contents.presence(&keyspace.key(key), now_ms);
            let after = |key: &[u8]| match contents.home(key) {
                home if home == partition.id => Presence::Absent,
                _ => presence(key),
            };
            watch.replace_all(db, presence, after);
            keyspace.discard(shard.db(db).detach_part(partition.id));
        }
        ctx.all_may_be_ready(number);
    }
    // The command counts as a change even if there was no key.
    ctx.journal.dirty += 1 + keys as u64;
    ctx.flushed();
    ctx.reply.ok();
    Ok(())
}
