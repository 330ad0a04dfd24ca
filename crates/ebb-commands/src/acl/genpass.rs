//! ACL GENPASS: a password that nobody can guess.

use ebb_engine::acl::generate;
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};

const BITS: usize = 256;
const BITS_MAX: i64 = 4096;

pub(super) const GENPASS: CommandSpec = CommandSpec {
    name: "genpass",
    summary: "Makes up a password.",
    since: "6.0.0",
    group: Group::Server,
    arity: -2,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::integer("bits").optional()],
    run: genpass,
    ..CommandSpec::NEW
};

fn genpass(ctx: &mut Context<'_>) -> CommandResult {
    let bits = match ctx.args {
        [_, _] => BITS,
        [_, _, _] => match ctx.int(2)? {
            bits @ 1..=BITS_MAX => bits as usize,
            _ => {
                return Err(CommandError::new(
                    "ERR ACL GENPASS argument must be the number of bits for the output password, \
                     a positive number up to 4096",
                ));
            }
        },
        _ => return Err(super::wrong_arguments(ctx)),
    };
    ctx.reply.bulk(generate(bits).as_bytes());
    Ok(())
}
