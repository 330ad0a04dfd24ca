//! Packed items: byte strings one after the other, each behind its length.
//!
//! ```text
//! length below 192:  | length | bytes |
//! below 16128:       | 0xc0 + length / 256 | length % 256 | bytes |
//! otherwise:         | 0xff | length, 4 bytes | bytes |
//! ```
//!
//! A packed collection begins with the number of its elements in [`COUNT_BYTES`]. Items of a
//! list are followed by the length of item and header once more, so that they can be read
//! from the end: seven bits a byte, the last byte with the lowest bits, and a top bit in all
//! that have another before them.

use std::ops::Range;

/// Bytes of the count at the start.
pub const COUNT_BYTES: usize = 2;
/// The most elements of a packed collection: what its count can say.
pub const COUNT_MAX: usize = u16::MAX as usize;

/// The encoded length before an item.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; 5],
    len: usize,
}

impl Header {
    /// The header of an item of `len` bytes.
    #[inline]
    pub fn of(len: usize) -> Header {
        let mut bytes = [0; 5];
        let used = match len {
            0..192 => {
                bytes[0] = len as u8;
                1
            }
            192..0x3f00 => {
                bytes[0] = 0xc0 + (len >> 8) as u8;
                bytes[1] = len as u8;
                2
            }
            _ => {
                bytes[0] = 0xff;
                bytes[1..].copy_from_slice(&(len as u32).to_le_bytes());
                5
            }
        };
        Header { bytes, len: used }
    }

    /// Its bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where the bytes of the item at `at` lie. The next item begins where they end.
#[inline(always)]
pub fn item(bytes: &[u8], at: usize) -> Range<usize> {
    match bytes[at] {
        len @ 0..192 => at + 1..at + 1 + usize::from(len),
        _ => long_item(bytes, at),
    }
}

#[inline(never)]
fn long_item(bytes: &[u8], at: usize) -> Range<usize> {
    match bytes[at] {
        len @ 0..192 => at + 1..at + 1 + usize::from(len),
        high @ 192..255 => {
            let len = usize::from(high - 192) << 8 | usize::from(bytes[at + 1]);
            at + 2..at + 2 + len
        }
        255 => {
            let len = [bytes[at + 1], bytes[at + 2], bytes[at + 3], bytes[at + 4]];
            at + 5..at + 5 + u32::from_le_bytes(len) as usize
        }
    }
}

/// The number of elements of a packed collection.
#[inline]
pub fn count(bytes: &[u8]) -> usize {
    match bytes.first_chunk() {
        Some(count) => u16::from_le_bytes(*count).into(),
        None => 0,
    }
}

/// Changes the number of elements.
pub fn add_count(bytes: &mut [u8], change: isize) {
    let count = count(bytes).saturating_add_signed(change) as u16;
    bytes[..COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// The encoded length behind an item of a list.
#[derive(Clone, Copy, Debug)]
pub struct Trailer {
    bytes: [u8; 5],
    from: usize,
}

impl Trailer {
    /// The trailer of an item whose header and bytes are `len` bytes.
    #[inline]
    pub fn of(len: usize) -> Trailer {
        let mut bytes = [0; 5];
        let mut from = 4;
        let mut rest = len;
        loop {
            bytes[from] = (rest & 0x7f) as u8;
            rest >>= 7;
            if rest == 0 {
                return Trailer { bytes, from };
            }
            bytes[from] |= 0x80;
            from -= 1;
        }
    }

    /// Its bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    /// The number of its bytes.
    #[inline]
    pub fn size(len: usize) -> usize {
        if len < 0x80 { 1 } else { Trailer::of(len).as_slice().len() }
    }
}

/// Where the list item begins that ends, with its trailer, at `end`.
#[inline]
pub fn item_before(bytes: &[u8], end: usize) -> usize {
    let mut at = end - 1;
    let mut len = usize::from(bytes[at] & 0x7f);
    let mut shift = 7;
    while bytes[at] & 0x80 != 0 {
        at -= 1;
        len |= usize::from(bytes[at] & 0x7f) << shift;
        shift += 7;
    }
    at - len
}

/// Items of fewer bytes have one byte before them and, in lists, one behind them.
pub const SHORT: usize = 127;

/// Bytes that a list item takes.
#[inline]
pub fn list_item_bytes(len: usize) -> usize {
    if len < SHORT {
        return len + 2;
    }
    let inner = Header::of(len).as_slice().len() + len;
    inner + Trailer::size(inner)
}

/// The end of the list item at `at`, with its trailer, and where its bytes lie.
#[inline]
pub fn list_item(bytes: &[u8], at: usize) -> (Range<usize>, usize) {
    let body = item(bytes, at);
    let end = body.end + Trailer::size(body.end - at);
    (body, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_from_both_sides() {
        for len in
            [0, 1, 63, 125, 126, 127, 128, 190, 191, 192, 300, 16127, 16128, 70_000, 3_000_000]
        {
            let mut bytes = b"before".to_vec();
            let header = Header::of(len);
            bytes.extend_from_slice(header.as_slice());
            bytes.extend(std::iter::repeat_n(7, len));
            assert_eq!(item(&bytes, 6), bytes.len() - len..bytes.len(), "{len}");
            let trailer = Trailer::of(bytes.len() - 6);
            bytes.extend_from_slice(trailer.as_slice());
            assert_eq!(bytes.len() - 6, list_item_bytes(len));
            assert_eq!(item_before(&bytes, bytes.len()), 6, "{len}");
            assert_eq!(list_item(&bytes, 6).1, bytes.len());
        }
    }
}
