#![forbid(unsafe_code)]

pub mod bitfield;
pub mod bitmap;
pub mod float;
pub mod glob;
pub mod lcs;
pub mod long_double;
pub mod number;
mod numeral;
