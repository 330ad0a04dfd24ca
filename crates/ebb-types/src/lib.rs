#![forbid(unsafe_code)]

pub mod float;
pub mod long_double;
pub mod number;
mod numeral;
