//! Workers, connections, listeners and maintenance: the engine with sockets and time.
//!
//! - [`start`] binds the sockets, starts the threads and waits for the end.
//! - `worker` is an event loop that owns connections; `connection` reads, runs and writes.
//! - `maintenance` expires keys, frees what was detached, and measures.
//! - `audit` looks for leaks, `survey` at what keys there are.
//! - `defrag` moves blocks out of sparse segments.
//! - `pages` tells which pages are in physical memory.
//! - `process` is what a daemon does: pid file, signals, supervision. `title` is its line in `ps`.
//!
//! Absent on purpose: what commands mean.

mod apply;
mod audit;
mod connection;
mod defrag;
mod group;
mod io;
mod listener;
pub mod logging;
mod maintenance;
pub mod oom_score;
mod output;
mod pages;
mod process;
mod startup;
mod survey;
mod title;
mod worker;

pub use startup::{Allocator, start};
