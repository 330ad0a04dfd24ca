//! A worker: an event loop that owns connections and runs their commands to completion.
//!
//! The first worker also accepts, and hands connections out to the one of those that serve that has
//! fewest.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ebb_config::id;
use ebb_engine::{Executor, PauseMode, Peer, Reply, Request, Server, transaction, unix_ms};
use ebb_heap::ArenaId;
use mio::event::{Event, Source};
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;

use crate::connection::{Connection, Fate, Mail, READ_BYTES, Socket, Tools};
use crate::group::Group;
use crate::io as system;
use crate::listener::Listener;

mod admission;
mod attending;
mod claiming;
mod coalescing;
mod grouping;
mod spreading;
mod waiting;

use coalescing::Coalescing;
use spreading::Load;

const WAKER: Token = Token(usize::MAX);
/// Listeners have the tokens from here on, connections those below.
const LISTENERS: usize = usize::MAX / 2;
/// How often a worker looks after idle connections.
const TICK: Duration = Duration::from_millis(250);
/// How long the others wait at the end until the first worker has closed the listening sockets.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection on its way to its worker.
pub(crate) enum Arrival {
    New(Socket, Peer),
    /// It was another worker's.
    Moved(Box<Connection>),
}

/// What others leave for a worker.
#[derive(Default)]
pub(crate) struct Inbox {
    arrivals: Mutex<Vec<Arrival>>,
    /// New listening sockets for the first worker, in the place of the old ones.
    listeners: Mutex<Option<Vec<Listener>>>,
    /// The first worker has closed the listening sockets.
    is_closed: AtomicBool,
}

static INBOXES: OnceLock<Box<[Inbox]>> = OnceLock::new();

/// Makes the inboxes of all workers; once in a process.
pub(crate) fn make_inboxes(workers: usize) {
    INBOXES.get_or_init(|| (0..workers).map(|_| Inbox::default()).collect());
}

fn inbox(worker: usize) -> &'static Inbox {
    match INBOXES.get() {
        Some(inboxes) => &inboxes[worker],
        None => unreachable!("inboxes are made before workers start"),
    }
}

/// Puts other listening sockets in the place of those in use.
pub(crate) fn replace_listeners(server: &Server, listeners: Vec<Listener>) {
    *inbox(0).listeners.lock() = Some(listeners);
    server.workers[0].wake();
}

pub(crate) struct Worker {
    number: usize,
    server: &'static Server,
    poll: Poll,
    /// Not here while a batch runs.
    executor: Option<Box<Executor>>,
    buffer: Box<[u8]>,
    reply: Reply,
    requests: Vec<Request>,
    group: Group,
    arena: ArenaId,
    connections: Vec<Option<Box<Connection>>>,
    vacant: Vec<usize>,
    by_id: HashMap<u64, usize, ahash::RandomState>,
    /// When to look after clients that wait in a command: milliseconds since 1970, and the client.
    deadlines: BTreeSet<(i64, u64)>,
    /// Connections that have more to do without another event.
    again: Vec<usize>,
    /// Those of them whose turn is in this round.
    turns: VecDeque<usize>,
    /// Connections whose requests may take long: they run after those of the others.
    aside: VecDeque<usize>,
    /// Clients that need attention while their connections are lent.
    unheeded: Vec<u64>,
    listeners: Vec<Listener>,
    /// Those at which there may be connections to accept: no other event tells of what has come.
    knocking: BTreeSet<usize>,
    /// Those at which accepting failed: the next tick tries again.
    turned_away: BTreeSet<usize>,
    coalescing: Coalescing,
    load: Load,
    /// Room for messages on their way from a mailbox, empty in between.
    mail: Mail,
    /// The pauses that are over here.
    pauses: u64,
    /// The audit's round that was answered last.
    audited: u64,
}

