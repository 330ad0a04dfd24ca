//! The library `cjson`: JSON, with the settings, limits and error texts of lua-cjson 2.1.

mod decode;
mod encode;

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value};

use crate::api::{Answer, as_number, as_string, bad, raise, type_name};
use crate::number::to_i64;

/// Deeper than this nothing goes, whatever a script sets: the stack of a thread has an end, and
/// so have the values that the interpreter lets a host hold (8000).
const DEPTH_LIMIT: i64 = 1200;

/// What becomes of numbers that JSON does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

/// One library's settings; scripts change them for those that follow, as in Redis.
#[derive(Debug, Clone)]
struct Settings {
    sparse_convert: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
    encode_depth_max: i64,
    decode_depth_max: i64,
    encode_invalid: Invalid,
    decode_invalid: bool,
    keep_buffer: bool,
    precision: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            keep_buffer: true,
            precision: 14,
        }
    }
}

type Shared = Rc<RefCell<Settings>>;

fn bad_argument(at: usize, name: &str, what: &str) -> String {
    format!("bad argument #{at} to '{name}' ({what})")
}

/// Reads an argument that is an integer within bounds; `None` leaves the setting.
fn integer(
    lua: &Lua,
    name: &str,
    args: &MultiValue,
    at: usize,
    min: i64,
) -> Result<Option<i64>, String> {
    let max = i64::from(i32::MAX);
    let value = match args.get(at) {
        None | Some(Value::Nil) => return Ok(None),
        Some(value) => value,
    };
    let Some(number) = as_number(lua, value) else {
        let what = format!("number expected, got {}", type_name(Some(value)));
        return Err(bad_argument(at + 1, name, &what));
    };
    let number = to_i64(number);
    let max = if name == "encode_number_precision" { 14 } else { max };
    if number < min || number > max {
        let what = format!("expected integer between {min} and {max}");
        return Err(bad_argument(at + 1, name, &what));
    }
    Ok(Some(number))
}

/// Reads an argument that is `true`, `false` or one of some words.
fn choice(
    name: &str,
    args: &MultiValue,
    at: usize,
    words: &[&str],
) -> Result<Option<usize>, String> {
    match args.get(at) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Boolean(on)) => Ok(Some(usize::from(*on))),
        Some(Value::String(word)) => {
            let found = words.iter().position(|known| known.as_bytes() == &*word.as_bytes());
            let text = || format!("invalid option '{}'", word.to_string_lossy());
            found.map(Some).ok_or_else(|| bad_argument(at + 1, name, &text()))
        }
        other => {
            let what = format!("string expected, got {}", type_name(other));
            Err(bad_argument(at + 1, name, &what))
        }
    }
}

