//! Reads any bytes as a value of an RDB file. What is taken is written and read again: encoding and length stay the
//! same.
#![no_main]

use std::cell::LazyCell;

use ebb_collections::{Arenas, Fill, Limits};
use ebb_heap::ArenaId;
use ebb_persist::rdb::{Place, Sealed, Sizes, Trust, VERSION_OF_VALKEY, dump, open, restore};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static ARENAS: LazyCell<Arenas> =
        const { LazyCell::new(|| Arenas { data: ArenaId::new(), index: ArenaId::new() }) };
}

fuzz_target!(|input: (bool, &[u8])| {
    let (valkey, body) = input;
    let limits = Limits { entries: 8, value: 16 };
    let list = Fill::from_directive(4);
    let sizes = Sizes { hash: limits, set: limits, set_ints: 8, sorted_set: limits, list };
    let arenas = ARENAS.with(|arenas| **arenas);
    let place = Place { key: b"key", deadline: None, arenas, sizes };
    let version = if valkey { VERSION_OF_VALKEY } else { 12 };
    let Ok(entry) = restore(&Sealed { body, version }, &place) else { return };
    let first = dump(&entry.as_ref(), true);
    let again = restore(&open(&first, Trust::default()).expect("it was sealed"), &place).expect("it was written");
    assert_eq!(again.as_ref().encoding(), entry.as_ref().encoding());
    assert_eq!(dump(&again.as_ref(), false).len(), dump(&entry.as_ref(), false).len());
});
