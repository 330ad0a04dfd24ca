//! The kinds of values: how their text is read, checked and shown.

use std::fmt;

/// Why a value was refused: Redis's words, without the name of the directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub String);

impl Reason {
    /// A reason in these words.
    pub fn new(text: impl Into<String>) -> Self {
        Reason(text.into())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an integer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Decimal digits.
    Plain,
    /// Octal digits, shown in octal: file modes.
    Octal,
    /// Bytes, with `b k kb m mb g gb` (powers of 1000 without the `b`, of 1024 with it).
    Memory,
    /// As [`Unit::Memory`], or `n%`, which is kept as `-n`.
    MemoryOrPercent,
}

/// What a directive's value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// An integer between two bounds, both included.
    Integer {
        /// The smallest value.
        min: i128,
        /// The largest value.
        max: i128,
        /// How it is written.
        unit: Unit,
    },
    /// One word of a list.
    Word(&'static [&'static str]),
    /// Any text that passes the check.
    Text(fn(&str) -> Result<(), Reason>),
    /// Several arguments with a format of their own. The function gets the value so far, for the formats in which
    /// a line changes only a part, and gives the new value in the form that `CONFIG GET` shows.
    Special(fn(&str, &[&str]) -> Result<String, Reason>),
}

/// A value that was read: the form `CONFIG GET` shows and, for numbers, the bits that getters load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) text: String,
    pub(crate) bits: u64,
}

impl Kind {
    /// Does one line carry several arguments?
    pub(crate) fn takes_many(&self) -> bool {
        matches!(self, Kind::Special(_))
    }

    /// Reads the arguments of a directive. `current` is the value so far.
    pub(crate) fn read(&self, current: &str, arguments: &[&str]) -> Result<Parsed, Reason> {
        let one = || match arguments {
            [value] => Ok(*value),
            _ => Err(Reason::new("wrong number of arguments")),
        };
        match self {
            Kind::Bool => read_bool(one()?),
            Kind::Integer { min, max, unit } => read_integer(one()?, *min, *max, *unit),
            Kind::Word(words) => read_word(one()?, words),
            Kind::Text(check) => {
                let text = one()?.to_owned();
                check(&text).map(|()| Parsed { text, bits: 0 })
            }
            Kind::Special(read) => read(current, arguments).map(|text| Parsed { text, bits: 0 }),
        }
    }
}

fn read_bool(value: &str) -> Result<Parsed, Reason> {
    let on = match value.to_ascii_lowercase().as_str() {
        "yes" => true,
        "no" => false,
        _ => return Err(Reason::new("argument must be 'yes' or 'no'")),
    };
    Ok(Parsed { text: if on { "yes" } else { "no" }.to_owned(), bits: u64::from(on) })
}

fn read_word(value: &str, words: &[&str]) -> Result<Parsed, Reason> {
    match words.iter().position(|word| word.eq_ignore_ascii_case(value)) {
        Some(at) => Ok(Parsed { text: words[at].to_owned(), bits: at as u64 }),
        None => Err(one_of(words)),
    }
}

/// The reason that lists the words which are allowed.
pub(crate) fn one_of(words: &[&str]) -> Reason {
    Reason(format!("argument(s) must be one of the following: {}", words.join(", ")))
}

fn read_integer(value: &str, min: i128, max: i128, unit: Unit) -> Result<Parsed, Reason> {
    let number = match unit {
        Unit::Plain => i128::from(
            parse_i64(value).ok_or(Reason::new("argument couldn't be parsed into an integer"))?,
        ),
        Unit::Octal => i128::from(
            i64::from_str_radix(value, 8)
                .map_err(|_| Reason::new("argument couldn't be parsed as an octal number"))?,
        ),
        Unit::Memory => {
            i128::from(parse_memory(value).ok_or(Reason::new("argument must be a memory value"))?)
        }
        Unit::MemoryOrPercent => parse_memory_or_percent(value)?,
    };
    if number < min || number > max {
        return Err(match unit {
            Unit::MemoryOrPercent if number < 0 => {
                Reason(format!("percentage argument must be less or equal to {}", -min))
            }
            Unit::Octal => {
                Reason(format!("argument must be between {min:o} and {max:o} inclusive"))
            }
            _ => Reason(format!("argument must be between {min} and {max} inclusive")),
        });
    }
    let text = match unit {
        Unit::Octal => format!("{number:o}"),
        Unit::MemoryOrPercent if number < 0 => format!("{}%", -number),
        _ => number.to_string(),
    };
    // Truncation is the point: the bounds of each row lie inside i64 or u64, and both are kept as 64 bits.
    Ok(Parsed { text, bits: number as u64 })
}

