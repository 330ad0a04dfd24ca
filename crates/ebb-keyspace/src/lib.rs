//! Shards, tables, entries, scanning and expiry: the data, without commands.
//!
//! A [`Keyspace`] is a number of shards, each behind one lock. A key belongs to the shard
//! its hash names. A [`Shard`] has a [`Db`] for each database, and a `Db` has a [`Part`] for
//! the keys of each partition and one for all others: the [`ebb_table::Table`] of its entries,
//! the [`wheel`] of their deadlines and exact counters. [`entry`] says how a key and its value
//! lie in one block of the heap. [`eviction`] finds what goes when memory is short, [`defrag`]
//! moves blocks together, [`audit`] proves that nothing is lost.
//!
//! Nothing here knows of clients, replies or time: callers pass the time and lock the
//! shards. Absent on purpose: commands, expiry on access (the engine does that, because it
//! also tells the journal), I/O.

pub mod audit;
mod counts;
pub mod database;
pub mod defrag;
mod editor;
mod entries;
pub mod entry;
pub mod eviction;
mod gate;
pub mod lazyfree;
pub mod part;
pub mod routes;
mod trash;
pub mod wait;
pub mod watch;
pub mod wheel;

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_collections::Arenas;
use ebb_heap::ArenaId;
use parking_lot::{Mutex, MutexGuard};

pub use ebb_table::same;

pub use counts::Counts;
pub use database::{Db, Found, Settled};
pub use ebb_heap::{OutOfMemory, Shared};
pub use ebb_table::POSITION_BITS;
pub use editor::Editor;
pub use entry::{Entry, EntryMut, EntryRef, StringRef, StringValue, Type, ValueRef};
use eviction::{AccessClock, Search};
pub use gate::Gate;
pub use part::{Deadline, ExpireStep, Expired, Part};
pub use routes::{PartId, Routes, Seat, Totals, Uses};
pub use trash::Trash;
pub use wait::WaitTable;
pub use watch::{Presence, WatchTable, Watcher};

/// How many partitions there can be at a time.
pub const PARTITIONS_MAX: usize = 250;

/// Bytes of the index that a key takes, rounded up.
pub const SLOT_BYTES: usize = ebb_table::BUCKET_BYTES.div_ceil(ebb_table::SLOTS);

/// Hashes keys with a secret seed, so that nobody can choose keys that collide.
#[derive(Clone)]
pub struct KeyHasher(ahash::RandomState);

impl KeyHasher {
    /// A hasher with seeds of its own, unless they are fixed.
    pub fn random() -> KeyHasher {
        KeyHasher(ebb_table::seeds::state())
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

/// A key with its hash, computed once.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    bytes: &'a [u8],
    hash: u64,
}

impl<'a> Key<'a> {
    /// A key whose hash is known.
    #[inline]
    pub fn with_hash(bytes: &'a [u8], hash: u64) -> Key<'a> {
        Key { bytes, hash }
    }

    /// The key's bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its hash.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// One part of the keyspace, behind one lock.
pub struct Shard {
    data: ArenaId,
    clock: AccessClock,
    dbs: Box<[Db]>,
    search: Search,
    /// The same for partitions, by id.
    searches: Vec<Search>,
    /// Who watches keys here.
    pub watch: WatchTable,
    /// Who waits for keys here.
    pub wait: WaitTable,
}

impl Shard {
    /// Sets the access clock for entries that are made or touched from now on.
    #[inline]
    pub fn set_clock(&mut self, clock: AccessClock) {
        self.clock = clock;
    }

    /// A database.
    #[inline]
    pub fn db(&mut self, number: usize) -> &mut Db {
        let db = &mut self.dbs[number];
        db.set_clock(self.clock);
        db
    }

    /// A database, to read.
    #[inline]
    pub fn db_ref(&self, number: usize) -> &Db {
        &self.dbs[number]
    }

    /// All databases.
    pub fn dbs(&mut self) -> &mut [Db] {
        &mut self.dbs
    }

    /// Exchanges two databases.
    pub fn swap_dbs(&mut self, first: usize, second: usize) {
        let (low, high) = (first.min(second), first.max(second));
        if low != high {
            let (before, after) = self.dbs.split_at_mut(high);
            before[low].swap(&mut after[0]);
        }
    }

    /// All databases, to read, and who watches keys in them.
    pub fn dbs_and_watch(&mut self) -> (&[Db], &mut WatchTable) {
        (&self.dbs, &mut self.watch)
    }

    /// Deletes keys of a database that are due, at most `limit` records' worth, and marks
    /// the transactions that watch them. `expired` is told of each.
    pub fn expire_step(
        &mut self,
        db: usize,
        now_ms: i64,
        limit: usize,
        mut expired: impl FnMut(&[u8], Expired),
    ) -> ExpireStep {
        let watch = &mut self.watch;
        self.dbs[db].expire_step(now_ms, limit, |key, what| {
            match what {
                _ if watch.is_empty() => {}
                Expired::Key => watch.touch_expired(db, key),
                Expired::Fields(_) | Expired::Emptied => watch.touch(db, key),
            }
            expired(key, what);
        })
    }

    /// Bytes of the data that are not in the heap: directories, deadlines, histories and what
    /// large collections have there.
    pub fn outside_bytes(&self) -> usize {
        self.dbs.iter().map(Db::outside_bytes).sum()
    }

    /// Where the blocks of collections are allocated.
    pub fn arenas(&self) -> Arenas {
        self.dbs[0].arenas_of(&[])
    }

    /// Where new entries are allocated.
    pub fn arena(&self) -> ArenaId {
        self.data
    }
}

/// All data of the server.
pub struct Keyspace {
    shards: Box<[Mutex<Shard>]>,
    arenas: Box<[(ArenaId, ArenaId)]>,
    /// Arenas of partitions, by id less one and by shard, made when one first has the id.
    partition_arenas: Box<[OnceLock<Box<[ArenaId]>>]>,
    /// Ids below this have had arenas made.
    partitions_made: AtomicUsize,
    hasher: KeyHasher,
    databases: usize,
    trash: Mutex<VecDeque<Trash>>,
    /// Bytes and entries in it.
    trash_bytes: AtomicUsize,
    trash_entries: AtomicUsize,
    /// What keeps those apart who lock several shards.
    pub gate: Gate,
}

impl Keyspace {
    /// An empty keyspace of a power of two shards.
    pub fn new(shards: usize, databases: usize) -> Keyspace {
        assert!(shards.is_power_of_two());
        let hasher = KeyHasher::random();
        let arenas: Box<[_]> = (0..shards).map(|_| (ArenaId::new(), ArenaId::new())).collect();
        let shard = |&(data, index): &(ArenaId, ArenaId)| {
            let dbs = (0..databases).map(|_| Db::new(data, index, hasher.clone())).collect();
            Mutex::new(Shard {
                data,
                clock: AccessClock::default(),
                dbs,
                search: Search::default(),
                searches: Vec::new(),
                watch: WatchTable::default(),
                wait: WaitTable::default(),
            })
        };
        let shards = arenas.iter().map(shard).collect();
        Keyspace {
            shards,
            arenas,
            partition_arenas: (0..PARTITIONS_MAX).map(|_| OnceLock::new()).collect(),
            partitions_made: AtomicUsize::new(0),
            hasher,
            databases,
            trash: Mutex::default(),
            trash_bytes: AtomicUsize::new(0),
            trash_entries: AtomicUsize::new(0),
            gate: Gate::default(),
        }
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.databases
    }

    /// The hasher of its keys.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    /// The shard a hash belongs to.
    #[inline]
    pub fn shard_of(&self, hash: u64) -> usize {
        // Not the top bits, which the tables use, nor the lowest, which are tags.
        (hash >> 8) as usize & (self.shards.len() - 1)
    }

    /// Locks a shard. Whoever locks several does so in ascending order.
    #[inline]
    pub fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock()
    }

    /// Locks a shard, or gives up when somebody holds locks for long.
    pub fn lock_unless_busy(&self, shard: usize) -> Option<MutexGuard<'_, Shard>> {
        self.gate.wait(&self.shards[shard])
    }

