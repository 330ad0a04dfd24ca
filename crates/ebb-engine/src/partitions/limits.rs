//! Room in a partition for a command that may need memory.
//!
//! **Before the command.** What its arguments may take is *reserved* in the partitions of its
//! keys before it runs, and the reservation ends with the command. Bytes and reservations
//! together never pass the limit: if they would, keys of the partition are evicted, and if there
//! is none to evict, or the policy is `noeviction`, the command is refused. So writers that run
//! at the same time cannot together pass a limit that each alone would keep.
//!
//! **What cannot be foreseen** is what a command makes of its arguments and of other data:
//! SETRANGE, a union that is stored, a hash that grows out of its packed form. It may pass the limit
//! once; the maintenance thread evicts the excess at once, and the next command finds no room.
//!
//! **Scripts** find the limits at every command that they call: keys are evicted, or the call
//! fails. What a script declares as its keys has room made for it before it begins.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebb_keyspace::eviction::Rule;
use ebb_keyspace::{Shard, lazyfree};

use super::registry::{Partition, State, Table};
use crate::error::CommandError;
use crate::journal::{Event, Journal};
use crate::locks::Locks;
use crate::notify::Effects;
use crate::server::Server;
use crate::session::Session;
use crate::spec::{Flags, KeyFlags, Scope};
use crate::table::Command;

/// Bytes that an argument costs beside its own: a block's header, a slot in a table.
const ARGUMENT_BYTES: usize = 32;
/// Bytes that a key costs beside its arguments: the entry, and its part of the table's growth.
const KEY_BYTES: usize = 64 + 128;
/// Bytes by which a table may grow for one key: a segment of 40 buckets becomes two of 26 at most.
const TABLE_BYTES: usize = 768;
/// Keys evicted from one shard before the next one's turn.
pub(super) const IN_A_ROW: usize = 8;
/// Room is made in portions: this part of the limit, and no more than that.
const MARGIN_PART: usize = 1024;
const MARGIN_MAX: usize = 64 << 10;
/// A command evicts for so long if a limit was lowered; the rest is the maintenance thread's.
const EVICT_TIME: Duration = Duration::from_millis(2);

/// What a worker knows of partitions, and what its command has reserved in them.
#[derive(Debug, Default)]
pub struct Quota {
    table: Arc<Table>,
    version: u64,
    reserved: Vec<(Arc<State>, usize)>,
    /// The hash of a key to which an entry was given that may want a deadline.
    pub(super) made: Option<u64>,
}

impl Quota {
    /// The partitions now.
    pub(crate) fn table(&mut self, server: &Server) -> Arc<Table> {
        let version = server.partitions.version();
        if self.version != version {
            self.table = server.partitions.table();
            self.version = version;
        }
        Arc::clone(&self.table)
    }

    /// Ends what was reserved after there were so many reservations: a command has ended.
    #[inline]
    pub(crate) fn release(&mut self, before: usize) {
        self.made = None;
        if self.reserved.len() > before {
            for (state, bytes) in self.reserved.drain(before..) {
                state.reserved.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
    }

    /// How many reservations there are.
    pub(crate) fn reservations(&self) -> usize {
        self.reserved.len()
    }
}

/// Bytes that commands may need, by partition.
struct Demand<'t> {
    table: &'t Table,
    of: Vec<(&'t Arc<Partition>, usize)>,
}

/// With what the first of some keys may add to a table.
fn with_table(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes + TABLE_BYTES }
}

/// Whether a command may make a partition larger.
fn may_grow(command: &Command) -> bool {
    command.spec.flags.has(Flags::DENYOOM)
        || command.may_run_others()
        || matches!(command.name, "rename" | "renamenx" | "move" | "smove")
}

impl<'t> Demand<'t> {
    fn add(&mut self, db: usize, key: &[u8], bytes: usize) {
        let Some(partition) = self.table.of(db, key) else { return };
        if partition.line.maxmemory == 0 {
            return;
        }
        match self.of.iter_mut().find(|(known, _)| known.id == partition.id) {
            Some((_, sum)) if *sum > 0 => *sum += bytes,
            Some((_, sum)) => *sum = with_table(bytes),
            None => self.of.push((partition, with_table(bytes))),
        }
    }

