//! Shards, tables, entries, scanning and expiry.
