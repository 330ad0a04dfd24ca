//! Random operations on a keyspace against a plain map, with every counter checked.

use std::collections::HashMap;

use ebb_keyspace::defrag::{Pass, Step};
use ebb_keyspace::{Deadline, Keyspace, StringValue, Type};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Set {
        key: u16,
        value: Value,
        deadline: Option<u16>,
        keep: bool,
    },
    Edit {
        key: u16,
        len: usize,
        byte: u8,
    },
    Expire {
        key: u16,
        deadline: Option<u16>,
    },
    Remove {
        key: u16,
    },
    Rename {
        from: u16,
        to: u16,
    },
    Pass {
        ms: u16,
    },
    Flush,
    /// Some steps of a pass that moves blocks; it begins with the first.
    Move {
        steps: u8,
    },
}

#[derive(Debug, Clone)]
enum Value {
    Int(i64),
    Bytes(usize, u8),
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Value::Int(value) => value.to_string().into_bytes(),
            Value::Bytes(len, fill) => vec![*fill; *len],
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0u16..200;
    let value = prop_oneof![
        any::<i64>().prop_map(Value::Int),
        (-200i64..200).prop_map(Value::Int),
        (0usize..100, any::<u8>()).prop_map(|(len, fill)| Value::Bytes(len, fill)),
        (1000usize..5000, any::<u8>()).prop_map(|(len, fill)| Value::Bytes(len, fill)),
        (100_000usize..200_000, any::<u8>()).prop_map(|(len, fill)| Value::Bytes(len, fill)),
    ];
    let deadline = prop::option::of(1u16..2000);
    let len = prop_oneof![0usize..80, 1500usize..4000];
    prop_oneof![
        8 => (key.clone(), value, deadline.clone(), any::<bool>())
            .prop_map(|(key, value, deadline, keep)| Op::Set { key, value, deadline, keep }),
        4 => (key.clone(), len, any::<u8>()).prop_map(|(key, len, byte)| Op::Edit { key, len, byte }),
        2 => (key.clone(), deadline).prop_map(|(key, deadline)| Op::Expire { key, deadline }),
        3 => key.clone().prop_map(|key| Op::Remove { key }),
        1 => (key.clone(), key).prop_map(|(from, to)| Op::Rename { from, to }),
        2 => (0u16..300).prop_map(|ms| Op::Pass { ms }),
        1 => Just(Op::Flush),
        2 => (1u8..8).prop_map(|steps| Op::Move { steps }),
    ]
}

/// Value and deadline by key.
type Model = HashMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn name(key: u16) -> Vec<u8> {
    // Some keys are long enough to need a length field.
    let len = if key.is_multiple_of(17) { 300 } else { usize::from(key % 30) + 3 };
    format!("{key:0len$}").into_bytes()
}

fn check(keyspace: &Keyspace, model: &Model) {
    let (mut bytes, mut keys, mut volatile) = (0, 0, 0);
    for shard in 0..keyspace.shards() {
        let mut shard = keyspace.lock(shard);
        let db = shard.db(0);
        let mut seen = 0;
        db.for_each(|entry| {
            let (value, deadline) = &model[entry.key()];
            assert_eq!(&entry.string().to_vec(), value);
            assert_eq!(entry.deadline(), *deadline);
            bytes += entry.footprint().data;
            seen += 1;
        });
        let counts = db.counts();
        assert_eq!(counts.keys, seen);
        keys += counts.keys;
        volatile += counts.volatile;
        bytes -= counts.bytes[Type::String as usize];
    }
    assert_eq!(keys, model.len());
    assert_eq!(volatile, model.values().filter(|(_, deadline)| deadline.is_some()).count());
    assert_eq!(bytes, 0, "byte counters and entries differ");
}

fn end(pass: Pass) {
    let outcome = pass.end();
    assert!(outcome.released <= outcome.chosen, "{outcome:?}");
}

fn move_some(keyspace: &Keyspace, current: &mut Option<(Pass, usize)>, steps: u8) {
    if current.is_none() {
        let arenas = keyspace.arenas().iter().flat_map(|&(data, index)| [data, index]);
        let pass = Pass::begin(arenas.collect(), keyspace.hasher(), 1 << 20, 100);
        *current = pass.map(|mut pass| {
            while pass.close_next() {}
            (pass, 0)
        });
    }
    for _ in 0..steps {
        let Some((pass, shard)) = current else { return };
        if pass.step(&mut keyspace.lock(*shard)).unwrap() == Step::ShardDone {
            *shard += 1;
        }
        if *shard == keyspace.shards() {
            current.take().into_iter().for_each(|(pass, _)| end(pass));
        }
    }
}

