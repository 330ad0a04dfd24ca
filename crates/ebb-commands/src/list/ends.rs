//! LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP, LLEN: the ends of a list.

use ebb_collections::End;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_keyspace::Key;

pub(super) static LPUSH: CommandSpec = CommandSpec {
    name: "lpush",
    summary: "Adds elements at the head of a list.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[Argument::key("key", 0), Argument::string("element").multiple()],
    run: |ctx| push(ctx, End::Left, true),
    ..CommandSpec::NEW
};
pub(super) static RPUSH: CommandSpec = CommandSpec {
    name: "rpush",
    summary: "Adds elements at the tail of a list.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[Argument::key("key", 0), Argument::string("element").multiple()],
    run: |ctx| push(ctx, End::Right, true),
    ..CommandSpec::NEW
};
pub(super) static LPUSHX: CommandSpec = CommandSpec {
    name: "lpushx",
    summary: "Adds elements at the head of a list that exists.",
    since: "2.2.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[Argument::key("key", 0), Argument::string("element").multiple()],
    run: |ctx| push(ctx, End::Left, false),
    ..CommandSpec::NEW
};
pub(super) static RPUSHX: CommandSpec = CommandSpec {
    name: "rpushx",
    summary: "Adds elements at the tail of a list that exists.",
    since: "2.2.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[Argument::key("key", 0), Argument::string("element").multiple()],
    run: |ctx| push(ctx, End::Right, false),
    ..CommandSpec::NEW
};
pub(super) static LPOP: CommandSpec = CommandSpec {
    name: "lpop",
    summary: "Removes elements from the head of a list and returns them.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::integer("count").optional().since("6.2.0")],
    run: |ctx| pop(ctx, End::Left),
    ..CommandSpec::NEW
};
pub(super) static RPOP: CommandSpec = CommandSpec {
    name: "rpop",
    summary: "Removes elements from the tail of a list and returns them.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::integer("count").optional().since("6.2.0")],
    run: |ctx| pop(ctx, End::Right),
    ..CommandSpec::NEW
};
pub(super) static LLEN: CommandSpec = CommandSpec {
    name: "llen",
    summary: "Counts the elements of a list.",
    since: "1.0.0",
    group: Group::List,
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    run: llen,
    ..CommandSpec::NEW
};

/// The event of adding at an end.
pub(super) fn push_event(end: End) -> Event {
    Event::list(if end == End::Left { "lpush" } else { "rpush" })
}

/// The event of removing from an end.
pub(super) fn pop_event(end: End) -> Event {
    Event::list(if end == End::Left { "lpop" } else { "rpop" })
}

fn push(ctx: &mut Context<'_>, end: End, create: bool) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    if !create && ctx.read_to_write(&key).is_none() {
        ctx.reply.integer(0);
        return Ok(());
    }
    let mut list = ctx.open_list(&key)?;
    for item in &args[2..] {
        list.push(end, item)?;
    }
    let len = list.as_ref().len();
    list.into_slot().finish();
    ctx.changed_many(&key, push_event(end), args.len() as u64 - 2);
    ctx.reply.count(len);
    Ok(())
}

/// Removes up to `count` items from an end and answers them as an array, in the order in which
/// they go. Answers how many, and whether the list is gone.
pub(super) fn pop_array(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    end: End,
    count: usize,
) -> Result<usize, CommandError> {
    let (Some(mut list), reply) = ctx.edit_list(key)? else { return Ok(0) };
    let view = list.as_ref();
    let (len, taken) = (view.len(), count.min(view.len()));
    reply.array(taken);
    let mut left = taken;
    let mut visit = |item: &[u8]| {
        if left > 0 {
            reply.bulk(item);
            left -= 1;
        }
        left > 0
    };
    let range = match end {
        _ if taken == 0 => 0..0,
        End::Left => {
            view.walk(0, &mut visit);
            0..taken
        }
        End::Right => {
            view.walk_back(len, &mut visit);
            len - taken..len
        }
    };
    list.remove(range)?;
    let gone = list.into_slot().finish();
    if taken > 0 {
        ctx.changed_many(key, pop_event(end), taken as u64);
        ctx.gone_if(key, gone);
    }
    Ok(taken)
}

/// Removes the item at an end and answers it; false if there is no list.
pub(super) fn pop_one(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    end: End,
) -> Result<bool, CommandError> {
    let (Some(mut list), reply) = ctx.edit_list(key)? else { return Ok(false) };
    list.pop(end, |item| reply.bulk(item))?;
    let gone = list.into_slot().finish();
    ctx.changed(key, pop_event(end));
    ctx.gone_if(key, gone);
    Ok(true)
}