    /// Adds what a command may need: for each key that it writes, the arguments up to the next.
    fn add_command(&mut self, place: &mut Place<'_>, db: usize, command: &Command, args: &[&[u8]]) {
        if !may_grow(command) {
            return;
        }
        let mut keys = Vec::new();
        // Arguments that name no keys are the command's to refuse; it touches none then.
        let _ = command.spec.each_key(args, |at, flags| keys.push((at, flags)));
        let is_script = command.spec.scope == Scope::Growing;
        let target = target_db(db, command, args);
        for (at, flags) in &keys {
            if flags.has(KeyFlags::RO) || flags.has(KeyFlags::RM) {
                continue;
            }
            let end = keys.iter().map(|(other, _)| *other).filter(|other| other > at).min();
            let own = &args[*at..end.unwrap_or(args.len())];
            // The commands of a script reserve for themselves.
            let bytes = if is_script { 0 } else { KEY_BYTES + size_of_arguments(own) };
            match Transfer::of(command, args) {
                None => self.add(target, args[*at], bytes),
                Some(transfer) => {
                    let source = self.table.of(db, args[1]).map(|partition| partition.id);
                    let stays = source == self.table.of(target, args[*at]).map(|one| one.id);
                    if transfer == Transfer::Copy || !stays {
                        self.add(target, args[*at], bytes + place.size_of_entry(db, args[1]));
                    }
                }
            }
        }
    }
}

/// A whole entry comes under another key: it is as large as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Move,
    Copy,
}

impl Transfer {
    fn of(command: &Command, args: &[&[u8]]) -> Option<Transfer> {
        let is_complete = command.spec.arity_allows(args.len());
        match command.name {
            "rename" | "renamenx" | "move" if is_complete => Some(Transfer::Move),
            "copy" if is_complete => Some(Transfer::Copy),
            _ => None,
        }
    }
}

/// Bytes that arguments take when they are stored: blocks are rounded up.
fn size_of_arguments(args: &[&[u8]]) -> usize {
    args.iter().map(|arg| arg.len() + arg.len() / 16 + ARGUMENT_BYTES).sum()
}

/// The database of the keys that a command writes.
fn target_db(db: usize, command: &Command, args: &[&[u8]]) -> usize {
    let named = match command.name {
        "move" => args.get(2),
        "copy" => {
            let at = args.iter().skip(3).position(|arg| arg.eq_ignore_ascii_case(b"db"));
            at.and_then(|at| args.get(at + 4))
        }
        _ => None,
    };
    number_of(named).unwrap_or(db)
}

fn number_of(arg: Option<&&[u8]>) -> Option<usize> {
    std::str::from_utf8(arg?).ok()?.parse().ok()
}

/// Reserves what a command of a client, or those of a transaction, may need, and makes room for
/// it. The locks are released if keys must go.
#[cold]
pub(crate) fn admit(
    server: &'static Server,
    journal: &mut Journal,
    locks: &mut Locks<'static>,
    session: &Session,
    command: &Command,
    args: &[&[u8]],
) -> Result<(), CommandError> {
    let table = journal.quota.table(server);
    let mut demand = Demand { table: &table, of: Vec::new() };
    let mut place = Place { server, locks, inside: false };
    let queue = session.transaction.iter().flat_map(|transaction| &transaction.queue);
    if command.name == "exec" {
        let mut db = session.db;
        for queued in queue {
            let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
            if queued.command.name == "select" {
                db = number_of(args.get(1)).unwrap_or(db);
            }
            demand.add_command(&mut place, db, queued.command, &args);
        }
    } else {
        demand.add_command(&mut place, session.db, command, args);
    }
    demand.of.into_iter().try_for_each(|(one, bytes)| reserve(&mut place, journal, one, bytes))
}

/// The same for a command that a script calls, whose shards are held.
#[cold]
pub(crate) fn admit_inner(
    server: &'static Server,
    journal: &mut Journal,
    locks: &mut Locks<'static>,
    db: usize,
    command: &Command,
    args: &[&[u8]],
) -> Result<(), CommandError> {
    let table = journal.quota.table(server);
    let mut demand = Demand { table: &table, of: Vec::new() };
    let mut place = Place { server, locks, inside: true };
    demand.add_command(&mut place, db, command, args);
    demand.of.into_iter().try_for_each(|(one, bytes)| reserve(&mut place, journal, one, bytes))
}

/// From where victims are reached.
struct Place<'p> {
    server: &'static Server,
    locks: &'p mut Locks<'static>,
    /// In a script or transaction, which keeps its locks and may take more.
    inside: bool,
}

impl Place<'_> {
    /// Does something in a shard, if that can be had.
    fn visit<R>(&mut self, number: usize, work: impl FnOnce(&mut Shard) -> R) -> Option<R> {
        if !self.inside {
            return self.server.keyspace.lock_unless_busy(number).map(|mut shard| work(&mut shard));
        }
        self.locks.grow(number);
        self.locks.holds(number).then(|| work(self.locks.shard(number)))
    }

    /// Bytes of a key's entry and value.
    fn size_of_entry(&mut self, db: usize, key: &[u8]) -> usize {
        if !self.inside {
            self.locks.release();
        }
        let keyspace = &self.server.keyspace;
        let key = keyspace.key(key);
        let size = |shard: &mut Shard| {
            let footprint = shard.dbs().get(db)?.get(&key)?.footprint();
            Some(footprint.data + footprint.index + footprint.outside)
        };
        self.visit(keyspace.shard_of(key.hash()), size).flatten().unwrap_or(0)
    }
}

