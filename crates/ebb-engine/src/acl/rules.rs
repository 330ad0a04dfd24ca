//! The words that ACL SETUSER, the ACL file and `user` lines are made of: how they are taken
//! apart, and what is wrong with them.

use crate::table::{Command, CommandTable};

/// Why a rule was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// Neither a known word nor a rule with a known prefix.
    Syntax,
    /// No such command or category.
    Unknown,
    /// All keys are allowed already.
    AfterAllKeys,
    /// All channels are allowed already.
    AfterAllChannels,
    /// A first argument of a subcommand.
    FirstArgOfSubcommand,
    /// The password to be removed is not there.
    NoSuchPassword,
    /// No SHA-256 in lower case hexadecimal digits.
    BadHash,
    /// No number of a database.
    DatabaseOutOfRange,
}

impl RuleError {
    /// Redis's text.
    pub fn text(self) -> &'static str {
        match self {
            RuleError::Syntax => "Syntax error",
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::AfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and \
                 does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::AfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid \
                 and does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            RuleError::FirstArgOfSubcommand => {
                "Allowing first-arg of a subcommand is not supported"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            RuleError::DatabaseOutOfRange => "The provided database ID is out of range",
        }
    }
}

/// What rules refer to beyond the user.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The commands there are.
    pub commands: &'a CommandTable,
    /// `acl-pubsub-default`: new users and selectors may use all channels.
    pub all_channels: bool,
}

impl Surroundings<'_> {
    /// A command by its own full name: a renamed one is not known to users under its new name.
    pub(super) fn command(&self, name: &[u8]) -> Option<&'static Command> {
        let mut all = self.commands.all().iter();
        all.find(|command| command.name.as_bytes().eq_ignore_ascii_case(name)).copied()
    }
}

/// Joins words from an opening parenthesis to the closing one: `(~a` and `+get)` are one rule.
/// The error is the word whose parenthesis is never closed.
pub fn merge_selectors<'a>(words: &[&'a [u8]]) -> Result<Vec<Vec<u8>>, &'a [u8]> {
    let mut merged: Vec<Vec<u8>> = Vec::with_capacity(words.len());
    let mut open = None;
    for &word in words {
        let closes = word.last() == Some(&b')');
        if open.is_some() {
            if let Some(selector) = merged.last_mut() {
                selector.push(b' ');
                selector.extend_from_slice(word);
            }
            if closes {
                open = None;
            }
            continue;
        }
        if word.first() == Some(&b'(') && !closes {
            open = Some(word);
        }
        merged.push(word.to_vec());
    }
    open.map_or(Ok(merged), Err)
}

/// Whether a name or pattern has characters that would split it when it is written down.
pub fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|&byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_joined() {
        let merge = |line: &'static str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            merge_selectors(&words).map(|words| {
                let words = words.into_iter().map(|word| String::from_utf8(word).unwrap());
                words.collect::<Vec<_>>()
            })
        };
        assert_eq!(merge("on (~a +get) () x").unwrap(), ["on", "(~a +get)", "()", "x"]);
        assert_eq!(merge("( ~a )").unwrap(), ["( ~a )"]);
        assert_eq!(merge(")").unwrap(), [")"]);
        assert_eq!(merge("on (").unwrap_err(), b"(");
        assert_eq!(merge("(a b) (~x a").unwrap_err(), b"(~x");
    }
}
