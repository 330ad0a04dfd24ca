//! A connection whose client waits in a command.

use std::io::Read;

use ebb_engine::Server;

use super::{Connection, Fate, PENDING_READ_BYTES, Tools};
use crate::output::is_transient;

impl Connection {
    /// Keeps what the client sends while it waits, so that its end is noticed.
    pub(super) fn read_ahead(&mut self, tools: &mut Tools<'_>) -> Fate {
        let old = self.pending.len();
        if self.make_room(PENDING_READ_BYTES).is_err() {
            return Fate::Close;
        }
        let result = self.socket.read(&mut self.pending[old..]);
        self.pending.truncate(old + result.as_ref().map_or(0, |len| *len));
        match result {
            Ok(0) => Fate::Close,
            Ok(len) => {
                self.count_in(tools.server, len);
                if self.is_over_query_limit(tools) {
                    return Fate::Close;
                }
                self.after_read(tools.server, Fate::Wait, len, PENDING_READ_BYTES)
            }
            Err(error) if is_transient(&error) => Fate::Wait,
            Err(_) => Fate::Close,
        }
    }

    /// Goes on if the wait is over; answers whether it is.
    pub(crate) fn end_wait(&mut self, server: &Server) -> bool {
        if !self.session.blocked.as_ref().is_some_and(|blocked| blocked.is_over()) {
            return false;
        }
        if let Some(blocked) = self.session.blocked.take() {
            blocked.forget(&server.keyspace);
        }
        self.session.client.clear_blocked();
        self.blocked = false;
        true
    }

    /// The client is gone: nobody needs to serve it.
    pub(crate) fn abandon_wait(&mut self, server: &Server) {
        if let Some(blocked) = self.session.blocked.take() {
            blocked.abandon();
            blocked.forget(&server.keyspace);
        }
    }
}
