//! Integers as text: the strict parser that decides what counts as an integer, and fast formatting.

/// The most bytes an `i64` or `u64` takes as decimal text (`-9223372036854775808` has 20).
pub const INTEGER_LEN_MAX: usize = 20;

/// Parses the canonical decimal text of an `i64`.
///
/// Canonical means that formatting the result gives back exactly `text`: no leading zeros, no `+`, no `-0`, no
/// spaces. Redis uses the same rule to decide whether a string may be stored as an integer, so it must be strict:
/// a lax parser would change the bytes a client reads back.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => {
            let magnitude = parse_u64(digits)?;
            let in_range = magnitude != 0 && magnitude <= i64::MIN.unsigned_abs();
            in_range.then(|| (magnitude as i64).wrapping_neg())
        }
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// Parses the canonical decimal text of a `u64`, as strictly as [`parse_i64`].
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    /// As many digits as can never overflow a `u64`.
    const SAFE_DIGITS: usize = 19;

    match text {
        [] => return None,
        [b'0', _, ..] => return None,
        _ => {}
    }
    let (head, tail) = text.split_at(text.len().min(SAFE_DIGITS));
    let mut value = 0_u64;
    for &byte in head {
        value = value * 10 + u64::from(digit(byte)?);
    }
    match tail {
        [] => Some(value),
        &[last] => value.checked_mul(10)?.checked_add(u64::from(digit(last)?)),
        _ => None,
    }
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(digit)
}

/// The decimal text of an integer, formatted on the stack.
#[derive(Clone, Copy, Debug)]
pub struct IntegerText {
    bytes: [u8; INTEGER_LEN_MAX],
    start: usize,
}

/// The pairs `00` to `99`, so that formatting does one division for every two digits.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

impl IntegerText {
    /// Formats an unsigned integer.
    #[inline]
    pub fn from_u64(value: u64) -> Self {
        let mut bytes = [0; INTEGER_LEN_MAX];
        let start = INTEGER_LEN_MAX - digits(value);
        fill(&mut bytes[start..], value);
        Self { bytes, start }
    }

    /// Formats a signed integer.
    #[inline]
    pub fn from_i64(value: i64) -> Self {
        let mut text = Self::from_u64(value.unsigned_abs());
        if value < 0 {
            // A magnitude of an `i64` has at most 19 digits, so one byte is free.
            text.start -= 1;
            text.bytes[text.start] = b'-';
        }
        text
    }

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// How many digits a number has.
#[inline]
fn digits(value: u64) -> usize {
    1 + value.checked_ilog10().unwrap_or(0) as usize
}

/// Writes a number into a place that has a byte for each digit.
#[inline]
fn fill(place: &mut [u8], mut value: u64) {
    let mut end = place.len();
    while value >= 10 {
        end -= 2;
        place[end..end + 2].copy_from_slice(&DIGIT_PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    // A digit is left, unless the last pair was the first.
    if end > 0 {
        place[0] = b'0' + value as u8;
    }
}

/// Appends the decimal text of `value`.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Appends the decimal text of `value`, written where it will stay: whoever reads together what was
/// written digit by digit has to wait for the memory.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    let start = out.len();
    out.resize(start + digits(value), 0);
    fill(&mut out[start..], value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_canonical_integers_parse() {
        let rejected: [&[u8]; 13] = [
            b"",
            b"-",
            b"+1",
            b" 1",
            b"1 ",
            b"01",
            b"-0",
            b"-01",
            b"1.0",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"99999999999999999999999",
            b"0x10",
        ];
        for text in rejected {
            assert_eq!(parse_i64(text), None, "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(parse_i64(b"0"), Some(0));
        assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
    }

    #[test]
    fn unsigned_range_ends_at_its_maximum() {
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"99999999999999999999"), None);
        assert_eq!(parse_u64(b"184467440737095516150"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    proptest! {
        #[test]
        fn formatting_agrees_with_the_standard_library(value: i64, shift in 0..64_u32) {
            let value = value >> shift;
            prop_assert_eq!(IntegerText::from_i64(value).as_bytes().to_vec(), value.to_string().into_bytes());
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
            let unsigned = (value as u64) >> shift;
            prop_assert_eq!(IntegerText::from_u64(unsigned).as_bytes().to_vec(), unsigned.to_string().into_bytes());
            prop_assert_eq!(parse_u64(unsigned.to_string().as_bytes()), Some(unsigned));
        }

        #[test]
        fn whatever_parses_formats_back_to_itself(text in "[-+ 0-9]{0,22}") {
            if let Some(value) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }
    }
}
