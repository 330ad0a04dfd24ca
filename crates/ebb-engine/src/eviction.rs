//! When keys are evicted: what counts, how much is too much, and who makes room.
//!
//! **What counts.** The blocks of the heap (keys, values, tables) and what the data has outside of
//! it (directories, deadlines, the inner tables of large collections), and the memory that the
//! process had when it was complete at its start. Buffers of clients, messages under way, what
//! CLIENT TRACKING remembers and what scripts hold never count: no amount of them evicts a key.
//! INFO shows the difference to `used_memory` as `mem_not_counted_for_evict`. With
//! `maxmemory-basis resident` the allocator's physical memory takes the place of what was handed
//! out.
//!
//! **Who makes room.** A command that may need memory evicts before its locks are taken
//! ([`make_room`]), a little more than it needs, so that the next ones find room; the rest of a
//! limit that was lowered by much is the business of the maintenance thread ([`relieve`]). What
//! waits to be freed is freed before anything is evicted, and counts as freed.
//!
//! **What it costs.** A worker takes a [`Lease`]: so many commands and bytes may pass before
//! memory is summed up again. Far from the limit it is long, near it short; close to it what a command
//! has changed is measured right behind the command, in the shards that it changed.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ebb_config::{Config, MaxmemoryBasis, MaxmemoryPolicy, id};
use ebb_keyspace::defrag::Fragmentation;
use ebb_keyspace::eviction::{AccessClock, Order, Rule};
use ebb_keyspace::{Shard, lazyfree};
use parking_lot::MutexGuard;

use crate::journal::Event;
use crate::locks::Locks;
use crate::notify::Effects;
use crate::server::{PauseMode, Server, unix_ms, unix_us};
use crate::table::Command;

/// Holes that are left when defragmentation ends, of the live bytes.
const LASTING_HOLES_PERCENT: usize = 3;
/// The allocator may keep free pages of so many bytes.
const FREE_MAX: usize = 1 << 20;
/// Keys evicted from one shard before the next one's turn: few, for the shard is held meanwhile.
const IN_A_ROW: usize = 8;
/// Bytes that a key costs beside what was sent.
const OVERHEAD_BYTES: usize = 64;
/// Room is made in portions: this part of the limit, and no more than that.
const MARGIN_PART: usize = 2048;
const MARGIN_MAX: usize = 1 << 20;
/// Commands that may pass on one lease, however much room there is.
const LEASE_COMMANDS: u32 = 64;
/// With less room than this, what each command changes is measured at once.
const NEAR: isize = 4 << 20;
/// A batch may spend so long on freeing what waits before it evicts.
const FREE_TIME: Duration = Duration::from_micros(200);

/// The state of eviction.
#[derive(Debug, Default)]
pub struct Eviction {
    /// Changes with the directives: leases from before are void.
    version: AtomicU32,
    /// Bytes of the data outside of the heap, and of what was there at the start.
    outside: AtomicUsize,
    /// The part of each shard in it. Written under the shard's lock.
    shards: Box<[AtomicUsize]>,
    /// What else is in it.
    base: AtomicUsize,
    /// The allocator is to give its free pages back.
    purge: AtomicBool,
    /// There was nothing left to evict.
    exhausted: AtomicBool,
    next_shard: AtomicUsize,
    /// When the limit was exceeded, in microseconds since 1970; 0 while it is not.
    exceeded_since_us: AtomicI64,
}

/// How a policy looks for victims; `None` if it does not.
pub fn rule_of(config: &Config, now_ms: i64) -> Option<Rule> {
    rule_of_policy(config.get(id::MAXMEMORY_POLICY), config, now_ms)
}

/// The same for any policy.
pub fn rule_of_policy(policy: MaxmemoryPolicy, config: &Config, now_ms: i64) -> Option<Rule> {
    use MaxmemoryPolicy as Policy;
    let (volatile, order) = match policy {
        Policy::Noeviction => return None,
        Policy::VolatileLru => (true, Order::Lru),
        Policy::VolatileLfu => (true, Order::Lfu),
        Policy::VolatileRandom => (true, Order::Random),
        Policy::VolatileTtl => (true, Order::Ttl),
        Policy::AllkeysLru => (false, Order::Lru),
        Policy::AllkeysLfu => (false, Order::Lfu),
        Policy::AllkeysRandom => (false, Order::Random),
        Policy::AllkeysS3fifo => (false, Order::S3Fifo),
        Policy::VolatileS3fifo => (true, Order::S3Fifo),
    };
    let samples = config.get(id::MAXMEMORY_SAMPLES) as usize;
    Some(Rule { volatile, order, samples, clock: clock_of_policy(policy, config, now_ms) })
}

