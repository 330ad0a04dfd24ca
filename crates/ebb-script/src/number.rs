//! Lua's numbers as other things.

/// A number as an integer, as C converts it on the processors that Redis runs on: toward zero,
/// and what does not fit, or is no number, becomes the smallest one.
pub(crate) fn to_i64(value: f64) -> i64 {
    // Both bounds are exact in a double.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// The integer that a number is exactly.
pub(crate) fn exact_i64(value: f64) -> Option<i64> {
    let integer = to_i64(value);
    (integer as f64 == value && integer != i64::MAX && (value != 0.0 || value.is_sign_positive()))
        .then_some(integer)
}

/// A number as text with so many significant digits, as C's `%.{digits}g` writes it.
pub(crate) fn general(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        let text = if value.is_nan() { "nan" } else { "inf" };
        return if value.is_sign_negative() { format!("-{text}") } else { text.to_owned() };
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// Without zeros at the end of the fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A number as an argument of a command: an integer if it is one, else the shortest text that
/// reads back as the same.
pub(crate) fn argument(value: f64) -> Vec<u8> {
    let mut text = Vec::new();
    match exact_i64(value) {
        Some(integer) => ebb_types::number::write_i64(&mut text, integer),
        None => ebb_types::float::write_f64(&mut text, value),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_cut_off_as_in_c() {
        assert_eq!(to_i64(-1.9), -1);
        assert_eq!([1e30, -1e30, f64::NAN, f64::INFINITY].map(to_i64), [i64::MIN; 4]);
        assert_eq!(exact_i64(3.0), Some(3));
        assert_eq!(exact_i64(3.5), None);
        assert_eq!(exact_i64(-0.0), None);
    }

    #[test]
    fn numbers_are_written_as_printf_does() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-0.5, "-0.5"),
            (0.1, "0.1"),
            (1e14, "1e+14"),
            (1e13, "10000000000000"),
            (123456789012345.0, "1.2345678901234e+14"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e300, "1e+300"),
            (99999999999999.9, "1e+14"),
        ] {
            assert_eq!(general(value, 14), text);
        }
        assert_eq!(general(f64::NEG_INFINITY, 14), "-inf");
    }

    #[test]
    fn arguments_read_back_as_the_same_number() {
        assert_eq!(argument(1e15), b"1000000000000000");
        assert_eq!(argument(3.5), b"3.5");
        assert_eq!(argument(0.1), b"0.1");
    }
}
