//! Runs a script or a function: what must hold before, and what becomes of its result.

use std::rc::Rc;
use std::sync::Arc;

use ebb_engine::scratch;
use ebb_engine::scripting::{Rules, Script, ScriptFlags, Sha};
use ebb_engine::{CommandError, CommandResult, Context, unix_us};
use ebb_resp::Protocol;
use mlua::{Table, Value};
use rand::Rng;

use crate::call::{Invocation, REPLY_KEEP};
use crate::code::Code;
use crate::machine::{self, Kind, Machine};
use crate::random::Random;
use crate::raw::Outcome;
use crate::{api, shebang};

/// A script or a function that is ready to run in this thread.
pub struct Ready {
    pub(crate) machine: Rc<Machine>,
    pub(crate) code: Rc<Code>,
}

/// The interpreter could not do what it always can, for want of memory.
pub(crate) fn broken(error: mlua::Error) -> CommandError {
    CommandError::new(format!("ERR Lua: {}", first_line(&error.to_string())))
}

pub(crate) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The script with a source, which is compiled and added to the server's if it is new.
pub fn find_source(ctx: &Context<'_>, source: &[u8]) -> Result<Ready, CommandError> {
    let machine = machine::machine(ctx, Kind::Scripts).map_err(broken)?;
    let known = machine.scripts.borrow().with_source(source).map(|(script, code)| {
        ctx.server.scripting.note_use(script);
        Rc::clone(code)
    });
    match known {
        Some(code) => Ok(Ready { machine, code }),
        None => add(ctx, machine, source, false).map(|(_, ready)| ready),
    }
}

/// The script with a digest. `None` if there is none.
pub fn find_digest(ctx: &Context<'_>, sha: &Sha) -> Result<Option<Ready>, CommandError> {
    let machine = machine::machine(ctx, Kind::Scripts).map_err(broken)?;
    let known = machine.scripts.borrow().with_digest(sha).map(|(script, code)| {
        ctx.server.scripting.note_use(script);
        Rc::clone(code)
    });
    if let Some(code) = known {
        return Ok(Some(Ready { machine, code }));
    }
    let Some(script) = ctx.server.scripting.cache.lock().get(sha) else { return Ok(None) };
    ctx.server.scripting.note_use(&script);
    let code = compile(&machine, &script)?;
    Ok(Some(Ready { machine, code }))
}

/// Compiles a script and adds it to the server's, where it stays until the next flush. Answers its
/// digest.
pub fn load_script(ctx: &Context<'_>, source: &[u8]) -> Result<Sha, CommandError> {
    let machine = machine::machine(ctx, Kind::Scripts).map_err(broken)?;
    add(ctx, machine, source, true).map(|(sha, _)| sha)
}

fn add(
    ctx: &Context<'_>,
    machine: Rc<Machine>,
    source: &[u8],
    keep: bool,
) -> Result<(Sha, Ready), CommandError> {
    let sha = api::hex(source);
    let scripting = &ctx.server.scripting;
    let cached = scripting.cache.lock().get(&sha);
    let script = match cached {
        Some(script) => script,
        None => {
            let (flags, _) = shebang::script(source)?;
            Script::new(&scripting.script_sources, sha, source, flags)?
        }
    };
    let known = machine.scripts.borrow().with_digest(&sha).map(|(_, code)| Rc::clone(code));
    let code = match known {
        Some(code) => code,
        None => compile(&machine, &script)?,
    };
    scripting.note_use(&script);
    scripting.cache.lock().add(script, keep);
    Ok((sha, Ready { machine, code }))
}

/// Compiles a script in an interpreter.
fn compile(machine: &Machine, script: &Arc<Script>) -> Result<Rc<Code>, CommandError> {
    let source = script.source();
    let (flags, code) = shebang::script(&source)?;
    let function = machine.compile(code, "@user_script").map_err(|text| {
        CommandError::new(format!("ERR Error compiling script (new function): {text}"))
    })?;
    let slot = machine.keep(&function).map_err(broken)?;
    let name = String::from_utf8_lossy(&script.sha).into();
    let code = Rc::new(Code { name, flags, slot });
    let unneeded = machine.scripts.borrow_mut().add(Arc::clone(script), &code);
    machine.forget(&unneeded).map_err(broken)?;
    Ok(code)
}

