//! Comparing a string before something is done with its key: the conditions of SET, and DELEX,
//! DELIFEQ, DIGEST.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec, string_of,
};
use ebb_keyspace::{Key, StringRef, Type};
use ebb_types::digest;

/// What a string is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison<'a> {
    /// It is these bytes.
    Equal(&'a [u8]),
    /// It is other bytes.
    Different(&'a [u8]),
    /// Its digest is this one.
    DigestEqual(&'a [u8]),
    /// Its digest is another one.
    DigestDifferent(&'a [u8]),
}

impl<'a> Comparison<'a> {
    /// The comparison that a word asks for.
    pub(super) fn of_word(word: &[u8], with: &'a [u8]) -> Option<Comparison<'a>> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("IFEQ") => Some(Comparison::Equal(with)),
            () if is("IFNE") => Some(Comparison::Different(with)),
            () if is("IFDEQ") => Some(Comparison::DigestEqual(with)),
            () if is("IFDNE") => Some(Comparison::DigestDifferent(with)),
            () => None,
        }
    }

    /// Whether it holds for a key that is not there.
    pub(super) fn holds_without(self) -> bool {
        matches!(self, Comparison::Different(_) | Comparison::DigestDifferent(_))
    }

    /// Whether it holds for a string.
    pub(super) fn holds(self, value: &StringRef<'_>) -> Result<bool, CommandError> {
        match self {
            Comparison::Equal(with) => Ok(value.with_bytes(|bytes| bytes == with)),
            Comparison::Different(with) => Ok(value.with_bytes(|bytes| bytes != with)),
            Comparison::DigestEqual(with) => has_digest(value, with),
            Comparison::DigestDifferent(with) => has_digest(value, with).map(|equal| !equal),
        }
    }
}

fn has_digest(value: &StringRef<'_>, digits: &[u8]) -> Result<bool, CommandError> {
    if digits.len() != digest::DIGITS {
        return Err(CommandError::new("ERR must be exactly 16 hexadecimal characters"));
    }
    let digest = value.with_bytes(digest::hexadecimal);
    Ok(digits.eq_ignore_ascii_case(digest.as_bytes()))
}

/// The four conditions, for syntax descriptions.
pub(super) const IFEQ: Argument = Argument::string("ifeq-value").after("IFEQ");
pub(super) const IFNE: Argument = Argument::string("ifne-value").after("IFNE");
pub(super) const IFDEQ: Argument = Argument::string("ifdeq-digest").after("IFDEQ");
pub(super) const IFDNE: Argument = Argument::string("ifdne-digest").after("IFDNE");

pub(super) static DIGEST: CommandSpec = CommandSpec {
    name: "digest",
    summary: "Returns the XXH3 digest of the string at a key, in hexadecimal.",
    since: "8.4.0",
    group: Group::String,
    complexity: "O(N) for N bytes.",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0)],
    run: digest,
    ..CommandSpec::NEW
};

fn digest(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    match ctx.read_string(&key)? {
        Some(value) => {
            let digest = value.with_bytes(digest::hexadecimal);
            ctx.reply.bulk(digest.as_bytes());
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) static DELEX: CommandSpec = CommandSpec {
    name: "delex",
    summary: "Deletes a key, under a condition on its string if asked.",
    since: "8.4.0",
    group: Group::String,
    complexity: "O(1), and O(N) for the digest of N bytes.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of("condition", &[IFEQ, IFNE, IFDEQ, IFDNE]).optional(),
    ],
    run: delex,
    ..CommandSpec::NEW
};

fn delex(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.args.len() != 2 && ctx.args.len() != 4 {
        return Err(CommandError::WrongArity(ctx.command.name.into()));
    }
    let key = ctx.key(1);
    let condition = (ctx.args.len() == 4).then(|| (ctx.arg(2), ctx.arg(3)));
    let deletes = match (ctx.read_to_write(&key), condition) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(entry), Some(_)) if entry.value_type() != Type::String => {
            return Err(CommandError::new(
                "ERR Key should be of string type if conditions are specified",
            ));
        }
        (Some(entry), Some((word, with))) => {
            let comparison = Comparison::of_word(word, with);
            let unknown = "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE";
            comparison.ok_or(CommandError::new(unknown))?.holds(&entry.string())?
        }
    };
    delete_if(ctx, &key, deletes);
    Ok(())
}

