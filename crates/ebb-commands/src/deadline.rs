//! Deadlines as arguments: EX, PX, EXAT and PXAT, and the checks that all commands share.

use ebb_engine::{Argument, ArgumentKind, CommandError, Context};
use ebb_types::float::parse_f64;
use ebb_types::number::parse_i64;

/// How a time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
}

impl Unit {
    /// The unit that an option's word names.
    pub(crate) fn of_word(word: &[u8]) -> Option<Unit> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("EX") => Some(Unit::Seconds),
            () if is("PX") => Some(Unit::Milliseconds),
            () if is("EXAT") => Some(Unit::UnixSeconds),
            () if is("PXAT") => Some(Unit::UnixMilliseconds),
            () => None,
        }
    }

    /// A time in this unit as milliseconds since 1970, `None` if that does not fit.
    pub(crate) fn to_unix_ms(self, value: i64, now_ms: i64) -> Option<i64> {
        match self {
            Unit::Seconds => value.checked_mul(1000)?.checked_add(now_ms),
            Unit::Milliseconds => value.checked_add(now_ms),
            Unit::UnixSeconds => value.checked_mul(1000),
            Unit::UnixMilliseconds => Some(value),
        }
    }
}

/// The deadline that an argument says, for commands in which it must be positive.
pub(crate) fn positive(ctx: &Context<'_>, text: &[u8], unit: Unit) -> Result<i64, CommandError> {
    let value = parse_i64(text).ok_or(CommandError::NotInteger)?;
    let invalid =
        || CommandError::new(format!("ERR invalid expire time in '{}' command", ctx.command.name));
    if value <= 0 {
        return Err(invalid());
    }
    unit.to_unix_ms(value, ctx.now_ms).ok_or_else(invalid)
}

/// The four options, for syntax descriptions.
pub(crate) const OPTIONS: [Argument; 4] = [
    Argument::integer("seconds").after("EX"),
    Argument::integer("milliseconds").after("PX"),
    Argument::new("unix-time-seconds", ArgumentKind::UnixTime).after("EXAT"),
    Argument::new("unix-time-milliseconds", ArgumentKind::UnixTime).after("PXAT"),
];

/// When a command that waits gives up: its timeout, an argument in seconds, of which 0 means
/// never.
pub(crate) fn timeout(ctx: &Context<'_>, at: usize) -> Result<Option<i64>, CommandError> {
    let invalid = || CommandError::new("ERR timeout is not a float or out of range");
    let seconds = parse_f64(ctx.arg(at)).ok_or_else(invalid)?;
    let ms = (seconds * 1000.0).ceil();
    if ms > i64::MAX as f64 {
        return Err(CommandError::new("ERR timeout is out of range"));
    }
    if ms < 0.0 {
        return Err(CommandError::new("ERR timeout is negative"));
    }
    match ms as i64 {
        0 => Ok(None),
        ms => {
            let deadline = ctx.now_ms.checked_add(ms);
            deadline.map(Some).ok_or(CommandError::new("ERR timeout is out of range"))
        }
    }
}
