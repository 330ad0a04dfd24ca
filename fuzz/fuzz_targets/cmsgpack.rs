//! Unpacks any bytes. What is taken is packed and unpacked again and again, which gives as many bytes.
#![no_main]

use ebb_script::testing::{Compiled, Interpreter};
use libfuzzer_sys::fuzz_target;

const SCRIPT: &str = "
    local text = ...
    local function pack_again(ok, ...)
        if not ok then return nil end
        local ok, packed = pcall(cmsgpack.pack, ...)
        return ok and packed or nil
    end
    local first = pack_again(pcall(cmsgpack.unpack, text))
    if not first then return 'fine' end
    -- What is nested too deep is packed as nil, and nil as an item is no item once it is unpacked.
    local second = pack_again(pcall(cmsgpack.unpack, first))
    if not second then return first == '' and 'fine' or 'what was packed is refused' end
    local third = pack_again(pcall(cmsgpack.unpack, second))
    if not third then return second == '' and 'fine' or 'what was packed again is refused' end
    return #second == #third and 'fine' or 'another length'
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
