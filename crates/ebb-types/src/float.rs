//! Doubles as text: what clients may send, and the form in which replies give them back.

use crate::number::IntegerText;
use crate::numeral::{Format, Numeral, Rounded};
use std::io::Write as _;

/// Parses a double as Redis reads scores and other doubles: everything C's `strtod` takes, which includes a sign,
/// `inf`, `infinity` and hexadecimal floats, if it is the whole text and no blank comes before it. NaN is refused, and
/// so is a number that is out of range or that would become zero though it is not.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    /// Doubles, with 53 bits.
    const DOUBLE: Format = Format { bits: 53, exponent_min: -1074, exponent_max: 971 };

    if let Some(value) = parse_plain(text) {
        return Some(value);
    }
    match Numeral::parse(text)? {
        Numeral::Infinity { negative } => {
            Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        Numeral::Decimal { digits, .. } => {
            // The grammar has been checked, and all of it is also the grammar of the standard library.
            let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            let lost = value == 0.0 && !digits.is_empty();
            (value.is_finite() && !lost).then_some(value)
        }
        Numeral::Binary { negative, mantissa, inexact, exponent } => {
            let Rounded::Finite { mantissa: rounded, exponent } =
                DOUBLE.round(mantissa, inexact, exponent)
            else {
                return None;
            };
            if rounded == 0 && mantissa != 0 {
                return None;
            }
            // Two factors, for `2^exponent` alone may be too small for a double. Both products are exact.
            let (near, far) = (exponent as i32 / 2, exponent as i32 - exponent as i32 / 2);
            let value = rounded as f64 * 2_f64.powi(near) * 2_f64.powi(far);
            Some(if negative { -value } else { value })
        }
    }
}

/// An integer of so few digits that it is a double as it is: most scores are.
#[inline]
fn parse_plain(text: &[u8]) -> Option<f64> {
    const DIGITS_MAX: usize = 15;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !(1..=DIGITS_MAX).contains(&digits.len()) {
        return None;
    }
    let mut value = 0_u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    let value = value as f64;
    Some(if negative { -value } else { value })
}

/// Appends a double as replies and stored scores spell it in Redis 7.2.
///
/// Integers up to half the range of an `i64` are plain integers. Everything else is the shortest digits that read
/// back as the same double, in plain notation while the exponent is small and as `1.5e+30` beyond: the layout
/// rules are those of the fpconv library, which Redis took up in 7.2. (7.0 printed `%.17g`, which shows 0.1 as
/// 0.10000000000000001.) Infinities are `inf` and `-inf`, and any NaN is `nan`.
///
/// Ebb always finds the shortest digits nearest to the value; fpconv's Grisu2 gives one digit more, or another
/// last digit, for about one random double in a thousand. Both texts read back as the same double.
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;

    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() <= INTEGER_MAX && value.trunc() == value {
        out.extend_from_slice(IntegerText::from_i64(value as i64).as_bytes());
    } else {
        if value < 0.0 {
            out.push(b'-');
        }
        write_digits(out, &ShortestDigits::of(value.abs()));
    }
}

/// The text of a double, as [`write_f64`] gives it.
pub fn format_f64(value: f64) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    write_f64(&mut out, value);
    out
}

/// A double as C's `%.17g` prints it.
pub fn format_g17(value: f64) -> Vec<u8> {
    if !value.is_finite() {
        return format_f64(value);
    }
    const DIGITS: i32 = 17;
    let text = format!("{value:.16e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        let places = (DIGITS - 1 - exponent) as usize;
        return trim(&format!("{value:.places$}")).into_bytes();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.abs()).into_bytes()
}

/// The value `digits * 10^exponent`, where `digits` is an integer without trailing zeros.
struct ShortestDigits {
    digits: [u8; 17],
    len: usize,
    exponent: i32,
}

impl ShortestDigits {
    /// Takes apart the shortest decimal form of a positive finite double.
    fn of(value: f64) -> Self {
        let mut text = [0; 32];
        let mut unwritten = &mut text[..];
        // The longest form is 17 digits, a point and `e-308`, which fits: the write cannot fail.
        let _ = write!(unwritten, "{value:e}");
        let unwritten = unwritten.len();
        let written = &text[..text.len() - unwritten];

        let mut parts = written.split(|&byte| byte == b'e');
        let mut found = Self { digits: [0; 17], len: 0, exponent: 0 };
        for &byte in parts.next().unwrap_or_default().iter().filter(|&&byte| byte != b'.') {
            if let Some(place) = found.digits.get_mut(found.len) {
                *place = byte;
                found.len += 1;
            }
        }
        let exponent = parts.next().and_then(crate::number::parse_i64).unwrap_or(0);
        found.exponent = exponent as i32 - (found.len as i32 - 1);
        found
    }
}

