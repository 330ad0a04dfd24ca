//! Surveys of the keys: which are the largest, which prefixes take how much, how sizes are
//! distributed, and how all that grows.
//!
//! A survey walks over all keys in slices of [`SLICE`] under the lock of a shard, on a thread of
//! its own that rests between them. It takes at most some 2 MB: [`KEYS_MAX`] keys of each type,
//! and twice [`PREFIXES_MAX`] prefixes. When there are more, the smallest are dropped; one that
//! comes again lacks at most [`Survey::floor`] bytes.
//!
//! For growth a sample is taken every minute, of a share of the keys that is the same each time
//! (see [`SurveyWalk`]) and at most [`SAMPLE_KEYS`] keys: some 30 ms of work a minute.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ebb_keyspace::audit::SurveyWalk;
use ebb_keyspace::{EntryRef, SLOT_BYTES, Type};
use parking_lot::{Mutex, MutexGuard};

use crate::Server;
use crate::audit::{SLICE, rest};
use crate::blocking::{self, Blocked};
use crate::reply::Reply;
use crate::server::unix_ms;

const TYPES: usize = Type::ALL.len();
/// The largest keys of each type that are kept.
pub const KEYS_MAX: usize = 128;
/// Prefixes that are kept.
pub const PREFIXES_MAX: usize = 4096;
/// Size classes: the powers of two up to 2^47.
pub const CLASSES: usize = 48;
/// Keys in a sample for growth.
pub const SAMPLE_KEYS: usize = 200_000;
/// Prefixes in a sample.
const SAMPLE_PREFIXES: usize = 256;
/// A prefix is cut after so many bytes.
const PREFIX_BYTES_MAX: usize = 128;
/// Samples a minute apart that are kept, and such that are an hour apart.
const MINUTES: usize = 61;
const HOURS: usize = 25;

/// What keys take together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Keys.
    pub keys: u64,
    /// Bytes, as MEMORY USAGE tells them.
    pub bytes: u64,
    /// Keys without a deadline.
    pub persistent: u64,
}

impl Figures {
    fn add(&mut self, other: &Figures) {
        self.keys += other.keys;
        self.bytes += other.bytes;
        self.persistent += other.persistent;
    }

    fn scale(&mut self, factor: u64) {
        self.keys *= factor;
        self.bytes *= factor;
        self.persistent *= factor;
    }
}

/// Figures by type, in the order of [`Type::ALL`].
pub type ByType = [Figures; TYPES];

/// The sum over the types that are wanted.
pub fn sum_of(figures: &ByType, wanted: Option<Type>) -> Figures {
    let mut sum = Figures::default();
    for (kind, one) in Type::ALL.iter().zip(figures) {
        if wanted.is_none_or(|wanted| wanted == *kind) {
            sum.add(one);
        }
    }
    sum
}

/// What keys are grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// What ends a part of a key's name.
    pub delimiter: Box<[u8]>,
    /// How many parts a prefix has.
    pub depth: usize,
}

impl Default for Grouping {
    fn default() -> Grouping {
        Grouping { delimiter: (*b":").into(), depth: 1 }
    }
}

impl Grouping {
    /// The prefix of a key, its last delimiter included; empty if it has too few.
    pub fn prefix<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let mut end = 0;
        for _ in 0..self.depth {
            match find(&key[end..], &self.delimiter) {
                Some(at) => end += at + self.delimiter.len(),
                None => break,
            }
        }
        &key[..end.min(PREFIX_BYTES_MAX)]
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len().max(1)).position(|window| window == what)
}

/// A large key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LargeKey {
    /// Its bytes.
    pub bytes: u64,
    /// Its name.
    pub key: Box<[u8]>,
    /// Its database.
    pub db: usize,
}

/// What a survey has found. All counts are of the whole, even if only a share was looked at.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// When it was complete, in milliseconds since 1970.
    pub taken_ms: i64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Keys that were looked at.
    pub seen: u64,
    /// One in so many was.
    pub share: u64,
    /// What keys were grouped by.
    pub grouping: Grouping,
    /// All together.
    pub all: ByType,
    /// The largest keys by type, the largest first.
    pub keys: [Vec<LargeKey>; TYPES],
    /// Prefixes, the largest first.
    pub prefixes: Vec<(Box<[u8]>, ByType)>,
    /// What a prefix may lack.
    pub floor: u64,
    /// Keys and bytes by type and size: class n has sizes from 2^n up to 2^(n+1).
    pub sizes: Box<[[(u64, u64); CLASSES]]>,
}

/// A survey in the making.
struct Sketch {
    grouping: Grouping,
    seen: u64,
    all: ByType,
    keys: [BinaryHeap<std::cmp::Reverse<LargeKey>>; TYPES],
    prefixes: HashMap<Box<[u8]>, ByType>,
    floor: u64,
    sizes: Box<[[(u64, u64); CLASSES]]>,
}

impl Sketch {
    fn new(grouping: Grouping) -> Sketch {
        Sketch {
            grouping,
            seen: 0,
            all: ByType::default(),
            keys: Default::default(),
            prefixes: HashMap::new(),
            floor: 0,
            sizes: vec![[(0, 0); CLASSES]; TYPES].into_boxed_slice(),
        }
    }

