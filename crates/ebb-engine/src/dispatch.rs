//! From parsed requests to locked shards: here all locks are taken that commands need.
//!
//! A batch is what the worker read from the connections that were ready, one turn for each.
//! The lock of one shard is kept from a command to the next if that needs the same one. The
//! buckets and entries of the commands to come are asked for ahead of time, at a glance into
//! their shards, so that the misses of a pipeline, and of commands from many clients, overlap.

use ebb_keyspace::Shared;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::call::{self, Recorder};
use crate::error::{CommandError, quote};
use crate::journal::Journal;
use crate::locks::{Busy, Locks};
use crate::monitor;
use crate::reply::Reply;
use crate::scripting::Attendant;
use crate::server::{PauseMode, Server, unix_ms};
use crate::session::{Queued, ReplyMode, Session, Transaction};
use crate::spec::{Flags, Scope};
use crate::table::{Command, Resolved};
use crate::transaction;

/// So many requests before a command runs, its bucket is asked for, and then its entry. The
/// processor has some 16 misses in flight; spread over a pipeline they cost next to nothing.
const BUCKETS_AHEAD: usize = 12;
const ENTRIES_AHEAD: usize = 6;
/// A power of two above [`BUCKETS_AHEAD`].
const RING: usize = 16;

/// One request of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Its first argument in the batch's arguments.
    pub first: usize,
    /// Number of arguments; never 0.
    pub count: usize,
    /// Bytes it had on the wire.
    pub bytes: usize,
    /// Where it ends in the input from which it was read: the caller's to use.
    pub end: usize,
}

/// The arguments of requests that run together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// All arguments, request after request.
    pub args: &'a [&'a [u8]],
    /// Arguments that lie in blocks of the heap, by position in `args`.
    pub shared: &'a [(usize, Shared)],
}

/// One connection's part of a batch.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The client's state.
    pub session: &'a mut Session,
    /// Its requests in order.
    pub requests: &'a [Request],
    /// Where its replies are appended.
    pub reply: &'a mut Reply,
    /// Set by the run: how far it got.
    pub progress: Progress,
}

/// How far a turn got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All requests were answered.
    Done,
    /// So many were; the next one waits for the end of CLIENT PAUSE.
    Paused(usize),
    /// So many were; the connection closes.
    Close(usize),
}

/// Runs batches, one worker's.
pub struct Executor {
    server: &'static Server,
    journal: Journal,
    random: SmallRng,
    recorder: Recorder,
    now_ms: i64,
}

/// A request with what was found out about it ahead of its run.
#[derive(Clone, Copy)]
struct Prepared {
    resolved: Resolved,
    /// Position and hash of its key, if it has just one.
    hashed: Option<(usize, u64)>,
    /// The database that its client has selected, if it is still so when the request runs.
    db: usize,
}

impl Executor {
    /// The executor of a worker.
    pub fn new(server: &'static Server, worker: usize) -> Executor {
        Executor {
            server,
            journal: Journal::default(),
            random: SmallRng::from_rng(&mut rand::rng()),
            recorder: Recorder::new(server, worker),
            now_ms: 0,
        }
    }

