#![forbid(unsafe_code)]

pub mod bitmap;
pub mod float;
pub mod glob;
pub mod long_double;
pub mod number;
mod numeral;
