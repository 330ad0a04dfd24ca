//! Runs a script or a function: what must hold before, and what becomes of its result.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use ebb_engine::scratch;
use ebb_engine::scripting::{Rules, Running, Script, ScriptFlags, Sha};
use ebb_engine::{CommandError, CommandResult, Context, Reply};
use ebb_resp::Protocol;
use mlua::{Function, MultiValue, Table, Value};
use rand::Rng;

use crate::call::{Invocation, RUNNING};
use crate::machine::{self, Kind, Machine};
use crate::random::Random;
use crate::{api, convert, shebang};

/// The digest that names a script.
pub fn sha_of(source: &[u8]) -> Sha {
    api::hex(source)
}

/// The interpreter could not do what it always can, for want of memory.
pub(crate) fn broken(error: mlua::Error) -> CommandError {
    CommandError::new(format!("ERR Lua: {}", first_line(&error.to_string())))
}

pub(crate) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Compiles a script and adds it to the server's; with `keep` it stays there until the next
/// flush.
pub fn compile(
    ctx: &Context<'_>,
    source: &[u8],
    sha: Sha,
    keep: bool,
) -> Result<Arc<Script>, CommandError> {
    let cached = ctx.server.scripting.cache.lock().get(&sha);
    let script = match cached {
        Some(script) => script,
        None => {
            let (flags, code) = shebang::script(source)?;
            let machine = machine::machine(ctx, Kind::Scripts).map_err(broken)?;
            let function = compiled(&machine, code)?;
            machine.keep(&sha, &function).map_err(broken)?;
            Arc::new(Script { sha, source: source.into(), flags })
        }
    };
    ctx.server.scripting.cache.lock().add(Arc::clone(&script), keep);
    Ok(script)
}

fn compiled(machine: &Machine, code: &[u8]) -> Result<Function, CommandError> {
    machine.compile(code, "@user_script").map_err(|text| {
        CommandError::new(format!("ERR Error compiling script (new function): {text}"))
    })
}

/// Runs a script for a command whose keys and arguments are these.
pub fn run_script(
    ctx: &mut Context<'_>,
    script: &Script,
    keys: &[&[u8]],
    args: &[&[u8]],
    read_only: bool,
) -> CommandResult {
    let machine = machine::machine(ctx, Kind::Scripts).map_err(broken)?;
    let function = match machine.find(&script.sha) {
        Some(function) => function,
        None => {
            let (_, code) = shebang::script(&script.source)?;
            let function = compiled(&machine, code)?;
            machine.keep(&script.sha, &function).map_err(broken)?;
            function
        }
    };
    let name = String::from_utf8_lossy(&script.sha).into_owned();
    let job =
        Job { kind: Kind::Scripts, name, function, flags: script.flags, read_only, keys, args };
    run(ctx, &machine, &job)
}

/// What is to run.
pub(crate) struct Job<'j> {
    pub(crate) kind: Kind,
    /// The digest of a script, the name of a function.
    pub(crate) name: String,
    pub(crate) function: Function,
    pub(crate) flags: Option<ScriptFlags>,
    /// The command is one that must not write.
    pub(crate) read_only: bool,
    pub(crate) keys: &'j [&'j [u8]],
    pub(crate) args: &'j [&'j [u8]],
}

/// What must hold for a script that says what it does.
fn admit(job: &Job<'_>, over_limit: bool) -> CommandResult {
    let Some(flags) = job.flags else { return Ok(()) };
    if !flags.has(ScriptFlags::NO_WRITES) && job.read_only {
        let text = "ERR Can not execute a script with write flag using *_ro command.";
        return Err(CommandError::new(text));
    }
    if over_limit && !flags.any(ScriptFlags::ALLOW_OOM | ScriptFlags::NO_WRITES) {
        let text = "OOM allow-oom flag is not set on the script, can not run it when used memory \
                    > 'maxmemory'";
        return Err(CommandError::new(text));
    }
    Ok(())
}

