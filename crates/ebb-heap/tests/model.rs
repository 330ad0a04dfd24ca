//! Random allocations, frees and moves against a plain model.

use ebb_heap::{ArenaId, Block, SEGMENT_BYTES, Shared, release_step};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Allocate(usize),
    Free(usize),
    Move(usize),
    Evacuate(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let size = prop_oneof![8 => 0usize..600, 3 => 600usize..20_000, 1 => 20_000usize..400_000];
    prop_oneof![
        6 => size.prop_map(Op::Allocate),
        4 => any::<usize>().prop_map(Op::Free),
        1 => any::<usize>().prop_map(Op::Move),
        1 => any::<usize>().prop_map(Op::Evacuate),
    ]
}

fn check(arena: ArenaId, blocks: &[(Block, u8)]) {
    for (block, fill) in blocks {
        assert!(block.body().iter().all(|byte| byte == fill), "content changed");
    }
    let owned: usize = blocks.iter().map(|(block, _)| block.bytes()).sum();
    let mut walked = std::collections::HashSet::new();
    assert_eq!(arena.walk(|info| assert!(walked.insert(info.address))), owned);
    assert!(blocks.iter().all(|(block, _)| walked.contains(&block.compact().units())));
    let stats = arena.stats();
    assert_eq!((stats.live, stats.blocks), (owned, blocks.len()));
    assert_eq!(stats.touched, stats.live + stats.holes);
}

/// Gives back segments that are empty until something holds. Another test may be at it, too.
fn release_until(is_done: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if is_done() {
            return;
        }
        if !release_step() {
            std::thread::yield_now();
        }
    }
}

