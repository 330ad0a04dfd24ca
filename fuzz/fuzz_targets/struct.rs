//! Unpacks any bytes by any format, and packs again what came of it.
#![no_main]

use ebb_script::testing::{Compiled, Interpreter};
use libfuzzer_sys::fuzz_target;

const SCRIPT: &str = "
    local format, text = ...
    pcall(struct.size, format)
    local results = {pcall(struct.unpack, format, text)}
    if not results[1] then return 'fine' end
    local last = table.remove(results)
    if type(last) ~= 'number' or last < 1 then return 'no position but ' .. tostring(last) end
    local ok, packed = pcall(struct.pack, format, unpack(results, 2))
    if not ok then return 'fine' end
    local again = {pcall(struct.unpack, format, packed)}
    return again[1] and 'fine' or 'what was packed is refused: ' .. again[2]
";

thread_local! {
    static MACHINE: (Interpreter, Compiled) = {
        let interpreter = Interpreter::default();
        let script = interpreter.compile(SCRIPT);
        (interpreter, script)
    };
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let result = MACHINE.with(|(interpreter, script)| interpreter.run(script, &[input.0, input.1]));
    assert_eq!(result.as_deref(), Ok(&b"fine"[..]));
});
