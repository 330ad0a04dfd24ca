//! Connections that became ready together run together.
//!
//! All of them are read and parsed first, then all their requests run, then all replies are
//! sent. The cache misses of requests from different clients overlap, what a batch costs is
//! paid once, and the kernel's code for reading and for sending each stays in the cache.

use std::ops::Range;

use ebb_engine::scripting::Attendant;
use ebb_engine::{Batch, Executor, Progress, Reply, Request, Turn};
use ebb_resp::Arg;

use crate::connection::{Connection, Joined};

/// Connections in a group.
const MEMBERS_MAX: usize = 64;
/// A connection joins only if there is this much room for its input.
const ROOM_MIN: usize = 16 * 1024;

/// A connection whose requests wait to run.
pub(crate) struct Member {
    /// Its place in the worker's table, from which it is missing meanwhile.
    pub(crate) at: usize,
    pub(crate) connection: Box<Connection>,
    /// Its part of the buffer.
    pub(crate) input: Range<usize>,
    /// Its part of the requests.
    pub(crate) requests: Range<usize>,
    pub(crate) joined: Joined,
    pub(crate) reply: Reply,
    pub(crate) progress: Progress,
}

/// What a worker gathers before it runs requests.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) members: Vec<Member>,
    pub(crate) requests: Vec<Request>,
    pub(crate) args: Vec<Arg>,
    /// Bytes of the buffer in use.
    pub(crate) used: usize,
    /// Replies to use again.
    replies: Vec<Reply>,
    /// Room for arguments, empty between runs.
    slices: Vec<&'static [u8]>,
}

impl Group {
    /// Whether it must run before another connection can join.
    pub(crate) fn is_full(&self, buffer: usize) -> bool {
        self.members.len() == MEMBERS_MAX || buffer - self.used < ROOM_MIN
    }

    /// A reply, empty.
    pub(crate) fn reply(&mut self) -> Reply {
        self.replies.pop().unwrap_or_default()
    }

    /// Takes an empty reply back.
    pub(crate) fn give_back(&mut self, reply: Reply) {
        self.replies.push(reply);
    }

    /// Runs what all members asked for. `buffer` holds their input.
    pub(crate) fn run(
        &mut self,
        executor: &mut Executor,
        buffer: &[u8],
        attendant: &mut dyn Attendant,
    ) {
        let mut args: Vec<&[u8]> = std::mem::take(&mut self.slices);
        let mut shared = Vec::new();
        let mut turns = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            let requests = &self.requests[member.requests.clone()];
            let Some(last) = requests.last() else { continue };
            let input = &buffer[member.input.clone()];
            let (session, finder) = member.connection.parts();
            let own = &self.args[args.len()..last.first + last.count];
            finder.find(own, input, &mut args, &mut shared);
            let reply = &mut member.reply;
            turns.push((
                Turn { session, requests, reply, progress: Progress::Done },
                &mut member.progress,
            ));
        }
        let (mut turns, outcomes): (Vec<_>, Vec<_>) = turns.into_iter().unzip();
        executor.run(&mut turns, &Batch { args: &args, shared: &shared }, attendant);
        for (turn, outcome) in turns.iter().zip(outcomes) {
            *outcome = turn.progress;
        }
        self.slices = emptied(args);
    }
}

/// An empty vector that keeps the room of this one. It holds no reference, so that its type
/// may say any lifetime; collecting in place uses the allocation again.
fn emptied(mut slices: Vec<&[u8]>) -> Vec<&'static [u8]> {
    slices.clear();
    slices.into_iter().map(|_| -> &'static [u8] { &[] }).collect()
}
