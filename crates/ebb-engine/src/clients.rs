//! What other threads may know of a client and do to it.
//!
//! A connection belongs to one worker. Its [`Client`] is the part that is shared: figures
//! for CLIENT LIST, written by the worker once a batch with relaxed stores, and a
//! mailbox through which another thread sends it output or asks it to close.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::acl::DEFAULT;
use crate::blocking::Blocked;
use crate::mailbox::Mailbox;
use crate::tracking::TrackingMode;

/// A client's figures; each is a snapshot of the last batch.
#[derive(Debug, Default)]
pub struct ClientFigures {
    /// Milliseconds since 1970 of its last command.
    pub last_active_ms: AtomicI64,
    /// Database selected.
    pub db: AtomicUsize,
    /// Commands queued by MULTI, -1 outside of a transaction.
    pub multi: AtomicI64,
    /// Keys watched.
    pub watch: AtomicUsize,
    /// Bytes in the query buffer, and its spare room.
    pub query_buffer: AtomicUsize,
    /// See `query_buffer`.
    pub query_buffer_free: AtomicUsize,
    /// Bytes of the arguments being collected.
    pub argv_mem: AtomicUsize,
    /// Bytes of large values that are being read. They lie in the heap, and count in the three
    /// figures above.
    pub arriving: AtomicUsize,
    /// Bytes of queued commands.
    pub multi_mem: AtomicUsize,
    /// Bytes of output waiting for the socket.
    pub output_bytes: AtomicUsize,
    /// Bytes among them that wait by reference: values of keys, and messages to several clients.
    pub output_shared: AtomicUsize,
    /// Chunks they are in.
    pub output_chunks: AtomicUsize,
    /// Number of the last command in the command table, plus one.
    pub command: AtomicUsize,
    /// 2 or 3.
    pub protocol: AtomicU32,
    /// CLIENT NO-EVICT.
    pub no_evict: AtomicBool,
    /// CLIENT NO-TOUCH.
    pub no_touch: AtomicBool,
    /// Receives MONITOR's stream.
    pub monitor: AtomicBool,
    /// Its transaction will fail because a watched key has changed.
    pub dirty: AtomicBool,
    /// Will be closed after its pending output.
    pub closing: AtomicBool,
    /// Held back by CLIENT PAUSE.
    pub paused: AtomicBool,
    /// Bytes read from and written to its socket.
    pub net_in: AtomicU64,
    /// See `net_in`.
    pub net_out: AtomicU64,
    /// Commands run.
    pub commands: AtomicU64,
    /// Channels it listens to.
    pub channels: AtomicUsize,
    /// Patterns.
    pub patterns: AtomicUsize,
    /// Shard channels.
    pub shard_channels: AtomicUsize,
    /// Prefixes of CLIENT TRACKING.
    pub prefixes: AtomicUsize,
    /// What it took when it was weighed last, for `maxmemory-clients`.
    pub(crate) weighed: AtomicUsize,
}

/// Names that a client gave itself.
#[derive(Debug, Clone)]
pub struct ClientNames {
    /// CLIENT SETNAME.
    pub name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: String,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: String,
    /// The user it authenticated as.
    pub user: Arc<[u8]>,
}

impl Default for ClientNames {
    fn default() -> ClientNames {
        ClientNames {
            name: String::new(),
            lib_name: String::new(),
            lib_version: String::new(),
            user: DEFAULT.into(),
        }
    }
}

/// The shared part of a connection.
#[derive(Debug)]
pub struct Client {
    /// Its number, never used again.
    pub id: u64,
    /// The worker it belongs to.
    worker: AtomicUsize,
    /// Its socket.
    pub fd: i32,
    /// Peer address, `ip:port` or `path:0`.
    pub address: String,
    /// Local address in the same form.
    pub local_address: String,
    /// Whether it came through a unix socket.
    pub is_unix: bool,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// Figures.
    pub figures: ClientFigures,
    /// Names.
    pub names: Mutex<ClientNames>,
    /// CLIENT TRACKING.
    pub tracking: Mutex<Option<TrackingMode>>,
    killed: AtomicBool,
    pub(crate) mailbox: Mutex<Mailbox>,
    /// The command that it waits in.
    pub(crate) blocked: Mutex<Option<Arc<Blocked>>>,
}

impl Client {
    /// Whether it waits in a command.
    pub fn is_blocked(&self) -> bool {
        self.blocked.lock().as_ref().is_some_and(|blocked| !blocked.is_over())
    }

    /// Whether it waits in a command until some time.
    pub fn has_deadline(&self) -> bool {
        let blocked = self.blocked.lock();
        blocked.as_ref().is_some_and(|b| b.deadline_ms.is_some() && !b.is_over())
    }

    /// Forgets the wait that is over.
    pub fn clear_blocked(&self) {
        *self.blocked.lock() = None;
    }

    /// The worker it belongs to. It may have moved to another by the time that this one hears of
    /// it; the worker passes on what it is told.
    #[inline]
    pub fn worker(&self) -> usize {
        self.worker.load(Ordering::Relaxed)
    }

    /// Notes that it belongs to another worker from now on.
    pub fn move_to(&self, worker: usize) {
        self.worker.store(worker, Ordering::Relaxed);
    }

    /// Asks its worker to close it; see [`crate::Server::attend`].
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
    }

    /// Whether somebody asked to close it.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }
}

/// Where a connection came from.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The worker that owns it.
    pub worker: usize,
    /// Its socket.
    pub fd: i32,
    /// Peer address.
    pub address: String,
    /// Local address.
    pub local_address: String,
    /// Whether it is a unix socket.
    pub is_unix: bool,
}

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    next_id: AtomicU64,
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    /// Registers a connection.
    pub fn add(&self, peer: Peer, now_ms: i64) -> Arc<Client> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client {
            id,
            worker: AtomicUsize::new(peer.worker),
            fd: peer.fd,
            address: peer.address,
            local_address: peer.local_address,
            is_unix: peer.is_unix,
            created_ms: now_ms,
            figures: ClientFigures::default(),
            names: Mutex::default(),
            killed: AtomicBool::new(false),
            tracking: Mutex::default(),
            mailbox: Mutex::default(),
            blocked: Mutex::default(),
        });
        client.figures.last_active_ms.store(now_ms, Ordering::Relaxed);
        client.figures.multi.store(-1, Ordering::Relaxed);
        client.figures.protocol.store(2, Ordering::Relaxed);
        self.by_id.lock().insert(id, Arc::clone(&client));
        client
    }

    /// Forgets a connection that has closed.
    pub fn remove(&self, id: u64) {
        self.by_id.lock().remove(&id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.lock().get(&id).cloned()
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.by_id.lock().values().cloned().collect()
    }
}
