//! Cluster.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::value::Unit::*;
use crate::words::*;

group! { after replication::END;
    CLUSTER_ENABLED: bool = yes_no("cluster-enabled", "no").immutable().off("no", "no cluster mode");
    CLUSTER_CONFIG_FILE: Arc<str> = text("cluster-config-file", "nodes.conf").immutable().tunes("cluster mode");
    CLUSTER_PORT: u16 = number("cluster-port", "0", 0, 65535).immutable().tunes("cluster mode");
    CLUSTER_NODE_TIMEOUT: u64 = number("cluster-node-timeout", "15000", 0, LONG_MAX).tunes("cluster mode");
    CLUSTER_PING_INTERVAL: u64 =
        number("cluster-ping-interval", "1000", 0, LONG_MAX).hidden().tunes("cluster mode");
    CLUSTER_MIGRATION_BARRIER: u32 = number("cluster-migration-barrier", "1", 0, INT_MAX).tunes("cluster mode");
    CLUSTER_REPLICA_VALIDITY_FACTOR: u32 = number("cluster-replica-validity-factor", "10", 0, INT_MAX)
        .alias(&["cluster-slave-validity-factor"])
        .tunes("cluster mode");
    CLUSTER_REPLICA_NO_FAILOVER: bool =
        yes_no("cluster-replica-no-failover", "no").alias(&["cluster-slave-no-failover"]).tunes("cluster mode");
    CLUSTER_REQUIRE_FULL_COVERAGE: bool = yes_no("cluster-require-full-coverage", "yes").tunes("cluster mode");
    CLUSTER_ALLOW_READS_WHEN_DOWN: bool = yes_no("cluster-allow-reads-when-down", "no").tunes("cluster mode");
    CLUSTER_ALLOW_PUBSUBSHARD_WHEN_DOWN: bool =
        yes_no("cluster-allow-pubsubshard-when-down", "yes").tunes("cluster mode");
    CLUSTER_ALLOW_REPLICA_MIGRATION: bool =
        yes_no("cluster-allow-replica-migration", "yes").tunes("cluster mode");
    CLUSTER_ANNOUNCE_IP: Arc<str> = text("cluster-announce-ip", "").tunes("cluster mode");
    CLUSTER_ANNOUNCE_HOSTNAME: Arc<str> = text("cluster-announce-hostname", "").tunes("cluster mode");
    CLUSTER_ANNOUNCE_HUMAN_NODENAME: Arc<str> =
        text("cluster-announce-human-nodename", "").tunes("cluster mode");
    CLUSTER_ANNOUNCE_PORT: u16 = number("cluster-announce-port", "0", 0, 65535).tunes("cluster mode");
    CLUSTER_ANNOUNCE_TLS_PORT: u16 = number("cluster-announce-tls-port", "0", 0, 65535).tunes("cluster mode");
    CLUSTER_ANNOUNCE_BUS_PORT: u16 = number("cluster-announce-bus-port", "0", 0, 65535).tunes("cluster mode");
    CLUSTER_LINK_SENDBUF_LIMIT: u64 =
        sized("cluster-link-sendbuf-limit", "0", Memory, 0, ULONG_MAX).tunes("cluster mode");
    CLUSTER_PREFERRED_ENDPOINT_TYPE: EndpointType =
        word::<EndpointType>("cluster-preferred-endpoint-type", "ip").tunes("cluster mode");
    CLUSTER_ANNOUNCE_CLIENT_IPV4: Arc<str> = text("cluster-announce-client-ipv4", "").tunes("cluster mode");
    CLUSTER_ANNOUNCE_CLIENT_IPV6: Arc<str> = text("cluster-announce-client-ipv6", "").tunes("cluster mode");
    CLUSTER_ANNOUNCE_CLIENT_PORT: u16 =
        number("cluster-announce-client-port", "0", 0, 65535).tunes("cluster mode");
    CLUSTER_ANNOUNCE_CLIENT_TLS_PORT: u16 =
        number("cluster-announce-client-tls-port", "0", 0, 65535).tunes("cluster mode");
    CLUSTER_BLACKLIST_TTL: u64 = number("cluster-blacklist-ttl", "60", 0, ULONG_MAX).tunes("cluster mode");
    CLUSTER_COMPATIBILITY_SAMPLE_RATIO: u32 =
        number("cluster-compatibility-sample-ratio", "0", 0, 100).tunes("cluster mode");
    CLUSTER_CONFIG_SAVE_BEHAVIOR: ClusterConfigSave =
        word::<ClusterConfigSave>("cluster-config-save-behavior", "sync").tunes("cluster mode");
    CLUSTER_DATABASES: u32 = number("cluster-databases", "1", 1, INT_MAX).immutable().tunes("cluster mode");
    CLUSTER_MANUAL_FAILOVER_TIMEOUT: u32 =
        number("cluster-manual-failover-timeout", "5000", 1, INT_MAX).tunes("cluster mode");
    CLUSTER_SLOT_MIGRATION_LOG_MAX_LEN: u64 =
        number("cluster-slot-migration-log-max-len", "1000", 0, LONG_MAX).tunes("cluster mode");
    CLUSTER_SLOT_STATS_ENABLED: bool = yes_no("cluster-slot-stats-enabled", "no").tunes("cluster mode");
    SLOT_MIGRATION_MAX_FAILOVER_REPL_BYTES: u64 =
        sized("slot-migration-max-failover-repl-bytes", "0", Memory, 0, LONG_MAX).tunes("cluster mode");
}
