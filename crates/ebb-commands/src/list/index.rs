//! LINDEX, LSET, LINSERT, LREM: elements within a list.

use std::borrow::Cow;

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

pub(super) static LINDEX: CommandSpec = CommandSpec {
    name: "lindex",
    summary: "Returns an element of a list by its index.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) for N elements between it and the nearer end.",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), Argument::integer("index")],
    run: lindex,
    ..CommandSpec::NEW
};
pub(super) static LSET: CommandSpec = CommandSpec {
    name: "lset",
    summary: "Sets an element of a list by its index.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) for N elements between it and the nearer end.",
    arity: 4,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[Argument::key("key", 0), Argument::integer("index"), Argument::string("element")],
    run: lset,
    ..CommandSpec::NEW
};
pub(super) static LINSERT: CommandSpec = CommandSpec {
    name: "linsert",
    summary: "Inserts an element before or after another.",
    since: "2.2.0",
    group: Group::List,
    complexity: "O(N) for N elements before the other.",
    arity: 5,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of(
            "where",
            &[Argument::word("before", "BEFORE"), Argument::word("after", "AFTER")],
        ),
        Argument::string("pivot"),
        Argument::string("element"),
    ],
    run: linsert,
    ..CommandSpec::NEW
};
pub(super) static LREM: CommandSpec = CommandSpec {
    name: "lrem",
    summary: "Removes elements that are equal to another.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::integer("count"), Argument::string("element")],
    run: lrem,
    ..CommandSpec::NEW
};

/// The place of an index that may count from the end.
fn resolve(index: i64, len: usize) -> Option<usize> {
    let len = len as i64;
    let index = if index < 0 { index.checked_add(len)? } else { index };
    (0..len).contains(&index).then_some(index as usize)
}

