//! `redis.register_function`: what a library offers, gathered while it is loaded.

use std::time::{Duration, Instant};

use ebb_engine::scripting::{Function as Offered, ScriptFlags};
use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::api::{Answer, as_string, misuse};
use crate::shebang::{self, NAME_RULE};

/// A library that is loaded: what it has registered so far.
pub(crate) struct Registered {
    pub(crate) functions: Vec<(Offered, Function)>,
    began: Instant,
    /// Loading it took too long.
    pub(crate) late: bool,
}

/// Loading a library may take this long.
const LOAD_TIME: Duration = Duration::from_millis(500);

impl Registered {
    /// Nothing yet.
    pub(crate) fn new() -> Registered {
        Registered { functions: Vec::new(), began: Instant::now(), late: false }
    }

    /// Whether loading has taken too long by now.
    pub(crate) fn is_late(&mut self) -> bool {
        self.late = self.began.elapsed() > LOAD_TIME;
        self.late
    }
}

/// What `redis.register_function` was given.
#[derive(Default)]
struct Form {
    name: Option<String>,
    callback: Option<Function>,
    description: Option<String>,
    flags: ScriptFlags,
}

/// Registers a function: a name and a function, or a table of named arguments.
pub(crate) fn register(lua: &Lua, args: MultiValue) -> Answer {
    let form = match args.into_vec().as_slice() {
        [Value::Table(named)] => read_table(lua, named),
        [_] => {
            Err("calling redis.register_function with a single argument is only applicable to Lua \
             table (representing named arguments).")
        }
        [name, callback] => read_pair(lua, name, callback),
        _ => Err("wrong number of arguments to redis.register_function"),
    };
    match form.and_then(|form| add(lua, form)) {
        Ok(()) => Ok(Value::Nil),
        Err(text) => misuse(text),
    }
}

fn text_of(lua: &Lua, value: &Value) -> Option<String> {
    as_string(lua, value).map(|text| String::from_utf8_lossy(&text).into_owned())
}

fn read_pair(lua: &Lua, name: &Value, callback: &Value) -> Result<Form, &'static str> {
    let Some(name) = text_of(lua, name) else {
        return Err("first argument to redis.register_function must be a string");
    };
    let Value::Function(callback) = callback else {
        return Err("second argument to redis.register_function must be a function");
    };
    Ok(Form { name: Some(name), callback: Some(callback.clone()), ..Form::default() })
}

fn read_table(lua: &Lua, named: &Table) -> Result<Form, &'static str> {
    let mut form = Form::default();
    for pair in named.pairs::<Value, Value>() {
        let Ok((Value::String(key), value)) = pair else {
            return Err("unknown argument given to redis.register_function");
        };
        match (&*key.as_bytes(), &value) {
            (b"function_name", value) => {
                let name = text_of(lua, value);
                form.name = Some(name.ok_or(
                    "function_name argument given to redis.register_function must be a string",
                )?);
            }
            (b"description", value) => {
                let text = text_of(lua, value);
                form.description = Some(text.ok_or(
                    "description argument given to redis.register_function must be a string",
                )?);
            }
            (b"callback", Value::Function(callback)) => form.callback = Some(callback.clone()),
            (b"callback", _) => {
                return Err(
                    "callback argument given to redis.register_function must be a function",
                );
            }
            (b"flags", Value::Table(flags)) => form.flags = read_flags(flags)?,
            (b"flags", _) => {
                return Err("flags argument to redis.register_function must be a table \
                            representing function flags");
            }
            _ => return Err("unknown argument given to redis.register_function"),
        }
    }
    if form.name.is_none() {
        return Err("redis.register_function must get a function name argument");
    }
    if form.callback.is_none() {
        return Err("redis.register_function must get a callback argument");
    }
    Ok(form)
}

fn read_flags(flags: &Table) -> Result<ScriptFlags, &'static str> {
    let mut all = ScriptFlags::NONE;
    for at in 1.. {
        match flags.raw_get(at) {
            Ok(Value::Nil) => break,
            Ok(Value::String(flag)) => {
                let known = flag.to_str().ok().and_then(|flag| shebang::named(&flag));
                all = all | known.ok_or("unknown flag given")?;
            }
            _ => return Err("unknown flag given"),
        }
    }
    Ok(all)
}

fn add(lua: &Lua, form: Form) -> Result<(), &'static str> {
    let (Some(name), Some(callback)) = (form.name, form.callback) else { return Ok(()) };
    let Some(mut registered) = lua.app_data_mut::<Registered>() else {
        return Err("redis.register_function can only be called on FUNCTION LOAD command");
    };
    if !shebang::is_name(&name) {
        return Err(NAME_RULE);
    }
    if registered.functions.iter().any(|(other, _)| other.name.eq_ignore_ascii_case(&name)) {
        return Err("Function already exists in the library");
    }
    let offered = Offered { name, description: form.description, flags: form.flags };
    registered.functions.push((offered, callback));
    Ok(())
}
