//! The grammar of C's `strtod`, which Redis uses to read doubles and long doubles, as strictly as Redis applies it:
//! the whole text must be the number, and there may be no blank before it.

/// A number as it was spelled, not yet rounded to any format.
#[derive(Debug, PartialEq)]
pub(crate) enum Numeral {
    /// `inf` or `infinity`.
    Infinity { negative: bool },
    /// `digits * 10^exponent`; the digits are ASCII, without leading zeros, and empty for zero.
    Decimal { negative: bool, digits: Vec<u8>, exponent: i64 },
    /// `(mantissa + fraction) * 2^exponent`, with a fraction between 0 and 1, both excluded, if `inexact`. Then the
    /// mantissa has at least 124 bits.
    Binary { negative: bool, mantissa: u128, inexact: bool, exponent: i64 },
}

/// Exponents are cut off here, where every format has long since overflowed or underflowed whatever the digits.
const EXPONENT_MAX: i64 = 1_000_000_000;

impl Numeral {
    /// Reads `text`, or gives `None` if it is not a number. NaN is not one here.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinity { negative });
        }
        match text {
            [b'0', b'x' | b'X', rest @ ..] => Self::parse_hexadecimal(negative, rest),
            _ => Self::parse_decimal(negative, text),
        }
    }

    fn parse_decimal(negative: bool, text: &[u8]) -> Option<Self> {
        let (significand, exponent) = split_exponent(text, b'e')?;
        let (whole, fraction) = split_point(significand)?;
        let all = whole.iter().chain(fraction);
        if !all.clone().all(u8::is_ascii_digit) {
            return None;
        }
        let digits: Vec<u8> = all.copied().skip_while(|&digit| digit == b'0').collect();
        Some(Self::Decimal { negative, digits, exponent: exponent - fraction.len() as i64 })
    }

    fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<Self> {
        let (significand, mut exponent) = split_exponent(text, b'p')?;
        let (whole, fraction) = split_point(significand)?;
        let (mut mantissa, mut inexact) = (0_u128, false);
        for &digit in whole.iter().chain(fraction) {
            let digit = (digit as char).to_digit(16)?;
            if mantissa >> 124 == 0 {
                mantissa = mantissa << 4 | u128::from(digit);
            } else {
                inexact |= digit != 0;
                exponent += 4;
            }
        }
        Some(Self::Binary {
            negative,
            mantissa,
            inexact,
            exponent: exponent - 4 * fraction.len() as i64,
        })
    }
}

/// Cuts off the exponent, which is 0 if there is none.
fn split_exponent(text: &[u8], marker: u8) -> Option<(&[u8], i64)> {
    let Some(at) = text.iter().position(|byte| byte.to_ascii_lowercase() == marker) else {
        return Some((text, 0));
    };
    let (negative, digits) = match &text[at + 1..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let append = |value: i64, digit: &u8| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX);
    let magnitude = digits.iter().fold(0, append);
    Some((&text[..at], if negative { -magnitude } else { magnitude }))
}

/// The digits before and after the point. There must be one on either side.
fn split_point(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let point = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &text[text.len()..]),
    };
    (!whole.is_empty() || !fraction.is_empty()).then_some((whole, fraction))
}

/// A binary floating-point format.
pub(crate) struct Format {
    /// The bits of a mantissa.
    pub(crate) bits: i64,
    /// The least and the greatest exponent of a mantissa's last bit.
    pub(crate) exponent_min: i64,
    pub(crate) exponent_max: i64,
}

/// The outcome of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounded {
    /// `mantissa * 2^exponent`. The mantissa has all the bits of the format, or the exponent is the least.
    Finite { mantissa: u64, exponent: i64 },
    /// Too big for the format.
    Overflow,
}

impl Format {
    /// Rounds `(mantissa + fraction) * 2^exponent` to the nearest number of the format, and ties to even. The
    /// fraction lies between 0 and 1, both excluded, if `inexact`, and is 0 otherwise; if `inexact`, the mantissa
    /// must have at least two bits more than the format.
    pub(crate) fn round(&self, mantissa: u128, inexact: bool, exponent: i64) -> Rounded {
        if mantissa == 0 {
            return Rounded::Finite { mantissa: 0, exponent: self.exponent_min };
        }
        let bits = 128 - i64::from(mantissa.leading_zeros());
        let dropped = (bits - self.bits).max(self.exponent_min - exponent);
        let mut exponent = exponent + dropped;
        let mut kept = match dropped {
            ..=0 => mantissa << -dropped,
            1..=127 => {
                let kept = mantissa >> dropped;
                let rest = mantissa & ((1 << dropped) - 1);
                let half = 1 << (dropped - 1);
                let up = rest > half || (rest == half && (inexact || kept & 1 == 1));
                kept + u128::from(up)
            }
            128 => u128::from(mantissa > 1 << 127 || (mantissa == 1 << 127 && inexact)),
            _ => 0,
        };
        if kept >> self.bits != 0 {
            kept >>= 1;
            exponent += 1;
        }
        if exponent > self.exponent_max {
            return Rounded::Overflow;
        }
        // At most `self.bits` bits are left, which are no more than 64.
        Rounded::Finite { mantissa: kept as u64, exponent }
    }
}
