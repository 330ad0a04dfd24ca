use ebb_heap::ArenaId;

use super::*;
use crate::{Deadline, Keyspace, StringValue};

/// The watch is the process's: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

fn filled(keyspace: &Keyspace, keys: usize) {
    for number in 0..keys {
        let name = format!("key:{number}").into_bytes();
        let key = keyspace.key(&name);
        let mut shard = keyspace.lock(keyspace.shard_of(key.hash()));
        let value = vec![b'x'; number % 5000];
        let deadline = if number % 3 == 0 { Deadline::At(1 << 60) } else { Deadline::Clear };
        shard.db(number % 2).set(&key, StringValue::Bytes(&value), deadline).unwrap();
    }
}

fn watch_all(arenas: &[ArenaId]) -> usize {
    let mut flaws = 0;
    for segment in 0..ebb_heap::segments_used() {
        if let Some(arena) = ebb_heap::arena_of(segment).filter(|arena| arenas.contains(arena)) {
            flaws += usize::from(arena.watch_segment(segment).is_some());
        }
    }
    flaws
}

fn unclaimed(arenas: &[ArenaId]) -> Vec<usize> {
    let mut bytes = Vec::new();
    for segment in watch::unclaimed_segments().0 {
        if let Some(arena) = ebb_heap::arena_of(segment).filter(|arena| arenas.contains(arena)) {
            arena.unclaimed(segment, |block| bytes.push(block.bytes));
        }
    }
    bytes
}

/// Walks over all shards; `between` may change the keyspace after each step.
fn pass(keyspace: &Keyspace, mut between: impl FnMut(usize)) -> Findings {
    let mut walk = Walk::new(keyspace.hasher());
    let mut steps = 0;
    for number in 0..keyspace.shards() {
        while walk.step(number, &mut keyspace.lock(number)) {
            steps += 1;
            between(steps);
        }
    }
    walk.findings
}

fn arenas(keyspace: &Keyspace) -> Vec<ArenaId> {
    keyspace.arenas().iter().flat_map(|&(data, index)| [data, index]).collect()
}

#[test]
fn a_healthy_keyspace_has_no_flaws_and_a_planted_leak_is_found() {
    let _one = ONE.lock();
    let keyspace = Keyspace::new(2, 2);
    filled(&keyspace, 5000);
    let arenas = arenas(&keyspace);
    assert!(watch::begin());
    assert_eq!(watch_all(&arenas), 0);
    let findings = pass(&keyspace, |_| {});
    assert_eq!((findings.keys, findings.flaw_count), (5000, 0), "{:?}", findings.flaws);
    assert_eq!((findings.dangling.len(), unclaimed(&arenas)), (0, vec![]));
    assert!(arenas.iter().all(|arena| arena.check().is_empty()));
    watch::end();
    // A leak, and a counter that is wrong.
    std::mem::forget(Block::allocate(arenas[0], 997, 11).unwrap());
    skew_counter(&mut keyspace.lock(1), 0);
    assert!(watch::begin());
    watch_all(&arenas);
    let findings = pass(&keyspace, |_| {});
    assert_eq!(unclaimed(&arenas), [1000]);
    assert_eq!(findings.flaw_count, 1);
    assert_eq!(findings.flaws[0].counted, findings.flaws[0].actual + 1);
    assert!(findings.flaws[0].counter.contains("shard 1 db 0"), "{:?}", findings.flaws);
    watch::end();
}

#[test]
fn changes_during_the_walk_make_no_flaws() {
    let _one = ONE.lock();
    let keyspace = Keyspace::new(2, 2);
    filled(&keyspace, 8000);
    let arenas = arenas(&keyspace);
    assert!(watch::begin());
    watch_all(&arenas);
    let findings = pass(&keyspace, |step| {
        for number in (step * 37..step * 37 + 200).map(|number| number % 9000) {
            let name = format!("key:{number}").into_bytes();
            let key = keyspace.key(&name);
            let mut shard = keyspace.lock(keyspace.shard_of(key.hash()));
            match (number + step) % 4 {
                0 => drop(shard.db(number % 2).remove(&key)),
                1 => {
                    let value = StringValue::Bytes(&name);
                    shard.db(number % 2).set(&key, value, Deadline::At(1 << 50)).unwrap();
                }
                2 => drop(shard.db(number % 2).set_deadline(&key, None)),
                _ => {
                    // As MOVE does: a block that the walk may have missed goes where it has been.
                    if let Some(entry) = shard.db(number % 2).take(&key) {
                        shard.db(1 - number % 2).insert(&key, entry).unwrap();
                    }
                }
            }
        }
    });
    assert_eq!(findings.flaw_count, 0, "{:?}", findings.flaws);
    assert_eq!((findings.dangling.len(), unclaimed(&arenas)), (0, vec![]));
    assert!(arenas.iter().all(|arena| arena.check().is_empty()));
    watch::end();
}

#[test]
fn a_share_of_the_keys_is_a_fair_sample() {
    let keyspace = Keyspace::new(2, 2);
    filled(&keyspace, 20_000);
    let count = |shift| {
        let (mut walk, mut keys) = (SurveyWalk::new(shift), 0);
        for number in 0..2 {
            while walk.step(&mut keyspace.lock(number), |_, _| keys += 1) {}
        }
        keys
    };
    assert_eq!(count(0), 20_000);
    for shift in 1..5 {
        let expected = 20_000 >> shift;
        assert!((expected * 8 / 10..expected * 12 / 10).contains(&count(shift)), "{shift}");
    }
}
