//! A look ahead of a walk that takes holes off their lists.
//!
//! To take a hole off its list changes both of its neighbours there. They lie anywhere, each in a cache
//! line of its own, and waiting for them one after the other is most of the time that the walk
//! takes. So they are asked for some holes earlier.

use super::{KIND_HOLE, NEXT_AT, NONE, PREVIOUS_AT, header_bytes, kind_at, link, used_bytes};
use crate::block::prefetch;
use crate::space::{Space, address_of};

/// How far the look is ahead: some 20 holes of small blocks.
const BYTES: usize = 512;

/// The place up to which neighbours were asked for.
pub(super) struct Ahead {
    base: *mut u8,
    at: usize,
    end: usize,
}

impl Ahead {
    /// Of a walk through a segment from a byte on, where a block or a hole begins.
    pub(super) fn new(space: &Space, segment: u32, at: usize) -> Ahead {
        Ahead { base: space.segment_base(segment), at, end: used_bytes(space, segment) }
    }

    /// The walk has come to this address.
    #[inline]
    pub(super) fn follow(&mut self, address: *mut u8) {
        let upto = (address.addr() - self.base.addr() + BYTES).min(self.end);
        while self.at < upto {
            let address = self.base.wrapping_add(self.at);
            if kind_at(address) == KIND_HOLE {
                for neighbour in [link(address, NEXT_AT), link(address, PREVIOUS_AT)] {
                    if neighbour != NONE {
                        prefetch(address_of(neighbour - 1));
                    }
                }
            }
            self.at += header_bytes(address);
        }
    }
}
