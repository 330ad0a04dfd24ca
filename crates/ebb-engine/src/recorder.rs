//! Measures the commands of a worker: the clock, the logs of slow and large commands, the counters.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebb_config::id;

use crate::call::Call;
use crate::journal::Journal;
use crate::server::Server;
use crate::session::Session;
use crate::slowlog::LogKind;
use crate::spec::Flags;
use crate::stats::{Outcome, Sample};
use crate::table::Command;

/// So many quick commands, all the same, are timed with one look at the clock, which
/// would cost a tenth of what they do. If they are slow together the last one is logged.
const TOGETHER_MAX: u32 = 8;
/// Where even shorter times shall be logged, each command is timed alone.
const TOGETHER_NANOS_MIN: u64 = 1_000_000;
/// A command whose time follows from its length is quick if request and reply have at most so many
/// bytes.
const QUICK_LENGTH_MAX: usize = 1024;

/// Measures the commands of a worker.
pub(crate) struct Recorder {
    server: &'static Server,
    worker: usize,
    clock: quanta::Clock,
    /// When the last command ended, and the next began.
    last: u64,
    /// When the time of day was asked for.
    told: u64,
    samples: Vec<Sample>,
    /// Commands that ran since `last`, all of them this one, which is quick.
    open: u32,
    open_command: u32,
    /// Quick commands are timed so many at once.
    together: u32,
    slow_nanos: u64,
    request_bytes: usize,
    reply_bytes: usize,
    exec_start: u64,
}