/// Runs a script or a function and answers its result.
pub(crate) fn run(ctx: &mut Context<'_>, machine: &Machine, job: &Job<'_>) -> CommandResult {
    let over_limit = ctx.server.is_over_limit();
    admit(job, over_limit)?;
    scratch::require(ctx.args.iter().map(|arg| arg.len() + 32).sum())?;
    ctx.feed_script_to_monitors();
    let began = Instant::now();
    let (db, protocol, in_script) = (ctx.session.db, ctx.session.protocol, ctx.session.in_script);
    ctx.session.in_script = true;
    ctx.server.begin_script(Running {
        name: job.name.clone(),
        is_function: job.kind == Kind::Functions,
        command: ctx.args.iter().map(|arg| arg.to_vec()).collect(),
        began,
        wrote: false,
    });
    *machine.random.borrow_mut() = Random::new(ctx.random.random());
    let invocation = RefCell::new(Invocation {
        rules: Rules::new(job.flags, job.read_only, over_limit),
        ctx: &mut *ctx,
        protocol: Protocol::Resp2,
        reply: Reply::default(),
        began,
        killed: false,
    });
    let result = execute(machine, job, &invocation);
    let Invocation { protocol: script_protocol, killed, .. } = invocation.into_inner();
    ctx.server.end_script();
    ctx.session.db = db;
    ctx.session.protocol = protocol;
    ctx.session.in_script = in_script;
    if killed {
        // The hook that fails at every line has done its work.
        machine.watch().map_err(broken)?;
    }
    let answered = match result {
        Ok((true, value)) => answer(ctx, &value, script_protocol),
        Ok((false, error)) => Err(failure(&error, &job.name, killed)),
        Err(error) => Err(broken(error)),
    };
    machine.rest(ctx, job.kind);
    answered
}

fn execute(
    machine: &Machine,
    job: &Job<'_>,
    invocation: &RefCell<Invocation<'_, '_>>,
) -> mlua::Result<(bool, Value)> {
    let lua = &machine.lua;
    let list = |words: &[&[u8]]| -> mlua::Result<Table> {
        let table = lua.create_table_with_capacity(words.len(), 0)?;
        for (at, word) in words.iter().enumerate() {
            table.raw_set(at + 1, lua.create_string(word)?)?;
        }
        Ok(table)
    };
    let (keys, args) = (list(job.keys)?, list(job.args)?);
    lua.scope(|scope| {
        let answer = scope
            .create_function(|lua, args: MultiValue| invocation.borrow_mut().answer(lua, args))?;
        lua.set_named_registry_value(RUNNING, answer)?;
        let result = machine.run.call((&job.function, keys, args));
        lua.unset_named_registry_value(RUNNING)?;
        result
    })
}

/// Answers what a script returned. An error that it returned is the command's.
fn answer(ctx: &mut Context<'_>, value: &Value, protocol: Protocol) -> CommandResult {
    if let Some((text, counted)) = convert::as_error(value) {
        let text = text.strip_prefix(b"-").unwrap_or(&text);
        let text = String::from_utf8_lossy(text).into_owned();
        let error = if counted { CommandError::Counted } else { CommandError::Text };
        return Err(error(text.into()));
    }
    convert::write(ctx.reply, value, protocol).map_err(broken)
}

/// The error of a script that failed, with the place where.
fn failure(error: &Value, name: &str, killed: bool) -> CommandError {
    let text_of =
        |value: Option<Vec<u8>>| value.map(|text| String::from_utf8_lossy(&text).into_owned());
    let Value::Table(table) = error else {
        // The handler of errors itself has failed: there is no place.
        let text = match error {
            Value::String(text) => text.to_string_lossy(),
            Value::Error(error) => first_line(&error.to_string()).to_owned(),
            _ => "unknown error".to_owned(),
        };
        return CommandError::new(format!("ERR {text} script: {name}"));
    };
    let text = if killed {
        "ERR Script killed by user with SCRIPT KILL...".to_owned()
    } else {
        text_of(convert::string_field(table, "err")).unwrap_or_else(|| "ERR unknown error".into())
    };
    let text = text.strip_prefix('-').unwrap_or(&text);
    let counted = matches!(table.raw_get("ignore_error_stats_update"), Ok(Value::Boolean(true)));
    let line: Option<u32> = table.raw_get("line").ok().flatten();
    let whole = match (text_of(convert::string_field(table, "source")), line) {
        (Some(source), Some(line)) => format!("{text} script: {name}, on {source}:{line}."),
        _ => format!("{text} script: {name}"),
    };
    if counted { CommandError::Counted(whole.into()) } else { CommandError::new(whole) }
}
