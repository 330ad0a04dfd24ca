use ebb_collections::{End, Fill, Form, Limits, ListMut, SetMut, SortedSetMut};

use super::*;
use crate::{Deadline, Keyspace, StringValue};

const LIMITS: Limits = Limits { entries: 16, value: 64 };

fn all_arenas(keyspace: &Keyspace) -> Vec<ArenaId> {
    keyspace.arenas().iter().flat_map(|&(data, index)| [data, index]).collect()
}

/// Passes until nothing is worth moving; what they did together.
fn defragment(keyspace: &Keyspace, budget: usize, elements_max: usize) -> Outcome {
    let mut sum = Outcome::default();
    while let Some(mut pass) =
        Pass::begin(all_arenas(keyspace), keyspace.hasher(), budget, elements_max)
    {
        while pass.close_next() {}
        for shard in 0..keyspace.shards() {
            while pass.step(&mut keyspace.lock(shard)).unwrap() == Step::More {}
        }
        let outcome = pass.end();
        while ebb_heap::release_step() {}
        sum.chosen += outcome.chosen;
        sum.released += outcome.released;
        sum.moved.add(outcome.moved);
        if outcome.released == 0 {
            break;
        }
    }
    sum
}

fn value(n: usize) -> Vec<u8> {
    vec![b'a' + (n % 26) as u8; 30 + n % 200 + if n.is_multiple_of(500) { 5000 } else { 0 }]
}

#[test]
fn sparse_strings_move_together() {
    let keyspace = Keyspace::new(4, 2);
    let name = |n: usize| format!("key:{n}").into_bytes();
    let db = |n: usize| n % 2;
    const KEYS: usize = 100_000;
    for n in 0..KEYS {
        let name = name(n);
        let key = keyspace.key(&name);
        let mut shard = keyspace.lock(keyspace.shard_of(key.hash()));
        shard.db(db(n)).set(&key, StringValue::Bytes(&value(n)), Deadline::Clear).unwrap();
    }
    for n in (0..KEYS).filter(|n| n % 4 != 0) {
        let name = name(n);
        let key = keyspace.key(&name);
        assert!(keyspace.lock(keyspace.shard_of(key.hash())).db(db(n)).remove(&key));
    }
    let before = Fragmentation::of(all_arenas(&keyspace));
    assert!(before.percent() > 100.0, "{before:?}");
    let counts: Vec<_> =
        (0..4).map(|n| keyspace.lock(n).dbs().iter().map(|db| db.counts()).collect()).collect();
    let counts: Vec<Vec<_>> = counts;
    let outcome = defragment(&keyspace, 1 << 20, 1000);
    let after = Fragmentation::of(all_arenas(&keyspace));
    assert!(after.percent() < 5.0, "{after:?} {outcome:?}");
    assert_eq!(after.live, before.live, "a moved block has its size");
    assert!(outcome.moved.keys > 10_000 && outcome.released > 5, "{outcome:?}");
    for (number, counts) in counts.iter().enumerate() {
        let now: Vec<_> = keyspace.lock(number).dbs().iter().map(|db| db.counts()).collect();
        assert_eq!(&now, counts);
    }
    for n in (0..KEYS).step_by(4) {
        let name = name(n);
        let key = keyspace.key(&name);
        let mut shard = keyspace.lock(keyspace.shard_of(key.hash()));
        assert_eq!(shard.db(db(n)).get(&key).unwrap().string().to_vec(), value(n), "{n}");
    }
}

