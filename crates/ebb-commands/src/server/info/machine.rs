//! INFO server, replication, cpu and cluster: the process and its place.

use std::sync::atomic::{AtomicU64, Ordering};

use ebb_config::{Config, id};
use ebb_engine::{Context, REDIS_VERSION, unix_us};

use super::Text;

pub(super) fn server(ctx: &mut Context<'_>, text: &mut Text) {
    let server = ctx.server;
    let config = &server.config;
    let now_us = unix_us();
    let uptime_s = (now_us / 1000 - server.started_ms).max(0) / 1000;
    let hz: u32 = config.get(id::HZ);
    let path = config.path().map(|path| path.display().to_string()).unwrap_or_default();
    text.field("redis_version", REDIS_VERSION);
    text.field("redis_git_sha1", "00000000");
    text.field("redis_git_dirty", 0);
    text.field("redis_build_id", 0);
    text.field("redis_mode", "standalone");
    text.field("server_name", "ebb");
    text.field("ebb_version", env!("CARGO_PKG_VERSION"));
    text.field("os", &server.host.system.os);
    text.field("arch_bits", usize::BITS);
    text.field("monotonic_clock", "POSIX clock_gettime");
    text.field("multiplexing_api", "epoll");
    text.field("process_id", std::process::id());
    text.field("process_supervised", server.host.system.supervised);
    text.field("run_id", &server.run_id);
    text.field("tcp_port", config.get(id::PORT));
    text.field("server_time_usec", now_us);
    text.field("uptime_in_seconds", uptime_s);
    text.field("uptime_in_days", uptime_s / 86400);
    text.field("hz", hz);
    text.field("configured_hz", hz);
    text.field("lru_clock", server.lru_clock.load(Ordering::Relaxed));
    text.field("executable", &server.host.system.executable);
    text.field("config_file", path);
    text.field("io_threads_active", u8::from(server.serving_workers() > 1));
    text.field("worker_threads", server.workers.len());
    text.field("serving_worker_threads", server.serving_workers());
    text.field("shards", server.keyspace.shards());
    text.field("availability_zone", config.get(id::AVAILABILITY_ZONE));
    listeners(config, text);
}

/// Where connections come from: as Redis has it, a line for each kind of socket.
fn listeners(config: &Config, text: &mut Text) {
    let port = config.get(id::PORT);
    let path = config.get(id::UNIXSOCKET);
    let mut kinds = Vec::new();
    if port != 0 {
        let addresses = config.get(id::BIND);
        let addresses: String =
            addresses.split_whitespace().map(|address| format!(",bind={address}")).collect();
        kinds.push(format!("name=tcp{addresses},port={port}"));
    }
    if !path.is_empty() {
        kinds.push(format!("name=unix,bind={path}"));
    }
    for (number, kind) in kinds.iter().enumerate() {
        text.field(&format!("listener{number}"), kind);
    }
}

pub(super) fn replication(ctx: &mut Context<'_>, text: &mut Text) {
    text.field("role", "master");
    text.field("connected_slaves", 0);
    text.field("master_failover_state", "no-failover");
    text.field("master_replid", &ctx.server.run_id);
    text.field("master_replid2", "0".repeat(40));
    text.field("master_repl_offset", 0);
    text.field("second_repl_offset", -1);
    text.field("repl_backlog_active", 0);
    let size: u64 = ctx.server.config.get(id::REPL_BACKLOG_SIZE);
    text.field("repl_backlog_size", size);
    text.field("repl_backlog_first_byte_offset", 0);
    text.field("repl_backlog_histlen", 0);
}

pub(super) fn cpu(ctx: &mut Context<'_>, text: &mut Text) {
    let times = (ctx.server.host.cpu_times_us)();
    let seconds = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.field("used_cpu_sys", seconds(times.system));
    text.field("used_cpu_user", seconds(times.user));
    text.field("used_cpu_sys_children", seconds(times.system_children));
    text.field("used_cpu_user_children", seconds(times.user_children));
    // No thread runs all commands. The first worker accepts connections, too.
    let read = |time: &AtomicU64| seconds(time.load(Ordering::Relaxed));
    let first = &ctx.server.workers[0];
    text.field("used_cpu_sys_main_thread", read(&first.cpu_system_us));
    text.field("used_cpu_user_main_thread", read(&first.cpu_user_us));
}

pub(super) fn cluster(_: &mut Context<'_>, text: &mut Text) {
    text.field("cluster_enabled", 0);
}
