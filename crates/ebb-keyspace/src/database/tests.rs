use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::eviction::{Order, Rule};
use crate::{Keyspace, Seat, Shard, Totals};

const PREFIXES: [&[u8]; 4] = [b"a", b"ab", b"b", b""];

/// Which keys a partition has.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// The number of their prefix.
    prefix: usize,
    /// Those of the first database too, or only those of the second.
    both: bool,
}

/// Partitions by number, and all keys of the first database with what they hold.
struct World {
    keyspace: Keyspace,
    totals: Vec<Arc<Totals>>,
    there: BTreeSet<usize>,
    extents: [Extent; 4],
    model: BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>,
}

#[derive(Debug, Clone)]
enum Op {
    Set(Vec<u8>, u16, bool),
    Edit(Vec<u8>, u16),
    Remove(Vec<u8>),
    Persist(Vec<u8>),
    Divide(BTreeSet<usize>),
    Alter(usize, Extent),
    Settle(usize),
    FlushPartition(usize),
    Evict(usize, Order),
    Swap,
}

fn order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![Order::Lru, Order::Random, Order::S3Fifo, Order::Ttl])
}

fn op() -> impl Strategy<Value = Op> {
    let key = "[abc]{1,3}[0-9]{1,2}".prop_map(String::into_bytes);
    prop_oneof![
        8 => (key.clone(), 1u16..400, any::<bool>()).prop_map(|(k, n, v)| Op::Set(k, n, v)),
        2 => (key.clone(), 1u16..90).prop_map(|(k, n)| Op::Edit(k, n)),
        3 => key.clone().prop_map(Op::Remove),
        2 => key.prop_map(Op::Persist),
        1 => prop::collection::btree_set(0usize..4, 0..4).prop_map(Op::Divide),
        2 => (0usize..4, 0usize..4, any::<bool>())
            .prop_map(|(n, prefix, both)| Op::Alter(n, Extent { prefix, both })),
        3 => (1usize..30).prop_map(Op::Settle),
        1 => (0usize..4).prop_map(Op::FlushPartition),
        3 => (0usize..4, order()).prop_map(|(n, order)| Op::Evict(n, order)),
        1 => Just(Op::Swap),
    ]
}

impl World {
    fn new() -> World {
        let keyspace = Keyspace::new(1, 2);
        World {
            keyspace,
            totals: (0..4).map(|_| Arc::default()).collect(),
            there: BTreeSet::new(),
            extents: [0, 1, 2, 3].map(|prefix| Extent { prefix, both: true }),
            model: BTreeMap::new(),
        }
    }

    /// The partition of a key of the first database.
    fn home(&self, key: &[u8]) -> Option<usize> {
        let fits = |&&n: &&usize| {
            let Extent { prefix, both } = self.extents[n];
            both && key.starts_with(PREFIXES[prefix])
        };
        let rank = |&&n: &&usize| (PREFIXES[self.extents[n].prefix].len(), std::cmp::Reverse(n));
        self.there.iter().filter(fits).max_by_key(rank).copied()
    }

    fn settled(&self) -> bool {
        self.keyspace.lock(0).dbs().iter().all(|db| !db.is_scattered())
    }

    fn divide(&mut self, there: BTreeSet<usize>) {
        // An id is used again only when nothing is left of the partition that had it.
        if !self.settled() {
            return;
        }
        self.there = there;
        self.set_routes();
    }

    fn set_routes(&mut self) {
        for db in 0..2 {
            let mut routes = Routes::default();
            for &n in &self.there {
                let data = self.keyspace.partition_arena(n as PartId + 1, 0);
                let seat = Seat { data, totals: self.totals[n].clone() };
                if db == 1 || self.extents[n].both {
                    routes.add(PREFIXES[self.extents[n].prefix], n as PartId + 1, seat);
                }
            }
            self.keyspace.lock(0).db(db).set_routes(Arc::new(routes));
        }
    }

