//! From parsed requests to locked shards: here all locks are taken that commands need.
//!
//! A batch is what the worker read from the connections that were ready, one turn for each.
//! The lock of one shard is kept from a command to the next if that needs the same one. The
//! buckets and entries of the commands to come are asked for ahead of time, at a glance into
//! their shards, so that the misses of a pipeline, and of commands from many clients, overlap.

use ebb_collections::element_hash;
use ebb_keyspace::{OutOfMemory, Shared};
use ebb_resp::Protocol;
use ebb_types::number::parse_i64;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::acl;
use crate::ahead::{Ahead, Prepared, RING};
use crate::blocking::{self, Blocked};
use crate::call;
use crate::error::CommandError;
use crate::eviction::{self, Lease};
use crate::journal::{Journal, Sink};
use crate::locks::{Busy, Locks};
use crate::mailbox;
use crate::monitor;
use crate::partitions::limits;
use crate::pause;
use crate::pubsub;
use crate::recorder::Recorder;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::scratch;
use crate::scripting::Attendant;
use crate::server::{PauseMode, Server, unix_ms, unix_us};
use crate::session::{Queued, ReplyMode, Session, Transaction};
use crate::shared_args::SharedArgs;
use crate::spec::{Flags, Scope};
use crate::table::{Command, Resolved};
use crate::tracking;
use crate::transaction;

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
    /// Those that lie in blocks of the heap, sorted by position in `args`.
    pub shared: &'a [(usize, &'a Shared)],
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
    /// So many were; the last one waits for its answer, and the next ones with it.
    Blocked(usize),
    /// So many were; the connection closes.
    Close(usize),
}

/// Runs batches, one worker's.
pub struct Executor {
    pub(crate) server: &'static Server,
    pub(crate) worker: usize,
    pub(crate) journal: Journal,
    random: SmallRng,
    recorder: Recorder,
    lease: Lease,
    now_ms: i64,
}

impl Executor {
    /// The executor of a worker.
    pub fn new(server: &'static Server, worker: usize) -> Executor {
        Executor {
            server,
            worker,
            journal: Journal::default(),
            random: SmallRng::from_rng(&mut rand::rng()),
            recorder: Recorder::new(server, worker),
            lease: Lease::default(),
            now_ms: 0,
        }
    }