/// Runs a script for a command whose keys and arguments are these.
pub fn run_script(
    ctx: &mut Context<'_>,
    ready: &Ready,
    keys: &[&[u8]],
    args: &[&[u8]],
    read_only: bool,
) -> CommandResult {
    run(ctx, ready, Kind::Scripts, keys, args, read_only)
}

/// What must hold for a script that says what it does.
fn admit(flags: Option<ScriptFlags>, read_only: bool, over_limit: bool) -> CommandResult {
    let Some(flags) = flags else { return Ok(()) };
    if !flags.has(ScriptFlags::NO_WRITES) && read_only {
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
pub(crate) fn run(
    ctx: &mut Context<'_>,
    ready: &Ready,
    kind: Kind,
    keys: &[&[u8]],
    args: &[&[u8]],
    read_only: bool,
) -> CommandResult {
    let Ready { machine, code } = ready;
    let over_limit = ctx.server.is_over_limit();
    admit(code.flags, read_only, over_limit)?;
    scratch::require(ctx.args.iter().map(|arg| arg.len() + 32).sum())?;
    ctx.feed_script_to_monitors();
    let (db, protocol, in_script) = (ctx.session.db, ctx.session.protocol, ctx.session.in_script);
    let time_us = ctx.session.time_us;
    ctx.session.time_us = time_us.or_else(|| Some(unix_us()));
    ctx.session.in_script = true;
    *machine.random.borrow_mut() = Random::new(ctx.random.random());
    let mut invocation = Invocation {
        rules: Rules::new(code.flags, read_only, over_limit),
        ctx: &mut *ctx,
        name: &code.name,
        is_function: kind == Kind::Functions,
        protocol: Protocol::Resp2,
        reply: machine.reply.take(),
        error: Vec::new(),
        began: None,
        killed: false,
    };
    let outcome = machine.door.run(code.slot, keys, args, &mut invocation);
    let Invocation { protocol: script_protocol, mut reply, began, killed, .. } = invocation;
    reply.clear(REPLY_KEEP);
    machine.reply.set(reply);
    if began.is_some() {
        ctx.server.end_script();
    }
    ctx.session.db = db;
    ctx.session.protocol = protocol;
    ctx.session.in_script = in_script;
    ctx.session.time_us = time_us;
    if killed {
        // The hook that fails at every line has done its work.
        machine.watch().map_err(broken)?;
    }
    let answered = if outcome.failed {
        machine.clean_up().map_err(broken)?;
        outcome.value().map_err(broken).and_then(|error| Err(failure(&error, &code.name, killed)))
    } else {
        answer(ctx, &outcome, script_protocol)
    };
    drop(outcome);
    machine.rest(ctx, kind);
    answered
}

/// Answers what a script returned. An error that it returned is the command's.
fn answer(ctx: &mut Context<'_>, outcome: &Outcome<'_>, protocol: Protocol) -> CommandResult {
    let returned = outcome.write(ctx.reply, protocol);
    let returned = returned.map_err(|text| CommandError::new(format!("ERR Lua: {text}")))?;
    let Some((text, counted)) = returned else { return Ok(()) };
    let text = text.strip_prefix(b"-").unwrap_or(&text);
    let text = String::from_utf8_lossy(text).into_owned();
    let error = if counted { CommandError::Counted } else { CommandError::Text };
    Err(error(text.into()))
}

/// A field that is a string, and nothing that could be converted to one.
pub(crate) fn string_field(table: &Table, name: &str) -> Option<Vec<u8>> {
    match table.raw_get(name) {
        Ok(Value::String(text)) => Some(text.as_bytes().to_vec()),
        _ => None,
    }
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
        text_of(string_field(table, "err")).unwrap_or_else(|| "ERR unknown error".into())
    };
    let text = text.strip_prefix('-').unwrap_or(&text);
    let counted = matches!(table.raw_get("ignore_error_stats_update"), Ok(Value::Boolean(true)));
    let line: Option<u32> = table.raw_get("line").ok().flatten();
    let whole = match (text_of(string_field(table, "source")), line) {
        (Some(source), Some(line)) => format!("{text} script: {name}, on {source}:{line}."),
        _ => format!("{text} script: {name}"),
    };
    if counted { CommandError::Counted(whole.into()) } else { CommandError::new(whole) }
}