    /// The time at which the last run began, or was late, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Runs the requests of some connections, one connection after the other. The attendant
    /// looks after all others while one of these requests takes long.
    pub fn run(
        &mut self,
        turns: &mut [Turn<'_>],
        batch: &Batch<'_>,
        attendant: &mut dyn Attendant,
    ) {
        let clock = self.server.lru_clock.load(std::sync::atomic::Ordering::Relaxed);
        let mut locks = Locks::new(&self.server.keyspace, clock);
        self.now_ms = unix_ms();
        self.recorder.begin();
        let mut ahead = Ahead::new(turns, self.server.keyspace.shards() == 1);
        let mut number = 0;
        for at in 0..turns.len() {
            if self.recorder.is_late() {
                self.now_ms = unix_ms();
            }
            let now_ms = self.now_ms;
            let turn = &mut turns[at];
            let requests = turn.requests;
            turn.reply.set_protocol(turn.session.protocol);
            turn.progress = Progress::Done;
            for (index, request) in requests.iter().enumerate() {
                ahead.prepare(self, turns, batch, &mut locks, number);
                let prepared = ahead.ring[number % RING];
                number += 1;
                let Turn { session, reply, progress, .. } = &mut turns[at];
                let range = request.first..request.first + request.count;
                let mut run = Run {
                    executor: self,
                    session,
                    args: &batch.args[range.clone()],
                    shared: shared_args(batch.shared, range),
                    bytes: request.bytes,
                    locks: &mut locks,
                    attendant: &mut *attendant,
                    now_ms,
                };
                if run.is_paused(&prepared) {
                    *progress = Progress::Paused(index);
                } else {
                    run.request(&prepared, reply);
                    if session.close_after_reply {
                        *progress = Progress::Close(index + 1);
                    }
                }
                if *progress != Progress::Done {
                    number += requests.len() - index - 1;
                    break;
                }
            }
        }
        drop(locks);
        self.recorder.finish(&mut self.journal);
    }

    /// Hashes the command's key.
    #[inline]
    fn prepare(&self, resolved: Resolved, args: &[&[u8]], db: usize) -> Prepared {
        let single = match resolved {
            Resolved::Command(command) => command.single_key.filter(|&at| at < args.len()),
            _ => None,
        };
        let hashed = single.map(|at| (at, self.server.keyspace.hasher().hash(args[at])));
        Prepared { resolved, hashed, db }
    }
}

/// The requests that come next: what is found out about them ahead of their run.
struct Ahead<'a> {
    /// The last command's name as it was written: the next is often the same.
    name: &'a [u8],
    command: Resolved,
    /// By number modulo [`RING`].
    ring: [Prepared; RING],
    /// Whether the one shard there is can be held all the time.
    one_shard: bool,
    /// Whether buckets and entries are asked for: there is something to overlap.
    fetch: bool,
    /// How many requests are prepared, how many entries asked for.
    prepared: usize,
    fetched: usize,
    /// The next request to prepare: its turn, and its number there.
    turn: usize,
    index: usize,
    total: usize,
}

