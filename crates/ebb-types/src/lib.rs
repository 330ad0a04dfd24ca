//! Algorithms over values that need no keyspace: numbers, glob patterns, bit operations, geohashes, LCS.
#![forbid(unsafe_code)]

pub mod bitfield;
pub mod bitmap;
pub mod digest;
pub mod float;
pub mod geo;
pub mod glob;
pub mod hyperloglog;
pub mod lcs;
pub mod long_double;
pub mod lzf;
pub mod number;
mod numeral;