/// How uses of keys are noted under the policy.
pub fn access_clock(config: &Config, now_ms: i64) -> AccessClock {
    clock_of_policy(config.get(id::MAXMEMORY_POLICY), config, now_ms)
}

fn clock_of_policy(policy: MaxmemoryPolicy, config: &Config, now_ms: i64) -> AccessClock {
    use MaxmemoryPolicy as Policy;
    match policy {
        Policy::VolatileLfu | Policy::AllkeysLfu => {
            let (factor, decay) = (config.get(id::LFU_LOG_FACTOR), config.get(id::LFU_DECAY_TIME));
            AccessClock::lfu(now_ms, factor, decay)
        }
        Policy::VolatileS3fifo | Policy::AllkeysS3fifo => AccessClock::S3Fifo,
        _ => AccessClock::lru(now_ms),
    }
}

/// The limit in bytes, or 0. What is beyond the signed numbers, in which excess is counted, is
/// beyond any memory, too.
fn limit_of(config: &Config) -> usize {
    config.get(id::MAXMEMORY).min(isize::MAX as u64) as usize
}

impl Server {
    /// Bytes that count against `maxmemory`, those included that wait to be freed.
    pub fn counted_memory(&self) -> usize {
        let (data, index) = self.keyspace.live_bytes();
        let values: usize = self.workers.iter().map(|worker| worker.arena.live_bytes()).sum();
        data + index + values + self.eviction.outside.load(Ordering::Relaxed)
    }

    /// Bytes by which a limit is exceeded when all that waits is freed.
    fn excess(&self, limit: usize) -> isize {
        let kept = self.counted_memory().saturating_sub(self.keyspace.trash_bytes());
        kept as isize - limit as isize
    }

    /// Whether commands that need memory are refused: over the limit, and nothing to evict.
    pub fn is_over_limit(&self) -> bool {
        let limit = limit_of(&self.config);
        let evicts = || self.config.get(id::MAXMEMORY_POLICY) != MaxmemoryPolicy::Noeviction;
        limit != 0
            && self.excess(limit) > 0
            && (self.eviction.exhausted.load(Ordering::Relaxed) || !evicts())
    }

    /// Whether what is taken for requests that nobody has admitted yet could exceed the limit.
    pub fn is_near_limit(&self) -> bool {
        let limit = limit_of(&self.config);
        limit != 0 && self.excess(limit) > -NEAR
    }

    /// Measures what is not summed up exactly all the time. Locks one shard after the other.
    pub fn measure_for_eviction(&self) {
        if self.config.get(id::MAXMEMORY) == 0 {
            return;
        }
        for number in 0..self.keyspace.shards() {
            self.eviction.measure(number, &self.keyspace.lock(number));
        }
        self.measure_base();
        if self.eviction.purge.swap(false, Ordering::Relaxed) {
            (self.host.purge_allocator)();
        }
    }

    /// The same for the shards that a command near the limit has changed, before it lets go of them:
    /// what one key has outside of the heap is little, but there are many shards.
    #[inline]
    pub(crate) fn measure_changed(&self, lease: &mut Lease, locks: &mut Locks<'_>) {
        if std::mem::take(&mut lease.is_owed) {
            locks.each_held(|number, shard| self.eviction.measure(number, shard));
        }
    }

    /// The same for what is not in any shard.
    pub(crate) fn measure_base(&self) {
        let base = match self.config.get(id::MAXMEMORY_BASIS) {
            MaxmemoryBasis::Used => self.startup_memory.load(Ordering::Relaxed),
            MaxmemoryBasis::Resident => self.resident_base(),
        };
        change(&self.eviction.outside, self.eviction.base.swap(base, Ordering::Relaxed), base);
    }

