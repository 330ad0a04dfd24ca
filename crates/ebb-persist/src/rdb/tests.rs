//! Entries of every type through bytes and back.

use ebb_collections::stream::{Group, NodeLimits, Stream, StreamId};
use ebb_collections::{
    Arenas, Collection, End, FieldDeadline, Fill, Form, HashMut, Limits, ListMut, MemorySlot,
    SetMut, SortedSetMut,
};
use ebb_heap::ArenaId;
use ebb_keyspace::{Entry, StringValue};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { entries: 16, value: 64 };

fn arenas() -> Arenas {
    thread_local! {
        static ARENAS: Arenas = Arenas { data: ArenaId::new(), index: ArenaId::new() };
    }
    ARENAS.with(|arenas| *arenas)
}

fn place() -> Place<'static> {
    let sizes = Sizes {
        hash: LIMITS,
        set: LIMITS,
        set_ints: 32,
        sorted_set: LIMITS,
        list: Fill::from_directive(-2),
    };
    Place { key: b"key", deadline: Some(77), arenas: arenas(), sizes }
}

fn entry_of(slot: MemorySlot) -> Entry {
    let (form, bytes, grown) = slot.into_parts();
    Entry::build_collection(arenas().data, b"key", None, form, &bytes, grown).unwrap()
}

fn string(text: &[u8]) -> Entry {
    Entry::build(arenas().data, b"key", None, StringValue::Bytes(text)).unwrap()
}

fn list(items: &[Vec<u8>]) -> Entry {
    let mut list = ListMut::new(MemorySlot::new(Form::List, arenas()), place().sizes.list);
    items.iter().for_each(|item| list.push(End::Right, item).unwrap());
    entry_of(list.into_slot())
}

fn set(members: &[Vec<u8>]) -> Entry {
    let mut set = SetMut::new(MemorySlot::new(Form::IntSet, arenas()), LIMITS, 32);
    members.iter().for_each(|member| assert!(set.add(member).is_ok()));
    entry_of(set.into_slot())
}

fn sorted_set(members: &[(Vec<u8>, f64)]) -> Entry {
    let mut set = SortedSetMut::new(MemorySlot::new(Form::SortedSet, arenas()), LIMITS);
    members.iter().for_each(|(member, score)| assert!(set.set(member, *score).is_ok()));
    entry_of(set.into_slot())
}

fn hash(fields: &[(Vec<u8>, Vec<u8>, Option<i64>)]) -> Entry {
    let mut hash = HashMut::new(MemorySlot::new(Form::Hash, arenas()), LIMITS);
    for (name, value, deadline) in fields {
        let deadline = deadline.map_or(FieldDeadline::Clear, FieldDeadline::At);
        hash.set(name, value, deadline).unwrap();
    }
    entry_of(hash.into_slot())
}

fn stream(count: u64) -> Entry {
    let mut stream = Stream::new(arenas());
    for at in 1..=count {
        let (id, value) = (StreamId { ms: at / 3, seq: at }, at.to_string());
        let name = if at % 7 == 0 { &b"other"[..] } else { b"name" };
        let fields = [name, value.as_bytes(), b"second", &[b'x'; 20]];
        stream.append(id, &fields, NodeLimits { bytes: 500, entries: 0 }).unwrap();
    }
    stream.delete(StreamId { ms: 1, seq: 4 });
    let mut group = Group::new(StreamId { ms: 1, seq: 5 }, Some(5));
    for (name, ids) in [("ann", 1..4), ("bob", 4..6), ("eve", 0..0)] {
        group.consumer(name.as_bytes(), 1000).0.active_ms = 2000;
        ids.for_each(|at| group.assign(StreamId { ms: at / 3, seq: at }, name.as_bytes(), 5, at));
    }
    stream.groups.insert(b"group".to_vec(), group);
    stream.groups.insert(b"unread".to_vec(), Group::new(StreamId::MIN, None));
    let grown = Some(Collection::Stream(Box::new(stream)));
    Entry::build_collection(arenas().data, b"key", None, Form::List, &[], grown).unwrap()
}

/// The body of a payload read as a value.
fn load(body: &[u8], version: u16) -> Loaded<Entry> {
    restore(&Sealed { body, version }, &place())
}

/// Checks that an entry comes back with its encoding, and that its bytes do.
fn survives(entry: &Entry, kind: u8) {
    for compress in [false, true] {
        let payload = dump(&entry.as_ref(), compress);
        assert_eq!(payload[0], kind);
        let restored = restore(&open(&payload, Trust::default()).unwrap(), &place()).unwrap();
        let restored = restored.as_ref();
        assert_eq!((restored.key(), restored.deadline()), (&b"key"[..], Some(77)));
        assert_eq!(restored.encoding(), entry.as_ref().encoding());
        assert_eq!(elements(&restored), elements(&entry.as_ref()));
        assert_eq!(value_len(&entry.as_ref(), compress), payload.len() - 11);
    }
}

