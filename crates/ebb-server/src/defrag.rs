//! Active defragmentation: decides when to move blocks, and how fast.
//!
//! A *cycle* begins when the heap's holes exceed `active-defrag-threshold-lower` percent of
//! its live bytes and `active-defrag-ignore-bytes`. It consists of passes (see
//! [`ebb_keyspace::defrag`]) and ends when hardly any holes are left, or when a pass gains too
//! little: then what is left cannot be repaired by moving, and the next attempt waits, longer
//! each time, until the holes have grown. The share of a processor lies between
//! `active-defrag-cycle-min` and `-max` according to the fragmentation, and only rises during
//! a cycle. With `maxmemory-basis resident` a cycle also begins when the process holds more than
//! `maxmemory`, before keys are evicted for what moving repairs.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebb_config::id;
use ebb_engine::Server;
use ebb_engine::beside;
use ebb_engine::defrag::{Defrag, State};
use ebb_keyspace::OutOfMemory;
use ebb_keyspace::defrag::{Fragmentation, Moved, Outcome, Pass, Step};
use parking_lot::MutexGuard;

use crate::io;

/// A shard's lock is held for this long at least.
const SLICE_MIN: Duration = Duration::from_micros(10);
/// Between two looks at the fragmentation while there is nothing to do.
const LOOK: Duration = Duration::from_millis(100);
/// Without an interruption a sleep is no longer than this.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// A pass moves this share of what is in use, so that no more is needed beside it.
const BUDGET_SHARE: usize = 10;
const BUDGET_MIN: usize = 16 << 20;
/// The first wait after an attempt that gained too little, and the longest.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(120);
/// A cycle waits for so long until what waits to be freed is freed.
const FREEING_MAX: Duration = Duration::from_secs(10);

/// What keeps the next cycle from beginning.
struct Backoff {
    until: Instant,
    wait: Duration,
    /// The holes that could not be repaired.
    holes: usize,
}

/// The thread's state.
pub(crate) struct Defragmentation {
    server: &'static Server,
    backoff: Option<Backoff>,
    /// Since when each look has found something that waits to be freed.
    freeing: Option<Instant>,
    /// The process holds more than `maxmemory` of resident memory.
    wanted: bool,
}

/// Time in a cycle, and what of it was work: a processor's time for this thread, so that what it
/// waits for locks, or for a processor, does not count, and what it does between slices does.
struct Pace {
    /// When the cycle began.
    cycle: Instant,
    /// Since when the time is shared, and what the thread had worked by then.
    start: Instant,
    worked: Duration,
    share: u32,
    /// When the share was last adapted.
    adapted: Instant,
}

impl Pace {
    /// How long to rest, so that the work so far is the share that it may be.
    fn rest(&self) -> Duration {
        let spent = io::thread_time().saturating_sub(self.worked);
        let due = spent * 100 / self.share.max(1);
        due.saturating_sub(self.start.elapsed())
    }
}

impl Defragmentation {
    pub(crate) fn new(server: &'static Server) -> Defragmentation {
        let shards = server.keyspace.shards();
        server.defrag.detail.lock().shards.resize_with(shards, Default::default);
        Defragmentation { server, backoff: None, freeing: None, wanted: false }
    }

    /// Runs until the server stops.
    pub(crate) fn run(mut self) {
        while !self.server.is_stopping() {
            match self.reason_to_rest() {
                Some(reason) => {
                    let mut detail = self.defrag().detail.lock();
                    if detail.state == State::Idle {
                        detail.reason = reason;
                    }
                    detail.state = State::Idle;
                }
                None => self.cycle(),
            }
            std::thread::sleep(LOOK);
        }
    }

