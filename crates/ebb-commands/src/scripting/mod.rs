//! Scripts and functions.

use ebb_engine::{CommandError, CommandSpec, Context};

mod eval;
mod fcall;
mod function;
mod script;

/// The commands of this group.
pub const COMMANDS: &[&CommandSpec] = &[
    &eval::EVAL,
    &eval::EVAL_RO,
    &eval::EVALSHA,
    &eval::EVALSHA_RO,
    &fcall::FCALL,
    &fcall::FCALL_RO,
    &function::FUNCTION,
    &script::SCRIPT,
];

/// Some of a command's arguments.
type Words<'a> = &'a [&'a [u8]];

/// The keys and the arguments of a command whose third argument counts the keys.
fn keys_and_args<'a>(
    ctx: &Context<'a>,
    not_a_number: CommandError,
) -> Result<(Words<'a>, Words<'a>), CommandError> {
    let count = ctx.int(2).map_err(|_| not_a_number)?;
    let rest = &ctx.args[3..];
    if count > rest.len() as i64 {
        let text = "ERR Number of keys can't be greater than number of args";
        return Err(CommandError::new(text));
    }
    let count = usize::try_from(count)
        .map_err(|_| CommandError::new("ERR Number of keys can't be negative"))?;
    Ok(rest.split_at(count))
}
