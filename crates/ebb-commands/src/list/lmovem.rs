//! LMOVEM, BLMOVEM: several elements from one list to another.

use ebb_collections::End;
use ebb_engine::blocking::Wait;
use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
    KeyFlags, KeySpec,
};
use ebb_keyspace::Type;

use super::ends::{pop_event, push_event};
use super::lmove::end_of;
use crate::deadline::timeout;
use crate::numkeys::at_least;

const FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM);
const KEYS: &[KeySpec] = &[
    KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
    KeySpec::one(2, KeyFlags::RW.and(KeyFlags::INSERT)),
];
const ENDS: &[Argument] = &[Argument::word("left", "LEFT"), Argument::word("right", "RIGHT")];
const HOW_MANY: Argument = Argument::block(
    "how-many",
    &[
        Argument::one_of(
            "selector",
            &[
                Argument::integer("count").after("COUNT"),
                Argument::integer("exactly").after("EXACTLY"),
            ],
        ),
        Argument::one_of(
            "ordering",
            &[Argument::word("obo", "OBO"), Argument::word("bulk", "BULK")],
        ),
    ],
)
.optional();

pub(super) static LMOVEM: CommandSpec = CommandSpec {
    name: "lmovem",
    summary: "Moves elements from an end of a list to an end of another.",
    since: "8.10.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -5,
    flags: FLAGS,
    keys: KEYS,
    arguments: &[
        Argument::key("source", 0),
        Argument::key("destination", 1),
        Argument::one_of("wherefrom", ENDS),
        Argument::one_of("whereto", ENDS),
        HOW_MANY,
    ],
    run: lmovem,
    ..CommandSpec::NEW
};
pub(super) static BLMOVEM: CommandSpec = CommandSpec {
    name: "blmovem",
    summary: "Moves elements from an end of a list to an end of another; waits for them.",
    since: "8.10.0",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -6,
    flags: FLAGS.and(Flags::BLOCKING),
    keys: KEYS,
    arguments: &[
        Argument::key("source", 0),
        Argument::key("destination", 1),
        Argument::one_of("wherefrom", ENDS),
        Argument::one_of("whereto", ENDS),
        Argument::new("timeout", ArgumentKind::Double),
        HOW_MANY,
    ],
    run: blmovem,
    ..CommandSpec::NEW
};

/// What is to be moved.
struct Move {
    from: End,
    to: End,
    count: usize,
    /// That many or none.
    exactly: bool,
    /// One after the other, or all at once in the order in which they lie.
    one_by_one: bool,
}

fn parse(ctx: &Context<'_>, options: usize) -> Result<Move, CommandError> {
    let (from, to) = (end_of(ctx, 3)?, end_of(ctx, 4)?);
    let mut parsed = Move { from, to, count: 1, exactly: false, one_by_one: true };
    if ctx.args.len() == options {
        return Ok(parsed);
    }
    if ctx.args.len() != options + 3 {
        return Err(CommandError::Syntax);
    }
    parsed.exactly = ctx.is_word(options, "EXACTLY");
    parsed.one_by_one = ctx.is_word(options + 2, "OBO");
    let is_selector = parsed.exactly || ctx.is_word(options, "COUNT");
    let is_ordering = parsed.one_by_one || ctx.is_word(options + 2, "BULK");
    if !is_selector || !is_ordering {
        return Err(CommandError::Syntax);
    }
    parsed.count = at_least(ctx, options + 1, 1, "ERR count should be greater than 0")?;
    Ok(parsed)
}

