//! Reference-counted blocks of bytes, for large values.
//!
//! ```text
//! 0      2      3       4            8       16
//! | size | kind | spare | references | length | bytes ... spare capacity |
//! ```

use std::sync::atomic::{AtomicU32, Ordering};

use crate::OutOfMemory;
use crate::arena::ArenaId;
use crate::block::{Block, Compact, HEADER};

const KIND_SHARED: u8 = 8;
const REFERENCES_AT: usize = 4;
const LENGTH_AT: usize = 8 - HEADER;
const BYTES_AT: usize = 16 - HEADER;
/// Bytes by which a block is larger than asked for because sizes are multiples of eight.
const ROUNDING: usize = 7;

/// A reference to immutable bytes. Cloning counts up, dropping counts down, the last one
/// frees. Writing needs [`Shared::get_mut`], which only the sole owner gets.
pub struct Shared(std::mem::ManuallyDrop<Block>);

// SAFETY: the bytes are only written by a sole owner, and the count is atomic.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// `len` bytes with room for `capacity`; what they hold is unspecified until written.
    pub fn allocate(arena: ArenaId, len: usize, capacity: usize) -> Result<Shared, OutOfMemory> {
        let body = capacity.max(len).checked_add(BYTES_AT).ok_or(OutOfMemory)?;
        let mut block = Block::allocate(arena, body, KIND_SHARED)?;
        block.body_mut()[LENGTH_AT..BYTES_AT].copy_from_slice(&(len as u64).to_le_bytes());
        let shared = Shared(std::mem::ManuallyDrop::new(block));
        shared.references().store(1, Ordering::Relaxed);
        Ok(shared)
    }

    /// A copy of `bytes`.
    pub fn copy_from(arena: ArenaId, bytes: &[u8]) -> Result<Shared, OutOfMemory> {
        let mut shared = Shared::allocate(arena, bytes.len(), bytes.len())?;
        if let Some(target) = shared.get_mut() {
            target.copy_from_slice(bytes);
        }
        Ok(shared)
    }

    fn references(&self) -> &AtomicU32 {
        // SAFETY: bytes 4..8 of a shared block are its count, aligned as blocks are, and
        // accessed in no other way.
        unsafe { &*self.0.as_ptr().add(REFERENCES_AT).cast::<AtomicU32>() }
    }

    /// How many handles there are.
    pub fn reference_count(&self) -> u32 {
        self.references().load(Ordering::Relaxed)
    }

    fn raw(&self, offset: usize) -> *mut u8 {
        self.0.as_ptr().wrapping_add(HEADER + offset)
    }

    /// Length of the bytes.
    pub fn len(&self) -> usize {
        // SAFETY: the length field; written only while there is one owner.
        unsafe { self.raw(LENGTH_AT).cast::<[u8; 8]>().read_unaligned() }
            .iter()
            .rev()
            .fold(0, |length, &byte| length << 8 | usize::from(byte))
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes there is room for.
    pub fn capacity(&self) -> usize {
        self.0.bytes() - HEADER - BYTES_AT
    }

    /// Bytes of heap that it takes.
    pub fn heap_bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes are within the block and nobody writes while there is a
        // shared reference: `get_mut` requires the sole handle, mutably.
        unsafe { std::slice::from_raw_parts(self.raw(BYTES_AT), self.len()) }
    }

    /// The bytes to write, if this is the only handle.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        if self.references().load(Ordering::Acquire) != 1 {
            return None;
        }
        let len = self.len();
        // SAFETY: sole handle, borrowed mutably.
        Some(unsafe { std::slice::from_raw_parts_mut(self.raw(BYTES_AT), len) })
    }

    /// Changes the length within the capacity, if this is the only handle; bytes beyond
    /// the old length become zeros. Answers whether it did.
    pub fn resize(&mut self, len: usize) -> bool {
        let old = self.len();
        if len > self.capacity() || self.references().load(Ordering::Acquire) != 1 {
            return false;
        }
        // SAFETY: sole handle, borrowed mutably; `len` is within the capacity.
        unsafe {
            self.raw(LENGTH_AT).cast::<[u8; 8]>().write_unaligned((len as u64).to_le_bytes());
            if len > old {
                self.raw(BYTES_AT + old).write_bytes(0, len - old);
            }
        }
        true
    }

    /// Puts other bytes in the place of these, if this is the only handle and the block would
    /// have little room to spare: at most a 256th, or the rounding of sizes. Answers whether it did.
    pub fn overwrite(&mut self, bytes: &[u8]) -> bool {
        let Some(spare) = self.capacity().checked_sub(bytes.len()) else { return false };
        if spare > (bytes.len() / 256).max(ROUNDING) || !self.resize(bytes.len()) {
            return false;
        }
        if let Some(target) = self.get_mut() {
            target.copy_from_slice(bytes);
        }
        true
    }

    /// Gives the handle up in exchange for its compact form, which now holds the reference.
    pub fn into_compact(self) -> Compact {
        let compact = self.0.compact();
        std::mem::forget(self);
        compact
    }

    /// Takes the reference back.
    ///
    /// # Safety
    /// `compact` came from [`Shared::into_compact`] and is given up with this call.
    pub unsafe fn from_compact(compact: Compact) -> Shared {
        // SAFETY: as the caller promises.
        Shared(std::mem::ManuallyDrop::new(unsafe { Block::from_compact(compact) }))
    }

    /// Another handle for a reference that is held elsewhere in compact form.
    ///
    /// # Safety
    /// The compact form holds its reference during the call.
    pub unsafe fn clone_compact(compact: Compact) -> Shared {
        // SAFETY: as the caller promises; the borrowed handle is not dropped.
        let held = std::mem::ManuallyDrop::new(unsafe { Shared::from_compact(compact) });
        Shared::clone(&held)
    }

    /// Its block, to look at.
    pub fn block(&self) -> &Block {
        &self.0
    }

    /// Moves the bytes to another place in the same arena, if this is the only handle.
    pub fn relocate(&mut self) -> Result<bool, OutOfMemory> {
        if self.references().load(Ordering::Acquire) != 1 {
            return Ok(false);
        }
        self.0.relocate()
    }
}

impl Clone for Shared {
    fn clone(&self) -> Shared {
        let before = self.references().fetch_add(1, Ordering::Relaxed);
        assert!(before < u32::MAX / 2, "references leak");
        // SAFETY: the count now includes this handle.
        Shared(std::mem::ManuallyDrop::new(unsafe { Block::from_compact(self.0.compact()) }))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Acquiring is for the last handle: what others did with theirs is before what it does. A
        // fence would be as good, but ThreadSanitizer does not know fences.
        if self.references().fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: this was the last handle, and it is not used again.
            unsafe { std::mem::ManuallyDrop::drop(&mut self.0) };
        }
    }
}

impl std::ops::Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({} bytes, {} references)", self.len(), self.reference_count())
    }
}
