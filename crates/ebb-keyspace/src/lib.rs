//! Shards, tables, entries, scanning and expiry.

pub mod table;
