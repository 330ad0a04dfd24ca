//! LZF, Marc Lehmann's compression: literal runs of up to 32 bytes, and references of 3 to 264 bytes to up to 8 KiB
//! back.
//!
//! ```text
//! literals:        | number - 1, below 32 | bytes |
//! short reference: | length - 2 (1 to 6), 3 bits; high part of distance - 1, 5 bits | low part |
//! long reference:  | 7, 3 bits; high part, 5 bits | length - 9 | low part |
//! ```

const LITERALS_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const LENGTH_MIN: usize = 3;
const LENGTH_MAX: usize = 264;
/// The most bytes that one byte can stand for, rounded up.
const RATIO_MAX: u64 = 88;
/// The most bits of a place in the table of sequences.
const TABLE_BITS_MAX: u32 = 13;

/// Undoes the compression of something of `len` bytes.
pub fn decompress(mut input: &[u8], len: u64) -> Option<Vec<u8>> {
    if len > input.len() as u64 * RATIO_MAX {
        return None;
    }
    let len = len as usize;
    let mut out = Vec::new();
    out.try_reserve_exact(len).ok()?;
    while let Some((&control, rest)) = input.split_first() {
        input = rest;
        let control = usize::from(control);
        if control < LITERALS_MAX {
            let (literals, rest) = input.split_at_checked(control + 1)?;
            out.extend_from_slice(literals);
            input = rest;
        } else {
            let mut count = control >> 5;
            if count == 7 {
                let (&more, rest) = input.split_first()?;
                count += usize::from(more);
                input = rest;
            }
            let (&low, rest) = input.split_first()?;
            input = rest;
            let distance = ((control & 31) << 8 | usize::from(low)) + 1;
            let start = out.len().checked_sub(distance)?;
            for at in start..start + count + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

/// The place of a sequence of three bytes in a table of `2^bits`.
fn slot_of(input: &[u8], at: usize, bits: u32) -> usize {
    let sequence = u32::from_le_bytes([input[at], input[at + 1], input[at + 2], 0]);
    (sequence.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

fn write_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn write_reference(out: &mut Vec<u8>, distance: usize, length: usize) {
    let (distance, length) = (distance - 1, length - 2);
    let high = (distance >> 8) as u8;
    if length < 7 {
        out.push((length as u8) << 5 | high);
    } else {
        out.extend([7 << 5 | high, (length - 7) as u8]);
    }
    out.push(distance as u8);
}

/// Compresses `input`; `None` if that does not save `saving` bytes.
pub fn compress(input: &[u8], saving: usize) -> Option<Vec<u8>> {
    let room = input.len().checked_sub(saving)?;
    // Where a sequence of three bytes was seen last, plus one.
    let bits = (input.len().max(1).ilog2() + 1).min(TABLE_BITS_MAX);
    let mut table = vec![0_u32; 1 << bits];
    let mut out = Vec::with_capacity(input.len() / 2);
    let (mut at, mut literals_from) = (0, 0);
    while at + LENGTH_MIN <= input.len() {
        let slot = slot_of(input, at, bits);
        let seen = std::mem::replace(&mut table[slot], at as u32 + 1) as usize;
        let length = match seen.checked_sub(1) {
            Some(seen) if at - seen <= DISTANCE_MAX => common(&input[seen..], &input[at..]),
            _ => 0,
        };
        if length < LENGTH_MIN {
            at += 1;
            continue;
        }
        write_literals(&mut out, &input[literals_from..at]);
        write_reference(&mut out, at + 1 - seen, length);
        let end = at + length;
        for inner in at + 1..end.min(input.len() - LENGTH_MIN + 1) {
            table[slot_of(input, inner, bits)] = inner as u32 + 1;
        }
        (at, literals_from) = (end, end);
        if out.len() > room {
            return None;
        }
    }
    write_literals(&mut out, &input[literals_from..]);
    (out.len() <= room).then_some(out)
}

/// How many bytes two strings begin with in common.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take(LENGTH_MAX).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repetition_becomes_short() {
        let text = b"abc".repeat(30_000);
        let packed = compress(&text, 4).unwrap();
        assert!(packed.len() < text.len() / 80);
        assert_eq!(decompress(&packed, text.len() as u64), Some(text));
        assert_eq!(compress(b"abcdefghijklmnopqrstuvwxyz", 4), None);
        assert_eq!(compress(b"a", 4), None);
    }

    #[test]
    fn bad_input_is_refused() {
        for (input, len) in [
            (&[0x20, 9][..], 3),
            (&[5, b'a'], 6),
            (&[0xe0], 9),
            (&[0, b'a', 0xff, 0xff, 0], 10),
            (&[0, b'a'], 2),
            (&[0, b'a'], u64::MAX),
        ] {
            assert_eq!(decompress(input, len), None, "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn everything_comes_back(
            parts in prop::collection::vec((prop::collection::vec(0_u8..4, 0..300), 1_usize..5), 0..100)
        ) {
            let text: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
            if let Some(packed) = compress(&text, 0) {
                prop_assert_eq!(decompress(&packed, text.len() as u64), Some(text));
            }
        }

        #[test]
        fn any_input_is_survived(input in prop::collection::vec(any::<u8>(), 0..200), len in 0_u64..5000) {
            let _ = decompress(&input, len);
        }
    }
}
