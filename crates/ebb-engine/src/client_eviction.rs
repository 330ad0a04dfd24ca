//! `maxmemory-clients`: a limit on the buffers of all clients together.
//!
//! When it is exceeded the largest clients are closed, until the others fit. Clients that said
//! CLIENT NO-EVICT count, but stay. The figures are those of CLIENT LIST, as old as a client's
//! last batch.

use std::sync::atomic::Ordering;

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

impl Server {
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
        if limit == 0 {
            return;
        }
        let clients = self.clients.all().into_iter().filter(|client| !client.is_killed());
        let mut sizes: Vec<_> = clients.map(|client| (bytes_of(&client), client)).collect();
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
            self.attend(&client);
            self.counters.evicted_clients.fetch_add(1, Ordering::Relaxed);
        }
    }
}
