//! A user: how it logs in, and what it may do.

use std::sync::Arc;

use super::password::PasswordHash;
use super::rules::{RuleError, Surroundings};
use super::selector::Selector;

/// The user of connections that did not say who they are.
pub const DEFAULT: &[u8] = b"default";

/// A user, as it was at some time: sessions share it.
#[derive(Debug, Clone)]
pub struct User {
    /// Its name.
    pub name: Arc<[u8]>,
    enabled: bool,
    /// Any password will do.
    no_password: bool,
    /// What it gives to RESTORE is looked at closely.
    sanitizes: bool,
    passwords: Vec<PasswordHash>,
    root: Selector,
    selectors: Vec<Selector>,
}

impl User {
    /// A new user, who may do nothing.
    pub fn new(name: &[u8], around: &Surroundings<'_>) -> User {
        User {
            name: name.into(),
            enabled: false,
            no_password: false,
            sanitizes: true,
            passwords: Vec::new(),
            root: Selector::new(around),
            selectors: Vec::new(),
        }
    }

    /// The default user as it is at first: it may do everything, and has the configured
    /// password, if there is one.
    pub fn default_user(around: &Surroundings<'_>, password: &[u8]) -> User {
        let mut user = User::new(DEFAULT, around);
        for rule in ["on", "allkeys", "allchannels", "allcommands"] {
            // These words are rules.
            let _ = user.apply(rule.as_bytes(), around);
        }
        user.set_password(password);
        user
    }

    /// A user of this name to whom everything is forbidden.
    pub(super) fn powerless(mut self) -> User {
        self.enabled = false;
        self.selectors.clear();
        self.root.forbid_all();
        self
    }

    /// Applies one rule.
    pub fn apply(&mut self, rule: &[u8], around: &Surroundings<'_>) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => {
                self.no_password = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.no_password = false;
                self.passwords.clear();
            }
            b"sanitize-payload" => self.sanitizes = true,
            b"skip-sanitize-payload" => self.sanitizes = false,
            b"clearselectors" => self.selectors.clear(),
            b"reset" => *self = User { name: self.name.clone(), ..User::new(b"", around) },
            [b'>' | b'#' | b'<' | b'!', ..] => return self.apply_password(rule),
            [b'(', .., b')'] => self.selectors.push(Selector::parse(rule, around)?),
            _ => return self.root.apply(rule, around),
        }
        Ok(())
    }

    /// `>password`, `#hash`, and with `<` and `!` the end of them.
    fn apply_password(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let (sign, text) = (rule[0], &rule[1..]);
        let hash = match sign {
            b'>' | b'<' => PasswordHash::of(text),
            _ => PasswordHash::parse(text)?,
        };
        let known = self.passwords.iter().position(|password| *password == hash);
        match (sign, known) {
            (b'>' | b'#', known) => {
                self.no_password = false;
                if known.is_none() {
                    self.passwords.push(hash);
                }
            }
            (_, Some(at)) => {
                self.passwords.remove(at);
            }
            (_, None) => return Err(RuleError::NoSuchPassword),
        }
        Ok(())
    }

    /// `requirepass`: the only password, or none if it is empty.
    pub fn set_password(&mut self, password: &[u8]) {
        self.no_password = password.is_empty();
        self.passwords.clear();
        if !password.is_empty() {
            self.passwords.push(PasswordHash::of(password));
        }
    }

    /// Whether a password lets in.
    pub fn lets_in(&self, password: &[u8]) -> bool {
        let hash = PasswordHash::of(password);
        self.enabled && (self.no_password || self.passwords.iter().any(|one| one.equals(&hash)))
    }

    /// Whether no password is asked for.
    pub fn has_no_password(&self) -> bool {
        self.no_password
    }

    /// Whether nobody need log in to be this user.
    pub fn is_open(&self) -> bool {
        self.enabled && self.no_password
    }

    /// Whether what the user gives to RESTORE is looked at closely.
    pub fn sanitizes_payload(&self) -> bool {
        self.sanitizes
    }

    /// Whether the user may do everything.
    pub fn is_unrestricted(&self) -> bool {
        self.all_selectors().any(Selector::is_unrestricted)
    }

    /// The user's own permissions.
    pub fn root(&self) -> &Selector {
        &self.root
    }

    /// Further permissions, in order.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The root and the others.
    pub(super) fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Hashes of the passwords.
    pub fn passwords(&self) -> impl Iterator<Item = &str> {
        self.passwords.iter().map(PasswordHash::text)
    }

    /// Words for what is on or off.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        flags.push(if self.sanitizes { "sanitize-payload" } else { "skip-sanitize-payload" });
        flags
    }

    /// Rules that make a new user what this one is, each a word or a selector in parentheses.
    pub fn rules(&self) -> Vec<Vec<u8>> {
        let flags = self.flags().into_iter().map(|flag| flag.as_bytes().to_vec());
        let mut rules: Vec<Vec<u8>> = flags.collect();
        rules.extend(self.passwords().map(|hash| format!("#{hash}").into_bytes()));
        rules.push(self.root.describe());
        for selector in &self.selectors {
            rules.push([b"(", &selector.describe()[..], b")"].concat());
        }
        rules
    }

    /// The line of ACL LIST: `user name rule ...`.
    pub fn line(&self) -> Vec<u8> {
        let mut line = [b"user ", &self.name[..]].concat();
        for rule in self.rules() {
            line.push(b' ');
            line.extend_from_slice(&rule);
        }
        line
    }
}