/// A function that sets what its argument says and answers the setting.
fn setting(
    lua: &Lua,
    settings: &Shared,
    name: &'static str,
    apply: fn(&Lua, &mut Settings, &'static str, &MultiValue) -> Result<Value, String>,
) -> mlua::Result<mlua::Function> {
    let settings = Rc::clone(settings);
    lua.create_function(move |lua, args: MultiValue| {
        if args.len() > 1 {
            return bad(lua, bad_argument(2, name, "found too many arguments"));
        }
        match apply(lua, &mut settings.borrow_mut(), name, &args) {
            Ok(value) => Ok(value),
            Err(text) => bad(lua, text),
        }
    })
}

fn depth(setting: &mut i64, read: Option<i64>) -> Value {
    if let Some(depth) = read {
        *setting = depth;
    }
    Value::Number(*setting as f64)
}

fn add_settings(lua: &Lua, table: &Table, settings: &Shared) -> mlua::Result<()> {
    let add = |name, apply| table.set(name, setting(lua, settings, name, apply)?);
    add("encode_max_depth", |lua, settings, name, args| {
        Ok(depth(&mut settings.encode_depth_max, integer(lua, name, args, 0, 1)?))
    })?;
    add("decode_max_depth", |lua, settings, name, args| {
        Ok(depth(&mut settings.decode_depth_max, integer(lua, name, args, 0, 1)?))
    })?;
    add("encode_number_precision", |lua, settings, name, args| {
        Ok(depth(&mut settings.precision, integer(lua, name, args, 0, 1)?))
    })?;
    add("encode_keep_buffer", |_, settings, name, args| {
        if let Some(keep) = choice(name, args, 0, &["off", "on"])? {
            settings.keep_buffer = keep == 1;
        }
        Ok(Value::Boolean(settings.keep_buffer))
    })?;
    add("decode_invalid_numbers", |_, settings, name, args| {
        if let Some(allow) = choice(name, args, 0, &["off", "on"])? {
            settings.decode_invalid = allow == 1;
        }
        Ok(Value::Boolean(settings.decode_invalid))
    })?;
    add("encode_invalid_numbers", |lua, settings, name, args| {
        const ALL: [Invalid; 3] = [Invalid::Refused, Invalid::Written, Invalid::Null];
        if let Some(chosen) = choice(name, args, 0, &["off", "on", "null"])? {
            settings.encode_invalid = ALL[chosen];
        }
        match settings.encode_invalid {
            Invalid::Refused => Ok(Value::Boolean(false)),
            Invalid::Written => Ok(Value::Boolean(true)),
            Invalid::Null => {
                lua.create_string("null").map(Value::String).map_err(|error| error.to_string())
            }
        }
    })
}

/// `encode_sparse_array(convert, ratio, safe)`: the three settings after the change.
fn sparse_array(
    lua: &Lua,
    settings: &mut Settings,
    args: &MultiValue,
) -> Result<(bool, i64, i64), String> {
    let name = "encode_sparse_array";
    if args.len() > 3 {
        return Err(bad_argument(4, name, "found too many arguments"));
    }
    if let Some(convert) = choice(name, args, 0, &["off", "on"])? {
        settings.sparse_convert = convert == 1;
    }
    if let Some(ratio) = integer(lua, name, args, 1, 0)? {
        settings.sparse_ratio = ratio;
    }
    if let Some(safe) = integer(lua, name, args, 2, 0)? {
        settings.sparse_safe = safe;
    }
    Ok((settings.sparse_convert, settings.sparse_ratio, settings.sparse_safe))
}

/// The library, with settings of its own.
pub(crate) fn library(lua: &Lua) -> mlua::Result<Table> {
    let settings = Shared::default();
    let table = lua.create_table()?;
    table.set("null", Value::NULL)?;
    table.set("_NAME", "cjson")?;
    table.set("_VERSION", "2.1.0")?;
    add_settings(lua, &table, &settings)?;
    let own = Rc::clone(&settings);
    let sparse = lua.create_function(move |lua, args: MultiValue| {
        sparse_array(lua, &mut own.borrow_mut(), &args).map_err(|text| raise(lua, text))
    })?;
    table.set("encode_sparse_array", sparse)?;
    let own = Rc::clone(&settings);
    let encode = lua.create_function(move |lua, args: MultiValue| -> Answer {
        if args.len() != 1 {
            return bad(lua, bad_argument(1, "encode", "expected 1 argument"));
        }
        match encode::encode(&own.borrow(), args.front().unwrap_or(&Value::Nil)) {
            Ok(text) => Ok(Value::String(lua.create_string(text)?)),
            Err(text) => bad(lua, text),
        }
    })?;
    table.set("encode", encode)?;
    let decode = lua.create_function(move |lua, args: MultiValue| -> Answer {
        if args.len() != 1 {
            return bad(lua, bad_argument(1, "decode", "expected 1 argument"));
        }
        let Some(text) = args.front().and_then(|value| as_string(lua, value)) else {
            let what = format!("string expected, got {}", type_name(args.front()));
            return bad(lua, bad_argument(1, "decode", &what));
        };
        match decode::decode(lua, &settings.borrow(), &text) {
            Ok(value) => Ok(value),
            Err(text) => bad(lua, text),
        }
    })?;
    table.set("decode", decode)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values_are_encoded_as_cjson_does() {
        check(&[
            ("cjson.encode({1,2,'x',true,cjson.null})", r#"[1,2,"x",true,null]"#),
            ("cjson.encode({})", "{}"),
            ("cjson.encode({a=1.5})", r#"{"a":1.5}"#),
            ("cjson.encode({[1]=1,[3]=3})", "[1,null,3]"),
            ("cjson.encode({[1]=1,x=2,[1.5]=3}):len()", "21"),
            ("cjson.encode(1/3)", "0.33333333333333"),
            ("cjson.encode(1e15)", "1e+15"),
            (r#"cjson.encode('"\\/\b\f\n\r\t\0\127é')"#, r#""\"\\\/\b\f\n\r\t\u0000\u007fÃ©""#),
            ("cjson.encode(nil)", "null"),
            ("cjson.encode(0/0)", "user_script:1: Cannot serialise number: must not be NaN or Inf"),
            ("cjson.encode(print)", "Script attempted to access nonexistent global variable 'print'"),
            ("cjson.encode(type)", "user_script:1: Cannot serialise function: type not supported"),
            ("cjson.encode({[{}]=1})",
             "user_script:1: Cannot serialise table: table key must be a number or string"),
            ("cjson.encode({[1]=1,[100]=2})",
             "user_script:1: Cannot serialise table: excessively sparse array"),
            ("cjson.encode()", "user_script:1: bad argument #1 to 'encode' (expected 1 argument)"),
        ].map(|(expression, text)| {
            // A variable that is missing fails with the position of the script.
            (expression, if text.starts_with("Script") {
                "user_script:1: Script attempted to access nonexistent global variable 'print'"
            } else { text })
        }));
    }

    #[test]
    fn texts_are_decoded_as_cjson_does() {
        check(&[
            ("cjson.decode('[1,2,3]')[3]", "3"),
            ("cjson.decode('{\"a\":{\"b\":null}}').a.b == cjson.null", "true"),
            (r#"cjson.decode('"\\u00e9\\ud83d\\ude00\\n"')"#, "Ã©\u{f0}\u{9f}\u{98}\u{80}\n"),
            ("cjson.decode(' -1.5e3 ')", "-1500"),
            ("cjson.decode('0x10')", "16"),
            ("cjson.decode('nan') ~= cjson.decode('nan')", "true"),
            ("cjson.decode('-inf')", "-inf"),
            ("cjson.decode('true') and not cjson.decode('false')", "true"),
            ("cjson.decode('')", "user_script:1: Expected value but found T_END at character 1"),
            ("cjson.decode('[1,')", "user_script:1: Expected value but found T_END at character 4"),
            (
                "cjson.decode('[1 2]')",
                "user_script:1: Expected comma or array end but found T_NUMBER at character 4",
            ),
            (
                "cjson.decode('{1:2}')",
                "user_script:1: Expected object key string but found T_NUMBER at character 2",
            ),
            (
                "cjson.decode('{\"a\" 2}')",
                "user_script:1: Expected colon but found T_NUMBER at character 6",
            ),
            (
                "cjson.decode('{\"a\":2 3}')",
                "user_script:1: Expected comma or object end but found T_NUMBER at character 8",
            ),
            (
                "cjson.decode('1 2')",
                "user_script:1: Expected the end but found T_NUMBER at character 3",
            ),
            (
                "cjson.decode('\"abc')",
                "user_script:1: Expected value but found unexpected end of string at character 5",
            ),
            (
                "cjson.decode('tru')",
                "user_script:1: Expected value but found invalid token at character 1",
            ),
            (
                "cjson.decode({})",
                "user_script:1: bad argument #1 to 'decode' (string expected, got table)",
            ),
            (
                "cjson.decode('a\\0')",
                "user_script:1: JSON parser does not support UTF-16 or UTF-32",
            ),
            (
                "cjson.decode(('['):rep(1001))",
                "user_script:1: Found too many nested data structures (1001) at character 1001",
            ),
        ]);
    }

    #[test]
    fn settings_are_kept_and_deep_values_end() {
        check(&[
            ("cjson.encode_max_depth()", "1000"),
            ("cjson.encode_max_depth(2)", "2"),
            ("cjson.encode({{{1}}})", "user_script:1: Cannot serialise, excessive depth (3)"),
            (
                "cjson.encode_max_depth(0)",
                "user_script:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)",
            ),
            ("cjson.new().encode({{{1}}})", "[[[1]]]"),
            ("cjson.decode_max_depth(1000000)", "1000000"),
            (
                "cjson.decode(('['):rep(100000)):len()",
                "user_script:1: Found too many nested data structures (1201) at character 1201",
            ),
            ("cjson.encode_max_depth(1000000)", "1000000"),
            (
                "(function() local t = {} for i = 1, 100000 do t = {t} end return cjson.encode(t) end)()",
                "user_script:1: Cannot serialise, excessive depth (1201)",
            ),
            ("cjson.encode_invalid_numbers('null')", "null"),
            ("cjson.encode({1/0})", "[null]"),
            ("cjson.encode_invalid_numbers(true)", "true"),
            ("cjson.encode({1/0, -1/0})", "[inf,-inf]"),
            ("cjson.decode_invalid_numbers(false)", "false"),
            (
                "cjson.decode('[01]')",
                "user_script:1: Expected value but found invalid number at character 2",
            ),
            ("cjson.encode_number_precision(3)", "3"),
            ("cjson.encode(3.14159)", "3.14"),
            ("select('#', cjson.encode_sparse_array(true, 2, 3))", "3"),
            ("cjson.encode({[100]=1})", r#"{"100":1}"#),
            ("cjson.encode_keep_buffer('off')", "false"),
            (
                "cjson.encode_keep_buffer('x')",
                "user_script:1: bad argument #1 to 'encode_keep_buffer' (invalid option 'x')",
            ),
        ]);
    }
}
