//! Every command: a file holds its specification, its function and its tests.
//!
//! A command is one [`ebb_engine::CommandSpec`] and one function from a
//! [`ebb_engine::Context`]. Close relatives share a file. A group's `mod.rs` lists its
//! commands, and [`table`] lists the groups.
#![forbid(unsafe_code)]

pub mod acl;
pub mod bitmap;
pub mod connection;
mod deadline;
mod element_scan;
#[cfg(test)]
mod following;
pub mod generic;
pub mod geo;
pub mod hash;
mod help;
pub mod hyperloglog;
pub mod list;
mod numkeys;
pub mod partition;
pub mod pubsub;
mod random_count;
pub mod scripting;
pub mod server;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod string;
pub mod table;
#[cfg(test)]
mod testing;
pub mod transactions;