    /// Adds a follower of what the worker's commands change.
    pub fn subscribe(&mut self, sink: Box<dyn Sink>) {
        self.journal.subscribe(sink);
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
        self.now_ms = unix_ms();
        self.lease.begin();
        let clock = eviction::access_clock(&self.server.config, self.now_ms);
        let mut locks = Locks::new(&self.server.keyspace, clock);
        self.recorder.begin();
        let mut ahead = Ahead::new(turns, batch, self.server.keyspace.shards() == 1);
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
            turn.reply.set_limit(self.server.output_limits.reply_bytes(&turn.session.client));
            for (index, request) in requests.iter().enumerate() {
                ahead.prepare(self, turns, batch, &mut locks, number);
                let prepared = &ahead.ring[number % RING];
                number += 1;
                let Turn { session, reply, progress, .. } = &mut turns[at];
                let range = request.first..request.first + request.count;
                let mut run = Run {
                    executor: self,
                    session,
                    args: &batch.args[range],
                    shared: SharedArgs::of(batch.shared, request.first),
                    bytes: request.bytes,
                    locks: &mut locks,
                    attendant: &mut *attendant,
                    now_ms,
                };
                if run.is_paused(prepared) {
                    *progress = Progress::Paused(index);
                } else {
                    run.request(prepared, reply);
                    session.is_over_output_limit = reply.room() == 0;
                    if session.close_after_reply || session.is_over_output_limit {
                        *progress = Progress::Close(index + 1);
                    } else if session.blocked.is_some() {
                        *progress = Progress::Blocked(index + 1);
                    }
                }
                if *progress != Progress::Done {
                    number += requests.len() - index - 1;
                    break;
                }
            }
        }
        drop(locks);
        eviction::hold_new_limit(self.server, &mut self.lease, &mut self.journal.effects);
        self.journal.effects.finish(self.server, Some(self.worker));
        self.recorder.finish(&mut self.journal);
    }

    /// Serves all who wait for the keys that a client waits for: it may find something by now.
    pub fn try_again(&mut self, blocked: &Blocked, attendant: &mut dyn Attendant) {
        self.now_ms = unix_ms();
        let clock = eviction::access_clock(&self.server.config, self.now_ms);
        let mut locks = Locks::new(&self.server.keyspace, clock);
        self.recorder.begin();
        self.journal.ready.extend(blocked.awaited());
        blocking::serve(self, &mut locks, attendant);
        drop(locks);
        self.journal.effects.finish(self.server, Some(self.worker));
        self.recorder.finish(&mut self.journal);
    }

    /// Takes the present time for what comes.
    pub(crate) fn look_at_the_clock(&mut self) {
        self.now_ms = unix_ms();
    }

    /// Runs a command again that waits, under the locks of its keys.
    pub(crate) fn retry(
        &mut self,
        command: &'static Command,
        args: &[&[u8]],
        session: &mut Session,
        locks: &mut Locks<'static>,
        attendant: &mut dyn Attendant,
        reply: &mut Reply,
    ) {
        let now_ms = self.now_ms;
        let call = call::Call::indirect(command, args, now_ms);
        let Executor { server, journal, random, recorder, .. } = self;
        call::run(server, call, session, locks, journal, random, recorder, attendant, reply);
    }

    /// Answers a command that waited, and that its user may not run any more.
    pub(crate) fn refuse(
        &mut self,
        command: &'static Command,
        args: &[&[u8]],
        session: &mut Session,
        denial: &acl::Denial,
        reply: &mut Reply,
    ) {
        let error = acl::refusal(self.server, session, command, args, denial);
        self.recorder.reject(Some(command.number), &error.code());
        reply.error(&error.text());
    }

    /// Hashes the command's key.
    #[inline]
    pub(crate) fn prepare(&self, resolved: Resolved, args: &[&[u8]], db: usize) -> Prepared {
        let single = match resolved {
            Resolved::Command(command) => command.single_key.filter(|&at| at < args.len()),
            _ => None,
        };
        let keyspace = &self.server.keyspace;
        let hashed = single.map(|at| (at, keyspace.hasher().hash(args[at])));
        let shard = hashed.map_or(0, |(_, hash)| keyspace.shard_of(hash));
        let element = match resolved {
            Resolved::Command(command) if command.spec.element > 0 => {
                args.get(command.spec.element).map(|name| element_hash(name))
            }
            _ => None,
        };
        Prepared { resolved, hashed, element, shard, db }
    }
}