impl<'a> Ahead<'a> {
    fn new(turns: &[Turn<'_>], one_shard: bool) -> Ahead<'a> {
        let total = turns.iter().map(|turn| turn.requests.len()).sum();
        Ahead {
            name: &[],
            command: Resolved::Unknown,
            ring: [Prepared { resolved: Resolved::Unknown, hashed: None, db: 0 }; RING],
            one_shard,
            fetch: total > 1,
            prepared: 0,
            fetched: 0,
            turn: 0,
            index: 0,
            total,
        }
    }

    /// Prepares requests up to some behind `number`, which is about to run.
    #[inline]
    fn prepare(
        &mut self,
        executor: &Executor,
        turns: &[Turn<'_>],
        batch: &Batch<'a>,
        locks: &mut Locks<'_>,
        number: usize,
    ) {
        if self.fetch && self.one_shard {
            // Who holds it for long makes this batch's commands wait or answer so.
            let _ = locks.hold_one(0);
        }
        while self.prepared < self.total.min(number + 1 + BUCKETS_AHEAD) {
            while self.index == turns[self.turn].requests.len() {
                (self.turn, self.index) = (self.turn + 1, 0);
            }
            let turn = &turns[self.turn];
            let request = &turn.requests[self.index];
            let args = &batch.args[request.first..request.first + request.count];
            let prepared = &mut self.ring[self.prepared % RING];
            if args[0] != self.name || self.name.is_empty() {
                self.command = executor.server.commands.resolve(args);
                // A container's name alone does not say which command it is.
                let is_alone =
                    |command: &Command| command.parent.is_none() && command.subcommands.is_empty();
                let alone = matches!(self.command, Resolved::Command(command) if is_alone(command));
                self.name = if alone { args[0] } else { &[] };
            }
            *prepared = executor.prepare(self.command, args, turn.session.db);
            if self.fetch {
                prepared.fetch_bucket(locks);
            }
            self.index += 1;
            self.prepared += 1;
        }
        while self.fetch && self.fetched < self.total.min(number + 1 + ENTRIES_AHEAD) {
            self.ring[self.fetched % RING].fetch_entry(locks);
            self.fetched += 1;
        }
    }
}

impl Prepared {
    #[inline]
    fn fetch_bucket(&self, locks: &mut Locks<'_>) {
        if let Some((_, hash)) = self.hashed {
            let shard = locks.keyspace().shard_of(hash);
            locks.glance(shard, |shard| shard.db_ref(self.db).prefetch(hash));
        }
    }

    #[inline]
    fn fetch_entry(&self, locks: &mut Locks<'_>) {
        if let Some((_, hash)) = self.hashed {
            let shard = locks.keyspace().shard_of(hash);
            locks.glance(shard, |shard| shard.db_ref(self.db).prefetch_entry(hash));
        }
    }
}

/// The blocks among a request's arguments, with positions counted from the request.
fn shared_args(shared: &[(usize, Shared)], range: std::ops::Range<usize>) -> Vec<(usize, Shared)> {
    if shared.is_empty() {
        return Vec::new();
    }
    let within = shared.iter().filter(|(at, _)| range.contains(at));
    within.map(|(at, shared)| (at - range.start, shared.clone())).collect()
}

/// One request on its way.
struct Run<'r, 'a> {
    executor: &'r mut Executor,
    session: &'r mut Session,
    args: &'a [&'a [u8]],
    shared: Vec<(usize, Shared)>,
    bytes: usize,
    locks: &'r mut Locks<'static>,
    attendant: &'r mut dyn Attendant,
    now_ms: i64,
}

impl Run<'_, '_> {
    fn server(&self) -> &'static Server {
        self.executor.server
    }

    fn is_paused(&self, prepared: &Prepared) -> bool {
        let mode = self.server().paused(self.now_ms);
        if mode == PauseMode::Off {
            return false;
        }
        let Resolved::Command(command) = prepared.resolved else { return mode == PauseMode::All };
        let flags = command.spec.flags;
        let is_pause = command.name == "client|unpause" || command.name == "client|pause";
        let writes = |flags: Flags| flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE);
        let queued_writes = || {
            let queue = self.session.transaction.iter().flat_map(|transaction| &transaction.queue);
            command.name == "exec" && queue.into_iter().any(|q| writes(q.command.spec.flags))
        };
        match mode {
            PauseMode::All => !is_pause && command.name != "shutdown",
            _ => {
                let queues = self.session.transaction.is_some() && command.name != "exec";
                (writes(flags) && !queues) || queued_writes()
            }
        }
    }

    fn request(&mut self, prepared: &Prepared, reply: &mut Reply) {
        let mark = reply.mark();
        let before = self.session.reply_mode;
        self.answer(prepared, reply);
        let after = &mut self.session.reply_mode;
        if (before, *after) == (ReplyMode::On, ReplyMode::On) {
            return;
        }
        // CLIENT REPLY: what is not wanted was built, and is dropped.
        if before != ReplyMode::On && *after != ReplyMode::On {
            reply.truncate(mark);
        }
        *after = match *after {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            other => other,
        };
    }

    fn answer(&mut self, prepared: &Prepared, reply: &mut Reply) {
        let command = match self.admit(prepared) {
            Ok(command) => command,
            Err(rejection) => {
                self.reject(&rejection, reply);
                return;
            }
        };
        if self.session.transaction.is_some() && !transaction::runs_at_once(command.name) {
            self.enqueue(command);
            reply.simple("QUEUED");
            return;
        }
        if command.name == "exec"
            && let Some(transaction) = self.session.transaction.take()
        {
            self.exec(command, &transaction, reply);
            return;
        }
        match self.hold(command, prepared.hashed) {
            Ok(()) => self.call(command, prepared.hashed, reply),
            Err(Busy) => self.reject(&Rejection::busy(self.server(), command), reply),
        }
    }

