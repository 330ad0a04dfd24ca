//! The arithmetic of INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Redis computes these with C's `long double`, which on x86 is the 80-bit extended format: a mantissa of 64 bits and
//! an exponent of 15. Clients see that: 0.1 + 0.2 is 0.3 with it and 0.30000000000000004 with doubles, and 1e400 is
//! a number. So this is that format in software, for just what the commands do: read, add, write.

use crate::number::IntegerText;
use crate::numeral::{Format, Numeral, Rounded};
use std::cmp::Ordering;

const EXTENDED: Format = Format { bits: 64, exponent_min: -16445, exponent_max: 16320 };

/// The longest text that is read as a number, in bytes.
const TEXT_LEN_MAX: usize = 5 * 1024 - 1;

/// The decimals that are written, unless they are zeros at the end.
const DECIMALS: usize = 17;
const ONE_IN_DECIMALS: u128 = 10_u128.pow(DECIMALS as u32);

/// A number of the 80-bit extended format: `mantissa * 2^exponent`, or an infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    /// The highest bit of the mantissa is set, or the exponent is the least.
    Finite {
        mantissa: u64,
        exponent: i64,
    },
    Infinite,
}

impl LongDouble {
    /// Parses as Redis does: what C's `strtold` takes, if it is the whole text and no blank comes before it. NaN is
    /// refused, and so is a number that is out of range or that would become zero though it is not.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_LEN_MAX {
            return None;
        }
        let (negative, rounded, is_zero) = match Numeral::parse(text)? {
            Numeral::Infinity { negative } => {
                return Some(Self { negative, magnitude: Magnitude::Infinite });
            }
            Numeral::Decimal { negative, digits, exponent } => {
                (negative, round_decimal(&digits, exponent), digits.is_empty())
            }
            Numeral::Binary { negative, mantissa, inexact, exponent } => {
                (negative, EXTENDED.round(mantissa, inexact, exponent), mantissa == 0)
            }
        };
        match rounded {
            Rounded::Finite { mantissa: 0, .. } if !is_zero => None,
            Rounded::Finite { mantissa, exponent } => {
                Some(Self { negative, magnitude: Magnitude::Finite { mantissa, exponent } })
            }
            Rounded::Overflow => None,
        }
    }

    /// Whether it is a number, and not infinity.
    pub fn is_finite(self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { .. })
    }

    /// The number with the other sign.
    pub fn negated(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    /// The greatest finite number.
    pub const MAX: Self = Self {
        negative: false,
        magnitude: Magnitude::Finite { mantissa: u64::MAX, exponent: EXTENDED.exponent_max },
    };

    /// The least finite number.
    pub const MIN: Self = Self { negative: true, ..Self::MAX };

    /// Nothing.
    pub const ZERO: Self = Self {
        negative: false,
        magnitude: Magnitude::Finite { mantissa: 0, exponent: EXTENDED.exponent_min },
    };

    /// Which of two numbers is greater. Zero is zero, with either sign.
    pub fn compare(self, other: Self) -> Ordering {
        match (self.is_below_zero(), other.is_below_zero()) {
            (false, false) => self.size().cmp(&other.size()),
            (true, true) => other.size().cmp(&self.size()),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }

    fn is_below_zero(self) -> bool {
        self.negative && !matches!(self.magnitude, Magnitude::Finite { mantissa: 0, .. })
    }

    /// In the order of magnitudes: the mantissa of a greater exponent is never smaller.
    fn size(self) -> (i64, u64) {
        match self.magnitude {
            Magnitude::Finite { mantissa, exponent } => (exponent, mantissa),
            Magnitude::Infinite => (i64::MAX, 0),
        }
    }

    /// The sum, rounded to nearest and ties to even; `None` if it is infinite or not a number.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else {
            return None;
        };
        let Magnitude::Finite { mantissa: other_mantissa, exponent: other_exponent } =
            other.magnitude
        else {
            return None;
        };
        if exponent < other_exponent {
            return other.checked_add(self);
        }
        // One bit stays free for a carry. Bits shifted out are remembered as `inexact`; with a shift small enough
        // for the leading bits to cancel, none are.
        let distance = exponent - other_exponent;
        let mine = u128::from(mantissa) << 63;
        let unshifted = u128::from(other_mantissa) << 63;
        let theirs = if distance < 128 { unshifted >> distance } else { 0 };
        let inexact = if distance < 128 { theirs << distance != unshifted } else { unshifted != 0 };

        let (negative, sum) = if self.negative == other.negative {
            (self.negative, mine + theirs)
        } else {
            match mine.cmp(&theirs) {
                // What was shifted out is taken away too: the result is a little less than the difference of what
                // was kept, so it is one less and a fraction.
                Ordering::Greater => (self.negative, mine - theirs - u128::from(inexact)),
                Ordering::Less => (other.negative, theirs - mine),
                Ordering::Equal => (false, 0),
            }
        };
        match EXTENDED.round(sum, inexact, exponent - 63) {
            Rounded::Finite { mantissa, exponent } => {
                Some(Self { negative, magnitude: Magnitude::Finite { mantissa, exponent } })
            }
            Rounded::Overflow => None,
        }
    }

    /// Appends the number with up to 17 decimals and never an exponent, as Redis stores it: C's `%.17Lf` without
    /// the zeros at its end, and without the sign of a zero.
    pub fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.negative {
            out.push(b'-');
        }
        match self.magnitude {
            Magnitude::Infinite => out.extend_from_slice(b"inf"),
            Magnitude::Finite { mantissa, exponent } if exponent >= 0 => {
                write_shifted(out, mantissa, exponent)
            }
            Magnitude::Finite { mantissa, exponent } => write_fraction(out, mantissa, -exponent),
        }
        if &out[start..] == b"-0" {
            out.remove(start);
        }
    }

    /// The text that [`write`](Self::write) appends.
    pub fn to_text(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

/// Writes `mantissa * 2^shift`.
fn write_shifted(out: &mut Vec<u8>, mantissa: u64, shift: i64) {
    /// Limbs hold nine decimal digits each, the lowest first.
    const LIMB: u64 = 1_000_000_000;
    /// As many bits as leave the product of a limb and a power of two, with its carry, within 64 bits.
    const STEP: i64 = 32;

    let mut limbs = vec![mantissa % LIMB, mantissa / LIMB % LIMB, mantissa / LIMB / LIMB];
    let mut left = shift;
    while left > 0 {
        let step = left.min(STEP);
        let mut carry = 0;
        for limb in &mut limbs {
            let value = (*limb << step) + carry;
            *limb = value % LIMB;
            carry = value / LIMB;
        }
        while carry > 0 {
            limbs.push(carry % LIMB);
            carry /= LIMB;
        }
        left -= step;
    }
    let mut limbs = limbs.iter().rev().skip_while(|&&limb| limb == 0);
    let Some(&first) = limbs.next() else {
        out.push(b'0');
        return;
    };
    out.extend_from_slice(IntegerText::from_u64(first).as_bytes());
    for &limb in limbs {
        write_padded(out, limb, 9);
    }
}

/// Writes `mantissa / 2^shift`, for a positive shift.
fn write_fraction(out: &mut Vec<u8>, mantissa: u64, shift: i64) {
    // At most 64 + 57 bits, so that from a shift of 122 on less than a half is left.
    let scaled = u128::from(mantissa) * ONE_IN_DECIMALS;
    let rounded = if shift >= 122 {
        0
    } else {
        let kept = scaled >> shift;
        let rest = scaled & ((1 << shift) - 1);
        let half = 1 << (shift - 1);
        kept + u128::from(rest > half || (rest == half && kept & 1 == 1))
    };
    // Both fit: the quotient is less than the mantissa, and the remainder has 17 digits.
    let (whole, fraction) =
        ((rounded / ONE_IN_DECIMALS) as u64, (rounded % ONE_IN_DECIMALS) as u64);
    out.extend_from_slice(IntegerText::from_u64(whole).as_bytes());
    if fraction > 0 {
        out.push(b'.');
        write_padded(out, fraction, DECIMALS);
        let zeros = out.iter().rev().take_while(|&&digit| digit == b'0').count();
        out.truncate(out.len() - zeros);
    }
}

fn write_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let text = IntegerText::from_u64(value);
    let padding = width.saturating_sub(text.as_bytes().len());
    out.resize(out.len() + padding, b'0');
    out.extend_from_slice(text.as_bytes());
}

