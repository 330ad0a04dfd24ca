//! The ranges that arguments give: of ranks, of scores, of names.

use std::ops;

use ebb_collections::{Bound, Range, SortedSetRef};
use ebb_engine::CommandError;
use ebb_types::float::parse_f64;
use ebb_types::number::parse_i64;

/// What the two ends of a range are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// Some members that follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Selection<'a> {
    /// From one rank to another; below zero, from the end.
    Ranks(i64, i64),
    /// By score or by name.
    Range(Range<'a>),
    /// None: a range of names that begins with the last or ends with the first.
    Nothing,
}

impl<'a> Selection<'a> {
    /// From the lower to the upper end.
    pub(super) fn parse(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Self, CommandError> {
        match by {
            By::Rank => {
                let rank = |text| parse_i64(text).ok_or(CommandError::NotInteger);
                Ok(Selection::Ranks(rank(low)?, rank(high)?))
            }
            By::Score => {
                let bounds = score_bound(low).zip(score_bound(high));
                let (low, high) =
                    bounds.ok_or(CommandError::new("ERR min or max is not a float"))?;
                Ok(Selection::Range(Range::Score(low, high)))
            }
            By::Lex => lex(low, high)
                .ok_or(CommandError::new("ERR min or max not valid string range item")),
        }
    }

    /// The ranks of the members. Of a range that is `reversed`, ranks count from the end.
    pub(super) fn ranks(&self, set: &SortedSetRef<'_>, reversed: bool) -> ops::Range<usize> {
        match self {
            Selection::Nothing => 0..0,
            Selection::Range(range) => set.ranks(range),
            Selection::Ranks(first, last) => {
                let ranks = within(*first, *last, set.len());
                if reversed { set.len() - ranks.end..set.len() - ranks.start } else { ranks }
            }
        }
    }
}

/// The part of `first..=last` that a set of `len` members has.
fn within(first: i64, last: i64, len: usize) -> ops::Range<usize> {
    let len = len as i64;
    let from_start = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
    let (first, last) = (from_start(first).max(0), from_start(last).min(len - 1));
    if first > last { 0..0 } else { first as usize..last as usize + 1 }
}

/// `1.5`, or `(1.5` for a bound that is not within.
fn score_bound(text: &[u8]) -> Option<Bound<f64>> {
    match text {
        [b'(', number @ ..] => Some(Bound::Excluded(bound_number(number)?)),
        _ => Some(Bound::Included(bound_number(text)?)),
    }
}

/// A number as C's `strtod` reads it, which Redis uses here without more checks: blanks before it
/// and no digits at all are allowed, and numbers that are too large are infinite.
fn bound_number(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let text = text.trim_ascii_start();
    let plain = |&byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let any = || std::str::from_utf8(text).ok()?.parse().ok();
    parse_f64(text).or_else(|| if text.iter().all(plain) { any() } else { None })
}

/// `[name`, `(name`, or `-` and `+` for the ends.
fn lex<'a>(low: &'a [u8], high: &'a [u8]) -> Option<Selection<'a>> {
    let bound = |text: &'a [u8]| match text {
        [b'(', name @ ..] => Some(Bound::Excluded(name)),
        [b'[', name @ ..] => Some(Bound::Included(name)),
        b"-" | b"+" => Some(Bound::Unbounded),
        _ => None,
    };
    let range = Range::Lex(bound(low)?, bound(high)?);
    let is_nothing = low == b"+" || high == b"-";
    Some(if is_nothing { Selection::Nothing } else { Selection::Range(range) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_cut_to_the_set() {
        let cases = [
            ((0, -1, 5), 0..5),
            ((-3, -2, 5), 2..4),
            ((-100, 100, 5), 0..5),
            ((3, 2, 5), 0..0),
            ((5, 9, 5), 0..0),
            ((0, -6, 5), 0..0),
            ((0, 0, 0), 0..0),
            ((i64::MIN, i64::MAX, 5), 0..5),
        ];
        for ((first, last, len), expected) in cases {
            assert_eq!(within(first, last, len), expected, "{first} {last} {len}");
        }
    }

    #[test]
    fn bounds_are_read_like_redis_does() {
        assert_eq!(score_bound(b"1.5"), Some(Bound::Included(1.5)));
        assert_eq!(score_bound(b"(-inf"), Some(Bound::Excluded(f64::NEG_INFINITY)));
        assert_eq!(score_bound(b"("), Some(Bound::Excluded(0.0)));
        assert_eq!(score_bound(b" 1"), Some(Bound::Included(1.0)));
        assert_eq!(score_bound(b"1e999"), Some(Bound::Included(f64::INFINITY)));
        for text in [&b"nan"[..], b"x", b"1x", b"((1", b" ", b"[1"] {
            assert_eq!(score_bound(text), None);
        }
        assert_eq!(lex(b"+", b"[a"), Some(Selection::Nothing));
        for (low, high) in [(&b"a"[..], &b"+"[..]), (b"-", b"+a"), (b"", b"+")] {
            assert_eq!(lex(low, high), None);
        }
    }
}
