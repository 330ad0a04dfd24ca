//! Users: the `user` lines of the configuration, and the file that may hold them instead.
//!
//! What the rules mean is not known here.

use std::collections::HashSet;
use std::path::PathBuf;
use std::{fs, io};

use crate::rewrite::replace;
use crate::store::Config;
use crate::value::Reason;
use crate::{grammar, id};

/// The name of the lines.
pub(crate) const USER: &str = "user";

/// A line `user name rule ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// The user's name.
    pub name: Vec<u8>,
    /// Words; several may be one rule.
    pub rules: Vec<Vec<u8>>,
}

impl UserLine {
    /// Reads the arguments behind the word `user`.
    pub(crate) fn of(arguments: &[Vec<u8>]) -> Option<UserLine> {
        let (name, rules) = arguments.split_first()?;
        Some(UserLine { name: name.clone(), rules: rules.to_vec() })
    }

    /// The line as a file says it.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = USER.as_bytes().to_vec();
        for word in std::iter::once(&self.name).chain(&self.rules) {
            text.push(b' ');
            text.extend_from_slice(&grammar::quote_if_needed(word));
        }
        text
    }
}

/// The `user` lines of a file that is rewritten.
pub(crate) struct UserLines {
    wanted: Vec<UserLine>,
    written: HashSet<Vec<u8>>,
}

impl UserLines {
    pub(crate) fn of(config: &Config) -> UserLines {
        UserLines { wanted: config.users(), written: HashSet::new() }
    }

    /// What comes in the place of a user's line: none if the user is gone, or has a line already.
    pub(crate) fn replace(&mut self, line: &UserLine, text: &[u8]) -> Option<Vec<u8>> {
        let wanted = self.wanted.iter().find(|wanted| wanted.name == line.name)?;
        let first = self.written.insert(line.name.clone());
        let new = if wanted == line { text.to_vec() } else { wanted.text() };
        first.then_some(new)
    }

    /// The lines of users who have none yet.
    pub(crate) fn missing(&self) -> impl Iterator<Item = Vec<u8>> {
        let missing = self.wanted.iter().filter(|user| !self.written.contains(&user.name));
        missing.map(UserLine::text)
    }
}

impl Config {
    /// The lines `user name rule ...`, in order.
    pub fn users(&self) -> Vec<UserLine> {
        self.users.lock().clone()
    }

    /// Says which users `CONFIG REWRITE` is to write.
    pub fn set_users(&self, users: Vec<UserLine>) {
        *self.users.lock() = users;
    }

    /// Keeps a line of the configuration.
    pub(crate) fn add_user(&mut self, arguments: &[Vec<u8>]) -> Result<(), Reason> {
        let users = self.users.get_mut();
        let line = UserLine::of(arguments).ok_or(Reason::new(crate::parse::BAD_DIRECTIVE))?;
        if users.iter().any(|user| user.name == line.name) {
            return Err(Reason(format!(
                "Error in user declaration '{}': Duplicate user found. A user can only be defined \
                 once in config files",
                String::from_utf8_lossy(&line.name)
            )));
        }
        users.push(line);
        Ok(())
    }

    /// The text of the file of users. An error's text is Redis's.
    pub fn read_acl_file(&self) -> Result<Vec<u8>, String> {
        let path = self.get(id::ACLFILE);
        fs::read(&*path).map_err(|error| {
            let reason = crate::system_reason(&error);
            format!("Error loading ACLs, opening file '{path}': {reason}")
        })
    }

    /// Replaces the file of users in one step.
    pub fn write_acl_file(&self, text: &[u8]) -> io::Result<()> {
        replace(&PathBuf::from(&*self.get(id::ACLFILE)), text)
    }
}
