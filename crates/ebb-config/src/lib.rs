//! The configuration: one table of directives, the redis.conf grammar, and rewriting.
//!
//! - [`start`] turns the command line, and the files it names, into a [`Config`].
//! - [`Config::get`] reads a value by its typed key from [`id`]; hot readers pay one relaxed atomic load.
//! - [`Config::get_matching`], [`Config::set`] and [`Config::rewrite`] are `CONFIG GET`, `SET` and `REWRITE`.
//!
//! A directive is one row in a file of `table`: name, aliases, kind, default, flags, and whether Ebb has what it
//! configures ([`Feature`]). Nothing here listens, logs or changes directories: that is the caller's, who hears
//! of changes through [`Applier`]. The only files touched are the
//! configuration files themselves and the file of users (`aclfile`).
#![forbid(unsafe_code)]

mod change;
mod command_line;
mod directive;
mod glob;
mod grammar;
mod include;
mod included;
mod parse;
mod partitions;
mod rewrite;
mod special;
mod store;
mod table;
mod users;
mod value;
mod words;

pub use change::{Applier, SetError};
pub use command_line::{Start, start};
pub use directive::{Directive, Feature, Id, Key};
pub use grammar::split_arguments;
pub use parse::{StartError, parse_bytes};
pub use partitions::PartitionLine;
pub use rewrite::RewriteError;
pub use special::{OutputBufferLimit, OutputBufferLimits, cpus};
pub use store::{Config, MemoryOrPercent, Stored, Value};
pub use table::{find, ids};
pub use users::UserLine;
pub use value::{Kind, Reason, Unit, parse_memory};
pub use words::*;

/// The typed keys of all directives, to read them with [`Config::get`].
pub mod id {
    pub use crate::table::cluster::*;
    pub use crate::table::data::*;
    pub use crate::table::diagnostics::*;
    pub use crate::table::general::*;
    pub use crate::table::memory::*;
    pub use crate::table::network::*;
    pub use crate::table::persistence::*;
    pub use crate::table::replication::*;
    pub use crate::table::security::*;
    pub use crate::table::tls::*;
}

/// The version that messages name.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the system says about a failure, without the number that Rust appends.
fn system_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
