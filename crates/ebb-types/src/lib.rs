//! Algorithms over values that need no keyspace: numbers, glob patterns, bit operations, LCS.
#![forbid(unsafe_code)]

pub mod float;
pub mod number;
