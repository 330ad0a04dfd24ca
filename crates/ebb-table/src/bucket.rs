//! The bucket: one cache line that holds up to ten entries.
//!
//! ```text
//! 0        3          4          14                64
//! | spare  | overflow | 10 tags  | 10 slots of 5 B |
//! ```
//!
//! The spare bytes of a segment's first bucket are its heap block's header. A tag is one
//! byte of the entry's hash, never 0; a tag of 0 marks an empty slot. `overflow` counts the
//! entries that belong here or before and lie further on because this bucket was full: a
//! search may stop at the first bucket whose count is 0. A count that reaches 255 sticks
//! until the segment is rebuilt.

use ebb_heap::Compact;

/// Bytes of a bucket.
pub const BUCKET_BYTES: usize = 64;
/// Entries that a bucket holds.
pub const SLOTS: usize = 10;
const OVERFLOW_AT: usize = 3;
const TAGS_AT: usize = 4;
const SLOTS_AT: usize = 14;
const STUCK: u8 = u8::MAX;

/// A pointer to a bucket of a live segment.
#[derive(Clone, Copy)]
pub(crate) struct Bucket(*mut u8);

/// The slots of a bucket that match, lowest first.
#[derive(Clone, Copy)]
pub(crate) struct Matches(u16);

impl Matches {
    /// Those below a slot, and the others.
    pub(crate) fn split_at(self, slot: usize) -> (Matches, Matches) {
        let below = (1 << slot) - 1;
        (Matches(self.0 & below), Matches(self.0 & !below))
    }
}

impl Iterator for Matches {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

impl Bucket {
    /// # Safety
    /// `address` is a bucket's start, 64-aligned, and stays valid while the value is used.
    #[inline]
    pub(crate) unsafe fn at(address: *mut u8) -> Bucket {
        Bucket(address)
    }

    #[inline]
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn matches(self, tag: u8) -> Matches {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8};
        // SAFETY: SSE2 is part of x86_64; the bucket is 64 bytes, 64-aligned.
        let mask = unsafe {
            let head = _mm_load_si128(self.0.cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(head, _mm_set1_epi8(tag as i8)))
        };
        Matches((mask as u16 >> TAGS_AT) & ((1 << SLOTS) - 1))
    }

    #[inline]
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn matches(self, tag: u8) -> Matches {
        let mask = (0..SLOTS).fold(0, |mask, slot| mask | u16::from(self.tag(slot) == tag) << slot);
        Matches(mask)
    }

    pub(crate) fn empty(self) -> Option<usize> {
        self.matches(0).next()
    }

    pub(crate) fn occupied(self) -> Matches {
        Matches(!self.matches(0).0 & ((1 << SLOTS) - 1))
    }

    #[inline]
    pub(crate) fn overflow(self) -> u8 {
        // SAFETY: within the bucket.
        unsafe { self.0.add(OVERFLOW_AT).read() }
    }

    pub(crate) fn add_overflow(self) {
        let count = self.overflow().saturating_add(1);
        // SAFETY: within the bucket.
        unsafe { self.0.add(OVERFLOW_AT).write(count) };
    }

    pub(crate) fn remove_overflow(self) {
        let count = self.overflow();
        if count != STUCK {
            // SAFETY: within the bucket.
            unsafe { self.0.add(OVERFLOW_AT).write(count.saturating_sub(1)) };
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn tag(self, slot: usize) -> u8 {
        // SAFETY: within the bucket.
        unsafe { self.0.add(TAGS_AT + slot).read() }
    }

    #[inline]
    pub(crate) fn slot(self, slot: usize) -> Compact {
        debug_assert!(slot < SLOTS);
        // SAFETY: slots are 5 bytes each, within the bucket.
        Compact(unsafe { self.0.add(SLOTS_AT + slot * 5).cast::<[u8; 5]>().read() })
    }

    pub(crate) fn set_slot(self, slot: usize, value: Compact) {
        debug_assert!(slot < SLOTS);
        // SAFETY: as in `slot`.
        unsafe { self.0.add(SLOTS_AT + slot * 5).cast::<[u8; 5]>().write(value.0) };
    }

    pub(crate) fn fill(self, slot: usize, tag: u8, value: Compact) {
        self.set_slot(slot, value);
        // SAFETY: within the bucket.
        unsafe { self.0.add(TAGS_AT + slot).write(tag) };
    }

    pub(crate) fn erase(self, slot: usize) {
        // SAFETY: within the bucket.
        unsafe { self.0.add(TAGS_AT + slot).write(0) };
    }

    /// Empties a bucket of fresh memory, leaving the spare bytes alone.
    pub(crate) fn clear(self) {
        // SAFETY: within the bucket.
        unsafe { self.0.add(OVERFLOW_AT).write_bytes(0, BUCKET_BYTES - OVERFLOW_AT) };
    }
}
