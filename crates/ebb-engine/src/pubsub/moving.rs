//! Subscriptions as a part of the heap: what they take, and visiting all their blocks.

use ebb_heap::ArenaId;

use super::{Kind, Names, PARTS, PubSub};

/// Where a walk over all tables of subscriptions stands. A table that is there from the first step
/// to the last is visited.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sweep {
    table: usize,
    position: u64,
}

impl PubSub {
    /// The arenas of its blocks and of their tables.
    pub fn arenas(&self) -> [ArenaId; 2] {
        [self.arenas.data, self.arenas.index]
    }

    /// Bytes that subscriptions take in the heap, and outside of it.
    pub fn bytes(&self) -> (usize, usize) {
        let of_parts = |kind| {
            let parts = self.channels(kind).parts.iter();
            parts.map(|part| part.lock().outside_bytes()).sum::<usize>()
        };
        let (seats, subscriptions) = {
            let subscribers = self.subscribers.read();
            (subscribers.bytes(), subscribers.subscriptions())
        };
        let of_clients: usize = subscriptions.iter().map(|own| own.lock().outside_bytes()).sum();
        let outside = of_parts(Kind::Channel)
            + of_parts(Kind::Shard)
            + self.patterns.read().outside_bytes()
            + of_clients
            + seats;
        (self.arenas().map(ArenaId::live_bytes).iter().sum(), outside)
    }

    /// Works on one table by its number: channels and shard channels by parts, the patterns, and
    /// what each subscriber listens to. A seat may be free: then there is no table.
    fn with_table<R>(&self, table: usize, work: impl FnOnce(&mut Names) -> R) -> Option<R> {
        if let Some(part) = self.channels.parts.get(table) {
            return Some(work(&mut part.lock()));
        }
        if let Some(part) = self.shard_channels.parts.get(table - PARTS) {
            return Some(work(&mut part.lock()));
        }
        let Some(at) = (table - 2 * PARTS).checked_sub(1) else {
            return Some(work(&mut self.patterns.write()));
        };
        let kind = [Kind::Channel, Kind::Pattern, Kind::Shard][at % 3];
        let subscriptions = {
            let subscribers = self.subscribers.read();
            subscribers.get((at / 3) as u64).map(|seat| seat.subscriptions.clone())
        };
        subscriptions.map(|subscriptions| work(subscriptions.lock().of(kind)))
    }

    /// Works on a table at a position, and goes on to the one that `work` answers, 0 for the next
    /// table; answers whether there is more.
    pub(crate) fn step<E>(
        &self,
        sweep: &mut Sweep,
        work: impl FnOnce(&mut Names, u64) -> Result<u64, E>,
    ) -> Result<bool, E> {
        let Sweep { table, position } = *sweep;
        let next = self.with_table(table, |names| work(names, position)).transpose()?;
        sweep.position = next.unwrap_or(0);
        sweep.table += usize::from(sweep.position == 0);
        Ok(sweep.table <= 2 * PARTS + 3 * self.subscribers.read().len())
    }
}
