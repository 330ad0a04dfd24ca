//! Access control: users, what they may do, and the log of what was denied.
//!
//! - [`rules`], [`selector`] and [`user`] turn words into permissions and back.
//! - [`check`] asks whether a user may run a command; [`touched`] says what the command touches.
//! - [`gate`] is where requests are checked: a session keeps a snapshot of its user, which is
//!   taken anew when the version of all rules has changed.
//! - [`load`] reads users from an ACL file or the configuration.

mod check;
mod gate;
mod load;
mod log;
mod password;
mod rules;
mod selector;
#[cfg(test)]
mod tests;
pub mod touched;
mod user;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ebb_config::{AclPubsubDefault, UserLine, id};
use parking_lot::RwLock;

pub use check::Denial;
pub use gate::{Access, note, note_login};
pub(crate) use gate::{admit, admit_from_script, admit_queued, refusal};
pub use log::{AclLog, Denied, LogContext, LogEntry};
pub use password::{PasswordHash, generate};
pub use rules::{RuleError, Surroundings, has_spaces, merge_selectors};
pub use selector::Selector;
pub use user::{DEFAULT, User};

use crate::pubsub::Kind;
use crate::server::Server;
use crate::session::Session;

/// Users by name.
type Users = BTreeMap<Arc<[u8]>, Arc<User>>;

/// All users of a server.
#[derive(Debug)]
pub struct Acl {
    users: RwLock<Users>,
    /// Changes with the users; never 0.
    version: AtomicU64,
    /// The default user needs no password.
    is_open: AtomicBool,
    /// What was denied.
    pub log: AclLog,
}

impl Acl {
    /// The default user alone, with `requirepass` as its password.
    pub(crate) fn new(around: &Surroundings<'_>, password: &[u8]) -> Acl {
        let acl = Acl {
            users: RwLock::default(),
            version: AtomicU64::new(0),
            is_open: AtomicBool::new(false),
            log: AclLog::default(),
        };
        let user = User::default_user(around, password);
        acl.change(|users| {
            users.insert(Arc::clone(&user.name), Arc::new(user));
        });
        acl
    }

    /// Changes users, and makes all sessions look at theirs again.
    fn change<T>(&self, change: impl FnOnce(&mut Users) -> T) -> T {
        let mut users = self.users.write();
        let result = change(&mut users);
        let is_open = users.get(DEFAULT).is_some_and(|user| user.is_open());
        self.is_open.store(is_open, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
        result
    }

    /// The version of all rules.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether a new connection must log in before it can do anything.
    pub fn needs_password(&self) -> bool {
        !self.is_open.load(Ordering::Relaxed)
    }

    /// Whether the default user needs no password, be it on or off: what protected mode asks.
    pub fn has_no_password(&self) -> bool {
        self.user(DEFAULT).is_some_and(|user| user.has_no_password())
    }

    /// A user.
    pub fn user(&self, name: &[u8]) -> Option<Arc<User>> {
        self.users.read().get(name).cloned()
    }

    /// All users by name.
    pub fn all(&self) -> Vec<Arc<User>> {
        self.users.read().values().cloned().collect()
    }

    /// The user whom a password lets in.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        self.user(name).filter(|user| user.lets_in(password))
    }

    /// Changes a user, or makes a new one; with an error nothing has changed. Answers the user
    /// as it was, if there was one, and as it is.
    pub fn set_user<E>(
        &self,
        name: &[u8],
        around: &Surroundings<'_>,
        edit: impl FnOnce(&mut User) -> Result<(), E>,
    ) -> Result<(Option<Arc<User>>, Arc<User>), E> {
        self.change(|users| {
            let before = users.get(name).cloned();
            let mut user = before.as_deref().cloned().unwrap_or_else(|| User::new(name, around));
            edit(&mut user)?;
            let after = Arc::new(user);
            users.insert(Arc::clone(&after.name), Arc::clone(&after));
            Ok((before, after))
        })
    }

