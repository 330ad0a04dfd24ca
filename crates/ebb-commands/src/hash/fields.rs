//! `FIELDS numfields field ...`, as the commands with field deadlines take it.

use std::ops::Range;

use ebb_engine::{CommandError, Context};
use ebb_types::number::parse_i64;

use crate::deadline::Unit;

/// What is said of a number of fields that is none, which depends on the command.
pub(super) const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";
pub(super) const NOT_ABOVE_0: &str = "ERR Parameter `numFields` should be greater than 0";

/// The positions of the fields, which are all that follows the word FIELDS at `at` and their number.
pub(super) fn parse(
    args: &[&[u8]],
    at: usize,
    not_positive: &'static str,
) -> Result<Range<usize>, CommandError> {
    if !args.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"FIELDS")) {
        return Err(CommandError::new(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = args.get(at + 1).and_then(|text| parse_i64(text)).filter(|&count| count > 0);
    let count = count.ok_or(CommandError::new(not_positive))?;
    let names = at + 2..args.len();
    if count != names.len() as i64 {
        return Err(CommandError::new(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(names)
}

/// The deadline that an argument says: fields can have those of 46 bits, as in Redis. One that is over is taken.
pub(super) fn deadline(ctx: &Context<'_>, text: &[u8], unit: Unit) -> Result<i64, CommandError> {
    let value = parse_i64(text).ok_or(CommandError::NotInteger)?;
    if value < 0 {
        return Err(CommandError::new("ERR invalid expire time, must be >= 0"));
    }
    let deadline = unit.to_unix_ms(value, ctx.now_ms).filter(|&at| at <= DEADLINE_MAX);
    let name = ctx.command.name;
    deadline
        .ok_or_else(|| CommandError::new(format!("ERR invalid expire time in '{name}' command")))
}

/// The greatest deadline of a field, in milliseconds since 1970.
const DEADLINE_MAX: i64 = (1 << 46) - 1;
