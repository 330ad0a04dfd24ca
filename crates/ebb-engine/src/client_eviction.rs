//! `maxmemory-clients`: a limit on the buffers of all clients together.
//!
//! When it is exceeded the largest clients are closed, until the others fit. Clients that said
//! CLIENT NO-EVICT count, but stay. The figures are those of CLIENT LIST, as old as a client's
//! last batch.
//!
//! While there is a limit, a worker that has read from a client or written to it brings the sum up to date
//! ([`Server::note_client_bytes`]), so that the limit acts before the next commands run. All are summed up
//! anew now and then.

use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_config::{MemoryOrPercent, id};

use crate::clients::Client;
use crate::server::Server;

/// Bytes of a client's buffers.
fn bytes_of(client: &Client) -> usize {
    let figures = &client.figures;
    let buffers = [
        &figures.query_buffer,
        &figures.query_buffer_free,
        &figures.argv_mem,
        &figures.multi_mem,
        &figures.output_bytes,
    ];
    buffers.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
}

/// The buffers of all clients and their limit.
#[derive(Debug, Default)]
pub(crate) struct BufferSum {
    /// In bytes; 0 if there is none, and then nothing is summed up.
    limit: AtomicUsize,
    bytes: AtomicUsize,
}

impl BufferSum {
    /// Takes a client's part out.
    pub(crate) fn remove(&self, client: &Client) {
        self.bytes.fetch_sub(client.summed_bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Brings a client's part up to date; answers the sum.
    fn update(&self, client: &Client, bytes: usize) -> usize {
        let before = client.summed_bytes.swap(bytes, Ordering::Relaxed);
        // Wrapping, as the counter itself does.
        let difference = bytes.wrapping_sub(before);
        self.bytes.fetch_add(difference, Ordering::Relaxed).wrapping_add(difference)
    }
}

impl Server {
    /// A client's buffers have changed: closes the largest clients if all are too large together.
    #[inline]
    pub fn note_client_bytes(&self, client: &Client) {
        let sum = &self.clients.buffers;
        let limit = sum.limit.load(Ordering::Relaxed);
        if limit != 0 && sum.update(client, bytes_of(client)) > limit {
            self.evict_clients();
        }
    }

    /// The limit on the buffers of all clients in bytes; 0 if there is none.
    fn clients_limit(&self) -> usize {
        let limit: u64 = self.config.get(id::MAXMEMORY);
        match self.config.get(id::MAXMEMORY_CLIENTS) {
            MemoryOrPercent::Bytes(bytes) => bytes as usize,
            MemoryOrPercent::Percent(percent) => (limit as f64 / 100.0 * percent as f64) as usize,
        }
    }

    /// Closes the largest clients if all of them together take too much.
    pub fn evict_clients(&self) {
        let limit = self.clients_limit();
        self.clients.buffers.limit.store(limit, Ordering::Relaxed);
        if limit == 0 {
            return;
        }
        let clients = self.clients.all().into_iter().filter(|client| !client.is_killed());
        let mut sizes: Vec<_> = clients.map(|client| (bytes_of(&client), client)).collect();
        for (bytes, client) in &sizes {
            self.clients.buffers.update(client, *bytes);
        }
        let mut total: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
        if total <= limit {
            return;
        }
        sizes.retain(|(_, client)| !client.figures.no_evict.load(Ordering::Relaxed));
        sizes.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, client) in sizes {
            if total <= limit || bytes == 0 {
                break;
            }
            total -= bytes;
            client.kill();
            self.clients.buffers.remove(&client);
            self.attend(&client);
            self.counters.evicted_clients.fetch_add(1, Ordering::Relaxed);
        }
    }
}
