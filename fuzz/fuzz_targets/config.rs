//! Reads any bytes as a configuration file: it is accepted or refused with a line and a reason, and what is refused
//! once is refused again.
#![no_main]

use ebb_config::parse_bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let first = parse_bytes(text, 2).map(|_| ()).map_err(|error| error.to_string());
    let again = parse_bytes(text, 2).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(first, again);
    if let Err(reason) = first {
        assert!(!reason.is_empty());
    }
});
