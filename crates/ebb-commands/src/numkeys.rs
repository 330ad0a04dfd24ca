//! `numkeys key [key ...]`, and the option LIMIT of the commands that only count.

use std::ops::Range;

use ebb_engine::{CommandError, Context};
use ebb_types::number::parse_i64;

/// An integer of at least `min`; everything else is refused with one text.
pub(crate) fn at_least(
    ctx: &Context<'_>,
    at: usize,
    min: i64,
    error: &'static str,
) -> Result<usize, CommandError> {
    let number = parse_i64(ctx.arg(at)).filter(|&number| number >= min);
    number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| CommandError::new(error))
}

/// The positions of the keys after the number at `at`.
pub(crate) fn counted_keys(
    ctx: &Context<'_>,
    at: usize,
    too_many: CommandError,
) -> Result<Range<usize>, CommandError> {
    let number = at_least(ctx, at, 1, "ERR numkeys should be greater than 0")?;
    let room = ctx.args.len() - at - 1;
    if number > room { Err(too_many) } else { Ok(at + 1..at + 1 + number) }
}

/// The end of a count from `[LIMIT n]`, which is all that may stand from `at` on. 0 is no limit.
pub(crate) fn limit(ctx: &Context<'_>, mut at: usize) -> Result<usize, CommandError> {
    let mut limit = 0;
    while at < ctx.args.len() {
        if !ctx.is_word(at, "LIMIT") || at + 1 == ctx.args.len() {
            return Err(CommandError::Syntax);
        }
        limit = at_least(ctx, at + 1, 0, "ERR LIMIT can't be negative")?;
        at += 2;
    }
    Ok(if limit == 0 { usize::MAX } else { limit })
}
