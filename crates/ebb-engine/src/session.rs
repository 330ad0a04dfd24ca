//! What the server keeps for one connection between its commands.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ebb_keyspace::Watcher;
use ebb_resp::Protocol;

use crate::acl::Access;
use crate::blocking::Blocked;
use crate::clients::Client;
use crate::pubsub::Subscriber;
use crate::server::Server;
use crate::table::Command;
use crate::tracking::OwnTracking;

/// Whether replies are sent (CLIENT REPLY).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// Always.
    #[default]
    On,
    /// Never.
    Off,
    /// Not for the command that runs and the next one.
    SkipNext,
    /// Not for the next command.
    Skip,
}

/// A command kept for EXEC.
#[derive(Debug)]
pub struct Queued {
    /// Which.
    pub command: &'static Command,
    /// Its arguments, the name first.
    pub args: Vec<Vec<u8>>,
}

/// The state of MULTI.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Commands so far.
    pub queue: Vec<Queued>,
    /// A command could not be queued: EXEC will fail.
    pub aborted: bool,
    /// Bytes of the queued arguments.
    pub bytes: usize,
    /// The database that the last queued SELECT will select.
    pub db: Option<usize>,
}

/// A key watched by WATCH.
#[derive(Debug)]
pub struct WatchedKey {
    /// Its database.
    pub db: usize,
    /// Its name.
    pub key: Box<[u8]>,
}

/// One connection's state.
#[derive(Debug)]
pub struct Session {
    /// The part that others see.
    pub client: Arc<Client>,
    /// Selected database.
    pub db: usize,
    /// RESP2 or RESP3.
    pub protocol: Protocol,
    /// Has given the password, or needs none.
    pub authenticated: bool,
    /// Its user's permissions.
    pub(crate) access: Access,
    /// MULTI.
    pub transaction: Option<Transaction>,
    /// WATCH: the mark that writers set, and the keys.
    pub watcher: Option<Arc<Watcher>>,
    /// See `watcher`.
    pub watched: Vec<WatchedKey>,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// MONITOR.
    pub monitor: bool,
    /// Close the connection once the replies are written.
    pub close_after_reply: bool,
    /// There was no memory for an argument of the request that comes next.
    pub starved: bool,
    /// Close the connection without sending the replies: they are more than it may have waiting.
    pub is_over_output_limit: bool,
    /// A script runs: commands come from it.
    pub in_script: bool,
    /// The time, in microseconds since 1970, which stands still while a script or a transaction runs.
    pub time_us: Option<i64>,
    /// How many commands the transaction has that runs.
    pub(crate) executing: Option<usize>,
    /// The number of the last command, plus one.
    pub last_command: usize,
    /// SUBSCRIBE and its kin; none if there is no subscription.
    pub(crate) subscriber: Option<Subscriber>,
    /// CLIENT TRACKING.
    pub tracking: Option<Box<OwnTracking>>,
    /// The command that runs may wait.
    pub(crate) may_block: bool,
    /// It stands for a client that waits, while its command runs again.
    pub(crate) is_retry: bool,
    /// The command that runs again found nothing once more.
    pub(crate) would_block: bool,
    /// When it may find something then.
    pub(crate) again_ms: Option<i64>,
    /// The command that the client waits in.
    pub blocked: Option<Arc<Blocked>>,
    /// Messages come to it: after each command they are put behind the reply.
    pub(crate) receives: bool,
}

impl Session {
    /// A new connection's state.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Session {
        Session {
            client,
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            access: Access::default(),
            transaction: None,
            watcher: None,
            watched: Vec::new(),
            reply_mode: ReplyMode::On,
            no_touch: false,
            no_evict: false,
            monitor: false,
            close_after_reply: false,
            starved: false,
            is_over_output_limit: false,
            in_script: false,
            time_us: None,
            executing: None,
            last_command: 0,
            may_block: false,
            is_retry: false,
            would_block: false,
            again_ms: None,
            blocked: None,
            subscriber: None,
            tracking: None,
            receives: false,
        }
    }

    /// Whether the client runs on this machine: what `local` means in guarded directives.
    pub fn is_local(&self) -> bool {
        let ip = self.client.address.rsplit_once(':').map_or("", |(ip, _)| ip);
        let ip = ip.trim_start_matches('[').trim_end_matches(']');
        self.client.is_unix
            || ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    /// Shows others what the session is doing now.
    pub fn publish(&self, now_ms: i64) {
        let figures = &self.client.figures;
        let transaction = self.transaction.as_ref();
        let queued = transaction.map(|transaction| transaction.queue.len()).or(self.executing);
        let queued = queued.map_or(-1, |queued| queued as i64);
        let dirty = self.watcher.as_ref().is_some_and(|watcher| watcher.is_dirty());
        figures.last_active_ms.store(now_ms, Ordering::Relaxed);
        figures.db.store(self.db, Ordering::Relaxed);
        figures.multi.store(queued, Ordering::Relaxed);
        figures.multi_mem.store(transaction.map_or(0, |t| t.bytes), Ordering::Relaxed);
        figures.watch.store(self.watched.len(), Ordering::Relaxed);
        figures.dirty.store(dirty, Ordering::Relaxed);
        figures.command.store(self.last_command, Ordering::Relaxed);
    }

    /// Chooses the protocol; messages that others send come in it from now on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        let number = if protocol == Protocol::Resp3 { 3 } else { 2 };
        self.client.figures.protocol.store(number, Ordering::Relaxed);
    }

    /// Notes whether messages come to it.
    pub(crate) fn update_receives(&mut self) {
        self.receives = self.subscriber.is_some() || self.tracking.is_some();
    }

    /// Ends what others do for the client: its connection is closed, or as new again.
    pub fn let_go(&mut self, server: &Server) {
        self.set_monitor(server, false);
        self.unsubscribe_all(server);
        self.stop_tracking(server);
    }

    /// Starts or ends MONITOR's stream to this client.
    pub fn set_monitor(&mut self, server: &Server, on: bool) {
        if self.monitor != on {
            self.monitor = on;
            self.client.figures.monitor.store(on, Ordering::Relaxed);
            server.add_monitors(if on { 1 } else { -1 });
        }
    }

    /// The client's number.
    pub fn id(&self) -> u64 {
        self.client.id
    }
}
