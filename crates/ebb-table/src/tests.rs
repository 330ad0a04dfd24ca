//! The table against a plain map.

use std::collections::{BTreeMap, HashMap, HashSet};

use ebb_heap::{ArenaId, Compact};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::Table;

/// Entries are numbers; their hash is a fixed mix of them.
fn hash(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ mixed >> 32
}

fn hash_of(entry: Compact) -> u64 {
    hash(entry.units())
}

fn insert(table: &mut Table, number: u64) {
    table.insert(hash(number), Compact::from_units(number), hash_of).unwrap();
}

fn remove(table: &mut Table, number: u64) -> bool {
    let entry = Compact::from_units(number);
    match table.find(hash(number), |other| other == entry) {
        Some(found) => {
            assert_eq!(table.remove(found, hash_of), entry);
            true
        }
        None => false,
    }
}

fn contains(table: &Table, number: u64) -> bool {
    table.find(hash(number), |other| other.units() == number).is_some()
}

fn scan_all(table: &Table) -> Vec<u64> {
    let (mut seen, mut position) = (Vec::new(), 0);
    loop {
        position = table.scan(position, hash_of, |entry| seen.push(entry.units()));
        if position == 0 {
            return seen;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn behaves_like_a_map(
        phases in prop::collection::vec((any::<bool>(), 0u64..4000, 1u64..3000), 1..8),
    ) {
        let mut table = Table::new(ArenaId::new());
        let mut model = HashSet::new();
        for (add, from, count) in phases {
            for number in from..from + count {
                if add {
                    if model.insert(number) {
                        insert(&mut table, number);
                    }
                } else {
                    prop_assert_eq!(remove(&mut table, number), model.remove(&number));
                }
            }
            prop_assert_eq!(table.len(), model.len());
            for number in 0..7000 {
                prop_assert_eq!(contains(&table, number), model.contains(&number));
            }
            let scanned = scan_all(&table);
            prop_assert_eq!(scanned.len(), model.len(), "each entry exactly once");
            prop_assert!(scanned.iter().all(|number| model.contains(number)));
        }
    }
}

#[test]
fn stays_dense_at_every_size_and_gives_back() {
    let arena = ArenaId::new();
    let mut table = Table::new(arena);
    let mut worst = 0.0f64;
    for number in 0..1_000_000u64 {
        insert(&mut table, number);
        if number > 20_000 && number % 50_000 == 0 {
            let bytes = arena.live_bytes() + table.directory_bytes();
            worst = worst.max(bytes as f64 / number as f64);
        }
        if number > 300_000 && number % 50_000 == 0 {
            let stats = arena.stats();
            assert!(stats.holes < stats.live / 6, "{number} entries: {stats:?}");
        }
    }
    assert!(worst < 8.0, "{worst} bytes a key");
    for number in 0..1_000_000 {
        if number % 4 != 0 {
            assert!(remove(&mut table, number));
        }
    }
    let bytes = (arena.live_bytes() + table.directory_bytes()) as f64 / 250_000.0;
    assert!(bytes < 12.0, "{bytes} bytes a key after deletes");
    for number in (0..1_000_000).step_by(4) {
        assert!(remove(&mut table, number));
    }
    assert_eq!((table.len(), arena.live_bytes(), table.directory_bytes()), (0, 0, 0));
}

#[test]
fn a_scan_sees_what_stays_while_the_table_grows_and_shrinks() {
    let mut random = SmallRng::seed_from_u64(7);
    for round in 0..20 {
        let mut table = Table::new(ArenaId::new());
        let stays = 0..2000u64;
        stays.clone().for_each(|number| insert(&mut table, number));
        let mut extra: Vec<u64> = Vec::new();
        let (mut seen, mut position) = (BTreeMap::new(), 0);
        loop {
            position = table.scan(position, hash_of, |entry| {
                *seen.entry(entry.units()).or_insert(0) += 1;
            });
            if position == 0 {
                break;
            }
            for _ in 0..60 {
                if random.random_bool(if round % 2 == 0 { 0.9 } else { 0.4 }) {
                    let number = random.random_range(10_000..1 << 38);
                    if !contains(&table, number) {
                        insert(&mut table, number);
                        extra.push(number);
                    }
                } else if let Some(number) = extra.pop() {
                    assert!(remove(&mut table, number));
                }
            }
        }
        for number in stays {
            assert_eq!(seen.get(&number), Some(&1), "round {round}, entry {number}");
        }
    }
}

#[test]
fn samples_are_uniform() {
    let mut random = SmallRng::seed_from_u64(1);
    let mut table = Table::new(ArenaId::new());
    const ENTRIES: u64 = 5000;
    const DRAWS: usize = 1_000_000;
    (0..ENTRIES).for_each(|number| insert(&mut table, number));
    let mut counts = HashMap::new();
    for _ in 0..DRAWS {
        *counts.entry(table.sample(&mut random).unwrap().units()).or_insert(0u32) += 1;
    }
    let expected = DRAWS as f64 / ENTRIES as f64;
    let chi: f64 = (0..ENTRIES)
        .map(|number| f64::from(*counts.get(&number).unwrap_or(&0)) - expected)
        .map(|difference| difference * difference / expected)
        .sum();
    // Mean ENTRIES - 1, standard deviation sqrt(2 * ENTRIES) = 100.
    assert!((chi - ENTRIES as f64).abs() < 600.0, "chi-square {chi}");
}

#[test]
fn the_first_of_a_sampled_bucket_is_any_of_it() {
    let mut random = SmallRng::seed_from_u64(1);
    let mut table = Table::new(ArenaId::new());
    const ENTRIES: u64 = 5000;
    (0..ENTRIES).for_each(|number| insert(&mut table, number));
    let mut seen = HashSet::new();
    for _ in 0..200_000 {
        let mut first = None;
        table.sample_bucket(&mut random, |entry| {
            first.get_or_insert(entry.units());
        });
        seen.extend(first);
    }
    assert_eq!(seen.len(), ENTRIES as usize);
}

#[test]
fn drains_every_entry_once() {
    let arena = ArenaId::new();
    let mut table = Table::new(arena);
    (0..30_000).for_each(|number| insert(&mut table, number));
    let mut drain = table.drain();
    let mut seen = HashSet::new();
    while drain.step(|entry| assert!(seen.insert(entry.units()))) {}
    assert_eq!((seen.len(), drain.len(), arena.live_bytes()), (30_000, 0, 0));
}
