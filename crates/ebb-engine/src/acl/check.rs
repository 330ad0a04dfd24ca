//! Whether a user may run a command.

use crate::spec::{Flags, KeyFlags};
use crate::table::Command;

use super::selector::Selector;
use super::touched::{self, Databases};
use super::user::User;

/// Why a command is denied. The order is that in which the reasons of several selectors compare:
/// what came closest to being allowed is told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The database that this argument names; 0, the command, for the one that is selected, and for all.
    Database(usize),
    /// The command itself.
    Command,
    /// The key at this argument.
    Key(usize),
    /// The channel at this argument.
    Channel(usize),
}

impl Denial {
    /// The word in ACL LOG.
    pub fn reason(&self) -> &'static str {
        match self {
            Denial::Command => "command",
            Denial::Key(_) => "key",
            Denial::Channel(_) => "channel",
            Denial::Database(_) => "database",
        }
    }

    /// What was denied: a name or a number.
    pub fn object(&self, command: &Command, args: &[&[u8]]) -> Vec<u8> {
        match self {
            Denial::Command => command.name.as_bytes().to_vec(),
            Denial::Key(at) | Denial::Channel(at) | Denial::Database(at) => args[*at].to_vec(),
        }
    }

    /// What a client is told, after `NOPERM `. Names of keys and channels are not repeated.
    pub fn text(&self, user: &User, command: &Command) -> String {
        match self {
            Denial::Command => format!(
                "User {} has no permissions to run the '{}' command",
                String::from_utf8_lossy(&user.name),
                command.name
            ),
            Denial::Key(_) => "No permissions to access a key".into(),
            Denial::Channel(_) => "No permissions to access a channel".into(),
            Denial::Database(_) => "No permissions to access database".into(),
        }
    }

    /// The same with names, for ACL DRYRUN.
    pub fn text_in_full(&self, user: &User, command: &Command, args: &[&[u8]]) -> Vec<u8> {
        if matches!(self, Denial::Command) {
            return self.text(user, command).into_bytes();
        }
        let object = self.object(command, args);
        let (name, what) = (&user.name[..], self.reason().as_bytes());
        if matches!(self, Denial::Database(_)) {
            return [b"User ", name, b" has no permissions to access database ", &object].concat();
        }
        [b"User ", name, b" has no permissions to access the '", &object, b"' ", what].concat()
    }

    /// The end of what EXEC answers for a command that was allowed when it was queued.
    pub(super) fn text_in_exec(&self) -> &'static str {
        match self {
            Denial::Command => "no permission to execute the command or subcommand",
            Denial::Key(_) => "no permission to touch the specified keys",
            Denial::Channel(_) => {
                "no permission to access one of the channels used as arguments to the command"
            }
            Denial::Database(_) => "no permission to access the database",
        }
    }
}

impl User {
    /// Whether the user may run a command while a database is selected: its own permissions
    /// must allow all of it, or those of one of its selectors.
    pub fn check(&self, command: &Command, args: &[&[u8]], db: usize) -> Result<(), Denial> {
        let mut denial = Denial::Database(0);
        for selector in self.all_selectors() {
            match selector.check(command, args, db) {
                Ok(()) => return Ok(()),
                Err(other) => denial = denial.max(other),
            }
        }
        Err(denial)
    }

    /// Whether a command is allowed by permissions that also let every key be read, as SORT
    /// needs with BY and GET, whose keys are known only when it runs.
    pub fn may_read_every_key(&self, command: &Command, args: &[&[u8]], db: usize) -> bool {
        let mut all = self.all_selectors();
        all.any(|one| one.reads_every_key() && one.check(command, args, db).is_ok())
    }

    /// Whether the user may listen to a channel or pattern.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_selectors().any(|selector| selector.allows_channel(channel, is_pattern))
    }
}

impl Selector {
    fn check(&self, command: &Command, args: &[&[u8]], db: usize) -> Result<(), Denial> {
        self.check_databases(command, args, db)?;
        if !command.spec.flags.has(Flags::NO_AUTH) && !self.allows_command(command, args) {
            return Err(Denial::Command);
        }
        self.check_keys(command, args)?;
        if !self.allows_all_channels() {
            let (mut channels, is_pattern) = touched::channels(command, args);
            if let Some(at) = channels.find(|&at| !self.allows_channel(args[at], is_pattern)) {
                return Err(Denial::Channel(at));
            }
        }
        Ok(())
    }

    fn check_keys(&self, command: &Command, args: &[&[u8]]) -> Result<(), Denial> {
        if self.allows_all_keys() {
            return Ok(());
        }
        let mut denied = None;
        touched::each_key(command, args, |at, flags: KeyFlags| {
            let is_denied = args.get(at).is_some_and(|key| !self.allows_key(key, flags));
            if denied.is_none() && is_denied {
                denied = Some(at);
            }
        });
        denied.map_or(Ok(()), |at| Err(Denial::Key(at)))
    }

    fn check_databases(&self, command: &Command, args: &[&[u8]], db: usize) -> Result<(), Denial> {
        if self.allows_all_databases() {
            return Ok(());
        }
        match touched::databases(command, args, db) {
            Databases::All => Err(Denial::Database(0)),
            Databases::Some(all) => {
                let denied = all.into_iter().find(|&(_, db)| !self.allows_database(db));
                denied.map_or(Ok(()), |(at, _)| Err(Denial::Database(at)))
            }
        }
    }
}
