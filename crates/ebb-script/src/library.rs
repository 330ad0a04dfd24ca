//! Libraries of functions: loading them, and calling what they offer.

use std::time::{Duration, Instant};

use ebb_engine::scripting::Library;
use ebb_engine::{CommandError, CommandResult, Context};
use mlua::{Function, MultiValue, Value};

use crate::call::RUNNING;
use crate::machine::{self, Kind, Machine};
use crate::register::Registered;
use crate::run::{self, Job, broken};
use crate::{convert, shebang};

/// Loading a library may take this long.
const LOAD_TIME: Duration = Duration::from_millis(500);

/// The name in the first line of a library's source.
pub fn library_name(source: &[u8]) -> Result<String, CommandError> {
    shebang::library(source).map(|(name, _)| name)
}

/// Runs a library's code to see what it offers. Nothing is added to the server's libraries; the
/// caller does that.
pub fn load_library(ctx: &Context<'_>, source: &[u8]) -> Result<Library, CommandError> {
    let (name, _) = shebang::library(source)?;
    let number = ctx.server.scripting.libraries.lock().next_number();
    let machine = machine::machine(ctx, Kind::Functions).map_err(broken)?;
    let registered = execute(&machine, source)?;
    if registered.0.is_empty() {
        return Err(CommandError::new("ERR No functions registered"));
    }
    let mut functions = Vec::with_capacity(registered.0.len());
    for (offered, function) in registered.0 {
        machine.keep(&key(number, &offered.name), &function).map_err(broken)?;
        functions.push(offered);
    }
    machine.rest(ctx, Kind::Functions);
    Ok(Library { name, source: source.into(), functions, number })
}

/// Runs a library's code.
fn execute(machine: &Machine, source: &[u8]) -> Result<Registered, CommandError> {
    let (_, code) = shebang::library(source)?;
    let function = machine
        .compile(code, "@user_function")
        .map_err(|text| CommandError::new(format!("ERR Error compiling function: {text}")))?;
    let lua = &machine.lua;
    lua.set_app_data(Registered::default());
    let began = Instant::now();
    let late = std::cell::Cell::new(false);
    let result: mlua::Result<(bool, Value)> = lua.scope(|scope| {
        let look = scope.create_function(|_, _: MultiValue| {
            late.set(began.elapsed() > LOAD_TIME);
            Ok(late.get())
        })?;
        lua.set_named_registry_value(RUNNING, look)?;
        let result = machine.load_library.call(function);
        lua.unset_named_registry_value(RUNNING)?;
        result
    });
    let registered = lua.remove_app_data::<Registered>().unwrap_or_default();
    if late.get() {
        machine.watch().map_err(broken)?;
    }
    let text = match result.map_err(broken)? {
        (true, _) => return Ok(registered),
        _ if late.get() => "ERR FUNCTION LOAD timeout".into(),
        (false, Value::Table(error)) => convert::string_field(&error, "err")
            .map_or("ERR unknown error".into(), |text| String::from_utf8_lossy(&text).into_owned()),
        (false, _) => "ERR unknown error".into(),
    };
    Err(CommandError::new(format!("ERR Error registering functions: {text}")))
}

/// By what the interpreter keeps a function.
fn key(number: u64, name: &str) -> Vec<u8> {
    format!("{number}:{name}").into_bytes()
}

/// The compiled function of a library; the library is loaded if this thread has not seen it.
fn compiled(machine: &Machine, library: &Library, name: &str) -> Result<Function, CommandError> {
    if let Some(function) = machine.find(&key(library.number, name)) {
        return Ok(function);
    }
    for (offered, function) in execute(machine, &library.source)?.0 {
        machine.keep(&key(library.number, &offered.name), &function).map_err(broken)?;
    }
    let found = machine.find(&key(library.number, name));
    found.ok_or_else(|| CommandError::new("ERR Function not found"))
}

/// Calls a function by its name.
pub fn call_function(
    ctx: &mut Context<'_>,
    name: &[u8],
    keys: &[&[u8]],
    args: &[&[u8]],
    read_only: bool,
) -> CommandResult {
    let name = String::from_utf8_lossy(name);
    let found = ctx.server.scripting.libraries.lock().function(&name);
    let Some((library, offered)) = found else {
        return Err(CommandError::new("ERR Function not found"));
    };
    let machine = machine::machine(ctx, Kind::Functions).map_err(broken)?;
    let function = compiled(&machine, &library, &offered.name)?;
    let flags = Some(offered.flags);
    let name = offered.name;
    let job = Job { kind: Kind::Functions, name, function, flags, read_only, keys, args };
    run::run(ctx, &machine, &job)
}
