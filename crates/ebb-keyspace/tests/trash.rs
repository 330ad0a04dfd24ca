//! What was emptied counts as free before it is freed: whoever looks for room relies on the figure.

use ebb_keyspace::{Deadline, Keyspace, StringValue, lazyfree};

#[test]
fn what_is_left_is_known_however_different_the_values_are() {
    let keyspace = Keyspace::new(1, 1);
    for number in 0..20_000_u32 {
        let name = number.to_le_bytes();
        let key = keyspace.key(&name);
        let len = match number {
            _ if number % 4000 == 0 => 1 << 20,
            _ if number % 40 == 0 => 10_240,
            _ => 10,
        };
        let value = vec![b'v'; len];
        let mut shard = keyspace.lock(0);
        shard.db(0).set(&key, StringValue::Bytes(&value), Deadline::Clear).unwrap();
    }
    let (data, index) = keyspace.live_bytes();
    assert!(data > 10_000_000 && index > 100_000, "{data} {index}");
    let trash = keyspace.lock(0).db(0).detach();
    // Segments of the table are filled differently.
    let is_exact = |left: usize| {
        let (data, index_left) = keyspace.live_bytes();
        left.abs_diff(data + index_left) <= index / 10
    };
    assert!(is_exact(trash.bytes()));
    let waiting = lazyfree::Choice::new(true);
    keyspace.discard(trash);
    drop(waiting);
    let mut steps = 0;
    while keyspace.free_trash_step() {
        steps += 1;
        let (left, live) = (keyspace.trash_bytes(), keyspace.live_bytes());
        assert!(is_exact(left), "after {steps} steps {left} of {live:?} wait");
    }
    assert!(steps > 50);
    assert_eq!((keyspace.trash_bytes(), keyspace.live_bytes()), (0, (0, 0)));
}
