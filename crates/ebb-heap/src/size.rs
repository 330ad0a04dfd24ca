//! Rounding and size lists.
//!
//! Sizes up to 2 KiB are kept to 4 bytes; above that to 1/256 of the power of two below,
//! so rounding never costs more than 0.4%. There is one list of holes for each size.

/// Blocks of this many bytes and more get pages of their own.
pub const LARGE_BYTES: usize = 128 * 1024;
/// The smallest block: a hole must hold its header and two links.
pub const MIN_BYTES: usize = 16;
/// The unit of sizes and addresses.
pub(crate) const UNIT: usize = 4;
/// Number of size lists; every size below [`LARGE_BYTES`] falls into one.
pub(crate) const LISTS: usize = 2048 + 1;

const FINE_LIMIT: usize = 1024;

/// The bytes a request of `bytes` (header included) takes, for small blocks.
pub fn rounded(bytes: usize) -> usize {
    if bytes <= FINE_LIMIT {
        return bytes.max(MIN_BYTES).next_multiple_of(UNIT);
    }
    if bytes >= LARGE_BYTES {
        return bytes.next_multiple_of(4096);
    }
    bytes.next_multiple_of(granule(bytes))
}

/// The rounding step for sizes in the same doubling as `bytes` (over 1024).
fn granule(bytes: usize) -> usize {
    let exponent = (bytes - 1).ilog2();
    1 << (exponent - 8)
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
    fn rounding_wastes_little_and_is_stable() {
        for bytes in MIN_BYTES..LARGE_BYTES {
            let size = rounded(bytes);
            assert!(size >= bytes && size.is_multiple_of(UNIT));
            assert_eq!(rounded(size), size, "{bytes}");
            assert!(size - bytes < UNIT.max(bytes / 128), "{bytes} -> {size}");
        }
    }

    #[test]
    fn each_rounded_size_is_the_smallest_of_its_list() {
        let mut last = 0;
        for bytes in (MIN_BYTES..LARGE_BYTES).step_by(UNIT) {
            let list = list_of(bytes);
            assert!(list < LISTS && list >= last);
            let size = rounded(bytes);
            if size < LARGE_BYTES {
                assert!(list_of(size - UNIT) < list_of(size), "{size} shares a list with less");
            }
            last = list;
        }
    }
}