    /// What the process holds in physical memory besides the data. Free pages that the allocator
    /// gives back, and holes that moving repairs, do not count: no key goes for them. If the
    /// process holds more than it may because of them, they are to go.
    fn resident_base(&self) -> usize {
        let read = |figure: &AtomicUsize| figure.load(Ordering::Relaxed);
        let (resident, free) = (read(&self.allocator.resident), self.allocator.free());
        let buffers = self.workers.iter().map(|worker| read(&worker.buffer_bytes));
        let shards = self.eviction.shards.iter().map(read);
        let others = resident.saturating_sub(buffers.chain(shards).sum::<usize>() + free);
        let heap = Fragmentation::of(self.all_arenas());
        let lasting = heap.holes.min(heap.live * LASTING_HOLES_PERCENT / 100);
        let held = heap.live + heap.holes + others + free;
        let limit = self.config.get(id::MAXMEMORY);
        // INFO measures without a limit, too.
        let is_over = limit != 0 && held as u64 > limit;
        self.eviction.purge.store(is_over && free > FREE_MAX, Ordering::Relaxed);
        if is_over && heap.holes > lasting {
            self.defrag.wanted.store(true, Ordering::Relaxed);
        }
        others + lasting
    }

    /// Time above the limit, in milliseconds: of all times that are over, and of this one.
    pub fn exceeded_times_ms(&self) -> (u64, u64) {
        let total_us = self.counters.eviction_exceeded_us.load(Ordering::Relaxed);
        let since_us = self.eviction.exceeded_since_us.load(Ordering::Relaxed);
        let current_us = if since_us == 0 { 0 } else { (unix_us() - since_us).max(0) as u64 };
        ((total_us + current_us) / 1000, current_us / 1000)
    }
}

/// A part of a total is another number now.
fn change(total: &AtomicUsize, old: usize, new: usize) {
    total.fetch_add(new.wrapping_sub(old), Ordering::Relaxed);
}

impl Eviction {
    /// Of a keyspace with so many shards.
    pub(crate) fn new(shards: usize) -> Eviction {
        let shards = (0..shards).map(|_| AtomicUsize::new(0)).collect();
        Eviction { shards, ..Eviction::default() }
    }

    pub(crate) fn measure(&self, number: usize, shard: &Shard) {
        let (known, new) = (&self.shards[number], shard.outside_bytes());
        let old = known.load(Ordering::Relaxed);
        if old != new {
            known.store(new, Ordering::Relaxed);
            change(&self.outside, old, new);
        }
    }

    /// The directives have changed.
    pub(crate) fn refresh(&self) {
        self.exhausted.store(false, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    fn set_exceeded(&self, server: &Server, exceeded: bool) {
        let since_us = self.exceeded_since_us.load(Ordering::Relaxed);
        if exceeded && since_us == 0 {
            self.exceeded_since_us.store(unix_us(), Ordering::Relaxed);
        } else if !exceeded && since_us != 0 {
            self.exceeded_since_us.store(0, Ordering::Relaxed);
            let spent_us = (unix_us() - since_us).max(0) as u64;
            server.counters.eviction_exceeded_us.fetch_add(spent_us, Ordering::Relaxed);
        }
    }
}

/// How long one batch of commands may evict. (Redis allows as much to each command.)
fn time_limit(tenacity: u32) -> Duration {
    match tenacity {
        0..=10 => Duration::from_micros(50 * u64::from(tenacity)),
        11..=99 => Duration::from_secs_f64(500e-6 * 1.15_f64.powi(tenacity as i32 - 10)),
        _ => Duration::from_secs(3600),
    }
}

/// What a worker may do before memory is summed up again.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    version: u32,
    commands: u32,
    bytes: usize,
    /// There is so little room that what a command changes is measured at once.
    is_near: bool,
    /// The command that runs is to be measured.
    is_owed: bool,
    /// Time that the batch has spent on eviction.
    spent: Duration,
    turn: Turn,
}

/// A shard's turn to lose keys. What one command does not need of it is left for the next: if
/// every command began with another shard, those that begin would lose more keys than those
/// that help out, and with them keys that are worth more.
#[derive(Debug, Default)]
struct Turn {
    shard: usize,
    keys: usize,
}

impl Lease {
    /// A batch begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.spent = Duration::ZERO;
    }

    /// Whether a command may run without a look at the memory.
    #[inline]
    pub(crate) fn covers(&mut self, server: &Server, command: &Command, bytes: usize) -> bool {
        if self.version != server.eviction.version.load(Ordering::Relaxed) {
            return false;
        }
        if self.commands == u32::MAX {
            return true;
        }
        self.is_owed = self.is_near;
        let bytes = bytes + OVERHEAD_BYTES;
        if self.commands == 0 || self.bytes < bytes || !command.grows_by_its_size {
            return false;
        }
        self.commands -= 1;
        self.bytes -= bytes;
        true
    }

