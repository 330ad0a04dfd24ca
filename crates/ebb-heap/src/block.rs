//! Handles of blocks.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::arena::{ArenaId, arena, header_bytes, kind_at, set_kind_at};
use crate::space::{State, address_of, space, units_of};
use crate::{FIRST_OWNER_KIND, MIN_BYTES, OutOfMemory};

/// Bytes of header before the body.
pub(crate) const HEADER: usize = 3;

/// Bytes of body that every block has.
pub const HEAD_BYTES: usize = MIN_BYTES - HEADER;

/// Owns a block; frees it on drop.
pub struct Block(NonNull<u8>);

// SAFETY: a block is plain memory with one owner; freeing locks the arena.
unsafe impl Send for Block {}
// SAFETY: `&Block` gives only shared reads.
unsafe impl Sync for Block {}

/// An owning handle in five bytes, for index slots: it must be turned back into a
/// [`Block`] to be freed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Compact(pub [u8; 5]);

/// Asks the processor to fetch the cache line at an address, which need not be valid.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

impl Compact {
    /// From the block's address in units (below 2^40).
    #[inline]
    pub fn from_units(units: u64) -> Compact {
        let b = units.to_le_bytes();
        Compact([b[0], b[1], b[2], b[3], b[4]])
    }

    /// The block's address in units.
    #[inline]
    pub fn units(self) -> u64 {
        let b = self.0;
        u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], 0, 0, 0])
    }

    /// The block's address.
    #[inline]
    pub fn address(self) -> *mut u8 {
        address_of(self.units())
    }

    /// Asks the processor to fetch the block's first two cache lines.
    pub fn prefetch(self) {
        let address = address_of(self.units());
        prefetch(address);
        prefetch(address.wrapping_add(64));
        prefetch(address.wrapping_add(100));
    }

    /// Asks the processor to fetch the block's first 49 bytes, in one or two cache lines.
    #[inline]
    pub fn prefetch_small(self) {
        let address = address_of(self.units());
        prefetch(address);
        prefetch(address.wrapping_add(48));
    }

    /// Asks the processor to fetch the block's first cache line.
    #[inline]
    pub fn prefetch_head(self) {
        prefetch(address_of(self.units()));
    }

    /// The segment the block lies in, known without touching the block.
    pub fn segment(self) -> u32 {
        let space = space();
        space.segment_of(address_of(self.units()))
    }
}

impl Block {
    /// A block whose body has at least `body` bytes. What they hold is unspecified: zeros
    /// or what a freed block left.
    pub fn allocate(arena_id: ArenaId, body: usize, kind: u8) -> Result<Block, OutOfMemory> {
        debug_assert!(kind >= FIRST_OWNER_KIND);
        let bytes = body.checked_add(HEADER).ok_or(OutOfMemory)?;
        let address = arena(arena_id.0).allocate(arena_id, bytes, kind)?;
        // SAFETY: the arena never hands out a null pointer.
        Ok(Block(unsafe { NonNull::new_unchecked(address) }))
    }

    #[inline]
    fn address(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// The start of the block, for owners that keep their own layout in it (tables).
    pub fn as_ptr(&self) -> *mut u8 {
        self.address()
    }

    /// Bytes the block takes, header included.
    #[inline]
    pub fn bytes(&self) -> usize {
        match header_bytes(self.address()) {
            0 => self.large_bytes(),
            bytes => bytes,
        }
    }

    #[inline(never)]
    fn large_bytes(&self) -> usize {
        let space = space();
        let row = space.segment(space.segment_of(self.address()));
        row.large_bytes.load(Ordering::Relaxed) as usize
    }

    /// The owner's tag.
    #[inline]
    pub fn kind(&self) -> u8 {
        kind_at(self.address())
    }

    /// Changes the owner's tag.
    pub fn set_kind(&mut self, kind: u8) {
        debug_assert!(kind >= FIRST_OWNER_KIND);
        set_kind_at(self.address(), kind);
    }

    /// The first bytes of the body. Every block has so many: nothing is asked of its size.
    #[inline]
    pub fn head(&self) -> &[u8; HEAD_BYTES] {
        // SAFETY: the smallest block has these bytes behind its header, initialized as for
        // `body`; `&self` keeps writers out.
        unsafe { &*self.address().add(HEADER).cast() }
    }

    /// The same to change.
    #[inline]
    pub fn head_mut(&mut self) -> &mut [u8; HEAD_BYTES] {
        // SAFETY: as for `head`, and `&mut self` keeps everybody else out.
        unsafe { &mut *self.address().add(HEADER).cast() }
    }

    /// The block after its header: `bytes() - 3` bytes.
    #[inline]
    pub fn body(&self) -> &[u8] {
        // SAFETY: the block has `bytes()` bytes, mapped by the kernel as zeros and
        // therefore initialized; `&self` keeps writers out.
        unsafe { std::slice::from_raw_parts(self.address().add(HEADER), self.bytes() - HEADER) }
    }

    /// The block after its header, to write.
    #[inline]
    pub fn body_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `body`; `&mut self` is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.address().add(HEADER), self.bytes() - HEADER) }
    }

    /// Gives the handle up in exchange for its compact form, which now owns the block.
    pub fn into_compact(self) -> Compact {
        let compact = self.compact();
        std::mem::forget(self);
        compact
    }

    /// The block's name, without its ownership.
    pub fn compact(&self) -> Compact {
        Compact::from_units(units_of(self.address()))
    }

    /// Takes the ownership back.
    ///
    /// # Safety
    /// `compact` came from [`Block::into_compact`] and is given up with this call.
    pub unsafe fn from_compact(compact: Compact) -> Block {
        // SAFETY: the address of a live block is not null.
        Block(unsafe { NonNull::new_unchecked(address_of(compact.units())) })
    }

    /// Looks at a block that somebody else owns.
    ///
    /// # Safety
    /// The block lives, and nobody writes it, as long as the reference is used.
    pub unsafe fn peek<R>(compact: Compact, look: impl FnOnce(&Block) -> R) -> R {
        // SAFETY: as the caller promises; the handle is never dropped.
        let block = std::mem::ManuallyDrop::new(unsafe { Block::from_compact(compact) });
        look(&block)
    }

    /// The arena the block was allocated from.
    pub fn arena(&self) -> ArenaId {
        let space = space();
        let row = space.segment(space.segment_of(self.address()));
        ArenaId(row.arena.load(Ordering::Relaxed))
    }

    /// Whether the block lies in a segment that is being evacuated.
    pub fn should_move(&self) -> bool {
        let space = space();
        space.segment(space.segment_of(self.address())).state() == State::Evacuating
    }

    /// Moves the block: same size, same bytes, another address in the same arena. The old
    /// place is freed. Large blocks have pages of their own and stay.
    pub fn relocate(&mut self) -> Result<bool, OutOfMemory> {
        let Some(twin) = self.twin()? else { return Ok(false) };
        *self = twin;
        Ok(true)
    }

    /// A block like this one, at another address of the same arena; none for a large block.
    pub fn twin(&self) -> Result<Option<Block>, OutOfMemory> {
        let bytes = header_bytes(self.address());
        if bytes == 0 {
            return Ok(None);
        }
        let address = arena(self.arena().0).allocate_twin(bytes, self.kind())?;
        // SAFETY: the arena never hands out a null pointer.
        let mut twin = Block(unsafe { NonNull::new_unchecked(address) });
        twin.body_mut().copy_from_slice(self.body());
        Ok(Some(twin))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        arena(self.arena().0).free(self.address(), self.bytes());
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block(kind {}, {} bytes)", self.kind(), self.bytes())
    }
}