fn run(ops: Vec<Op>, shards: usize) {
    let keyspace = Keyspace::new(shards, 1);
    let mut model = Model::new();
    let mut now = 1_000_000i64;
    let mut pass: Option<(Pass, usize)> = None;
    for op in ops {
        match op {
            Op::Set { key, value, deadline, keep } => {
                let (key, bytes) = (name(key), value.bytes());
                let at = deadline.map(|ms| now + i64::from(ms));
                let deadline = match at {
                    Some(at) => Deadline::At(at),
                    None if keep => Deadline::Keep,
                    None => Deadline::Clear,
                };
                let hashed = keyspace.key(&key);
                let mut shard = keyspace.lock(keyspace.shard_of(hashed.hash()));
                shard.db(0).set(&hashed, StringValue::Bytes(&bytes), deadline).unwrap();
                let old = model.get(&key).and_then(|(_, deadline)| *deadline);
                model.insert(key, (bytes, if at.is_none() && keep { old } else { at }));
            }
            Op::Edit { key, len, byte } => {
                let key = name(key);
                let hashed = keyspace.key(&key);
                let mut shard = keyspace.lock(keyspace.shard_of(hashed.hash()));
                let bytes = shard.db(0).edit(&hashed, len).unwrap();
                let (value, _) = model.entry(key).or_default();
                value.resize(value.len().max(len), 0);
                assert_eq!(bytes, &value[..]);
                bytes[..len].fill(byte);
                value[..len].fill(byte);
            }
            Op::Expire { key, deadline } => {
                let key = name(key);
                let at = deadline.map(|ms| now + i64::from(ms));
                let hashed = keyspace.key(&key);
                let mut shard = keyspace.lock(keyspace.shard_of(hashed.hash()));
                let found = shard.db(0).set_deadline(&hashed, at).unwrap();
                assert_eq!(found, model.contains_key(&key));
                if let Some((_, deadline)) = model.get_mut(&key) {
                    *deadline = at;
                }
            }
            Op::Remove { key } => {
                let key = name(key);
                let hashed = keyspace.key(&key);
                let mut shard = keyspace.lock(keyspace.shard_of(hashed.hash()));
                assert_eq!(shard.db(0).remove(&hashed), model.remove(&key).is_some());
            }
            Op::Rename { from, to } => {
                let (from, to) = (name(from), name(to));
                let hashed = keyspace.key(&from);
                let taken = keyspace.lock(keyspace.shard_of(hashed.hash())).db(0).take(&hashed);
                let Some(entry) = taken else { continue };
                let hashed = keyspace.key(&to);
                let mut shard = keyspace.lock(keyspace.shard_of(hashed.hash()));
                let deadline = entry.as_ref().deadline();
                let entry = entry.renamed(shard.arena(), &to, deadline).unwrap();
                shard.db(0).insert(&hashed, entry).unwrap();
                let value = model.remove(&from).unwrap();
                model.insert(to, value);
            }
            Op::Pass { ms } => {
                now += i64::from(ms);
                for shard in 0..keyspace.shards() {
                    while keyspace.lock(shard).expire_step(0, now, 10, |_, _| {}).more {}
                }
                // The wheel may be late by a tick, never early and never later than that.
                for (key, (_, deadline)) in &model {
                    let hashed = keyspace.key(key);
                    let mut shard = keyspace.lock(keyspace.shard_of(hashed.hash()));
                    let there = shard.db(0).get(&hashed).is_some();
                    match deadline {
                        Some(at) if *at <= now - 16 => assert!(!there, "overdue"),
                        Some(at) if *at < now => {
                            shard.db(0).remove(&hashed);
                        }
                        _ => assert!(there, "deleted before its time"),
                    }
                }
                model.retain(|_, (_, deadline)| deadline.is_none_or(|at| at >= now));
            }
            Op::Flush => {
                for shard in 0..keyspace.shards() {
                    let trash = keyspace.lock(shard).db(0).detach();
                    keyspace.discard(trash);
                }
                while keyspace.free_trash_step() {}
                model.clear();
            }
            Op::Move { steps } => move_some(&keyspace, &mut pass, steps),
        }
    }
    pass.into_iter().for_each(|(pass, _)| end(pass));
    check(&keyspace, &model);
    for shard in 0..keyspace.shards() {
        let trash = keyspace.lock(shard).db(0).detach();
        keyspace.discard(trash);
    }
    while keyspace.free_trash_step() {}
    assert_eq!(keyspace.live_bytes(), (0, 0), "an empty keyspace holds no blocks");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn behaves_like_a_map(ops in prop::collection::vec(op(), 1..400)) {
        run(ops.clone(), 1);
        run(ops, 4);
    }
}