    fn grant(&mut self, server: &Server, version: u32, room: isize) {
        self.version = version;
        self.commands = if room > 0 { LEASE_COMMANDS } else { 0 };
        self.bytes = room.max(0) as usize / (2 * server.workers.len());
        // The only shard is measured whenever a key goes.
        self.is_near = room < NEAR && server.keyspace.shards() > 1;
        self.is_owed = self.is_near;
    }

    fn grant_all(&mut self, version: u32) {
        (self.version, self.commands) = (version, u32::MAX);
        (self.is_near, self.is_owed) = (false, false);
    }
}

/// Makes room for a command that needs memory, while no shard is held. Answers whether it may
/// run: `false` if memory is over the limit and nothing can be evicted.
pub(crate) fn make_room(
    server: &'static Server,
    lease: &mut Lease,
    bytes: usize,
    effects: &mut Effects,
) -> bool {
    let version = server.eviction.version.load(Ordering::Relaxed);
    let limit = limit_of(&server.config);
    if limit == 0 {
        lease.grant_all(version);
        return true;
    }
    let margin = (limit / MARGIN_PART).min(MARGIN_MAX) as isize;
    let mut excess = server.counted_memory() as isize - limit as isize;
    let rule = rule_of(&server.config, unix_ms());
    let enough = if rule.is_some() { -margin / 4 } else { 0 };
    if excess <= enough {
        lease.grant(server, version, -excess);
        server.eviction.set_exceeded(server, false);
        return true;
    }
    let start = Instant::now();
    while excess > 0 && start.elapsed() < FREE_TIME && server.keyspace.free_trash_step() {
        excess = server.counted_memory() as isize - limit as isize;
    }
    excess = server.excess(limit);
    if let Some(rule) = rule
        && excess > enough
    {
        let allowed = time_limit(server.config.get(id::MAXMEMORY_EVICTION_TENACITY));
        let mut work = Work {
            server,
            rule,
            effects,
            turn: &mut lease.turn,
            until: start + allowed.saturating_sub(lease.spent),
            // However late it is, more goes than comes.
            at_least: 2 * (bytes + OVERHEAD_BYTES),
        };
        work.evict(limit, -margin);
        excess = server.excess(limit);
    }
    lease.spent += start.elapsed();
    note_latency(server, "eviction-cycle", start.elapsed());
    lease.grant(server, version, -excess);
    server.eviction.set_exceeded(server, excess > 0);
    excess <= 0 || (rule.is_some() && !server.eviction.exhausted.load(Ordering::Relaxed))
}

/// After a batch that may have changed the limit: the first keys go before its replies, so that who
/// has set a limit sees it hold, or the memory shrink towards it. No shard is held.
#[inline]
pub(crate) fn hold_new_limit(server: &'static Server, lease: &mut Lease, effects: &mut Effects) {
    if lease.version != server.eviction.version.load(Ordering::Relaxed)
        && server.paused(unix_ms()) == PauseMode::Off
    {
        make_room(server, lease, 0, effects);
    }
}

/// One go at evicting.
struct Work<'w> {
    server: &'static Server,
    rule: Rule,
    effects: &'w mut Effects,
    turn: &'w mut Turn,
    until: Instant,
    at_least: usize,
}

impl Work<'_> {
    /// Evicts until memory is at `goal` bytes from the limit, or time is up.
    fn evict(&mut self, limit: usize, goal: isize) {
        let server = self.server;
        let mut freed_in_all = 0;
        loop {
            let mut excess = server.excess(limit);
            if excess <= goal {
                return;
            }
            while excess > goal {
                let Some(freed) = self.evict_some((excess - goal) as usize) else {
                    // Not if only the margin is missing.
                    server.eviction.exhausted.store(excess > 0, Ordering::Relaxed);
                    return;
                };
                excess -= freed as isize;
                freed_in_all += freed;
                if Instant::now() >= self.until && freed_in_all >= self.at_least {
                    return;
                }
            }
        }
    }

    /// Evicts some keys of one shard, and answers their bytes; `None` if no shard has a victim.
    fn evict_some(&mut self, wanted: usize) -> Option<usize> {
        let Work { server, rule, effects, turn, .. } = self;
        let keyspace = &server.keyspace;
        for _ in 0..=keyspace.shards() {
            if turn.keys == 0 {
                let next = server.eviction.next_shard.fetch_add(1, Ordering::Relaxed);
                **turn = Turn { shard: next % keyspace.shards(), keys: IN_A_ROW };
            }
            // Waiting is safe: nothing else is held. While a script holds shards for long, its
            // keys are not there to be evicted.
            if let Some(mut shard) = keyspace.lock_unless_busy(turn.shard) {
                let place = (turn.shard, &mut *shard);
                let freed = evict_from(server, place, rule, (wanted, turn.keys), effects);
                if let Some((bytes, keys)) = freed {
                    turn.keys -= keys;
                    return Some(bytes);
                }
            }
            turn.keys = 0;
        }
        None
    }
}