/// The elements that go, in the order in which they will lie; `None` if there are too few.
fn arrange(ctx: &mut Context<'_>, what: &Move) -> Result<Option<Vec<Vec<u8>>>, CommandError> {
    let source = ctx.key(1);
    let Some(list) = ctx.read_to_write(&source) else { return Ok(None) };
    let list = list.list().ok_or(CommandError::WrongType)?;
    if what.exactly && list.len() < what.count {
        return Ok(None);
    }
    let count = what.count.min(list.len());
    let mut items = Vec::with_capacity(count);
    let first = if what.from == End::Left { 0 } else { list.len() - count };
    list.walk(first, |item| {
        items.push(item.to_vec());
        items.len() < count
    });
    // One by one, each gets before the last one at the head, and behind it at the tail.
    if what.one_by_one && what.from == what.to {
        items.reverse();
    }
    Ok(Some(items))
}

/// Moves elements between the lists of arguments 1 and 2 and answers them; false if there are
/// too few.
fn move_several(ctx: &mut Context<'_>, what: &Move) -> Result<bool, CommandError> {
    let Some(items) = arrange(ctx, what)? else { return Ok(false) };
    let (source, target) = (ctx.key(1), ctx.key(2));
    let pushed: Vec<&[u8]> = match what.to {
        End::Left => items.iter().rev().map(Vec::as_slice).collect(),
        End::Right => items.iter().map(Vec::as_slice).collect(),
    };
    let mut gone = false;
    if source.bytes() == target.bytes() {
        let Some(mut list) = ctx.edit_list(&source)?.0 else { return Ok(false) };
        for _ in &pushed {
            list.pop(what.from, |_| ())?;
        }
        for item in &pushed {
            list.push(what.to, item)?;
        }
        list.into_slot().finish();
        ctx.changed(&source, pop_event(what.from));
        ctx.notify(&source, push_event(what.to));
    } else {
        // Into the target first: if there is no memory for it, nothing is lost.
        let mut list = ctx.open_list(&target)?;
        for (number, item) in pushed.iter().enumerate() {
            if let Err(error) = list.push(what.to, item) {
                for _ in 0..number {
                    list.pop(what.to, |_| ())?;
                }
                list.into_slot().finish();
                return Err(error.into());
            }
        }
        list.into_slot().finish();
        if let Some(mut list) = ctx.edit_list(&source)?.0 {
            for _ in &pushed {
                list.pop(what.from, |_| ())?;
            }
            gone = list.into_slot().finish();
        }
        ctx.changed(&target, push_event(what.to));
        ctx.changed(&source, pop_event(what.from));
        ctx.gone_if(&source, gone);
    }
    ctx.reply.array(items.len());
    items.iter().for_each(|item| ctx.reply.bulk(item));
    Ok(true)
}

fn lmovem(ctx: &mut Context<'_>) -> CommandResult {
    let what = parse(ctx, 5)?;
    if !move_several(ctx, &what)? {
        match what.exactly {
            true => ctx.reply.null_array(),
            false => ctx.reply.array(0),
        }
    }
    Ok(())
}

