//! Libraries of functions: loading them, and calling what they offer.

use std::rc::Rc;

use ebb_engine::scripting::{Function as Offered, Library};
use ebb_engine::{CommandError, CommandResult, Context};
use mlua::{Function, Value};

use crate::code::{Code, LibraryFunction};
use crate::machine::{self, Kind, Machine};
use crate::register::Registered;
use crate::run::{self, Ready, broken, string_field};
use crate::shebang;

/// The name in the first line of a library's source.
pub fn library_name(source: &[u8]) -> Result<String, CommandError> {
    shebang::library(source).map(|(name, _)| name)
}

/// Runs a library's code to see what it offers. Nothing is added to the server's libraries; the
/// caller does that.
pub fn load_library(ctx: &Context<'_>, source: &[u8]) -> Result<Library, CommandError> {
    let (name, _) = shebang::library(source)?;
    let stored = ctx.server.scripting.library_sources.add(source)?;
    let number = ctx.server.scripting.libraries.lock().next_number();
    let machine = machine::machine(ctx, Kind::Functions).map_err(broken)?;
    let registered = execute(&machine, source)?;
    if registered.is_empty() {
        return Err(CommandError::new("ERR No functions registered"));
    }
    keep(&machine, number, &registered)?;
    let functions = registered.into_iter().map(|(offered, _)| offered).collect();
    machine.rest(ctx, Kind::Functions);
    Ok(Library { name, source: stored, functions, number })
}

/// Runs a library's code. Answers what it registered.
fn execute(machine: &Machine, source: &[u8]) -> Result<Vec<(Offered, Function)>, CommandError> {
    let (_, code) = shebang::library(source)?;
    let function = machine
        .compile(code, "@user_function")
        .map_err(|text| CommandError::new(format!("ERR Error compiling function: {text}")))?;
    let lua = &machine.lua;
    lua.set_app_data(Registered::new());
    let result: mlua::Result<(bool, Value)> = machine.load_library.call(function);
    let registered = lua.remove_app_data::<Registered>();
    let (functions, late) =
        registered.map(|library| (library.functions, library.late)).unwrap_or_default();
    if late {
        machine.watch().map_err(broken)?;
    }
    let text = match result.map_err(broken)? {
        (true, _) => return Ok(functions),
        _ if late => "ERR FUNCTION LOAD timeout".into(),
        (false, Value::Table(error)) => string_field(&error, "err")
            .map_or("ERR unknown error".into(), |text| String::from_utf8_lossy(&text).into_owned()),
        (false, _) => "ERR unknown error".into(),
    };
    Err(CommandError::new(format!("ERR Error registering functions: {text}")))
}

/// Keeps a library's functions in the interpreter.
fn keep(
    machine: &Machine,
    number: u64,
    registered: &[(Offered, Function)],
) -> Result<(), CommandError> {
    for (offered, function) in registered {
        let slot = machine.keep(function).map_err(broken)?;
        let kept = LibraryFunction { library: number, name: offered.name.as_str().into() };
        machine.functions.borrow_mut().keep(kept, slot);
    }
    Ok(())
}

/// The compiled function of a library; the library is loaded if this thread has not seen it.
fn compiled(machine: &Machine, library: &Library, offered: &Offered) -> Result<i32, CommandError> {
    let wanted = LibraryFunction { library: library.number, name: offered.name.as_str().into() };
    let find = || machine.functions.borrow().find(&wanted);
    if let Some(slot) = find() {
        return Ok(slot);
    }
    keep(machine, library.number, &execute(machine, &library.source.read())?)?;
    find().ok_or_else(|| CommandError::new("ERR Function not found"))
}

/// The function with a name, in any case.
pub fn find_function(ctx: &Context<'_>, name: &[u8]) -> Result<Ready, CommandError> {
    let machine = machine::machine(ctx, Kind::Functions).map_err(broken)?;
    let changes = ctx.server.scripting.libraries.lock().changes;
    let known = machine.functions.borrow_mut().called(name, changes);
    if let Some(code) = known {
        return Ok(Ready { machine, code });
    }
    let text = String::from_utf8_lossy(name);
    let found = ctx.server.scripting.libraries.lock().function(&text);
    let Some((library, offered)) = found else {
        return Err(CommandError::new("ERR Function not found"));
    };
    let slot = compiled(&machine, &library, &offered)?;
    let code = Rc::new(Code::of_function(&offered, slot));
    machine.functions.borrow_mut().note_called(name, &code);
    Ok(Ready { machine, code })
}

/// Runs a function for a command whose keys and arguments are these.
pub fn call_function(
    ctx: &mut Context<'_>,
    ready: &Ready,
    keys: &[&[u8]],
    args: &[&[u8]],
    read_only: bool,
) -> CommandResult {
    run::run(ctx, ready, Kind::Functions, keys, args, read_only)
}
