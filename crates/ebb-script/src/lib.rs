//! The Lua host: it runs scripts and functions.
//!
//! Each worker thread has interpreters of its own ([`machine`](self)), made on first use: one
//! for scripts and one for functions. Sources are the server's
//! ([`ebb_engine::scripting`]); an interpreter compiles what it is asked for and keeps it.
//! `sandbox.lua` builds what a script sees. A script's commands run in the engine, under the
//! locks of the script.
//!
//! Absent on purpose: the commands themselves, which are in `ebb-commands`.
#![deny(unsafe_code)]

mod api;
mod bits;
mod call;
mod cjson;
mod cmsgpack;
mod code;
mod library;
mod machine;
#[allow(unsafe_code)]
mod memory;
mod number;
mod random;
#[allow(unsafe_code, reason = "it is the way between Lua and the server")]
mod raw;
mod register;
mod run;
mod shebang;
mod structs;
pub mod testing;

pub use library::{call_function, find_function, library_name, load_library};
pub use machine::{forget_functions, forget_scripts};
pub use run::{Ready, find_digest, find_source, load_script, run_script};
