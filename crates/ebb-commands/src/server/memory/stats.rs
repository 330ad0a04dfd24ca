//! MEMORY STATS.

use ebb_engine::{CommandResult, CommandSpec, Context, Group, Reply, Scope};

use super::figures::{DbFigures, MemoryFigures};
use super::owners;
use crate::partition::{Figures, TYPE_NAMES};

pub(super) const STATS: CommandSpec = CommandSpec {
    name: "stats",
    summary: "Returns what memory is used for.",
    since: "4.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards and databases.",
    arity: 2,
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    scope: Scope::Walk,
    run,
    ..CommandSpec::NEW
};

enum Value {
    Integer(i64),
    Double(f64),
    Db(DbFigures),
    Partition(Box<Figures>),
}

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let memory = MemoryFigures::gather(ctx);
    let int = |value: usize| Value::Integer(value as i64);
    let (fragmentation, fragmentation_bytes) = memory.fragmentation();
    let (rss, rss_bytes) = memory.allocator_resident();
    let (overhead, overhead_bytes) = memory.process_overhead();
    let (process, process_bytes) = memory.process_fragmentation();
    let mut rows = vec![
        ("peak.allocated".to_owned(), int(memory.peak)),
        ("total.allocated".into(), int(memory.used)),
        ("startup.allocated".into(), int(memory.startup)),
        ("replication.backlog".into(), int(0)),
        ("clients.slaves".into(), int(0)),
        ("clients.normal".into(), int(memory.parts.clients_normal + memory.parts.clients_pubsub)),
        ("cluster.links".into(), int(0)),
        ("aof.buffer".into(), int(0)),
        ("lua.caches".into(), int(memory.parts.scripts.0 + memory.parts.scripts.1)),
        ("functions.caches".into(), int(memory.parts.functions.0 + memory.parts.functions.1)),
    ];
    rows.extend(memory.dbs.iter().map(|db| (format!("db.{}", db.number), Value::Db(*db))));
    let partitions = Figures::gather(ctx, &ctx.server.partitions.table().all);
    let owner = |(name, bytes)| (format!("owner.{name}"), Value::Integer(bytes));
    let owners = owners::rows(&memory, owners::Measured::now(ctx));
    let parts = owners::parts(&memory, &partitions);
    rows.extend(partitions.into_iter().map(|one| {
        (format!("partition.{}", one.partition.line.name), Value::Partition(Box::new(one)))
    }));
    rows.extend([
        ("overhead.total".to_owned(), int(memory.overhead())),
        ("keys.count".into(), int(memory.keys())),
        ("keys.bytes-per-key".into(), int(memory.dataset() / memory.keys().max(1))),
        ("dataset.bytes".into(), int(memory.dataset())),
        ("dataset.percentage".into(), Value::Double(memory.dataset_percent())),
        ("peak.percentage".into(), Value::Double(memory.peak_percent())),
        ("allocator.allocated".into(), int(memory.allocated)),
        ("allocator.active".into(), int(memory.active)),
        ("allocator.resident".into(), int(memory.allocator_resident)),
        ("allocator-fragmentation.ratio".into(), Value::Double(fragmentation)),
        ("allocator-fragmentation.bytes".into(), Value::Integer(fragmentation_bytes)),
        ("allocator-rss.ratio".into(), Value::Double(rss)),
        ("allocator-rss.bytes".into(), Value::Integer(rss_bytes)),
        ("rss-overhead.ratio".into(), Value::Double(overhead)),
        ("rss-overhead.bytes".into(), Value::Integer(overhead_bytes)),
        ("fragmentation".into(), Value::Double(process)),
        ("fragmentation.bytes".into(), Value::Integer(process_bytes)),
    ]);
    rows.extend(owners.into_iter().map(owner));
    rows.extend(
        parts.into_iter().map(|(name, bytes)| (format!("part.{name}"), Value::Integer(bytes))),
    );
    write(ctx.reply, rows);
    Ok(())
}

fn write(reply: &mut Reply, rows: Vec<(String, Value)>) {
    reply.map(rows.len());
    for (name, value) in rows {
        reply.bulk(name.as_bytes());
        match value {
            Value::Integer(value) => reply.integer(value),
            Value::Double(value) => reply.double(value),
            Value::Db(db) => {
                reply.map(2);
                reply.bulk(b"overhead.hashtable.main");
                reply.count(db.table);
                reply.bulk(b"overhead.hashtable.expires");
                reply.count(db.wheel);
            }
            Value::Partition(one) => {
                reply.map(TYPE_NAMES.len() + 3);
                let mut number = |name: &str, value: usize| {
                    reply.bulk(name.as_bytes());
                    reply.count(value);
                };
                number("keys.count", one.keys);
                number("bytes.total", one.bytes);
                let types = TYPE_NAMES.iter().zip(one.by_type);
                types.for_each(|(name, bytes)| number(&format!("bytes.{name}"), bytes));
                number("bytes.tables", one.tables());
            }
        }
    }
}
