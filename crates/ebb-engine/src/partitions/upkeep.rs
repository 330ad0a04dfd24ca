//! What the maintenance thread does for partitions, in slices.

use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::limits::{IN_A_ROW, evict_some, is_over};
use crate::notify::Effects;
use crate::server::Server;

/// Keys looked at between two looks at the clock.
const KEYS: usize = 16;

/// Moves keys to their partitions for one slice in each shard that needs it; answers whether
/// there is more to do.
pub fn settle(server: &Server, slice: Duration) -> bool {
    if !server.partitions.take_scattered() {
        return false;
    }
    server.partitions.set_settling(true);
    let more = settle_shards(server, slice);
    if more != Some(false) {
        server.partitions.note_scattered();
    }
    server.partitions.set_settling(false);
    more == Some(true)
}

/// `None` if it is to be tried again later.
fn settle_shards(server: &Server, slice: Duration) -> Option<bool> {
    let mut more = false;
    for number in 0..server.keyspace.shards() {
        let mut shard = server.keyspace.lock_unless_busy(number)?;
        let start = Instant::now();
        for db in shard.dbs() {
            while db.is_scattered() && start.elapsed() < slice {
                // An error is that there is no memory: there may be some later.
                db.settle_step(KEYS).ok()?;
            }
            more |= db.is_scattered();
        }
        let spent = start.elapsed();
        // Workers that wait for the lock get it now, and half as much time as this took.
        MutexGuard::unlock_fair(shard);
        if spent > slice / 2 {
            std::thread::sleep(spent / 2);
        }
    }
    Some(more)
}

/// Tells the keyspace what time it is, for partitions with policies of their own.
pub fn tick(server: &Server) {
    server.partitions.table().all.iter().for_each(|partition| partition.tell_policy(server));
}

/// Evicts from partitions that are over their limits, for about `time`, in slices during which
/// one shard is held; answers whether there is more to do.
pub fn relieve(server: &Server, time: Duration, slice: Duration, effects: &mut Effects) -> bool {
    if !server.partitions.has_limits() {
        return false;
    }
    let start = Instant::now();
    let mut more = false;
    for partition in &server.partitions.table().all {
        let Some(rule) = partition.rule(server) else { continue };
        let shards = server.keyspace.shards();
        let first = partition.totals.evicted() as usize / IN_A_ROW % shards;
        let mut empty = 0;
        for number in (0..shards).cycle().skip(first) {
            if !is_over(partition) || empty == shards {
                break;
            }
            if start.elapsed() > time {
                return true;
            }
            let Some(mut shard) = server.keyspace.lock_unless_busy(number) else { return true };
            let (began, mut any) = (Instant::now(), false);
            // However late it has become: who evicts nothing is taken for empty.
            while evict_some(server, &mut shard, partition, &rule, (0, IN_A_ROW), effects) > 0 {
                any = true;
                if began.elapsed() >= slice {
                    break;
                }
            }
            empty = if any { 0 } else { empty + 1 };
            MutexGuard::unlock_fair(shard);
            effects.finish(server, None);
            std::thread::sleep(began.elapsed() / 2);
        }
        more |= is_over(partition) && empty == 0;
    }
    more
}
