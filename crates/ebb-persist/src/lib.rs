//! Values as bytes outside of memory.
//!
//! [`rdb`] has the encoding of RDB files, which DUMP and RESTORE use as well: pure functions from entries to bytes
//! and back.
//!
//! Absent on purpose: files, sockets, commands, time.
#![forbid(unsafe_code)]

pub mod rdb;
