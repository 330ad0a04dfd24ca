//! What a worker lends to a batch that runs, and how it serves others meanwhile, when a script
//! in the batch takes long.

use std::time::Duration;

use ebb_engine::scripting::Attendant;
use ebb_engine::{Executor, Reply, Request};
use mio::Events;

use super::Worker;
use crate::connection::READ_BYTES;

/// Events taken in one round.
const EVENTS_MAX: usize = 128;

/// What a batch needs of its worker. The worker makes itself new ones if it must serve others
/// before it has them back.
pub(super) struct Loan {
    pub(super) executor: Box<Executor>,
    pub(super) buffer: Box<[u8]>,
    pub(super) reply: Reply,
    pub(super) requests: Vec<Request>,
}

impl Worker {
    pub(super) fn lend(&mut self) -> Loan {
        let new = || Box::new(Executor::new(self.server, self.number));
        let executor = self.executor.take().unwrap_or_else(new);
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            buffer = vec![0; READ_BYTES].into_boxed_slice();
        }
        Loan {
            executor,
            buffer,
            reply: std::mem::take(&mut self.reply),
            requests: std::mem::take(&mut self.requests),
        }
    }

    pub(super) fn take_back(&mut self, loan: Loan) {
        self.executor = Some(loan.executor);
        self.buffer = loan.buffer;
        self.reply = loan.reply;
        self.requests = loan.requests;
        if !self.unheeded.is_empty() {
            self.server.workers[self.number].wake();
        }
    }
}

impl Worker {
    /// Whether a connection is not lent.
    fn is_here(&self, at: usize) -> bool {
        self.connections.get(at).is_some_and(Option::is_some)
    }
}

impl Attendant for Worker {
    /// One round of the event loop. Connections that take part in the batch that runs are lent
    /// to it: what comes for them waits.
    fn attend(&mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        if self.poll.poll(&mut events, Some(Duration::ZERO)).is_err() {
            return;
        }
        if self.buffer.is_empty() {
            self.buffer = vec![0; READ_BYTES].into_boxed_slice();
        }
        self.handle(&events);
        let again = std::mem::take(&mut self.again);
        let (here, away): (Vec<_>, Vec<_>) = again.into_iter().partition(|&at| self.is_here(at));
        self.again = away;
        self.turns.extend(here);
        self.run_rest();
    }
}
