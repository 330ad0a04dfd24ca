//! Counters: what INFO stats, commandstats, latencystats and errorstats show.
//!
//! Workers collect what a batch did and add it here when the batch is done, under a lock of
//! their own, so that the hot path shares no cache line with another worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// A command's run, or some in a row.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The command's number in the table.
    pub command: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Runs that were timed together, at least one.
    pub count: u32,
    /// Nanoseconds they took.
    pub nanos: u64,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a reply.
    Done,
    /// With an error.
    Failed,
    /// It was refused before it ran.
    Rejected,
}

/// Totals of a command.
#[derive(Debug, Clone, Default)]
pub struct CommandTotals {
    /// Runs.
    pub calls: u64,
    /// Nanoseconds in them.
    pub nanos: u64,
    /// Refused before running.
    pub rejected: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Distribution of nanoseconds, to 1 s, two digits. Empty while latency tracking is off.
    pub latency: Option<Histogram<u64>>,
}

/// The longest time that a histogram tells apart, in nanoseconds.
const LATENCY_NANOS_MAX: u64 = 1_000_000_000;

fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 2) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("the bounds are valid"),
    }
}

impl CommandTotals {
    fn add(&mut self, sample: &Sample, track_latency: bool) {
        match sample.outcome {
            Outcome::Rejected => {
                self.rejected += 1;
                return;
            }
            Outcome::Failed => self.failed += 1,
            Outcome::Done => {}
        }
        let count = u64::from(sample.count);
        self.calls += count;
        self.nanos += sample.nanos;
        if track_latency {
            let nanos = (sample.nanos / count).clamp(1, LATENCY_NANOS_MAX);
            self.latency.get_or_insert_with(histogram).saturating_record_n(nanos, count);
        }
    }

    fn merge(&mut self, other: &CommandTotals) {
        self.calls += other.calls;
        self.nanos += other.nanos;
        self.rejected += other.rejected;
        self.failed += other.failed;
        if let Some(latency) = &other.latency {
            // Same bounds, so adding cannot fail.
            let _ = self.latency.get_or_insert_with(histogram).add(latency);
        }
    }
}

/// Commands run by one worker.
#[derive(Debug, Default)]
pub struct WorkerTotals(Mutex<Vec<CommandTotals>>);

impl WorkerTotals {
    /// Adds a batch.
    pub fn add(&self, samples: &[Sample], commands: usize, track_latency: bool) {
        let mut totals = self.0.lock();
        if totals.len() < commands {
            totals.resize_with(commands, CommandTotals::default);
        }
        for sample in samples {
            totals[sample.command as usize].add(sample, track_latency);
        }
    }
}

/// Totals of all commands over all workers, by command number.
pub fn merged_totals<'a>(
    workers: impl Iterator<Item = &'a WorkerTotals>,
    commands: usize,
) -> Vec<CommandTotals> {
    let mut all = vec![CommandTotals::default(); commands];
    for worker in workers {
        for (total, part) in all.iter_mut().zip(worker.0.lock().iter()) {
            total.merge(part);
        }
    }
    all
}

/// Bytes of the distributions of latencies, of all workers.
pub fn histogram_bytes<'a>(workers: impl Iterator<Item = &'a WorkerTotals>) -> usize {
    let of = |totals: &CommandTotals| {
        let counts = totals.latency.as_ref().map_or(0, Histogram::distinct_values);
        size_of::<CommandTotals>() + counts * size_of::<u64>()
    };
    workers.map(|worker| worker.0.lock().iter().map(of).sum::<usize>()).sum()
}

/// Forgets the commands counted so far.
pub fn reset_totals<'a>(workers: impl Iterator<Item = &'a WorkerTotals>) {
    workers.for_each(|worker| worker.0.lock().clear());
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// Counters of the whole server. Those of the hot path are added to once a batch.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: $kind,)*
        }

        impl Counters {
            /// CONFIG RESETSTAT.
            pub fn reset(&self) {
                $(self.$name.store(0, Ordering::Relaxed);)*
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections: AtomicU64,
    /// Connections refused because of `maxclients`.
    rejected_connections: AtomicU64,
    /// Commands run.
    commands: AtomicU64,
    /// Bytes read from sockets.
    net_in: AtomicU64,
    /// Bytes written to sockets.
    net_out: AtomicU64,
    /// Lookups of keys by reading commands that found one.
    keyspace_hits: AtomicU64,
    /// Lookups that found none.
    keyspace_misses: AtomicU64,
    /// Keys deleted because their time had come.
    expired_keys: AtomicU64,
    /// Fields of hashes deleted because their time had come.
    expired_fields: AtomicU64,
    /// Keys found overdue on access, before the wheel came to them, in hundredths of a
    /// percent of those looked at.
    expired_stale: AtomicU64,
    /// Times that active expiry stopped because its time was up.
    expire_cap_reached: AtomicU64,
    /// Nanoseconds spent on active expiry.
    expire_nanos: AtomicU64,
    /// Milliseconds by which the last active expiry was late.
    expire_lag_ms: AtomicI64,
    /// Error replies.
    error_replies: AtomicU64,
    /// Read events handled.
    reads: AtomicU64,
    /// Write events handled.
    writes: AtomicU64,
    /// Rounds of all workers' event loops.
    rounds: AtomicU64,
    /// Nanoseconds that these rounds took, waiting for events not counted.
    round_nanos: AtomicU64,
    /// Commands that read input beyond the query buffer limit.
    query_buffer_limit_disconnections: AtomicU64,
    /// Clients closed because their output grew too large.
    output_buffer_limit_disconnections: AtomicU64,
    /// Keys deleted to make room.
    evicted_keys: AtomicU64,
    /// Clients closed to make room.
    evicted_clients: AtomicU64,
    /// Microseconds above the limit on memory, up to the last time it was kept.
    eviction_exceeded_us: AtomicU64,
    /// Highest `used_memory` seen.
    peak_memory: AtomicU64,
    /// Failed authentications.
    acl_access_denied_auth: AtomicU64,
    /// Commands that users were not allowed.
    acl_access_denied_cmd: AtomicU64,
    /// Commands denied because of a key.
    acl_access_denied_key: AtomicU64,
    /// Commands denied because of a channel.
    acl_access_denied_channel: AtomicU64,
    /// Commands denied because of a database.
    acl_access_denied_db: AtomicU64,
}

/// Error replies by code.
#[derive(Debug, Default)]
pub struct Errors(Mutex<BTreeMap<String, u64>>);

/// More codes than this are counted under one name.
const ERROR_CODES_MAX: usize = 128;

impl Errors {
    /// Counts one.
    pub fn add(&self, code: &str) {
        let mut codes = self.0.lock();
        if let Some(count) = codes.get_mut(code) {
            *count += 1;
        } else if codes.len() < ERROR_CODES_MAX {
            codes.insert(code.to_owned(), 1);
        } else {
            *codes.entry("ERRORSTATS_OVERFLOW".to_owned()).or_insert(0) += 1;
        }
    }

    /// Codes with their counts.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().clone()
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.0.lock().clear();
    }
}
