//! Consumer groups: how far a group has read, and what its consumers have not acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::StreamId;

/// Bytes of one pending entry in the trees of group and consumer, about.
const PENDING_BYTES: usize = 96;

/// Bytes of one pending entry in the order of times, about.
const TIME_BYTES: usize = 40;

/// Deliveries are not counted beyond what an answer can tell.
pub const DELIVERIES_MAX: u64 = i64::MAX as u64;

/// Bytes of a consumer with a name of ordinary length, about.
const CONSUMER_BYTES: usize = size_of::<Consumer>() + 48;

/// A consumer group.
#[derive(Debug, Clone)]
pub struct Group {
    /// The last entry that was delivered.
    pub last_id: StreamId,
    /// Entries that were read, if that is known.
    pub entries_read: Option<u64>,
    /// Delivered and not acknowledged.
    pending: BTreeMap<StreamId, Pending>,
    /// The same in the order of the last deliveries, from the first time on that somebody asks for
    /// it: most groups never need it.
    by_time: Option<BTreeSet<(i64, StreamId)>>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Debug, Clone)]
pub struct Pending {
    /// To whom; the consumer's own name, not a copy. `None` for one that was released.
    pub consumer: Option<Arc<[u8]>>,
    /// When, last: milliseconds since 1970; 0 for one that was released.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}

impl Pending {
    /// The name of the consumer, empty if it is nobody's.
    pub fn owner(&self) -> &[u8] {
        self.consumer.as_deref().unwrap_or_default()
    }

    /// How often it will have been delivered after the next time.
    pub fn next_delivery(&self) -> u64 {
        self.deliveries.saturating_add(1).min(DELIVERIES_MAX)
    }
}

/// A consumer.
#[derive(Debug, Clone, Default)]
pub struct Consumer {
    /// When it last asked for something: milliseconds since 1970.
    pub seen_ms: i64,
    /// When it last got something; -1 for never.
    pub active_ms: i64,
    /// What it has not acknowledged.
    pub pending: BTreeSet<StreamId>,
}

impl Group {
    /// A group that has read up to an id.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        let (pending, consumers) = Default::default();
        Group { last_id, entries_read, pending, by_time: None, consumers }
    }

    /// All that is pending, by id.
    pub fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// What was delivered last at a time, in milliseconds since 1970, or before: what waits longest
    /// comes first.
    pub fn delivered_until(&mut self, until_ms: i64) -> impl Iterator<Item = (StreamId, &Pending)> {
        self.sort_by_time();
        let times =
            self.by_time.iter().flat_map(move |times| times.range(..=(until_ms, StreamId::MAX)));
        times.filter_map(|(_, id)| Some((*id, self.pending.get(id)?)))
    }

    /// When what waits longest was delivered last, in milliseconds since 1970.
    pub fn oldest_ms(&mut self) -> Option<i64> {
        self.sort_by_time();
        self.by_time.as_ref()?.first().map(|&(delivered_ms, _)| delivered_ms)
    }

    fn sort_by_time(&mut self) {
        let pending = &self.pending;
        self.by_time.get_or_insert_with(|| {
            pending.iter().map(|(&id, pending)| (pending.delivered_ms, id)).collect()
        });
    }

    /// Makes an entry pending; answers as what it was before.
    fn put(&mut self, id: StreamId, pending: Pending) -> Option<Pending> {
        let delivered_ms = pending.delivered_ms;
        let old = self.pending.insert(id, pending);
        if let Some(times) = &mut self.by_time {
            if let Some(old) = &old {
                times.remove(&(old.delivered_ms, id));
            }
            times.insert((delivered_ms, id));
        }
        old
    }

    fn take(&mut self, id: StreamId) -> Option<Pending> {
        let old = self.pending.remove(&id)?;
        if let Some(times) = &mut self.by_time {
            times.remove(&(old.delivered_ms, id));
        }
        Some(old)
    }

    /// Its consumers, by name.
    pub fn consumers(&self) -> &BTreeMap<Arc<[u8]>, Consumer> {
        &self.consumers
    }

    /// A consumer, made if it is not there; and whether it was made.
    pub fn consumer(&mut self, name: &[u8], now_ms: i64) -> (&mut Consumer, bool) {
        let is_new = !self.consumers.contains_key(name);
        let consumer = self.consumers.entry(name.into()).or_insert_with(|| Consumer {
            seen_ms: now_ms,
            active_ms: -1,
            pending: BTreeSet::new(),
        });
        (consumer, is_new)
    }

    /// Removes a consumer with what is pending for it; answers how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        consumer.pending.iter().for_each(|&id| drop(self.take(id)));
        Some(consumer.pending.len())
    }

    /// Gives an entry to a consumer, who exists; whoever had it has it no more.
    pub fn assign(&mut self, id: StreamId, consumer: &[u8], delivered_ms: i64, deliveries: u64) {
        let known = self.consumers.get_key_value(consumer).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| consumer.into());
        let pending = Pending { consumer: Some(name), delivered_ms, deliveries };
        let old = self.put(id, pending).and_then(|old| old.consumer);
        if let Some(old) = old.filter(|old| **old != *consumer)
            && let Some(owner) = self.consumers.get_mut(&old)
        {
            owner.pending.remove(&id);
        }
        if let Some(owner) = self.consumers.get_mut(consumer) {
            owner.pending.insert(id);
        }
    }

    /// Notes another delivery of an entry to the consumer that has it.
    pub fn redeliver(&mut self, id: StreamId, now_ms: i64) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let old_ms = std::mem::replace(&mut pending.delivered_ms, now_ms);
        pending.deliveries = pending.next_delivery();
        if let Some(times) = &mut self.by_time {
            times.remove(&(old_ms, id));
            times.insert((now_ms, id));
        }
    }

    /// Ends that an entry is pending; answers whether it was.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.take(id) else { return false };
        if let Some(owner) = pending.consumer.and_then(|name| self.consumers.get_mut(&name)) {
            owner.pending.remove(&id);
        }
        true
    }

    /// Leaves an entry pending for nobody: it is older than any other.
    pub fn release(&mut self, id: StreamId, deliveries: u64) {
        let pending = Pending { consumer: None, delivered_ms: 0, deliveries };
        let old = self.put(id, pending).and_then(|old| old.consumer);
        if let Some(owner) = old.and_then(|name| self.consumers.get_mut(&name)) {
            owner.pending.remove(&id);
        }
    }

    /// Number of entries that are pending for nobody.
    pub fn released(&self) -> usize {
        let owned: usize = self.consumers.values().map(|consumer| consumer.pending.len()).sum();
        self.pending.len() - owned
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let consumers = self.consumers.len() * CONSUMER_BYTES;
        let times = self.by_time.as_ref().map_or(0, BTreeSet::len) * TIME_BYTES;
        size_of::<Group>() + consumers + self.pending.len() * PENDING_BYTES + times
    }
}