/// Gives back all segments that are empty, but for the current one.
fn release_all(arena: ArenaId) {
    release_until(|| arena.stats().segments <= 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn blocks_keep_their_content_and_counts_are_exact(ops in prop::collection::vec(op(), 1..400)) {
        let arena = ArenaId::new();
        let mut blocks: Vec<(Block, u8)> = Vec::new();
        for (step, op) in ops.into_iter().enumerate() {
            match op {
                Op::Allocate(size) => {
                    let mut block = Block::allocate(arena, size, 9).unwrap();
                    assert!(block.body().len() >= size);
                    let fill = step as u8;
                    block.body_mut().fill(fill);
                    blocks.push((block, fill));
                }
                Op::Free(n) if !blocks.is_empty() => {
                    let at = n % blocks.len();
                    blocks.swap_remove(at);
                }
                Op::Move(n) if !blocks.is_empty() => {
                    let at = n % blocks.len();
                    let bytes = blocks[at].0.bytes();
                    blocks[at].0.relocate().unwrap();
                    prop_assert_eq!(blocks[at].0.bytes(), bytes);
                }
                Op::Evacuate(n) => {
                    let segments = arena.segments();
                    if segments.is_empty() { continue; }
                    let segment = segments[n % segments.len()].index;
                    arena.begin_evacuation(segment);
                    // Some may stay where they are: their segment opens again.
                    let stay = if n % 3 == 0 { blocks.len() / 2 } else { blocks.len() };
                    for (block, _) in &mut blocks[..stay] {
                        if block.should_move() {
                            assert!(block.relocate().unwrap());
                        }
                    }
                    let left = arena.end_evacuation();
                    prop_assert!(left == 0 || stay < blocks.len());
                    prop_assert!(arena.segments().iter().all(|info| !info.evacuating));
                }
                _ => {}
            }
        }
        check(arena, &blocks);
        blocks.clear();
        check(arena, &[]);
        release_all(arena);
        check(arena, &[]);
        prop_assert!(arena.stats().segments <= 1, "only the current segment may be kept");
    }
}

#[test]
fn freed_from_other_threads() {
    let arena = ArenaId::new();
    let blocks: Vec<Block> =
        (0..40_000).map(|i| Block::allocate(arena, 10 + i % 300, 9).unwrap()).collect();
    let mut parts: Vec<Vec<Block>> = (0..4).map(|_| Vec::new()).collect();
    for (i, block) in blocks.into_iter().enumerate() {
        parts[i % 4].push(block);
    }
    std::thread::scope(|scope| {
        for part in parts {
            scope.spawn(move || drop(part));
        }
    });
    release_until(|| arena.stats().touched < SEGMENT_BYTES);
    let stats = arena.stats();
    assert_eq!((stats.live, stats.blocks), (0, 0));
    assert!(stats.touched < SEGMENT_BYTES);
}

#[test]
fn shared_bytes_live_until_the_last_reference() {
    let arena = ArenaId::new();
    let mut value = Shared::copy_from(arena, &[7; 200_000]).unwrap();
    let reader = value.clone();
    assert_eq!(value.reference_count(), 2);
    assert!(value.get_mut().is_none(), "a shared value is not written");
    assert!(!value.relocate().unwrap(), "a shared value does not move");
    drop(value);
    assert_eq!(reader.len(), 200_000);
    assert!(reader.iter().all(|&byte| byte == 7));
    drop(reader);
    assert_eq!(arena.live_bytes(), 0);
}

#[test]
fn bytes_are_overwritten_only_by_their_sole_owner_and_where_they_fit() {
    let arena = ArenaId::new();
    let mut value = Shared::copy_from(arena, &[1; 10_000]).unwrap();
    let address = value.block().compact();
    assert!(value.overwrite(&[2; 10_000]));
    assert!(value.overwrite(&[3; 9_970]), "a 256th may be spare");
    assert_eq!((&value[..], value.block().compact()), (&[3; 9_970][..], address));
    assert!(!value.overwrite(&[4; 9_900]), "too much would be spare");
    assert!(!value.overwrite(&[4; 10_100]), "too long");
    let reader = value.clone();
    assert!(!value.overwrite(&[5; 9_970]), "others read them");
    assert_eq!((&value[..], &reader[..]), (&[3; 9_970][..], &[3; 9_970][..]));
    drop((value, reader));
    assert_eq!(arena.live_bytes(), 0);
}

#[test]
fn memory_returns_to_the_system() {
    let arena = ArenaId::new();
    let blocks: Vec<Block> = (0..200_000)
        .map(|_| {
            let mut block = Block::allocate(arena, 500, 9).unwrap();
            block.body_mut().fill(1);
            block
        })
        .collect();
    assert!(arena.stats().touched > 90 << 20);
    drop(blocks);
    // What waits for the maintenance thread is bounded, in case that it comes late.
    assert!(arena.stats().touched <= 10 * SEGMENT_BYTES);
    release_until(|| arena.stats().touched == 0);
    assert_eq!((arena.stats().touched, arena.stats().holes), (0, 0));
}

/// Blocks that fill a segment, and the first few of another.
fn segment_of_small_blocks(arena: ArenaId) -> (Vec<Block>, Vec<Block>) {
    let block = |_| Block::allocate(arena, 17, 9).unwrap();
    let first: Vec<Block> = (0..SEGMENT_BYTES / 20).map(block).collect();
    assert_eq!(arena.stats().segments, 1);
    // The rest of the first segment may hold one of them.
    let second: Vec<Block> = (0..10).map(block).collect();
    assert_eq!(arena.stats().segments, 2);
    (first, second)
}

#[test]
fn an_empty_segment_goes_in_steps() {
    let arena = ArenaId::new();
    let (first, second) = segment_of_small_blocks(arena);
    drop(first);
    assert_eq!(arena.stats().segments, 2, "100,000 holes are too many for one free");
    release_all(arena);
    let stats = arena.stats();
    assert_eq!((stats.segments, stats.blocks), (1, second.len()));
    assert_eq!(arena.check(), []);
}

#[test]
fn frees_prepare_an_empty_segment() {
    let arena = ArenaId::new();
    let (first, mut second) = segment_of_small_blocks(arena);
    let block = |_| Block::allocate(arena, 40, 9).unwrap();
    second.extend((0..30_000).map(block));
    drop(first);
    second.truncate(1);
    // A block finds no room in it any more: none of its holes is on a list.
    let small: Vec<Block> = (0..20).map(|_| Block::allocate(arena, 17, 9).unwrap()).collect();
    assert!(small.iter().all(|small| small.compact().segment() == second[0].compact().segment()));
    release_all(arena);
    assert_eq!(arena.stats().segments, 1);
    assert_eq!(arena.check(), []);
}

#[test]
fn an_empty_segment_that_is_needed_again_stays() {
    let arena = ArenaId::new();
    let (first, mut second) = segment_of_small_blocks(arena);
    drop(first);
    let mut back = Block::allocate(arena, 17, 9).unwrap();
    back.body_mut().fill(7);
    assert_ne!(back.compact().segment(), second[0].compact().segment());
    second.pop();
    assert_eq!(arena.check(), []);
    assert_eq!(arena.stats().segments, 2);
    // What was taken off the lists is one large hole now.
    let large = Block::allocate(arena, 7_000, 9).unwrap();
    assert_eq!(large.compact().segment(), back.compact().segment());
    assert!(back.body().iter().all(|&byte| byte == 7));
    drop((back, large));
    release_all(arena);
    assert_eq!(arena.stats().segments, 1);
    assert_eq!(arena.check(), []);
    assert_eq!(arena.walk(|_| {}), second.iter().map(Block::bytes).sum());
}

/// Closing and opening lets others allocate and free in between.
#[test]
fn evacuates_while_others_allocate_and_free() {
    let arena = ArenaId::new();
    let fill = |n: usize| {
        let mut block = Block::allocate(arena, 10 + n % 90, 9).unwrap();
        block.body_mut().fill(n as u8);
        (block, n as u8)
    };
    let mut parts: Vec<Vec<(Block, u8)>> = (0..3).map(|_| Vec::new()).collect();
    for n in 0..150_000 {
        let block = fill(n);
        if n % 2 == 0 {
            parts[n % 3].push(block);
        }
    }
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for part in &mut parts {
            scope.spawn(|| {
                let mut at = 0;
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    at = (at + 7919) % part.len();
                    part[at] = fill(at * 31);
                }
            });
        }
        for _ in 0..40 {
            for segment in arena.segments() {
                arena.begin_evacuation(segment.index);
            }
            arena.end_evacuation();
            assert!(arena.segments().iter().all(|info| !info.evacuating));
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let blocks: Vec<(Block, u8)> = parts.into_iter().flatten().collect();
    check(arena, &blocks);
    assert_eq!(arena.check(), []);
    drop(blocks);
    release_all(arena);
    check(arena, &[]);
    assert_eq!(arena.check(), []);
}
