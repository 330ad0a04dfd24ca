//! The functions of the host that `sandbox.lua` builds the scripts' world from.

use std::cell::RefCell;
use std::rc::Rc;

use ebb_engine::{REDIS_VERSION, scratch};
use mlua::{Lua, MultiValue, Table, Value};
use sha1::{Digest, Sha1};

use crate::machine::SANDBOX;
use crate::random::Random;
use crate::{bits, call, cjson, cmsgpack, number, register, structs};

/// What a function of the host answers.
pub(crate) type Answer = mlua::Result<Value>;

/// What a function of the host raises. To Lua it is an object without meaning, which the sandbox
/// makes a value of where a script catches it.
#[derive(Debug)]
pub(crate) enum Raised {
    /// A text with its position.
    Text(Vec<u8>),
    /// A table with an error's text, and whether the error was counted.
    Table(Vec<u8>, bool),
}

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Raised::Text(text) | Raised::Table(text, _)) = self;
        f.write_str(&String::from_utf8_lossy(text))
    }
}

impl std::error::Error for Raised {}

/// A text to raise, with the position of the caller, if that is a function in Lua.
pub(crate) fn raise(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Error {
    let position = lua.inspect_stack(1, |debug| {
        let line = debug.current_line()?;
        Some(format!("{}:{line}: ", debug.source().short_src?))
    });
    let mut whole = position.flatten().unwrap_or_default().into_bytes();
    whole.extend_from_slice(text.as_ref());
    mlua::Error::external(Raised::Text(whole))
}

/// What a function that cannot do what it is asked answers.
pub(crate) fn bad<T>(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Result<T> {
    Err(raise(lua, text))
}

/// An error that the caller of a function of the server made.
pub(crate) fn misuse<T>(text: &str) -> mlua::Result<T> {
    Err(mlua::Error::external(Raised::Table(format!("ERR {text}").into_bytes(), false)))
}

fn raised(error: &mlua::Error) -> Option<&Raised> {
    match error {
        mlua::Error::CallbackError { cause, .. } => raised(cause),
        mlua::Error::ExternalError(error) => error.downcast_ref(),
        _ => None,
    }
}

/// The value that a script catches.
fn caught(lua: &Lua, value: Value) -> Answer {
    let Value::Error(error) = &value else { return Ok(value) };
    match raised(error) {
        Some(Raised::Text(text)) => lua.create_string(text).map(Value::String),
        Some(Raised::Table(text, counted)) => error_table(lua, text, *counted),
        None => {
            let text = error.to_string();
            let text = text.lines().next().unwrap_or_default();
            lua.create_string(text).map(Value::String)
        }
    }
}

/// A table with an error's text, as scripts get it from commands. Such an error was counted.
pub(crate) fn error_table(lua: &Lua, text: &[u8], counted: bool) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set("err", lua.create_string(text)?)?;
    if counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(Value::Table(table))
}

/// An argument as a number, as Lua converts it.
pub(crate) fn as_number(lua: &Lua, value: &Value) -> Option<f64> {
    match value {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Number(number) => Some(*number),
        Value::String(_) => lua.coerce_number(value.clone()).ok().flatten(),
        _ => None,
    }
}

/// A copy of bytes, if there is memory for it.
pub(crate) fn copied(bytes: &[u8]) -> Option<Vec<u8>> {
    scratch::require(bytes.len()).is_ok().then(|| bytes.to_vec())
}

/// An argument as a string, as Lua converts it.
pub(crate) fn as_string(lua: &Lua, value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(string) => copied(&string.as_bytes()),
        Value::Integer(_) | Value::Number(_) => {
            as_number(lua, value).map(|number| number::general(number, 14).into_bytes())
        }
        _ => None,
    }
}

/// Lua's name of a value's type, also of one that is missing.
pub(crate) fn type_name(value: Option<&Value>) -> &'static str {
    match value {
        None => "no value",
        Some(Value::LightUserData(_) | Value::UserData(_) | Value::Error(_)) => "userdata",
        Some(value) => value.type_name(),
    }
}

/// Makes the table of the host's functions.
pub(crate) fn host(lua: &Lua, random: &Rc<RefCell<Random>>) -> mlua::Result<Table> {
    let host = lua.create_table()?;
    host.set("null", Value::NULL)?;
    host.set("caught", lua.create_function(caught)?)?;
    host.set("where", lua.create_function(|lua, ()| Ok(position(lua)))?)?;
    host.set("register", lua.create_function(register::register)?)?;
    host.set("constants", constants(lua)?)?;
    host.set("redis", redis(lua)?)?;
    host.set("bit", bits::library(lua)?)?;
    host.set("struct", structs::library(lua)?)?;
    host.set("cmsgpack", cmsgpack::library(lua)?)?;
    host.set("cjson", lua.create_function(|lua, ()| cjson::library(lua))?)?;
    add_random(lua, &host, random)?;
    Ok(host)
}