    fn add(&mut self, db: usize, entry: &EntryRef<'_>) {
        let footprint = entry.footprint();
        let bytes = (footprint.data + footprint.index + footprint.outside + SLOT_BYTES) as u64;
        let kind = entry.value_type() as usize;
        let persistent = u64::from(!entry.has_deadline());
        let figures = Figures { keys: 1, bytes, persistent };
        self.seen += 1;
        self.all[kind].add(&figures);
        let class = &mut self.sizes[kind][(bytes.ilog2() as usize).min(CLASSES - 1)];
        *class = (class.0 + 1, class.1 + bytes);
        let prefix = self.grouping.prefix(entry.key());
        match self.prefixes.get_mut(prefix) {
            Some(known) => known[kind].add(&figures),
            None => {
                let mut fresh = ByType::default();
                fresh[kind] = figures;
                self.prefixes.insert(prefix.into(), fresh);
            }
        }
        let largest = &mut self.keys[kind];
        let full = largest.len() == KEYS_MAX;
        if !full || largest.peek().is_some_and(|least| least.0.bytes < bytes) {
            if full {
                largest.pop();
            }
            largest.push(std::cmp::Reverse(LargeKey { bytes, key: entry.key().into(), db }));
        }
    }

    /// Drops small prefixes if there are too many. Not under a lock.
    fn trim(&mut self) {
        if self.prefixes.len() < 2 * PREFIXES_MAX {
            return;
        }
        let mut sizes: Vec<u64> =
            self.prefixes.values().map(|figures| sum_of(figures, None).bytes).collect();
        let (_, least, _) = sizes.select_nth_unstable_by(PREFIXES_MAX, |a, b| b.cmp(a));
        let least = *least;
        self.prefixes.retain(|_, figures| sum_of(figures, None).bytes > least);
        self.floor += least;
    }

    fn finish(self, shift: u32, begun: Instant) -> Survey {
        let factor = 1 << shift;
        let mut prefixes: Vec<_> = self.prefixes.into_iter().collect();
        for (_, figures) in &mut prefixes {
            figures.iter_mut().for_each(|one| one.scale(factor));
        }
        prefixes.sort_by(|a, b| {
            let bytes = |row: &(_, ByType)| sum_of(&row.1, None).bytes;
            bytes(b).cmp(&bytes(a)).then_with(|| a.0.cmp(&b.0))
        });
        prefixes.truncate(PREFIXES_MAX);
        let mut all = self.all;
        all.iter_mut().for_each(|one| one.scale(factor));
        let sorted = |heap: BinaryHeap<std::cmp::Reverse<LargeKey>>| {
            heap.into_sorted_vec().into_iter().map(|key| key.0).collect()
        };
        Survey {
            taken_ms: unix_ms(),
            took_ms: begun.elapsed().as_millis() as u64,
            seen: self.seen,
            share: factor,
            grouping: self.grouping,
            all,
            keys: self.keys.map(sorted),
            prefixes,
            floor: self.floor * factor,
            sizes: self.sizes,
        }
    }
}

/// Surveys one in `2^shift` keys, with rests.
pub fn take(server: &Server, grouping: Grouping, shift: u32) -> Survey {
    let begun = Instant::now();
    let mut sketch = Sketch::new(grouping);
    let mut walk = SurveyWalk::new(shift);
    for number in 0..server.keyspace.shards() {
        let mut more = true;
        while more && !server.is_stopping() {
            let mut shard = server.keyspace.lock(number);
            let start = Instant::now();
            while more && start.elapsed() < SLICE {
                more = walk.step(&mut shard, |db, entry| sketch.add(db, entry));
            }
            // Workers that wait for the lock get it now.
            MutexGuard::unlock_fair(shard);
            sketch.trim();
            rest(start);
        }
    }
    sketch.finish(shift, begun)
}

/// One sample for growth.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When it was taken, in milliseconds since 1970.
    pub taken_ms: i64,
    /// One in so many keys was looked at.
    pub share: u64,
    /// The largest prefixes.
    pub prefixes: HashMap<Box<[u8]>, ByType>,
    /// All keys together.
    pub all: ByType,
}

/// A client that waits for a survey, and what writes its answer.
struct Waiting {
    grouping: Grouping,
    blocked: Arc<Blocked>,
    write: Write,
}

/// What writes the answer of a command that asked for a survey.
pub type Write = Box<dyn FnOnce(&mut Reply, &Survey) + Send>;

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiting({:?}, {:?})", self.grouping, self.blocked)
    }
}

/// What was surveyed, and what is to be.
#[derive(Debug, Default)]
struct State {
    wanted: Option<Grouping>,
    waiting: Vec<Waiting>,
    is_running: bool,
    last: Option<Arc<Survey>>,
    sample_wanted: bool,
    minutes: VecDeque<Arc<Sample>>,
    hours: VecDeque<Arc<Sample>>,
}

/// Surveys and samples of a server.
#[derive(Debug, Default)]
pub struct Surveys(Mutex<State>);

