//! The shard locks that a worker holds: strict two-phase locking.
//!
//! Locks are taken in ascending order and all at once: to need another set means to let go
//! of what is held first. One shard's lock is kept from a command to its neighbour in the
//! pipeline, and given up before anything blocks.

use ebb_keyspace::{Key, Keyspace, Shard};
use parking_lot::MutexGuard;

/// Locks held by one worker.
pub struct Locks<'k> {
    keyspace: &'k Keyspace,
    held: Held<'k>,
    /// Access clock for entries touched under these locks.
    clock: u32,
}

enum Held<'k> {
    None,
    One(usize, MutexGuard<'k, Shard>),
    /// By ascending shard.
    Some(Vec<(usize, MutexGuard<'k, Shard>)>),
    /// Every shard.
    All(Vec<MutexGuard<'k, Shard>>),
}

impl<'k> Locks<'k> {
    /// Holds nothing yet.
    pub fn new(keyspace: &'k Keyspace, clock: u32) -> Locks<'k> {
        Locks { keyspace, held: Held::None, clock }
    }

    /// The keyspace they lock.
    pub fn keyspace(&self) -> &'k Keyspace {
        self.keyspace
    }

    fn lock(&self, shard: usize) -> MutexGuard<'k, Shard> {
        let mut guard = self.keyspace.lock(shard);
        guard.set_clock(self.clock);
        guard
    }

    /// Lets go of everything.
    pub fn release(&mut self) {
        self.held = Held::None;
    }

    /// Whether this shard is held.
    pub fn holds(&self, shard: usize) -> bool {
        match &self.held {
            Held::None => false,
            Held::One(held, _) => *held == shard,
            Held::Some(held) => held.iter().any(|(held, _)| *held == shard),
            Held::All(_) => true,
        }
    }

    /// Holds one shard.
    #[inline]
    pub fn hold_one(&mut self, shard: usize) {
        if !matches!(&self.held, Held::One(held, _) if *held == shard) {
            self.release();
            self.held = Held::One(shard, self.lock(shard));
        }
    }

    /// Looks into a shard for a moment, if that is possible without waiting.
    #[inline]
    pub fn glance(&mut self, shard: usize, look: impl FnOnce(&Shard)) {
        if self.holds(shard) {
            look(self.shard(shard));
        } else if let Some(guard) = self.keyspace.try_lock(shard) {
            look(&guard);
        }
    }

    /// Holds several shards; `shards` is sorted here.
    pub fn hold_set(&mut self, shards: &mut Vec<usize>) {
        shards.sort_unstable();
        shards.dedup();
        match shards.as_slice() {
            [] => {}
            [shard] => self.hold_one(*shard),
            _ => {
                self.release();
                self.held = Held::Some(shards.iter().map(|&s| (s, self.lock(s))).collect());
            }
        }
    }

    /// Holds all shards.
    pub fn hold_all(&mut self) {
        if self.keyspace.shards() == 1 {
            self.hold_one(0);
        } else if !matches!(self.held, Held::All(_)) {
            self.release();
            self.held = Held::All((0..self.keyspace.shards()).map(|s| self.lock(s)).collect());
        }
    }

    /// A shard that is held.
    #[inline]
    pub fn shard(&mut self, shard: usize) -> &mut Shard {
        let guard = match &mut self.held {
            Held::One(held, guard) if *held == shard => Some(guard),
            Held::Some(guards) => {
                guards.iter_mut().find(|(held, _)| *held == shard).map(|(_, guard)| guard)
            }
            Held::All(guards) => guards.get_mut(shard),
            _ => None,
        };
        match guard {
            Some(guard) => guard,
            None => unreachable!("a command touches only the keys that it declares"),
        }
    }

    /// The shard of a key, held, beside others to read.
    pub fn shard_to_read(&self, key: &Key<'_>) -> &Shard {
        let shard = self.keyspace.shard_of(key.hash());
        let guard = match &self.held {
            Held::One(held, guard) if *held == shard => Some(guard),
            Held::Some(guards) => {
                guards.iter().find(|(held, _)| *held == shard).map(|(_, guard)| guard)
            }
            Held::All(guards) => guards.get(shard),
            _ => None,
        };
        match guard {
            Some(guard) => guard,
            None => unreachable!("a command touches only the keys that it declares"),
        }
    }

    /// The shard of a key, held.
    #[inline]
    pub fn shard_of(&mut self, key: &Key<'_>) -> &mut Shard {
        self.shard(self.keyspace.shard_of(key.hash()))
    }

    /// All shards, after [`Locks::hold_all`].
    pub fn each(&mut self, mut visit: impl FnMut(&mut Shard)) {
        for shard in 0..self.keyspace.shards() {
            visit(self.shard(shard));
        }
    }
}
