//! Every command: its specification, its function and its tests.
#![forbid(unsafe_code)]