impl Worker {
    /// A worker whose loop can be woken from now on.
    pub(crate) fn new(
        server: &'static Server,
        number: usize,
        listeners: Vec<Listener>,
    ) -> io::Result<Worker> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        server.workers[number].set_waker(Box::new(move || {
            // Fails only if the loop is gone, and then nobody needs to wake.
            let _ = waker.wake();
        }));
        let mut worker = Worker {
            number,
            server,
            poll,
            executor: None,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            reply: Reply::default(),
            requests: Vec::new(),
            group: Group::default(),
            arena: server.workers[number].arena,
            connections: Vec::new(),
            vacant: Vec::new(),
            // The server numbers clients itself: nobody can choose numbers that collide.
            by_id: HashMap::with_hasher(ahash::RandomState::with_seeds(0, 0, 0, 0)),
            again: Vec::new(),
            turns: VecDeque::new(),
            aside: VecDeque::new(),
            unheeded: Vec::new(),
            listeners: Vec::new(),
            knocking: BTreeSet::new(),
            turned_away: BTreeSet::new(),
            coalescing: Coalescing::new(),
            load: Load::new(),
            mail: Mail::default(),
            pauses: 0,
            audited: 0,
            deadlines: BTreeSet::new(),
        };
        worker.listen(listeners)?;
        Ok(worker)
    }

    fn listen(&mut self, listeners: Vec<Listener>) -> io::Result<()> {
        for (at, mut listener) in listeners.into_iter().enumerate() {
            let token = Token(LISTENERS + at);
            let source: &mut dyn Source = match &mut listener {
                Listener::Tcp(listener) => listener,
                Listener::Unix(listener, _) => listener,
            };
            self.poll.registry().register(source, token, Interest::READABLE)?;
            self.listeners.push(listener);
        }
        Ok(())
    }

    /// Runs until the server stops.
    pub(crate) fn run(mut self) {
        system::sleep_precisely();
        let mut events = Events::with_capacity(1024);
        let mut last_tick = Instant::now();
        while !self.server.is_stopping() {
            let is_busy = !self.again.is_empty()
                || !self.knocking.is_empty()
                || self.server.workers[self.number].is_told();
            let timeout = if is_busy { Duration::ZERO } else { self.sleep() };
            if let Some(sleep) = self.coalesce()
                && !is_busy
            {
                std::thread::sleep(sleep);
            }
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!("Event loop failed: {error}");
                    self.server.request_shutdown(ebb_engine::ShutdownRequest::default());
                    return;
                }
            }
            let round = Instant::now();
            self.claim_if_asked();
            self.turns.extend(self.again.drain(..));
            self.handle(&events);
            self.run_rest();
            if self.server.workers[self.number].is_told() {
                // Commands that ran here left messages for clients of this worker.
                self.heed();
            }
            if !self.deadlines.is_empty() {
                self.time_out();
            }
            if round - last_tick >= TICK {
                last_tick = round;
                self.tick();
            }
            let took = round.elapsed();
            self.count_round(took);
            self.watch_load(round, took);
        }
        self.finish();
    }

    fn count_round(&self, took: Duration) {
        let counters = &self.server.counters;
        counters.rounds.fetch_add(1, Ordering::Relaxed);
        counters.round_nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Ends a round: how long to let events gather before the next.
    fn coalesce(&mut self) -> Option<Duration> {
        let limit = self.server.config.get(id::EVENT_COALESCING_US);
        self.coalescing.end_round(Duration::from_micros(limit.into()), Instant::now)
    }

    fn handle(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                WAKER => {
                    // They look for connections that may be in the group.
                    self.run_group();
                    self.take_arrivals();
                    self.heed();
                    self.end_pauses();
                }
                Token(at) if at >= LISTENERS => drop(self.knocking.insert(at - LISTENERS)),
                Token(at) => self.serve(at, event),
            }
        }
        self.run_group();
        self.accept();
    }

    /// Sends what is ready to clients before the end. Nobody may be let in who has seen the
    /// connection to the server close: the listening sockets are closed first.
    fn finish(&mut self) {
        self.listeners.clear();
        let closed = &inbox(0).is_closed;
        closed.fetch_or(self.number == 0, Ordering::AcqRel);
        let since = Instant::now();
        while !closed.load(Ordering::Acquire) && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        for connection in self.connections.iter_mut().flatten() {
            connection.writable(self.server);
        }
    }

    fn with<R>(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut Connection, &mut Tools<'_>) -> R,
    ) -> Option<R> {
        let mut connection = self.connections.get_mut(at)?.take()?;
        let mut loan = self.lend();
        let mut tools = Tools {
            server: self.server,
            executor: &mut loan.executor,
            buffer: &mut loan.buffer,
            reply: &mut loan.reply,
            requests: &mut loan.requests,
            arena: self.arena,
            attendant: self,
        };
        let result = work(&mut connection, &mut tools);
        self.take_back(loan);
        self.connections[at] = Some(connection);
        Some(result)
    }

    fn serve(&mut self, at: usize, event: &Event) {
        let Some(Some(connection)) = self.connections.get_mut(at) else {
            // It is lent, or gone: no other event will tell of what has come.
            self.again.push(at);
            return;
        };
        self.coalescing.count(&mut connection.counted_in);
        if event.is_readable() && connection.is_fresh() {
            self.join(at, event.is_read_closed());
            return;
        }
        let server = self.server;
        let fate = self.with(at, |connection, tools| {
            connection.peer_ended |= event.is_read_closed();
            if event.is_writable() && !connection.output.is_empty() {
                let fate = connection.writable(server);
                if fate != Fate::Wait {
                    return fate;
                }
            }
            if event.is_readable() { connection.readable(tools) } else { Fate::Wait }
        });
        self.settle(at, fate);
    }

    fn go_on(&mut self, at: usize) {
        let fate = self.with(at, Connection::resume);
        self.settle(at, fate);
    }

    /// Does what an event's outcome asks for.
    fn settle(&mut self, at: usize, fate: Option<Fate>) {
        match fate {
            None => {}
            Some(Fate::Close) => self.close(at),
            Some(Fate::Again) => {
                self.again.push(at);
                self.watch(at);
            }
            Some(Fate::Aside) => self.aside.push_back(at),
            Some(Fate::Wait) => self.watch(at),
        }
        let blocked = self.connections.get(at).and_then(|connection| {
            connection.as_ref().filter(|connection| connection.blocked)?.session.blocked.as_ref()
        });
        if let Some(due_ms) = blocked.and_then(|blocked| blocked.due_ms())
            && let Some(Some(connection)) = self.connections.get(at)
        {
            self.deadlines.insert((due_ms, connection.session.id()));
        }
    }

    /// Watches a socket for room to write while output waits, and only then.
    fn watch(&mut self, at: usize) {
        let Some(Some(connection)) = self.connections.get_mut(at) else { return };
        let wanted = !connection.output.is_empty();
        if wanted == connection.watches_writable {
            return;
        }
        connection.watches_writable = wanted;
        let interest =
            if wanted { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let source = connection.socket.source();
        if self.poll.registry().reregister(source, Token(at), interest).is_err() {
            self.close(at);
        }
    }

    fn close(&mut self, at: usize) {
        if self.server.is_stopping() {
            return; // See `finish`.
        }
        let Some(connection) = self.connections.get_mut(at).and_then(Option::take) else { return };
        let mut connection = connection;
        // The socket is closed in any case.
        let _ = self.poll.registry().deregister(connection.socket.source());
        connection.abandon_wait(self.server);
        transaction::forget_watches(&mut connection.session, &self.server.keyspace);
        connection.session.let_go(self.server);
        self.server.clients.remove(connection.session.id());
        self.server.forget_weight(&connection.session.client);
        self.by_id.remove(&connection.session.id());
        self.vacant.push(at);
        self.server.workers[self.number].connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// An empty place for a connection.
    fn vacancy(&mut self) -> usize {
        self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        })
    }

    /// Takes in connections and listening sockets that other threads left.
    fn take_arrivals(&mut self) {
        let arrivals = std::mem::take(&mut *inbox(self.number).arrivals.lock());
        for arrival in arrivals {
            match arrival {
                Arrival::New(socket, peer) => self.adopt(socket, peer),
                Arrival::Moved(connection) => self.receive(connection),
            }
        }
        let listeners = inbox(self.number).listeners.lock().take();
        if let Some(listeners) = listeners {
            self.listeners.clear();
            if let Err(error) = self.listen(listeners) {
                tracing::warn!("Cannot listen on the new sockets: {error}");
            }
        }
    }

    /// Looks after clients to which others sent something, or whom they want to be closed.
    fn heed(&mut self) {
        let server = self.server;
        let mut mail = std::mem::take(&mut self.mail);
        let mut clients = std::mem::take(&mut self.unheeded);
        clients.extend(server.workers[self.number].take_attention());
        for client in clients {
            let Some(&at) = self.by_id.get(&client) else {
                self.pass_on(client);
                continue;
            };
            let Some(connection) = &mut self.connections[at] else {
                self.unheeded.push(client);
                continue;
            };
            let fate = if connection.session.client.is_killed() {
                Fate::Close
            } else {
                connection.deliver(server, &mut mail)
            };
            let waits = connection.session.blocked.is_some();
            self.settle(at, Some(fate));
            if waits {
                self.end_wait(at);
            }
        }
        mail.trim();
        self.mail = mail;
    }

    /// Goes on with what was held back, if there was a pause since the last look.
    fn end_pauses(&mut self) {
        let pauses = self.server.pauses();
        if self.pauses == pauses {
            return;
        }
        if self.server.paused(unix_ms()) == PauseMode::Off {
            self.pauses = pauses;
        }
        for at in 0..self.connections.len() {
            if self.connections[at].as_ref().is_some_and(|connection| connection.paused) {
                self.go_on(at);
            }
        }
    }

    /// Looks after idle connections.
    fn tick(&mut self) {
        self.knocking.append(&mut self.turned_away);
        let now_ms = unix_ms();
        let timeout_ms = i64::from(self.server.config.get(id::TIMEOUT)) * 1000;
        let mut buffer_bytes = 0;
        for at in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[at] else { continue };
            buffer_bytes += connection.buffer_bytes();
            let idle_ms =
                now_ms - connection.session.client.figures.last_active_ms.load(Ordering::Relaxed);
            connection.trim(idle_ms > 2000);
            let listens = connection.session.monitor
                || connection.session.is_subscribed()
                || connection.blocked;
            let timed_out = timeout_ms > 0 && idle_ms > timeout_ms && !listens;
            let too_much =
                !connection.output.is_empty() && connection.is_over_output_limit(self.server);
            if timed_out {
                tracing::debug!("Closing idle client");
            }
            if too_much {
                connection.close_over_limit(self.server);
            }
            if timed_out || too_much {
                self.close(at);
            }
        }
        let worker = &self.server.workers[self.number];
        worker.buffer_bytes.store(buffer_bytes, Ordering::Relaxed);
        let usage = system::usage(system::Who::ThisThread);
        worker.cpu_user_us.store(usage.user_us, Ordering::Relaxed);
        worker.cpu_system_us.store(usage.system_us, Ordering::Relaxed);
        if self.number == 0 {
            self.server.spread.rest(Instant::now());
        }
        self.share_out();
    }
}
