//! How many elements are wanted at random.

use ebb_engine::{CommandError, Context};

/// A number of different elements, or below zero, of any.
pub(crate) fn signed(ctx: &Context<'_>, at: usize) -> Result<i64, CommandError> {
    match ctx.int(at)? {
        i64::MIN => Err(CommandError::new(format!(
            "ERR value is out of range, value must between {} and {}",
            -i64::MAX,
            i64::MAX
        ))),
        count => Ok(count),
    }
}

/// A number of elements.
pub(crate) fn positive(ctx: &Context<'_>, at: usize) -> Result<usize, CommandError> {
    usize::try_from(ctx.int(at).unwrap_or(-1))
        .map_err(|_| CommandError::new("ERR value is out of range, must be positive"))
}
