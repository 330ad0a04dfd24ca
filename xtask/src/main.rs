//! Developer tasks behind `./x`.
fn main() {}
