//! There are arenas for all partitions in the largest keyspace that a server makes.

use ebb_keyspace::{Keyspace, PARTITIONS_MAX, PartId};

#[test]
fn all_partitions_have_an_arena_in_each_shard() {
    const SHARDS: usize = 256;
    let keyspace = Keyspace::new(SHARDS, 1);
    for id in 1..=PARTITIONS_MAX {
        let id = PartId::try_from(id).expect("ids are small numbers");
        let first = keyspace.partition_arena(id, 0);
        let last = keyspace.partition_arena(id, SHARDS - 1);
        assert_ne!(first, last);
        assert_eq!(last.live_bytes(), 0);
    }
}
