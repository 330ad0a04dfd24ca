//! The integers of BITFIELD: any width up to 64 bits, at any bit of a string, highest bit first.

use crate::bitmap::{get_bit, set_bit};
use crate::number::parse_u64;

/// A type such as `i16` or `u63`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    signed: bool,
    bits: u8,
}

/// What becomes of a value that does not fit its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The high bits are cut off.
    #[default]
    Wrap,
    /// The nearest value that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl FieldType {
    /// Parses `i1` to `i64` and `u1` to `u63`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (signed, bits, bits_max) = match text {
            [b'i', bits @ ..] => (true, bits, 64),
            [b'u', bits @ ..] => (false, bits, 63),
            _ => return None,
        };
        let bits = parse_u64(bits).filter(|bits| (1..=bits_max).contains(bits))?;
        Some(Self { signed, bits: bits as u8 })
    }

    /// The width in bits.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// The integer whose highest bit is at `offset`. Beyond the end of the string all bits are 0.
    pub fn get(self, bytes: &[u8], offset: u64) -> i64 {
        let bit =
            |at: u8| u64::from(offset.checked_add(at.into()).is_some_and(|at| get_bit(bytes, at)));
        let raw = (0..self.bits).fold(0, |value, at| value << 1 | bit(at));
        self.truncate(raw)
    }

    /// Writes the low bits of `value`; those beyond the end of the string are lost.
    pub fn set(self, bytes: &mut [u8], offset: u64, value: i64) {
        for at in 0..self.bits {
            let bit = value >> (self.bits - 1 - at) & 1 == 1;
            if let Some(position) = offset.checked_add(at.into()) {
                set_bit(bytes, position, bit);
            }
        }
    }

    /// The value that SET stores for the one given, or `None` if it does not fit and that shall fail.
    pub fn fit(self, value: i64, overflow: Overflow) -> Option<i64> {
        self.increment(value, 0, overflow)
    }

    /// The sum that INCRBY stores, or `None` if it does not fit and that shall fail.
    pub fn increment(self, value: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        let beyond = if self.signed {
            self.beyond_signed(value, increment)
        } else {
            self.beyond_unsigned(value as u64, increment)
        };
        match (beyond, overflow) {
            (None, _) | (Some(_), Overflow::Wrap) => {
                Some(self.truncate(value.wrapping_add(increment) as u64))
            }
            (Some(limit), Overflow::Saturate) => Some(limit),
            (Some(_), Overflow::Fail) => None,
        }
    }

    /// The limit that a sum passes. The differences wrap as they do in Redis, where a SET far below the range
    /// therefore counts as above it: this shows with values near the least `i64` and saturation.
    fn beyond_signed(self, value: i64, increment: i64) -> Option<i64> {
        let max = i64::MAX >> (64 - self.bits);
        let min = -max - 1;
        let (room_up, room_down) = (max.wrapping_sub(value), min.wrapping_sub(value));
        let full = self.bits == 64;
        if value > max || (increment > room_up && (!full || (value >= 0 && increment > 0))) {
            Some(max)
        } else if value < min || (increment < room_down && (!full || (value < 0 && increment < 0)))
        {
            Some(min)
        } else {
            None
        }
    }

    fn beyond_unsigned(self, value: u64, increment: i64) -> Option<i64> {
        let max = u64::MAX >> (64 - self.bits);
        if value > max || (increment > 0 && increment.unsigned_abs() > max - value) {
            // At most 63 bits.
            Some(max as i64)
        } else if increment < 0 && increment.unsigned_abs() > value {
            Some(0)
        } else {
            None
        }
    }

    /// The low bits of `raw` as a value of this type.
    fn truncate(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed {
            (raw << unused) as i64 >> unused
        } else {
            (raw << unused >> unused) as i64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(text: &str) -> FieldType {
        FieldType::parse(text.as_bytes()).expect("the tests name types that exist")
    }

    #[test]
    fn types_have_a_sign_and_a_width() {
        for text in ["", "i", "i0", "i65", "u64", "u0", "x8", "I8", "i08", "i-1"] {
            assert_eq!(FieldType::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!((field("i64").bits(), field("u63").bits()), (64, 63));
    }

    #[test]
    fn values_that_do_not_fit_follow_the_overflow_rule() {
        let cases = [
            ("i8", 127, 1, -128, 127),
            ("i8", -128, -1, 127, -128),
            ("u8", 255, 1, 0, 255),
            ("u8", 0, -1, 255, 0),
            ("u8", -1, 0, 255, 255),
            ("i8", -200, 0, 56, -128),
            ("i8", i64::MIN, 0, 0, 127),
            ("i64", i64::MAX, 1, i64::MIN, i64::MAX),
            ("i64", i64::MIN, -1, i64::MAX, i64::MIN),
        ];
        for (text, value, increment, wrapped, limit) in cases {
            let add = |overflow| field(text).increment(value, increment, overflow);
            let found = [add(Overflow::Wrap), add(Overflow::Saturate), add(Overflow::Fail)];
            assert_eq!(found, [Some(wrapped), Some(limit), None], "{text} {value} {increment}");
        }
        assert_eq!(field("i64").increment(i64::MIN, i64::MAX, Overflow::Fail), Some(-1));
    }

    proptest! {
        #[test]
        fn what_is_set_is_got(offset in 0..100_u64, bits in 1..64_u8, signed: bool, value: i64, fill: u8) {
            let field = FieldType { signed, bits };
            let mut bytes = [fill; 24];
            field.set(&mut bytes, offset, value);
            prop_assert_eq!(Some(field.get(&bytes, offset)), Some(field.truncate(value as u64)));
            for bit in (0..offset).chain(offset + u64::from(bits)..192) {
                prop_assert_eq!(get_bit(&bytes, bit), get_bit(&[fill; 24], bit), "bit {} is another's", bit);
            }
        }

        #[test]
        fn sums_agree_with_wide_arithmetic(bits in 1..65_u8, signed: bool, raw: u64, increment: i64) {
            let field = FieldType { signed, bits: bits.min(if signed { 64 } else { 63 }) };
            let value = field.truncate(raw);
            // Differences of narrow types and wide increments stay within an i64 here, as they do in BITFIELD.
            let sum = i128::from(value) + i128::from(increment);
            let (min, max) = match signed {
                true => (-(1_i128 << (field.bits - 1)), (1_i128 << (field.bits - 1)) - 1),
                false => (0, (1_i128 << field.bits) - 1),
            };
            let clamped = sum.clamp(min, max) as i64;
            prop_assert_eq!(field.increment(value, increment, Overflow::Saturate), Some(clamped));
        }
    }
}
