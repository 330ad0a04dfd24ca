//! INCREX: adding to a number within bounds, and what becomes of its deadline.

use std::cmp::Ordering;

use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group,
    KeyFlags, KeySpec,
};
use ebb_keyspace::{Deadline, Key, StringValue};
use ebb_types::long_double::LongDouble;
use ebb_types::number::parse_i64;

use crate::deadline::{self, Unit};

pub(super) static SPEC: CommandSpec = CommandSpec {
    name: "increx",
    summary: "Adds to the number at a key within bounds, and changes when the key expires.",
    since: "8.8.0",
    group: Group::String,
    complexity: "O(1)",
    arity: -2,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of(
            "increment",
            &[
                Argument::new("float", ArgumentKind::Double).after("BYFLOAT"),
                Argument::integer("integer").after("BYINT"),
            ],
        )
        .optional(),
        Argument::word("saturate", "SATURATE").optional(),
        Argument::string("lowerbound").after("LBOUND").optional(),
        Argument::string("upperbound").after("UBOUND").optional(),
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
        Argument::word("enx", "ENX").optional(),
    ],
    run,
    ..CommandSpec::NEW
};

/// What becomes of the deadline.
#[derive(Clone, Copy)]
enum Expiration {
    Keep,
    Persist,
    /// Milliseconds since 1970.
    At(i64),
}

/// The options as they were written.
#[derive(Default)]
struct Words<'a> {
    by_int: Option<&'a [u8]>,
    by_float: Option<&'a [u8]>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    expires: Option<(Unit, &'a [u8])>,
    persist: bool,
    if_none: bool,
}