/// Rounds `digits * 10^exponent`.
fn round_decimal(digits: &[u8], exponent: i64) -> Rounded {
    // Far beyond the range, numbers of any length would have to be computed only to find out that they are.
    let magnitude = digits.len() as i64 + exponent;
    if digits.is_empty() || magnitude < -5000 {
        return EXTENDED.round(0, false, 0);
    }
    if magnitude > 5000 {
        return Rounded::Overflow;
    }
    if let (Some(value), -18..=18) = (small_integer(digits), exponent) {
        // 10^18 has 60 bits, which leaves the product within 128 bits and the quotient at least 67.
        let power = 10_u128.pow(exponent.unsigned_abs() as u32);
        if exponent >= 0 {
            return EXTENDED.round(u128::from(value) * power, false, 0);
        }
        let shift = u128::from(value).leading_zeros();
        let scaled = u128::from(value) << shift;
        return EXTENDED.round(scaled / power, scaled % power != 0, -i64::from(shift));
    }
    let numerator = Natural::from_digits(digits);
    if exponent >= 0 {
        return numerator.times_power_of_ten(exponent as u64).round();
    }
    round_quotient(numerator, Natural::from(1).times_power_of_ten(exponent.unsigned_abs()))
}

fn small_integer(digits: &[u8]) -> Option<u64> {
    let value = || digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    (digits.len() <= 19).then(value)
}

