//! Which partitions there are.
//!
//! The [`Table`] is replaced as a whole; who uses it keeps a reference and looks at the version.
//! It is changed only while all shards are held, together with the routes in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ebb_config::{MaxmemoryPolicy, PartitionLine, id};
use ebb_keyspace::eviction::{Own, Rule};
use ebb_keyspace::{PARTITIONS_MAX, PartId, Routes, Seat, Shard, Totals};
use parking_lot::RwLock;

use crate::context::Context;
use crate::error::{CommandError, CommandResult};
use crate::eviction;
use crate::server::{Server, unix_ms};

/// What a partition keeps while its settings change.
#[derive(Debug, Default)]
pub struct State {
    /// Bytes that commands under way may yet take.
    pub(super) reserved: AtomicUsize,
    /// Commands that were refused for want of memory.
    pub(super) refused: AtomicU64,
}

/// A partition.
#[derive(Debug)]
pub struct Partition {
    /// Its number in the keyspace.
    pub id: PartId,
    /// Its settings.
    pub line: PartitionLine,
    /// What its keys take.
    pub totals: Arc<Totals>,
    pub(super) state: Arc<State>,
}

impl Partition {
    /// Commands that were refused because it was full.
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::Relaxed)
    }

    /// The policy in force.
    pub fn policy(&self, server: &Server) -> MaxmemoryPolicy {
        self.line.policy.unwrap_or_else(|| server.config.get(id::MAXMEMORY_POLICY))
    }

    /// How its victims are found; `None` if there are none.
    pub(super) fn rule(&self, server: &Server) -> Option<Rule> {
        eviction::rule_of_policy(self.policy(server), &server.config, unix_ms())
    }

    /// Tells the keyspace what it needs to know of the policy, and what time it is.
    pub(super) fn tell_policy(&self, server: &Server) {
        self.totals.set_own(match self.line.policy {
            None => Own::Inherit,
            Some(_) => self.rule(server).map_or(Own::Never, Own::Rule),
        });
    }
}

/// All partitions at a time.
#[derive(Debug, Default)]
pub struct Table {
    /// In the order in which they were made.
    pub all: Vec<Arc<Partition>>,
    /// By id, less one.
    by_id: Vec<Option<Arc<Partition>>>,
    /// Which keys are whose, by database.
    routes: Vec<Routes>,
}

impl Table {
    fn new(server: &Server, all: Vec<Arc<Partition>>) -> Table {
        let mut by_id = Vec::new();
        for partition in &all {
            let at = usize::from(partition.id) - 1;
            if by_id.len() <= at {
                by_id.resize(at + 1, None);
            }
            by_id[at] = Some(Arc::clone(partition));
        }
        let databases = 0..server.keyspace.databases();
        let routes = databases.map(|db| routes(server, &all, 0, db)).collect();
        Table { all, by_id, routes }
    }

    /// The partition of a key.
    pub fn of(&self, db: usize, key: &[u8]) -> Option<&Arc<Partition>> {
        self.with_id(self.routes.get(db)?.of(key))
    }

    pub(super) fn with_id(&self, id: PartId) -> Option<&Arc<Partition>> {
        self.by_id.get(usize::from(id).checked_sub(1)?)?.as_ref()
    }

    /// The partition with a name.
    pub fn named(&self, name: &[u8]) -> Option<&Arc<Partition>> {
        self.all.iter().find(|partition| partition.line.name.as_bytes() == name)
    }
}

/// The routes of a database in a shard. Of partitions with equal prefixes the one that names the
/// database comes first.
fn routes(server: &Server, all: &[Arc<Partition>], shard: usize, db: usize) -> Routes {
    let mut routes = Routes::default();
    for named in [true, false] {
        let wanted = all.iter().filter(|one| match one.line.db {
            Some(number) => named && number as usize == db,
            None => !named,
        });
        for one in wanted {
            let data = server.keyspace.partition_arena(one.id, shard);
            let seat = Seat { data, totals: Arc::clone(&one.totals) };
            routes.add(&one.line.prefix, one.id, seat);
        }
    }
    routes
}

