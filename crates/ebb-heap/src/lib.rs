//! The movable heap: segments, arenas, blocks and exact accounting.
//!
//! All key and value bytes of the server live here. The address space is reserved once
//! ([`space`]) and carved into segments of [`SEGMENT_BYTES`]. A segment belongs to one
//! [`ArenaId`] and holds blocks of mixed sizes, placed by bumping a pointer. A freed block
//! becomes a *hole* on its arena's list for exactly that size and serves the next
//! allocation of that size, so a steady workload moves nothing. A segment whose last block
//! is freed goes back to the operating system at once. Blocks of [`LARGE_BYTES`] and more
//! get pages of their own.
//!
//! A block begins with a header of three bytes, which makes a segment walkable:
//!
//! ```text
//! 0      2      3                                   size
//! | size | kind | body ...                             |
//! ```
//!
//! `size` counts units of 4 bytes and includes the header; 0 says that the block is large
//! and that its size is in the segment table. `kind` is the owner's tag (0 to 7 are the
//! heap's own). The body starts at byte 3 on purpose: an owner that keeps a header of its
//! own packs it right there, so that there is one header and not two.
//!
//! Ownership is Rust ownership: a [`Block`] frees its bytes on drop, from any thread. A
//! [`Compact`] is the same handle in five bytes, for index slots. A [`Shared`] is a
//! reference-counted block: clones may be read by other threads while the keyspace goes
//! on, and whoever wants to write copies unless it holds the only reference. Owners move a
//! block with [`Block::relocate`]; a segment that is being evacuated accepts no new blocks
//! and leaves when its last block has moved.

mod arena;
mod block;
mod shared;
mod size;
mod space;
pub mod starvation;
pub mod watch;

pub use arena::check::{ArenaFlaw, arena_of, segments_used};
pub use arena::emptied::release_step;
pub use arena::{ArenaId, ArenaStats, BlockInfo, SegmentInfo};
pub use block::{Block, Compact, HEAD_BYTES, prefetch};
pub use shared::Shared;
pub use size::{LARGE_BYTES, MIN_BYTES, rounded};
pub use space::{SEGMENT_BYTES, SpaceStats, collapse_step, large_ranges, reserve, space_stats};

/// Kinds below this are the heap's own; owners tag their blocks with this and above.
pub const FIRST_OWNER_KIND: u8 = 8;

/// No address space, or the operating system refuses memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("out of memory")
    }
}

impl std::error::Error for OutOfMemory {}
