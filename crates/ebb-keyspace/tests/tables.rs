//! Tables of blocks that wait to be freed. Whatever waits in the process is counted together: so
//! this test has a process of its own.

use ebb_heap::{ArenaId, Block};
use ebb_keyspace::lazyfree;
use ebb_table::Blocks;

fn key_of(block: &Block) -> &[u8] {
    &block.body()[..8]
}

fn table(data: ArenaId, index: ArenaId, len: u64) -> Blocks {
    let mut table = Blocks::new(index, key_of);
    for key in 0..len {
        let mut block = Block::allocate(data, 8, 200).unwrap();
        block.body_mut()[..8].copy_from_slice(&key.to_le_bytes());
        table.insert(block).unwrap();
    }
    table
}

#[test]
fn tables_wait_unless_they_are_small() {
    let (data, index) = (ArenaId::new(), ArenaId::new());
    let live = || (data.live_bytes(), index.live_bytes());
    lazyfree::discard_tables([20, 40].map(|len| table(data, index, len)));
    assert_eq!((live(), lazyfree::pending()), ((0, 0), 0));
    // Larger ones wait even where the thread frees values at once.
    let _freeing = lazyfree::Choice::new(false);
    lazyfree::discard_tables([1000, 0, 3000].map(|len| table(data, index, len)));
    assert_eq!(data.stats().blocks, 4000);
    assert_eq!((lazyfree::pending(), lazyfree::pending_bytes()), (1, 0));
    assert_eq!(lazyfree::check(), Some([(1, 1), (0, 0)]));
    let mut steps = 0;
    while lazyfree::step() {
        steps += 1;
        assert!(data.stats().blocks + 400 * steps >= 4000, "a step frees too much");
    }
    assert_eq!((live(), lazyfree::pending(), lazyfree::freed()), ((0, 0), 0, 1));
}
