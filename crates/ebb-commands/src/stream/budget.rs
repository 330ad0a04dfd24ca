//! MAXCOUNT and MAXSIZE of XREAD and XREADGROUP: what an answer may hold, over all its streams.

use ebb_collections::stream::StreamEntry;
use ebb_engine::{CommandError, Context, Reply};

use super::id;

/// What may still be answered. The first entry always fits, so that readers get on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    entries: usize,
    /// Encoded bytes, if they are limited.
    bytes: Option<usize>,
    is_untouched: bool,
}

impl Budget {
    pub(super) const UNLIMITED: Budget =
        Budget { entries: usize::MAX, bytes: None, is_untouched: true };

    /// Reads MAXCOUNT or MAXSIZE with its number; answers whether one of them is there.
    pub(super) fn parse(&mut self, ctx: &Context<'_>, at: usize) -> Result<bool, CommandError> {
        if ctx.is_word(at, "MAXCOUNT") {
            self.entries = positive(ctx, at + 1, "MAXCOUNT")?;
        } else if ctx.is_word(at, "MAXSIZE") {
            self.bytes = Some(positive(ctx, at + 1, "MAXSIZE")?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Refuses to answer fewer entries of all streams than of each.
    pub(super) fn check(&self, count: usize) -> Result<(), CommandError> {
        if count != usize::MAX && count > self.entries {
            return Err(CommandError::new("ERR MAXCOUNT must be greater than or equal to COUNT"));
        }
        Ok(())
    }

    /// Whether no entry fits.
    pub(super) fn is_spent(&self) -> bool {
        self.entries == 0
    }

    /// Whether an entry fits, which is then counted; none does after the first that does not.
    /// `None` is one that is deleted, of which only the id is answered.
    pub(super) fn take(&mut self, entry: Option<&StreamEntry<'_>>) -> bool {
        let fits = self.entries > 0 && self.take_bytes(entry);
        self.entries = if fits { self.entries - 1 } else { 0 };
        self.is_untouched = false;
        fits
    }

    fn take_bytes(&mut self, entry: Option<&StreamEntry<'_>>) -> bool {
        /// About what an id and the marks of a deleted entry take.
        const DELETED_BYTES: usize = 40;
        let Some(left) = self.bytes else { return true };
        let bytes = entry.map_or(DELETED_BYTES, |entry| {
            let mut reply = Reply::default();
            id::reply_entry(&mut reply, entry);
            reply.parts().0.len()
        });
        self.bytes = Some(left.saturating_sub(bytes));
        bytes <= left || self.is_untouched
    }
}

fn positive(ctx: &Context<'_>, at: usize, option: &str) -> Result<usize, CommandError> {
    let number = ctx.int(at)?;
    usize::try_from(number)
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| CommandError::new(format!("ERR {option} must be a positive integer")))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn filled() -> Client {
        let mut client = Client::new();
        for n in 1..=3 {
            client.say(&format!("XADD a {n} f {}", "x".repeat(100)));
            client.say(&format!("XADD b {n} f {}", "x".repeat(100)));
        }
        client
    }

    /// Entries in an answer: their ids are the texts of this form.
    fn entries(answer: &str) -> usize {
        answer.matches("$3\r\n").count()
    }

    #[test]
    fn all_streams_share_one_limit() {
        let mut client = filled();
        assert_eq!(entries(&client.say("XREAD STREAMS a b 0 0")), 6);
        assert_eq!(entries(&client.say("XREAD MAXCOUNT 4 STREAMS a b 0 0")), 4);
        assert_eq!(entries(&client.say("XREAD COUNT 2 MAXCOUNT 3 STREAMS a b 0 0")), 3);
        assert!(client.say("XREAD MAXCOUNT 3 STREAMS a b 0 0").starts_with("*1\r\n"));
        assert_eq!(entries(&client.say("XREAD MAXSIZE 300 STREAMS a b 0 0")), 2);
        assert_eq!(entries(&client.say("XREAD MAXSIZE 1 STREAMS a b 0 0")), 1);
    }

    #[test]
    fn limits_are_checked() {
        let mut client = filled();
        assert!(client.say("XREAD MAXCOUNT 0 STREAMS a 0").starts_with("-ERR MAXCOUNT must be"));
        assert!(client.say("XREAD MAXSIZE -1 STREAMS a 0").starts_with("-ERR MAXSIZE must be"));
        let answer = client.say("XREAD COUNT 5 MAXCOUNT 4 STREAMS a 0");
        assert_eq!(answer, "-ERR MAXCOUNT must be greater than or equal to COUNT\r\n");
    }

    #[test]
    fn a_group_keeps_what_is_over_the_limit_for_later() {
        let mut client = filled();
        client.say("XGROUP CREATE a g 0");
        client.say("XGROUP CREATE b g 0");
        let read = "XREADGROUP GROUP g c MAXCOUNT 4 STREAMS a b > >";
        assert_eq!(entries(&client.say(read)), 4);
        assert_eq!(entries(&client.say(read)), 2);
        assert_eq!(client.say(read), "*-1\r\n");
        let again = "XREADGROUP GROUP g c MAXSIZE 300 STREAMS a b 0 0";
        assert_eq!(entries(&client.say(again)), 2);
    }
}
