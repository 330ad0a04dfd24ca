//! Replication.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::special;
use crate::value::Unit::*;
use crate::words::*;

group! { after persistence::END;
    REPLICAOF: Arc<str> =
        special("replicaof", "no one", special::replica_of).alias(&["slaveof"]).immutable().off("", "no replication");
    MASTERAUTH: Arc<str> = text("masterauth", "").alias(&["primaryauth"]).sensitive().tunes("replication");
    MASTERUSER: Arc<str> = text("masteruser", "").alias(&["primaryuser"]).sensitive().tunes("replication");
    REPLICA_SERVE_STALE_DATA: bool =
        yes_no("replica-serve-stale-data", "yes").alias(&["slave-serve-stale-data"]).tunes("replication");
    REPLICA_READ_ONLY: bool =
        yes_no("replica-read-only", "yes").alias(&["slave-read-only"]).tunes("replication");
    REPLICA_IGNORE_MAXMEMORY: bool =
        yes_no("replica-ignore-maxmemory", "yes").alias(&["slave-ignore-maxmemory"]).tunes("replication");
    REPLICA_IGNORE_DISK_WRITE_ERRORS: bool =
        yes_no("replica-ignore-disk-write-errors", "no").tunes("replication");
    REPLICA_LAZY_FLUSH: bool =
        yes_no("replica-lazy-flush", "no").alias(&["slave-lazy-flush"]).tunes("replication");
    REPLICA_PRIORITY: u32 =
        number("replica-priority", "100", 0, INT_MAX).alias(&["slave-priority"]).tunes("replication");
    REPLICA_ANNOUNCED: bool = yes_no("replica-announced", "yes").tunes("replication");
    REPLICA_ANNOUNCE_IP: Arc<str> =
        text("replica-announce-ip", "").alias(&["slave-announce-ip"]).tunes("replication");
    REPLICA_ANNOUNCE_PORT: u16 =
        number("replica-announce-port", "0", 0, 65535).alias(&["slave-announce-port"]).tunes("replication");
    REPL_DISABLE_TCP_NODELAY: bool = yes_no("repl-disable-tcp-nodelay", "no").tunes("replication");
    REPL_DISKLESS_SYNC: bool = yes_no("repl-diskless-sync", "yes").tunes("replication");
    REPL_DISKLESS_SYNC_DELAY: u32 = number("repl-diskless-sync-delay", "5", 0, INT_MAX).tunes("replication");
    REPL_DISKLESS_SYNC_MAX_REPLICAS: u32 =
        number("repl-diskless-sync-max-replicas", "0", 0, INT_MAX).tunes("replication");
    REPL_DISKLESS_LOAD: DisklessLoad =
        word::<DisklessLoad>("repl-diskless-load", "disabled").denied_while_loading().tunes("replication");
    REPL_BACKLOG_SIZE: u64 = sized("repl-backlog-size", "1mb", Memory, 1, LONG_MAX).tunes("replication");
    REPL_BACKLOG_TTL: u64 = number("repl-backlog-ttl", "3600", 0, LONG_MAX).tunes("replication");
    REPL_TIMEOUT: u32 = number("repl-timeout", "60", 1, INT_MAX).tunes("replication");
    REPL_PING_REPLICA_PERIOD: u32 =
        number("repl-ping-replica-period", "10", 1, INT_MAX).alias(&["repl-ping-slave-period"]).tunes("replication");
    // More than no replicas would refuse every write.
    MIN_REPLICAS_TO_WRITE: u32 =
        number("min-replicas-to-write", "0", 0, INT_MAX).alias(&["min-slaves-to-write"]).off("0", "no replication");
    MIN_REPLICAS_MAX_LAG: u32 =
        number("min-replicas-max-lag", "10", 0, INT_MAX).alias(&["min-slaves-max-lag"]).tunes("replication");
    PROPAGATION_ERROR_BEHAVIOR: PropagationError =
        word::<PropagationError>("propagation-error-behavior", "ignore").tunes("replication");
    DUAL_CHANNEL_REPLICATION_ENABLED: bool =
        yes_no("dual-channel-replication-enabled", "no").tunes("replication");
    REPLICA_FULL_SYNC_BUFFER_LIMIT: u64 =
        sized("replica-full-sync-buffer-limit", "0", Memory, 0, LONG_MAX).tunes("replication");
    REPL_MPTCP: bool = yes_no("repl-mptcp", "no").immutable().tunes("replication");
    IMPORT_MODE: bool = yes_no("import-mode", "no").off("no", "no import mode");
}
