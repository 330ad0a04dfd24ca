//! Background work, in slices: expiry, freeing what was detached, huge pages, and measuring.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebb_config::id;
use ebb_engine::notify::Effects;
use ebb_engine::partitions::upkeep;
use ebb_engine::{Event, Server, eviction, unix_ms};
use ebb_keyspace::{Expired, Shard, lazyfree};
use parking_lot::MutexGuard;
use rand::Rng;

/// A shard's lock is held at most about this long.
const SLICE: Duration = Duration::from_micros(300);
/// Eviction lets other duties have their turn after this long.
const EVICT_TIME: Duration = Duration::from_millis(10);
/// Deadline records between two looks at the clock.
const RECORDS: usize = 32;
/// Keys that clients track, forgotten between two measurements because there are too many.
const FORGET_MAX: usize = 10_000;
/// Measurements are taken this often.
const MEASURE: Duration = Duration::from_millis(100);
/// Expiry that is later than this may use twice its share of a processor.
const LATE_MS: i64 = 200;

/// Brings empty segments on their way back to the operating system for a slice; answers whether to
/// go on soon. Each step lets go of the lock that it holds.
fn release_segments() -> bool {
    let start = Instant::now();
    let mut more = true;
    while more && start.elapsed() < SLICE * 2 {
        more = ebb_heap::release_step();
    }
    more
}

/// The maintenance thread.
pub(crate) struct Maintenance {
    server: &'static Server,
    last_measure: Instant,
    last_totals: [u64; 5],
    /// The share of keys with a deadline that are due.
    stale: f64,
    /// What expiry tells of.
    effects: Effects,
}

impl Maintenance {
    pub(crate) fn new(server: &'static Server) -> Maintenance {
        Maintenance {
            server,
            last_measure: Instant::now(),
            last_totals: [0; 5],
            stale: 0.0,
            effects: Effects::default(),
        }
    }

    /// Runs until the server stops.
    pub(crate) fn run(mut self) {
        while !self.server.is_stopping() {
            let busy = self.free_trash()
                | self.evict()
                | self.tend_partitions()
                | release_segments()
                | ebb_heap::collapse_step();
            let is_paused = self.server.cron_paused.load(Ordering::Relaxed);
            let volatile = !is_paused && self.expire();
            if !is_paused && self.last_measure.elapsed() >= MEASURE {
                self.measure();
            }
            let pause = match (busy, volatile) {
                (true, _) => Duration::from_micros(100),
                (false, true) => Duration::from_millis(8),
                (false, false) => Duration::from_millis(50),
            };
            std::thread::sleep(pause);
        }
    }

    /// Frees detached contents for a slice; answers whether more is left.
    fn free_trash(&self) -> bool {
        let start = Instant::now();
        if self.server.keyspace.trash_len() == 0 {
            return false;
        }
        // No shard is locked meanwhile. The slice is short all the same: a worker that wakes on
        // this processor would wait for its end.
        let mut more = true;
        while more && start.elapsed() < SLICE * 2 {
            more = self.server.keyspace.free_trash_step();
        }
        if !more {
            (self.server.host.purge_allocator)();
        }
        more
    }

    /// Evicts for a while if memory is over its limit; answers whether to go on soon.
    fn evict(&mut self) -> bool {
        if self.server.paused(unix_ms()) != ebb_engine::PauseMode::Off {
            return false;
        }
        eviction::relieve(self.server, EVICT_TIME, SLICE, &mut self.effects)
    }

    /// Moves keys to their partitions, and evicts from those over their limits; answers whether
    /// to go on soon.
    fn tend_partitions(&mut self) -> bool {
        if self.server.paused(unix_ms()) != ebb_engine::PauseMode::Off {
            return false;
        }
        // No key is evicted from a partition that it is about to leave.
        upkeep::settle(self.server, SLICE)
            || upkeep::relieve(self.server, EVICT_TIME, SLICE, &mut self.effects)
    }

    /// Deletes keys that are due. Answers whether any key has a deadline.
    fn expire(&mut self) -> bool {
        let mut volatile = false;
        for number in 0..self.server.keyspace.shards() {
            volatile |= self.expire_shard(number);
        }
        volatile
    }

    fn expire_shard(&mut self, number: usize) -> bool {
        let counters = &self.server.counters;
        let mut shard = self.server.keyspace.lock(number);
        let volatile = shard.dbs().iter().any(|db| db.counts().is_volatile());
        let allowed = || {
            let paused = self.server.paused(unix_ms()) != ebb_engine::PauseMode::Off;
            self.server.active_expire.load(Ordering::Relaxed) && !paused
        };
        if !volatile || !allowed() {
            return volatile;
        }
        loop {
            let start = Instant::now();
            let (more, lag_ms) = self.expire_slice(&mut shard, start);
            let spent = start.elapsed();
            counters.expire_nanos.fetch_add(spent.as_nanos() as u64, Ordering::Relaxed);
            counters.expire_lag_ms.store(lag_ms, Ordering::Relaxed);
            // Workers that wait for the lock get it now.
            MutexGuard::unlock_fair(shard);
            self.effects.finish(self.server, None);
            if !more || self.server.is_stopping() {
                return true;
            }
            counters.expire_cap_reached.fetch_add(1, Ordering::Relaxed);
            let rest = 100 - self.share_percent(lag_ms);
            std::thread::sleep(spent * rest / (100 - rest));
            if !allowed() {
                return true;
            }
            shard = self.server.keyspace.lock(number);
        }
    }

