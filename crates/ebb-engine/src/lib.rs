//! Command specifications, sessions, dispatch and call: from a parsed request to its reply.
//!
//! - [`spec`] says what a command is; [`table`] finds it by name.
//! - [`dispatch`] admits a request, takes the locks of its shards and queues transactions.
//! - [`call`](mod@call) runs it with a [`Context`], measures it, and logs it.
//! - [`scripting`] keeps scripts and functions, and runs the commands that they call.
//! - [`journal`] is told of every change; [`notify`] and [`tracking`] tell clients of it.
//! - [`acl`] knows the users and what they may do.
//! - [`pubsub`] knows who listens to what, and [`mailbox`] brings messages to them.
//! - [`server`] is what all threads share; [`session`] what belongs to one connection.
//!
//! Absent on purpose: sockets, files, and the commands themselves.
#![forbid(unsafe_code)]

/// The version of Redis whose commands and replies Ebb has, as clients ask for it.
pub const REDIS_VERSION: &str = "7.2.4";

mod absent;
pub mod acl;
mod ahead;
pub mod audit;
pub mod beside;
pub mod blocking;
mod call;
mod client_eviction;
pub mod clients;
pub mod collections;
mod context;
pub mod defrag;
pub mod dispatch;
pub mod error;
pub mod eviction;
pub mod journal;
pub mod latency;
pub mod locks;
pub mod mailbox;
pub mod monitor;
mod names;
pub mod notify;
pub mod partitions;
mod pause;
pub mod pubsub;
mod recorder;
mod rejection;
pub mod reply;
pub mod scratch;
pub mod scripting;
mod seed;
pub mod server;
pub mod session;
mod several;
mod shared_args;
pub mod slowlog;
pub mod spec;
pub mod spread;
pub mod stats;
pub mod survey;
pub mod table;
pub mod tracking;
pub mod transaction;

pub use clients::{Client, Clients, Peer};
pub use context::{Context, string_of};
pub use dispatch::{Batch, Executor, Progress, Request, Turn};
pub use ebb_keyspace::Type;
pub use error::{CommandError, CommandResult};
pub use journal::{Event, EventClass};
pub use locks::Locks;
pub use reply::Reply;
pub use server::{Host, PauseMode, Server, ShutdownRequest, unix_ms, unix_us};
pub use session::{ReplyMode, Session, Transaction};
pub use spec::{
    Argument, ArgumentKind, Begin, Categories, CommandSpec, Find, Flags, Group, KeyFlags, KeySpec,
    Scope,
};
pub use table::{Command, CommandTable, Resolved};
