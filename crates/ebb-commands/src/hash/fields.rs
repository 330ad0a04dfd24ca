//! `FIELDS numfields field ...`, as the commands with field deadlines take it.

use std::ops::Range;

use ebb_engine::CommandError;
use ebb_types::number::parse_i64;

/// The positions of the fields, with the word FIELDS at `at`.
pub(super) fn parse(args: &[&[u8]], at: usize) -> Result<Range<usize>, CommandError> {
    parse_groups(args, at, 1)
}

/// The positions of groups of `size` arguments, with the word FIELDS at `at`.
pub(super) fn parse_groups(
    args: &[&[u8]],
    at: usize,
    size: usize,
) -> Result<Range<usize>, CommandError> {
    if !args.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"FIELDS")) {
        return Err(CommandError::new(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = args.get(at + 1).and_then(|text| parse_i64(text));
    let Some(count) = count.filter(|&count| count > 0 && count <= i64::from(i32::MAX)) else {
        return Err(CommandError::new("ERR Number of fields must be a positive integer"));
    };
    let (start, len) = (at + 2, count as usize * size);
    if start + len > args.len() {
        return Err(CommandError::new(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(start..start + len)
}