    fn run(&mut self, op: Op) {
        let keyspace = &self.keyspace;
        match op {
            Op::Set(key, len, volatile) => {
                let value = vec![b'v'; len.into()];
                let at = volatile.then_some(i64::from(len) + 1_000_000);
                let deadline = at.map_or(Deadline::Clear, Deadline::At);
                let hashed = keyspace.key(&key);
                let mut shard = keyspace.lock(0);
                shard.db(0).set(&hashed, StringValue::Text(&value), deadline).unwrap();
                self.model.insert(key, (value, at));
            }
            Op::Edit(key, len) => {
                let hashed = keyspace.key(&key);
                let mut shard = keyspace.lock(0);
                let bytes = shard.db(0).edit(&hashed, len.into()).unwrap();
                bytes[..len.into()].fill(b'e');
                let (value, _) = self.model.entry(key).or_default();
                value.resize(value.len().max(len.into()), 0);
                value[..len.into()].fill(b'e');
            }
            Op::Remove(key) => {
                let there = keyspace.lock(0).db(0).remove(&keyspace.key(&key));
                assert_eq!(there, self.model.remove(&key).is_some());
            }
            Op::Persist(key) => {
                let found = keyspace.lock(0).db(0).set_deadline(&keyspace.key(&key), None).unwrap();
                assert_eq!(found, self.model.contains_key(&key));
                if let Some((_, deadline)) = self.model.get_mut(&key) {
                    *deadline = None;
                }
            }
            Op::Divide(there) => self.divide(there),
            // Unlike making one, this may happen at any time.
            Op::Alter(n, extent) => {
                self.extents[n] = extent;
                if self.there.contains(&n) {
                    self.set_routes();
                }
            }
            Op::Settle(limit) => {
                for db in keyspace.lock(0).dbs() {
                    db.settle_step(limit).unwrap();
                }
            }
            Op::FlushPartition(n) if self.there.contains(&n) => {
                for db in keyspace.lock(0).dbs() {
                    keyspace.discard(db.detach_part(n as PartId + 1));
                }
                let gone = |key: &Vec<u8>| self.home(key) == Some(n);
                let gone: Vec<_> = self.model.keys().filter(|key| gone(key)).cloned().collect();
                gone.iter().for_each(|key| drop(self.model.remove(key)));
            }
            Op::FlushPartition(_) => {}
            Op::Evict(n, order) => self.evict(n, order),
            Op::Swap => {
                let mut shard = keyspace.lock(0);
                (0..2).for_each(|_| shard.swap_dbs(0, 1));
            }
        }
    }

    fn evict(&mut self, n: usize, order: Order) {
        let clock = AccessClock::lru(1_000_000);
        let rule = Rule { volatile: order == Order::Ttl, order, samples: 5, clock };
        let mut gone = Vec::new();
        let mut shard = self.keyspace.lock(0);
        let (before, evicted) = (self.totals[n].keys(), self.totals[n].evicted());
        let found = shard.evict_from_partition(n as PartId + 1, &rule, |db, key| {
            assert_eq!(db, 0);
            gone = key.to_vec();
        });
        assert_eq!(found.is_some(), !gone.is_empty());
        if found.is_none() {
            return;
        }
        if self.there.contains(&n) {
            assert_eq!(self.totals[n].keys(), before - 1);
            assert_eq!(self.totals[n].evicted(), evicted + 1);
        }
        let db = shard.db(0);
        assert!(db.is_scattered() || self.home(&gone) == Some(n));
        // Of what was emptied, something may lie about beside a new key of the same name.
        if db.get(&self.keyspace.key(&gone)).is_none() {
            self.model.remove(&gone);
        }
    }

    fn check(&self) {
        let mut shard = self.keyspace.lock(0);
        let db: &mut Db = Shard::db(&mut shard, 0);
        let mut seen = BTreeSet::new();
        db.for_each(|entry| assert!(seen.insert(entry.key().to_vec()), "twice"));
        assert!(seen.iter().eq(self.model.keys()));
        let mut scanned = BTreeSet::new();
        let mut position = 0;
        loop {
            position = db.scan(position, |entry| {
                scanned.insert(entry.key().to_vec());
            });
            if position == 0 {
                break;
            }
        }
        assert_eq!(scanned, seen);
        for (key, (value, deadline)) in &self.model {
            let entry = db.get(&self.keyspace.key(key)).unwrap();
            assert_eq!((&entry.string().to_vec(), entry.deadline()), (value, *deadline));
        }
        if !db.is_scattered() {
            assert_eq!(db.len(), self.model.len());
            for &n in &self.there {
                let keys = self.model.keys().filter(|key| self.home(key) == Some(n)).count();
                assert_eq!(self.totals[n].keys(), keys);
                assert!(self.totals[n].bytes() >= keys * 16);
            }
            let gone = (0..4).filter(|n| !self.there.contains(n));
            gone.for_each(|n| assert_eq!((self.totals[n].keys(), self.totals[n].bytes()), (0, 0)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn keys_are_where_they_belong(ops in prop::collection::vec(op(), 1..200)) {
        let mut world = World::new();
        for (step, op) in ops.into_iter().enumerate() {
            world.run(op);
            if step % 7 == 0 {
                world.check();
            }
        }
        while world.keyspace.lock(0).db(0).settle_step(10).unwrap().more {}
        world.check();
        world.run(Op::Settle(1000));
        world.divide(BTreeSet::new());
        world.run(Op::Settle(1000));
        world.check();
        let trash = world.keyspace.lock(0).db(0).detach();
        world.keyspace.discard(trash);
        while world.keyspace.free_trash_step() {}
        prop_assert_eq!(world.keyspace.live_bytes(), (0, 0));
    }
}
