//! Commands that a script calls: they run under the script's locks, one after the other.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::ScriptFlags;
use crate::acl;
use crate::call::{self, Call};
use crate::context::Context;
use crate::error::CommandError;
use crate::monitor;
use crate::partitions::limits;
use crate::reply::Reply;
use crate::spec::{Flags, Scope};
use crate::table::{Command, Resolved};

/// What the commands of a script may do.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// It was called by a command that only reads, or says that it changes nothing.
    pub read_only: bool,
    /// It may need more memory than there should be.
    pub allow_oom: bool,
    /// Memory was at its limit when it began.
    pub over_limit: bool,
    /// It has called a command that writes.
    pub wrote: bool,
}

impl Rules {
    /// The rules of a script with these flags.
    pub fn new(flags: Option<ScriptFlags>, read_only: bool, over_limit: bool) -> Rules {
        let has = |flag| flags.is_some_and(|flags| flags.has(flag));
        Rules {
            read_only: read_only || has(ScriptFlags::NO_WRITES),
            allow_oom: has(ScriptFlags::ALLOW_OOM),
            over_limit,
            wrote: false,
        }
    }
}

impl Context<'_> {
    /// Shows MONITOR the command of the script that begins.
    pub fn feed_script_to_monitors(&self) {
        monitor::feed_script(self.server, self.session, self.args);
    }

    /// When the command that runs began.
    pub fn began(&self) -> Instant {
        self.recorder.began()
    }

    /// Runs a command for a script. The reply is the command's, which may be an error; an
    /// error that is returned says why the command did not run. Both are counted.
    pub fn call_from_script(
        &mut self,
        args: &[&[u8]],
        rules: &mut Rules,
        reply: &mut Reply,
    ) -> Result<(), CommandError> {
        let command = match self.server.commands.resolve(args) {
            Resolved::Command(command) => Some(command),
            _ => None,
        };
        let admitted = self.admit_from_script(command, args, *rules);
        let command = match admitted {
            Ok(command) => command,
            Err(error) => {
                self.recorder.reject(command.map(|command| command.number), &error.code());
                return Err(error);
            }
        };
        if command.spec.flags.has(Flags::WRITE) && !rules.wrote {
            rules.wrote = true;
            self.server.scripting.note_write();
        }
        let hashed = self.hold_more(command, args);
        let before = self.journal.quota.reservations();
        if self.server.partitions.has_limits() && !rules.allow_oom {
            let Context { server, journal, locks, session, .. } = &mut *self;
            let admitted = limits::admit_inner(server, journal, locks, session.db, command, args);
            if let Err(error) = admitted {
                self.journal.quota.release(before);
                self.recorder.reject(Some(command.number), &error.code());
                return Err(error);
            }
        }
        let outer = self.recorder.enter_inner();
        let call = Call { hashed, ..Call::indirect(command, args, self.now_ms) };
        call::run(
            self.server,
            call,
            self.session,
            self.locks,
            self.journal,
            self.random,
            self.recorder,
            self.attendant,
            reply,
        );
        self.recorder.leave_inner(outer);
        self.journal.quota.release(before);
        Ok(())
    }

    fn admit_from_script(
        &mut self,
        command: Option<&'static Command>,
        args: &[&[u8]],
        rules: Rules,
    ) -> Result<&'static Command, CommandError> {
        let refuse = |text: &'static str| Err(CommandError::new(text));
        let Some(command) = command else {
            return refuse("ERR Unknown Redis command called from script");
        };
        let flags = command.spec.flags;
        if !command.spec.arity_allows(args.len()) {
            return refuse("ERR Wrong number of args calling Redis command from script");
        }
        // A script within a script is never possible.
        let allow_all = self.server.scripting.allow_all.load(Ordering::Relaxed)
            && command.spec.scope != Scope::Growing;
        if flags.has(Flags::NOSCRIPT) && !allow_all {
            return refuse("ERR This Redis command is not allowed from script");
        }
        acl::admit_from_script(self.server, self.session, command, args)?;
        if rules.read_only && flags.any(Flags::WRITE.and(Flags::MAY_REPLICATE)) {
            return refuse("ERR Write commands are not allowed from read-only scripts.");
        }
        if flags.has(Flags::DENYOOM) && rules.over_limit && !rules.allow_oom && !rules.wrote {
            return Err(CommandError::OutOfMemory);
        }
        Ok(command)
    }

    /// Adds the shards of a command to those that the script holds. Answers the position and hash
    /// of its key, if it has one and no more.
    fn hold_more(&mut self, command: &'static Command, args: &[&[u8]]) -> Option<(usize, u64)> {
        let (locks, keyspace) = (&mut *self.locks, &self.server.keyspace);
        match command.spec.scope {
            Scope::All => locks.grow_all(),
            // It takes them itself.
            Scope::Walk | Scope::Growing => {}
            Scope::Keys => {
                if let Some(at) = command.single_key.filter(|&at| at < args.len()) {
                    let hash = keyspace.hasher().hash(args[at]);
                    locks.grow(keyspace.shard_of(hash));
                    return Some((at, hash));
                }
                // A lone shard is held already.
                if keyspace.shards() > 1 {
                    // Arguments that name no keys are the command's to refuse; it touches none then.
                    let _ = command.spec.each_key(args, |at, _| {
                        locks.grow(keyspace.shard_of(keyspace.hasher().hash(args[at])));
                    });
                }
            }
        }
        None
    }
}
