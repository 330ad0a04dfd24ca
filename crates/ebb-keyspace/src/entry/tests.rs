//! Entries keep what they are given, at every length.

use ebb_heap::ArenaId;

use super::*;

fn check(arena: ArenaId, key: &[u8], deadline: Option<i64>, value: &[u8]) {
    let entry = Entry::build(arena, key, deadline, StringValue::Bytes(value)).unwrap();
    let view = entry.as_ref();
    assert_eq!(view.key(), key);
    assert_eq!(view.deadline(), deadline);
    assert_eq!(view.string().to_vec(), value);
    assert_eq!(view.string().len(), value.len());
    let copy = view.copy(arena, b"another key", None).unwrap();
    assert_eq!(copy.as_ref().string().to_vec(), value);
    assert_eq!(copy.as_ref().encoding(), view.encoding());
}

#[test]
fn round_trip_at_every_length() {
    let arena = ArenaId::new();
    for key_len in [0, 1, 2, 3, 4, 5, 16, 100, 254, 255, 256, 5000] {
        let key = vec![b'k'; key_len];
        for value_len in (0..140).chain([2040, 2047, 2048, 2049, 10_240, 300_000]) {
            let value: Vec<u8> = (0..value_len).map(|i| (i * 7 + 1) as u8).collect();
            check(arena, &key, None, &value);
            check(arena, &key, Some(1_700_000_000_000), &value);
        }
        for value in ["0", "-1", "12345678", "2147483648", "-9223372036854775808", "01", "-0", "+1"]
        {
            check(arena, &key, None, value.as_bytes());
        }
    }
    assert_eq!(arena.live_bytes(), 0, "entries free all they own");
}

#[test]
fn costs_what_the_design_allows() {
    let arena = ArenaId::new();
    let bytes = |key: usize, value: &[u8]| {
        let entry = Entry::build(arena, &vec![b'k'; key], None, StringValue::Bytes(value)).unwrap();
        entry.as_ref().footprint().data
    };
    assert_eq!(bytes(16, b"12345678"), 28);
    assert_eq!(bytes(16, &[b'v'; 32]), 56);
    assert_eq!(bytes(16, &[b'v'; 100]), 124);
    assert!(bytes(100, &[b'v'; 10_240]) <= 10_340 + 60);
}

#[test]
fn encodings_have_the_names_clients_expect() {
    let arena = ArenaId::new();
    let encoding = |value| {
        let entry = Entry::build(arena, b"k", None, value).unwrap();
        entry.as_ref().encoding()
    };
    assert_eq!(encoding(StringValue::Bytes(b"12")), "int");
    assert_eq!(encoding(StringValue::Bytes(&[b'x'; 44])), "embstr");
    assert_eq!(encoding(StringValue::Bytes(&[b'x'; 45])), "raw");
    assert_eq!(encoding(StringValue::Raw(b"12")), "raw");
    assert_eq!(encoding(StringValue::Bytes(&[b'x'; 5000])), "raw");
}
