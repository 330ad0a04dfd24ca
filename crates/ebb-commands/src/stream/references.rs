//! KEEPREF, DELREF and ACKED: what the references of consumer groups mean to entries that go.

use ebb_collections::stream::References;
use ebb_engine::Argument;

/// The three words in a command's syntax.
pub(super) const ARGUMENT: Argument = Argument::one_of(
    "condition",
    &[
        Argument::word("keepref", "KEEPREF"),
        Argument::word("delref", "DELREF"),
        Argument::word("acked", "ACKED"),
    ],
);

/// What a word says.
pub(super) fn of_word(word: &[u8]) -> Option<References> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("KEEPREF") => Some(References::Keep),
        () if is("DELREF") => Some(References::Remove),
        () if is("ACKED") => Some(References::Respect),
        () => None,
    }
}