/// All that is in an entry, as text in an order of its own.
fn elements(entry: &EntryRef<'_>) -> Vec<String> {
    let mut all = Vec::new();
    if let ebb_keyspace::ValueRef::String(string) = entry.value() {
        all.push(format!("{:?}", string.to_vec()));
    }
    if let Some(list) = entry.list() {
        list.walk(0, |item| {
            all.push(format!("{} {item:?}", all.len()));
            true
        });
    }
    if let Some(set) = entry.set() {
        set.for_each(|member| all.push(format!("{:?}", member.to_vec())));
    }
    if let Some(set) = entry.sorted_set() {
        set.walk(0, |member, score| {
            all.push(format!("{} {member:?} {:x}", all.len(), score.to_bits()));
            true
        });
    }
    if let Some(hash) = entry.hash() {
        hash.for_each(|field| all.push(format!("{field:?}")));
    }
    if let Some(stream) = entry.stream() {
        stream.walk(StreamId::MIN, StreamId::MAX, |entry| {
            all.push(format!("{entry:?}"));
            true
        });
        let Stream { last_id, max_deleted_id, entries_added, groups, .. } = stream;
        all.push(format!("{last_id} {max_deleted_id} {entries_added} {groups:?}"));
    }
    all.sort();
    all
}

fn texts(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|at| format!("{at}:text").into_bytes()).collect()
}

#[test]
fn strings_survive() {
    for text in ["", "0", "-1", "127", "128", "70000", "9223372036854775807", "01", "abc"] {
        survives(&string(text.as_bytes()), kind::STRING);
    }
    survives(&string(&b"abc".repeat(50_000)), kind::STRING);
}

#[test]
fn lists_survive() {
    survives(&list(&texts(3)), kind::LIST_OF_LISTPACKS);
    survives(&list(&texts(5000)), kind::LIST_OF_LISTPACKS);
    let mut items = texts(4);
    items.insert(2, vec![b'x'; 20_000]);
    survives(&list(&items), kind::LIST_OF_LISTPACKS);
}

#[test]
fn sets_survive() {
    let ints = |top: i64| -> Vec<Vec<u8>> {
        [-top, -1, 5, top - 1].iter().map(|int| int.to_string().into_bytes()).collect()
    };
    for power in [15, 31, 62] {
        survives(&set(&ints(1 << power)), kind::SET_INTSET);
    }
    survives(&set(&texts(16)), kind::SET_LISTPACK);
    survives(&set(&texts(17)), kind::SET);
}

#[test]
fn sorted_sets_survive() {
    let scores =
        [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e300, 5e-324, 0.1, 9007199254740993.0, f64::INFINITY];
    let few: Vec<_> = texts(9).into_iter().zip(scores).collect();
    survives(&sorted_set(&few), kind::SORTED_SET_LISTPACK);
    let many: Vec<_> = texts(500).into_iter().zip(scores.into_iter().cycle()).collect();
    survives(&sorted_set(&many), kind::SORTED_SET);
}

#[test]
fn hashes_survive() {
    let fields = |count: usize, deadline: fn(i64) -> Option<i64>| -> Vec<_> {
        let fields = texts(count).into_iter().enumerate();
        fields.map(|(at, text)| (text, b"value".to_vec(), deadline(at as i64))).collect()
    };
    survives(&hash(&fields(5, |_| None)), kind::HASH_LISTPACK);
    survives(&hash(&fields(50, |_| None)), kind::HASH);
    let some = |at: i64| (at % 3 != 0).then_some(4_000_000_000_000 - at);
    survives(&hash(&fields(5, some)), kind::HASH_DEADLINES_LISTPACK);
    survives(&hash(&fields(50, some)), kind::HASH_DEADLINES);
    let payload = dump(&hash(&fields(50, some)).as_ref(), false);
    assert_eq!(open(&payload, Trust::default()).unwrap().version, VERSION_OF_FIELD_DEADLINES);
}

#[test]
fn streams_survive() {
    for count in [5, 300] {
        survives(&stream(count), kind::STREAM_3);
    }
    let empty = Some(Collection::Stream(Box::new(Stream::new(arenas()))));
    let empty = Entry::build_collection(arenas().data, b"key", None, Form::List, &[], empty);
    survives(&empty.unwrap(), kind::STREAM_3);
}