fn lindex(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    if ctx.read_list(&key)?.is_none() {
        ctx.reply.null();
        return Ok(());
    }
    let index = ctx.int(2)?;
    let Some(list) = ctx.peek(&key).and_then(|entry| entry.list()) else { return Ok(()) };
    let item = resolve(index, list.len()).and_then(|index| list.get(index));
    let item = item.map(Cow::into_owned);
    match item {
        Some(item) => ctx.reply.bulk(&item),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn lset(ctx: &mut Context<'_>) -> CommandResult {
    let (key, item) = (ctx.key(1), ctx.arg(3));
    let index = ctx.int(2);
    let Some(mut list) = ctx.edit_list(&key)?.0 else { return Err(CommandError::NoSuchKey) };
    let at = resolve(index?, list.as_ref().len()).ok_or(CommandError::IndexOutOfRange)?;
    list.set(at, item)?;
    list.into_slot().finish();
    ctx.changed(&key, Event::list("lset"));
    ctx.reply.ok();
    Ok(())
}

fn linsert(ctx: &mut Context<'_>) -> CommandResult {
    let (key, pivot, item) = (ctx.key(1), ctx.arg(3), ctx.arg(4));
    let after = match () {
        () if ctx.is_word(2, "AFTER") => true,
        () if ctx.is_word(2, "BEFORE") => false,
        () => return Err(CommandError::Syntax),
    };
    let Some(mut list) = ctx.edit_list(&key)?.0 else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let (mut at, mut found) = (0, false);
    list.as_ref().walk(0, |other| {
        found = other == pivot;
        at += usize::from(!found);
        !found
    });
    if !found {
        list.into_slot().finish();
        ctx.reply.integer(-1);
        return Ok(());
    }
    list.insert(if after { at + 1 } else { at }, item)?;
    let len = list.as_ref().len();
    list.into_slot().finish();
    ctx.changed(&key, Event::list("linsert"));
    ctx.reply.count(len);
    Ok(())
}

fn lrem(ctx: &mut Context<'_>) -> CommandResult {
    let (key, count, item) = (ctx.key(1), ctx.int(2)?, ctx.arg(3));
    let Some(mut list) = ctx.edit_list(&key)?.0 else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let wanted = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let len = list.as_ref().len();
    let mut places = Vec::new();
    let mut at = if count < 0 { len } else { 0 };
    let mut visit = |other: &[u8]| {
        at = if count < 0 { at - 1 } else { at };
        if other == item {
            places.push(at);
        }
        at = if count < 0 { at } else { at + 1 };
        places.len() < wanted
    };
    match count < 0 {
        true => list.as_ref().walk_back(len, &mut visit),
        false => list.as_ref().walk(0, &mut visit),
    }
    places.sort_unstable();
    // From the end, so that the places before stay where they are; neighbours go together.
    let mut rest = places.as_slice();
    while let Some(&last) = rest.last() {
        let run = rest.iter().rev().enumerate().take_while(|&(i, &place)| place + i == last);
        let run = run.count();
        list.remove(last + 1 - run..last + 1)?;
        rest = &rest[..rest.len() - run];
    }
    let gone = list.into_slot().finish();
    if !places.is_empty() {
        ctx.changed_many(&key, Event::list("lrem"), places.len() as u64);
        ctx.gone_if(&key, gone);
    }
    ctx.reply.count(places.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn elements_are_found_and_replaced() {
        let mut client = Client::new();
        client.say("RPUSH l a b c");
        assert_eq!(client.say("LINDEX l -1"), "$1\r\nc\r\n");
        assert_eq!(client.say("LINDEX l 3"), "$-1\r\n");
        assert_eq!(client.say("LINDEX l x"), "-ERR value is not an integer or out of range\r\n");
        assert_eq!(client.say("LSET l 1 B"), "+OK\r\n");
        assert_eq!(client.say("LSET l 9 B"), "-ERR index out of range\r\n");
        assert_eq!(client.say("LSET nothing 9 B"), "-ERR no such key\r\n");
        assert_eq!(client.say("LINSERT l BEFORE B x"), ":4\r\n");
        assert_eq!(client.say("LINSERT l AFTER c y"), ":5\r\n");
        assert_eq!(client.say("LINSERT l AFTER nothing y"), ":-1\r\n");
        assert_eq!(client.say("LINSERT nothing AFTER c y"), ":0\r\n");
        assert_eq!(client.say("LINSERT l AT c y"), "-ERR syntax error\r\n");
        assert_eq!(
            client.say("LRANGE l 0 -1"),
            "*5\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\nB\r\n$1\r\nc\r\n$1\r\ny\r\n"
        );
    }

    #[test]
    fn equal_elements_are_removed() {
        let mut client = Client::new();
        client.say("RPUSH l a b a a c a");
        assert_eq!(client.say("LREM l 1 a"), ":1\r\n");
        assert_eq!(client.say("LREM l -1 a"), ":1\r\n");
        assert_eq!(
            client.say("LRANGE l 0 -1"),
            "*4\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\na\r\n$1\r\nc\r\n"
        );
        assert_eq!(client.say("LREM l 0 a"), ":2\r\n");
        assert_eq!(client.say("LREM l 0 b"), ":1\r\n");
        assert_eq!(client.say("LREM l 0 c"), ":1\r\n");
        assert_eq!(client.say("EXISTS l"), ":0\r\n");
    }

    #[test]
    fn compressed_lists_take_less_and_read_the_same() {
        let usage = |client: &mut Client| -> usize {
            client.say("MEMORY USAGE l")[1..].trim_end().parse().unwrap()
        };
        let mut plain = Client::new();
        let mut packed = Client::with_config(&[("list-compress-depth", "1")]);
        for client in [&mut plain, &mut packed] {
            for n in 0..2000 {
                client.run(&["RPUSH", "l", &format!("{n}:{}", "abc".repeat(40))]);
            }
        }
        assert!(usage(&mut packed) < usage(&mut plain) / 4);
        let both = |line: &str| {
            let (one, other) = (plain.say(line), packed.say(line));
            assert_eq!(one, other, "{line}");
        };
        let lines = [
            "LINDEX l 1000",
            "LSET l 900 x",
            "LINSERT l AFTER x y",
            "LPOS l y",
            "LREM l -1 x",
            "LTRIM l 100 1500",
            "RPOP l 400",
            "LPOP l 300",
            "LRANGE l 0 -1",
            "OBJECT ENCODING l",
            "SORT l ALPHA LIMIT 3 5",
        ];
        lines.into_iter().for_each(both);
        let before = usage(&mut packed);
        packed.say("CONFIG SET list-compress-depth 0");
        packed.say("COPY l m");
        for client in [&mut plain, &mut packed] {
            assert!(client.say("LPOP l 350").starts_with("*350"));
        }
        assert_eq!(plain.say("LRANGE l 0 -1"), packed.say("LRANGE l 0 -1"));
        assert!(usage(&mut packed) < before);
    }
}
