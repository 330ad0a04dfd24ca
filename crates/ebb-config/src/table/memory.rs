//! The limit on memory, eviction, expiry, lazy freeing and defragmentation.

use super::*;
use crate::directive::*;

use crate::value::Unit::*;
use crate::words::*;

group! { after security::END;
    MAXMEMORY: u64 = sized("maxmemory", "0", Memory, 0, ULONG_MAX);
    // Ebb's own: what the data takes, or what it makes the process hold.
    MAXMEMORY_BASIS: MaxmemoryBasis = word::<MaxmemoryBasis>("maxmemory-basis", "used");
    MAXMEMORY_POLICY: MaxmemoryPolicy = word::<MaxmemoryPolicy>("maxmemory-policy", "noeviction");
    MAXMEMORY_SAMPLES: u32 = number("maxmemory-samples", "5", 1, INT_MAX);
    MAXMEMORY_EVICTION_TENACITY: u32 = number("maxmemory-eviction-tenacity", "10", 0, 100);
    MAXMEMORY_CLIENTS: crate::store::MemoryOrPercent =
        sized("maxmemory-clients", "0", MemoryOrPercent, -100, LONG_MAX);
    // Ebb's own: quotas for parts of the keyspace.
    PARTITION: std::sync::Arc<str> =
        special("partition", "", crate::partitions::line).appends().immutable();
    LFU_LOG_FACTOR: u32 = number("lfu-log-factor", "10", 0, INT_MAX);
    LFU_DECAY_TIME: u32 = number("lfu-decay-time", "1", 0, INT_MAX);
    ACTIVE_EXPIRE_EFFORT: u32 = number("active-expire-effort", "1", 1, 10);
    LAZYFREE_LAZY_EVICTION: bool = yes_no("lazyfree-lazy-eviction", "no");
    LAZYFREE_LAZY_EXPIRE: bool = yes_no("lazyfree-lazy-expire", "no");
    LAZYFREE_LAZY_SERVER_DEL: bool = yes_no("lazyfree-lazy-server-del", "no");
    LAZYFREE_LAZY_USER_DEL: bool = yes_no("lazyfree-lazy-user-del", "no");
    LAZYFREE_LAZY_USER_FLUSH: bool = yes_no("lazyfree-lazy-user-flush", "no");
    ACTIVEDEFRAG: bool = yes_no("activedefrag", "yes");
    ACTIVE_DEFRAG_CYCLE_MIN: u32 =
        number("active-defrag-cycle-min", "1", 1, 99);
    ACTIVE_DEFRAG_CYCLE_MAX: u32 =
        number("active-defrag-cycle-max", "25", 1, 99);
    ACTIVE_DEFRAG_THRESHOLD_LOWER: u32 =
        number("active-defrag-threshold-lower", "5", 0, 1000);
    ACTIVE_DEFRAG_THRESHOLD_UPPER: u32 =
        number("active-defrag-threshold-upper", "100", 0, 1000);
    ACTIVE_DEFRAG_MAX_SCAN_FIELDS: u64 =
        number("active-defrag-max-scan-fields", "1000", 1, LONG_MAX);
    ACTIVE_DEFRAG_IGNORE_BYTES: u64 =
        sized("active-defrag-ignore-bytes", "1mb", Memory, 1, LONG_MAX);
    ACTIVEREHASHING: bool = yes_no("activerehashing", "yes").tunes("rehashing");
    JEMALLOC_BG_THREAD: bool = yes_no("jemalloc-bg-thread", "yes").tunes("the allocator's own thread");
    // Valkey 9: the longest that moving keeps others waiting.
    ACTIVE_DEFRAG_CYCLE_US: u32 = number("active-defrag-cycle-us", "500", 0, 100_000);
}
