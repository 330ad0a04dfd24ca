//! Rounding and size lists.
//!
//! Blocks are multiples of 4 bytes. Holes are kept in lists: one for each size up to 1 KiB,
//! and above that one for each 1/256 of the power of two below.

/// Blocks of this many bytes and more get pages of their own.
pub const LARGE_BYTES: usize = 128 * 1024;
/// The smallest block: a hole must hold its header and two links.
pub const MIN_BYTES: usize = 16;
/// The unit of sizes and addresses.
pub(crate) const UNIT: usize = 4;
/// Number of size lists; every size below [`LARGE_BYTES`] falls into one.
pub(crate) const LISTS: usize = 2048 + 1;

const FINE_LIMIT: usize = 1024;

/// The bytes a request of `bytes` (header included) takes.
pub fn rounded(bytes: usize) -> usize {
    if bytes >= LARGE_BYTES {
        return bytes.next_multiple_of(4096);
    }
    bytes.max(MIN_BYTES).next_multiple_of(UNIT)
}

/// The list whose holes all have at least the size that the list's index stands for, and
/// to which a hole of `bytes` belongs: sizes between two lists go to the lower one.
pub(crate) fn list_of(bytes: usize) -> usize {
    if bytes <= FINE_LIMIT {
        return bytes / UNIT;
    }
    let exponent = bytes.ilog2() as usize;
    let within = (bytes - (1 << exponent)) >> (exponent - 8);
    256 + (exponent - 10) * 256 + within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_narrow_and_in_order() {
        let (mut first, mut last) = (MIN_BYTES, list_of(MIN_BYTES));
        for bytes in (MIN_BYTES..LARGE_BYTES).step_by(UNIT) {
            let list = list_of(bytes);
            assert!(list < LISTS && (list == last || list == last + 1), "{bytes}");
            if list != last {
                (first, last) = (bytes, list);
            }
            assert!(bytes - first <= bytes / 256, "sizes {first} and {bytes} share a list");
        }
    }
}
