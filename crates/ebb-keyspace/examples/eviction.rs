//! Compares eviction policies on traces that are made here.
//!
//! `cargo run --release -p ebb-keyspace --example eviction`
//!
//! All keys are of one size; a cache holds a tenth of them. A request for a key that is not
//! there adds it (look-aside). The figures are hit ratios in percent, after a warm-up of a fifth
//! of the trace.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use ebb_keyspace::eviction::{AccessClock, Order, Rule};
use ebb_keyspace::{Deadline, Keyspace, StringValue};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const KEYS: usize = 1_000_000;
const ROOM: usize = KEYS / 10;
const REQUESTS: usize = 6_000_000;

/// Keys are numbers that are drawn here: nobody attacks this hasher.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u32");
    }

    fn write_u32(&mut self, key: u32) {
        self.0 = hash(key);
    }
}

type Quick = BuildHasherDefault<Mix>;
type Map<V> = HashMap<u32, V, Quick>;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let traces = [("zipf", zipf()), ("zipf+scans", scans()), ("shifting", shifting())];
    print!("{:<26}", "");
    traces.iter().for_each(|(name, _)| print!("{name:>12}"));
    println!();
    for (name, make) in policies() {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        print!("{name:<26}");
        for (_, trace) in &traces {
            let mut policy = make();
            let (mut hits, mut asked) = (0_usize, 0_usize);
            for (at, &key) in trace.iter().enumerate() {
                let hit = policy.ask(key);
                if at >= REQUESTS / 5 {
                    asked += 1;
                    hits += usize::from(hit);
                }
            }
            print!("{:>12.2}", hits as f64 / asked as f64 * 100.0);
        }
        println!();
    }
}

/// Keys of a Zipf distribution, by the inverse of its sum.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(keys: usize, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let add = |rank: usize| {
            sum += 1.0 / (rank as f64).powf(exponent);
            sum
        };
        Zipf((1..=keys).map(add).collect())
    }

    fn draw(&self, random: &mut SmallRng) -> u32 {
        let at = random.random::<f64>() * self.0[self.0.len() - 1];
        self.0.partition_point(|&sum| sum < at).min(self.0.len() - 1) as u32
    }
}

fn zipf() -> Vec<u32> {
    let (zipf, mut random) = (Zipf::new(KEYS, 0.99), SmallRng::seed_from_u64(1));
    (0..REQUESTS).map(|_| zipf.draw(&mut random)).collect()
}

/// Every half a million requests, 200,000 keys are read once, one after the other, between
/// other requests.
fn scans() -> Vec<u32> {
    let (zipf, mut random) = (Zipf::new(KEYS, 0.99), SmallRng::seed_from_u64(2));
    let mut next = KEYS as u32;
    let mut one = |at: usize| {
        if at % 500_000 >= 100_000 || at.is_multiple_of(2) {
            return zipf.draw(&mut random);
        }
        next += 1;
        next
    };
    (0..REQUESTS * 2).map(|at| one(at / 2 * 2 % REQUESTS + at % 2)).take(REQUESTS).collect()
}

/// The ranks wander: every million requests a quarter of the keys change places.
fn shifting() -> Vec<u32> {
    let (zipf, mut random) = (Zipf::new(KEYS, 0.99), SmallRng::seed_from_u64(3));
    let mut names: Vec<u32> = (0..KEYS as u32).collect();
    let mut trace = Vec::with_capacity(REQUESTS);
    for at in 0..REQUESTS {
        if at % 1_000_000 == 999_999 {
            for place in (0..KEYS).step_by(4) {
                names.swap(place, random.random_range(0..KEYS));
            }
        }
        trace.push(names[zipf.draw(&mut random) as usize]);
    }
    trace
}

trait Policy {
    /// Whether the key is there; if not, it is afterwards.
    fn ask(&mut self, key: u32) -> bool;
}

type Make = Box<dyn Fn() -> Box<dyn Policy>>;

fn policies() -> Vec<(String, Make)> {
    let mut all: Vec<(String, Make)> = vec![
        ("lru, 5 samples".into(), Box::new(|| Box::new(Sampled::new(5, Rank::Lru)))),
        ("lfu, 5 samples".into(), Box::new(|| Box::new(Sampled::new(5, Rank::Lfu)))),
        ("sieve".into(), Box::new(|| Box::<Sieve>::default())),
        ("s3-fifo".into(), Box::new(|| Box::<S3Fifo>::default())),
        ("w-tinylfu".into(), Box::new(|| Box::new(WTinyLfu::new()))),
    ];
    let orders = [("lru", Order::Lru), ("lfu", Order::Lfu), ("s3-fifo", Order::S3Fifo)];
    for (name, order) in orders {
        all.push((format!("ebb: {name}"), Box::new(move || Box::new(Ebb::new(order)))));
    }
    all
}