/// Rounds a quotient of positive numbers, by long division in binary.
fn round_quotient(mut numerator: Natural, mut denominator: Natural) -> Rounded {
    /// The bits of the quotient. The first may be zero, which leaves more than the format has.
    const QUOTIENT_BITS: i64 = 68;

    let shift = denominator.bits() - numerator.bits();
    if shift >= 0 {
        numerator.shift_left(shift.unsigned_abs());
    } else {
        denominator.shift_left(shift.unsigned_abs());
    }
    let mut quotient = 0_u128;
    for _ in 0..QUOTIENT_BITS {
        quotient <<= 1;
        if numerator.compare(&denominator) != Ordering::Less {
            numerator.subtract(&denominator);
            quotient |= 1;
        }
        numerator.shift_left(1);
    }
    EXTENDED.round(quotient, !numerator.is_zero(), -shift - (QUOTIENT_BITS - 1))
}

/// A natural number of any size, in limbs of 32 bits, the lowest first and the highest not zero.
struct Natural(Vec<u32>);

impl From<u32> for Natural {
    fn from(value: u32) -> Self {
        let mut natural = Self(vec![value]);
        natural.trim();
        natural
    }
}

impl Natural {
    fn from_digits(digits: &[u8]) -> Self {
        let mut value = Self(Vec::with_capacity(digits.len() / 9 + 1));
        for chunk in digits.chunks(9) {
            let chunk_value =
                chunk.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
            value.multiply_add(10_u32.pow(chunk.len() as u32), chunk_value);
        }
        value
    }