#[test]
fn deadlines_of_all_servers_are_read() {
    let at = 4_000_000_000_000_i64;
    let deadline = |body: &[u8], version: u16| {
        let entry = load(body, version).unwrap();
        let hash = entry.as_ref().hash().unwrap();
        ["a", "b"].map(|name| hash.get(name.as_bytes()).unwrap().deadline)
    };
    let valkey =
        [&[22, 2][..], b"\x01a\x011", &at.to_le_bytes(), b"\x01b\x012", &[0xff; 8]].concat();
    assert_eq!(deadline(&valkey, 80), [Some(at), None]);
    let never = [&[22, 1][..], b"\x01a\x011", &i64::MAX.to_le_bytes()].concat();
    let entry = load(&never, 80).unwrap();
    assert_eq!(entry.as_ref().hash().unwrap().next_deadline(), Some((1 << 48) - 2));
    let preview = [&[22, 2, 0x81][..], &at.to_be_bytes(), b"\x01a\x011\0\x01b\x012"].concat();
    assert_eq!(deadline(&preview, 12), [Some(at), None]);
    let redis = [&[24][..], &at.to_le_bytes(), &[2], b"\x03\x01a\x011\0\x01b\x012"].concat();
    assert_eq!(deadline(&redis, 12), [Some(at + 2), None]);
    let late = [&[24][..], &((1_i64 << 48) - 1).to_le_bytes(), &[1], b"\x01\x01a\x011"].concat();
    assert_eq!(load(&late, 12).err(), Some(LoadError::Corrupt));
}

#[test]
fn what_nobody_writes_is_refused() {
    let nan = [&[5, 1, 1, b'a'][..], &f64::NAN.to_le_bytes()].concat();
    let text_nan = [3, 1, 1, b'a', 253];
    for body in [
        &b""[..],
        b"\x00",
        b"\x00\x01a!",
        b"\x01\x00",
        b"\x02\x00",
        b"\x04\x00",
        b"\x05\x00",
        b"\x12\x00",
        b"\x02\x02\x01a\x01a",
        b"\x04\x02\x01a\x011\x01a\x012",
        b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
        b"\x12\x01\x03\x01a",
        b"\x12\x01\x01\x00",
        b"\x06\x00",
        b"\xff",
        &nan,
        &text_nan,
    ] {
        assert_eq!(load(body, VERSION).err(), Some(LoadError::Corrupt), "{body:?}");
    }
}

#[test]
fn streams_that_cannot_be_are_refused() {
    let good = dump(&stream(5).as_ref(), false);
    let body = &good[..good.len() - 10];
    assert!(load(body, VERSION).is_ok());
    // The ids of the first entry's and the master's key: out of order with those behind.
    let key = body.windows(16).position(|bytes| bytes == [&[0; 15][..], &[1]].concat()).unwrap();
    let mut bad = body.to_vec();
    bad[key] = 0x7f;
    assert_eq!(load(&bad, VERSION).err(), Some(LoadError::Corrupt));
    let mut shorter = body.to_vec();
    while let Some(byte) = shorter.pop() {
        assert_eq!(load(&shorter, VERSION).err(), Some(LoadError::Corrupt), "without {byte}");
    }
}

#[test]
fn shared_names_are_not_repeated() {
    let name = vec![b'n'; 60_000];
    let mut stream = Stream::new(arenas());
    stream.begin_node(StreamId { ms: 1, seq: 1 }, &[&name]).unwrap();
    for seq in 1..500 {
        let fields = [&name[..], b"v"];
        let limits = NodeLimits { bytes: usize::MAX, entries: 0 };
        stream.append(StreamId { ms: 1, seq }, &fields, limits).unwrap();
    }
    assert!(Collection::Stream(Box::new(stream)).footprint().data < 200_000);
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let text = || prop::collection::vec(prop_oneof![Just(b'1'), any::<u8>()], 0..80);
    let texts = || prop::collection::vec(text(), 1..40);
    let deadline = prop::option::of(1_i64..(1 << 48) - 1);
    let fields = prop::collection::vec((text(), text(), deadline), 1..40);
    let scores = prop::collection::vec((text(), -1e10..1e10), 1..40);
    prop_oneof![
        text().prop_map(|text| string(&text)),
        texts().prop_map(|items| list(&items)),
        texts().prop_map(|members| set(&members)),
        scores.prop_map(|members| sorted_set(&members)),
        fields.prop_map(|fields| hash(&fields)),
        (0_u64..50).prop_map(stream),
    ]
}

proptest! {
    #[test]
    fn everything_survives(entry in any_entry()) {
        survives(&entry, type_of(&entry.as_ref()));
    }

    #[test]
    fn damage_is_survived(
        entry in any_entry(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        version in prop::sample::select(vec![10, 12, 80]),
    ) {
        let mut body = dump(&entry.as_ref(), false);
        body.truncate(body.len() - 10);
        for (at, byte) in damage {
            *at.get_mut(&mut body) = byte;
        }
        if let Ok(read) = load(&body, version) {
            survives(&read, type_of(&read.as_ref()));
        }
    }
}
