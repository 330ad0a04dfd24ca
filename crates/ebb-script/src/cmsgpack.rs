//! The library `cmsgpack`: MessagePack, as lua-cmsgpack 0.4 packs and unpacks it.

mod decode;
mod encode;

use mlua::{Lua, MultiValue, Table, Value};

use crate::api::{Answer, as_number, as_string, bad, bad_number, type_name};
use crate::number::to_i64;

/// More results than this are not returned at once: Lua's stack has an end.
const RESULTS_MAX: usize = 6000;

fn pack(lua: &Lua, args: MultiValue) -> Answer {
    if args.is_empty() {
        return bad(lua, "bad argument #0 to 'pack' (MessagePack pack needs input.)");
    }
    let mut out = Vec::new();
    for value in &args {
        encode::encode(&mut out, value, 0)?;
    }
    Ok(Value::String(lua.create_string(out)?))
}

/// Which values of a text are wanted.
struct Part {
    /// The first byte.
    offset: i64,
    /// So many values; 0 from offset 0 means all, and then no offset is answered.
    limit: i64,
}

fn unpack(
    lua: &Lua,
    args: MultiValue,
    name: &str,
    part: Result<Part, String>,
) -> mlua::Result<MultiValue> {
    let Some(text) = args.front().and_then(|value| as_string(lua, value)) else {
        let got = type_name(args.front());
        return bad(lua, format!("bad argument #1 to '{name}' (string expected, got {got})"));
    };
    let Part { offset, limit } = match part {
        Ok(part) => part,
        Err(error) => return bad(lua, error),
    };
    if offset < 0 || limit < 0 {
        return bad(
            lua,
            format!("Invalid request to unpack with offset of {offset} and limit of {limit}."),
        );
    }
    if offset as usize > text.len() {
        let len = text.len();
        return bad(lua, format!("Start offset {offset} greater than input length {len}."));
    }
    let all = limit == 0 && offset == 0;
    let limit = if all { usize::MAX } else { limit as usize };
    let mut results = MultiValue::new();
    let mut rest = &text[offset as usize..];
    let mut count = 0;
    while !rest.is_empty() && count < limit {
        let value = match decode::decode(lua, &mut rest) {
            Ok(value) => value,
            Err(error) => return bad(lua, error),
        };
        count += 1;
        if results.len() >= RESULTS_MAX {
            return bad(
                lua,
                "stack overflow (too many return values at once; use unpack_one \
                             or unpack_limit instead.)",
            );
        }
        results.push_back(value);
    }
    if !all {
        let next = if rest.is_empty() { -1 } else { (text.len() - rest.len()) as i64 };
        results.push_front(Value::Number(next as f64));
    }
    Ok(results)
}

/// An argument that is an integer, or is left out if it has a default.
fn integer(
    lua: &Lua,
    args: &MultiValue,
    name: &str,
    at: usize,
    default: Option<i64>,
) -> Result<i64, String> {
    match (args.get(at), default) {
        (None | Some(Value::Nil), Some(default)) => Ok(default),
        (value, _) => match value.and_then(|value| as_number(lua, value)) {
            Some(number) => Ok(to_i64(number)),
            None => Err(bad_number(name, at, value)),
        },
    }
}

/// The library.
pub(crate) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("_NAME", "cmsgpack")?;
    table.set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    table.set("pack", lua.create_function(pack)?)?;
    let all =
        |lua: &Lua, args: MultiValue| unpack(lua, args, "unpack", Ok(Part { offset: 0, limit: 0 }));
    table.set("unpack", lua.create_function(all)?)?;
    let one = |lua: &Lua, args: MultiValue| {
        let offset = integer(lua, &args, "unpack_one", 1, Some(0));
        unpack(lua, args, "unpack_one", offset.map(|offset| Part { offset, limit: 1 }))
    };
    table.set("unpack_one", lua.create_function(one)?)?;
    let limited = |lua: &Lua, args: MultiValue| {
        let limit = integer(lua, &args, "unpack_limit", 1, None);
        let offset = integer(lua, &args, "unpack_limit", 2, Some(0));
        let part = limit.and_then(|limit| Ok(Part { offset: offset?, limit }));
        unpack(lua, args, "unpack_limit", part)
    };
    table.set("unpack_limit", lua.create_function(limited)?)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values_are_packed_in_the_shortest_form() {
        let hex = |expression: &str| {
            format!(
                "(cmsgpack.pack({expression}):gsub('.', function(c) return ('%02x'):format(c:byte()) end))"
            )
        };
        for (expression, bytes) in [
            ("1", "01"),
            ("-1", "ff"),
            ("-33", "d0df"),
            ("200", "ccc8"),
            ("65535", "cdffff"),
            ("70000", "ce00011170"),
            ("2^40", "cf0000010000000000"),
            ("-200", "d1ff38"),
            ("-40000", "d2ffff63c0"),
            ("-2^40", "d3ffffff0000000000"),
            ("0.5", "ca3f000000"),
            ("0.1", "cb3fb999999999999a"),
            ("'abc'", "a3616263"),
            ("true, nil", "c3c0"),
            ("{}", "90"),
            ("{1, {2}}", "92019102"),
            ("{a = 1}", "81a16101"),
            ("{[1] = 1, [3] = 3}", "8201010303"),
            ("('x'):rep(40)", &("d928".to_owned() + &"78".repeat(40))),
            ("type", "c0"),
        ] {
            check(&[(&hex(expression), bytes)]);
        }
    }

    #[test]
    fn values_come_back() {
        check(&[
            ("cmsgpack.unpack(cmsgpack.pack({1, 'x', {a = -5.5}}))[3].a", "-5.5"),
            ("select('#', cmsgpack.unpack(cmsgpack.pack(1, nil, 3)))", "3"),
            ("select(2, cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3), 1))", "2"),
            ("(cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3)))", "1"),
            ("(cmsgpack.unpack_one(cmsgpack.pack(7)))", "-1"),
            ("select(3, cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2))", "2"),
            ("cmsgpack.unpack('\\196\\2ab')", "ab"),
            ("cmsgpack.unpack('\\211\\255\\255\\255\\255\\255\\255\\255\\254')", "-2"),
            ("cmsgpack.unpack('\\146\\1')", "user_script:1: Missing bytes in input."),
            ("cmsgpack.unpack('\\193')", "user_script:1: Bad data format in input."),
            (
                "cmsgpack.unpack(nil)",
                "user_script:1: bad argument #1 to 'unpack' (string expected, got nil)",
            ),
            (
                "cmsgpack.unpack_one('a', 5)",
                "user_script:1: Start offset 5 greater than input length 1.",
            ),
            (
                "cmsgpack.unpack_limit('a', -1)",
                "user_script:1: Invalid request to unpack with offset of 0 and limit of -1.",
            ),
            (
                "cmsgpack.unpack(('\\145'):rep(100000))",
                "user_script:1: stack overflow (in function mp_decode_to_lua_type)",
            ),
            (
                "cmsgpack.pack()",
                "user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.)",
            ),
            (
                "#cmsgpack.pack((function() local t = {} for i = 1, 100 do t = {t} end return t end)())",
                "17",
            ),
            (
                "cmsgpack.unpack(('\\1'):rep(100000))",
                "user_script:1: stack overflow (too many return \
              values at once; use unpack_one or unpack_limit instead.)",
            ),
        ]);
    }
}
