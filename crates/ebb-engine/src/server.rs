//! What all threads of a server share.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::time::{SystemTime, UNIX_EPOCH};

use ebb_config::{Config, id};
use ebb_heap::ArenaId;
use ebb_keyspace::{Keyspace, lazyfree};
use parking_lot::Mutex;
use rand::Rng;

use crate::acl::{Acl, Surroundings};
use crate::client_eviction::ClientLimit;
use crate::clients::{Client, Clients};
use crate::eviction::Eviction;
use crate::latency::LatencyMonitor;
use crate::mailbox::{Message, OutputLimits, Post};
use crate::notify::Followers;
use crate::partitions::Partitions;
use crate::pubsub::PubSub;
use crate::scripting::Scripting;
use crate::slowlog::CommandLogs;
use crate::spread::Spread;
use crate::stats::{Counters, Errors, WorkerTotals};
use crate::table::CommandTable;
use crate::tracking::Tracking;

/// What CLIENT PAUSE holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PauseMode {
    /// Nothing.
    Off = 0,
    /// Commands that may write.
    Write = 1,
    /// All commands.
    All = 2,
}

/// What SHUTDOWN asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownRequest {
    /// Go down even if something would be lost.
    pub force: bool,
    /// Do not wait.
    pub now: bool,
}

/// Wakes a worker's event loop.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// What other threads see of a worker.
pub struct Worker {
    /// Commands it ran.
    pub totals: WorkerTotals,
    /// Where it puts large arguments that it reads, before they are part of the data.
    pub arena: ArenaId,
    /// Clients that need its attention: others left output for them, or asked to close them.
    attention: Mutex<Vec<u64>>,
    /// There are such clients, and it was woken or looks by itself.
    is_told: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// Connections it owns.
    pub connections: AtomicUsize,
    /// Bytes in its connections' buffers.
    pub buffer_bytes: AtomicUsize,
    /// Microseconds that a processor worked for it outside the kernel.
    pub cpu_user_us: AtomicU64,
    /// Microseconds that it worked for it in the kernel.
    pub cpu_system_us: AtomicU64,
}

impl Worker {
    fn new() -> Worker {
        Worker {
            totals: WorkerTotals::default(),
            arena: ArenaId::new(),
            attention: Mutex::default(),
            is_told: AtomicBool::new(false),
            waker: Mutex::default(),
            connections: AtomicUsize::new(0),
            buffer_bytes: AtomicUsize::new(0),
            cpu_user_us: AtomicU64::new(0),
            cpu_system_us: AtomicU64::new(0),
        }
    }

    /// Sets how to wake it.
    pub fn set_waker(&self, waker: Waker) {
        *self.waker.lock() = Some(waker);
    }

    /// Wakes it.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker();
        }
    }

    /// Adds clients that need its attention. It is woken if it may be asleep: not if it was
    /// woken before and has not looked yet, nor by itself.
    pub fn tell(&self, clients: &[u64], may_sleep: bool) {
        self.attention.lock().extend_from_slice(clients);
        if !self.is_told.swap(true, Ordering::AcqRel) && may_sleep {
            self.wake();
        }
    }

    /// Whether clients need attention.
    #[inline]
    pub fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Acquire)
    }

    /// Takes the clients that need attention.
    pub fn take_attention(&self) -> Vec<u64> {
        // Before they are taken: who comes later tells again.
        self.is_told.store(false, Ordering::Release);
        std::mem::take(&mut *self.attention.lock())
    }
}

/// What the memory allocator of everything but keys and values reports, in bytes.
#[derive(Debug, Default)]
pub struct AllocatorFigures {
    /// Handed out, and what threads keep.
    pub allocated: AtomicUsize,
    /// Freed, but kept by threads for what they allocate next.
    pub cached: AtomicUsize,
    /// In pages that hold what was handed out.
    pub active: AtomicUsize,
    /// In physical memory.
    pub resident: AtomicUsize,
    /// What the allocator has for itself.
    pub metadata: AtomicUsize,
}

impl AllocatorFigures {
    /// What is in use.
    pub fn used(&self) -> usize {
        let read = |figure: &AtomicUsize| figure.load(Ordering::Relaxed);
        read(&self.allocated).saturating_sub(read(&self.cached))
    }

    /// In free pages that go back to the system, at once when the allocator is purged.
    pub fn free(&self) -> usize {
        let read = |figure: &AtomicUsize| figure.load(Ordering::Relaxed);
        let kept = read(&self.active) + read(&self.metadata);
        read(&self.resident).saturating_sub(kept)
    }
}

/// Bytes of the process in physical memory, by what they are for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResidentPages {
    /// All.
    pub total: usize,
    /// The program and its libraries: code, constants and variables.
    pub program: usize,
    /// Stacks of the threads.
    pub stacks: usize,
    /// In the ranges that were asked for.
    pub ranges: usize,
}

