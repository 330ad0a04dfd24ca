//! Streams against a sorted map.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use ebb_heap::ArenaId;
use proptest::prelude::*;

use super::*;

static ARENAS: LazyLock<Mutex<Arenas>> =
    LazyLock::new(|| Mutex::new(Arenas { data: ArenaId::new(), index: ArenaId::new() }));

const LIMITS: NodeLimits = NodeLimits { bytes: 300, entries: 7 };

type Model = BTreeMap<StreamId, Vec<Vec<u8>>>;

fn check(stream: &Stream, model: &Model, from: StreamId, to: StreamId) {
    let mut seen = Vec::new();
    let mut visit = |entry: StreamEntry<'_>| {
        let fields = entry.fields.iter().flat_map(|(name, value)| [name.to_vec(), value.to_vec()]);
        seen.push((entry.id, fields.collect::<Vec<_>>()));
        true
    };
    stream.walk(from, to, &mut visit);
    let inside = || model.iter().filter(|(id, _)| (from..=to).contains(id));
    assert!(seen.iter().map(|(id, fields)| (id, fields)).eq(inside()));
    let mut seen = Vec::new();
    stream.walk_back(from, to, |entry| {
        seen.push(entry.id);
        true
    });
    assert!(seen.iter().eq(inside().map(|(id, _)| id).rev()));
    assert_eq!(stream.len(), model.len());
    assert_eq!(stream.first_id(), model.keys().next().copied());
    assert_eq!(stream.last_entry_id(), model.keys().next_back().copied());
    assert_eq!(
        stream.has_after(from),
        model.range((Bound::Excluded(from), Bound::Unbounded)).next().is_some()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn behaves_like_a_sorted_map(
        ops in prop::collection::vec((0u8..10, 0u64..4, 0u64..5, 0usize..4, 0usize..60), 1..120),
    ) {
        let alone = ARENAS.lock().unwrap_or_else(|e| e.into_inner());
        let arenas = *alone;
        let mut stream = Stream::new(arenas);
        let mut model = Model::new();
        for (op, ms, seq, names, len) in ops {
            match op {
                0..6 => {
                    let last = stream.last_id;
                    let id = StreamId { ms: last.ms + ms, seq: if ms > 0 { seq } else { last.seq + seq + 1 } };
                    let mut fields = Vec::new();
                    for number in 0..names.max(1) {
                        fields.push(format!("name{}", number * (1 + len % 2)).into_bytes());
                        fields.push(vec![b'v'; len * 5]);
                    }
                    let parts: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
                    stream.append(id, &parts, LIMITS).unwrap();
                    model.insert(id, fields);
                }
                6 | 7 => {
                    let id = model.keys().nth(len % model.len().max(1)).copied().unwrap_or_default();
                    prop_assert_eq!(stream.delete(id), model.remove(&id).is_some());
                }
                8 => {
                    let keep = len as u64 / 2;
                    let before = model.len();
                    while model.len() as u64 > keep {
                        model.pop_first();
                    }
                    let removed = stream.trim(Trim::MaxLen(keep), References::Keep, false, 0);
                    prop_assert_eq!(removed as usize, before - model.len());
                }
                _ => {
                    prop_assert_eq!(stream.relocate(0, |_| true).unwrap(), 0);
                    let min = StreamId { ms: stream.last_id.ms.saturating_sub(ms), seq };
                    let before = model.len();
                    model.retain(|&id, _| id >= min);
                    let removed = stream.trim(Trim::MinId(min), References::Keep, false, 0);
                    prop_assert_eq!(removed as usize, before - model.len());
                }
            }
            check(&stream, &model, StreamId::MIN, StreamId::MAX);
            let middle = StreamId { ms: stream.last_id.ms / 2, seq: 1 };
            check(&stream, &model, middle, stream.last_id);
            prop_assert_eq!(arenas.data.live_bytes(), stream.footprint().data);
        }
        let copy = stream.duplicate().unwrap();
        check(&copy, &model, StreamId::MIN, StreamId::MAX);
        while stream.free_step() {}
    }
}

#[test]
fn a_group_moves_what_is_pending() {
    let mut group = Group::new(StreamId::MIN, Some(0));
    let id = StreamId { ms: 1, seq: 1 };
    assert!(group.consumer(b"a", 5).1 && !group.consumer(b"a", 6).1);
    group.consumer(b"b", 5);
    group.assign(id, b"a", 10, 1);
    group.assign(id, b"b", 20, 2);
    assert!(group.consumers()[&b"a"[..]].pending.is_empty());
    assert!(group.consumers()[&b"b"[..]].pending.contains(&id));
    assert_eq!(group.pending()[&id].deliveries, 2);
    assert!(group.acknowledge(id) && !group.acknowledge(id));
    group.assign(id, b"a", 10, 1);
    assert_eq!(group.remove_consumer(b"a"), Some(1));
    assert!(group.pending().is_empty());
}

/// Ids of what was delivered last until a time.
fn until(group: &mut Group, ms: i64) -> Vec<u64> {
    group.delivered_until(ms).map(|(id, _)| id.ms).collect()
}

#[test]
fn what_is_pending_longest_comes_first() {
    let mut group = Group::new(StreamId::MIN, None);
    group.consumer(b"a", 5);
    group.consumer(b"b", 5);
    let id = |ms| StreamId { ms, seq: 0 };
    for (ms, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        group.assign(id(ms), b"a", at, 1);
    }
    let without = group.bytes();
    assert_eq!((until(&mut group, 9), until(&mut group, 20)), (vec![], vec![2, 4, 3]));
    assert!(group.bytes() > without, "the order takes memory");
    assert_eq!(group.oldest_ms(), Some(10));
    // The order follows all that happens from then on.
    group.redeliver(id(2), 40);
    group.assign(id(4), b"b", 25, 2);
    group.assign(id(5), b"b", 25, 1);
    assert_eq!(until(&mut group, 99), [3, 4, 5, 1, 2]);
    assert!(group.acknowledge(id(3)));
    assert_eq!(group.clone().oldest_ms(), Some(25));
    assert_eq!(group.remove_consumer(b"b"), Some(2));
    assert_eq!(until(&mut group, 99), [1, 2]);
    assert_eq!(group.remove_consumer(b"a"), Some(2));
    assert_eq!((group.oldest_ms(), until(&mut group, 99)), (None, vec![]));
}

#[test]
fn what_is_released_is_nobodys_and_the_oldest() {
    let mut group = Group::new(StreamId::MIN, None);
    group.consumer(b"a", 5);
    let id = |ms| StreamId { ms, seq: 0 };
    group.assign(id(1), b"a", 10, 1);
    group.assign(id(2), b"a", 20, DELIVERIES_MAX);
    group.release(id(2), DELIVERIES_MAX);
    assert_eq!((until(&mut group, 99), group.released()), (vec![2, 1], 1));
    assert_eq!(
        (group.pending()[&id(2)].owner(), group.consumers()[&b"a"[..]].pending.len()),
        (&b""[..], 1)
    );
    assert_eq!(group.pending()[&id(2)].next_delivery(), DELIVERIES_MAX);
    group.assign(id(2), b"a", 30, 1);
    assert_eq!((until(&mut group, 99), group.released()), (vec![1, 2], 0));
    group.release(id(3), 0);
    assert!(group.acknowledge(id(3)) && !group.acknowledge(id(3)));
    group.release(id(1), 0);
    assert_eq!(group.remove_consumer(b"a"), Some(1));
    assert_eq!((until(&mut group, 99), group.released()), (vec![1], 1));
}
