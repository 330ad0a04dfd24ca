//! An interpreter of scripts without a server, for tests and for fuzzing.

use mlua::{Function, MultiValue, Value};

use crate::machine::{Kind, Machine};

/// An interpreter that has the libraries of scripts, and no commands.
pub struct Interpreter(Machine);

impl Default for Interpreter {
    fn default() -> Interpreter {
        Interpreter(Machine::new(Kind::Scripts, 0).expect("it has what it needs built in"))
    }
}

impl Interpreter {
    /// Compiles a script. Panics if it is not Lua: it is the test that is wrong.
    pub fn compile(&self, source: &str) -> Compiled {
        Compiled(self.0.compile(source.as_bytes(), "@user_script").expect("a test is in Lua"))
    }

    /// Runs a script on strings. The result is a string, or the error's text.
    pub fn run(&self, script: &Compiled, args: &[&[u8]]) -> Result<Vec<u8>, String> {
        let args = args.iter().map(|arg| self.0.lua.create_string(arg).map(Value::String));
        let args = args.collect::<mlua::Result<MultiValue>>().map_err(|error| error.to_string())?;
        let result: mlua::Result<mlua::String> = script.0.call(args);
        result.map(|text| text.as_bytes().to_vec()).map_err(|error| error.to_string())
    }
}

/// A script of an [`Interpreter`].
pub struct Compiled(Function);

/// Asserts what expressions are; of one that fails, the error's text. Bytes are shown as the
/// characters with their numbers.
#[cfg(test)]
pub(crate) fn check(cases: &[(&str, &str)]) {
    let interpreter = Interpreter::default();
    for (expression, expected) in cases {
        let source = format!(
            "local ok, result = pcall(function(...) return ({expression}) end, ...)
            if type(result) == 'table' then result = 'table of ' .. #result end
            return tostring(result)"
        );
        let text = interpreter.run(&interpreter.compile(&source), &[]).unwrap();
        let text: String = text.into_iter().map(char::from).collect();
        assert_eq!(text, *expected, "{expression}");
    }
}
