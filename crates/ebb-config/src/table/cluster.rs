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
}