    /// Takes the locks that a command needs.
    fn hold(
        &mut self,
        command: &'static Command,
        hashed: Option<(usize, u64)>,
    ) -> Result<(), Busy> {
        let args = self.args;
        let keyspace = self.locks.keyspace();
        match command.spec.scope {
            Scope::All => return self.locks.hold_all(),
            Scope::Growing => return self.locks.hold_growing(),
            Scope::Walk => return self.locks.hold_walking(),
            Scope::Keys => {}
        }
        if let Some((_, hash)) = hashed {
            self.locks.hold_one(keyspace.shard_of(hash))
        } else if transaction::releases_watches(command.name) {
            let mut shards: Vec<_> = transaction::watched_shards(self.session, keyspace).collect();
            self.locks.hold_set(&mut shards)
        } else if !command.spec.keys.is_empty() {
            let mut shards = Vec::with_capacity(args.len());
            let collect =
                |at: usize, _| shards.push(keyspace.shard_of(keyspace.hasher().hash(args[at])));
            // Arguments that name no keys are the command's to refuse; it touches none then.
            let _ = command.spec.each_key(args, collect);
            self.locks.hold_set(&mut shards)
        } else {
            Ok(())
        }
    }

    fn call(&mut self, command: &'static Command, hashed: Option<(usize, u64)>, reply: &mut Reply) {
        let call = call::Call {
            command,
            args: self.args,
            shared_args: &self.shared,
            hashed,
            bytes: self.bytes,
            now_ms: self.now_ms,
        };
        let Executor { server, journal, random, recorder, .. } = &mut *self.executor;
        call::run(
            server,
            call,
            self.session,
            self.locks,
            journal,
            random,
            recorder,
            self.attendant,
            reply,
        );
    }

    fn exec(&mut self, command: &'static Command, transaction: &Transaction, reply: &mut Reply) {
        let all = transaction.queue.iter().any(|queued| queued.command.spec.scope != Scope::Keys);
        let keyspace = self.locks.keyspace();
        let held = if all {
            self.locks.hold_all()
        } else {
            let mut shards: Vec<_> = transaction::watched_shards(self.session, keyspace).collect();
            for queued in &transaction.queue {
                let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
                let _ = queued.command.spec.each_key(&args, |at, _| {
                    shards.push(keyspace.shard_of(keyspace.hasher().hash(args[at])));
                });
            }
            self.locks.hold_set(&mut shards)
        };
        if held == Err(Busy) {
            self.session.transaction = Some(Transaction::default());
            return self.reject(&Rejection::busy(self.server(), command), reply);
        }
        let Executor { server, journal, random, recorder, .. } = &mut *self.executor;
        recorder.start();
        let verdict = transaction::verdict(self.session, transaction, self.locks, self.now_ms);
        transaction::unwatch(self.session, self.locks);
        let failed = match verdict {
            transaction::Verdict::Run => {
                reply.array(transaction.queue.len());
                for queued in &transaction.queue {
                    let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
                    let call = call::Call {
                        command: queued.command,
                        args: &args,
                        shared_args: &[],
                        hashed: None,
                        bytes: 0,
                        now_ms: self.now_ms,
                    };
                    call::run(
                        server,
                        call,
                        self.session,
                        self.locks,
                        journal,
                        random,
                        recorder,
                        self.attendant,
                        reply,
                    );
                }
                false
            }
            transaction::Verdict::Changed => {
                reply.null_array();
                false
            }
            transaction::Verdict::Aborted => {
                let text = "EXECABORT Transaction discarded because of previous errors.";
                recorder.count_error("EXECABORT");
                reply.error(text);
                true
            }
        };
        monitor::feed(server, self.session, command, self.args);
        recorder.end_exec(command, failed);
    }

