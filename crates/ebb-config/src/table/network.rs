//! Listening, connections and what may wait in their buffers.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::special;
use crate::value::Unit::*;

/// The most threads that may serve clients.
pub(crate) const IO_THREADS_MAX: usize = 128;

group! { after 0;
    PORT: u16 = number("port", "6379", 0, 65535);
    BIND: Arc<str> = special("bind", "* -::*", special::bind);
    UNIXSOCKET: Arc<str> = text("unixsocket", "").immutable();
    UNIXSOCKETPERM: u32 = sized("unixsocketperm", "0", Octal, 0, 0o777).immutable();
    PROTECTED_MODE: bool = yes_no("protected-mode", "yes");
    TCP_BACKLOG: u32 = number("tcp-backlog", "511", 0, INT_MAX).immutable();
    TCP_KEEPALIVE: u32 = number("tcp-keepalive", "300", 0, INT_MAX);
    TIMEOUT: u32 = number("timeout", "0", 0, INT_MAX);
    MAXCLIENTS: u32 = number("maxclients", "10000", 1, UINT_MAX);
    SOCKET_MARK_ID: u32 = number("socket-mark-id", "0", 0, UINT_MAX).immutable();
    BIND_SOURCE_ADDR: Arc<str> = text("bind-source-addr", "").tunes("replication");
    // Ebb's own default is the number of cores, which `Config::new` puts in the place of this one.
    IO_THREADS: u32 = number("io-threads", "1", 1, IO_THREADS_MAX as i128).immutable();
    // Ebb's workers always read; there is nothing to turn on.
    IO_THREADS_DO_READS: bool = yes_no("io-threads-do-reads", "no").immutable().tunes("reading in threads");
    // Valkey 9: no thread rests while the others can do its work.
    IO_THREADS_ALWAYS_ACTIVE: bool = yes_no("io-threads-always-active", "no");
    // Ebb's own: how long a worker lets requests gather when many clients ask for little each.
    EVENT_COALESCING_US: u32 = number("event-coalescing-us", "50", 0, 1000);
    PROTO_MAX_BULK_LEN: u64 = sized("proto-max-bulk-len", "512mb", Memory, 1 << 20, LONG_MAX);
    CLIENT_QUERY_BUFFER_LIMIT: u64 = sized("client-query-buffer-limit", "1gb", Memory, 1 << 20, LONG_MAX);
    CLIENT_OUTPUT_BUFFER_LIMIT: Arc<str> = special(
        "client-output-buffer-limit",
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        special::output_buffer_limits,
    );
    // Redis 8, Valkey 9: connections accepted before others get their turn.
    MAX_NEW_CONNECTIONS_PER_CYCLE: u32 = number("max-new-connections-per-cycle", "10", 1, 1000);
    UNIXSOCKETGROUP: Arc<str> = text("unixsocketgroup", "").immutable();
    MPTCP: bool = yes_no("mptcp", "no").immutable();
    // What is asked for ahead follows from what was measured; see docs/decisions/0002.
    PREFETCH_BATCH_MAX_SIZE: u32 =
        number("prefetch-batch-max-size", "16", 0, 128).tunes("prefetching in threads");
    RDMA_PORT: u16 = number("rdma-port", "0", 0, 65535).off("0", "no RDMA");
    RDMA_BIND: Arc<str> = special("rdma-bind", "", special::bind).tunes("RDMA");
    RDMA_RX_SIZE: u32 = number("rdma-rx-size", "1048576", 64 << 10, 16 << 20).immutable().tunes("RDMA");
    RDMA_COMPLETION_VECTOR: i64 = number("rdma-completion-vector", "-1", -1, 1024).immutable().tunes("RDMA");
}