/// The partitions of a server.
#[derive(Debug, Default)]
pub struct Partitions {
    limits: AtomicBool,
    deadlines: AtomicBool,
    /// Keys may lie in parts other than theirs.
    scattered: AtomicBool,
    /// Some are being moved.
    settling: AtomicBool,
    /// Changes with the table.
    version: AtomicU64,
    table: RwLock<Arc<Table>>,
}

impl Partitions {
    /// Whether any has a limit.
    #[inline]
    pub fn has_limits(&self) -> bool {
        self.limits.load(Ordering::Relaxed)
    }

    /// Whether any gives its keys a time to live.
    #[inline]
    pub fn has_deadlines(&self) -> bool {
        self.deadlines.load(Ordering::Relaxed)
    }

    /// Keys may have to be moved to other partitions: the databases were divided anew, or
    /// exchanged.
    pub fn note_scattered(&self) {
        self.scattered.store(true, Ordering::Release);
    }

    /// Whether they may; until it is noted again they then may not.
    pub(super) fn take_scattered(&self) -> bool {
        self.scattered.load(Ordering::Relaxed) && self.scattered.swap(false, Ordering::Acquire)
    }

    /// Keys are on their way to their parts.
    pub(super) fn set_settling(&self, settling: bool) {
        self.settling.store(settling, Ordering::Relaxed);
    }

    /// Whether keys are on their way, or about to be: some of those that lie in a partition may
    /// not belong to it.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.load(Ordering::Relaxed) || self.scattered.load(Ordering::Relaxed)
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The partitions now.
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Sets the counters of all partitions to zero, but for the lookups that shards count.
    pub fn reset_counters(&self) {
        for partition in &self.table().all {
            partition.totals.reset_counters();
            partition.state.refused.store(0, Ordering::Relaxed);
        }
    }

    /// Whether an evicted key is freed later, by another thread: its partition says so, or else
    /// the server's `lazyfree-lazy-eviction`.
    pub(crate) fn evicts_lazily(&self, server: &Server, db: usize, key: &[u8]) -> bool {
        match self.table.read().of(db, key) {
            Some(partition) => partition.line.lazy_eviction,
            None => server.config.get(id::LAZYFREE_LAZY_EVICTION),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.read().all.is_empty()
    }

    fn publish(&self, server: &Server, all: Vec<Arc<Partition>>) {
        let any = |test: fn(&PartitionLine) -> bool| all.iter().any(|one| test(&one.line));
        let (limits, deadlines) =
            (any(|line| line.maxmemory != 0), any(|line| line.default_ttl_s != 0));
        all.iter().for_each(|one| one.tell_policy(server));
        let lines: Vec<_> = all.iter().map(|one| one.line.clone()).collect();
        *self.table.write() = Arc::new(Table::new(server, all));
        self.limits.store(limits, Ordering::Relaxed);
        self.deadlines.store(deadlines, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
        server.config.set_partitions(&lines);
    }
}

fn check_db(server: &Server, line: &PartitionLine) -> Result<(), String> {
    let databases = server.keyspace.databases();
    match line.db {
        Some(db) if db as usize >= databases => {
            Err(format!("partition '{}': there are only {databases} databases", line.name))
        }
        _ => Ok(()),
    }
}

/// Refuses a partition that cannot be beside others, or nowhere.
fn check_place<'p>(
    server: &Server,
    line: &PartitionLine,
    others: impl Iterator<Item = &'p Arc<Partition>>,
) -> CommandResult {
    if let Some(conflict) = line.conflict(others.map(|other| &other.line)) {
        return Err(refusal(&conflict.0));
    }
    check_db(server, line).map_err(|text| refusal(&text))
}

/// An error with a reason that may show what a client has sent.
pub fn refusal(reason: &str) -> CommandError {
    CommandError::new(format!("ERR {}", reason.replace(['\r', '\n'], " ")))
}

fn divide(server: &Server, all: &[Arc<Partition>], number: usize, shard: &mut Shard) {
    for (db, part) in shard.dbs().iter_mut().enumerate() {
        part.set_routes(Arc::new(routes(server, all, number, db)));
    }
}

impl Server {
    /// Makes the partitions of the configuration, before there are keys.
    pub fn load_configured_partitions(&self) -> Result<(), String> {
        let lines = self.config.partitions();
        if lines.is_empty() {
            return Ok(());
        }
        if lines.len() > PARTITIONS_MAX {
            return Err(format!("There can be at most {PARTITIONS_MAX} partitions."));
        }
        let mut all = Vec::new();
        for (id, line) in (1..).zip(lines) {
            check_db(self, &line)?;
            let (totals, state) = Default::default();
            all.push(Arc::new(Partition { id, line, totals, state }));
        }
        for number in 0..self.keyspace.shards() {
            divide(self, &all, number, &mut self.keyspace.lock(number));
        }
        self.partitions.publish(self, all);
        Ok(())
    }
}

/// What the PARTITION commands do, while all shards are held.
impl Context<'_> {
    /// Makes a partition. Keys that are there already move to it in the background.
    pub fn create_partition(&mut self, line: PartitionLine) -> CommandResult {
        let server = self.server;
        let mut all = server.partitions.table().all.clone();
        check_place(server, &line, all.iter())?;
        let Some(id) = self.free_partition_id(&all) else {
            return Err(CommandError::new(format!(
                "ERR there can be at most {PARTITIONS_MAX} partitions; those that were dropped \
                 count until their keys have been moved"
            )));
        };
        let (totals, state) = Default::default();
        all.push(Arc::new(Partition { id, line, totals, state }));
        self.divide(all);
        Ok(())
    }

