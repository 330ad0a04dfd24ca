//! Subscriptions as a part of the heap: what they take, moving their blocks, and proving that
//! each of those has an owner.

use ebb_heap::{ArenaId, Block, OutOfMemory, watch};
use ebb_keyspace::defrag::Moved;

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
    /// what each subscriber listens to. A seat may be free: then there is nothing to do.
    fn with_table(&self, table: usize, work: impl FnOnce(&mut Names) -> u64) -> u64 {
        if let Some(part) = self.channels.parts.get(table) {
            return work(&mut part.lock());
        }
        if let Some(part) = self.shard_channels.parts.get(table - PARTS) {
            return work(&mut part.lock());
        }
        let Some(at) = (table - 2 * PARTS).checked_sub(1) else {
            return work(&mut self.patterns.write());
        };
        let kind = [Kind::Channel, Kind::Pattern, Kind::Shard][at % 3];
        let subscriptions = {
            let subscribers = self.subscribers.read();
            subscribers.get((at / 3) as u64).map(|seat| seat.subscriptions.clone())
        };
        subscriptions.map_or(0, |subscriptions| work(subscriptions.lock().of(kind)))
    }

    /// Goes on by one segment of a table; answers whether there is more.
    fn step(&self, sweep: &mut Sweep, work: impl FnOnce(&mut Names, u64) -> u64) -> bool {
        let Sweep { table, position } = *sweep;
        sweep.position = self.with_table(table, |names| work(names, position));
        if sweep.position == 0 {
            sweep.table += 1;
        }
        sweep.table <= 2 * PARTS + 3 * self.subscribers.read().len()
    }

    /// Moves blocks out of closed segments: those that one segment of a table names. Answers
    /// whether there is more.
    pub fn relocate_step(&self, sweep: &mut Sweep, moved: &mut Moved) -> Result<bool, OutOfMemory> {
        let mut result = Ok(());
        let more = self.step(sweep, |names, position| {
            match names.relocate(position, Block::should_move, moved) {
                Ok(next) => next,
                Err(error) => {
                    result = Err(error);
                    position
                }
            }
        });
        result.map(|()| more)
    }

    /// Claims blocks for the audit: those that one segment of a table names, and its own. Answers
    /// whether there is more.
    pub fn claim_step(&self, sweep: &mut Sweep) -> bool {
        self.step(sweep, |names, position| {
            names.inspect(position, &mut |block| {
                watch::claim(block.compact());
            })
        })
    }
}