    /// The share of a processor that expiry may use, in percent.
    fn share_percent(&self, lag_ms: i64) -> u32 {
        let effort: u32 = self.server.config.get(id::ACTIVE_EXPIRE_EFFORT);
        let share = 25 + (effort.clamp(1, 10) - 1) * 4;
        if lag_ms > LATE_MS { (share * 2).min(90) } else { share }
    }

    /// Expires for one slice; whether more is due, and how late it was.
    fn expire_slice(&mut self, shard: &mut Shard, start: Instant) -> (bool, i64) {
        let now_ms = unix_ms();
        let _freeing = lazyfree::Choice::new(self.server.config.get(id::LAZYFREE_LAZY_EXPIRE));
        let mut lag_ms = 0;
        let mut more = false;
        for db in 0..self.server.keyspace.databases() {
            loop {
                let (server, effects) = (self.server, &mut self.effects);
                let mut fields = 0;
                let step = shard.expire_step(db, now_ms, RECORDS, |key, what| {
                    let event = match what {
                        Expired::Key => Event::expired(),
                        Expired::Fields(expired) => {
                            fields += expired as u64;
                            Event::hash("hexpired")
                        }
                        Expired::Emptied => Event::generic("del"),
                    };
                    effects.note(server, db, key, event, true);
                });
                if !effects.is_empty() {
                    effects.publish(server, 0);
                }
                self.server.counters.expired_fields.fetch_add(fields, Ordering::Relaxed);
                let expired = step.expired as u64;
                if expired > 0 {
                    self.server.counters.expired_keys.fetch_add(expired, Ordering::Relaxed);
                    self.server.dirty.fetch_add(expired, Ordering::Relaxed);
                }
                lag_ms = lag_ms.max(step.lag_ms);
                if !step.more {
                    break;
                }
                if start.elapsed() >= SLICE {
                    more = true;
                    break;
                }
            }
            if more {
                break;
            }
        }
        (more, lag_ms)
    }

    /// Refreshes the clocks and figures that others read.
    fn measure(&mut self) {
        let elapsed = self.last_measure.elapsed();
        self.last_measure = Instant::now();
        let server = self.server;
        server.update_lru_clock();
        server.end_pause_if_over(unix_ms());
        (server.host.refresh_allocator)(&server.allocator);
        server.used_memory();
        server.measure_for_eviction();
        server.evict_clients();
        upkeep::tick(server);
        let counters = &server.counters;
        let totals = [
            &counters.commands,
            &counters.net_in,
            &counters.net_out,
            &counters.rounds,
            &counters.round_nanos,
        ];
        let totals = totals.map(|counter| counter.load(Ordering::Relaxed));
        let rates = &server.rates;
        let rates =
            [&rates.commands, &rates.net_in, &rates.net_out, &rates.rounds, &rates.round_nanos];
        for ((rate, total), last) in rates.iter().zip(totals).zip(self.last_totals) {
            let now = (total.saturating_sub(last) as f64 / elapsed.as_secs_f64()) as u64;
            let before = rate.load(Ordering::Relaxed);
            // An average over about 16 measurements.
            rate.store((before * 15 + now) / 16, Ordering::Relaxed);
        }
        self.last_totals = totals;
        self.estimate_stale();
        let post = &mut self.effects.post;
        server.tracking.shrink(server, FORGET_MAX, &mut rand::rng(), post);
        self.effects.finish(server, None);
    }

    /// Keeps `expired_stale_perc` as Redis does: of keys with a deadline, picked at random, the
    /// share that is due but still there, averaged with a weight of 5% for what is new.
    fn estimate_stale(&mut self) {
        const PICKS: usize = 20;
        let keyspace = &self.server.keyspace;
        let now_ms = unix_ms();
        let random = &mut rand::rng();
        let number = random.random_range(0..keyspace.shards());
        let (mut volatile, mut due) = (0, 0);
        for db in keyspace.lock(number).dbs().iter().filter(|db| db.counts().volatile > 0) {
            let picked = (0..PICKS).filter_map(|_| db.sample(random)?.deadline());
            picked.for_each(|deadline| {
                volatile += 1;
                due += usize::from(deadline < now_ms);
            });
        }
        let now = if volatile > 0 { due as f64 / volatile as f64 } else { 0.0 };
        self.stale = self.stale * 0.95 + now * 0.05;
        let hundredths = (self.stale * 10_000.0).round() as u64;
        self.server.counters.expired_stale.store(hundredths, Ordering::Relaxed);
    }
}
