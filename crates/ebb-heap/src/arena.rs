//! An arena: the segments of one owner, its bump pointer and its lists of holes.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::OutOfMemory;
use crate::size::{LARGE_BYTES, MIN_BYTES, UNIT, list_of, rounded};
use crate::space::{SEGMENT_BYTES, Space, State, address_of, space, units_of};
use crate::watch;
use emptied::Emptied;
use evacuation::Halfway;
use heads::Heads;

mod ahead;
pub(crate) mod check;
pub(crate) mod emptied;
mod evacuation;
mod heads;

pub(crate) const KIND_HOLE: u8 = 0;
/// A gap on no list: too small for a hole, or in a segment that is being evacuated, or one for
/// whose list there was no memory.
pub(crate) const KIND_PAD: u8 = 1;

/// A current segment that is emptied is kept, unless it had grown past this.
const KEEP_EMPTY_BYTES: usize = 64 * 1024;
/// From this size on a hole of twice the size is split before fresh memory is used. A smaller one
/// is not: its size is wanted again, what would be split off is not.
const SPLIT_EAGERLY_BYTES: usize = 1024;
/// The largest hole: smaller than large blocks, so that the lists have a place for it.
const GAP_MAX: usize = LARGE_BYTES / 2;
/// A segment of fewer blocks stays as small pages: who reads a block of several pages spends more on
/// its bytes than on its misses of the address cache, and copying the segment costs a part of each.
const BLOCKS_OF_HUGE_PAGE: usize = 1024;
/// As many as the number of a segment's owner can tell apart.
const ARENAS_MAX: usize = 1 << 16;
const NONE: u64 = 0;

/// Names an arena. Arenas are made at the start (one or two a shard, one a worker) and
/// live as long as the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArenaId(pub(crate) u16);

/// Totals of an arena, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArenaStats {
    /// In blocks, headers and rounding included.
    pub live: usize,
    /// In holes and gaps between blocks.
    pub holes: usize,
    /// Bumped over or taken by large blocks: what may be resident.
    pub touched: usize,
    /// Blocks.
    pub blocks: usize,
    /// Segments held (those of large blocks not included).
    pub segments: usize,
}

/// One block as a walk sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockInfo {
    /// The block's address in units: the same number a [`crate::Compact`] holds.
    pub address: u64,
    /// Bytes, header included.
    pub bytes: usize,
    /// The owner's tag.
    pub kind: u8,
}

/// One segment of small blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Index in the segment table.
    pub index: u32,
    /// Bytes in blocks.
    pub live: usize,
    /// Bytes touched.
    pub touched: usize,
    /// Whether new blocks go here by bumping.
    pub current: bool,
    /// Whether its blocks are being moved out.
    pub evacuating: bool,
}

struct Inner {
    id: u16,
    current: Option<u32>,
    bump: usize,
    /// Blocks that were put into the current segment.
    placed: usize,
    heads: Heads,
    segments: Vec<u32>,
    emptied: Vec<Emptied>,
    /// Emptied segments that have no holes on the lists any more.
    clean: Vec<u32>,
    /// Has asked for steps of releasing them.
    is_waiting: bool,
    /// The segment that is being closed or opened.
    halfway: Option<Halfway>,
    holes: usize,
    blocks: usize,
    touched: usize,
}

pub(crate) struct Arena {
    inner: Mutex<Inner>,
    live: AtomicUsize,
}

static ARENAS: [AtomicPtr<Arena>; ARENAS_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; ARENAS_MAX];
static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) fn arena(id: u16) -> &'static Arena {
    // SAFETY: null, or an arena that was leaked.
    match unsafe { ARENAS[usize::from(id)].load(Ordering::Acquire).as_ref() } {
        Some(arena) => arena,
        None => unreachable!("an arena id is made only together with its arena"),
    }
}

/// The size in the header, for a block that is not large.
pub(crate) fn header_bytes(address: *const u8) -> usize {
    // SAFETY: callers pass the start of a block or hole, whose first two bytes are its size.
    unsafe { address.cast::<u16>().read() as usize * UNIT }
}

fn write_header(address: *mut u8, bytes: usize, kind: u8) {
    debug_assert!(bytes.is_multiple_of(UNIT) && bytes / UNIT <= usize::from(u16::MAX));
    // SAFETY: callers own at least four bytes at `address`, which is 4-aligned.
    unsafe {
        address.cast::<u16>().write((bytes / UNIT) as u16);
        address.add(2).write(kind);
    }
}

/// The kind of a block or hole. Atomic, because who walks a segment under the arena's lock reads
/// the kinds of blocks whose owners may change them.
#[inline]
pub(crate) fn kind_at(address: *const u8) -> u8 {
    // SAFETY: callers pass the start of a block or hole, whose third byte is its kind.
    unsafe { AtomicU8::from_ptr(address.add(2).cast_mut()) }.load(Ordering::Relaxed)
}

