//! Evaluates expressions in an interpreter of scripts, without a server.

use mlua::Value;

use crate::machine::{Kind, Machine};

/// What an expression is as text; of one that fails, the error's text.
pub(crate) fn evaluate(machine: &Machine, expression: &str) -> String {
    let source = format!("return ({expression})");
    let function = machine.compile(source.as_bytes(), "@user_script").unwrap();
    let wrap = "local ok, result = pcall(...)
        if type(result) == 'table' then result = 'table of ' .. #result end
        return tostring(result)";
    let wrap = machine.compile(wrap.as_bytes(), "@test").unwrap();
    let text: mlua::Result<Value> = wrap.call(function);
    match text.unwrap() {
        Value::String(text) => text.as_bytes().iter().map(|&byte| char::from(byte)).collect(),
        other => panic!("{other:?}"),
    }
}

/// Asserts what expressions are. Bytes are shown as the characters with their numbers.
pub(crate) fn check(cases: &[(&str, &str)]) {
    let machine = Machine::new(Kind::Scripts, 0).unwrap();
    for (expression, expected) in cases {
        assert_eq!(evaluate(&machine, expression), *expected, "{expression}");
    }
}
