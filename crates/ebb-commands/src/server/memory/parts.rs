//! What memory that is not keys and values is used for.

use std::sync::atomic::Ordering;

use ebb_engine::{Server, stats};

/// Bytes by purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Parts {
    /// Query and output buffers, queued commands and mail of clients that do not subscribe.
    pub(in super::super) clients_normal: usize,
    /// The same of clients that do.
    pub(in super::super) clients_pubsub: usize,
    /// Of both without what they share with others, such as values that wait by reference.
    pub(in super::super) clients_own: [usize; 2],
    /// Large values that clients are sending, in the heap.
    pub(in super::super) arriving: usize,
    /// Counts and distributions of latencies of commands.
    pub(in super::super) histograms: usize,
    /// Cached scripts: their sources in the heap, and what is outside of it.
    pub(in super::super) scripts: (usize, usize),
    /// Libraries of functions: their sources in the heap, and what is outside of it.
    pub(in super::super) functions: (usize, usize),
    /// The interpreters that run both, as they were after their last use.
    pub(in super::super) interpreters: usize,
    /// Who keeps copies of which keys: in the heap, and outside of it.
    pub(in super::super) tracking: (usize, usize),
    /// Channels and patterns with their subscribers: in the heap, and outside of it.
    pub(in super::super) pubsub: (usize, usize),
}

impl Parts {
    pub(in super::super) fn gather(server: &Server) -> Parts {
        let (eval, functions) = server.scripting.vm_bytes();
        let mut parts = Parts {
            histograms: stats::histogram_bytes(server.workers.iter().map(|worker| &worker.totals)),
            scripts: server.scripting.script_bytes(),
            functions: server.scripting.library_bytes(),
            interpreters: eval + functions,
            tracking: server.tracking.bytes(),
            pubsub: server.pubsub.bytes(),
            ..Parts::default()
        };
        for client in server.clients.all() {
            let figures = &client.figures;
            let class = match client.is_subscribed() {
                true => &mut parts.clients_pubsub,
                false => &mut parts.clients_normal,
            };
            *class += client.memory_bytes();
            parts.arriving += figures.arriving.load(Ordering::Relaxed);
            parts.clients_own[usize::from(client.is_subscribed())] += client.own_bytes();
        }
        parts
    }

    /// All together, but for the interpreters: they are there from the start.
    pub(in super::super) fn sum(&self) -> usize {
        self.clients_normal
            + self.clients_pubsub
            + self.histograms
            + self.scripts.0
            + self.scripts.1
            + self.functions.0
            + self.functions.1
            + self.tracking.0
            + self.tracking.1
            + self.pubsub.0
            + self.pubsub.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;

    #[test]
    fn mail_and_statistics_are_counted_and_are_no_data() {
        let mut client = Client::new();
        let mut listener = client.another();
        let used = client.server.used_memory();
        listener.run(&["SUBSCRIBE", &"n".repeat(50_000)]);
        // Its name is there for the channel and for the client.
        assert!(client.server.used_memory() >= used + 100_000);
        listener.say("SUBSCRIBE news");
        let before = Parts::gather(client.server);
        let message = "x".repeat(100_000);
        client.run(&["PUBLISH", "news", &message]);
        let after = Parts::gather(client.server);
        assert!(after.clients_pubsub - before.clients_pubsub >= message.len());
        assert_eq!(after.clients_normal, before.clients_normal);
        assert!(after.pubsub.0 > 0 && after.pubsub.1 > 0 && after.histograms > 0);
        let stats = client.say("MEMORY STATS");
        for owner in ["owner.data.string", "owner.clients-pubsub", "owner.command-statistics"] {
            assert!(stats.contains(owner), "{owner} is missing in {stats}");
        }
    }
}
