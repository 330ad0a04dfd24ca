//! The audit: which blocks nobody owns, which owners point nowhere, which counters are wrong,
//! found while clients go on.
//!
//! The heap is watched (see [`ebb_heap::watch`]): every block that is there at the beginning is
//! filed as unclaimed, and freeing or moving a block ends that. Then a *pass* goes over all
//! owners, a slice at a time under the lock of one shard, and claims what they own. What stays
//! unclaimed is a leak, and nothing else is. That needs a proof, since owners change meanwhile.
//!
//! **A leak is found.** A block without an owner is freed or moved by nobody and claimed by
//! nobody. Its address is not reused, because it is not freed.
//!
//! **What is found is a leak.** Let a block be unclaimed at the end. It has lived in its place
//! since before the pass. Suppose that it has an owner. The owner is one of these:
//!
//! 1. An entry's slot, an entry, a table. If it has been in its place since the pass began, the
//!    pass has come to it: tables are walked by position, which an entry keeps whatever splits
//!    and merges around it; so are large collections, and where a collection is walked by rank
//!    (lists, the leaves of sorted sets) the walk goes back by as many ranks as were removed. If
//!    it has come to its place during the pass, it came through [`arrived`] (an entry that another
//!    key, database or part gave up), [`arrived_string`] or [`arrived_collection`] (a value that a
//!    command has made or read): these claim what arrives, and note the keys of collections that
//!    are too large for that; they are walked after the pass, until none is left.
//! 2. Something that waits to be freed. After the pass one waits until all of that is freed.
//! 3. A connection: a value read or sent by reference. After that, each worker claims what its
//!    connections hold, between two batches, when none of its commands is half done. What a
//!    command held at some time during the pass is then in one of these three places, or freed.
//!
//! Only when databases are exchanged or divided anew ([`disturb`]) do tables move as a whole; then
//! the pass is repeated. If that happens during all passes, or a worker does not answer, or trash
//! does not drain, the report says that it is inconclusive, and why.
//!
//! **Counters.** The counts of a part are compared with a tally ([`crate::counts`]): each
//! entry is added when the walk passes it, and a change of an entry that was passed changes tally
//! and counts by the same amount. So at the end, under the same lock, both are equal, unless the
//! counts were wrong at the beginning or an entry before the walk was counted wrongly. An arena's
//! totals are compared with its segments under the arena's lock, each segment's with its blocks.
//!
//! **Memory.** The bitmaps take 1/64 of the segments in use (16 MB for 1 GB), while the audit runs.
//! Keys of large collections are kept while they wait: at most those of one table segment, and
//! [`ARRIVALS_MAX`] that have arrived.

mod survey;
mod totals;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use ebb_collections::Collection;
use ebb_heap::{Block, Shared as SharedBlock, watch};
use parking_lot::Mutex;

use crate::counts::Counts;
use crate::part::{Part, Told};
use crate::{EntryRef, Key, KeyHasher, PartId, Shard};
pub use survey::SurveyWalk;
pub use totals::check_totals;

/// Collections of more elements are walked on their own.
const TOGETHER_MAX: usize = 16;
/// Larger collections are not claimed where they arrive, but noted.
const ARRIVING_MAX: usize = 1024;
/// So many keys of arrived collections are noted; with more the pass is repeated.
pub const ARRIVALS_MAX: usize = 4096;
/// So many flaws are told one by one.
pub const FLAWS_MAX: usize = 64;

static ARRIVALS: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());
static DISTURBED: AtomicU64 = AtomicU64::new(0);

fn claim(block: &Block) {
    watch::claim(block.compact());
}

/// Claims all blocks of a collection.
fn claim_all(collection: &Collection) {
    let mut position = 0;
    loop {
        position = collection.inspect(position, &mut claim);
        if position == 0 {
            return;
        }
    }
}

/// An entry takes a place that another has given up, or that the pass may have passed.
#[inline]
pub(crate) fn arrived(entry: &EntryRef<'_>) {
    if watch::is_on() {
        claim_arrived(entry);
    }
}

#[cold]
fn claim_arrived(entry: &EntryRef<'_>) {
    entry.own_blocks(&mut claim);
    match entry.grown() {
        Some(grown) if grown.len() <= ARRIVING_MAX => claim_all(grown),
        Some(_) => {
            let mut arrivals = ARRIVALS.lock();
            if arrivals.len() < ARRIVALS_MAX {
                arrivals.push(entry.key().into());
            } else {
                disturb();
            }
        }
        None => {}
    }
}

