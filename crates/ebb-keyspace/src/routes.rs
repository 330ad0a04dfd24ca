//! Which part of a database a key belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ebb_heap::ArenaId;
use parking_lot::Mutex;

use crate::eviction::{AccessClock, Own, decode_clock, encode_clock};

/// The number of a part in its database: 0 for keys of no partition, otherwise the
/// partition's id.
pub type PartId = u8;

/// How often keys were looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// And found.
    pub hits: u64,
    /// And not found.
    pub misses: u64,
}

impl Uses {
    /// Both sums.
    pub fn plus(self, other: Uses) -> Uses {
        Uses { hits: self.hits + other.hits, misses: self.misses + other.misses }
    }
}

/// What a partition's keys take, over all shards and databases, and what became of them. Kept
/// where it changes.
#[derive(Debug, Default)]
pub struct Totals {
    keys: AtomicUsize,
    bytes: AtomicUsize,
    evicted: AtomicU64,
    expired: AtomicU64,
    /// Lookups noted by parts that are gone.
    uses: Mutex<Uses>,
    /// How uses are noted, if the partition has a policy of its own (two numbers, see there).
    clock: AtomicU64,
    factors: AtomicU64,
    own: Mutex<Own>,
}

impl Totals {
    /// Keys.
    pub fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Bytes of entries, of their values, and of the tables that find them.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keys that were evicted.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Keys that have expired.
    pub fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// Lookups that were noted by parts which are gone.
    pub fn uses(&self) -> Uses {
        *self.uses.lock()
    }

    /// Sets the counters of what became of keys to zero.
    pub fn reset_counters(&self) {
        self.evicted.store(0, Ordering::Relaxed);
        self.expired.store(0, Ordering::Relaxed);
        *self.uses.lock() = Uses::default();
    }

    /// Says how its keys are evicted. With a rule of its own, the clock must be told what time
    /// it is: call it often.
    pub fn set_own(&self, own: Own) {
        let clock = if let Own::Rule(rule) = own { Some(rule.clock) } else { None };
        let (clock, factors) = encode_clock(clock);
        // Who reads one new and one old counts one use by the old factors.
        self.factors.store(factors, Ordering::Relaxed);
        self.clock.store(clock, Ordering::Relaxed);
        *self.own.lock() = own;
    }

    pub(crate) fn own(&self) -> Own {
        *self.own.lock()
    }

    /// How uses are noted, if not as everywhere.
    #[inline]
    pub(crate) fn clock(&self) -> Option<AccessClock> {
        let clock = self.clock.load(Ordering::Relaxed);
        decode_clock(clock, || self.factors.load(Ordering::Relaxed))
    }

    pub(crate) fn count_evicted(&self) {
        self.evicted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_expired(&self, keys: usize) {
        if keys > 0 {
            self.expired.fetch_add(keys as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_uses(&self, uses: Uses) {
        let mut sum = self.uses.lock();
        *sum = sum.plus(uses);
    }

    /// One shard had so many keys and bytes and has others.
    pub(crate) fn exchange(&self, before: (usize, usize), after: (usize, usize)) {
        // Wrapping: a difference may be negative, the sum never is.
        self.keys.fetch_add(after.0.wrapping_sub(before.0), Ordering::Relaxed);
        self.bytes.fetch_add(after.1.wrapping_sub(before.1), Ordering::Relaxed);
    }
}

/// A partition's part of one shard: where its entries are allocated, and who counts them.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The arena of its entries and values, its own: emptied, it returns its memory at once.
    pub data: ArenaId,
    /// The partition's totals.
    pub totals: Arc<Totals>,
}

/// The partitions of one database in one shard, by what their keys begin with.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// The longest prefix first.
    prefixes: Vec<(Box<[u8]>, PartId)>,
    /// By id, less one.
    seats: Vec<Option<Seat>>,
}

impl Routes {
    /// Adds a partition of keys with a prefix; the empty one takes all that have no other.
    pub fn add(&mut self, prefix: &[u8], id: PartId, seat: Seat) {
        let place = self.prefixes.partition_point(|(other, _)| other.len() >= prefix.len());
        self.prefixes.insert(place, (prefix.into(), id));
        let at = usize::from(id) - 1;
        if self.seats.len() <= at {
            self.seats.resize(at + 1, None);
        }
        self.seats[at] = Some(seat);
    }

    /// Whether there are no partitions.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// The part of a key. Of equal prefixes the first that was added counts.
    #[inline]
    pub fn of(&self, key: &[u8]) -> PartId {
        let found = self.prefixes.iter().find(|(prefix, _)| key.starts_with(prefix));
        found.map_or(0, |&(_, id)| id)
    }

    pub(crate) fn seat(&self, id: PartId) -> Option<&Seat> {
        self.seats.get(usize::from(id).checked_sub(1)?)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        let seat = Seat { data: ArenaId::new(), totals: Arc::default() };
        let mut routes = Routes::default();
        assert_eq!(routes.of(b"sess:1"), 0);
        routes.add(b"sess:", 1, seat.clone());
        routes.add(b"sess:admin:", 2, seat.clone());
        assert_eq!(routes.of(b"sess:1"), 1);
        assert_eq!(routes.of(b"sess:admin:1"), 2);
        assert_eq!(routes.of(b"ses"), 0);
        routes.add(b"", 3, seat);
        assert_eq!(routes.of(b"ses"), 3);
        assert!(routes.seat(0).is_none() && routes.seat(3).is_some() && routes.seat(4).is_none());
    }
}
