//! Strings as arrays of bits. Bit 0 is the highest bit of the first byte; ranges of bits include both ends.

/// The bit at `offset`; beyond the end all bits are 0.
pub fn get_bit(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte & mask(offset) != 0)
}

/// Sets the bit at `offset` and gives what it was, or `None` if the bytes end before it.
pub fn set_bit(bytes: &mut [u8], offset: u64, value: bool) -> Option<bool> {
    let byte = bytes.get_mut(usize::try_from(offset / 8).ok()?)?;
    let old = *byte & mask(offset) != 0;
    *byte = if value { *byte | mask(offset) } else { *byte & !mask(offset) };
    Some(old)
}

fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}

/// Counts the bits that are 1.
pub fn count_ones(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8);
    let tail: u32 = words.remainder().iter().map(|byte| byte.count_ones()).sum();
    let count =
        |word: &[u8]| word.try_into().map_or(0, |word| u64::from_ne_bytes(word).count_ones());
    words.map(|word| u64::from(count(word))).sum::<u64>() + u64::from(tail)
}

/// Counts the bits that are 1 from bit `start` to bit `end`, as far as there are bytes.
pub fn count_ones_in(bytes: &[u8], start: u64, end: u64) -> u64 {
    let Some((first, last)) = byte_range(bytes, start, end) else {
        return 0;
    };
    let end = end.min(bytes.len() as u64 * 8 - 1);
    let before = (bytes[first] & !(0xff >> (start % 8))).count_ones();
    let after = (bytes[last] & !(0xff_u8 << (7 - end % 8))).count_ones();
    count_ones(&bytes[first..=last]) - u64::from(before) - u64::from(after)
}

/// The first bit of this value from bit `start` to bit `end`, as far as there are bytes.
pub fn first_bit(bytes: &[u8], value: bool, start: u64, end: u64) -> Option<u64> {
    let (first, last) = byte_range(bytes, start, end)?;
    // Looking for a 0 is looking for a 1 in the inverse.
    let flip = if value { 0 } else { 0xff };
    let head = (bytes[first] ^ flip) & (0xff >> (start % 8));
    let found = if head != 0 {
        first as u64 * 8 + u64::from(head.leading_zeros())
    } else {
        let rest = &bytes[first + 1..=last];
        let skip =
            rest.chunks_exact(8).take_while(|word| word.iter().all(|&byte| byte == flip)).count()
                * 8;
        let at = skip + rest[skip..].iter().position(|&byte| byte != flip)?;
        (first + 1 + at) as u64 * 8 + u64::from((rest[at] ^ flip).leading_zeros())
    };
    (found <= end).then_some(found)
}

/// The first and the last byte that the bits from `start` to `end` touch, or `None` if there are none.
fn byte_range(bytes: &[u8], start: u64, end: u64) -> Option<(usize, usize)> {
    let first = usize::try_from(start / 8).ok()?;
    let last = usize::try_from(end / 8).unwrap_or(usize::MAX).min(bytes.len().checked_sub(1)?);
    (start <= end && first <= last).then_some((first, last))
}

/// What BITOP does with its sources. With several, the first is X and the others are Y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOp {
    /// In all.
    And,
    /// In any.
    Or,
    /// In an odd number.
    Xor,
    /// Not in the first, which is the only one.
    Not,
    /// In X and in no Y.
    Diff,
    /// In some Y and not in X.
    Diff1,
    /// In X and in some Y.
    AndOr,
    /// In exactly one.
    One,
}

/// Combines the sources bit by bit; shorter ones are continued with zeros to the longest.
pub fn combine(op: BitOp, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let Some((first, others)) = sources.split_first() else {
        return Vec::new();
    };
    let mut out = match op {
        BitOp::Diff | BitOp::Diff1 | BitOp::AndOr => Vec::new(),
        _ => first.to_vec(),
    };
    out.resize(len, 0);
    match op {
        BitOp::And => {
            for source in others {
                zip(&mut out, source, |a, b| a & b);
                out[source.len()..].fill(0);
            }
        }
        BitOp::Xor => others.iter().for_each(|source| zip(&mut out, source, |a, b| a ^ b)),
        BitOp::Not => out.iter_mut().for_each(|byte| *byte = !*byte),
        BitOp::One => {
            let mut repeated = vec![0; len];
            for source in others {
                for ((once, twice), byte) in out.iter_mut().zip(&mut repeated).zip(*source) {
                    *twice |= *once & byte;
                    *once |= byte;
                }
            }
            zip(&mut out, &repeated, |once, twice| once & !twice);
        }
        _ => others.iter().for_each(|source| zip(&mut out, source, |a, b| a | b)),
    }
    match op {
        BitOp::Diff => {
            zip(&mut out, first, |y, x| x & !y);
            out[first.len()..].fill(0);
        }
        BitOp::Diff1 => zip(&mut out, first, |y, x| y & !x),
        BitOp::AndOr => {
            zip(&mut out, first, |y, x| x & y);
            out[first.len()..].fill(0);
        }
        _ => {}
    }
    out
}

/// A loop this plain compiles to vector instructions.
#[inline(always)]
fn zip(out: &mut [u8], source: &[u8], combine: impl Fn(u8, u8) -> u8) {
    for (out, source) in out.iter_mut().zip(source) {
        *out = combine(*out, *source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_count_from_the_highest() {
        let mut bytes = [0, 0];
        assert_eq!(set_bit(&mut bytes, 9, true), Some(false));
        assert_eq!(bytes, [0, 0x40]);
        assert_eq!(set_bit(&mut bytes, 9, false), Some(true));
        assert_eq!(set_bit(&mut bytes, 16, true), None);
        assert!(!get_bit(&bytes, u64::MAX));
    }

    proptest! {
        #[test]
        fn ranges_agree_with_single_bits(
            bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(255), any::<u8>()], 0..40), start in 0..340_u64, end in 0..340_u64, value: bool,
        ) {
            let inside = || (start..=end).filter(|&bit| bit < bytes.len() as u64 * 8);
            let ones = inside().filter(|&bit| get_bit(&bytes, bit)).count() as u64;
            prop_assert_eq!(count_ones_in(&bytes, start, end), ones);
            prop_assert_eq!(first_bit(&bytes, value, start, end), inside().find(|&bit| get_bit(&bytes, bit) == value));
        }

        #[test]
        fn combinations_agree_with_single_bits(sources in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..5)) {
            let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            for op in [BitOp::And, BitOp::Or, BitOp::Xor, BitOp::Not, BitOp::Diff, BitOp::Diff1, BitOp::AndOr, BitOp::One] {
                let out = combine(op, &slices);
                for bit in 0..out.len() as u64 * 8 {
                    let total = slices.iter().filter(|source| get_bit(source, bit)).count();
                    let x = get_bit(slices[0], bit);
                    let y = total > usize::from(x);
                    let expected = match op {
                        BitOp::And => total == slices.len(),
                        BitOp::Or => total > 0,
                        BitOp::Xor => total % 2 == 1,
                        BitOp::Not => !x,
                        BitOp::Diff => x && !y,
                        BitOp::Diff1 => y && !x,
                        BitOp::AndOr => x && y,
                        BitOp::One => total == 1,
                    };
                    prop_assert_eq!(get_bit(&out, bit), expected, "{:?} bit {}", op, bit);
                }
            }
        }
    }
}
