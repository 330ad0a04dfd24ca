//! The RESP2 and RESP3 reader and writer, without I/O.
#![forbid(unsafe_code)]

mod reply;

pub use reply::{Protocol, ReplyWriter};