/// Changes the kind of a block.
#[inline]
pub(crate) fn set_kind_at(address: *mut u8, kind: u8) {
    // SAFETY: callers own the block.
    unsafe { AtomicU8::from_ptr(address.add(2)) }.store(kind, Ordering::Relaxed);
}

/// Links of a hole, each in units plus one: next at byte 4, previous at byte 9.
fn link(address: *const u8, at: usize) -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: a hole has at least 16 bytes; at + 5 <= 14.
    unsafe { std::ptr::copy_nonoverlapping(address.add(at), bytes.as_mut_ptr(), 5) };
    u64::from_le_bytes(bytes)
}

fn set_link(address: *mut u8, at: usize, value: u64) {
    // SAFETY: as in `link`.
    unsafe { std::ptr::copy_nonoverlapping(value.to_le_bytes().as_ptr(), address.add(at), 5) };
}

const NEXT_AT: usize = 4;
const PREVIOUS_AT: usize = 9;

impl Inner {
    fn push_hole(&mut self, address: *mut u8, bytes: usize) {
        let list = list_of(bytes);
        if bytes < MIN_BYTES || !self.heads.prepare(list) {
            write_header(address, bytes, KIND_PAD);
            return;
        }
        write_header(address, bytes, KIND_HOLE);
        let head = self.heads.get(list);
        set_link(address, NEXT_AT, head);
        set_link(address, PREVIOUS_AT, NONE);
        let name = units_of(address) + 1;
        if head != NONE {
            set_link(address_of(head - 1), PREVIOUS_AT, name);
        }
        self.heads.set(list, name);
    }

    fn unlink_hole(&mut self, address: *mut u8, bytes: usize) {
        let (next, previous) = (link(address, NEXT_AT), link(address, PREVIOUS_AT));
        if next != NONE {
            set_link(address_of(next - 1), PREVIOUS_AT, previous);
        }
        if previous != NONE {
            set_link(address_of(previous - 1), NEXT_AT, next);
        } else {
            self.heads.set(list_of(bytes), next);
        }
    }

    /// Takes the first hole of `list`, splitting off what `bytes` does not need.
    fn take_hole(&mut self, list: usize, bytes: usize) -> (*mut u8, usize) {
        let address = address_of(self.heads.get(list) - 1);
        let hole = header_bytes(address);
        self.unlink_hole(address, hole);
        let rest = hole - bytes;
        if rest >= MIN_BYTES && list != list_of(bytes) {
            self.push_hole(address.wrapping_add(bytes), rest);
            self.holes -= bytes;
            (address, bytes)
        } else {
            self.holes -= hole;
            (address, hole)
        }
    }

    fn bump(&mut self, space: &Space, bytes: usize) -> Option<*mut u8> {
        let segment = self.current?;
        if SEGMENT_BYTES - self.bump < bytes {
            return None;
        }
        let address = space.segment_base(segment).wrapping_add(self.bump);
        self.bump += bytes;
        self.placed += 1;
        self.touched += bytes;
        space.segment(segment).bump.store(self.bump as u32, Ordering::Relaxed);
        Some(address)
    }

    /// Makes a fresh segment the current one; what is left of the old one becomes a hole.
    fn open_segment(&mut self, space: &Space) -> Result<(), OutOfMemory> {
        let fresh = space.take(1)?;
        self.close_current(space);
        let row = space.segment(fresh);
        row.set_state(State::Blocks);
        row.arena.store(self.id, Ordering::Relaxed);
        row.live.store(0, Ordering::Relaxed);
        row.bump.store(0, Ordering::Relaxed);
        self.segments.push(fresh);
        self.current = Some(fresh);
        (self.bump, self.placed) = (0, 0);
        Ok(())
    }

    fn close_current(&mut self, space: &Space) {
        let Some(segment) = self.current.take() else { return };
        if self.placed >= BLOCKS_OF_HUGE_PAGE {
            space.filled(segment);
        }
        let rest = SEGMENT_BYTES - self.bump;
        if rest > 0 {
            let address = space.segment_base(segment).wrapping_add(self.bump);
            space.segment(segment).bump.store(SEGMENT_BYTES as u32, Ordering::Relaxed);
            self.holes += rest;
            self.touched += rest;
            self.push_gap(address, rest);
        }
        if space.segment(segment).live.load(Ordering::Relaxed) == 0 {
            self.release(space, segment);
        }
    }

