//! What others are told of a connection: its buffers, and how many commands it has run.

use std::sync::atomic::Ordering;

use ebb_engine::Server;
use ebb_resp::Arg;

use super::{Connection, Fate, Filling};

impl Connection {
    /// Bytes that it holds in buffers.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.pending.capacity() + self.external_bytes + self.output.len()
    }

    /// After reading `len` bytes into `room`. A short read says that the socket is drained, a full
    /// one that there may be more. Once the peer has ended its side there is more in any case: the
    /// end, of which no event tells again.
    pub(super) fn after_read(&self, server: &Server, fate: Fate, len: usize, room: usize) -> Fate {
        self.show_input(server);
        match fate {
            _ if len == 0 || self.session.client.is_killed() => Fate::Close,
            Fate::Wait if len == room || self.peer_ended => Fate::Again,
            fate => fate,
        }
    }

    /// Shows how much input waits for the rest of its command. As in Redis the argument that is
    /// being read is the query buffer, and those before it are the command's.
    pub(super) fn show_input(&self, server: &Server) {
        let figures = &self.session.client.figures;
        let spare = self.pending.capacity() - self.pending.len();
        let last = self.externals.last().and_then(Option::as_ref).map(|value| value.len());
        let (query, free, before) = match (&self.filling, last) {
            (Some(Filling { filled, len, .. }), _) => {
                (*filled, len - filled + spare, self.pending.len() + self.external_bytes)
            }
            (None, Some(last)) => (last, spare, self.pending.len() + self.external_bytes - last),
            (None, None) => (self.pending.len(), spare, 0),
        };
        let arguments = before + self.args.capacity() * size_of::<Arg>();
        let filling = self.filling.as_ref().map_or(0, |filling| filling.len);
        figures.arriving.store(self.external_bytes + filling, Ordering::Relaxed);
        figures.query_buffer.store(query, Ordering::Relaxed);
        figures.query_buffer_free.store(free, Ordering::Relaxed);
        figures.argv_mem.store(arguments, Ordering::Relaxed);
        server.weigh_client(&self.session.client);
    }

    pub(super) fn update_figures(&self, commands: usize, now_ms: i64) {
        let figures = &self.session.client.figures;
        figures.commands.fetch_add(commands as u64, Ordering::Relaxed);
        self.session.publish(now_ms);
    }
}