/// One request on its way.
struct Run<'r, 'a> {
    executor: &'r mut Executor,
    session: &'r mut Session,
    args: &'a [&'a [u8]],
    shared: SharedArgs<'a>,
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
        let Resolved::Command(command) = prepared.resolved else { return false };
        pause::holds_back(self.server(), mode, self.session, command, self.args)
    }

    fn request(&mut self, prepared: &Prepared, reply: &mut Reply) {
        if self.session.receives {
            // What came before this request is read before its answer.
            mailbox::deliver(self.session, reply);
        }
        self.answer_if_wanted(prepared, reply);
        self.executor.journal.quota.release(0);
        self.executor.server.measure_changed(&mut self.executor.lease, self.locks);
        if !self.executor.journal.ready.is_empty() {
            blocking::serve(self.executor, self.locks, self.attendant);
        }
        if self.session.receives {
            tracking::end_request(self.session, &prepared.resolved);
            mailbox::deliver(self.session, reply);
        }
    }

    fn answer_if_wanted(&mut self, prepared: &Prepared, reply: &mut Reply) {
        let mark = reply.mark();
        let before = self.session.reply_mode;
        self.answer(prepared, reply);
        let after = &mut self.session.reply_mode;
        if (before, *after) == (ReplyMode::On, ReplyMode::On) {
            return;
        }
        // CLIENT REPLY: what is not wanted was built, and is dropped.
        let dropped = before != ReplyMode::On && *after != ReplyMode::On;
        if dropped && !pubsub::is_always_sent(&prepared.resolved, reply, mark) {
            reply.truncate(mark);
        }
        *after = match *after {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            other => other,
        };
    }

    fn answer(&mut self, prepared: &Prepared, reply: &mut Reply) {
        self.session.last_command = match prepared.resolved {
            Resolved::Command(command) => command.number + 1,
            Resolved::Unknown | Resolved::UnknownSubcommand(_) => 0,
        };
        let command = match self.admit(prepared) {
            Ok(command) => command,
            Err(rejection) => {
                self.reject(&rejection, reply);
                return;
            }
        };
        if self.session.transaction.is_some() && !transaction::runs_at_once(command.name) {
            match self.enqueue(command) {
                Ok(()) => reply.simple("QUEUED"),
                Err(_) => {
                    let error = CommandError::OutOfMemory;
                    self.reject(&Rejection { error, command: Some(command) }, reply);
                }
            }
            return;
        }
        if command.name == "exec"
            && let Some(transaction) = self.session.transaction.take()
        {
            self.session.executing = Some(transaction.queue.len());
            self.session.time_us = Some(unix_us());
            self.exec(command, &transaction, reply);
            self.session.time_us = None;
            self.session.executing = None;
            return;
        }
        self.session.may_block = command.spec.flags.has(Flags::BLOCKING);
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
        if command.spec.flags.has(Flags::PUBSUB) {
            // No data is needed, not even if a channel is in the place of a key: others may have
            // what is still held of the command before.
            self.locks.release();
            Ok(())
        } else if let Some((_, hash)) = hashed {
            self.locks.hold_one(keyspace.shard_of(hash))
        } else if transaction::releases_watches(command.name) {
            let mut shards: Vec<_> = transaction::watched_shards(self.session, keyspace).collect();
            self.locks.hold_set(&mut shards)
        } else if !command.spec.keys.is_empty() && keyspace.shards() == 1 {
            self.locks.hold_one(0)
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
            shared_args: self.shared,
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
        self.session.may_block = false;
        let verdict = transaction::verdict(self.session, transaction, self.locks, self.now_ms);
        transaction::unwatch(self.session, self.locks);
        let failed = match verdict {
            transaction::Verdict::Run => {
                reply.array(transaction.queue.len());
                for queued in &transaction.queue {
                    let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
                    let command = queued.command;
                    if let Err(error) = acl::admit_queued(server, self.session, command, &args) {
                        recorder.reject(Some(command.number), &error.code());
                        reply.error(&error.text());
                        continue;
                    }
                    let call = call::Call::indirect(command, &args, self.now_ms);
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
                recorder.count_error("EXECABORT");
                reply.error("EXECABORT Transaction discarded because of previous errors.");
                true
            }
        };
        monitor::feed(server, self.session, command, self.args);
        recorder.end_exec(command, failed);
    }

    /// Whether a request may run, in the order in which Redis asks.
    fn admit(&mut self, prepared: &Prepared) -> Result<&'static Command, Rejection> {
        let command = match prepared.resolved {
            Resolved::Command(command) => command,
            Resolved::Unknown => return Err(Rejection::unknown(self.args)),
            Resolved::UnknownSubcommand(command) => {
                return Err(Rejection::unknown_subcommand(command, self.args));
            }
        };
        let reject = |error| Err(Rejection { error, command: Some(command) });
        if self.session.starved {
            return reject(CommandError::OutOfMemory);
        }
        let flags = command.spec.flags;
        if !command.spec.arity_allows(self.args.len()) {
            return reject(CommandError::WrongArity(command.name.into()));
        }
        let server = self.server();
        if !self.session.authenticated && !flags.has(Flags::NO_AUTH) && server.acl.needs_password()
        {
            return reject(CommandError::new("NOAUTH Authentication required."));
        }
        if server.keyspace.gate.is_busy() && !flags.has(Flags::ALLOW_BUSY) {
            return Err(Rejection::busy(self.server(), command));
        }
        if self.session.transaction.is_some() && flags.has(Flags::NO_MULTI) {
            return reject(CommandError::new("ERR Command not allowed inside a transaction"));
        }
        if let Err(error) = acl::admit(server, self.session, command, self.args) {
            return reject(error);
        }
        if (flags.has(Flags::DENYOOM) || command.may_run_others()) && !self.has_room(command) {
            return reject(CommandError::OutOfMemory);
        }
        if server.partitions.has_limits() {
            let journal = &mut self.executor.journal;
            let (locks, session) = (&mut *self.locks, &*self.session);
            if let Err(error) = limits::admit(server, journal, locks, session, command, self.args) {
                return reject(error);
            }
        }
        let only_messages =
            self.session.is_subscribed() && self.session.protocol == Protocol::Resp2;
        if only_messages && !pubsub::is_allowed_while_subscribed(command.name) {
            return reject(CommandError::new(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                command.name
            )));
        }
        Ok(command)
    }

    /// Makes room for a command that may need memory; whether it may run. A script is told of
    /// the limit by itself.
    fn has_room(&mut self, command: &Command) -> bool {
        let Executor { server, lease, journal, .. } = &mut *self.executor;
        if lease.covers(server, command, self.bytes) {
            return true;
        }
        // Victims are in any shard.
        self.locks.release();
        if eviction::make_room(server, lease, self.bytes, &mut journal.effects) {
            return true;
        }
        let queue = self.session.transaction.iter().flat_map(|transaction| &transaction.queue);
        let mut queued = queue.map(|queued| queued.command);
        let needs = |command: &Command| command.spec.flags.has(Flags::DENYOOM);
        let denied = needs(command) || (command.name == "exec" && queued.any(needs));
        !denied
    }

    fn reject(&mut self, rejection: &Rejection, reply: &mut Reply) {
        let is_exec = rejection.command.is_some_and(|command| command.name == "exec");
        if let Some(transaction) = &mut self.session.transaction {
            transaction.aborted = true;
        }
        let number = rejection.command.map(|command| command.number);
        self.executor.recorder.reject(number, &rejection.error.code());
        if is_exec {
            // A refused EXEC ends the transaction, and says so even if there is none.
            self.session.transaction = None;
            self.locks.release();
            transaction::forget_watches(self.session, self.locks.keyspace());
            let text = rejection.error.text();
            let text = text.strip_prefix("ERR ").unwrap_or(&text);
            reply.error(&format!("EXECABORT Transaction discarded because of: {text}"));
            return;
        }
        reply.error(&rejection.error.text());
    }

    fn enqueue(&mut self, command: &'static Command) -> Result<(), OutOfMemory> {
        scratch::require(self.args.iter().map(|arg| arg.len() + 32).sum())?;
        let args: Vec<Vec<u8>> = self.args.iter().map(|arg| arg.to_vec()).collect();
        if let Some(transaction) = &mut self.session.transaction {
            transaction.bytes += args.iter().map(|arg| arg.capacity() + 24).sum::<usize>();
            if command.name == "select" {
                let db = args.get(1).and_then(|db| parse_i64(db)?.try_into().ok());
                let databases = self.executor.server.keyspace.databases();
                transaction.db = db.filter(|&db| db < databases).or(transaction.db);
            }
            transaction.queue.push(Queued { command, args });
        }
        self.session.last_command = command.number + 1;
        Ok(())
    }
}
