//! LRANGE, LTRIM: parts of a list.

use ebb_engine::{
    Argument, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags, KeySpec,
};

pub(super) static LRANGE: CommandSpec = CommandSpec {
    name: "lrange",
    summary: "Returns a range of elements.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(S+N) for the distance S of the range from the nearer end and N elements in it.",
    arity: 4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), Argument::integer("start"), Argument::integer("stop")],
    run: lrange,
    ..CommandSpec::NEW
};
pub(super) static LTRIM: CommandSpec = CommandSpec {
    name: "ltrim",
    summary: "Removes all elements outside of a range.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) for N elements that go.",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::integer("start"), Argument::integer("stop")],
    run: ltrim,
    ..CommandSpec::NEW
};

/// The elements from `start` to `stop`, both of which may count from the end.
pub(crate) fn resolve(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let start = from_end(start).max(0);
    let end = from_end(stop).min(len - 1) + 1;
    if start >= end { 0..0 } else { start as usize..end as usize }
}

fn lrange(ctx: &mut Context<'_>) -> CommandResult {
    let (key, start, stop) = (ctx.key(1), ctx.int(2)?, ctx.int(3)?);
    let (list, reply) = ctx.read_list_and_reply(&key)?;
    let Some(list) = list else {
        reply.array(0);
        return Ok(());
    };
    let range = resolve(start, stop, list.len());
    reply.array(range.len());
    let mut left = range.len();
    if left > 0 {
        list.walk(range.start, |item| {
            reply.bulk(item);
            left -= 1;
            left > 0
        });
    }
    Ok(())
}

fn ltrim(ctx: &mut Context<'_>) -> CommandResult {
    let (key, start, stop) = (ctx.key(1), ctx.int(2)?, ctx.int(3)?);
    let Some(mut list) = ctx.edit_list(&key)?.0 else {
        ctx.reply.ok();
        return Ok(());
    };
    let len = list.as_ref().len();
    let kept = resolve(start, stop, len);
    list.remove(kept.end..len)?;
    list.remove(0..kept.start)?;
    let gone = list.into_slot().finish();
    ctx.changed_many(&key, Event::list("ltrim"), (len - kept.len()) as u64);
    ctx.gone_if(&key, gone);
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn ranges_are_cut_to_the_list() {
        let mut client = Client::new();
        client.say("RPUSH l a b c d");
        assert_eq!(client.say("LRANGE l 1 2"), "*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
        assert_eq!(client.say("LRANGE l -2 100"), "*2\r\n$1\r\nc\r\n$1\r\nd\r\n");
        assert_eq!(client.say("LRANGE l 3 1"), "*0\r\n");
        assert_eq!(client.say("LRANGE l -9223372036854775808 -100"), "*0\r\n");
        assert_eq!(client.say("LTRIM l 1 -2"), "+OK\r\n");
        assert_eq!(client.say("LRANGE l 0 -1"), "*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
        assert_eq!(client.say("LTRIM l 5 6"), "+OK\r\n");
        assert_eq!(client.say("EXISTS l"), ":0\r\n");
    }
}
