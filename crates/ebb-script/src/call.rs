//! What a script asks of the server while it runs: commands above all.

use std::time::Instant;

use ebb_engine::scripting::{Interruption, Rules};
use ebb_engine::{CommandError, Context, Reply, Resolved};
use ebb_resp::Protocol;
use mlua::{BorrowedBytes, Function, Lua, MultiValue, Table, Value};

use crate::api::{Answer, Raised, as_number, error_table, misuse};
use crate::{convert, number};

/// Where the function is that answers what a script asks: its first argument is a [`Question`].
pub(crate) const RUNNING: &str = "ebb.running";

/// What a script, or the interpreter that runs it, asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Call,
    TryCall,
    SetProtocol,
    CheckAcl,
    SetReplication,
    /// Whether it has to stop.
    Look,
}

const QUESTIONS: [(Question, &str); 6] = [
    (Question::Call, "call"),
    (Question::TryCall, "pcall"),
    (Question::SetProtocol, "setresp"),
    (Question::CheckAcl, "acl_check_cmd"),
    (Question::SetReplication, "set_repl"),
    (Question::Look, "look"),
];

/// The stack between two functions has an end: more arguments than this are passed in a table,
/// and [`IN_TABLE`] is added to the question.
const ON_STACK_MAX: usize = 1000;
/// See [`ON_STACK_MAX`].
const IN_TABLE: usize = 100;

/// Asks what runs. Without a script there is nobody to answer.
fn ask(lua: &Lua, question: Question, mut args: MultiValue) -> Answer {
    let Ok(running) = lua.named_registry_value::<Function>(RUNNING) else {
        return misuse("redis.call/pcall can only be called inside a script invocation");
    };
    if args.len() > ON_STACK_MAX {
        let count = args.len();
        let table = lua.create_sequence_from(args)?;
        return running.call((question as usize + IN_TABLE, count, table));
    }
    args.push_front(Value::Integer(question as mlua::Integer));
    running.call(args)
}

/// Whether the script that runs has to stop.
pub(crate) fn must_stop(lua: &Lua) -> bool {
    let answer = ask(lua, Question::Look, MultiValue::new());
    matches!(answer, Ok(Value::Boolean(true)))
}

/// Adds the functions that ask what runs to the table of the server's.
pub(crate) fn add_functions(lua: &Lua, table: &Table) -> mlua::Result<()> {
    for (question, name) in QUESTIONS {
        if question != Question::Look {
            let ask = move |lua: &Lua, args: MultiValue| ask(lua, question, args);
            table.set(name, lua.create_function(ask)?)?;
        }
    }
    Ok(())
}

/// A reply buffer keeps at most this much between commands.
const REPLY_KEEP: usize = 32 * 1024;

/// A script that runs.
pub(crate) struct Invocation<'c, 'a> {
    pub(crate) ctx: &'c mut Context<'a>,
    pub(crate) rules: Rules,
    /// The protocol of its commands' replies.
    pub(crate) protocol: Protocol,
    pub(crate) reply: Reply,
    pub(crate) began: Instant,
    pub(crate) killed: bool,
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

/// Arguments that come in a table, after their number.
fn unpacked(args: &MultiValue) -> mlua::Result<Vec<Value>> {
    match (args.front().and_then(Value::as_usize), args.get(1)) {
        (Some(count), Some(Value::Table(table))) => {
            (1..=count).map(|at| table.raw_get(at)).collect()
        }
        _ => Ok(Vec::new()),
    }
}

impl Invocation<'_, '_> {
    /// Answers a [`Question`].
    pub(crate) fn answer(&mut self, lua: &Lua, mut args: MultiValue) -> Answer {
        let number = match args.pop_front() {
            Some(Value::Integer(number)) => number as usize,
            _ => return Ok(Value::Nil),
        };
        let args = if number < IN_TABLE { args.into_vec() } else { unpacked(&args)? };
        match QUESTIONS.get(number % IN_TABLE).map(|(question, _)| *question) {
            Some(Question::Call) => self.call(lua, &args, true),
            Some(Question::TryCall) => self.call(lua, &args, false),
            Some(Question::SetProtocol) => self.set_protocol(lua, &args),
            Some(Question::CheckAcl) => self.check_acl(&args),
            Some(Question::SetReplication) => set_repl(lua, &args),
            Some(Question::Look) => Ok(Value::Boolean(self.look())),
            None => Ok(Value::Nil),
        }
    }

    /// Runs a command. With `raise` its error is the script's.
    fn call(&mut self, lua: &Lua, args: &[Value], raise: bool) -> Answer {
        let failed = |text: &[u8], counted| {
            if raise {
                Err(mlua::Error::external(Raised::Table(text.to_vec(), counted)))
            } else {
                error_table(lua, text, counted)
            }
        };
        let args = match read_args(args) {
            Ok(args) => args,
            Err(text) => return failed(format!("ERR {text}").as_bytes(), false),
        };
        let args: Vec<&[u8]> = args.iter().map(Arg::bytes).collect();
        self.reply.clear(REPLY_KEEP);
        self.reply.set_protocol(self.protocol);
        self.ctx.session.protocol = self.protocol;
        if let Err(error) = self.ctx.call_from_script(&args, &mut self.rules, &mut self.reply) {
            return failed(error.text().as_bytes(), true);
        }
        if self.reply.is_starved() {
            return failed(CommandError::OutOfMemory.text().as_bytes(), false);
        }
        match self.reply.parts().0 {
            [b'-', error @ ..] => failed(error.trim_ascii_end(), true),
            _ => convert::to_lua(lua, &self.reply),
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
        match self.ctx.server.interrupt_script(self.began) {
            Interruption::None => false,
            Interruption::Long => {
                self.ctx.attendant.attend();
                // One of them may have been SCRIPT KILL.
                self.killed = self.ctx.server.interrupt_script(self.began) == Interruption::Killed;
                self.killed
            }
            Interruption::Killed => {
                self.killed = true;
                true
            }
        }
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