    fn times_power_of_ten(mut self, exponent: u64) -> Self {
        for _ in 0..exponent / 9 {
            self.multiply_add(1_000_000_000, 0);
        }
        self.multiply_add(10_u32.pow((exponent % 9) as u32), 0);
        self
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for limb in &mut self.0 {
            let value = u64::from(*limb) * u64::from(factor) + carry;
            *limb = value as u32;
            carry = value >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> i64 {
        let highest = self.0.last().map_or(32, |limb| limb.leading_zeros());
        self.0.len() as i64 * 32 - if self.is_zero() { 0 } else { i64::from(highest) }
    }

    fn shift_left(&mut self, bits: u64) {
        if self.is_zero() {
            return;
        }
        let (limbs, bits) = ((bits / 32) as usize, bits % 32);
        let mut carry = 0;
        for limb in &mut self.0 {
            let value = u64::from(*limb) << bits | carry;
            *limb = value as u32;
            carry = value >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
        self.0.splice(..0, std::iter::repeat_n(0, limbs));
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_len = self.0.len().cmp(&other.0.len());
        by_len.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Takes away a number that is not greater.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0;
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        for (limb, theirs) in self.0.iter_mut().zip(others) {
            let value = i64::from(*limb) - i64::from(theirs) + borrow;
            *limb = value as u32;
            borrow = value >> 32;
        }
        self.trim();
    }

    fn round(&self) -> Rounded {
        let skipped = self.0.len().saturating_sub(4);
        let (low, high) = self.0.split_at(skipped);
        let top = high.iter().rev().fold(0, |value, &limb| value << 32 | u128::from(limb));
        // Four limbs of which the highest is not zero have at least 97 bits.
        EXTENDED.round(top, low.iter().any(|&limb| limb != 0), 32 * skipped as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sums that a Redis on x86-64 computed: two numbers and what INCRBYFLOAT gave, or `error`.
    const CASES: &str = include_str!("long_double_cases.txt");

    fn add(a: &str, b: &str) -> String {
        let sum = LongDouble::parse(a.as_bytes())
            .zip(LongDouble::parse(b.as_bytes()))
            .and_then(|(a, b)| a.checked_add(b));
        sum.map_or("error".into(), |sum| {
            String::from_utf8(sum.to_text()).expect("numbers are ASCII")
        })
    }

    #[test]
    fn sums_are_those_of_redis() {
        let mut count = 0;
        for line in CASES.lines() {
            let mut fields = line.split(' ');
            let (Some(a), Some(b), Some(sum)) = (fields.next(), fields.next(), fields.next())
            else {
                panic!("a case has three fields: {line}");
            };
            assert_eq!(add(a, b), sum, "{a} + {b}");
            assert_eq!(add(b, a), sum, "{b} + {a}");
            count += 1;
        }
        assert!(count > 300, "only {count} cases");
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "nan",
            "0x",
            "1e",
            "1e5000",
            "-1e5000",
            "1e-5000",
            "0x1p16384",
            "0x1p-16447",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(LongDouble::parse(&[b'1'; TEXT_LEN_MAX + 1]), None, "too long");
        assert!(LongDouble::parse(&[b'0'; TEXT_LEN_MAX]).is_some(), "as long as may be");
        assert_eq!(add("inf", "1"), "error");
        assert_eq!(add("inf", "-inf"), "error");
    }

    proptest! {
        #[test]
        fn integers_add_exactly(a in -(1_i64 << 62)..1 << 62, b in -(1_i64 << 62)..1 << 62) {
            prop_assert_eq!(add(&a.to_string(), &b.to_string()), (a + b).to_string());
        }

        #[test]
        fn both_ways_to_read_decimals_agree(digits in 1_u64..10_u64.pow(18), exponent in 0_i64..19) {
            let text = digits.to_string();
            let fast = round_decimal(text.as_bytes(), -exponent);
            let slow = round_quotient(
                Natural::from_digits(text.as_bytes()),
                Natural::from(1).times_power_of_ten(exponent as u64),
            );
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eExXpPinfa]{0,12}") {
            if let Some(value) = LongDouble::parse(text.as_bytes()) {
                value.to_text();
            }
        }
    }

    #[test]
    fn numbers_have_an_order() {
        let texts = ["-inf", "-1e300", "-2", "-1.5", "0", "1e-300", "1", "1.5", "1e4000", "inf"];
        let numbers: Vec<_> =
            texts.iter().map(|text| LongDouble::parse(text.as_bytes()).unwrap()).collect();
        for (i, one) in numbers.iter().enumerate() {
            for (j, other) in numbers.iter().enumerate() {
                assert_eq!(one.compare(*other), i.cmp(&j), "{} {}", texts[i], texts[j]);
                assert_eq!(one.negated().compare(other.negated()), j.cmp(&i));
            }
        }
        let zero = LongDouble::parse(b"0").unwrap();
        assert_eq!(zero.compare(zero.negated()), Ordering::Equal);
        assert!(LongDouble::MAX.checked_add(LongDouble::MAX).is_none());
    }
}
