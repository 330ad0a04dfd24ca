//! Views of entries that a table owns: the typed layer over [`Compact`] handles.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use ebb_heap::{Block, Compact, HEAD_BYTES, Shared};

/// A block that a table owns, borrowed to read.
pub struct BlockRef<'a> {
    block: ManuallyDrop<Block>,
    owner: PhantomData<&'a ()>,
}

/// A block that a table owns, borrowed to write.
pub struct BlockMut<'a> {
    block: ManuallyDrop<Block>,
    owner: PhantomData<&'a mut ()>,
}

impl<'a> BlockRef<'a> {
    /// # Safety
    /// `compact` owns a live block that nobody frees or writes during `'a`.
    #[inline]
    pub unsafe fn new(compact: Compact) -> BlockRef<'a> {
        // SAFETY: as the caller promises; never dropped.
        let block = ManuallyDrop::new(unsafe { Block::from_compact(compact) });
        BlockRef { block, owner: PhantomData }
    }

    /// The first bytes of the body, which every block has.
    #[inline]
    pub fn head(&self) -> &'a [u8; HEAD_BYTES] {
        let head: *const _ = self.block.head();
        // SAFETY: the block outlives `'a`, not just `self`.
        unsafe { &*head }
    }

    /// The block's body for as long as the table is borrowed.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        let body = self.block.body();
        // SAFETY: the block outlives `'a`, not just `self`.
        unsafe { std::slice::from_raw_parts(body.as_ptr(), body.len()) }
    }
}

impl<'a> BlockMut<'a> {
    /// # Safety
    /// `compact` owns a live block that nobody else reads, frees or writes during `'a`.
    #[inline]
    pub unsafe fn new(compact: Compact) -> BlockMut<'a> {
        // SAFETY: as the caller promises; never dropped.
        let block = ManuallyDrop::new(unsafe { Block::from_compact(compact) });
        BlockMut { block, owner: PhantomData }
    }

    /// The block's body for as long as the table is borrowed.
    pub fn into_body(mut self) -> &'a mut [u8] {
        let body = self.block.body_mut();
        // SAFETY: the block outlives `'a`, and `self`, the only way to it, is gone.
        unsafe { std::slice::from_raw_parts_mut(body.as_mut_ptr(), body.len()) }
    }
}

impl Deref for BlockRef<'_> {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        &self.block
    }
}

impl Deref for BlockMut<'_> {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        &self.block
    }
}

impl DerefMut for BlockMut<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Block {
        &mut self.block
    }
}

/// A reference to large bytes that an entry's block holds in compact form, borrowed.
pub struct SharedRef<'a> {
    shared: ManuallyDrop<Shared>,
    owner: PhantomData<&'a ()>,
}

impl<'a> SharedRef<'a> {
    /// # Safety
    /// `compact` holds a reference during `'a`.
    #[inline]
    pub unsafe fn new(compact: Compact) -> SharedRef<'a> {
        // SAFETY: as the caller promises; never dropped.
        let shared = ManuallyDrop::new(unsafe { Shared::from_compact(compact) });
        SharedRef { shared, owner: PhantomData }
    }

    /// The bytes for as long as the entry is borrowed.
    pub fn bytes(&self) -> &'a [u8] {
        let bytes = self.shared.as_slice();
        // SAFETY: the entry keeps its reference during `'a`.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) }
    }

    /// Another handle, which keeps the bytes alive by itself.
    pub fn to_shared(&self) -> Shared {
        Shared::clone(&self.shared)
    }
}

impl Deref for SharedRef<'_> {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl<'a> SharedRef<'a> {
    /// The bytes to write, if no one else refers to them.
    ///
    /// # Safety
    /// The entry that holds the reference is borrowed mutably during `'a`.
    pub unsafe fn into_mut(mut self) -> Option<&'a mut [u8]> {
        let bytes = self.shared.get_mut()?;
        // SAFETY: sole reference, and the caller borrows its holder mutably.
        Some(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr(), bytes.len()) })
    }

    /// The handle itself, to grow or move the bytes.
    ///
    /// # Safety
    /// The entry that holds the reference is borrowed mutably during `'a`.
    pub unsafe fn shared_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }
}

/// Ends the ownership of an entry's block and of the large bytes it refers to.
///
/// # Safety
/// `compact`, if any, is the reference that the block holds, and is given up with this call.
pub unsafe fn release_shared(compact: Compact) {
    // SAFETY: as the caller promises.
    drop(unsafe { Shared::from_compact(compact) });
}

/// Takes over the reference that an entry's block holds.
///
/// # Safety
/// `compact` is that reference, and is given up with this call.
pub unsafe fn take_shared(compact: Compact) -> Shared {
    // SAFETY: as the caller promises.
    unsafe { Shared::from_compact(compact) }
}

/// Takes an entry's block out of its table.
///
/// # Safety
/// The table has just given `compact` up.
pub unsafe fn take(compact: Compact) -> Block {
    // SAFETY: as the caller promises.
    unsafe { Block::from_compact(compact) }
}