fn blmovem(ctx: &mut Context<'_>) -> CommandResult {
    let deadline_ms = timeout(ctx, 5)?;
    let what = parse(ctx, 6)?;
    if !move_several(ctx, &what)? {
        let on_timeout = |reply: &mut ebb_engine::Reply| reply.null_array();
        ctx.block(Wait {
            keys: 1..2,
            kind: Some(Type::List),
            deadline_ms,
            on_timeout,
            args: None,
            again_ms: None,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn array(items: &str) -> String {
        let items: Vec<&str> = items.split_whitespace().collect();
        let body: String =
            items.iter().map(|item| format!("${}\r\n{item}\r\n", item.len())).collect();
        format!("*{}\r\n{body}", items.len())
    }

    #[test]
    fn elements_move_in_both_orders() {
        for (ends, order, moved, source, target) in [
            ("LEFT LEFT", "OBO", "2 1", "3 4", "2 1 x"),
            ("LEFT LEFT", "BULK", "1 2", "3 4", "1 2 x"),
            ("LEFT RIGHT", "OBO", "1 2", "3 4", "x 1 2"),
            ("LEFT RIGHT", "BULK", "1 2", "3 4", "x 1 2"),
            ("RIGHT LEFT", "OBO", "3 4", "1 2", "3 4 x"),
            ("RIGHT LEFT", "BULK", "3 4", "1 2", "3 4 x"),
            ("RIGHT RIGHT", "OBO", "4 3", "1 2", "x 4 3"),
            ("RIGHT RIGHT", "BULK", "3 4", "1 2", "x 3 4"),
        ] {
            let mut client = Client::new();
            client.say("RPUSH a 1 2 3 4");
            client.say("RPUSH b x");
            let line = format!("LMOVEM a b {ends} COUNT 2 {order}");
            assert_eq!(client.say(&line), array(moved), "{line}");
            assert_eq!(client.say("LRANGE a 0 -1"), array(source), "{line}");
            assert_eq!(client.say("LRANGE b 0 -1"), array(target), "{line}");
        }
    }

    #[test]
    fn a_list_moves_within_itself() {
        let mut client = Client::new();
        client.say("RPUSH a 1 2 3");
        assert_eq!(client.say("LMOVEM a a LEFT LEFT EXACTLY 2 OBO"), array("2 1"));
        assert_eq!(client.say("LRANGE a 0 -1"), array("2 1 3"));
        assert_eq!(client.say("LMOVEM a a LEFT LEFT COUNT 9 BULK"), array("2 1 3"));
        assert_eq!(client.say("LRANGE a 0 -1"), array("2 1 3"));
        assert_eq!(client.say("LMOVEM a a LEFT RIGHT"), array("2"));
        assert_eq!(client.say("LRANGE a 0 -1"), array("1 3 2"));
    }

    #[test]
    fn too_few_elements_stay() {
        let mut client = Client::new();
        client.say("RPUSH a 1 2");
        client.say("SET s x");
        assert_eq!(client.say("LMOVEM a b LEFT LEFT EXACTLY 3 BULK"), "*-1\r\n");
        assert_eq!(client.say("LMOVEM nothing b LEFT LEFT"), "*0\r\n");
        assert!(client.say("LMOVEM a s LEFT LEFT").starts_with("-WRONGTYPE"));
        assert!(client.say("LMOVEM s b LEFT LEFT").starts_with("-WRONGTYPE"));
        assert_eq!(client.say("LLEN a"), ":2\r\n");
        assert_eq!(client.say("LMOVEM a b LEFT LEFT COUNT 3 BULK"), array("1 2"));
        assert_eq!(client.say("EXISTS a"), ":0\r\n");
        for line in [
            "LMOVEM a b LEFT",
            "LMOVEM a b LEFT UP",
            "LMOVEM a b LEFT LEFT COUNT 2",
            "LMOVEM a b LEFT LEFT COUNT 2 ALL",
            "LMOVEM a b LEFT LEFT ALL 2 OBO",
        ] {
            assert!(client.say(line).starts_with("-ERR"), "{line}");
        }
        assert!(client.say("LMOVEM a b LEFT LEFT COUNT 0 OBO").contains("greater than 0"));
    }

    #[test]
    fn who_waits_for_several_gets_them_together() {
        let mut client = Client::new();
        let mut writer = client.another();
        assert_eq!(client.say("BLMOVEM a b LEFT RIGHT 0 EXACTLY 3 BULK"), "");
        writer.say("RPUSH a 1 2");
        assert_eq!(client.mail(), "");
        writer.say("RPUSH a 3 4");
        assert_eq!(client.mail(), array("1 2 3"));
        assert_eq!(writer.say("LRANGE a 0 -1"), array("4"));
        assert_eq!(writer.say("BLMOVEM a b LEFT RIGHT 0 COUNT 5 OBO"), array("4"));
        writer.say("MULTI");
        writer.say("BLMOVEM a b LEFT RIGHT 0");
        assert_eq!(writer.say("EXEC"), "*1\r\n*-1\r\n");
    }
}
