//! Decodes any bytes as JSON. What is taken is encoded and decoded again, which gives the same text.
#![no_main]

use ebb_script::testing::{Compiled, Interpreter};
use libfuzzer_sys::fuzz_target;

const SCRIPT: &str = "
    local text = ...
    local ok, value = pcall(cjson.decode, text)
    if not ok then return 'fine' end
    local ok, first = pcall(cjson.encode, value)
    if not ok then return 'fine' end
    local ok, again = pcall(cjson.decode, first)
    if not ok then return 'what was encoded is refused: ' .. first end
    local second = cjson.encode(again)
    return #first == #second and 'fine' or first .. ' became ' .. second
";

thread_local! {
    static MACHINE: (Interpreter, Compiled) = {
        let interpreter = Interpreter::default();
        let script = interpreter.compile(SCRIPT);
        (interpreter, script)
    };
}

fuzz_target!(|text: &[u8]| {
    let result = MACHINE.with(|(interpreter, script)| interpreter.run(script, &[text]));
    assert_eq!(result.as_deref(), Ok(&b"fine"[..]));
});
