//! Strings that are edited in place: room for them.

use ebb_heap::{ArenaId, Block, OutOfMemory, Shared};

use super::{
    CLOCK, Entry, EntryRef, Front, HAS_DEADLINE, PARTITION, Plan, SHARED_MIN, SIZED_RAW, array,
};

/// An entry whose string has room to grow: `len` bytes copied from `old`, zeros after, and
/// spare capacity as sds keeps it (as much again, at most 1 MB).
pub(crate) fn grown(
    arena: ArenaId,
    key: &[u8],
    old: Option<EntryRef<'_>>,
    len: usize,
) -> Result<Entry, OutOfMemory> {
    let deadline = old.as_ref().and_then(EntryRef::deadline);
    let (clock, partition) = match &old {
        Some(entry) => (array(&entry.0.body()[CLOCK]), entry.0.body()[PARTITION]),
        None => ([0; 3], 0),
    };
    let front = Front { key, deadline, clock, partition };
    let fill = |target: &mut [u8]| {
        let mut at = 0;
        if let Some(entry) = &old {
            entry.string().with_bytes(|bytes| {
                target[..bytes.len()].copy_from_slice(bytes);
                at = bytes.len();
            });
        }
        target[at..].fill(0);
    };
    // The first edit of a value takes no more than it needs; one that grows takes spare room.
    let grows = old.as_ref().is_some_and(|entry| entry.encoding() == "raw");
    let capacity = if grows { len + len.min(1 << 20) } else { len };
    if capacity >= SHARED_MIN {
        let mut shared = Shared::allocate(arena, len, capacity)?;
        match shared.get_mut() {
            Some(bytes) => fill(bytes),
            None => unreachable!("a fresh block has one reference"),
        }
        return Entry::from_plan(arena, &front, Plan::Shared(shared));
    }
    let flag = if deadline.is_some() { HAS_DEADLINE } else { 0 };
    let mut block = Block::allocate(arena, front.len() + 4 + capacity, SIZED_RAW | flag)?;
    let body = block.body_mut();
    front.write(body);
    let at = front.len();
    body[at..at + 4].copy_from_slice(&(len as u32).to_le_bytes());
    fill(&mut body[at + 4..at + 4 + len]);
    Ok(Entry(block))
}