/// Bytes, reservations included, above a partition's limit.
fn excess(partition: &Partition) -> isize {
    let reserved = partition.state.reserved.load(Ordering::Relaxed);
    let limit = partition.line.maxmemory.min(isize::MAX as u64);
    (partition.totals.bytes() + reserved) as isize - limit as isize
}

fn reserve(
    place: &mut Place<'_>,
    journal: &mut Journal,
    partition: &Arc<Partition>,
    bytes: usize,
) -> Result<(), CommandError> {
    let refused = || {
        partition.state.refused.fetch_add(1, Ordering::Relaxed);
        Err(CommandError::new(format!(
            "OOM command not allowed when used memory > 'maxmemory' of partition '{}'.",
            partition.line.name
        )))
    };
    if bytes > partition.line.maxmemory as usize {
        // No key need go for what never fits.
        return refused();
    }
    if bytes > 0 {
        partition.state.reserved.fetch_add(bytes, Ordering::Relaxed);
        journal.quota.reserved.push((Arc::clone(&partition.state), bytes));
    }
    if excess(partition) <= 0 {
        return Ok(());
    }
    if let Some(rule) = partition.rule(place.server) {
        if !place.inside {
            place.locks.release();
        }
        if make_room(place, partition, &rule, bytes, &mut journal.effects) {
            return Ok(());
        }
    }
    // A script that only declares its keys has asked for nothing yet.
    if bytes == 0 { Ok(()) } else { refused() }
}

/// Evicts keys of a partition until there is room; answers whether there is.
fn make_room(
    place: &mut Place<'_>,
    partition: &Partition,
    rule: &Rule,
    bytes: usize,
    effects: &mut Effects,
) -> bool {
    let shards = place.server.keyspace.shards();
    let margin = (partition.line.maxmemory as usize / MARGIN_PART).min(MARGIN_MAX) as isize;
    let (start, before) = (Instant::now(), partition.totals.bytes());
    let (mut empty, mut passed) = (0, 0);
    loop {
        // One look decides. Others may reserve more right after it, and find the room taken; a second
        // look would refuse both.
        let over = excess(partition);
        if over <= -margin || empty == shards {
            return over <= 0;
        }
        let server = place.server;
        // Every shard loses as many keys in its turn, however few one command needs.
        let gone = partition.totals.evicted() as usize;
        let (number, most) = ((gone / IN_A_ROW + passed) % shards, IN_A_ROW - gone % IN_A_ROW);
        let goal = (-margin, most);
        let evicted =
            place.visit(number, |shard| evict_some(server, shard, partition, rule, goal, effects));
        if evicted.is_some_and(|keys| keys > 0) {
            empty = 0;
        } else {
            (empty, passed) = (empty + 1, passed + 1);
        }
        // However far a lowered limit is: more goes than comes. No more than that goes while keys
        // are about to leave the partition: they shall not be deleted for its limit.
        let freed = before.saturating_sub(partition.totals.bytes());
        let is_enough = || start.elapsed() > EVICT_TIME || place.server.partitions.is_settling();
        if freed >= 2 * bytes && is_enough() {
            return true;
        }
    }
}

/// Evicts some keys of a partition from one shard, until the excess is at a goal or so many are
/// gone; answers how many.
pub(super) fn evict_some(
    server: &Server,
    shard: &mut Shard,
    partition: &Partition,
    rule: &Rule,
    (goal, most): (isize, usize),
    effects: &mut Effects,
) -> usize {
    let mut keys = 0;
    let _freeing = lazyfree::Choice::new(partition.line.lazy_eviction);
    while keys < most && excess(partition) > goal {
        let evicted = shard.evict_from_partition(partition.id, rule, |db, key| {
            effects.note(server, db, key, Event::evicted(), true);
        });
        if evicted.is_none() {
            break;
        }
        keys += 1;
    }
    if !effects.is_empty() {
        effects.publish(server, 0);
    }
    server.counters.evicted_keys.fetch_add(keys as u64, Ordering::Relaxed);
    keys
}

/// Whether a partition is over its limit, reservations left aside.
pub(super) fn is_over(partition: &Partition) -> bool {
    let limit = partition.line.maxmemory as usize;
    limit != 0 && partition.totals.bytes() > limit
}