    fn allocate(&mut self, space: &Space, bytes: usize) -> Result<(*mut u8, usize), OutOfMemory> {
        let list = list_of(bytes);
        // Holes of one list differ by less than the list is wide: the first must be asked.
        let head = self.heads.get(list);
        if head != NONE && header_bytes(address_of(head - 1)) >= bytes {
            return Ok(self.take_hole(list, bytes));
        }
        if bytes >= SPLIT_EAGERLY_BYTES
            && let Some(larger) = self.heads.list_from(list_of(bytes * 2) + 1)
        {
            return Ok(self.take_hole(larger, bytes));
        }
        if let Some(address) = self.bump(space, bytes) {
            return Ok((address, bytes));
        }
        // Before the arena grows, any hole that is large enough will do.
        if let Some(larger) = self.heads.list_from(list_of(bytes + MIN_BYTES) + 1) {
            return Ok(self.take_hole(larger, bytes));
        }
        self.open_segment(space)?;
        match self.bump(space, bytes) {
            Some(address) => Ok((address, bytes)),
            None => unreachable!("a fresh segment holds any small block"),
        }
    }

    /// Writes a block's header and counts the block.
    fn hand_out(&mut self, space: &Space, address: *mut u8, bytes: usize, kind: u8) {
        self.blocks += 1;
        write_header(address, bytes, kind);
        watch::born(units_of(address));
        let live = &space.segment(space.segment_of(address)).live;
        live.store(live.load(Ordering::Relaxed) + bytes as u32, Ordering::Relaxed);
    }

    /// A block of just `bytes`. What a hole has too much stays behind as a hole or a gap.
    fn allocate_exact(&mut self, space: &Space, bytes: usize) -> Result<*mut u8, OutOfMemory> {
        let (address, size) = self.allocate(space, bytes)?;
        let rest = size - bytes;
        if rest > 0 {
            self.push_hole(address.wrapping_add(bytes), rest);
            self.holes += rest;
        }
        Ok(address)
    }

    fn free(&mut self, space: &Space, address: *mut u8, bytes: usize) {
        let segment = space.segment_of(address);
        let row = space.segment(segment);
        watch::died(units_of(address));
        let live = row.live.load(Ordering::Relaxed) - bytes as u32;
        row.live.store(live, Ordering::Relaxed);
        self.holes += bytes;
        self.blocks -= 1;
        if row.state() == State::Evacuating && !self.is_open_again(space, segment, address) {
            write_header(address, bytes, KIND_PAD);
        } else {
            self.push_hole(address, bytes);
        }
        if live == 0 {
            self.release(space, segment);
        } else {
            self.release_with_free(space);
        }
    }
}

/// Bytes of a segment that are blocks and holes.
fn used_bytes(space: &Space, segment: u32) -> usize {
    space.segment(segment).bump.load(Ordering::Relaxed) as usize
}

/// Calls `visit` with address, bytes and kind of everything in a segment, in order.
fn walk(space: &Space, segment: u32, mut visit: impl FnMut(*mut u8, usize, u8)) {
    walk_from(space, segment, 0, |address, bytes, kind| {
        visit(address, bytes, kind);
        true
    });
}

/// The same from a byte on, where a block or a hole begins, until `visit` answers false; then the
/// answer is where that begins which `visit` has seen last.
fn walk_from(
    space: &Space,
    segment: u32,
    mut at: usize,
    mut visit: impl FnMut(*mut u8, usize, u8) -> bool,
) -> Option<usize> {
    let end = used_bytes(space, segment);
    while at < end {
        let address = space.segment_base(segment).wrapping_add(at);
        let bytes = header_bytes(address);
        assert!(bytes > 0 && at + bytes <= end, "a segment is a gapless run of blocks");
        if !visit(address, bytes, kind_at(address)) {
            return Some(at);
        }
        at += bytes;
    }
    None
}

impl Arena {
    /// A block of at least `bytes` (header included), its header written.
    pub(crate) fn allocate(
        &self,
        id: ArenaId,
        bytes: usize,
        kind: u8,
    ) -> Result<*mut u8, OutOfMemory> {
        let space = space();
        if bytes > LARGE_BYTES - UNIT {
            return self.allocate_large(space, id, bytes, kind);
        }
        let mut inner = self.inner.lock();
        let (address, size) = inner.allocate(space, rounded(bytes))?;
        inner.hand_out(space, address, size, kind);
        self.add_live(size);
        Ok(address)
    }

    /// A small block of just the size of another one, which is to move there.
    pub(crate) fn allocate_twin(&self, bytes: usize, kind: u8) -> Result<*mut u8, OutOfMemory> {
        debug_assert!(bytes < LARGE_BYTES && bytes.is_multiple_of(UNIT));
        let space = space();
        let mut inner = self.inner.lock();
        let address = inner.allocate_exact(space, bytes)?;
        inner.hand_out(space, address, bytes, kind);
        self.add_live(bytes);
        Ok(address)
    }

