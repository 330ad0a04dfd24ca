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

/// A prefix of a partition's keys.
#[derive(Debug, Clone)]
struct Prefix {
    /// Its first bytes, as [`head`] packs them.
    head: u64,
    bytes: Box<[u8]>,
    id: PartId,
    /// Where the longest of the others is that this one begins with.
    outer: Option<u16>,
}

/// The partitions of one database in one shard, by what their keys begin with.
///
/// The prefixes are sorted as bytes. All that stands between a key and a prefix of it begins
/// with that prefix too, so the longest prefix of a key is the last that is not greater than
/// the key, or one that this one begins with: a binary search, and a few steps outwards.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    prefixes: Vec<Prefix>,
    /// By id, less one.
    seats: Vec<Option<Seat>>,
}

/// The first eight bytes as a number, zeros for those that are missing: of two strings the
/// smaller never has the greater number.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let shifted = bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    if bytes.is_empty() { 0 } else { shifted << (64 - 8 * bytes.len()) }
}

impl Routes {
    /// Adds a partition of keys with a prefix; the empty one takes all that have no other. Of
    /// equal prefixes the first that is added counts.
    pub fn add(&mut self, prefix: &[u8], id: PartId, seat: Seat) {
        let at = usize::from(id) - 1;
        if self.seats.len() <= at {
            self.seats.resize(at + 1, None);
        }
        self.seats[at] = Some(seat);
        if let Err(place) = self.prefixes.binary_search_by(|other| (*other.bytes).cmp(prefix)) {
            self.insert(place, prefix, id);
        }
    }

    fn insert(&mut self, place: usize, prefix: &[u8], id: PartId) {
        let outer = self.last_not_after(prefix, head(prefix));
        let outer = outer.and_then(|at| self.outwards(at, |other| prefix.starts_with(other)));
        let place_number = place as u16;
        for other in &mut self.prefixes {
            match &mut other.outer {
                Some(at) if *at >= place_number => *at += 1,
                _ => {}
            }
        }
        let (head, bytes) = (head(prefix), prefix.into());
        let outer = outer.map(|at| at as u16);
        self.prefixes.insert(place, Prefix { head, bytes, id, outer });
        // What begins with this one stands right behind it.
        let inner = self.prefixes[place + 1..].iter_mut();
        for other in inner.take_while(|other| other.bytes.starts_with(prefix)) {
            if other.outer == outer {
                other.outer = Some(place_number);
            }
        }
    }

    /// Whether there are no partitions.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// The part of a key: that of its longest prefix.
    #[inline]
    pub fn of(&self, key: &[u8]) -> PartId {
        let Some(last) = self.last_not_after(key, head(key)) else { return 0 };
        let found = self.outwards(last, |prefix| key.starts_with(prefix));
        found.map_or(0, |at| self.prefixes[at].id)
    }

    /// Where the last prefix is that is not greater than a key with this head.
    #[inline]
    fn last_not_after(&self, key: &[u8], head: u64) -> Option<usize> {
        let not_after = |one: &Prefix| match one.head.cmp(&head) {
            std::cmp::Ordering::Equal => *one.bytes <= *key,
            order => order.is_lt(),
        };
        self.prefixes.partition_point(not_after).checked_sub(1)
    }

    /// The first of a prefix and those that it begins with, the longest first, that fits.
    #[inline]
    fn outwards(&self, from: usize, fits: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let next = |at: &usize| self.prefixes[*at].outer.map(usize::from);
        std::iter::successors(Some(from), next).find(|at| fits(&self.prefixes[*at].bytes))
    }

    pub(crate) fn seat(&self, id: PartId) -> Option<&Seat> {
        self.seats.get(usize::from(id).checked_sub(1)?)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    fn seat() -> Seat {
        Seat { data: ArenaId::new(), totals: Arc::default() }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut routes = Routes::default();
        assert_eq!(routes.of(b"sess:1"), 0);
        routes.add(b"sess:", 1, seat());
        routes.add(b"sess:admin:", 2, seat());
        assert_eq!(routes.of(b"sess:1"), 1);
        assert_eq!(routes.of(b"sess:admin:1"), 2);
        assert_eq!(routes.of(b"ses"), 0);
        routes.add(b"", 3, seat());
        assert_eq!(routes.of(b"ses"), 3);
        assert!(routes.seat(0).is_none() && routes.seat(3).is_some() && routes.seat(4).is_none());
        // Of equal ones the first counts, and the other has its seat.
        routes.add(b"sess:", 4, seat());
        assert_eq!(routes.of(b"sess:1"), 1);
        assert!(routes.seat(4).is_some());
    }

    /// Bytes that make prefixes of each other likely, long enough to go beyond their heads.
    fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
        let byte = prop::sample::select(vec![0u8, 0, 0, b'a', b'a', b'b', 0xff]);
        prop_oneof![
            3 => prop::collection::vec(byte, 0..max),
            1 => prop::collection::vec(any::<u8>(), 0..max),
        ]
    }

    proptest! {
        #[test]
        fn as_by_looking_at_all(
            prefixes in prop::collection::vec(bytes(12), 0..60),
            keys in prop::collection::vec(bytes(16), 1..60),
        ) {
            // There are not so many arenas that each case could have its own.
            static SEAT: LazyLock<Seat> = LazyLock::new(seat);
            let mut routes = Routes::default();
            for (id, prefix) in (1..).zip(&prefixes) {
                routes.add(prefix, id, SEAT.clone());
            }
            prop_assert_eq!(routes.is_empty(), prefixes.is_empty());
            for key in keys.iter().chain(&prefixes) {
                let mut expected = (0, None);
                for (id, prefix) in (1..).zip(&prefixes) {
                    let is_longer = expected.1.is_none_or(|longest| prefix.len() > longest);
                    if key.starts_with(prefix) && is_longer {
                        expected = (id, Some(prefix.len()));
                    }
                }
                prop_assert_eq!(routes.of(key), expected.0, "{:?}", key);
            }
        }
    }
}
