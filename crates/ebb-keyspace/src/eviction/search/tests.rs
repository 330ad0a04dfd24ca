use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::{Deadline, Keyspace, StringValue};

const NOW_MS: i64 = 1_700_000_000_000;

fn clock_of(order: Order, now_ms: i64) -> AccessClock {
    match order {
        Order::Lfu => AccessClock::lfu(now_ms, 10, 1),
        Order::S3Fifo => AccessClock::S3Fifo,
        _ => AccessClock::lru(now_ms),
    }
}

fn rule(order: Order, volatile: bool, now_ms: i64) -> Rule {
    Rule { volatile, order, samples: 5, clock: clock_of(order, now_ms) }
}

fn set(keyspace: &Keyspace, order: Order, name: &str, now_ms: i64, deadline: Deadline) {
    let mut shard = keyspace.lock(0);
    shard.set_clock(clock_of(order, now_ms));
    let key = keyspace.key(name.as_bytes());
    shard.db(0).set(&key, StringValue::Bytes(b"value"), deadline).unwrap();
}

fn touch(keyspace: &Keyspace, order: Order, name: &str, now_ms: i64) {
    let mut shard = keyspace.lock(0);
    shard.set_clock(clock_of(order, now_ms));
    let db = shard.db(0);
    let found = db.find(&keyspace.key(name.as_bytes())).unwrap();
    db.touch(found);
}

/// Evicts so many keys and answers their names.
fn evict(keyspace: &Keyspace, rule: &Rule, count: usize) -> Vec<String> {
    let mut shard = keyspace.lock(0);
    shard.set_clock(rule.clock);
    let mut names = Vec::new();
    for _ in 0..count {
        let step = shard.evict(rule, |db, key| {
            assert_eq!(db, 0);
            names.push(String::from_utf8(key.to_vec()).unwrap());
        });
        assert!(step.is_none_or(|evicted| evicted.bytes >= 16));
    }
    names
}

/// A thousand keys, of which the even ones are used.
fn half_used(order: Order) -> Keyspace {
    let keyspace = Keyspace::new(1, 1);
    (0..1000).for_each(|n| set(&keyspace, order, &format!("key {n}"), NOW_MS, Deadline::Clear));
    for _ in 0..20 {
        for n in (0..1000).step_by(2) {
            touch(&keyspace, order, &format!("key {n}"), NOW_MS + 500_000);
        }
    }
    keyspace
}

fn number(name: &str) -> usize {
    name.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn what_is_idle_rare_or_unused_goes() {
    for order in [Order::Lru, Order::Lfu, Order::S3Fifo] {
        let keyspace = half_used(order);
        let names = evict(&keyspace, &rule(order, false, NOW_MS + 600_000), 400);
        let used = names.iter().filter(|name| number(name).is_multiple_of(2)).count();
        assert_eq!(names.len(), 400);
        // Chance would take 200. (S3-FIFO forgets the uses of a key that leaves the small queue.)
        assert!(used < 80, "{order:?} evicted {used} keys that were used");
        assert_eq!(keyspace.lock(0).db_ref(0).len(), 600);
    }
}

#[test]
fn random_policies_take_any() {
    let keyspace = half_used(Order::Random);
    let names = evict(&keyspace, &rule(Order::Random, false, NOW_MS), 400);
    let even = names.iter().filter(|name| number(name).is_multiple_of(2)).count();
    assert!((140..260).contains(&even), "{even}");
}

#[test]
fn volatile_policies_take_no_key_without_a_deadline() {
    for order in [Order::Lru, Order::Lfu, Order::Random, Order::Ttl, Order::S3Fifo] {
        for volatile in [3, 400] {
            let keyspace = Keyspace::new(1, 1);
            // The wheel learns what time it is.
            keyspace.lock(0).expire_step(0, NOW_MS, 1, |_, _| {});
            for n in 0..1000 {
                let at = Deadline::At(NOW_MS + 1_000_000 - n * 1000);
                let deadline = if n < volatile { at } else { Deadline::Clear };
                set(&keyspace, order, &format!("key {n}"), NOW_MS, deadline);
            }
            let names = evict(&keyspace, &rule(order, true, NOW_MS), 1000);
            assert_eq!(names.len(), volatile as usize, "{order:?}");
            assert!(names.iter().all(|name| number(name) < volatile as usize));
            if order == Order::Ttl && volatile > 3 {
                // Those with the highest numbers expire first. (Of three, five draws can miss two.)
                let third = names.len() / 3;
                let sum = |names: &[String]| names.iter().map(|name| number(name)).sum::<usize>();
                let (early, late) = (sum(&names[..third]), sum(&names[names.len() - third..]));
                assert!(early > late * 2, "{early} {late}");
            }
        }
    }
}

#[test]
fn a_key_whose_deadline_is_taken_away_stays() {
    let keyspace = Keyspace::new(1, 1);
    for n in 0..50 {
        set(&keyspace, Order::Ttl, &format!("key {n}"), NOW_MS, Deadline::At(NOW_MS + 5000 + n));
    }
    for n in 0..49 {
        let key = format!("key {n}");
        let mut shard = keyspace.lock(0);
        assert!(shard.db(0).set_deadline(&keyspace.key(key.as_bytes()), None).unwrap());
    }
    assert_eq!(evict(&keyspace, &rule(Order::Ttl, true, NOW_MS), 10), ["key 49"]);
    assert_eq!(keyspace.lock(0).db_ref(0).len(), 49);
}

#[test]
fn a_policy_that_comes_later_finds_victims_as_well() {
    let orders = [Order::Lru, Order::Lfu, Order::S3Fifo, Order::Ttl, Order::Random];
    let mut random = SmallRng::seed_from_u64(11);
    let keyspace = Keyspace::new(1, 3);
    for round in 0..200 {
        let order = orders[random.random_range(0..orders.len())];
        let volatile = order == Order::Ttl || random.random_bool(0.3);
        let mut shard = keyspace.lock(0);
        shard.set_clock(clock_of(order, NOW_MS + round * 10_000));
        for _ in 0..random.random_range(0..200) {
            let name = format!("key {}", random.random_range(0..5000));
            let at = NOW_MS + random.random_range(0..1 << 40);
            let deadline = if random.random_bool(0.2) { Deadline::At(at) } else { Deadline::Clear };
            let db = shard.db(random.random_range(0..3));
            let key = keyspace.key(name.as_bytes());
            if random.random_bool(0.2) {
                db.remove(&key);
            } else {
                db.set(&key, StringValue::Bytes(b"value"), deadline).unwrap();
            }
        }
        let rule = Rule { volatile, ..rule(order, volatile, NOW_MS + round * 10_000) };
        for _ in 0..random.random_range(0..150) {
            let counts = |shard: &crate::Shard| {
                (0..3).fold((0, 0), |(keys, timed), db| {
                    let counts = shard.db_ref(db).counts();
                    (keys + counts.keys, timed + counts.volatile)
                })
            };
            let before = counts(&shard);
            let step = shard.evict(&rule, |_, _| {});
            let after = counts(&shard);
            let there = if volatile { before.1 } else { before.0 } > 0;
            assert_eq!(step.is_some(), there, "{order:?}, volatile: {volatile}, {before:?}");
            assert_eq!(after.0, before.0 - usize::from(there));
            assert!(!volatile || after.1 == before.1 - usize::from(there));
        }
    }
}