/// Functions that the process provides, since the engine does no I/O.
pub struct Host {
    /// Reads the allocator's figures anew.
    pub refresh_allocator: fn(&AllocatorFigures),
    /// Asks the allocator to give back what it can.
    pub purge_allocator: fn(),
    /// The allocator's own report (MEMORY MALLOC-STATS).
    pub allocator_report: fn() -> String,
    /// Resident bytes of the process.
    pub resident_bytes: fn() -> usize,
    /// The same by what they are for; looks at the pages in some ranges of addresses.
    pub resident_pages: fn(&[std::ops::Range<usize>]) -> ResidentPages,
    /// CPU time of the process: user and system, in microseconds, then of the main thread.
    pub cpu_times_us: fn() -> CpuTimes,
    /// What was found out at the start.
    pub system: SystemFacts,
    /// A client as CLIENT LIST shows it, appended to a text.
    pub describe_client: fn(&Server, &Client, &mut String),
    /// Bytes that compare as a text does in the locale's order; nothing if its bytes do.
    pub collation_key: fn(&[u8]) -> Option<Vec<u8>>,
    /// Applies a changed directive to sockets, limits and logs.
    pub apply: fn(&Server, &str) -> Result<(), String>,
}

/// What does not change while the process lives.
#[derive(Debug, Clone, Default)]
pub struct SystemFacts {
    /// Name and release of the operating system, and the processor's architecture.
    pub os: String,
    /// Bytes of physical memory.
    pub total_memory: usize,
    /// Path of the program.
    pub executable: String,
    /// Whether a supervisor was found, and which: "no", "systemd", "upstart".
    pub supervised: &'static str,
}

/// CPU time in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTimes {
    /// In the kernel.
    pub system: u64,
    /// In the program.
    pub user: u64,
    /// In the kernel, children.
    pub system_children: u64,
    /// In the program, children.
    pub user_children: u64,
}

/// Everything that is shared. It is made once and lives as long as the process.
pub struct Server {
    /// The configuration.
    pub config: Config,
    /// The data.
    pub keyspace: Keyspace,
    /// The commands.
    pub commands: CommandTable,
    /// The users.
    pub acl: Acl,
    /// The connections.
    pub clients: Clients,
    /// The threads.
    pub workers: Box<[Worker]>,
    /// How many of them serve.
    pub spread: Spread,
    /// Counters.
    pub counters: Counters,
    /// Error replies.
    pub errors: Errors,
    /// Logs of exceptional commands.
    pub logs: CommandLogs,
    /// Scripts and functions.
    pub scripting: Scripting,
    /// What active defragmentation does.
    pub defrag: crate::defrag::Defrag,
    /// The search for leaks.
    pub audit: crate::audit::Audit,
    /// Which keys and prefixes take how much.
    pub surveys: crate::survey::Surveys,
    /// The latency monitor.
    pub latency: LatencyMonitor,
    /// Memory outside of the heap.
    pub allocator: AllocatorFigures,
    /// What is known of the limit on memory.
    pub eviction: Eviction,
    /// Parts of the keyspace with limits of their own.
    pub partitions: Partitions,
    /// What the process provides.
    pub host: Host,
    /// 40 hexadecimal digits, new at each start.
    pub run_id: String,
    /// When it started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Bytes in use when the start was complete.
    pub startup_memory: AtomicUsize,
    /// Whether keys are deleted when their time comes without an access (DEBUG).
    pub active_expire: AtomicBool,
    /// Whether RESTORE takes payloads with wrong checksums (DEBUG).
    pub skip_checksums: AtomicBool,
    /// Changes since the data was last saved.
    pub dirty: AtomicU64,
    /// Seconds since 1970, 24 bits: the clock of LRU.
    pub lru_clock: AtomicU32,
    /// Operations and bytes a second, measured by maintenance.
    pub rates: Rates,
    /// Channels and their subscribers.
    pub pubsub: PubSub,
    /// Who follows changes.
    pub followers: Followers,
    /// Which clients keep copies of which keys.
    pub tracking: Tracking,
    /// How much output may wait for a client.
    pub output_limits: OutputLimits,
    pub(crate) client_limit: ClientLimit,
    /// Whether what is due now and then waits (DEBUG).
    pub cron_paused: AtomicBool,
    monitors: AtomicUsize,
    /// Pauses that began.
    pauses: AtomicU64,
    pause_until_ms: AtomicI64,
    pause_mode: AtomicU8,
    shutdown: Mutex<Option<ShutdownRequest>>,
    stopping: AtomicBool,
}

