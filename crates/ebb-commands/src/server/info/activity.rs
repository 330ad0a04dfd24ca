//! INFO clients, stats, commandstats, errorstats and latencystats: what happens.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ebb_config::id;
use ebb_engine::pubsub::Kind;
use ebb_engine::stats::{CommandTotals, merged_totals};
use ebb_engine::{Command, Context, PauseMode, Server, blocking, unix_ms};

use super::Text;
use crate::server::latency::percentiles;

pub(super) fn clients(ctx: &mut Context<'_>, text: &mut Text) {
    let clients = ctx.server.clients.all();
    let largest = |figure: fn(&ebb_engine::Client) -> &AtomicUsize| {
        clients.iter().map(|client| figure(client).load(Ordering::Relaxed)).max().unwrap_or(0)
    };
    let watching = clients.iter().filter(|c| c.figures.watch.load(Ordering::Relaxed) > 0).count();
    let watched: usize = clients.iter().map(|c| c.figures.watch.load(Ordering::Relaxed)).sum();
    let maxclients: u32 = ctx.server.config.get(id::MAXCLIENTS);
    text.field("connected_clients", clients.len());
    text.field("cluster_connections", 0);
    text.field("maxclients", maxclients);
    text.field("client_recent_max_input_buffer", largest(|client| &client.figures.query_buffer));
    text.field("client_recent_max_output_buffer", largest(|client| &client.figures.output_bytes));
    let paused = clients.iter().filter(|c| c.figures.paused.load(Ordering::Relaxed)).count();
    text.field("blocked_clients", paused + blocking::waiting());
    text.field("tracking_clients", ctx.server.tracking.clients());
    text.field("pubsub_clients", clients.iter().filter(|c| c.is_subscribed()).count());
    text.field("watching_clients", watching);
    text.field("clients_in_timeout_table", clients.iter().filter(|c| c.has_deadline()).count());
    text.field("total_watched_keys", watched);
    text.field("total_blocking_keys", ebb_keyspace::wait::keys());
    text.field("total_blocking_keys_on_nokey", blocking::keys_watched_for_loss(ctx.server));
    let now_ms = unix_ms();
    let (reason, actions) = match ctx.server.paused(now_ms) {
        PauseMode::Off => ("none", "none"),
        PauseMode::Write => ("client_pause", "write"),
        PauseMode::All => ("client_pause", "all"),
    };
    text.field("paused_reason", reason);
    text.field("paused_actions", actions);
    text.field("paused_timeout_milliseconds", ctx.server.pause_left_ms(now_ms));
}

pub(super) fn stats(ctx: &mut Context<'_>, text: &mut Text) {
    let counters = &ctx.server.counters;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let kilo = |rate: &AtomicU64| format!("{:.2}", read(rate) as f64 / 1024.0);
    let rates = &ctx.server.rates;
    text.field("total_connections_received", read(&counters.connections));
    text.field("total_commands_processed", read(&counters.commands));
    text.field("instantaneous_ops_per_sec", read(&rates.commands));
    text.field("total_net_input_bytes", read(&counters.net_in));
    text.field("total_net_output_bytes", read(&counters.net_out));
    text.field("total_net_repl_input_bytes", 0);
    text.field("total_net_repl_output_bytes", 0);
    text.field("instantaneous_input_kbps", kilo(&rates.net_in));
    text.field("instantaneous_output_kbps", kilo(&rates.net_out));
    text.field("instantaneous_input_repl_kbps", "0.00");
    text.field("instantaneous_output_repl_kbps", "0.00");
    text.field("rejected_connections", read(&counters.rejected_connections));
    text.field("sync_full", 0);
    text.field("sync_partial_ok", 0);
    text.field("sync_partial_err", 0);
    text.field("expired_keys", read(&counters.expired_keys) + ctx.journal.expired);
    // The name that Valkey has for it, and that of Redis 8.
    let expired_fields = read(&counters.expired_fields) + ctx.journal.expired_fields;
    text.field("expired_fields", expired_fields);
    text.field("expired_subkeys", expired_fields);
    let stale = read(&counters.expired_stale) as f64 / 100.0;
    text.field("expired_stale_perc", format!("{stale:.2}"));
    text.field("expired_time_cap_reached_count", read(&counters.expire_cap_reached));
    text.field("expire_cycle_cpu_milliseconds", read(&counters.expire_nanos) / 1_000_000);
    text.field("expire_lag_ms", counters.expire_lag_ms.load(Ordering::Relaxed));
    text.field("evicted_keys", read(&counters.evicted_keys));
    text.field("evicted_clients", read(&counters.evicted_clients));
    text.field("evicted_scripts", ctx.server.scripting.cache.lock().evicted);
    let (total_ms, current_ms) = ctx.server.exceeded_times_ms();
    text.field("total_eviction_exceeded_time", total_ms);
    text.field("current_eviction_exceeded_time", current_ms);
    text.field("keyspace_hits", read(&counters.keyspace_hits) + ctx.journal.hits);
    text.field("keyspace_misses", read(&counters.keyspace_misses) + ctx.journal.misses);
    let pubsub = &ctx.server.pubsub;
    text.field("pubsub_channels", pubsub.channel_count(Kind::Channel));
    text.field("pubsub_patterns", pubsub.pattern_count());
    text.field("pubsubshard_channels", pubsub.channel_count(Kind::Shard));
    text.field("latest_fork_usec", 0);
    text.field("total_forks", 0);
    text.field("migrate_cached_sockets", 0);
    text.field("slave_expires_tracked_keys", 0);
    let defrag = &ctx.server.defrag;
    text.field("active_defrag_hits", read(&defrag.hits));
    text.field("active_defrag_misses", read(&defrag.misses));
    text.field("active_defrag_key_hits", read(&defrag.key_hits));
    text.field("active_defrag_key_misses", read(&defrag.key_misses));
    text.field("total_active_defrag_time", defrag.total_ms());
    text.field("current_active_defrag_time", read(&defrag.current_ms));
    text.field("tracking_total_keys", ctx.server.tracking.keys());
    text.field("tracking_total_items", ctx.server.tracking.items());
    text.field("tracking_total_prefixes", ctx.server.tracking.prefixes());
    text.field("unexpected_error_replies", 0);
    text.field("total_error_replies", read(&counters.error_replies));
    text.field("dump_payload_sanitizations", 0);
    rounds(ctx.server, text);
    text.field("acl_access_denied_auth", read(&counters.acl_access_denied_auth));
    text.field("acl_access_denied_cmd", read(&counters.acl_access_denied_cmd));
    text.field("acl_access_denied_key", read(&counters.acl_access_denied_key));
    text.field("acl_access_denied_channel", read(&counters.acl_access_denied_channel));
    text.field("acl_access_denied_db", read(&counters.acl_access_denied_db));
    let too_long = read(&counters.query_buffer_limit_disconnections);
    text.field("client_query_buffer_limit_disconnections", too_long);
    let too_much = read(&counters.output_buffer_limit_disconnections);
    text.field("client_output_buffer_limit_disconnections", too_much);
}

