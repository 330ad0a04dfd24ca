//! What partitions say of eviction, and the search for victims among parts that differ in it.
//!
//! Uses are noted as a partition's own policy wants it, whatever the server's is. So when memory
//! in all is short, keys that are ranked in different ways cannot be compared: a *group* is
//! drawn first, the larger the more often, and the victim is then found by the group's rule.
//! The keys of no partition and those of partitions without a policy of their own are one group;
//! every other partition is a group, but for those that never evict.

use rand::Rng;

use super::{AccessClock, Evicted, Rule, Target};
use crate::part::Part;
use crate::routes::PartId;
use crate::{Search, Shard};

/// What a partition says of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Own {
    /// Nothing: the server's policy holds.
    #[default]
    Inherit,
    /// Its keys are never evicted.
    Never,
    /// Its keys are evicted by a rule of its own.
    Rule(Rule),
}

/// An access clock as two numbers, so that readers need no lock. 0 if there is none.
pub(crate) fn encode_clock(clock: Option<AccessClock>) -> (u64, u64) {
    match clock {
        None => (0, 0),
        Some(AccessClock::Lru { seconds }) => (1 << 62 | u64::from(seconds), 0),
        Some(AccessClock::Lfu { minutes, log_factor, decay_minutes }) => {
            (2 << 62 | u64::from(minutes), u64::from(log_factor) << 32 | u64::from(decay_minutes))
        }
        Some(AccessClock::S3Fifo) => (3 << 62, 0),
    }
}

/// The clock that two numbers mean.
#[inline]
pub(crate) fn decode_clock(clock: u64, factors: impl FnOnce() -> u64) -> Option<AccessClock> {
    let time = clock as u32;
    match clock >> 62 {
        0 => None,
        1 => Some(AccessClock::Lru { seconds: time }),
        2 => {
            let factors = factors();
            let (log_factor, decay_minutes) = ((factors >> 32) as u32, factors as u32);
            Some(AccessClock::Lfu { minutes: time, log_factor, decay_minutes })
        }
        _ => Some(AccessClock::S3Fifo),
    }
}

/// Parts that are ranked alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Common,
    Partition(PartId, Rule),
}

impl Shard {
    /// Deletes the key that the rule names, or the rule of the partition that it is in, and
    /// marks the transactions that watch it. `evicted` is told of its database and name.
    pub fn evict(&mut self, rule: &Rule, mut evicted: impl FnMut(usize, &[u8])) -> Option<Evicted> {
        let (groups, common_bytes) = self.own_groups();
        if groups.is_empty() {
            return self.evict_group(Group::Common, rule, &mut evicted);
        }
        let bytes: usize = common_bytes + groups.iter().map(|(_, bytes)| bytes).sum::<usize>();
        let mut place = self.search.random().random_range(0..bytes.max(1));
        let drawn = groups.iter().position(|&(_, bytes)| {
            let here = place < bytes;
            place = place.saturating_sub(bytes);
            here
        });
        let first = drawn.map_or(Group::Common, |at| groups[at].0);
        let others = groups.iter().map(|&(group, _)| group).chain([Group::Common]);
        let order = std::iter::once(first).chain(others.filter(|&group| group != first));
        order.into_iter().find_map(|group| self.evict_group(group, rule, &mut evicted))
    }

    /// Deletes a key of a partition.
    pub fn evict_from_partition(
        &mut self,
        id: PartId,
        rule: &Rule,
        mut evicted: impl FnMut(usize, &[u8]),
    ) -> Option<Evicted> {
        self.evict_group(Group::Partition(id, *rule), rule, &mut evicted)
    }

    /// The groups other than the common one with their bytes, and the bytes of that.
    fn own_groups(&self) -> (Vec<(Group, usize)>, usize) {
        let (mut groups, mut common): (Vec<(Group, usize)>, usize) = (Vec::new(), 0);
        if self.dbs.iter().all(|db| db.part_count() == 1) {
            return (groups, common);
        }
        for (id, part) in self.dbs.iter().flat_map(|db| db.parts_with_ids()) {
            let bytes = part.counts().total_bytes();
            match part.own() {
                Own::Inherit => common += bytes,
                Own::Never => {}
                Own::Rule(rule) => {
                    let group = Group::Partition(id, rule);
                    match groups.iter_mut().find(|(other, _)| *other == group) {
                        Some((_, sum)) => *sum += bytes,
                        None => groups.push((group, bytes)),
                    }
                }
            }
        }
        (groups, common)
    }