    fn allocate_large(
        &self,
        space: &Space,
        id: ArenaId,
        bytes: usize,
        kind: u8,
    ) -> Result<*mut u8, OutOfMemory> {
        let bytes = bytes.checked_next_multiple_of(4096).ok_or(OutOfMemory)?;
        let count = u32::try_from(bytes.div_ceil(SEGMENT_BYTES)).map_err(|_| OutOfMemory)?;
        let segment = space.take(count)?;
        let row = space.segment(segment);
        let address = space.segment_base(segment);
        write_header(address, 0, kind);
        // The segment becomes the arena's under its lock, so that who holds it sees all of it.
        let mut inner = self.inner.lock();
        row.arena.store(id.0, Ordering::Relaxed);
        row.large_bytes.store(bytes as u64, Ordering::Relaxed);
        row.set_state(State::Large);
        watch::born(units_of(address));
        inner.blocks += 1;
        inner.touched += bytes;
        self.add_live(bytes);
        Ok(address)
    }

    /// Counts bytes as live, under the lock: nobody else writes meanwhile.
    fn add_live(&self, bytes: usize) {
        self.live.store(self.live.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    }

    pub(crate) fn free(&self, address: *mut u8, bytes: usize) {
        let space = space();
        let mut inner = self.inner.lock();
        self.live.store(self.live.load(Ordering::Relaxed) - bytes, Ordering::Relaxed);
        if header_bytes(address) == 0 {
            let segment = space.segment_of(address);
            watch::died(units_of(address));
            space.segment(segment).set_state(State::Taken);
            inner.blocks -= 1;
            inner.touched -= bytes;
            drop(inner);
            space.give_back(segment, bytes.div_ceil(SEGMENT_BYTES) as u32, bytes);
        } else {
            inner.free(space, address, bytes);
        }
    }
}

impl ArenaId {
    /// Makes an arena. There can be 65,536; more is a programming error and panics.
    #[allow(clippy::new_without_default, reason = "each call makes another arena")]
    pub fn new() -> ArenaId {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let Ok(id) = u16::try_from(id) else { panic!("more arenas than the heap can name") };
        let inner = Inner {
            id,
            current: None,
            bump: 0,
            placed: 0,
            heads: Heads::new(),
            segments: Vec::new(),
            emptied: Vec::new(),
            clean: Vec::new(),
            is_waiting: false,
            halfway: None,
            holes: 0,
            blocks: 0,
            touched: 0,
        };
        let arena = Box::new(Arena { inner: Mutex::new(inner), live: AtomicUsize::new(0) });
        ARENAS[usize::from(id)].store(Box::into_raw(arena), Ordering::Release);
        ArenaId(id)
    }

    /// Bytes in blocks, without taking the arena's lock.
    pub fn live_bytes(self) -> usize {
        arena(self.0).live.load(Ordering::Relaxed)
    }

    /// The arena's totals.
    pub fn stats(self) -> ArenaStats {
        let arena = arena(self.0);
        let inner = arena.inner.lock();
        ArenaStats {
            live: arena.live.load(Ordering::Relaxed),
            holes: inner.holes,
            touched: inner.touched,
            blocks: inner.blocks,
            segments: inner.segments.len(),
        }
    }

    /// Its segments of small blocks, but for those that are about to leave.
    pub fn segments(self) -> Vec<SegmentInfo> {
        let space = space();
        let inner = arena(self.0).inner.lock();
        let info = |&index: &u32| {
            let row = space.segment(index);
            SegmentInfo {
                index,
                live: row.live.load(Ordering::Relaxed) as usize,
                touched: row.bump.load(Ordering::Relaxed) as usize,
                current: inner.current == Some(index),
                evacuating: row.state() == State::Evacuating,
            }
        };
        inner.segments.iter().filter(|segment| !inner.clean.contains(segment)).map(info).collect()
    }

    /// Calls `visit` for every block, segment by segment, and returns the bytes in blocks
    /// that it saw. Blocks must not be allocated or freed meanwhile.
    pub fn walk(self, mut visit: impl FnMut(BlockInfo)) -> usize {
        let space = space();
        let inner = arena(self.0).inner.lock();
        let mut live = 0;
        for &segment in &inner.segments {
            walk(space, segment, |address, bytes, kind| {
                if kind != KIND_HOLE && kind != KIND_PAD {
                    live += bytes;
                    visit(BlockInfo { address: units_of(address), bytes, kind });
                }
            });
        }
        for segment in 0..space.segment_count_used() {
            let row = space.segment(segment);
            if row.state() == State::Large && row.arena.load(Ordering::Relaxed) == self.0 {
                let bytes = row.large_bytes.load(Ordering::Relaxed) as usize;
                let address = space.segment_base(segment);
                live += bytes;
                visit(BlockInfo { address: units_of(address), bytes, kind: kind_at(address) });
            }
        }
        live
    }
}