fn parse_memory_or_percent(value: &str) -> Result<i128, Reason> {
    let parsed = match value.strip_suffix('%') {
        Some(percent) => {
            parse_i64(percent).filter(|percent| *percent >= 0).map(|percent| -i128::from(percent))
        }
        None => parse_memory(value).map(i128::from),
    };
    parsed.ok_or(Reason::new("argument must be a memory or percent value"))
}

/// A decimal integer in its one canonical form: no sign `+`, no leading zero, no blanks.
pub(crate) fn parse_i64(value: &str) -> Option<i64> {
    let number: i64 = value.parse().ok()?;
    (number.to_string() == value).then_some(number)
}

/// Bytes with an optional unit. As in Redis no digits mean zero, and digits beyond 64 bits mean the largest value;
/// a product that overflows is refused.
pub fn parse_memory(value: &str) -> Option<u64> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, unit) = value.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let number = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) };
    number.checked_mul(factor)
}

/// Bytes in the largest unit that divides them, as `CONFIG REWRITE` writes them.
pub(crate) fn show_memory(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, value: &str) -> Result<String, String> {
        kind.read("", &[value]).map(|parsed| parsed.text).map_err(|reason| reason.0)
    }

    #[test]
    fn yes_and_no() {
        assert_eq!(read(Kind::Bool, "YES").as_deref(), Ok("yes"));
        assert_eq!(read(Kind::Bool, "no").as_deref(), Ok("no"));
        for wrong in ["", "maybe", "1"] {
            assert_eq!(read(Kind::Bool, wrong).unwrap_err(), "argument must be 'yes' or 'no'");
        }
    }

    #[test]
    fn plain_integers_have_one_form() {
        let kind = Kind::Integer { min: 0, max: 500, unit: Unit::Plain };
        assert_eq!(read(kind, "10").as_deref(), Ok("10"));
        for wrong in
            ["", "x", "+5", "05", " 5", "5 ", "1.5", "0x10", "-0", "99999999999999999999999"]
        {
            assert_eq!(
                read(kind, wrong).unwrap_err(),
                "argument couldn't be parsed into an integer",
                "{wrong}"
            );
        }
        assert_eq!(read(kind, "-1").unwrap_err(), "argument must be between 0 and 500 inclusive");
    }

    #[test]
    fn memory_units() {
        let kind = Kind::Integer { min: 0, max: u64::MAX as i128, unit: Unit::Memory };
        for (value, bytes) in [
            ("1GB", "1073741824"),
            ("1k", "1000"),
            ("2kb", "2048"),
            ("3m", "3000000"),
            ("1mb", "1048576"),
            ("1g", "1000000000"),
            ("7b", "7"),
            ("", "0"),
            ("mb", "0"),
            ("99999999999999999999", "18446744073709551615"),
        ] {
            assert_eq!(read(kind, value).as_deref(), Ok(bytes), "{value}");
        }
        for wrong in ["abc", "1xb", "-1", "1.5gb", "100 ", "0x10", "99999999999999999gb"] {
            assert_eq!(
                read(kind, wrong).unwrap_err(),
                "argument must be a memory value",
                "{wrong}"
            );
        }
        assert_eq!(show_memory(1 << 30), "1gb");
        assert_eq!(show_memory(1000), "1000");
        assert_eq!(show_memory(0), "0");
    }

    #[test]
    fn memory_or_percent() {
        let kind = Kind::Integer { min: -100, max: i64::MAX as i128, unit: Unit::MemoryOrPercent };
        assert_eq!(
            kind.read("", &["10%"]),
            Ok(Parsed { text: "10%".into(), bits: -10_i64 as u64 })
        );
        assert_eq!(read(kind, "1kb").as_deref(), Ok("1024"));
        assert_eq!(
            read(kind, "101%").unwrap_err(),
            "percentage argument must be less or equal to 100"
        );
        for wrong in ["-5", "x%", "%"] {
            assert_eq!(
                read(kind, wrong).unwrap_err(),
                "argument must be a memory or percent value"
            );
        }
    }

    #[test]
    fn octal_and_words() {
        let kind = Kind::Integer { min: 0, max: 0o777, unit: Unit::Octal };
        assert_eq!(kind.read("", &["700"]), Ok(Parsed { text: "700".into(), bits: 0o700 }));
        assert_eq!(
            read(kind, "999").unwrap_err(),
            "argument couldn't be parsed as an octal number"
        );
        assert_eq!(read(kind, "1000").unwrap_err(), "argument must be between 0 and 777 inclusive");
        let kind = Kind::Word(&["debug", "notice"]);
        assert_eq!(kind.read("", &["NOTICE"]), Ok(Parsed { text: "notice".into(), bits: 1 }));
        assert_eq!(
            read(kind, "x").unwrap_err(),
            "argument(s) must be one of the following: debug, notice"
        );
        assert_eq!(kind.read("", &[]).unwrap_err().0, "wrong number of arguments");
    }
}