impl Surveys {
    /// The last survey with this grouping, and whether another one is on its way. One is asked for
    /// if there is none, or if it is older than `fresh_ms`.
    pub fn get(&self, grouping: &Grouping, fresh_ms: i64) -> (Option<Arc<Survey>>, bool) {
        let mut state = self.0.lock();
        let last = state.last.clone().filter(|survey| survey.grouping == *grouping);
        let is_old = last.as_ref().is_none_or(|survey| unix_ms() - survey.taken_ms >= fresh_ms);
        if is_old && state.wanted.is_none() {
            state.wanted = Some(grouping.clone());
        }
        (last, state.is_running || state.wanted.is_some())
    }

    /// Has a client, whose command is [blocked](Context::block), wait for the next survey with
    /// this grouping.
    pub fn wait(&self, blocked: Arc<Blocked>, grouping: &Grouping, write: Write) {
        let mut state = self.0.lock();
        state.wanted.get_or_insert_with(|| grouping.clone());
        // Those that gave up meanwhile.
        state.waiting.retain(|waiting| !waiting.blocked.is_over());
        state.waiting.push(Waiting { grouping: grouping.clone(), blocked, write });
    }

    /// Takes the survey that was asked for, if one was, and answers those who wait for it.
    pub fn work(&self, server: &Server) -> bool {
        let Some(grouping) = self.0.lock().wanted.clone() else { return false };
        self.0.lock().is_running = true;
        let survey = Arc::new(take(server, grouping, 0));
        let served = self.note(&survey);
        for waiting in served {
            blocking::answer(server, &waiting.blocked, |reply| (waiting.write)(reply, &survey));
        }
        true
    }

    /// Notes a survey that is complete. Answers who waits for it.
    fn note(&self, survey: &Arc<Survey>) -> Vec<Waiting> {
        let mut state = self.0.lock();
        let is_served = |waiting: &Waiting| waiting.grouping == survey.grouping;
        let all = std::mem::take(&mut state.waiting);
        let (served, left) = all.into_iter().partition(is_served);
        state.waiting = left;
        state.wanted = state.waiting.first().map(|waiting| waiting.grouping.clone());
        state.is_running = false;
        state.last = Some(Arc::clone(survey));
        served
    }

    /// Asks for a sample before the minute is over.
    pub fn want_sample(&self) {
        self.0.lock().sample_wanted = true;
    }

    /// Whether one was asked for.
    pub fn is_sample_wanted(&self) -> bool {
        self.0.lock().sample_wanted
    }

    /// Takes a sample.
    pub fn sample(&self, server: &Server) {
        let mut keys = 0;
        for number in 0..server.keyspace.shards() {
            keys += server.keyspace.lock(number).dbs().iter().map(|db| db.len()).sum::<usize>();
        }
        let shift = (keys / SAMPLE_KEYS).checked_ilog2().map_or(0, |bits| bits + 1);
        let survey = take(server, Grouping::default(), shift);
        let sample = Arc::new(Sample {
            taken_ms: survey.taken_ms,
            share: survey.share,
            prefixes: survey.prefixes.into_iter().take(SAMPLE_PREFIXES).collect(),
            all: survey.all,
        });
        let mut state = self.0.lock();
        state.sample_wanted = false;
        let last_hour = state.hours.back().map_or(0, |sample| sample.taken_ms);
        if sample.taken_ms - last_hour >= 3_600_000 {
            keep(&mut state.hours, &sample, HOURS);
        }
        keep(&mut state.minutes, &sample, MINUTES);
    }

    /// The samples, the oldest first.
    pub fn samples(&self) -> Vec<Arc<Sample>> {
        let state = self.0.lock();
        let first = state.minutes.front().map_or(i64::MAX, |sample| sample.taken_ms);
        let hours = state.hours.iter().filter(|sample| sample.taken_ms < first);
        hours.chain(&state.minutes).cloned().collect()
    }
}

fn keep(samples: &mut VecDeque<Arc<Sample>>, sample: &Arc<Sample>, most: usize) {
    if samples.len() == most {
        samples.pop_front();
    }
    samples.push_back(Arc::clone(sample));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_with_a_delimiter() {
        let one = Grouping::default();
        assert_eq!(one.prefix(b"user:1:name"), b"user:");
        assert_eq!(one.prefix(b"plain"), b"");
        let two = Grouping { delimiter: (*b"::").into(), depth: 2 };
        assert_eq!(two.prefix(b"a::b::c"), b"a::b::");
        assert_eq!(two.prefix(b"a::b"), b"a::");
    }

    #[test]
    fn small_prefixes_are_dropped_and_what_may_lack_is_told() {
        let mut sketch = Sketch::new(Grouping::default());
        for number in 0..2 * PREFIXES_MAX as u64 {
            let mut figures = ByType::default();
            figures[0] = Figures { keys: 1, bytes: 100 + number, persistent: 1 };
            sketch.prefixes.insert(number.to_be_bytes().into(), figures);
        }
        sketch.trim();
        assert_eq!(sketch.prefixes.len(), PREFIXES_MAX);
        assert_eq!(sketch.floor, 100 + PREFIXES_MAX as u64 - 1);
    }
}
