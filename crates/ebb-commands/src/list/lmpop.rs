//! LMPOP: elements from the first of several lists that has any.

use ebb_collections::End;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};

use super::ends::pop_array;
use super::lmove::end_of;

pub(super) static LMPOP: CommandSpec = CommandSpec {
    name: "lmpop",
    summary: "Removes elements from the first list that has any and returns them.",
    since: "7.0.0",
    group: Group::List,
    complexity: "O(N+M) for N keys and M elements.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::one_of(
            "where",
            &[Argument::word("left", "LEFT"), Argument::word("right", "RIGHT")],
        ),
        Argument::integer("count").after("COUNT").optional(),
    ],
    run: lmpop,
    ..CommandSpec::NEW
};

/// What LMPOP and BLMPOP ask for.
pub(super) struct Options {
    /// Positions of the keys.
    pub(super) keys: std::ops::Range<usize>,
    pub(super) end: End,
    pub(super) count: usize,
}

/// Parses `numkeys key ... LEFT|RIGHT [COUNT count]` from `at` on.
pub(super) fn parse(ctx: &Context<'_>, at: usize) -> Result<Options, CommandError> {
    let numkeys = ctx.int(at).ok().filter(|count| (1..=i64::from(i32::MAX)).contains(count));
    let numkeys =
        numkeys.ok_or(CommandError::new("ERR numkeys should be greater than 0"))? as usize;
    let keys = at + 1..at + 1 + numkeys;
    if keys.end >= ctx.args.len() {
        return Err(CommandError::Syntax);
    }
    let end = end_of(ctx, keys.end)?;
    let count = match &ctx.args[keys.end + 1..] {
        [] => 1,
        [word, _, rest @ ..] if word.eq_ignore_ascii_case(b"COUNT") => {
            let count = ctx.int(keys.end + 2).ok().filter(|&count| count > 0);
            let count = count.ok_or(CommandError::new("ERR count should be greater than 0"))?;
            if !rest.is_empty() {
                return Err(CommandError::Syntax);
            }
            count as usize
        }
        _ => return Err(CommandError::Syntax),
    };
    Ok(Options { keys, end, count })
}

/// Answers key and elements of the first list that is there; false if none is.
pub(super) fn pop_first(ctx: &mut Context<'_>, options: &Options) -> Result<bool, CommandError> {
    for at in options.keys.clone() {
        let key = ctx.key(at);
        if ctx.edit_list(&key)?.0.is_some() {
            ctx.reply.array(2);
            ctx.reply.bulk(key.bytes());
            pop_array(ctx, &key, options.end, options.count)?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn lmpop(ctx: &mut Context<'_>) -> CommandResult {
    let options = parse(ctx, 1)?;
    if !pop_first(ctx, &options)? {
        ctx.reply.null_array();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn the_first_list_gives() {
        let mut client = Client::new();
        client.say("RPUSH b 1 2 3");
        assert_eq!(client.say("LMPOP 2 a b LEFT"), "*2\r\n$1\r\nb\r\n*1\r\n$1\r\n1\r\n");
        assert_eq!(
            client.say("LMPOP 2 a b RIGHT COUNT 9"),
            "*2\r\n$1\r\nb\r\n*2\r\n$1\r\n3\r\n$1\r\n2\r\n"
        );
        assert_eq!(client.say("LMPOP 2 a b LEFT"), "*-1\r\n");
        assert_eq!(client.say("LMPOP 0 a LEFT"), "-ERR numkeys should be greater than 0\r\n");
        assert_eq!(client.say("LMPOP 2 a LEFT"), "-ERR syntax error\r\n");
        let no_count = "-ERR count should be greater than 0\r\n";
        assert_eq!(client.say("LMPOP 1 a LEFT COUNT 0"), no_count);
        assert_eq!(client.say("LMPOP 1 a LEFT COUNT 0 more"), no_count);
        assert_eq!(client.say("LMPOP 1 a LEFT COUNT 1 more"), "-ERR syntax error\r\n");
    }
}