    /// Whether a request may run, in the order in which Redis asks.
    fn admit(&self, prepared: &Prepared) -> Result<&'static Command, Rejection> {
        let command = match prepared.resolved {
            Resolved::Command(command) => command,
            Resolved::Unknown => return Err(Rejection::unknown(self.args)),
            Resolved::UnknownSubcommand(command) => {
                return Err(Rejection::unknown_subcommand(command, self.args));
            }
        };
        let reject = |error| Err(Rejection { error, command: Some(command) });
        let flags = command.spec.flags;
        if !command.spec.arity_allows(self.args.len()) {
            return reject(CommandError::WrongArity(command.name.into()));
        }
        if !self.session.authenticated && !flags.has(Flags::NO_AUTH) {
            return reject(CommandError::new("NOAUTH Authentication required."));
        }
        if self.server().keyspace.gate.is_busy() && !flags.has(Flags::ALLOW_BUSY) {
            return Err(Rejection::busy(self.server(), command));
        }
        if self.session.transaction.is_some() && flags.has(Flags::NO_MULTI) {
            return reject(CommandError::new("ERR Command not allowed inside a transaction"));
        }
        if flags.has(Flags::DENYOOM) || command.name == "exec" {
            let queued_deny = || {
                let queue =
                    self.session.transaction.iter().flat_map(|transaction| &transaction.queue);
                queue.into_iter().any(|queued| queued.command.spec.flags.has(Flags::DENYOOM))
            };
            if self.server().is_over_limit() && (flags.has(Flags::DENYOOM) || queued_deny()) {
                return reject(CommandError::OutOfMemory);
            }
        }
        Ok(command)
    }

    fn reject(&mut self, rejection: &Rejection, reply: &mut Reply) {
        let is_exec = rejection.command.is_some_and(|command| command.name == "exec");
        if let Some(transaction) = &mut self.session.transaction {
            transaction.aborted = true;
        }
        let number = rejection.command.map(|command| command.number);
        self.executor.recorder.reject(number, &rejection.error.code());
        if is_exec && self.session.transaction.take().is_some() {
            // A refused EXEC ends the transaction.
            self.locks.release();
            transaction::forget_watches(self.session, self.locks.keyspace());
            let text = rejection.error.text();
            let text = text.strip_prefix("ERR ").unwrap_or(&text);
            reply.error(&format!("EXECABORT Transaction discarded because of: {text}"));
            return;
        }
        reply.error(&rejection.error.text());
    }

    fn enqueue(&mut self, command: &'static Command) {
        let args: Vec<Vec<u8>> = self.args.iter().map(|arg| arg.to_vec()).collect();
        if let Some(transaction) = &mut self.session.transaction {
            transaction.bytes += args.iter().map(|arg| arg.capacity() + 24).sum::<usize>();
            transaction.queue.push(Queued { command, args });
        }
    }
}

/// Why a request did not run.
struct Rejection {
    error: CommandError,
    command: Option<&'static Command>,
}

impl Rejection {
    fn busy(server: &Server, command: &'static Command) -> Rejection {
        let error = CommandError::new(server.scripting.busy_text());
        Rejection { error, command: Some(command) }
    }

    fn unknown(args: &[&[u8]]) -> Rejection {
        const SHOWN: usize = 128;
        let mut list = String::new();
        for arg in &args[1..] {
            if list.len() >= SHOWN {
                break;
            }
            list += &format!("'{}' ", quote(arg, SHOWN - list.len()));
        }
        let name = quote(args[0], SHOWN);
        let text = format!("ERR unknown command '{name}', with args beginning with: {list}");
        Rejection { error: CommandError::new(text), command: None }
    }

    fn unknown_subcommand(command: &'static Command, args: &[&[u8]]) -> Rejection {
        let given = quote(args[1], 128);
        let name = command.name.to_ascii_uppercase();
        let text = format!("ERR unknown subcommand '{given}'. Try {name} HELP.");
        Rejection { error: CommandError::new(text), command: None }
    }
}
