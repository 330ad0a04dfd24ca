//! Where requests meet the rules: a session's snapshot of its user, and what a denial answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ebb_config::id;

use crate::context::Context;
use crate::error::CommandError;
use crate::server::Server;
use crate::session::Session;
use crate::table::Command;

use super::check::Denial;
use super::log::{Denied, LogContext};
use super::user::User;

/// A session's user as it was when the rules had some version.
#[derive(Debug, Default)]
pub struct Access {
    /// 0 before the first look.
    version: u64,
    user: Option<Arc<User>>,
    /// The user may do everything.
    is_unrestricted: bool,
}

impl Session {
    /// The session's user with its present rules. One that was deleted may do nothing.
    pub fn user(&mut self, server: &Server) -> Arc<User> {
        let version = server.acl.version();
        if let Some(user) = &self.access.user
            && self.access.version == version
        {
            return Arc::clone(user);
        }
        let name = Arc::clone(&self.client.names.lock().user);
        let user = match server.acl.user(&name) {
            Some(user) if !self.client.is_killed() => user,
            _ => Arc::new(User::new(&name, &server.acl_surroundings()).powerless()),
        };
        self.show_user(version, Arc::clone(&user));
        user
    }

    fn show_user(&mut self, version: u64, user: Arc<User>) {
        let is_unrestricted = user.is_unrestricted();
        self.access = Access { version, user: Some(user), is_unrestricted };
    }

    /// Makes the session that of a user.
    pub fn log_in(&mut self, user: Arc<User>) {
        self.client.names.lock().user = Arc::clone(&user.name);
        // Looked up again by the next command: the rules may have changed meanwhile.
        self.access = Access::default();
        self.authenticated = true;
    }

    /// Makes the session that of somebody who has just connected.
    pub fn log_out(&mut self, server: &Server) {
        self.client.names.lock().user = super::user::DEFAULT.into();
        self.access = Access::default();
        self.authenticated = !server.acl.needs_password();
    }

    /// Whether a command may run on behalf of the session's user, whether a client, a
    /// transaction or a script asks for it. Costs two comparisons for users who may do
    /// everything. Says nothing to the log: see [`note`].
    #[inline]
    pub fn may_run(
        &mut self,
        server: &Server,
        command: &Command,
        args: &[&[u8]],
    ) -> Result<(), Denial> {
        if self.access.is_unrestricted && self.access.version == server.acl.version() {
            return Ok(());
        }
        self.look_up(server, command, args)
    }

    #[cold]
    fn look_up(
        &mut self,
        server: &Server,
        command: &Command,
        args: &[&[u8]],
    ) -> Result<(), Denial> {
        let queued = self.transaction.as_ref().and_then(|transaction| transaction.db);
        let db = queued.unwrap_or(self.db);
        self.user(server).check(command, args, db)
    }
}

impl Context<'_> {
    /// Whether the command that runs is allowed by permissions that also let every key be read:
    /// what names keys that are known only now, as the patterns of SORT do, needs that.
    pub fn may_read_every_key(&mut self) -> bool {
        let db = self.session.db;
        let user = self.session.user(self.server);
        user.is_unrestricted() || user.may_read_every_key(self.command, self.args, db)
    }
}

/// What a command of a script that is denied answers.
pub(crate) fn admit_from_script(
    server: &Server,
    session: &mut Session,
    command: &Command,
    args: &[&[u8]],
) -> Result<(), CommandError> {
    session.may_run(server, command, args).map_err(|denial| {
        note(server, session, command, args, &denial, LogContext::Lua);
        let text = denial.text(&session.user(server), command);
        CommandError::new(format!("ERR ACL failure in script: {text}"))
    })
}

/// Counts and logs a denied command.
pub fn note(
    server: &Server,
    session: &mut Session,
    command: &Command,
    args: &[&[u8]],
    denial: &Denial,
    context: LogContext,
) {
    let counters = &server.counters;
    let counter = match denial {
        Denial::Command => &counters.acl_access_denied_cmd,
        Denial::Key(_) => &counters.acl_access_denied_key,
        Denial::Channel(_) => &counters.acl_access_denied_channel,
        Denial::Database(_) => &counters.acl_access_denied_db,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    let username = session.user(server).name.to_vec();
    let object = denial.object(command, args);
    let denied = Denied { reason: denial.reason(), context, object, username };
    write_log(server, session, denied);
}

/// Counts and logs a failed login by the command `word`.
pub fn note_login(server: &Server, session: &Session, username: &[u8], word: &[u8]) {
    server.counters.acl_access_denied_auth.fetch_add(1, Ordering::Relaxed);
    let denied = Denied {
        reason: "auth",
        context: context_of(session),
        object: word.to_vec(),
        username: username.to_vec(),
    };
    write_log(server, session, denied);
}

fn write_log(server: &Server, session: &Session, denied: Denied) {
    let now_ms = crate::server::unix_ms();
    if !session.is_retry {
        session.publish(now_ms);
    }
    let mut client_info = String::new();
    (server.host.describe_client)(server, &session.client, &mut client_info);
    let max = server.config.get(id::ACLLOG_MAX_LEN) as usize;
    server.acl.log.add(denied, client_info.trim_end().to_owned(), now_ms, max);
}

fn context_of(session: &Session) -> LogContext {
    if session.transaction.is_some() { LogContext::Multi } else { LogContext::TopLevel }
}

/// What a request that is denied answers.
#[inline]
pub(crate) fn admit(
    server: &Server,
    session: &mut Session,
    command: &Command,
    args: &[&[u8]],
) -> Result<(), CommandError> {
    session
        .may_run(server, command, args)
        .map_err(|denial| refusal(server, session, command, args, &denial))
}

/// What a denied request answers; it is counted and logged.
pub(crate) fn refusal(
    server: &Server,
    session: &mut Session,
    command: &Command,
    args: &[&[u8]],
    denial: &Denial,
) -> CommandError {
    let context = context_of(session);
    note(server, session, command, args, denial, context);
    let text = denial.text(&session.user(server), command);
    CommandError::new(format!("NOPERM {text}"))
}

/// The same for a command of a transaction, which was allowed when it was queued.
pub(crate) fn admit_queued(
    server: &Server,
    session: &mut Session,
    command: &Command,
    args: &[&[u8]],
) -> Result<(), CommandError> {
    session.may_run(server, command, args).map_err(|denial| {
        note(server, session, command, args, &denial, LogContext::Multi);
        CommandError::new(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the \
             EXEC call. This command is no longer allowed for the following reason: {}",
            denial.text_in_exec()
        ))
    })
}