/// What the workers' event loops did.
fn rounds(server: &Server, text: &mut Text) {
    let (counters, rates) = (&server.counters, &server.rates);
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    text.field("total_reads_processed", read(&counters.reads));
    text.field("total_writes_processed", read(&counters.writes));
    // Every worker reads and writes; with more than one they are what Redis calls I/O threads.
    let threaded = |total: u64| if server.workers.len() > 1 { total } else { 0 };
    text.field("io_threaded_reads_processed", threaded(read(&counters.reads)));
    text.field("io_threaded_writes_processed", threaded(read(&counters.writes)));
    text.field("eventloop_cycles", read(&counters.rounds));
    text.field("eventloop_duration_sum", read(&counters.round_nanos) / 1000);
    let in_commands: u64 = totals(server).map(|(_, totals)| totals.nanos).sum();
    text.field("eventloop_duration_cmd_sum", in_commands / 1000);
    text.field("instantaneous_eventloop_cycles_per_sec", read(&rates.rounds));
    text.field("instantaneous_eventloop_duration_usec", rates.nanos_a_round() / 1000);
}

/// Commands that were called or refused, with their totals.
fn totals(server: &Server) -> impl Iterator<Item = (&'static Command, CommandTotals)> {
    let commands = server.commands.all();
    let totals = merged_totals(server.workers.iter().map(|w| &w.totals), commands.len());
    let all = commands.iter().copied().zip(totals);
    all.filter(|(_, totals)| totals.calls + totals.rejected > 0)
}

pub(super) fn commandstats(ctx: &mut Context<'_>, text: &mut Text) {
    for (command, totals) in totals(ctx.server) {
        let micros = totals.nanos / 1000;
        let per_call = totals.nanos as f64 / 1000.0 / totals.calls.max(1) as f64;
        text.field(
            &format!("cmdstat_{}", command.name),
            format!(
                "calls={},usec={micros},usec_per_call={per_call:.2},rejected_calls={},\
                 failed_calls={}",
                totals.calls, totals.rejected, totals.failed
            ),
        );
    }
}

pub(super) fn latencystats(ctx: &mut Context<'_>, text: &mut Text) {
    let wanted = ctx.server.config.latency_percentiles();
    if wanted.is_empty() || !ctx.server.config.get(id::LATENCY_TRACKING) {
        return;
    }
    for (command, totals) in totals(ctx.server) {
        if let Some(values) = percentiles(&totals, &wanted) {
            text.field(&format!("latency_percentiles_usec_{}", command.name), values);
        }
    }
}

pub(super) fn errorstats(ctx: &mut Context<'_>, text: &mut Text) {
    for (code, count) in ctx.server.errors.all() {
        text.field(&format!("errorstat_{code}"), format!("count={count}"));
    }
}
