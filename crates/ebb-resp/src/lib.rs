//! The RESP2 and RESP3 reader and writer, without I/O.
//!
//! [`request`] finds the commands in what a client sent, [`reply`] writes the answers, and [`client`] is the other
//! end: it encodes commands and reads replies. Nothing here owns a socket, and nothing here knows a command.

pub mod client;
mod frame;
mod inline;
mod plain;
pub mod reply;
pub mod request;

pub use client::{ReplyError, ReplyReader, Value};
pub use frame::append_in_room;
pub use reply::{Aggregate, Deferred, Protocol, ReplyWriter};
pub use request::{Arg, Limits, Progress, ProtocolError, RequestParser};