/// The source and line of the script's function that runs, beneath those of the sandbox and of
/// Lua itself.
fn position(lua: &Lua) -> (Option<String>, Option<usize>) {
    for level in 1.. {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let name = source.source.map(|name| name.into_owned()).unwrap_or_default();
            let own = source.what != "C" && source.what != "tail" && name != SANDBOX;
            own.then(|| (Some(name), debug.current_line()))
        });
        match found {
            None => break,
            Some(Some(position)) => return position,
            Some(None) => {}
        }
    }
    (None, None)
}

fn constants(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let numbers = [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
    ];
    for (name, number) in numbers {
        table.set(name, number)?;
    }
    let parts = REDIS_VERSION.split('.').map(|part| part.parse().unwrap_or(0));
    let version = parts.fold(0, |number: u32, part: u32| number << 8 | part);
    table.set("SERVER_NAME", "ebb")?;
    table.set("REDIS_VERSION", REDIS_VERSION)?;
    table.set("REDIS_VERSION_NUM", version)?;
    Ok(table)
}

fn redis(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("sha1hex", lua.create_function(sha1hex)?)?;
    table.set("log", lua.create_function(log)?)?;
    table.set("error_reply", lua.create_function(error_reply)?)?;
    table.set("status_reply", lua.create_function(status_reply)?)?;
    call::add_functions(lua, &table)?;
    Ok(table)
}

fn sha1hex(lua: &Lua, args: MultiValue) -> Answer {
    if args.len() != 1 {
        return misuse("wrong number of arguments");
    }
    let bytes = args.front().and_then(|value| as_string(lua, value)).unwrap_or_default();
    Ok(Value::String(lua.create_string(hex(&bytes))?))
}

/// The SHA-1 of bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(Sha1::digest(bytes)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

fn log(lua: &Lua, args: MultiValue) -> Answer {
    let args = args.into_vec();
    let [level, texts @ ..] = args.as_slice() else {
        return misuse("redis.log() requires two arguments or more.");
    };
    if texts.is_empty() {
        return misuse("redis.log() requires two arguments or more.");
    }
    let (Value::Integer(_) | Value::Number(_)) = level else {
        return misuse("First argument must be a number (log level).");
    };
    let words: Vec<Vec<u8>> = texts.iter().filter_map(|text| as_string(lua, text)).collect();
    let text = words.join(&b' ');
    let text = String::from_utf8_lossy(&text);
    match as_number(lua, level).map(number::to_i64) {
        Some(0) => tracing::trace!("{text}"),
        Some(1) => tracing::debug!("{text}"),
        Some(2) => tracing::info!("{text}"),
        Some(3) => tracing::warn!("{text}"),
        _ => return misuse("Invalid debug level."),
    }
    Ok(Value::Nil)
}

/// The one argument of a function, if it is a string and alone.
fn only_string(args: &MultiValue) -> Option<Vec<u8>> {
    match (args.len(), args.front()) {
        (1, Some(Value::String(text))) => copied(&text.as_bytes()),
        _ => None,
    }
}

fn error_reply(lua: &Lua, args: MultiValue) -> Answer {
    let Some(text) = only_string(&args) else {
        return error_table(lua, b"ERR wrong number or type of arguments", false);
    };
    error_table(lua, &with_code(&text), false)
}

/// An error's text without a leading `-`; a single word gets a code before it.
fn with_code(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
    let text = &text[..end];
    if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat() }
}

fn status_reply(lua: &Lua, args: MultiValue) -> Answer {
    let Some(text) = only_string(&args) else {
        return error_table(lua, b"ERR wrong number or type of arguments", false);
    };
    let table = lua.create_table()?;
    table.raw_set("ok", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

fn add_random(lua: &Lua, host: &Table, random: &Rc<RefCell<Random>>) -> mlua::Result<()> {
    let draws = Rc::clone(random);
    let draw = move |lua: &Lua, args: MultiValue| {
        let bounds: Vec<f64> = args.iter().filter_map(|value| as_number(lua, value)).collect();
        if bounds.len() < args.len() {
            let wrong = args.iter().position(|value| as_number(lua, value).is_none()).unwrap_or(0);
            return bad(lua, bad_number("random", wrong, args.get(wrong)));
        }
        match draws.borrow_mut().draw(&bounds) {
            Ok(number) => Ok(Value::Number(number)),
            Err(text) => bad(lua, text),
        }
    };
    host.set("random", lua.create_function(draw)?)?;
    let random = Rc::clone(random);
    let seed = move |lua: &Lua, args: MultiValue| {
        let Some(seed) = args.front().and_then(|value| as_number(lua, value)) else {
            return bad(lua, bad_number("randomseed", 0, args.front()));
        };
        *random.borrow_mut() = Random::new(number::to_i64(seed) as u32);
        Ok(Value::Nil)
    };
    host.set("randomseed", lua.create_function(seed)?)?;
    Ok(())
}

/// Lua's text for an argument (counted from 0) that is no number.
pub(crate) fn bad_number(function: &str, at: usize, value: Option<&Value>) -> String {
    let got = type_name(value);
    format!("bad argument #{} to '{function}' (number expected, got {got})", at + 1)
}