    fn evict_group(
        &mut self,
        group: Group,
        rule: &Rule,
        evicted: &mut dyn FnMut(usize, &[u8]),
    ) -> Option<Evicted> {
        let belongs = |id: PartId, part: &Part| match group {
            Group::Common => part.own() == Own::Inherit,
            // What was put aside may be in the place of a partition of other databases.
            Group::Partition(wanted, _) => id == wanted && !part.is_aside(),
        };
        let mut parts: Vec<Target<'_>> = Vec::new();
        for (number, db) in self.dbs.iter_mut().enumerate() {
            let named = db.parts_with_ids_mut();
            let named = named.filter(|(id, part)| !part.is_empty() && belongs(*id, part));
            parts.extend(named.map(|(id, part)| (number << PartId::BITS | usize::from(id), part)));
        }
        let (search, rule): (&mut Search, Rule) = match group {
            Group::Common => (&mut self.search, *rule),
            Group::Partition(id, rule) => {
                let at = usize::from(id);
                if self.searches.len() <= at {
                    self.searches.resize_with(at + 1, Search::default);
                }
                (&mut self.searches[at], rule)
            }
        };
        let watch = &self.watch;
        search.evict(&mut parts, &rule, |number, key| {
            let db = number >> PartId::BITS;
            if !watch.is_empty() {
                watch.touch(db, key);
            }
            evicted(db, key);
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::eviction::Order;
    use crate::{Deadline, Keyspace, Routes, Seat, StringValue, Totals};

    #[test]
    fn clocks_are_kept_as_numbers() {
        let lfu = AccessClock::Lfu { minutes: 0xffff, log_factor: 7, decay_minutes: 9 };
        for clock in [None, Some(AccessClock::lru(1 << 40)), Some(lfu), Some(AccessClock::S3Fifo)] {
            let (number, factors) = encode_clock(clock);
            assert_eq!(decode_clock(number, || factors), clock);
        }
    }

    fn rule(order: Order) -> Rule {
        Rule { volatile: false, order, samples: 5, clock: AccessClock::lru(1_000_000) }
    }

    /// Keys `a0..`, `b0..` and `c0..`; the first two are partitions.
    fn keyspace() -> (Keyspace, [Arc<Totals>; 2]) {
        let keyspace = Keyspace::new(1, 1);
        let totals: [Arc<Totals>; 2] = Default::default();
        let mut routes = Routes::default();
        for (id, prefix) in [(1, b"a"), (2, b"b")] {
            let data = keyspace.partition_arena(id, 0);
            routes.add(prefix, id, Seat { data, totals: totals[usize::from(id) - 1].clone() });
        }
        keyspace.lock(0).db(0).set_routes(Arc::new(routes));
        for number in 0..100 {
            for name in ["a", "b", "c"] {
                let key = format!("{name}{number}").into_bytes();
                let value = StringValue::Text(b"some value or other");
                keyspace.lock(0).db(0).set(&keyspace.key(&key), value, Deadline::Clear).unwrap();
            }
        }
        (keyspace, totals)
    }

    #[test]
    fn one_partition_loses_keys_and_the_others_none() {
        let (keyspace, totals) = keyspace();
        let mut shard = keyspace.lock(0);
        for _ in 0..40 {
            let evict = |db, key: &[u8]| assert!(db == 0 && key.starts_with(b"b"));
            shard.evict_from_partition(2, &rule(Order::Lru), evict).unwrap();
        }
        assert_eq!((totals[0].keys(), totals[1].keys()), (100, 60));
        assert_eq!((totals[0].evicted(), totals[1].evicted()), (0, 40));
        while shard.evict_from_partition(2, &rule(Order::Random), |_, _| {}).is_some() {}
        assert_eq!((shard.db(0).len(), totals[1].keys()), (200, 0));
    }

    #[test]
    fn the_common_limit_takes_from_all_but_those_that_never_evict() {
        let (keyspace, totals) = keyspace();
        totals[0].set_own(Own::Never);
        totals[1].set_own(Own::Rule(rule(Order::Random)));
        let mut shard = keyspace.lock(0);
        let mut seen = [0; 2];
        while let Some(evicted) = shard.evict(&rule(Order::Lru), |_, key| {
            assert_ne!(key[0], b'a');
            seen[usize::from(key[0] - b'b')] += 1;
        }) {
            assert!(evicted.bytes > 0);
            if seen == [0, 0] || seen.iter().sum::<i32>() == 60 {
                // Both kinds are of the same size: neither is spared.
                assert!(seen[0] > 5 && seen[1] > 5, "{seen:?}");
            }
        }
        assert_eq!((seen, totals[0].keys()), ([100, 100], 100));
    }
}