    /// Changes a partition's settings. If it has other keys then, they move in the background.
    pub fn alter_partition(&mut self, name: &[u8], settings: &[&[u8]]) -> CommandResult {
        let server = self.server;
        let mut all = server.partitions.table().all.clone();
        let Some(at) = all.iter().position(|one| one.line.name.as_bytes() == name) else {
            return Err(no_partition(name));
        };
        let one = &all[at];
        let mut line = one.line.clone();
        line.alter(settings).map_err(|reason| refusal(&reason.0))?;
        check_place(server, &line, all.iter().filter(|other| other.id != one.id))?;
        let has_same_keys = line.is_of_same_keys(&one.line);
        let (totals, state) = (Arc::clone(&one.totals), Arc::clone(&one.state));
        all[at] = Arc::new(Partition { id: one.id, line, totals, state });
        if has_same_keys {
            server.partitions.publish(server, all);
        } else {
            self.divide(all);
        }
        Ok(())
    }

    /// Removes a partition. Its keys stay, and move back in the background.
    pub fn drop_partition(&mut self, name: &[u8]) -> CommandResult {
        let mut all = self.server.partitions.table().all.clone();
        let Some(at) = all.iter().position(|one| one.line.name.as_bytes() == name) else {
            return Err(no_partition(name));
        };
        let gone = all.remove(at);
        gone.totals.set_own(Own::Inherit);
        self.divide(all);
        Ok(())
    }

    fn divide(&mut self, all: Vec<Arc<Partition>>) {
        let server = self.server;
        for number in 0..server.keyspace.shards() {
            divide(server, &all, number, self.enter_shard(number));
        }
        server.partitions.note_scattered();
        server.partitions.publish(server, all);
    }

    /// An id of which nothing is left anywhere.
    fn free_partition_id(&mut self, all: &[Arc<Partition>]) -> Option<PartId> {
        let mut taken = [false; PARTITIONS_MAX];
        all.iter().for_each(|one| taken[usize::from(one.id) - 1] = true);
        self.each_shard(|shard| {
            for (id, taken) in (1..).zip(&mut taken) {
                *taken |= shard.dbs().iter().any(|db| db.has_part(id));
            }
        });
        let at = taken.iter().position(|taken| !taken)?;
        PartId::try_from(at + 1).ok()
    }
}

/// The error for a name that nothing has.
pub fn no_partition(name: &[u8]) -> CommandError {
    let name = crate::error::quote(name, 128);
    CommandError::new(format!("ERR no such partition '{name}'"))
}
