//! PARTITION INFO and LIST.

use std::sync::Arc;

use ebb_config::Word;
use ebb_engine::partitions::Partition;
use ebb_engine::partitions::registry::no_partition;
use ebb_engine::{Argument, Categories, CommandResult, CommandSpec, Context, Flags, Group, Scope};
use ebb_keyspace::{Type, Uses};

/// The types as the fields call them, in the order of [`Type::ALL`].
pub(crate) const TYPE_NAMES: [&str; Type::ALL.len()] =
    ["strings", "lists", "sets", "sorted-sets", "hashes", "streams"];

pub(super) const LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Lists the names of all partitions.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of partitions.",
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::PARTITION,
    run: list,
    ..CommandSpec::NEW
};

fn list(ctx: &mut Context<'_>) -> CommandResult {
    let table = ctx.server.partitions.table();
    ctx.reply.array(table.all.len());
    table.all.iter().for_each(|partition| ctx.reply.bulk(partition.line.name.as_bytes()));
    Ok(())
}

pub(super) const INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "Returns settings and counters of a partition, or of all.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards, databases and partitions.",
    arity: -2,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::PARTITION,
    arguments: &[Argument::string("name").optional()],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    scope: Scope::Walk,
    run: info,
    ..CommandSpec::NEW
};

fn info(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.args.len() > 3 {
        return Err(ebb_engine::CommandError::WrongArity(ctx.command.name.into()));
    }
    let table = ctx.server.partitions.table();
    if let Some(&name) = ctx.args.get(2) {
        let Some(partition) = table.named(name) else { return Err(no_partition(name)) };
        let figures = Figures::gather(ctx, std::slice::from_ref(partition));
        figures.iter().for_each(|one| one.write(ctx));
        return Ok(());
    }
    let figures = Figures::gather(ctx, &table.all);
    ctx.reply.array(figures.len());
    figures.iter().for_each(|one| one.write(ctx));
    Ok(())
}

/// What there is to say of a partition.
pub(crate) struct Figures {
    pub(crate) partition: Arc<Partition>,
    pub(crate) keys: usize,
    /// Bytes in all, tables included.
    pub(crate) bytes: usize,
    /// Bytes of entries and values by type.
    pub(crate) by_type: [usize; Type::ALL.len()],
    pub(crate) uses: Uses,
    /// Keys that are yet to be looked at, because they may have to move.
    pub(crate) unsettled: usize,
}

impl Figures {
    /// Reads the figures of some partitions; visits the shards one after the other.
    pub(crate) fn gather(ctx: &mut Context<'_>, partitions: &[Arc<Partition>]) -> Vec<Figures> {
        let figures = |partition: &Arc<Partition>| Figures {
            keys: 0,
            bytes: 0,
            by_type: [0; Type::ALL.len()],
            uses: partition.totals.uses(),
            unsettled: 0,
            partition: Arc::clone(partition),
        };
        let mut all: Vec<Figures> = partitions.iter().map(figures).collect();
        if all.is_empty() {
            return all;
        }
        ctx.each_shard(|shard| {
            for (number, db) in shard.dbs().iter().enumerate() {
                let unsettled = db.unsettled();
                for one in &mut all {
                    let found = db.partition(one.partition.id);
                    // Of a database that was exchanged, keys may be here that do not belong.
                    let is_here = one.partition.line.db.is_none_or(|db| db as usize == number);
                    one.unsettled += if is_here || found.is_some() { unsettled } else { 0 };
                    if let Some((counts, uses)) = found {
                        let sums = one.by_type.iter_mut().zip(counts.bytes);
                        sums.for_each(|(sum, bytes)| *sum += bytes);
                        one.uses = one.uses.plus(uses);
                    }
                }
            }
        });
        for one in &mut all {
            one.keys = one.partition.totals.keys();
            one.bytes = one.partition.totals.bytes();
        }
        all
    }

    /// Bytes that are not of entries and values: of the tables, and of what large collections
    /// have beside their items.
    pub(crate) fn tables(&self) -> usize {
        self.bytes.saturating_sub(self.by_type.iter().sum())
    }

    fn write(&self, ctx: &mut Context<'_>) {
        let (line, policy) = (&self.partition.line, self.partition.policy(ctx.server).word());
        let reply = &mut *ctx.reply;
        reply.map(18 + TYPE_NAMES.len());
        let mut bulk = |name: &str, value: &[u8]| {
            reply.bulk(name.as_bytes());
            reply.bulk(value);
        };
        bulk("name", line.name.as_bytes());
        bulk("prefix", &line.prefix);
        let mut text = |name: &str, value: &str| bulk(name, value.as_bytes());
        text("db", &line.db.map_or("all".to_owned(), |db| db.to_string()));
        text("maxmemory-policy", policy);
        text("maxmemory-policy-inherited", yes_no(line.policy.is_none()));
        text("lazyfree-lazy-eviction", yes_no(line.lazy_eviction));
        text("state", if self.unsettled == 0 { "settled" } else { "settling" });
        let totals = &self.partition.totals;
        let numbers = [
            ("unsettled-keys", self.unsettled),
            ("maxmemory", line.maxmemory as usize),
            ("default-ttl", line.default_ttl_s as usize),
            ("keys", self.keys),
            ("bytes", self.bytes),
        ];
        let types = TYPE_NAMES.iter().zip(self.by_type);
        let counters = [
            ("hits", self.uses.hits),
            ("misses", self.uses.misses),
            ("evicted", totals.evicted()),
            ("expired", totals.expired()),
            ("refused", self.partition.refused()),
        ];
        let mut number = |name: &str, value: usize| {
            reply.bulk(name.as_bytes());
            reply.count(value);
        };
        numbers.iter().for_each(|(name, value)| number(name, *value));
        types.for_each(|(name, bytes)| number(&format!("bytes.{name}"), bytes));
        number("bytes.tables", self.tables());
        counters.iter().for_each(|(name, value)| number(name, *value as usize));
    }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