/// Deletes a key that is there, if `deletes` says so, and answers whether.
fn delete_if(ctx: &mut Context<'_>, key: &Key<'_>, deletes: bool) {
    if deletes {
        ctx.remove(key);
        ctx.changed(key, Event::generic("del"));
    }
    ctx.reply.integer(deletes.into());
}

pub(super) static DELIFEQ: CommandSpec = CommandSpec {
    name: "delifeq",
    summary: "Deletes a key if it holds this string.",
    since: "9.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RM.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::string("value")],
    run: delifeq,
    ..CommandSpec::NEW
};

fn delifeq(ctx: &mut Context<'_>) -> CommandResult {
    let (key, expected) = (ctx.key(1), ctx.arg(2));
    let equal = match ctx.read_to_write(&key).map(string_of).transpose()? {
        Some(value) => Comparison::Equal(expected).holds(&value)?,
        None => false,
    };
    delete_if(ctx, &key, equal);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    const HELLO: &str = "9555e8555c62dcfd";
    const OTHER: &str = "0000000000000000";

    #[test]
    fn a_digest_stands_for_a_string() {
        let mut client = Client::new();
        client.say("SET k hello");
        client.say("SET n 123");
        client.say("RPUSH l a");
        assert_eq!(client.say("DIGEST k"), format!("$16\r\n{HELLO}\r\n"));
        assert_eq!(client.say("DIGEST n"), "$16\r\n404a763b3f4c8c9a\r\n");
        assert_eq!(client.say("DIGEST nothing"), "$-1\r\n");
        assert!(client.say("DIGEST l").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn keys_are_deleted_under_conditions() {
        let mut client = Client::new();
        let upper = HELLO.to_uppercase();
        for (condition, deleted) in [
            ("IFEQ other", 0),
            ("ifeq hello", 1),
            ("IFNE hello", 0),
            ("IFNE other", 1),
            (&format!("IFDEQ {OTHER}"), 0),
            (&format!("IFDEQ {upper}"), 1),
            (&format!("IFDNE {HELLO}"), 0),
            ("IFDNE zzzzzzzzzzzzzzzz", 1),
            ("", 1),
        ] {
            client.say("SET k hello");
            let line = format!("DELEX k {condition}");
            assert_eq!(client.say(&line), format!(":{deleted}\r\n"), "{line}");
            assert_eq!(client.say("EXISTS k"), format!(":{}\r\n", 1 - deleted), "{line}");
        }
        client.say("SET k hello");
        assert_eq!(client.say("DELIFEQ k other"), ":0\r\n");
        assert_eq!(client.say("DELIFEQ k hello"), ":1\r\n");
    }

    #[test]
    fn delex_refuses_what_it_cannot_compare() {
        let mut client = Client::new();
        client.say("RPUSH l a");
        client.say("SET k hello");
        for (line, reply) in [
            ("DELEX nothing FOO bar", ":0\r\n"),
            ("DELEX l FOO a", "-ERR Key should be of string type if conditions are specified\r\n"),
            ("DELEX k FOO a", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE\r\n"),
            ("DELEX k IFDEQ 0123", "-ERR must be exactly 16 hexadecimal characters\r\n"),
            ("DELEX k IFEQ", "-ERR wrong number of arguments for 'delex' command\r\n"),
            ("DELEX l", ":1\r\n"),
        ] {
            assert_eq!(client.say(line), reply, "{line}");
        }
    }

    #[test]
    fn set_has_the_same_conditions() {
        let mut client = Client::new();
        assert_eq!(client.say("SET k hello IFEQ x"), "$-1\r\n");
        assert_eq!(client.say(&format!("SET k hello IFDEQ {OTHER}")), "$-1\r\n");
        assert_eq!(client.say("SET k hello IFNE x"), "+OK\r\n", "a missing key is different");
        assert_eq!(client.say("SET k b IFNE hello"), "$-1\r\n");
        assert_eq!(client.say(&format!("SET k b IFDEQ {HELLO} GET")), "$5\r\nhello\r\n");
        assert_eq!(client.say(&format!("SET k c IFDNE {HELLO}")), "+OK\r\n");
        assert_eq!(client.say("GET k"), "$1\r\nc\r\n");
        assert!(client.say("SET k d IFDNE 12").contains("exactly 16 hexadecimal"));
        assert_eq!(client.say("SET k d IFNE a IFEQ c"), "-ERR syntax error\r\n");
        client.say("RPUSH l a");
        assert!(client.say("SET l d IFNE a").starts_with("-WRONGTYPE"));
    }
}