    fn defrag(&self) -> &'static Defrag {
        &self.server.defrag
    }

    fn is_enabled(&self) -> bool {
        self.server.config.get(id::ACTIVEDEFRAG) && !self.server.is_stopping()
    }

    fn fragmentation(&self) -> Fragmentation {
        Fragmentation::of(self.server.all_arenas())
    }

    /// Why no cycle should begin now.
    fn reason_to_rest(&mut self) -> Option<&'static str> {
        if !self.is_enabled() {
            return Some("activedefrag is off");
        }
        let is_freeing = self.is_freeing();
        let now = self.fragmentation();
        self.wanted = self.defrag().wanted.swap(false, Ordering::Relaxed);
        if self.wanted && self.backoff.is_none() {
            return None;
        }
        if now.holes as u64 <= self.server.config.get(id::ACTIVE_DEFRAG_IGNORE_BYTES) {
            self.backoff = None;
            return Some("fewer bytes than active-defrag-ignore-bytes");
        }
        if now.percent() < f64::from(self.server.config.get(id::ACTIVE_DEFRAG_THRESHOLD_LOWER)) {
            self.backoff = None;
            return Some("less than active-defrag-threshold-lower");
        }
        if is_freeing {
            return Some("values that were deleted are being freed");
        }
        let backoff = self.backoff.as_ref()?;
        let left = backoff.until.saturating_duration_since(Instant::now());
        let has_grown = now.holes > backoff.holes + backoff.holes / 4;
        self.defrag().detail.lock().retry_ms = left.as_millis() as u64;
        (!left.is_zero() && !has_grown).then_some("moving would not repair what is left")
    }

    /// Whether holes may go by themselves: as a large value is freed, they grow until its segments
    /// are empty.
    fn is_freeing(&mut self) -> bool {
        if self.server.keyspace.trash_len() == 0 {
            self.freeing = None;
            return false;
        }
        self.freeing.get_or_insert_with(Instant::now).elapsed() < FREEING_MAX
    }

    /// The share of a processor for a fragmentation, in percent.
    fn share(&self, now: &Fragmentation) -> u32 {
        let config = &self.server.config;
        let least = f64::from(config.get(id::ACTIVE_DEFRAG_CYCLE_MIN));
        let most = f64::from(config.get(id::ACTIVE_DEFRAG_CYCLE_MAX)).max(least);
        let lower = f64::from(config.get(id::ACTIVE_DEFRAG_THRESHOLD_LOWER));
        let upper = f64::from(config.get(id::ACTIVE_DEFRAG_THRESHOLD_UPPER)).max(lower + 1.0);
        if self.wanted {
            return most as u32;
        }
        let part = ((now.percent() - lower) / (upper - lower)).clamp(0.0, 1.0);
        (least + (most - least) * part) as u32
    }

    /// Raises the share to what the fragmentation asks for now.
    fn adapt(&self, pace: &mut Pace, now: &Fragmentation) {
        pace.adapted = Instant::now();
        let share = self.share(now);
        if share > pace.share {
            // What was done at the lower share is not to be made up for.
            (pace.start, pace.worked, pace.share) = (Instant::now(), io::thread_time(), share);
        }
        self.defrag().running.store(pace.share.into(), Ordering::Relaxed);
    }

    /// Passes until hardly any holes are left.
    fn cycle(&mut self) {
        let now = Instant::now();
        let mut pace =
            Pace { cycle: now, start: now, worked: io::thread_time(), share: 1, adapted: now };
        let reason = loop {
            let now = self.fragmentation();
            self.adapt(&mut pace, &now);
            let budget = ((now.live + now.holes) / BUDGET_SHARE).max(BUDGET_MIN);
            self.set_state(State::Scanning, "holes exceed the thresholds");
            let elements_max = self.server.config.get(id::ACTIVE_DEFRAG_MAX_SCAN_FIELDS) as usize;
            let hasher = self.server.keyspace.hasher();
            let arenas = self.server.all_arenas();
            let Some(pass) = Pass::begin(arenas, hasher, budget, elements_max) else {
                if now.holes as u64 > self.server.config.get(id::ACTIVE_DEFRAG_IGNORE_BYTES) {
                    self.wait_longer(now.holes);
                }
                break "no segment is sparse enough";
            };
            let (outcome, ended) = self.pass(pass, &mut pace);
            self.count(outcome);
            if let Some(reason) = ended {
                self.wait_longer(now.holes);
                break reason;
            }
            if outcome.released * 4 < outcome.chosen {
                self.wait_longer(self.fragmentation().holes);
                break "what is left is being read, or was filled again meanwhile";
            }
        };
        self.defrag().running.store(0, Ordering::Relaxed);
        self.defrag().current_ms.store(0, Ordering::Relaxed);
        let elapsed = pace.cycle.elapsed().as_millis() as u64;
        self.defrag().total_ms.fetch_add(elapsed, Ordering::Relaxed);
        self.set_state(State::Done, reason);
        (self.server.host.purge_allocator)();
    }

    fn wait_longer(&mut self, holes: usize) {
        let wait = self.backoff.as_ref().map_or(RETRY_MIN, |old| (old.wait * 2).min(RETRY_MAX));
        self.backoff = Some(Backoff { until: Instant::now() + wait, wait, holes });
    }

    fn set_state(&self, state: State, reason: &'static str) {
        let mut detail = self.defrag().detail.lock();
        detail.state = state;
        detail.reason = reason;
        detail.retry_ms = 0;
        let of_shards = if state == State::Scanning { state } else { State::Idle };
        detail.shards.iter_mut().for_each(|shard| shard.state = of_shards);
    }

    fn count(&self, outcome: Outcome) {
        let mut detail = self.defrag().detail.lock();
        detail.passes += 1;
        detail.released += outcome.released as u64;
        detail.last = outcome;
    }

    /// One pass over all shards; why it ended before its time, if it did.
    fn pass(&self, mut pass: Pass, pace: &mut Pace) -> (Outcome, Option<&'static str>) {
        let mut more = true;
        while more {
            let start = Instant::now();
            while more && start.elapsed() < self.slice_time() {
                more = pass.close_next();
            }
            if !self.rest(pace) {
                return (pass.end(), Some("activedefrag was switched off"));
            }
        }
        self.set_state(State::Moving, "holes exceed the thresholds");
        for number in 0..self.server.keyspace.shards() {
            self.defrag().detail.lock().shards[number].state = State::Moving;
            let before = pass.outcome().moved;
            loop {
                let result = self.slice(&mut pass, number);
                let go_on = self.rest(pace);
                match result {
                    Ok(_) if !go_on => return (pass.end(), Some("activedefrag was switched off")),
                    Ok(Step::More) => {}
                    Ok(Step::ShardDone) => break,
                    Err(OutOfMemory) => return (pass.end(), Some("no memory to move blocks to")),
                }
            }
            let moved = pass.outcome().moved;
            let shard = &mut self.defrag().detail.lock().shards[number];
            shard.state = State::Done;
            shard.moved_blocks += moved.blocks - before.blocks;
            shard.moved_bytes += moved.bytes - before.bytes;
        }
        let ended = self.beside(&mut pass, pace);
        (pass.end(), ended)
    }

    /// Moves what the keyspace does not own; why that ended before its time, if it did.
    fn beside(&self, pass: &mut Pass, pace: &mut Pace) -> Option<&'static str> {
        let (mut walk, mut more) = (beside::Walk::default(), true);
        while more {
            let (start, mut moved) = (Instant::now(), Moved::default());
            let mut result = Ok(true);
            while result == Ok(true) && start.elapsed() < self.slice_time() {
                result = self.server.relocate_beside(&mut walk, &mut moved);
            }
            pass.add_moved(moved);
            self.defrag().hits.fetch_add(moved.blocks, Ordering::Relaxed);
            more = match result {
                Ok(more) => more,
                Err(OutOfMemory) => return Some("no memory to move blocks to"),
            };
            if !self.rest(pace) {
                return Some("activedefrag was switched off");
            }
        }
        None
    }

    /// How long a shard's lock is held, about: half of `active-defrag-cycle-us`, since the last step
    /// may take a while. Never so short that nothing could be done.
    fn slice_time(&self) -> Duration {
        let cycle =
            Duration::from_micros(self.server.config.get(id::ACTIVE_DEFRAG_CYCLE_US).into());
        (cycle / 2).max(SLICE_MIN)
    }

    /// Steps in a shard for as long as its lock may be held.
    fn slice(&self, pass: &mut Pass, number: usize) -> Result<Step, OutOfMemory> {
        let before = pass.outcome().moved;
        let slice_time = self.slice_time();
        let mut shard = self.server.keyspace.lock(number);
        let start = Instant::now();
        let result = loop {
            let result = pass.step(&mut shard);
            if result != Ok(Step::More) || start.elapsed() >= slice_time {
                break result;
            }
        };
        // Workers that wait for the lock get it now.
        MutexGuard::unlock_fair(shard);
        let (defrag, moved) = (self.defrag(), pass.outcome().moved);
        let add = |counter: &std::sync::atomic::AtomicU64, now: u64, before: u64| {
            counter.fetch_add(now - before, Ordering::Relaxed);
        };
        add(&defrag.hits, moved.blocks, before.blocks);
        add(&defrag.misses, moved.stayed, before.stayed);
        add(&defrag.key_hits, moved.keys, before.keys);
        add(&defrag.key_misses, moved.keys_stayed, before.keys_stayed);
        result
    }

    /// Rests after a slice of work; answers whether to go on.
    fn rest(&self, pace: &mut Pace) -> bool {
        let current = pace.cycle.elapsed().as_millis() as u64;
        self.defrag().current_ms.store(current, Ordering::Relaxed);
        while self.is_enabled() {
            if pace.adapted.elapsed() >= LOOK {
                self.adapt(pace, &self.fragmentation());
            }
            let rest = pace.rest();
            if rest.is_zero() {
                return true;
            }
            std::thread::sleep(rest.min(SLEEP_MAX));
        }
        false
    }
}
