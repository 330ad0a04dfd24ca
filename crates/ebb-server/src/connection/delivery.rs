//! What others send to a connection's client, and how much output may wait for it.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebb_config::OutputBufferLimit;
use ebb_engine::Server;
use ebb_engine::mailbox::Message;

use super::{Connection, Fate};

/// Messages on their way from a mailbox to a socket. There are none between deliveries.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) messages: Vec<Message>,
    /// Where short ones are put together.
    scratch: Vec<u8>,
}

impl Mail {
    /// Messages that the room for them keeps.
    const KEPT: usize = 1024;

    /// Gives back room that is seldom needed.
    pub(crate) fn trim(&mut self) {
        self.messages.shrink_to(Self::KEPT);
    }
}

impl Connection {
    /// Sends what others left.
    pub(crate) fn deliver(&mut self, server: &'static Server, mail: &mut Mail) -> Fate {
        if self.session.client.take_mail(&mut mail.messages) {
            mail.messages.clear();
            return self.close_over_limit(server);
        }
        if mail.messages.is_empty() {
            return Fate::Wait;
        }
        self.send_mail(server, mail)
    }

    /// Sends messages.
    pub(crate) fn send_mail(&mut self, server: &'static Server, mail: &mut Mail) -> Fate {
        let Mail { messages, scratch } = mail;
        let result = self.output.send_messages(&mut self.socket, messages, scratch);
        messages.clear();
        self.after_send(server, result)
    }

    /// Counts what was sent, and decides whether too much is left.
    pub(super) fn after_send(
        &mut self,
        server: &'static Server,
        result: io::Result<usize>,
    ) -> Fate {
        let Ok(sent) = result else { return Fate::Close };
        server.counters.writes.fetch_add(1, Ordering::Relaxed);
        server.counters.net_out.fetch_add(sent as u64, Ordering::Relaxed);
        let figures = &self.session.client.figures;
        figures.net_out.fetch_add(sent as u64, Ordering::Relaxed);
        figures.output_bytes.store(self.output.len(), Ordering::Relaxed);
        figures.output_shared.store(self.output.shared_bytes(), Ordering::Relaxed);
        figures.output_chunks.store(self.output.chunks(), Ordering::Relaxed);
        if self.session.close_after_reply && self.output.is_empty() {
            return Fate::Close;
        }
        if !self.output.is_empty() && self.is_over_output_limit(server) {
            return self.close_over_limit(server);
        }
        server.weigh_client(&self.session.client);
        if self.session.client.is_killed() { Fate::Close } else { Fate::Wait }
    }

    /// More output waits for the client than it may have waiting.
    pub(crate) fn close_over_limit(&self, server: &'static Server) -> Fate {
        server.counters.output_buffer_limit_disconnections.fetch_add(1, Ordering::Relaxed);
        let mut client = String::new();
        ebb_commands::connection::describe(server, &self.session.client, &mut client);
        tracing::warn!(
            "Client {} scheduled to be closed ASAP for overcoming of output buffer limits.",
            client.trim_end()
        );
        Fate::Close
    }

    /// Whether the output that waits is more than the client's class may have.
    pub(crate) fn is_over_output_limit(&mut self, server: &Server) -> bool {
        let limit = server.output_limits.of(&self.session.client);
        let OutputBufferLimit { hard_bytes, soft_bytes, soft_seconds } = limit;
        let bytes = self.output.len() as u64;
        if hard_bytes != 0 && bytes >= hard_bytes {
            return true;
        }
        if soft_bytes == 0 || bytes < soft_bytes {
            self.over_soft_limit_since = None;
            return false;
        }
        let since = *self.over_soft_limit_since.get_or_insert_with(Instant::now);
        since.elapsed() > Duration::from_secs(soft_seconds)
    }
}
