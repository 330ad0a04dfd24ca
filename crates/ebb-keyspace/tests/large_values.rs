//! Large values are written over those before them, unless someone reads these.

use ebb_keyspace::{Deadline, Keyspace, StringRef, StringValue};

#[test]
fn a_value_that_is_being_read_is_not_written_over() {
    let keyspace = Keyspace::new(1, 1);
    let key = keyspace.key(b"key");
    let mut shard = keyspace.lock(0);
    let db = shard.db(0);
    let set = |db: &mut ebb_keyspace::Db, fill: u8| {
        db.set(&key, StringValue::Bytes(&[fill; 10_240]), Deadline::At(7)).unwrap();
        let entry = db.get(&key).expect("it was set");
        assert_eq!(entry.deadline(), Some(7));
        let StringRef::Shared(value) = entry.string() else { panic!("it is large") };
        value.to_shared()
    };
    let address = |value: &ebb_keyspace::Shared| value.as_ptr();
    let first = set(db, 1);
    let place = address(&first);
    let second = set(db, 2);
    assert_ne!(address(&second), place, "the first is being read");
    let place = address(&second);
    drop(second);
    assert_eq!(address(&set(db, 3)), place, "nobody reads the second");
    assert_eq!(first[..], [1; 10_240]);
}