    /// Locks a shard if nobody holds it.
    #[inline]
    pub fn try_lock(&self, shard: usize) -> Option<MutexGuard<'_, Shard>> {
        self.shards[shard].try_lock()
    }

    /// The arena of a partition's entries in a shard. Ids are 1 to [`PARTITIONS_MAX`].
    pub fn partition_arena(&self, id: PartId, shard: usize) -> ArenaId {
        let slot = &self.partition_arenas[usize::from(id) - 1];
        let arenas = slot.get_or_init(|| {
            self.partitions_made.fetch_max(id.into(), Ordering::Release);
            (0..self.shards.len()).map(|_| ArenaId::new()).collect()
        });
        arenas[shard]
    }

    /// The arenas of all partitions there ever were.
    pub fn partition_arenas(&self) -> impl Iterator<Item = ArenaId> {
        let made = self.partitions_made.load(Ordering::Acquire);
        let slots = self.partition_arenas[..made].iter();
        slots.filter_map(OnceLock::get).flat_map(|arenas| arenas.iter().copied())
    }

    /// Bytes in blocks of all shards: data, and index.
    pub fn live_bytes(&self) -> (usize, usize) {
        let partitions: usize = self.partition_arenas().map(ArenaId::live_bytes).sum();
        let (data, index) = self.arenas.iter().fold((0, 0), |(data, index), arenas| {
            (data + arenas.0.live_bytes(), index + arenas.1.live_bytes())
        });
        (data + partitions, index)
    }

    /// The arenas of each shard: data, and index.
    pub fn arenas(&self) -> &[(ArenaId, ArenaId)] {
        &self.arenas
    }

    /// Frees contents, at once or later (see [`lazyfree`]).
    pub fn discard(&self, mut trash: Trash) {
        if lazyfree::begin(|| trash.step()) && !trash.is_empty() {
            self.trash_bytes.fetch_add(trash.bytes(), Ordering::Relaxed);
            self.trash_entries.fetch_add(trash.len(), Ordering::Relaxed);
            self.trash.lock().push_back(trash);
        }
    }

    /// Entries and values waiting to be freed.
    pub fn trash_len(&self) -> usize {
        self.trash_entries.load(Ordering::Relaxed) + lazyfree::pending()
    }

    /// About so many bytes are waiting to be freed.
    pub fn trash_bytes(&self) -> usize {
        self.trash_bytes.load(Ordering::Relaxed) + lazyfree::pending_bytes()
    }

    /// Frees some waiting entries; answers whether there were any. Takes no shard's lock.
    pub fn free_trash_step(&self) -> bool {
        if lazyfree::step() {
            return true;
        }
        let Some(mut trash) = self.trash.lock().pop_front() else { return false };
        let before = (trash.bytes(), trash.len());
        // What is large among the values is not counted once more.
        let part = lazyfree::Choice::part();
        trash.step();
        drop(part);
        let freed = before.1 - trash.len();
        lazyfree::count_freed(freed);
        self.trash_bytes.fetch_sub(before.0 - trash.bytes(), Ordering::Relaxed);
        self.trash_entries.fetch_sub(freed, Ordering::Relaxed);
        if !trash.is_empty() {
            self.trash.lock().push_front(trash);
        }
        true
    }
}
