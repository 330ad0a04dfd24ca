//! When collections leave their packed form; keyspace events; scripts; tracking.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::special;
use crate::value::Unit::*;

group! { after memory::END;
    HASH_MAX_LISTPACK_ENTRIES: u64 = number("hash-max-listpack-entries", "512", 0, LONG_MAX)
        .alias(&["hash-max-ziplist-entries"]);
    HASH_MAX_LISTPACK_VALUE: u64 = sized("hash-max-listpack-value", "64", Memory, 0, LONG_MAX)
        .alias(&["hash-max-ziplist-value"]);
    LIST_MAX_LISTPACK_SIZE: i64 = number("list-max-listpack-size", "-2", -INT_MAX - 1, INT_MAX)
        .alias(&["list-max-ziplist-size"]);
    LIST_COMPRESS_DEPTH: u32 = number("list-compress-depth", "0", 0, INT_MAX);
    SET_MAX_INTSET_ENTRIES: u64 =
        number("set-max-intset-entries", "512", 0, LONG_MAX);
    SET_MAX_LISTPACK_ENTRIES: u64 =
        number("set-max-listpack-entries", "128", 0, LONG_MAX);
    SET_MAX_LISTPACK_VALUE: u64 =
        sized("set-max-listpack-value", "64", Memory, 0, LONG_MAX);
    ZSET_MAX_LISTPACK_ENTRIES: u64 = number("zset-max-listpack-entries", "128", 0, LONG_MAX)
        .alias(&["zset-max-ziplist-entries"]);
    ZSET_MAX_LISTPACK_VALUE: u64 = sized("zset-max-listpack-value", "64", Memory, 0, LONG_MAX)
        .alias(&["zset-max-ziplist-value"]);
    HLL_SPARSE_MAX_BYTES: u64 =
        sized("hll-sparse-max-bytes", "3000", Memory, 0, LONG_MAX);
    STREAM_NODE_MAX_BYTES: u64 =
        sized("stream-node-max-bytes", "4096", Memory, 0, LONG_MAX);
    STREAM_NODE_MAX_ENTRIES: u64 = number("stream-node-max-entries", "100", 0, LONG_MAX);
    NOTIFY_KEYSPACE_EVENTS: Arc<str> =
        special("notify-keyspace-events", "", special::keyspace_events);
    BUSY_REPLY_THRESHOLD: u64 = number("busy-reply-threshold", "5000", 0, LONG_MAX)
        .alias(&["lua-time-limit"]);
    TRACKING_TABLE_MAX_KEYS: u64 =
        number("tracking-table-max-keys", "1000000", 0, LONG_MAX);
    // Valkey 9. Empty: the seeds are drawn at each start.
    HASH_SEED: Arc<str> = text("hash-seed", "").immutable();
}
