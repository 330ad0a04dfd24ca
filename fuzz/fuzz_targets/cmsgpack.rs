//! Unpacks any bytes. What is taken is packed and unpacked again, which gives as many bytes.
#![no_main]

use ebb_script::testing::{Compiled, Interpreter};
use libfuzzer_sys::fuzz_target;

const SCRIPT: &str = "
    local text = ...
    local results = {pcall(cmsgpack.unpack, text)}
    if not results[1] then return 'fine' end
    local ok, first = pcall(cmsgpack.pack, unpack(results, 2))
    if not ok then return 'fine' end
    local again = {cmsgpack.unpack(first)}
    local ok, second = pcall(cmsgpack.pack, unpack(again))
    if not ok and #again == 0 then return 'fine' end
    return #first == #second and 'fine' or 'another length'
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
