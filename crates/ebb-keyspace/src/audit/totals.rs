//! The totals of partitions against the parts that tell them.

use std::sync::Arc;

use super::Flaw;
use crate::Shard;
use crate::part::Told;
use crate::routes::Totals;

/// Compares the totals of all partitions with what their parts have told. All shards are held, so
/// nobody tells anything meanwhile; this takes some 100 ns for each part.
pub fn check_totals<'s>(shards: impl Iterator<Item = &'s mut Shard>) -> Vec<Flaw> {
    let mut sums: Vec<(Arc<Totals>, usize, usize)> = Vec::new();
    for shard in shards {
        for part in shard.dbs().iter().flat_map(|db| db.parts()) {
            let Some(Told { totals, told: (keys, bytes), .. }) = part.told() else { continue };
            match sums.iter_mut().find(|(known, ..)| Arc::ptr_eq(known, totals)) {
                Some((_, all_keys, all_bytes)) => {
                    *all_keys += keys;
                    *all_bytes += bytes;
                }
                None => sums.push((Arc::clone(totals), keys, bytes)),
            }
        }
    }
    let mut flaws = Vec::new();
    for (totals, keys, bytes) in sums {
        for (name, counted, actual) in
            [("keys", totals.keys(), keys), ("bytes", totals.bytes(), bytes)]
        {
            if counted != actual {
                flaws.push(Flaw {
                    counter: format!("totals of a partition: {name}"),
                    counted,
                    actual,
                });
            }
        }
    }
    flaws
}