#[test]
fn large_collections_move_in_steps() {
    let keyspace = Keyspace::new(1, 1);
    let shard = &mut keyspace.lock(0);
    let key = |bytes: &'static [u8]| keyspace.key(bytes);
    const ELEMENTS: usize = 60_000;
    let member = |n: usize| format!("member:{n}:{}", "x".repeat(n % 60)).into_bytes();
    {
        let set = shard.db(0).new_collection(&key(b"set"), Form::Set).unwrap();
        let mut set = SetMut::new(set, LIMITS, 16);
        (0..ELEMENTS).for_each(|n| assert!(set.add(&member(n)).unwrap()));
        set.into_slot().finish();
        let sorted = shard.db(0).new_collection(&key(b"sorted"), Form::SortedSet).unwrap();
        let mut sorted = SortedSetMut::new(sorted, LIMITS);
        (0..ELEMENTS).for_each(|n| assert!(sorted.set(&member(n), (n % 1000) as f64).unwrap()));
        sorted.into_slot().finish();
        let list = shard.db(0).new_collection(&key(b"list"), Form::List).unwrap();
        let mut list = ListMut::new(list, Fill::from_directive(-2));
        (0..ELEMENTS).for_each(|n| list.push(End::Right, &member(n)).unwrap());
        list.into_slot().finish();
    }
    let gone = |n: usize| !n.is_multiple_of(3);
    let edit = |shard: &mut Shard, name: &'static [u8], work: &mut dyn FnMut(crate::Editor<'_>)| {
        let key = key(name);
        let found = shard.db(0).find(&key).unwrap();
        work(shard.db(0).edit_collection(&key, found));
    };
    edit(shard, b"set", &mut |editor| {
        let mut set = SetMut::new(editor, LIMITS, 16);
        (0..ELEMENTS).filter(|&n| gone(n)).for_each(|n| assert!(set.remove(&member(n)).unwrap()));
        set.into_slot().finish();
    });
    edit(shard, b"sorted", &mut |editor| {
        let mut set = SortedSetMut::new(editor, LIMITS);
        (0..ELEMENTS).filter(|&n| gone(n)).for_each(|n| assert!(set.remove(&member(n)).unwrap()));
        set.into_slot().finish();
    });
    let before = Fragmentation::of(all_arenas(&keyspace));
    assert!(before.percent() > 50.0, "{before:?}");
    let mut steps = 0;
    while let Some(mut pass) = Pass::begin(all_arenas(&keyspace), keyspace.hasher(), 1 << 20, 1000)
    {
        while pass.close_next() {}
        while pass.step(shard).unwrap() == Step::More {
            steps += 1;
        }
        if pass.end().released == 0 {
            break;
        }
    }
    while ebb_heap::release_step() {}
    let after = Fragmentation::of(all_arenas(&keyspace));
    assert!(after.percent() < 5.0, "{after:?}");
    assert!(steps > 20, "{steps}");
    let entry = shard.db(0).get(&key(b"set")).unwrap();
    assert!((0..ELEMENTS).all(|n| entry.set().unwrap().contains(&member(n)) != gone(n)));
    let entry = shard.db(0).get(&key(b"sorted")).unwrap();
    let sorted = entry.sorted_set().unwrap();
    assert_eq!(sorted.len(), ELEMENTS / 3);
    for n in 0..ELEMENTS {
        assert_eq!(sorted.score(&member(n)), (!gone(n)).then_some((n % 1000) as f64), "{n}");
        let rank = sorted.rank(&member(n));
        assert_eq!(rank.is_some(), !gone(n));
        if let Some((rank, _)) = rank.filter(|_| n % 7 == 0) {
            assert_eq!(sorted.get(rank).unwrap().0, member(n));
        }
    }
    let entry = shard.db(0).get(&key(b"list")).unwrap();
    let list = entry.list().unwrap();
    assert!((0..ELEMENTS).step_by(97).all(|n| list.get(n).unwrap() == member(n)));
}

#[test]
fn what_is_being_read_stays_and_the_segment_opens_again() {
    let keyspace = Keyspace::new(1, 1);
    let shard = &mut keyspace.lock(0);
    let big = vec![b'v'; 100_000];
    let name = |n: usize| format!("key:{n}").into_bytes();
    for n in 0..40 {
        let name = name(n);
        let key = keyspace.key(&name);
        shard.db(0).set(&key, StringValue::Bytes(&big), Deadline::Clear).unwrap();
    }
    let reader = {
        let name = name(0);
        match shard.db(0).get(&keyspace.key(&name)).unwrap().string() {
            crate::StringRef::Shared(shared) => shared.to_shared(),
            _ => panic!("a large value is shared"),
        }
    };
    for n in 1..30 {
        let name = name(n);
        assert!(shard.db(0).remove(&keyspace.key(&name)));
    }
    let mut pass = Pass::begin(all_arenas(&keyspace), keyspace.hasher(), usize::MAX, 1000).unwrap();
    while pass.close_next() {}
    while pass.step(shard).unwrap() == Step::More {}
    let outcome = pass.end();
    assert!(outcome.moved.pinned > 0 && outcome.released < outcome.chosen, "{outcome:?}");
    assert_eq!(&reader[..], &big[..]);
    assert!(all_arenas(&keyspace).iter().all(|a| a.segments().iter().all(|s| !s.evacuating)));
}