fn limit(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

impl Recorder {
    pub(crate) fn new(server: &'static Server, worker: usize) -> Recorder {
        Recorder {
            server,
            worker,
            clock: quanta::Clock::new(),
            last: 0,
            told: 0,
            samples: Vec::new(),
            open: 0,
            open_command: 0,
            together: 1,
            slow_nanos: u64::MAX,
            request_bytes: usize::MAX,
            reply_bytes: usize::MAX,
            exec_start: 0,
        }
    }

    /// A batch begins.
    pub(crate) fn begin(&mut self) {
        self.read_limits();
        self.last = self.clock.raw();
        self.told = self.last;
    }

    /// Whether the last commands took so long that the time must be asked for again.
    #[inline]
    pub(crate) fn is_late(&mut self) -> bool {
        const LATE_NANOS: u64 = 500_000;
        let late = self.clock.delta_as_nanos(self.told, self.last) > LATE_NANOS;
        if late {
            self.told = self.last;
        }
        late
    }

    pub(crate) fn read_limits(&mut self) {
        let config = &self.server.config;
        let slow_us = limit(config.get(id::COMMANDLOG_EXECUTION_SLOWER_THAN));
        let latency_ms: u64 = config.get(id::LATENCY_MONITOR_THRESHOLD);
        let latency_ns = if latency_ms == 0 { u64::MAX } else { latency_ms * 1_000_000 };
        self.slow_nanos = slow_us.saturating_mul(1000).min(latency_ns);
        self.together = if self.slow_nanos < TOGETHER_NANOS_MIN { 1 } else { TOGETHER_MAX };
        self.request_bytes = limit(config.get(id::COMMANDLOG_REQUEST_LARGER_THAN)) as usize;
        self.reply_bytes = limit(config.get(id::COMMANDLOG_REPLY_LARGER_THAN)) as usize;
    }

    /// A command begins later than the last one ended.
    pub(crate) fn start(&mut self) {
        self.close();
        self.last = self.clock.raw();
        self.exec_start = self.last;
    }

    /// A command begins: others are timed up to here.
    #[inline]
    pub(crate) fn enter(&mut self, command: &Command) {
        if self.open > 0 && self.open_command != command.number as u32 {
            self.close();
        }
    }

    /// A command has ended, whose request and reply have so many bytes. Its nanoseconds; those of
    /// commands timed together come with the last.
    #[inline]
    pub(crate) fn record(&mut self, command: &Command, failed: bool, length: usize) -> u64 {
        if failed || !(command.is_quick || command.spec.paced_by_length) {
            self.close();
            return self.sample(command.number as u32, 1, failed);
        }
        self.open += 1;
        self.open_command = command.number as u32;
        let is_quick = command.is_quick || length <= QUICK_LENGTH_MAX;
        if is_quick && self.open < self.together { 0 } else { self.close() }
    }

    /// What has just run does not count.
    pub(crate) fn skip(&mut self) {
        self.close();
        self.last = self.clock.raw();
    }

    /// When the command that runs began.
    pub(crate) fn began(&self) -> Instant {
        let now = Instant::now();
        let nanos = self.clock.delta_as_nanos(self.last, self.clock.raw());
        now.checked_sub(Duration::from_nanos(nanos)).unwrap_or(now)
    }

    /// A command begins within another one. Answers what [`Recorder::leave_inner`] needs.
    pub(crate) fn enter_inner(&mut self) -> u64 {
        self.close();
        std::mem::replace(&mut self.last, self.clock.raw())
    }

    /// It has ended: the outer command is timed from its own beginning.
    pub(crate) fn leave_inner(&mut self, outer: u64) {
        self.close();
        self.last = outer;
    }

    /// Times the commands that ran since the clock was read.
    #[inline]
    fn close(&mut self) -> u64 {
        match std::mem::take(&mut self.open) {
            0 => 0,
            count => self.sample(self.open_command, count, false),
        }
    }

    fn sample(&mut self, command: u32, count: u32, failed: bool) -> u64 {
        let now = self.clock.raw();
        let nanos = self.clock.delta_as_nanos(self.last, now);
        self.last = now;
        let outcome = if failed { Outcome::Failed } else { Outcome::Done };
        self.samples.push(Sample { command, outcome, count, nanos });
        nanos
    }

    pub(crate) fn end_exec(&mut self, command: &Command, failed: bool) {
        self.close();
        self.last = self.exec_start;
        self.sample(command.number as u32, 1, failed);
    }

    #[inline]
    pub(crate) fn is_exceptional(&self, nanos: u64, request: usize, reply: usize) -> bool {
        nanos >= self.slow_nanos || request > self.request_bytes || reply > self.reply_bytes
    }

    #[cold]
    pub(crate) fn log(&self, call: &Call<'_>, session: &Session, nanos: u64, reply_bytes: usize) {
        let config = &self.server.config;
        let flags = call.command.spec.flags;
        let micros = (nanos / 1000) as i64;
        let time_s = call.now_ms / 1000;
        let threshold_ms: u64 = config.get(id::LATENCY_MONITOR_THRESHOLD);
        let latency_ms = nanos / 1_000_000;
        if threshold_ms != 0 && latency_ms >= threshold_ms {
            let event = if flags.has(Flags::FAST) { "fast-command" } else { "command" };
            self.server.latency.add(event, time_s, latency_ms);
        }
        if flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        let slower_than: i64 = config.get(id::COMMANDLOG_EXECUTION_SLOWER_THAN);
        let request = call.bytes as i64;
        let reply = reply_bytes as i64;
        let request_larger: i64 = config.get(id::COMMANDLOG_REQUEST_LARGER_THAN);
        let reply_larger: i64 = config.get(id::COMMANDLOG_REPLY_LARGER_THAN);
        let client = || (session.client.address.clone(), session.client.names.lock().name.clone());
        let logs = &self.server.logs;
        let args = &call.command.spec.redacted(call.args);
        if slower_than >= 0 && micros >= slower_than {
            let max = config.get(id::COMMANDLOG_SLOW_EXECUTION_MAX_LEN) as usize;
            logs.add(LogKind::Slow, max, micros, time_s, args, client());
        }
        if request_larger >= 0 && request > request_larger {
            let max = config.get(id::COMMANDLOG_LARGE_REQUEST_MAX_LEN) as usize;
            logs.add(LogKind::LargeRequest, max, request, time_s, args, client());
        }
        if reply_larger >= 0 && reply > reply_larger {
            let max = config.get(id::COMMANDLOG_LARGE_REPLY_MAX_LEN) as usize;
            logs.add(LogKind::LargeReply, max, reply, time_s, args, client());
        }
    }

    /// A request was refused before it ran.
    pub(crate) fn reject(&mut self, command: Option<usize>, code: &str) {
        if let Some(number) = command {
            let outcome = Outcome::Rejected;
            self.samples.push(Sample { command: number as u32, outcome, count: 1, nanos: 0 });
        }
        self.count_error(code);
    }

    #[cold]
    pub(crate) fn count_error(&self, code: &str) {
        self.server.errors.add(code);
        self.server.counters.error_replies.fetch_add(1, Ordering::Relaxed);
    }

    /// A batch has ended: its figures become visible.
    pub(crate) fn finish(&mut self, journal: &mut Journal) {
        self.close();
        let counters = &self.server.counters;
        let ran = self.samples.iter().filter(|sample| sample.outcome != Outcome::Rejected);
        let ran: u64 = ran.map(|sample| u64::from(sample.count)).sum();
        counters.commands.fetch_add(ran, Ordering::Relaxed);
        let take = |count: &mut u64| std::mem::take(count);
        let add = |counter: &std::sync::atomic::AtomicU64, count: &mut u64| {
            if *count != 0 {
                counter.fetch_add(take(count), Ordering::Relaxed);
            }
        };
        add(&self.server.dirty, &mut journal.dirty);
        add(&counters.keyspace_hits, &mut journal.hits);
        add(&counters.keyspace_misses, &mut journal.misses);
        add(&counters.expired_keys, &mut journal.expired);
        add(&counters.expired_fields, &mut journal.expired_fields);
        let track = self.server.config.get(id::LATENCY_TRACKING);
        let commands = self.server.commands.all().len();
        self.server.workers[self.worker].totals.add(&self.samples, commands, track);
        self.samples.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::CommandSpec;
    use crate::{CommandTable, Host};

    static QUICK: CommandSpec =
        CommandSpec { name: "quick", flags: Flags::FAST, ..CommandSpec::NEW };
    static PACED: CommandSpec =
        CommandSpec { name: "paced", paced_by_length: true, ..CommandSpec::NEW };
    static OTHER: CommandSpec = CommandSpec { name: "other", ..CommandSpec::NEW };

    /// How many runs each look at the clock has timed: commands run one after the other, each with
    /// the bytes of its request and reply.
    fn timed(directives: &str, runs: &[(&str, usize)]) -> Vec<u32> {
        let config = ebb_config::parse_bytes(directives.as_bytes(), 1).unwrap();
        let commands = CommandTable::new(&[&QUICK, &PACED, &OTHER], &[]).unwrap();
        let host = Host {
            refresh_allocator: |_| {},
            purge_allocator: || {},
            allocator_report: String::new,
            resident_bytes: || 0,
            resident_pages: |_| Default::default(),
            cpu_times_us: Default::default,
            system: Default::default(),
            describe_client: |_, _, _| {},
            collation_key: |_| None,
            apply: |_, _| Ok(()),
        };
        let server: &'static Server = Box::leak(Box::new(Server::new(config, commands, host)));
        let mut recorder = Recorder::new(server, 0);
        recorder.begin();
        for (name, length) in runs {
            let command = server.commands.find(name.as_bytes()).unwrap();
            recorder.enter(command);
            recorder.record(command, false, *length);
        }
        recorder.close();
        recorder.samples.iter().map(|sample| sample.count).collect()
    }

    #[test]
    fn quick_commands_are_timed_together_however_long_they_are() {
        assert_eq!(timed("", &[("quick", 1 << 20); 20]), [8, 8, 4]);
        assert_eq!(timed("", &[("quick", 9), ("quick", 9), ("other", 9), ("quick", 9)]), [2, 1, 1]);
    }

    #[test]
    fn what_is_paced_by_length_is_timed_together_while_it_is_short() {
        assert_eq!(timed("", &[("paced", QUICK_LENGTH_MAX); 9]), [8, 1]);
        let long = ("paced", QUICK_LENGTH_MAX + 1);
        assert_eq!(timed("", &[long; 3]), [1, 1, 1]);
        // A long one ends the group that it is in.
        assert_eq!(timed("", &[("paced", 9), ("paced", 9), long, ("paced", 9)]), [3, 1]);
        // In a transaction the length is not known.
        assert_eq!(timed("", &[("paced", usize::MAX); 2]), [1, 1]);
    }

    #[test]
    fn other_commands_are_timed_alone_and_all_are_under_a_low_threshold() {
        assert_eq!(timed("", &[("other", 9); 3]), [1, 1, 1]);
        let low = "slowlog-log-slower-than 999";
        assert_eq!(timed(low, &[("quick", 9), ("quick", 9), ("paced", 9)]), [1, 1, 1]);
    }
}
