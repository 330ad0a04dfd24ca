//! What a database tells of its partitions.

use ebb_table::POSITION_BITS;

use super::{Db, Found};
use crate::counts::Counts;
use crate::part::Part;
use crate::routes::PartId;
use crate::{Key, routes};

impl Db {
    /// Whether there is a part with an id, its partition's or what is left of one.
    pub fn has_part(&self, id: PartId) -> bool {
        self.at_id(id).is_some()
    }

    /// Keys and bytes of a partition in this shard, and how often its keys were looked up.
    pub fn partition(&self, id: PartId) -> Option<(Counts, routes::Uses)> {
        let part = self.at_id(id).filter(|part| !part.is_aside())?;
        Some((part.counts(), part.uses))
    }

    /// Sets the counters of lookups to zero.
    pub fn reset_uses(&mut self) {
        self.parts_mut().for_each(|part| part.uses = routes::Uses::default());
    }

    /// The parts that are there with their ids.
    pub(crate) fn parts_with_ids(&self) -> impl Iterator<Item = (PartId, &Part)> {
        let others = (1..).zip(&self.others);
        let others = others.filter_map(|(id, part)| Some((id, &**part.as_ref()?)));
        std::iter::once((0, &self.main)).chain(others)
    }

    /// How many keys are yet to be looked at before each is in its part. 0 if all are.
    pub fn unsettled(&self) -> usize {
        let Some(settling) = &self.settling else { return 0 };
        let at = settling.part;
        let rest = self.parts_with_ids().filter(|(id, _)| usize::from(*id) >= at);
        let keys = rest.map(|(id, part)| {
            let passed = if usize::from(id) == at { settling.position } else { 0 };
            let share = passed as f64 / (1_u128 << POSITION_BITS) as f64;
            part.len() - (part.len() as f64 * share) as usize
        });
        keys.sum()
    }

    /// Notes that a key was found by a command that reads, for its partition's counters.
    #[inline]
    pub fn count_hit(&mut self, found: Found, key: &Key<'_>) {
        if !self.routes.is_empty() {
            let id = if self.settling.is_some() { self.home(key.bytes()) } else { found.part };
            self.count_use(id, |uses| uses.hits += 1);
        }
    }

    /// Notes that a key was not found.
    #[inline]
    pub fn count_miss(&mut self, key: &Key<'_>) {
        if !self.routes.is_empty() {
            let id = self.home(key.bytes());
            self.count_use(id, |uses| uses.misses += 1);
        }
    }

    fn count_use(&mut self, id: PartId, count: impl FnOnce(&mut routes::Uses)) {
        if id != 0 {
            count(&mut self.part_mut(id).uses);
        }
    }

    /// Notes that a key has expired which was found to be due when it was looked up.
    pub fn count_expired(&mut self, key: &Key<'_>) {
        if let Some(seat) = self.routes.seat(self.home(key.bytes())) {
            seat.totals.count_expired(1);
        }
    }
}
