//! What HSCAN, SSCAN and ZSCAN share.

use ebb_engine::{CommandError, Context, Reply, Type};
use ebb_types::glob;

/// Options of a scan.
pub(crate) struct Options<'a> {
    cursor: u64,
    pattern: Option<&'a [u8]>,
    count: usize,
    /// The word that leaves half of the elements out was given.
    pub(crate) bare: bool,
}

/// Buckets visited in one call, as a multiple of COUNT: a sparse table must not hold up.
const STEPS_PER_ELEMENT: usize = 10;

/// A cursor as C's `strtoul` reads it: with a sign, too, and none for zero.
fn cursor(text: &[u8]) -> Option<u64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        [] => return Some(0),
        digits => (false, digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if is_negative { value.wrapping_neg() } else { value })
}

/// The type for which an argument is the word that leaves half of the elements out.
fn bare_word(ctx: &Context<'_>, at: usize) -> Option<Type> {
    match () {
        () if ctx.is_word(at, "NOVALUES") => Some(Type::Hash),
        () if ctx.is_word(at, "NOSCORES") => Some(Type::SortedSet),
        () => None,
    }
}

/// Whether an argument is such a word. One that is for another type is refused.
pub(crate) fn is_bare_word(
    ctx: &Context<'_>,
    at: usize,
    allowed: Option<Type>,
) -> Result<bool, CommandError> {
    match bare_word(ctx, at) {
        None => Ok(false),
        found if found == allowed => Ok(true),
        Some(Type::Hash) => Err(CommandError::new("ERR NOVALUES option can only be used in HSCAN")),
        Some(_) => Err(CommandError::new("ERR NOSCORES option can only be used in ZSCAN")),
    }
}

impl<'a> Options<'a> {
    /// Parses `key cursor [MATCH pattern] [COUNT count] [NOVALUES | NOSCORES]`. A key that is not
    /// there is answered at once, as in Redis before the options are looked at.
    pub(crate) fn parse(
        ctx: &mut Context<'a>,
        wanted: Type,
    ) -> Result<Option<Options<'a>>, CommandError> {
        let cursor = cursor(ctx.arg(2)).ok_or(CommandError::new("ERR invalid cursor"))?;
        let key = ctx.key(1);
        match ctx.peek(&key).map(|entry| entry.value_type()) {
            Some(found) if found == wanted => {}
            Some(_) => return Err(CommandError::WrongType),
            None => {
                // Counts a miss.
                ctx.ask(&key);
                answer(ctx.reply, 0, &[]);
                return Ok(None);
            }
        }
        let mut options = Options { cursor, pattern: None, count: 10, bare: false };
        let mut at = 3;
        while at < ctx.args.len() {
            if is_bare_word(ctx, at, Some(wanted))? {
                options.bare = true;
                at += 1;
                continue;
            }
            let Some(&value) = ctx.args.get(at + 1) else { return Err(CommandError::Syntax) };
            if ctx.is_word(at, "COUNT") {
                let count = usize::try_from(ctx.int(at + 1)?).unwrap_or(0);
                if count == 0 {
                    return Err(CommandError::Syntax);
                }
                options.count = count;
            } else if ctx.is_word(at, "MATCH") {
                options.pattern = (value != b"*").then_some(value);
            } else {
                return Err(CommandError::Syntax);
            }
            at += 2;
        }
        Ok(Some(options))
    }

    /// Whether an element is wanted.
    pub(crate) fn matches(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, element, false))
    }

    /// Calls `step` with positions until enough elements were seen, and answers the position to
    /// go on from. `step` answers the next position and how many elements it saw.
    pub(crate) fn run(&self, mut step: impl FnMut(u64) -> (u64, usize)) -> u64 {
        let (mut position, mut seen, mut steps) = (self.cursor, 0, 0);
        loop {
            let (next, more) = step(position);
            (position, seen, steps) = (next, seen + more, steps + 1);
            let enough =
                seen >= self.count || steps >= self.count.saturating_mul(STEPS_PER_ELEMENT);
            if position == 0 || enough {
                return position;
            }
        }
    }
}

/// Answers the next cursor and what was found.
pub(crate) fn answer(reply: &mut Reply, next: u64, found: &[Vec<u8>]) {
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found.len());
    found.iter().for_each(|element| reply.bulk(element));
}