/// Moving averages of the last seconds.
#[derive(Debug, Default)]
pub struct Rates {
    /// Commands a second.
    pub commands: AtomicU64,
    /// Bytes a second, read.
    pub net_in: AtomicU64,
    /// Bytes a second, written.
    pub net_out: AtomicU64,
    /// Rounds of event loops a second.
    pub rounds: AtomicU64,
    /// Nanoseconds a second that they took.
    pub round_nanos: AtomicU64,
}

impl Rates {
    /// Nanoseconds that a round took of late.
    pub fn nanos_a_round(&self) -> u64 {
        self.round_nanos.load(Ordering::Relaxed) / self.rounds.load(Ordering::Relaxed).max(1)
    }
}

/// Milliseconds since 1970.
pub fn unix_ms() -> i64 {
    unix_us() / 1000
}

/// Microseconds since 1970.
pub fn unix_us() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_micros() as i64,
        Err(_) => 0,
    }
}

/// The heap has arenas for every partition that there can be in so many shards.
const SHARDS_MAX: usize = 256;

impl Server {
    /// A server without connections.
    pub fn new(config: Config, commands: CommandTable, host: Host) -> Server {
        crate::seed::fix(&config); // Before anything is hashed.
        let threads = config.get(id::IO_THREADS) as usize;
        let databases = config.get(id::DATABASES) as usize;
        // One worker needs no more than one lock; several should seldom meet on one. What a shard
        // has of its own should be in the cache: see docs/decisions/0001.
        let shards = if threads == 1 { 1 } else { (threads * 4).next_power_of_two() };
        let shards = shards.min(SHARDS_MAX);
        let mut random = rand::rng();
        let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
        let password = config.get(id::REQUIREPASS);
        let around = Surroundings { commands: &commands, all_channels: false };
        let server = Server {
            acl: Acl::new(&around, password.as_bytes()),
            keyspace: Keyspace::new(shards, databases),
            workers: (0..threads).map(|_| Worker::new()).collect(),
            spread: Spread::new(threads),
            run_id: (0..40).map(|_| digit(random.random_range(0..16))).collect(),
            started_ms: unix_ms(),
            startup_memory: AtomicUsize::new(0),
            config,
            commands,
            host,
            clients: Clients::default(),
            counters: Counters::default(),
            errors: Errors::default(),
            logs: CommandLogs::default(),
            scripting: Scripting::new(threads),
            defrag: Default::default(),
            audit: Default::default(),
            surveys: Default::default(),
            latency: LatencyMonitor::default(),
            allocator: AllocatorFigures::default(),
            eviction: Eviction::new(shards),
            partitions: Partitions::default(),
            active_expire: AtomicBool::new(true),
            skip_checksums: AtomicBool::new(false),
            dirty: AtomicU64::new(0),
            lru_clock: AtomicU32::new(0),
            rates: Rates::default(),
            pubsub: PubSub::default(),
            followers: Followers::default(),
            tracking: Tracking::default(),
            output_limits: OutputLimits::default(),
            client_limit: ClientLimit::default(),
            cron_paused: AtomicBool::new(false),
            monitors: AtomicUsize::new(0),
            pauses: AtomicU64::new(0),
            pause_until_ms: AtomicI64::new(0),
            pause_mode: AtomicU8::new(PauseMode::Off as u8),
            shutdown: Mutex::new(None),
            stopping: AtomicBool::new(false),
        };
        server.update_lru_clock();
        server.output_limits.refresh(&server.config);
        server.followers.refresh(&server.config);
        lazyfree::set_default(server.config.get(id::LAZYFREE_LAZY_SERVER_DEL));
        server
    }

    /// Advances the clock of LRU.
    pub fn update_lru_clock(&self) {
        let seconds = (unix_ms() / 1000) as u32 & 0xff_ffff;
        self.lru_clock.store(seconds, Ordering::Relaxed);
    }

    /// Bytes in use: the heap's and, as last read, the allocator's.
    pub fn used_memory(&self) -> usize {
        let (data, index) = self.keyspace.live_bytes();
        let values: usize = self.workers.iter().map(|worker| worker.arena.live_bytes()).sum();
        let beside: usize = self.arenas_beside().map(ArenaId::live_bytes).sum();
        let used = data + values + index + beside + self.allocator.used();
        self.counters.peak_memory.fetch_max(used as u64, Ordering::Relaxed);
        used
    }

    /// How many workers serve connections: the first ones.
    pub fn serving_workers(&self) -> usize {
        match self.config.get(id::IO_THREADS_ALWAYS_ACTIVE) {
            true => self.workers.len(),
            false => self.spread.serving(),
        }
    }

    /// Makes a client's worker look after it.
    pub fn attend(&self, client: &Client) {
        self.workers[client.worker()].tell(&[client.id], true);
    }

