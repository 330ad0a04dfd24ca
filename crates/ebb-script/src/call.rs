//! What a script asks of the server while it runs: commands above all.

use std::time::Instant;

use ebb_engine::scripting::{Interruption, Rules, Running};
use ebb_engine::{CommandError, Context, Reply, Resolved};
use ebb_resp::Protocol;
use mlua::{BorrowedBytes, Lua, MultiValue, Table, Value};

use crate::api::{Answer, Raised, as_number, misuse};
use crate::register::Registered;
use crate::{number, raw};

/// The error of a function that needs a script to run, but is called while a library is loaded.
pub(crate) const NOT_RUNNING: &str =
    "ERR redis.call/pcall can only be called inside a script invocation";

/// Whether the script that runs, or the library that is loaded, has to stop.
pub(crate) fn must_stop(lua: &Lua) -> bool {
    raw::with(|invocation| invocation.look()).unwrap_or_else(|| {
        lua.app_data_mut::<Registered>().is_some_and(|mut library| library.is_late())
    })
}

/// Adds the functions that ask what runs to the table of the server's.
pub(crate) fn add_functions(lua: &Lua, table: &Table) -> mlua::Result<()> {
    raw::add_functions(lua, table)?;
    add(lua, table, "setresp", |invocation, lua, args| invocation.set_protocol(lua, args))?;
    add(lua, table, "acl_check_cmd", |invocation, _, args| invocation.check_acl(args))?;
    add(lua, table, "set_repl", |_, lua, args| set_repl(lua, args))
}

/// Adds a function that asks what runs. Without a script there is nobody to answer.
fn add(
    lua: &Lua,
    table: &Table,
    name: &str,
    answer: fn(&mut Invocation<'_, '_>, &Lua, &[Value]) -> Answer,
) -> mlua::Result<()> {
    let ask = move |lua: &Lua, args: MultiValue| {
        let args = args.into_vec();
        let not_running = || Err(mlua::Error::external(Raised::Table(NOT_RUNNING.into(), false)));
        raw::with(|invocation| answer(invocation, lua, &args)).unwrap_or_else(not_running)
    };
    table.set(name, lua.create_function(ask)?)
}

/// A reply buffer keeps at most this much between commands.
pub(crate) const REPLY_KEEP: usize = 32 * 1024;

/// A script that runs.
pub(crate) struct Invocation<'c, 'a> {
    pub(crate) ctx: &'c mut Context<'a>,
    /// The digest of a script, the name of a function.
    pub(crate) name: &'c str,
    pub(crate) is_function: bool,
    pub(crate) rules: Rules,
    /// The protocol of its commands' replies.
    pub(crate) protocol: Protocol,
    /// The last command's.
    pub(crate) reply: Reply,
    /// Of the last command that did not run or failed.
    pub(crate) error: Vec<u8>,
    /// When it began: asked for once it has run for a while, and others are told of it.
    pub(crate) began: Option<Instant>,
    pub(crate) killed: bool,
}

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// There is a reply.
    Replied,
    /// There is an error, which was counted.
    Failed,
}

/// An argument of a command.
enum Arg<'s> {
    Text(BorrowedBytes<'s>),
    Number(Vec<u8>),
}

impl Arg<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Arg::Text(text) => text,
            Arg::Number(text) => text,
        }
    }
}

/// The arguments of a command, which must be strings or numbers.
fn read_args(args: &[Value]) -> Result<Vec<Arg<'_>>, &'static str> {
    if args.is_empty() {
        return Err("Please specify at least one argument for this redis lib call");
    }
    let read = |value| match value {
        &Value::Integer(integer) => Ok(Arg::Number(integer.to_string().into_bytes())),
        &Value::Number(number) => Ok(Arg::Number(number::argument(number))),
        Value::String(text) => Ok(Arg::Text(text.as_bytes())),
        _ => Err("Lua redis lib command arguments must be strings or integers"),
    };
    args.iter().map(read).collect()
}

impl Invocation<'_, '_> {
    /// Runs a command.
    pub(crate) fn call(&mut self, args: &[&[u8]]) -> Called {
        self.reply.clear(REPLY_KEEP);
        self.reply.set_protocol(self.protocol);
        self.ctx.session.protocol = self.protocol;
        self.error.clear();
        let ran = self.ctx.call_from_script(args, &mut self.rules, &mut self.reply);
        if let Err(error) = ran {
            self.error.extend_from_slice(error.text().as_bytes());
            return Called::Failed;
        }
        if self.reply.is_starved() {
            self.error.extend_from_slice(CommandError::OutOfMemory.text().as_bytes());
            return Called::Failed;
        }
        match self.reply.parts().0 {
            [b'-', error @ ..] => {
                self.error.extend_from_slice(error.strip_suffix(b"\r\n").unwrap_or(error));
                Called::Failed
            }
            _ => Called::Replied,
        }
    }

    fn set_protocol(&mut self, lua: &Lua, args: &[Value]) -> Answer {
        let [version] = args else {
            return misuse("redis.setresp() requires one argument.");
        };
        self.protocol = match as_number(lua, version).map(number::to_i64) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            _ => return misuse("RESP version must be 2 or 3."),
        };
        Ok(Value::Nil)
    }

    /// Whether the user may run a command.
    fn check_acl(&mut self, args: &[Value]) -> Answer {
        let args = match read_args(args) {
            Ok(args) => args,
            Err(text) => return misuse(text),
        };
        let args: Vec<&[u8]> = args.iter().map(Arg::bytes).collect();
        match self.ctx.server.commands.resolve(&args) {
            Resolved::Command(command) => {
                let (session, server) = (&mut *self.ctx.session, self.ctx.server);
                Ok(Value::Boolean(session.may_run(server, command, &args).is_ok()))
            }
            _ => misuse("Invalid command passed to redis.acl_check_cmd()"),
        }
    }

    /// Looks around: whether the script has to stop. Others are served if it runs for long.
    fn look(&mut self) -> bool {
        let began = match self.began {
            Some(began) => began,
            None => self.show(),
        };
        match self.ctx.server.interrupt_script(began) {
            Interruption::None => false,
            Interruption::Long => {
                self.ctx.attendant.attend();
                // One of them may have been SCRIPT KILL.
                self.killed = self.ctx.server.interrupt_script(began) == Interruption::Killed;
                self.killed
            }
            Interruption::Killed => {
                self.killed = true;
                true
            }
        }
    }

    /// Lets others know of the script.
    fn show(&mut self) -> Instant {
        let began = self.ctx.began();
        self.ctx.server.note_script(Running {
            name: self.name.to_owned(),
            is_function: self.is_function,
            command: self.ctx.args.iter().map(|arg| arg.to_vec()).collect(),
            began,
            wrote: self.rules.wrote,
        });
        self.began = Some(began);
        began
    }
}

/// Nothing is replicated in this version; the argument is checked as it will be.
fn set_repl(lua: &Lua, args: &[Value]) -> Answer {
    const ALL: i64 = 3;
    let [flags] = args else {
        return misuse("redis.set_repl() requires two arguments.");
    };
    match as_number(lua, flags).map_or(0, number::to_i64) {
        flags if flags & !ALL == 0 => Ok(Value::Nil),
        _ => {
            let text =
                "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
            misuse(text)
        }
    }
}
