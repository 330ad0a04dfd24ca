//! `maxmemory-clients`: a limit on what all clients take together.
//!
//! When it is exceeded the largest clients are closed, until the others fit. Clients that said
//! CLIENT NO-EVICT count, but stay. While there is a limit, each client is weighed when its
//! figures change, and the sum is kept: it is exceeded for no longer than one batch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ebb_config::{MemoryOrPercent, id};

use crate::clients::Client;
use crate::server::Server;

/// What a watched key, a subscription and a prefix of CLIENT TRACKING take, about.
const NAME_BYTES: usize = 96;

/// The limit, and what is known of its use.
#[derive(Debug, Default)]
pub(crate) struct ClientLimit {
    /// Bytes; 0 if there is no limit.
    bytes: AtomicUsize,
    /// What the clients weighed took, together.
    used: AtomicUsize,
    /// Nobody was left to be closed when it was exceeded last: only maintenance looks again.
    is_hopeless: AtomicBool,
}

impl Client {
    /// Bytes that it takes: buffers, queued commands, what it watches, follows and listens to.
    pub fn memory_bytes(&self) -> usize {
        let figures = &self.figures;
        let read = |figure: &AtomicUsize| figure.load(Ordering::Relaxed);
        let names = [
            &figures.watch,
            &figures.channels,
            &figures.patterns,
            &figures.shard_channels,
            &figures.prefixes,
        ];
        let buffers = [
            &figures.query_buffer,
            &figures.query_buffer_free,
            &figures.argv_mem,
            &figures.multi_mem,
            &figures.output_bytes,
        ];
        size_of::<Client>()
            + self.address.len() * 2
            + names.into_iter().map(read).sum::<usize>() * NAME_BYTES
            + buffers.into_iter().map(read).sum::<usize>()
            + self.inbox_bytes()
    }

    /// The same without what is in the heap or shared with others: values that arrive, and values
    /// and messages that wait by reference.
    pub fn own_bytes(&self) -> usize {
        let figures = &self.figures;
        let elsewhere = figures.output_shared.load(Ordering::Relaxed)
            + figures.arriving.load(Ordering::Relaxed)
            + self.inbox_bytes();
        self.memory_bytes().saturating_sub(elsewhere)
    }

    /// Notes what it takes now; answers what it took before.
    fn weigh(&self) -> (usize, usize) {
        let now = self.memory_bytes();
        (self.figures.weighed.swap(now, Ordering::Relaxed), now)
    }
}

impl ClientLimit {
    fn change(&self, (before, now): (usize, usize)) -> usize {
        let change = now.wrapping_sub(before);
        self.used.fetch_add(change, Ordering::Relaxed).wrapping_add(change)
    }
}

impl Server {
    /// Reads the directives anew.
    fn measure_client_limit(&self) -> usize {
        let memory: u64 = self.config.get(id::MAXMEMORY);
        let bytes = match self.config.get(id::MAXMEMORY_CLIENTS) {
            MemoryOrPercent::Bytes(bytes) => bytes as usize,
            MemoryOrPercent::Percent(percent) => (memory as f64 / 100.0 * percent as f64) as usize,
        };
        self.client_limit.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }

    /// Weighs a client whose figures have changed, and closes the largest clients if all of them
    /// together take too much.
    #[inline]
    pub fn weigh_client(&self, client: &Client) {
        let limit = self.client_limit.bytes.load(Ordering::Relaxed);
        if limit != 0 && !client.is_killed() {
            self.weigh_against(client, limit);
        }
    }

    #[cold]
    fn weigh_against(&self, client: &Client, limit: usize) {
        let used = self.client_limit.change(client.weigh());
        if used > limit && !self.client_limit.is_hopeless.load(Ordering::Relaxed) {
            self.evict_clients();
        }
    }

    /// A client is gone.
    pub fn forget_weight(&self, client: &Client) {
        self.client_limit.change((client.figures.weighed.swap(0, Ordering::Relaxed), 0));
    }

    /// Closes the largest clients if all of them together take too much.
    pub fn evict_clients(&self) {
        let limit = self.measure_client_limit();
        if limit == 0 {
            return;
        }
        let clients = self.clients.all().into_iter().filter(|client| !client.is_killed());
        let mut sizes = Vec::new();
        let mut used = 0;
        for client in clients {
            let weights = client.weigh();
            self.client_limit.change(weights);
            used += weights.1;
            sizes.push((weights.1, client));
        }
        sizes.retain(|(_, client)| !client.figures.no_evict.load(Ordering::Relaxed));
        sizes.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, client) in sizes {
            if used <= limit {
                break;
            }
            used -= bytes;
            client.kill();
            self.forget_weight(&client);
            self.attend(&client);
            self.counters.evicted_clients.fetch_add(1, Ordering::Relaxed);
        }
        self.client_limit.is_hopeless.store(used > limit, Ordering::Relaxed);
    }
}