fn pop(ctx: &mut Context<'_>, end: End) -> CommandResult {
    let key = ctx.key(1);
    if ctx.args.len() > 3 {
        return Err(CommandError::WrongArity(ctx.command.name.into()));
    }
    if ctx.args.len() == 2 {
        if !pop_one(ctx, &key, end)? {
            ctx.reply.null();
        }
        return Ok(());
    }
    let count = ctx.int(2).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CommandError::new("ERR value is out of range, must be positive"))?;
    if ctx.read_list(&key)?.is_none() {
        ctx.reply.null_array();
        return Ok(());
    }
    pop_array(ctx, &key, end, count)?;
    Ok(())
}

fn llen(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let (list, reply) = ctx.read_list_and_reply(&key)?;
    reply.count(list.map_or(0, |list| list.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn both_ends_work() {
        let mut client = Client::new();
        assert_eq!(client.say("RPUSH l a b"), ":2\r\n");
        assert_eq!(client.say("LPUSH l c d"), ":4\r\n");
        assert_eq!(client.say("LPUSHX l e"), ":5\r\n");
        assert_eq!(client.say("RPUSHX nothing e"), ":0\r\n");
        assert_eq!(client.say("LPOP l"), "$1\r\ne\r\n");
        assert_eq!(client.say("RPOP l 2"), "*2\r\n$1\r\nb\r\n$1\r\na\r\n");
        assert_eq!(client.say("LPOP l 0"), "*0\r\n");
        assert_eq!(client.say("LLEN l"), ":2\r\n");
        assert_eq!(client.say("LPOP l 5"), "*2\r\n$1\r\nd\r\n$1\r\nc\r\n");
        assert_eq!(client.say("EXISTS l"), ":0\r\n");
        assert_eq!(client.say("LPOP l"), "$-1\r\n");
        assert_eq!(client.say("LPOP l 1"), "*-1\r\n");
        assert_eq!(client.say("LPOP l -1"), "-ERR value is out of range, must be positive\r\n");
        client.say("SET s 1");
        assert!(client.say("LPUSH s 1").starts_with("-WRONGTYPE"));
        assert!(client.say("LPOP s").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn an_item_that_would_not_fit_makes_a_quicklist() {
        let mut client = Client::new();
        let mut encoding = |lines: &[&[&str]]| {
            client.say("DEL l");
            lines.iter().for_each(|line| drop(client.run(line)));
            client.say("OBJECT ENCODING l").lines().nth(1).unwrap_or_default().to_owned()
        };
        let large = "x".repeat(8192);
        for limit in ["3", "-1"] {
            encoding(&[&["CONFIG", "SET", "list-max-listpack-size", limit]]);
            let full: &[&str] = &["RPUSH", "l", "a", "b", "c"];
            assert_eq!(encoding(&[full]), "listpack");
            assert_eq!(encoding(&[full, &["RPUSH", "l", &large]]), "quicklist");
            assert_eq!(encoding(&[full, &["LSET", "l", "0", &large]]), "quicklist");
            assert_eq!(encoding(&[full, &["LINSERT", "l", "AFTER", "b", &large]]), "quicklist");
            let again: &[&[&str]] =
                &[full, &["LSET", "l", "0", &large], &["RPOP", "l", "2"], &["LSET", "l", "0", "c"]];
            assert_eq!(encoding(again), "listpack");
        }
        assert_eq!(encoding(&[&["RPUSH", "l", &large]]), "quicklist");
        let shorter = &large[..4000];
        assert_eq!(encoding(&[&["RPUSH", "l", shorter]]), "listpack");
        let all_alone: &[&str] = &["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "1b"];
        assert_eq!(encoding(&[all_alone, &["RPUSH", "l", "9", "xx", "yy"]]), "listpack");
        encoding(&[&["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "0"]]);
    }

    #[test]
    fn a_long_list_keeps_its_order() {
        let mut client = Client::new();
        (0..5000).for_each(|n| drop(client.say(&format!("RPUSH l item{n}"))));
        assert_eq!(client.say("OBJECT ENCODING l"), "$9\r\nquicklist\r\n");
        for n in 0..2500 {
            let (first, last) = (format!("item{n}"), format!("item{}", 4999 - n));
            assert_eq!(client.say("LPOP l"), format!("${}\r\n{first}\r\n", first.len()));
            assert_eq!(client.say("RPOP l"), format!("${}\r\n{last}\r\n", last.len()));
        }
        assert_eq!(client.say("EXISTS l"), ":0\r\n");
    }
}
