//! Looking at all keys, or at the same share of them each time, in slices.

use crate::{EntryRef, PartId, Shard};

/// A walk over the keys of one shard after the other.
///
/// With a `shift` it visits only the first of `2^shift` stretches of positions. Positions follow
/// from a hash with a secret seed, so the keys there are a fair sample, and they are the same keys
/// each time: what differs between two walks has changed, and is not chance.
pub struct SurveyWalk {
    shift: u32,
    db: usize,
    part: usize,
    position: u64,
}

impl SurveyWalk {
    /// A walk over one in `2^shift` keys.
    pub fn new(shift: u32) -> SurveyWalk {
        SurveyWalk { shift, db: 0, part: 0, position: 0 }
    }

    /// Visits the entries of one segment of a table, some 240, with their database; answers false
    /// when the shard is done. The next step is then for the next shard.
    pub fn step(&mut self, shard: &mut Shard, mut visit: impl FnMut(usize, &EntryRef<'_>)) -> bool {
        let dbs = shard.dbs();
        if self.db == dbs.len() {
            (self.db, self.part, self.position) = (0, 0, 0);
            return false;
        }
        let (db, position) = (self.db, self.position);
        // The share of positions that holds this share of the keys: density is 3/4 at the
        // beginning of the space (see `ebb_table`'s points), and so is that of positions.
        let end = u64::MAX >> self.shift;
        let end = if self.shift == 0 { end } else { ebb_table::position_of(end) };
        let parts = dbs[db].part_count();
        let next = match dbs[db].part(self.part as PartId) {
            Some(part) if !part.is_empty() => part.entries.inspect(
                position,
                |_| {},
                |_| true,
                |slot| {
                    if let Some((entry, at)) = slot
                        && (position..=end).contains(&at)
                    {
                        visit(db, &entry);
                    }
                },
            ),
            _ => 0,
        };
        self.position = next;
        if next == 0 || next > end {
            self.position = 0;
            self.part += 1;
            if self.part >= parts {
                (self.db, self.part) = (self.db + 1, 0);
            }
        }
        true
    }
}