fn hash(key: u32) -> u64 {
    let mixed = (u64::from(key) + 1).wrapping_mul(0x9fb2_1c65_1e98_df25);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Keys in no order, each with a few bytes: what can be sampled.
#[derive(Default)]
struct Bag<T> {
    places: Map<usize>,
    keys: Vec<(u32, T)>,
}

impl<T> Bag<T> {
    fn get(&mut self, key: u32) -> Option<&mut T> {
        let place = *self.places.get(&key)?;
        Some(&mut self.keys[place].1)
    }

    fn add(&mut self, key: u32, value: T) {
        self.places.insert(key, self.keys.len());
        self.keys.push((key, value));
    }

    fn remove(&mut self, key: u32) -> Option<T> {
        let place = self.places.remove(&key)?;
        let (_, value) = self.keys.swap_remove(place);
        if let Some((moved, _)) = self.keys.get(place) {
            self.places.insert(*moved, place);
        }
        Some(value)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Rank {
    Lru,
    Lfu,
}

/// Redis's: some keys are drawn, and a pool of 16 remembers the best.
struct Sampled {
    bag: Bag<u64>,
    pool: Vec<(u64, u32)>,
    random: SmallRng,
    samples: usize,
    rank: Rank,
    now: u64,
}

impl Sampled {
    fn new(samples: usize, rank: Rank) -> Sampled {
        let random = SmallRng::seed_from_u64(9);
        Sampled { bag: Bag::default(), pool: Vec::new(), random, samples, rank, now: 0 }
    }

    /// What is evicted first has the lowest score.
    fn evict(&mut self) {
        loop {
            for _ in 0..self.samples {
                let (key, score) = self.bag.keys[self.random.random_range(0..self.bag.keys.len())];
                if !self.pool.iter().any(|&(_, pooled)| pooled == key) {
                    self.pool.push((score, key));
                }
            }
            self.pool.sort_unstable();
            self.pool.truncate(16);
            while !self.pool.is_empty() {
                let (_, key) = self.pool.remove(0);
                if self.bag.remove(key).is_some() {
                    return;
                }
            }
        }
    }
}

impl Policy for Sampled {
    fn ask(&mut self, key: u32) -> bool {
        self.now += 1;
        // Seconds, at 100,000 requests a second.
        let (now, rank) = (self.now / 100_000, self.rank);
        if let Some(value) = self.bag.get(key) {
            match rank {
                Rank::Lru => *value = now,
                Rank::Lfu => {
                    let base = value.saturating_sub(5);
                    let chance = 1.0 / (base * 10 + 1) as f64;
                    *value += u64::from(self.random.random::<f64>() < chance);
                }
            }
            return true;
        }
        if self.bag.keys.len() == ROOM {
            self.evict();
        }
        self.bag.add(key, if rank == Rank::Lru { now } else { 5 });
        false
    }
}

/// Zhang and others, "SIEVE is simpler than LRU" (2024). The list is a ring with gaps.
#[derive(Default)]
struct Sieve {
    visited: Map<bool>,
    /// From old to new; the hand takes from the front and puts back what was visited.
    before_hand: VecDeque<u32>,
    after_hand: VecDeque<u32>,
}

impl Policy for Sieve {
    fn ask(&mut self, key: u32) -> bool {
        if let Some(visited) = self.visited.get_mut(&key) {
            *visited = true;
            return true;
        }
        if self.visited.len() == ROOM {
            loop {
                let Some(oldest) = self.after_hand.pop_front() else {
                    std::mem::swap(&mut self.after_hand, &mut self.before_hand);
                    continue;
                };
                if std::mem::take(self.visited.get_mut(&oldest).unwrap()) {
                    self.before_hand.push_back(oldest);
                } else {
                    self.visited.remove(&oldest);
                    break;
                }
            }
        }
        self.visited.insert(key, false);
        self.after_hand.push_back(key);
        false
    }
}

/// Yang and others, "FIFO queues are all you need for cache eviction" (2023).
#[derive(Default)]
struct S3Fifo {
    hits: Map<u8>,
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    ghosts: VecDeque<u32>,
    is_ghost: HashSet<u32, Quick>,
}

impl S3Fifo {
    fn evict(&mut self) {
        loop {
            if self.small.len() >= ROOM / 10 || self.main.is_empty() {
                let key = self.small.pop_front().unwrap();
                if self.hits[&key] > 0 {
                    self.hits.insert(key, 0);
                    self.main.push_back(key);
                    continue;
                }
                self.hits.remove(&key);
                self.ghosts.push_back(key);
                self.is_ghost.insert(key);
                if self.ghosts.len() > ROOM * 9 / 10 {
                    let old = self.ghosts.pop_front().unwrap();
                    self.is_ghost.remove(&old);
                }
                return;
            }
            let key = self.main.pop_front().unwrap();
            let hits = self.hits.get_mut(&key).unwrap();
            if *hits == 0 {
                self.hits.remove(&key);
                return;
            }
            *hits -= 1;
            self.main.push_back(key);
        }
    }
}

impl Policy for S3Fifo {
    fn ask(&mut self, key: u32) -> bool {
        if let Some(hits) = self.hits.get_mut(&key) {
            *hits = (*hits + 1).min(3);
            return true;
        }
        if self.hits.len() == ROOM {
            self.evict();
        }
        self.hits.insert(key, 0);
        let queue = if self.is_ghost.remove(&key) { &mut self.main } else { &mut self.small };
        queue.push_back(key);
        false
    }
}

/// Einziger, Friedman and Manes, "TinyLFU: a highly efficient cache admission policy" (2017),
/// with exact counts in the place of the sketch, and lists that skip what has moved.
struct WTinyLfu {
    counts: Map<u8>,
    asked: usize,
    window: Lru,
    probation: Lru,
    protected: Lru,
}

#[derive(Default)]
struct Lru {
    turns: Map<u64>,
    queue: VecDeque<(u32, u64)>,
    turn: u64,
}

impl Lru {
    fn put(&mut self, key: u32) {
        self.turn += 1;
        self.turns.insert(key, self.turn);
        self.queue.push_back((key, self.turn));
    }

    fn has(&self, key: u32) -> bool {
        self.turns.contains_key(&key)
    }

    fn oldest(&mut self) -> Option<u32> {
        loop {
            let &(key, turn) = self.queue.front()?;
            if self.turns.get(&key) == Some(&turn) {
                return Some(key);
            }
            self.queue.pop_front();
        }
    }
}

impl WTinyLfu {
    fn new() -> WTinyLfu {
        WTinyLfu {
            counts: HashMap::default(),
            asked: 0,
            window: Lru::default(),
            probation: Lru::default(),
            protected: Lru::default(),
        }
    }

    fn count(&mut self, key: u32) {
        let count = self.counts.entry(key).or_default();
        *count = (*count + 1).min(15);
        self.asked += 1;
        if self.asked == ROOM * 10 {
            self.asked = 0;
            self.counts.retain(|_, count| {
                *count /= 2;
                *count > 0
            });
        }
    }
}

impl Policy for WTinyLfu {
    fn ask(&mut self, key: u32) -> bool {
        self.count(key);
        if self.window.has(key) {
            self.window.put(key);
            return true;
        }
        if self.protected.has(key) {
            self.protected.put(key);
            return true;
        }
        if self.probation.turns.remove(&key).is_some() {
            self.protected.put(key);
            if self.protected.turns.len() > ROOM * 99 / 100 * 8 / 10 {
                let old = self.protected.oldest().unwrap();
                self.protected.turns.remove(&old);
                self.probation.put(old);
            }
            return true;
        }
        self.window.put(key);
        if self.window.turns.len() <= ROOM / 100 {
            return false;
        }
        let candidate = self.window.oldest().unwrap();
        self.window.turns.remove(&candidate);
        let full = self.probation.turns.len() + self.protected.turns.len() >= ROOM * 99 / 100;
        let victim = if full { self.probation.oldest() } else { None };
        match victim {
            Some(victim) if self.counts.get(&candidate) <= self.counts.get(&victim) => {}
            Some(victim) => {
                self.probation.turns.remove(&victim);
                self.probation.put(candidate);
            }
            None => self.probation.put(candidate),
        }
        false
    }
}

/// Ebb's own code, with one shard and one database.
struct Ebb {
    keyspace: Keyspace,
    order: Order,
    now: i64,
}

impl Ebb {
    fn new(order: Order) -> Ebb {
        Ebb { keyspace: Keyspace::new(1, 1), order, now: 0 }
    }
}

impl Policy for Ebb {
    fn ask(&mut self, key: u32) -> bool {
        self.now += 1;
        let now_ms = self.now / 100;
        let clock = match self.order {
            Order::Lfu => AccessClock::lfu(now_ms, 10, 1),
            Order::S3Fifo => AccessClock::S3Fifo,
            _ => AccessClock::lru(now_ms),
        };
        let name = key.to_le_bytes();
        let key = self.keyspace.key(&name);
        let mut shard = self.keyspace.lock(0);
        shard.set_clock(clock);
        let db = shard.db(0);
        if let Some(found) = db.find(&key) {
            db.touch(found);
            return true;
        }
        if db.len() == ROOM {
            let rule = Rule { volatile: false, order: self.order, samples: 5, clock };
            shard.evict(&rule, |_, _| {}).unwrap();
        }
        shard.db(0).set(&key, StringValue::Int(0), Deadline::Clear).unwrap();
        false
    }
}