/// Evicts some keys of a shard until so many bytes are free, or so many keys gone. Answers the
/// bytes and the keys; `None` if there is no victim.
fn evict_from(
    server: &'static Server,
    (number, shard): (usize, &mut Shard),
    rule: &Rule,
    (wanted, most): (usize, usize),
    effects: &mut Effects,
) -> Option<(usize, usize)> {
    let (mut freed, mut keys) = (0, 0);
    let start = Instant::now();
    shard.set_clock(rule.clock);
    let freeing = lazyfree::Choice::new(server.config.get(id::LAZYFREE_LAZY_EVICTION));
    let has_partitions = !server.partitions.is_empty();
    while keys < most && freed < wanted {
        let evicted = shard.evict(rule, |db, key| {
            if has_partitions {
                freeing.set(server.partitions.evicts_lazily(server, db, key));
            }
            effects.note(server, db, key, Event::evicted(), true);
        });
        let Some(evicted) = evicted else { break };
        keys += 1;
        freed += evicted.bytes;
    }
    server.eviction.measure(number, shard);
    if !effects.is_empty() {
        effects.publish(server, 0);
    }
    if keys == 0 {
        return None;
    }
    server.eviction.exhausted.store(false, Ordering::Relaxed);
    server.counters.evicted_keys.fetch_add(keys as u64, Ordering::Relaxed);
    note_latency(server, "eviction-del", start.elapsed());
    Some((freed, keys))
}

fn note_latency(server: &Server, event: &str, spent: Duration) {
    let threshold_ms: u64 = server.config.get(id::LATENCY_MONITOR_THRESHOLD);
    let spent_ms = spent.as_millis() as u64;
    if threshold_ms != 0 && spent_ms >= threshold_ms {
        server.latency.add(event, unix_ms() / 1000, spent_ms);
    }
}

/// For the maintenance thread: evicts for about `time`, in slices during which one shard is
/// held, if memory is over the limit. Answers whether it still is, and more can be done.
pub fn relieve(
    server: &'static Server,
    time: Duration,
    slice: Duration,
    effects: &mut Effects,
) -> bool {
    let limit = limit_of(&server.config);
    if limit == 0 || server.excess(limit) <= 0 {
        server.eviction.set_exceeded(server, false);
        return false;
    }
    let Some(rule) = rule_of(&server.config, unix_ms()) else { return false };
    // Before keys go: what the allocator keeps for later. (Compaction of the heap belongs here too.)
    (server.host.purge_allocator)();
    let start = Instant::now();
    let mut empty = 0;
    while start.elapsed() < time && empty < server.keyspace.shards() {
        let mut excess = server.excess(limit);
        if excess <= 0 {
            break;
        }
        let next = server.eviction.next_shard.fetch_add(1, Ordering::Relaxed);
        let number = next % server.keyspace.shards();
        let Some(mut shard) = server.keyspace.lock_unless_busy(number) else { return true };
        let began = Instant::now();
        let mut any = false;
        while excess > 0 && began.elapsed() < slice {
            let wanted = (excess as usize, IN_A_ROW);
            let freed = evict_from(server, (number, &mut shard), &rule, wanted, effects);
            let Some((freed, _)) = freed else { break };
            any = true;
            excess -= freed as isize;
        }
        empty = if any { 0 } else { empty + 1 };
        // Workers that wait for the lock get it now, and as much time as this took.
        MutexGuard::unlock_fair(shard);
        effects.finish(server, None);
        std::thread::sleep(began.elapsed());
    }
    let excess = server.excess(limit);
    server.eviction.exhausted.store(excess > 0 && empty > 0, Ordering::Relaxed);
    server.eviction.set_exceeded(server, excess > 0);
    note_latency(server, "eviction-cycle", start.elapsed());
    excess > 0 && empty == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenacity_is_time() {
        assert_eq!(time_limit(0), Duration::ZERO);
        assert_eq!(time_limit(10), Duration::from_micros(500));
        assert!(time_limit(99) > Duration::from_secs(100) / 1000);
        assert!(time_limit(100) > Duration::from_secs(60));
    }
}