/// A value takes its place in an entry.
#[inline]
pub(crate) fn arrived_string(shared: &SharedBlock) {
    if watch::is_on() {
        claim(shared.block());
    }
}

/// A collection that was made elsewhere takes its place in an entry. It took as long to make as
/// it takes to claim.
#[inline]
pub(crate) fn arrived_collection(collection: &Collection) {
    if watch::is_on() {
        claim_all(collection);
    }
}

/// Tables are exchanged as a whole, or something else happens that a pass does not survive.
pub(crate) fn disturb() {
    DISTURBED.fetch_add(1, Ordering::Relaxed);
}

/// How often a pass was made worthless.
pub fn disturbances() -> u64 {
    DISTURBED.load(Ordering::Relaxed)
}

/// Takes the keys of collections that arrived and were not claimed.
pub fn take_arrivals() -> Vec<Box<[u8]>> {
    std::mem::take(&mut *ARRIVALS.lock())
}

/// Something that is not as it should be: a counter, what it says and what is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where the counter is, and what it counts.
    pub counter: String,
    /// What it says.
    pub counted: usize,
    /// What is true.
    pub actual: usize,
}

/// What a pass has found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Keys walked over.
    pub keys: usize,
    /// Slots and entries that name no block, by database and shard.
    pub dangling: Vec<String>,
    /// Counters that are wrong; the first [`FLAWS_MAX`].
    pub flaws: Vec<Flaw>,
    /// How many there are.
    pub flaw_count: usize,
}

impl Findings {
    /// Adds a flaw.
    pub fn add(&mut self, flaw: Flaw) {
        self.flaw_count += 1;
        if self.flaws.len() < FLAWS_MAX {
            self.flaws.push(flaw);
        }
    }

    fn compare(&mut self, place: &str, counted: &Counts, actual: &Counts) {
        for ((name, counted), (_, actual)) in counted.figures().into_iter().zip(actual.figures()) {
            if counted != actual {
                self.add(Flaw { counter: format!("{place}: {name}"), counted, actual });
            }
        }
    }
}

/// A large collection that is being walked.
struct Large {
    db: usize,
    key: Box<[u8]>,
    position: u128,
    bytes: usize,
}

/// A pass over one shard after the other.
pub struct Walk {
    hasher: KeyHasher,
    db: usize,
    part: usize,
    position: u64,
    began: bool,
    large: VecDeque<Large>,
    /// What was found.
    pub findings: Findings,
}

impl Walk {
    /// A pass from the beginning.
    pub fn new(hasher: &KeyHasher) -> Walk {
        Walk {
            hasher: hasher.clone(),
            db: 0,
            part: 0,
            position: 0,
            began: false,
            large: VecDeque::new(),
            findings: Findings::default(),
        }
    }

    /// Walks on for some 50 us; answers false when the shard is done. The next step is then for
    /// the next shard.
    pub fn step(&mut self, number: usize, shard: &mut Shard) -> bool {
        if !self.large.is_empty() {
            self.step_large(number, shard);
            return true;
        }
        if self.db == shard.dbs().len() {
            (self.db, self.part, self.position, self.began) = (0, 0, 0, false);
            return false;
        }
        let parts = shard.dbs()[self.db].part_count();
        let done = match shard.dbs()[self.db].part(self.part as PartId) {
            Some(part) => self.step_part(number, part),
            None => true,
        };
        if done {
            (self.position, self.began) = (0, false);
            self.part += 1;
            if self.part >= parts {
                (self.db, self.part) = (self.db + 1, 0);
            }
        }
        true
    }

    /// Walks over one segment of a part's table; answers whether it was the last.
    fn step_part(&mut self, number: usize, part: &mut Part) -> bool {
        if !self.began || part.counts.passed() != Some(self.position) {
            // The first step, or the part is another one, or was emptied: from the beginning.
            part.counts.set_tally(true);
            (self.began, self.position) = (true, 0);
        }
        let (position, db) = (self.position, self.db);
        let mut seen = Counts::default();
        let next = part.entries.inspect(position, claim, watch::claim, |slot| {
            let Some((entry, at)) = slot else {
                self.findings.dangling.push(format!("db {db} shard {number}: a slot of the index"));
                return;
            };
            if at >= position {
                seen.add(&entry);
                self.findings.keys += 1;
            }
            self.visit(number, &entry);
        });
        part.counts.pass(&seen, if next == 0 { u64::MAX } else { next });
        self.position = next;
        if next != 0 {
            return false;
        }
        self.compare_part(number, part);
        true
    }