fn write_digits(out: &mut Vec<u8>, number: &ShortestDigits) {
    let digits = &number.digits[..number.len];
    let len = number.len as i32;
    // The exponent of the first digit, as in `d.ddde+XX`.
    let scientific = number.exponent + len - 1;

    if number.exponent >= 0 && scientific < len + 7 {
        out.extend_from_slice(digits);
        out.resize(out.len() + number.exponent as usize, b'0');
    } else if number.exponent < 0 && (number.exponent > -7 || scientific.abs() < 4) {
        let whole = len + number.exponent;
        if whole <= 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + whole.unsigned_abs() as usize, b'0');
            out.extend_from_slice(digits);
        } else {
            let (whole, fraction) = digits.split_at(whole as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if scientific < 0 { b"e-" } else { b"e+" });
        out.extend_from_slice(IntegerText::from_u64(scientific.unsigned_abs().into()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seventeen_digits_are_those_of_c() {
        let cases = [
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (-0.0, "-0"),
            (1e20, "1e+20"),
            (123456.75, "123456.75"),
            (1.5e-7, "1.4999999999999999e-07"),
        ];
        for (value, text) in cases {
            assert_eq!(String::from_utf8(super::format_g17(value)).unwrap(), text);
        }
    }

    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        String::from_utf8(format_f64(value)).expect("the text of a double is ASCII")
    }

    #[test]
    fn layout_follows_the_reply_rules() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (3.25, "3.25"),
            (-1.5, "-1.5"),
            (0.000001, "0.000001"),
            (0.0000001, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (4e18, "4000000000000000000"),
            (1e19, "1e+19"),
            (1.5e300, "1.5e+300"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (-f64::NAN, "nan"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn plain_integers_are_read_as_by_the_standard_library() {
        for text in ["0", "-0", "-7", "000123", "999999999999999", "-999999999999999"]
            .into_iter()
            .chain(["9007199254740993", "-9999999999999999", "123456789012345678901234567890"])
        {
            let expected: f64 = text.parse().expect("a number");
            let read = parse_f64(text.as_bytes()).expect("a number");
            assert_eq!(read.to_bits(), expected.to_bits(), "{text}");
        }
        for text in ["", "-", "--1", "1 ", "1a", "/", ":"] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_redis_takes_for_a_double() {
        let accepted: [(&str, f64); 17] = [
            ("1", 1.0),
            ("+1.5", 1.5),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-2", 0.01),
            ("007", 7.0),
            ("inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("+Infinity", f64::INFINITY),
            ("0x10", 16.0),
            ("-0X1.8p1", -3.0),
            ("0x.8", 0.5),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("1e-320", 1e-320),
        ];
        for (text, value) in accepted {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            " 1",
            "1 ",
            "1x",
            "e5",
            "1e",
            "1e+",
            ".",
            "+",
            "--1",
            "nan",
            "-NaN",
            "nan(1)",
            "infin",
            "0x",
            "0x.",
            "0xg",
            "0x1p",
            "1e400",
            "-1e400",
            "1e-400",
            "0x1p1024",
            "0x1p-1076",
            "1_000",
            "1e5.5",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_f64(b"0e-999999999999999999999"), Some(0.0));
    }

    proptest! {
        #[test]
        fn any_double_in_hexadecimal_reads_back(bits: u64) {
            let value = f64::from_bits(bits & (u64::MAX >> 1));
            prop_assume!(value.is_finite());
            let mantissa = bits & ((1 << 52) - 1);
            let text = match bits >> 52 & 0x7ff {
                0 => format!("0x{mantissa:x}p-1074"),
                biased => format!("0x{:x}.{mantissa:013x}p{}", 1, biased as i64 - 1023),
            };
            prop_assert_eq!(parse_f64(text.as_bytes()), Some(value));
        }

        #[test]
        fn text_reads_back_as_the_same_double(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let back = parse_f64(text(value).as_bytes()).expect("reply text is a number");
            prop_assert_eq!(back.to_bits(), value.to_bits());
        }
    }
}