    /// Reads a directive anew that the engine keeps in another form.
    pub fn directive_changed(&self, name: &str) {
        match name {
            "client-output-buffer-limit" => self.output_limits.refresh(&self.config),
            "requirepass" => {
                self.acl.set_default_password(self.config.get(id::REQUIREPASS).as_bytes());
            }
            name if name.starts_with("maxmemory") => {
                // A limit holds from the next command on.
                self.measure_base();
                self.eviction.refresh();
                self.evict_clients();
            }
            "lazyfree-lazy-server-del" => {
                lazyfree::set_default(self.config.get(id::LAZYFREE_LAZY_SERVER_DEL));
            }
            "notify-keyspace-events" => self.followers.refresh(&self.config),
            _ => {}
        }
    }

    /// Makes every worker look after all of its clients that were held back.
    pub fn wake_all(&self) {
        self.workers.iter().for_each(Worker::wake);
    }

    /// Counts clients that receive MONITOR's stream.
    pub fn add_monitors(&self, change: isize) {
        if change > 0 {
            self.monitors.fetch_add(change as usize, Ordering::Relaxed);
        } else {
            self.monitors.fetch_sub(change.unsigned_abs(), Ordering::Relaxed);
        }
    }

    /// Whether any client receives MONITOR's stream.
    #[inline]
    pub fn has_monitors(&self) -> bool {
        self.monitors.load(Ordering::Relaxed) > 0
    }

    /// Sends a line to all monitors.
    pub fn feed_monitors(&self, line: &[u8]) {
        let (line, mut post) = (Message::from(line), Post::default());
        for client in self.clients.all() {
            if client.figures.monitor.load(Ordering::Relaxed) {
                post.leave(self, &client, &line);
            }
        }
        post.send(self, None);
    }

    /// What is held back at this time.
    #[inline]
    pub fn paused(&self, now_ms: i64) -> PauseMode {
        match self.pause_mode.load(Ordering::Relaxed) {
            0 => PauseMode::Off,
            _ if now_ms >= self.pause_until_ms.load(Ordering::Relaxed) => PauseMode::Off,
            1 => PauseMode::Write,
            _ => PauseMode::All,
        }
    }

    /// Milliseconds until a pause is over.
    pub fn pause_left_ms(&self, now_ms: i64) -> i64 {
        match self.paused(now_ms) {
            PauseMode::Off => 0,
            _ => self.pause_until_ms.load(Ordering::Relaxed) - now_ms,
        }
    }

    /// Holds commands back until a time. A pause in force is only ever extended, and never
    /// made weaker.
    pub fn pause(&self, mode: PauseMode, until_ms: i64, now_ms: i64) {
        let current = self.paused(now_ms);
        let (mode, until_ms) = if current == PauseMode::Off {
            (mode, until_ms)
        } else {
            let until = self.pause_until_ms.load(Ordering::Relaxed).max(until_ms);
            (if current == PauseMode::All { current } else { mode }, until)
        };
        self.pause_until_ms.store(until_ms, Ordering::Relaxed);
        self.pause_mode.store(mode as u8, Ordering::Relaxed);
        self.pauses.fetch_add(1, Ordering::Release);
    }

    /// How many pauses there were.
    pub fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Acquire)
    }

    /// Ends a pause.
    pub fn unpause(&self) {
        self.pause_mode.store(PauseMode::Off as u8, Ordering::Relaxed);
        self.wake_all();
    }

    /// Ends a pause whose time is over; answers whether there was one.
    pub fn end_pause_if_over(&self, now_ms: i64) -> bool {
        let over = self.pause_mode.load(Ordering::Relaxed) != PauseMode::Off as u8
            && now_ms >= self.pause_until_ms.load(Ordering::Relaxed);
        if over {
            self.unpause();
        }
        over
    }

    /// When the pause in force ends, in milliseconds since 1970.
    pub fn pause_until_ms(&self) -> i64 {
        self.pause_until_ms.load(Ordering::Relaxed)
    }

    /// Notes that the process is to stop soon, which may still be taken back.
    pub fn schedule_shutdown(&self, request: ShutdownRequest) {
        *self.shutdown.lock() = Some(request);
    }

    /// Whether it is to stop soon.
    pub fn is_shutdown_scheduled(&self) -> bool {
        self.shutdown.lock().is_some()
    }

    /// Asks the process to stop.
    pub fn request_shutdown(&self, request: ShutdownRequest) {
        *self.shutdown.lock() = Some(request);
        self.stopping.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Takes back what was scheduled, as long as the end has not begun; answers whether it did.
    pub fn abort_shutdown(&self) -> bool {
        !self.is_stopping() && self.shutdown.lock().take().is_some()
    }

    /// Whether the process is to stop.
    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
