//! INFO memory, persistence and keyspace: the data.

use std::sync::atomic::Ordering;

use ebb_config::id;
use ebb_engine::Context;
use ebb_keyspace::lazyfree;

use super::{Text, human};
use crate::server::memory::figures::MemoryFigures;

pub(super) fn memory(ctx: &mut Context<'_>, text: &mut Text) {
    ctx.measure();
    let memory = MemoryFigures::gather(ctx);
    let server = ctx.server;
    let limit = server.config.get(id::MAXMEMORY) as usize;
    text.bytes("used_memory", memory.used);
    text.bytes("used_memory_rss", memory.resident);
    text.bytes("used_memory_peak", memory.peak);
    text.field("used_memory_peak_perc", format!("{:.2}%", memory.peak_percent()));
    text.field("used_memory_overhead", memory.overhead());
    text.field("used_memory_startup", memory.startup);
    text.field("used_memory_dataset", memory.dataset());
    text.field("used_memory_dataset_perc", format!("{:.2}%", memory.dataset_percent()));
    text.field("allocator_allocated", memory.allocated);
    text.field("allocator_active", memory.active);
    text.field("allocator_resident", memory.allocator_resident);
    text.bytes("total_system_memory", server.host.system.total_memory);
    scripts(ctx, text);
    text.field("maxmemory", limit);
    text.field("maxmemory_human", human(limit));
    text.field("maxmemory_policy", server.config.text(id::MAXMEMORY_POLICY.id()));
    text.ratio("allocator_frag_ratio", "allocator_frag_bytes", memory.fragmentation());
    text.ratio("allocator_rss_ratio", "allocator_rss_bytes", memory.allocator_resident());
    text.ratio("rss_overhead_ratio", "rss_overhead_bytes", memory.process_overhead());
    text.ratio(
        "mem_fragmentation_ratio",
        "mem_fragmentation_bytes",
        memory.process_fragmentation(),
    );
    let not_counted = memory.used.saturating_sub(server.counted_memory());
    text.field("mem_not_counted_for_evict", not_counted);
    text.field("mem_replication_backlog", 0);
    text.field("mem_total_replication_buffers", 0);
    text.field("mem_clients_slaves", 0);
    let parts = &memory.parts;
    text.field("mem_clients_normal", parts.clients_normal + parts.clients_pubsub);
    text.field("mem_clients_pubsub", parts.clients_pubsub);
    text.field("mem_command_statistics", parts.histograms);
    text.field("mem_tracking", parts.tracking.0 + parts.tracking.1);
    text.field("mem_pubsub", parts.pubsub.0 + parts.pubsub.1);
    text.field("mem_allocator_free", memory.jemalloc.2.saturating_sub(memory.jemalloc.1));
    text.field("mem_heap_holes", memory.heap.1);
    text.field("mem_cluster_links", 0);
    text.field("mem_aof_buffer", 0);
    text.field("mem_allocator", "ebb-heap, jemalloc-5.3.0");
    text.field("active_defrag_running", server.defrag.running.load(Ordering::Relaxed));
    text.field("lazyfree_pending_objects", memory.trash);
    text.field("lazyfreed_objects", lazyfree::freed());
}

/// What scripts and functions hold: the interpreters, and what is kept of their sources.
fn scripts(ctx: &Context<'_>, text: &mut Text) {
    let scripting = &ctx.server.scripting;
    let (vm_eval, vm_functions) = scripting.vm_bytes();
    let (cached, cache_bytes) = {
        let cache = scripting.cache.lock();
        (cache.len(), cache.bytes())
    };
    let (libraries, functions, library_bytes) = {
        let all = scripting.libraries.lock();
        let (libraries, functions) = all.counts();
        (libraries, functions, all.bytes())
    };
    text.field("used_memory_vm_eval", vm_eval);
    text.bytes("used_memory_lua", vm_eval);
    text.field("used_memory_scripts_eval", cache_bytes);
    text.field("number_of_cached_scripts", cached);
    text.field("number_of_functions", functions);
    text.field("number_of_libraries", libraries);
    text.field("used_memory_vm_functions", vm_functions);
    text.bytes("used_memory_vm_total", vm_eval + vm_functions);
    text.field("used_memory_functions", library_bytes);
    text.bytes("used_memory_scripts", cache_bytes + library_bytes);
}

pub(super) fn persistence(ctx: &mut Context<'_>, text: &mut Text) {
    // The command that runs may have changed something before INFO, in a transaction.
    let changes = ctx.server.dirty.load(Ordering::Relaxed) + ctx.journal.dirty;
    text.field("loading", 0);
    text.field("async_loading", 0);
    text.field("rdb_changes_since_last_save", changes);
    text.field("rdb_bgsave_in_progress", 0);
    text.field("rdb_last_save_time", ctx.server.started_ms / 1000);
    text.field("rdb_last_bgsave_status", "ok");
    text.field("rdb_last_bgsave_time_sec", -1);
    text.field("rdb_current_bgsave_time_sec", -1);
    text.field("rdb_saves", 0);
    text.field("aof_enabled", 0);
    text.field("aof_rewrite_in_progress", 0);
    text.field("aof_rewrite_scheduled", 0);
    text.field("aof_last_write_status", "ok");
}

/// Keys drawn to estimate the average time to live of a database in a shard.
const TTL_DRAWS: usize = 16;

pub(super) fn keyspace(ctx: &mut Context<'_>, text: &mut Text) {
    let (now_ms, databases) = (ctx.now_ms, ctx.server.keyspace.databases());
    // Of each: keys, keys with a deadline, milliseconds left in the sample, its size.
    let mut dbs = vec![(0, 0, 0_i64, 0_i64); databases];
    for number in 0..ctx.server.keyspace.shards() {
        ctx.enter_shard(number);
        let Context { locks, random, .. } = &mut *ctx;
        for (db, (keys, volatile, left_ms, drawn)) in locks.shard(number).dbs().iter().zip(&mut dbs)
        {
            let counts = db.counts();
            *keys += counts.keys;
            *volatile += counts.volatile;
            let draws = if counts.volatile > 0 { TTL_DRAWS } else { 0 };
            for _ in 0..draws {
                if let Some(deadline) = db.sample(*random).and_then(|entry| entry.deadline()) {
                    *left_ms += (deadline - now_ms).max(0);
                    *drawn += 1;
                }
            }
        }
    }
    for (number, (keys, volatile, left_ms, drawn)) in dbs.into_iter().enumerate() {
        if keys > 0 {
            let average = left_ms / drawn.max(1);
            text.field(
                &format!("db{number}"),
                format!("keys={keys},expires={volatile},avg_ttl={average}"),
            );
        }
    }
}
