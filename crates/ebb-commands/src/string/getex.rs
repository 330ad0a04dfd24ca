//! GETEX and GETDEL: a value, and what becomes of its key.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

use crate::deadline::{self, Unit};

pub(super) static GETEX: CommandSpec = CommandSpec {
    name: "getex",
    summary: "Returns the string at a key and changes when it expires.",
    since: "6.2.0",
    group: Group::String,
    complexity: "O(1)",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec {
        notes: "RW and UPDATE because it changes the TTL",
        ..KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))
    }],
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of(
            "expiration",
            &[
                deadline::OPTIONS[0],
                deadline::OPTIONS[1],
                deadline::OPTIONS[2],
                deadline::OPTIONS[3],
                Argument::word("persist", "PERSIST"),
            ],
        )
        .optional(),
    ],
    run: getex,
    ..CommandSpec::NEW
};

/// What GETEX does to the deadline.
enum Change<'a> {
    None,
    Persist,
    Set(Unit, &'a [u8]),
}

fn parse<'a>(ctx: &Context<'a>) -> Result<Change<'a>, CommandError> {
    let mut change = Change::None;
    let mut at = 2;
    while at < ctx.args.len() {
        let next = ctx.args.get(at + 1);
        let fresh = matches!(change, Change::None);
        if ctx.is_word(at, "PERSIST") && !matches!(change, Change::Set(..)) {
            change = Change::Persist;
        } else if let (Some(unit), true, Some(value)) = (Unit::of_word(ctx.arg(at)), fresh, next) {
            change = Change::Set(unit, value);
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    Ok(change)
}

fn getex(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let change = parse(ctx)?;
    ctx.reply_string(&key)?;
    if ctx.peek(&key).is_none() {
        return Ok(());
    }
    let deadline = match change {
        Change::Set(unit, text) => Some(deadline::positive(ctx, text, unit)?),
        Change::None | Change::Persist => None,
    };
    match (change, deadline) {
        (Change::Set(..), Some(at)) if at <= ctx.now_ms => {
            ctx.remove(&key);
            ctx.changed(&key, Event::generic("del"));
        }
        (Change::Set(..), at) => {
            ctx.db(&key).set_deadline(&key, at)?;
            ctx.changed(&key, Event::generic("expire"));
        }
        (Change::Persist, _) => {
            let had = ctx.peek(&key).is_some_and(|entry| entry.has_deadline());
            if had {
                ctx.db(&key).set_deadline(&key, None)?;
                ctx.changed(&key, Event::generic("persist"));
            }
        }
        (Change::None, _) => {}
    }
    Ok(())
}

pub(super) static GETDEL: CommandSpec = CommandSpec {
    name: "getdel",
    summary: "Returns the string at a key and deletes the key.",
    since: "6.2.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0)],
    run: getdel,
    ..CommandSpec::NEW
};

fn getdel(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    ctx.reply_string(&key)?;
    if ctx.remove(&key) {
        ctx.changed(&key, Event::generic("del"));
    }
    Ok(())
}