fn parse<'a>(ctx: &Context<'a>) -> Result<Words<'a>, CommandError> {
    let mut words = Words::default();
    let mut at = 2;
    while at < ctx.args.len() {
        let next = ctx.args.get(at + 1).copied();
        let place = match () {
            () if ctx.is_word(at, "BYINT") => Some(&mut words.by_int),
            () if ctx.is_word(at, "BYFLOAT") => Some(&mut words.by_float),
            () if ctx.is_word(at, "LBOUND") => Some(&mut words.lower),
            () if ctx.is_word(at, "UBOUND") => Some(&mut words.upper),
            () => None,
        };
        if let (Some(place), Some(value)) = (place, next) {
            if place.replace(value).is_some() {
                return Err(CommandError::Syntax);
            }
            at += 1;
        } else if let (Some(unit), None, Some(value)) =
            (Unit::of_word(ctx.arg(at)), words.expires, next)
        {
            words.expires = Some((unit, value));
            at += 1;
        } else if ctx.is_word(at, "SATURATE") {
            words.saturate = true;
        } else if ctx.is_word(at, "PERSIST") {
            words.persist = true;
        } else if ctx.is_word(at, "ENX") {
            words.if_none = true;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    let two_kinds = words.by_int.is_some() && words.by_float.is_some();
    if two_kinds || (words.persist && (words.expires.is_some() || words.if_none)) {
        return Err(CommandError::Syntax);
    }
    if words.if_none && words.expires.is_none() {
        return Err(CommandError::new("ERR ENX flag requires an expiration"));
    }
    Ok(words)
}

/// What the numbers of BYINT and BYFLOAT have in common.
trait Number: Copy {
    const MIN: Self;
    const MAX: Self;
    const ZERO: Self;
    /// What is wrong with a text that is no such number.
    const WRONG: &'static str;
    const OVERFLOW: &'static str;
    const EVENT: Event;

    fn parse(text: &[u8]) -> Option<Self>;
    fn is_finite(self) -> bool;
    fn add(self, other: Self) -> Option<Self>;
    fn subtract(self, other: Self) -> Option<Self>;
    fn order(self, other: Self) -> Ordering;
    fn store(self, ctx: &mut Context<'_>, key: &Key<'_>, deadline: Deadline) -> CommandResult;
    fn answer(self, ctx: &mut Context<'_>);
}

impl Number for i64 {
    const MIN: i64 = i64::MIN;
    const MAX: i64 = i64::MAX;
    const ZERO: i64 = 0;
    const WRONG: &'static str = "is not an integer or out of range";
    const OVERFLOW: &'static str = "ERR increment or decrement would overflow";
    const EVENT: Event = Event::string("incrby");

    fn parse(text: &[u8]) -> Option<i64> {
        parse_i64(text)
    }
    fn is_finite(self) -> bool {
        true
    }
    fn add(self, other: i64) -> Option<i64> {
        self.checked_add(other)
    }
    fn subtract(self, other: i64) -> Option<i64> {
        self.checked_sub(other)
    }
    fn order(self, other: i64) -> Ordering {
        self.cmp(&other)
    }
    fn store(self, ctx: &mut Context<'_>, key: &Key<'_>, deadline: Deadline) -> CommandResult {
        Ok(ctx.set_string(key, StringValue::Int(self), deadline)?)
    }
    fn answer(self, ctx: &mut Context<'_>) {
        ctx.reply.integer(self);
    }
}

impl Number for LongDouble {
    const MIN: LongDouble = LongDouble::MIN;
    const MAX: LongDouble = LongDouble::MAX;
    const ZERO: LongDouble = LongDouble::ZERO;
    const WRONG: &'static str = "is not a valid float";
    const OVERFLOW: &'static str = "ERR increment would produce NaN or Infinity";
    const EVENT: Event = Event::string("incrbyfloat");

    fn parse(text: &[u8]) -> Option<LongDouble> {
        LongDouble::parse(text)
    }
    fn is_finite(self) -> bool {
        LongDouble::is_finite(self)
    }
    fn add(self, other: LongDouble) -> Option<LongDouble> {
        self.checked_add(other)
    }
    fn subtract(self, other: LongDouble) -> Option<LongDouble> {
        self.checked_add(other.negated())
    }
    fn order(self, other: LongDouble) -> Ordering {
        self.compare(other)
    }
    fn store(self, ctx: &mut Context<'_>, key: &Key<'_>, deadline: Deadline) -> CommandResult {
        Ok(ctx.set_string(key, StringValue::Text(&self.to_text()), deadline)?)
    }
    fn answer(self, ctx: &mut Context<'_>) {
        let text = self.to_text();
        if ctx.reply.is_resp3() {
            ctx.reply.raw(&[b",", &text[..], b"\r\n"].concat());
        } else {
            ctx.reply.bulk(&text);
        }
    }
}

fn number<N: Number>(text: &[u8], what: &str) -> Result<N, CommandError> {
    N::parse(text).ok_or_else(|| CommandError::new(format!("ERR {what} {}", N::WRONG)))
}

fn overflow<N: Number>() -> CommandError {
    CommandError::new(N::OVERFLOW)
}

/// The bounds; an infinite one is none.
fn bounds<N: Number>(words: &Words<'_>) -> Result<(N, N), CommandError> {
    let bound = |text: Option<&[u8]>, what: &str, none: N| match text {
        Some(text) => number::<N>(text, what).map(|n| if n.is_finite() { n } else { none }),
        None => Ok(none),
    };
    let low = bound(words.lower, "LBOUND", N::MIN)?;
    let high = bound(words.upper, "UBOUND", N::MAX)?;
    if low.order(high) == Ordering::Greater {
        return Err(CommandError::new("ERR LBOUND can't be greater than UBOUND"));
    }
    Ok((low, high))
}

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let words = parse(ctx)?;
    match (words.by_float, words.by_int) {
        (Some(text), _) => increment(ctx, &words, number::<LongDouble>(text, "value")?),
        (None, Some(text)) => increment(ctx, &words, number::<i64>(text, "value")?),
        (None, None) => increment(ctx, &words, 1_i64),
    }
}

fn increment<N: Number>(ctx: &mut Context<'_>, words: &Words<'_>, change: N) -> CommandResult {
    if !change.is_finite() {
        return Err(overflow::<N>());
    }
    let (low, high) = bounds::<N>(words)?;
    let expiration = match words.expires {
        Some((unit, text)) => Expiration::At(deadline::positive(ctx, text, unit)?),
        None if words.persist => Expiration::Persist,
        None => Expiration::Keep,
    };
    let key = ctx.key(1);
    let old = match ctx.string_to_write(&key)? {
        None => N::ZERO,
        Some(value) => value.with_bytes(|bytes| number::<N>(bytes, "value"))?,
    };
    let sum = old.add(change);
    let rises = change.order(N::ZERO) == Ordering::Greater;
    let is_over = sum.map_or(rises, |sum| sum.order(high) == Ordering::Greater);
    let is_under = sum.map_or(!rises, |sum| sum.order(low) == Ordering::Less);
    let new = match sum {
        Some(sum) if !is_over && !is_under => sum,
        _ if !words.saturate => return answer(ctx, old, N::ZERO),
        _ if is_over => high,
        _ => low,
    };
    let applied = if sum.is_some() && !is_over && !is_under {
        change
    } else {
        new.subtract(old).ok_or_else(overflow::<N>)?
    };
    store(ctx, &key, new, expiration, words.if_none)?;
    answer(ctx, new, applied)
}

fn answer<N: Number>(ctx: &mut Context<'_>, new: N, applied: N) -> CommandResult {
    ctx.reply.array(2);
    new.answer(ctx);
    applied.answer(ctx);
    Ok(())
}

/// Stores the number. With `if_none`, a deadline is set only where there was none.
fn store<N: Number>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    new: N,
    expiration: Expiration,
    if_none: bool,
) -> CommandResult {
    let had_deadline = ctx.peek(key).is_some_and(|entry| entry.has_deadline());
    let (deadline, event) = match expiration {
        Expiration::At(_) if if_none && had_deadline => (Deadline::Keep, None),
        Expiration::At(at) if at <= ctx.now_ms => {
            if ctx.remove(key) {
                ctx.changed(key, Event::generic("del"));
            }
            return Ok(());
        }
        Expiration::At(at) => (Deadline::At(at), Some("expire")),
        Expiration::Persist => (Deadline::Clear, had_deadline.then_some("persist")),
        Expiration::Keep => (Deadline::Keep, None),
    };
    new.store(ctx, key, deadline)?;
    ctx.changed(key, N::EVENT);
    if let Some(name) = event {
        ctx.notify(key, Event::generic(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn ints(new: i64, applied: i64) -> String {
        format!("*2\r\n:{new}\r\n:{applied}\r\n")
    }

    fn floats(new: &str, applied: &str) -> String {
        format!("*2\r\n${}\r\n{new}\r\n${}\r\n{applied}\r\n", new.len(), applied.len())
    }

    #[test]
    fn integers_stay_within_bounds() {
        let mut client = Client::new();
        assert_eq!(client.say("INCREX n"), ints(1, 1));
        assert_eq!(client.say("INCREX n BYINT -10"), ints(-9, -10));
        assert_eq!(client.say("INCREX n BYINT 5 UBOUND -5"), ints(-9, 0));
        assert_eq!(client.say("INCREX n UBOUND -5 SATURATE BYINT 5"), ints(-5, 4));
        assert_eq!(client.say("INCREX n BYINT -5 LBOUND -6 SATURATE"), ints(-6, -1));
        assert_eq!(client.say("INCREX n BYINT 1 UBOUND -100 SATURATE"), ints(-100, -94));
        client.say("SET n 9223372036854775806");
        assert_eq!(client.say("INCREX n BYINT 5"), ints(i64::MAX - 1, 0));
        assert_eq!(client.say("INCREX n BYINT 5 SATURATE"), ints(i64::MAX, 1));
        let overflow = "-ERR increment or decrement would overflow\r\n";
        assert_eq!(client.say("INCREX n BYINT 1 UBOUND -5 SATURATE"), overflow);
        assert_eq!(client.say("INCREX new BYINT 10 UBOUND 5"), ints(0, 0));
        assert_eq!(client.say("EXISTS new"), ":0\r\n");
    }

    #[test]
    fn floats_stay_within_bounds() {
        let mut client = Client::new();
        client.say("SET f 5");
        assert_eq!(client.say("INCREX f BYFLOAT 2.5 UBOUND 7.4"), floats("5", "0"));
        assert_eq!(client.say("INCREX f BYFLOAT 2.5 UBOUND 7.4 SATURATE"), floats("7.4", "2.4"));
        assert_eq!(client.say("INCREX f BYFLOAT -0.9 LBOUND -inf"), floats("6.5", "-0.9"));
        assert_eq!(client.say("INCREX f"), "-ERR value is not an integer or out of range\r\n");
        let infinite = "-ERR increment would produce NaN or Infinity\r\n";
        assert_eq!(client.say("INCREX f BYFLOAT +inf"), infinite);
        client.say("HELLO 3");
        assert_eq!(client.say("INCREX f BYFLOAT 0.5"), "*2\r\n,7\r\n,0.5\r\n");
    }

    #[test]
    fn deadlines_change_as_asked() {
        let mut client = Client::new();
        assert_eq!(client.say("INCREX n EX 100 ENX"), ints(1, 1));
        assert_eq!(client.say("TTL n"), ":100\r\n");
        assert_eq!(client.say("INCREX n EX 10 ENX"), ints(2, 1));
        assert_eq!(client.say("INCREX n"), ints(3, 1));
        assert_eq!(client.say("INCREX n PXAT 1 ENX"), ints(4, 1));
        assert_eq!(client.say("INCREX n UBOUND 4 EX 5"), ints(4, 0));
        assert_eq!(client.say("TTL n"), ":100\r\n");
        assert_eq!(client.say("INCREX n PERSIST"), ints(5, 1));
        assert_eq!(client.say("TTL n"), ":-1\r\n");
        assert_eq!(client.say("INCREX n PXAT 1"), ints(6, 1));
        assert_eq!(client.say("EXISTS n"), ":0\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = Client::new();
        client.say("RPUSH l a");
        for (line, error) in [
            ("INCREX n FOO", "ERR syntax error"),
            ("INCREX n BYINT", "ERR syntax error"),
            ("INCREX n BYINT 1 BYFLOAT 2.5", "ERR syntax error"),
            ("INCREX n EX 5 PX 500", "ERR syntax error"),
            ("INCREX n EX 5 PERSIST", "ERR syntax error"),
            ("INCREX n PERSIST ENX", "ERR syntax error"),
            ("INCREX n ENX", "ERR ENX flag requires an expiration"),
            ("INCREX n EX -5", "ERR invalid expire time in 'increx' command"),
            ("INCREX n LBOUND 10 UBOUND 5", "ERR LBOUND can't be greater than UBOUND"),
            ("INCREX n LBOUND 1.5", "ERR LBOUND is not an integer or out of range"),
            ("INCREX n BYFLOAT 1 UBOUND x", "ERR UBOUND is not a valid float"),
            ("INCREX n BYFLOAT x", "ERR value is not a valid float"),
            ("INCREX n BYINT 1.5", "ERR value is not an integer or out of range"),
            ("INCREX l", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            assert_eq!(client.say(line), format!("-{error}\r\n"), "{line}");
        }
    }
}
