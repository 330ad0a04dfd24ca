//! Runs one command: the reply or the error, the clock, the logs and the counters.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebb_config::id;
use ebb_keyspace::Shared;
use rand::rngs::SmallRng;

use crate::context::Context;
use crate::journal::Journal;
use crate::locks::Locks;
use crate::monitor;
use crate::reply::Reply;
use crate::scripting::Attendant;
use crate::server::Server;
use crate::session::Session;
use crate::slowlog::LogKind;
use crate::spec::{Flags, Scope};
use crate::stats::{Outcome, Sample};
use crate::table::Command;
use crate::tracking;

/// A command that is about to run.
pub(crate) struct Call<'a> {
    pub(crate) command: &'static Command,
    pub(crate) args: &'a [&'a [u8]],
    pub(crate) shared_args: &'a [(usize, Shared)],
    pub(crate) hashed: Option<(usize, u64)>,
    /// Bytes of the request on the wire, 0 if it came from a transaction.
    pub(crate) bytes: usize,
    pub(crate) now_ms: i64,
}

/// Runs a command whose shards are held.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the parts of a worker, each borrowed on its own")]
pub(crate) fn run(
    server: &'static Server,
    call: Call<'_>,
    session: &mut Session,
    locks: &mut Locks<'static>,
    journal: &mut Journal,
    random: &mut SmallRng,
    recorder: &mut Recorder,
    attendant: &mut dyn Attendant,
    reply: &mut Reply,
) {
    let mark = reply.mark();
    recorder.enter(call.command);
    session.last_command = call.command.number + 1;
    let spec = call.command.spec;
    let mut context = Context {
        args: call.args,
        shared_args: call.shared_args,
        command: call.command,
        session,
        reply,
        server,
        locks,
        now_ms: call.now_ms,
        random,
        journal,
        recorder: &mut *recorder,
        attendant,
        bytes: call.bytes,
        hashed: call.hashed,
    };
    let result = (spec.run)(&mut context);
    if let Err(error) = &result {
        reply.truncate(mark);
        reply.error(&error.text());
        if !error.is_counted() {
            recorder.count_error(&error.code());
        }
    }
    if !journal.effects.is_empty() {
        journal.effects.publish(server, session.id());
    }
    // A script has read what its commands have, not what it was told that it may.
    let is_script = spec.scope == Scope::Growing;
    if session.tracking.is_some() && spec.flags.has(Flags::READONLY) && !is_script {
        tracking::remember(server, session, &call, random, &mut journal.effects.post);
    }
    if !session.is_retry {
        monitor::feed(server, session, call.command, call.args);
    }
    if session.blocked.is_some() || session.would_block {
        // It counts when it is answered.
        recorder.skip();
        return;
    }
    let reply_bytes = reply.len_since(mark);
    // In a transaction nobody knows how long its request was.
    let length = if call.bytes == 0 { usize::MAX } else { call.bytes.saturating_add(reply_bytes) };
    let nanos = recorder.record(call.command, result.is_err(), length);
    if spec.flags.has(Flags::ADMIN) {
        // It may have been CONFIG SET.
        recorder.read_limits();
    }
    if recorder.is_exceptional(nanos, call.bytes, reply_bytes) {
        recorder.log(&call, session, nanos, reply_bytes);
    }
}

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

    fn read_limits(&mut self) {
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
    fn skip(&mut self) {
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
    fn log(&self, call: &Call<'_>, session: &Session, nanos: u64, reply_bytes: usize) {
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
        let track = self.server.config.get(id::LATENCY_TRACKING);
        let commands = self.server.commands.all().len();
        self.server.workers[self.worker].totals.add(&self.samples, commands, track);
        self.samples.clear();
    }
}