    /// Deletes a user; answers whether there was one. The default user stays.
    pub fn remove(&self, name: &[u8]) -> bool {
        name != DEFAULT && self.change(|users| users.remove(name).is_some())
    }

    /// `requirepass` has changed.
    pub(crate) fn set_default_password(&self, password: &[u8]) {
        self.change(|users| {
            if let Some(user) = users.get_mut(DEFAULT) {
                Arc::make_mut(user).set_password(password);
            }
        });
    }

    /// The text of an ACL file that has all users.
    pub fn file_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for user in self.all() {
            text.extend_from_slice(&user.line());
            text.push(b'\n');
        }
        text
    }
}

impl Server {
    /// What rules refer to beyond the user.
    pub fn acl_surroundings(&self) -> Surroundings<'_> {
        let default = self.config.get(id::ACL_PUBSUB_DEFAULT);
        Surroundings {
            commands: &self.commands,
            all_channels: default == AclPubsubDefault::Allchannels,
        }
    }

    /// Puts the users of an ACL file in the place of all others.
    pub fn load_acl(&self, text: &[u8]) -> Result<(), String> {
        let path = self.config.get(id::ACLFILE);
        let loaded = load::read_file(text, &path, &self.acl_surroundings())?;
        self.acl.change(|users| *users = loaded);
        Ok(())
    }

    /// Reads the users of the configuration, when the server starts.
    pub fn load_configured_users(&self) -> Result<(), String> {
        let around = self.acl_surroundings();
        for line in self.config.users() {
            let user = load::read_config_user(&line.name, &line.rules, &around)?;
            self.acl.change(|users| users.insert(Arc::clone(&user.name), Arc::new(user)));
        }
        Ok(())
    }

    /// Tells the configuration of the users that CONFIG REWRITE is to write: all, but for a
    /// default user that is as `requirepass` alone makes it.
    pub fn show_users_to_config(&self) {
        if !self.config.get(id::ACLFILE).is_empty() {
            return;
        }
        let password = self.config.get(id::REQUIREPASS);
        let usual = User::default_user(&self.acl_surroundings(), password.as_bytes()).rules();
        let users = self.acl.all();
        let lines = users.iter().filter(|user| *user.name != *DEFAULT || user.rules() != usual);
        let line = |user: &Arc<User>| UserLine {
            name: user.name.to_vec(),
            rules: user.rules().iter().flat_map(|rule| words(rule)).collect(),
        };
        self.config.set_users(lines.map(line).collect());
    }
}

/// A rule as the words that a line of the configuration has.
fn words(rule: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    rule.split(|&byte| byte == b' ').map(<[u8]>::to_vec)
}

/// Closes the connections of users whose names `is_gone` knows; the session's own after its reply.
pub fn disconnect(server: &Server, session: &mut Session, is_gone: impl Fn(&[u8]) -> bool) {
    for client in server.clients.all() {
        let name = Arc::clone(&client.names.lock().user);
        if !is_gone(&name) {
            continue;
        }
        if client.id == session.id() {
            session.close_after_reply = true;
        } else {
            client.kill();
            server.attend(&client);
        }
    }
}

/// Closes the connections that listen to channels which their user, if it is one of these, may not
/// use any more.
pub fn disconnect_subscribers(server: &Server, session: &mut Session, users: &[Arc<User>]) {
    let users: HashMap<&[u8], &User> = users.iter().map(|user| (&*user.name, &**user)).collect();
    let mut gone = Vec::new();
    server.pubsub.each_subscription(|kind, channel, client| {
        let is_pattern = kind == Kind::Pattern;
        let user = users.get(&*client.names.lock().user).copied();
        if user.is_some_and(|user| !user.allows_channel(channel, is_pattern)) {
            gone.push(Arc::clone(client));
        }
    });
    for client in gone {
        if client.id == session.id() {
            session.close_after_reply = true;
        } else {
            client.kill();
            server.attend(&client);
        }
    }
}
