//! LMOVE, RPOPLPUSH: an element from one list to another.

use ebb_collections::End;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};

use super::ends::{pop_event, push_event};

pub(super) static LMOVE: CommandSpec = CommandSpec {
    name: "lmove",
    summary: "Moves an element from an end of a list to an end of another.",
    since: "6.2.0",
    group: Group::List,
    arity: 5,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::RW.and(KeyFlags::INSERT)),
    ],
    arguments: &[
        Argument::key("source", 0),
        Argument::key("destination", 1),
        Argument::one_of(
            "wherefrom",
            &[Argument::word("left", "LEFT"), Argument::word("right", "RIGHT")],
        ),
        Argument::one_of(
            "whereto",
            &[Argument::word("left", "LEFT"), Argument::word("right", "RIGHT")],
        ),
    ],
    run: lmove,
    ..CommandSpec::NEW
};
pub(super) static RPOPLPUSH: CommandSpec = CommandSpec {
    name: "rpoplpush",
    summary: "Moves the last element of a list to the head of another.",
    since: "1.2.0",
    group: Group::List,
    arity: 3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::RW.and(KeyFlags::INSERT)),
    ],
    arguments: &[Argument::key("source", 0), Argument::key("destination", 1)],
    deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
    run: rpoplpush,
    ..CommandSpec::NEW
};

/// The end that an argument names.
pub(super) fn end_of(ctx: &Context<'_>, at: usize) -> Result<End, CommandError> {
    match () {
        () if ctx.is_word(at, "LEFT") => Ok(End::Left),
        () if ctx.is_word(at, "RIGHT") => Ok(End::Right),
        () => Err(CommandError::Syntax),
    }
}

/// Moves an element between the lists of arguments 1 and 2 and answers it; false if the first
/// is not there.
pub(super) fn move_one(ctx: &mut Context<'_>, from: End, to: End) -> Result<bool, CommandError> {
    let (source, target) = (ctx.key(1), ctx.key(2));
    let list = ctx.read_to_write(&source);
    let Some(list) = list else { return Ok(false) };
    let list = list.list().ok_or(CommandError::WrongType)?;
    let Some(item) = list.peek(from).map(<[u8]>::to_vec) else { return Ok(false) };
    if source.bytes() == target.bytes() {
        let Some(mut list) = ctx.edit_list(&source)?.0 else { return Ok(false) };
        list.pop(from, |_| ())?;
        list.push(to, &item)?;
        list.into_slot().finish();
        ctx.changed(&source, push_event(to));
        ctx.notify(&source, pop_event(from));
        ctx.reply.bulk(&item);
        return Ok(true);
    }
    // Into the target first: if there is no memory for it, nothing is lost.
    let mut list = ctx.open_list(&target)?;
    list.push(to, &item)?;
    list.into_slot().finish();
    let mut gone = false;
    if let Some(mut list) = ctx.edit_list(&source)?.0 {
        list.pop(from, |_| ())?;
        gone = list.into_slot().finish();
    }
    ctx.changed(&target, push_event(to));
    ctx.changed_too(ctx.session.db, &source, pop_event(from));
    ctx.gone_if(&source, gone);
    ctx.reply.bulk(&item);
    Ok(true)
}

fn lmove(ctx: &mut Context<'_>) -> CommandResult {
    let (from, to) = (end_of(ctx, 3)?, end_of(ctx, 4)?);
    if !move_one(ctx, from, to)? {
        ctx.reply.null();
    }
    Ok(())
}

fn rpoplpush(ctx: &mut Context<'_>) -> CommandResult {
    if !move_one(ctx, End::Right, End::Left)? {
        ctx.reply.null();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn elements_move() {
        let mut client = Client::new();
        client.say("RPUSH a 1 2 3");
        assert_eq!(client.say("LMOVE a b LEFT RIGHT"), "$1\r\n1\r\n");
        assert_eq!(client.say("RPOPLPUSH a b"), "$1\r\n3\r\n");
        assert_eq!(client.say("LRANGE b 0 -1"), "*2\r\n$1\r\n3\r\n$1\r\n1\r\n");
        assert_eq!(client.say("LMOVE b b LEFT RIGHT"), "$1\r\n3\r\n");
        assert_eq!(client.say("LRANGE b 0 -1"), "*2\r\n$1\r\n1\r\n$1\r\n3\r\n");
        assert_eq!(client.say("LMOVE a b RIGHT LEFT"), "$1\r\n2\r\n");
        assert_eq!(client.say("EXISTS a"), ":0\r\n");
        assert_eq!(client.say("LMOVE a b RIGHT LEFT"), "$-1\r\n");
        assert_eq!(client.say("LMOVE a b UP LEFT"), "-ERR syntax error\r\n");
        client.say("SET s x");
        assert!(client.say("LMOVE b s LEFT LEFT").starts_with("-WRONGTYPE"));
        assert_eq!(client.say("LLEN b"), ":3\r\n");
    }
}
