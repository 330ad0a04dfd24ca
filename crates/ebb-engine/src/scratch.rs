//! Memory for what a command builds while it runs: copies of elements, tables of members, results.
//!
//! Rust ends the process when an allocation fails that cannot say so, as those of its collections
//! cannot. So who is about to build something large asks for all of it first, in one piece, and is
//! refused if that is not to be had. The piece is given back at once; the allocator keeps its
//! address space, and what is built finds room there.

use ebb_heap::starvation;
use ebb_keyspace::{EntryRef, Key, OutOfMemory};

use crate::context::Context;

/// Less than this there always is: the process keeps a reserve for it.
const BYTES_MIN: usize = 1 << 20;

/// What an element in a vector or table of its own takes beside its bytes, with spare room.
const ELEMENT_BYTES: usize = 96;

/// Whether there are `bytes` for something that is about to be built.
pub fn require(bytes: usize) -> Result<(), OutOfMemory> {
    if bytes < BYTES_MIN {
        return Ok(());
    }
    if !starvation::allows(bytes) {
        return Err(OutOfMemory);
    }
    let mut piece = Vec::<u8>::new();
    piece.try_reserve_exact(bytes).map_err(|_| OutOfMemory)?;
    // A piece that nobody looks at may never be allocated.
    std::hint::black_box(&mut piece);
    Ok(())
}

/// Makes room for so many more bytes in what a command builds.
pub fn make_room(built: &mut Vec<u8>, bytes: usize) -> Result<(), OutOfMemory> {
    if built.capacity() - built.len() >= bytes {
        return Ok(());
    }
    if !starvation::allows(built.len() + bytes) {
        return Err(OutOfMemory);
    }
    built.try_reserve(bytes).map_err(|_| OutOfMemory)
}

/// Bytes that a copy of all elements takes, each by itself.
fn copy_bytes(entry: &EntryRef<'_>) -> usize {
    let elements = match (entry.list(), entry.set(), entry.sorted_set(), entry.hash()) {
        (Some(list), ..) => list.len(),
        (_, Some(set), ..) => set.len(),
        (_, _, Some(set), _) => set.len(),
        (.., Some(hash)) => 2 * hash.len(),
        _ => 1,
    };
    let footprint = entry.footprint();
    footprint.data + footprint.index + footprint.outside + elements * ELEMENT_BYTES
}

impl Context<'_> {
    /// Whether there is memory for a copy of all that some keys hold, which the command is about
    /// to make.
    pub fn require_copies<'k>(
        &mut self,
        keys: impl IntoIterator<Item = Key<'k>>,
    ) -> Result<(), OutOfMemory> {
        let copies = keys.into_iter().map(|key| self.peek(&key).map_or(0, |e| copy_bytes(&e)));
        require(copies.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(require(isize::MAX as usize / 2).is_err());
        assert!(require(usize::MAX).is_err());
        assert!(require(10 << 20).is_ok());
    }
}