    fn compare_part(&mut self, number: usize, part: &mut Part) {
        let seen = part.counts.seen().unwrap_or_default();
        let place = format!("shard {number} db {} partition {}", self.db, self.part);
        self.findings.compare(&place, &part.counts(), &seen);
        part.counts.set_tally(false);
        if let Some(Told { told, size, .. }) = part.told() {
            let pairs = [("keys told", told.0, size.0), ("bytes told", told.1, size.1)];
            for (name, counted, actual) in pairs.into_iter().filter(|pair| pair.1 != pair.2) {
                let counter = format!("{place}: {name}");
                self.findings.add(Flaw { counter, counted, actual });
            }
        }
    }

    fn visit(&mut self, number: usize, entry: &EntryRef<'_>) {
        let (db, dangling) = (self.db, &mut self.findings.dangling);
        entry.own_blocks(&mut |block| {
            if !watch::claim(block.compact()) {
                dangling.push(format!("db {db} shard {number}: a large string"));
            }
        });
        if entry.grown().is_some() {
            self.large.push_back(Large { db, key: entry.key().into(), position: 0, bytes: 0 });
            if entry.grown().is_some_and(|grown| grown.len() <= TOGETHER_MAX)
                && let Some(mut large) = self.large.pop_back()
            {
                while self.walk_some(number, entry, &mut large) {}
            }
        }
    }

    /// Walks over some blocks of a collection; answers whether there are more.
    fn walk_some(&mut self, number: usize, entry: &EntryRef<'_>, large: &mut Large) -> bool {
        let Some(grown) = entry.grown() else { return false };
        let is_first = large.position == 0;
        let (mut bytes, mut lost) = (0, 0);
        large.position =
            grown.inspect(large.position, &mut |block| match watch::claim(block.compact()) {
                true => bytes += block.bytes(),
                false => lost += 1,
            });
        large.bytes += bytes;
        let place = || format!("db {} shard {number}: a {}", large.db, entry.value_type().name());
        if lost > 0 {
            self.findings.dangling.push(place());
        }
        let footprint = grown.footprint();
        let counted = footprint.data + footprint.index;
        // Only what was walked in one go was the same all the time.
        let is_whole = large.position == 0 && (is_first || grown.len() <= TOGETHER_MAX);
        if is_whole && lost == 0 && counted != large.bytes {
            let (counter, actual) = (format!("{}: bytes", place()), large.bytes);
            self.findings.add(Flaw { counter, counted, actual });
        }
        large.position != 0
    }

    fn step_large(&mut self, number: usize, shard: &mut Shard) {
        let Some(mut large) = self.large.pop_front() else { return };
        let key = Key::with_hash(&large.key, self.hasher.hash(&large.key));
        let Some(entry) = shard.dbs()[large.db].get(&key) else { return };
        if self.walk_some(number, &entry, &mut large) {
            self.large.push_front(large);
        }
    }

    /// Adds collections that have arrived under a key, in any database of its shard.
    pub fn add_arrival(&mut self, shard: &mut Shard, key: &[u8]) {
        let hashed = Key::with_hash(key, self.hasher.hash(key));
        for (db, data) in shard.dbs().iter().enumerate() {
            if data.get(&hashed).is_some_and(|entry| entry.grown().is_some()) {
                self.large.push_back(Large { db, key: key.into(), position: 0, bytes: 0 });
            }
        }
    }

    /// Walks on over collections that have arrived; answers whether there are more.
    pub fn step_arrivals(&mut self, number: usize, shard: &mut Shard) -> bool {
        self.step_large(number, shard);
        !self.large.is_empty()
    }
}

/// Forgets what a pass that was given up has left.
pub fn forget(shard: &mut Shard) {
    shard.dbs().iter_mut().flat_map(|db| db.parts_mut()).for_each(|part| {
        part.counts.set_tally(false);
    });
}

/// Makes a counter wrong on purpose, to see whether the audit finds it.
pub fn skew_counter(shard: &mut Shard, db: usize) {
    if let Some(part) = shard.dbs()[db].part(0) {
        part.counts.skew();
    }
}

#[cfg(test)]
mod tests;
