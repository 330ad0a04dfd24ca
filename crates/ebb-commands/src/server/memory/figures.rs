//! The figures behind INFO memory, MEMORY STATS and MEMORY DOCTOR, gathered once.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_engine::{Context, Server, Type};
use ebb_heap::{ArenaId, ArenaStats};

use super::parts::Parts;

/// Bytes that a database costs beyond its entries.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct DbFigures {
    pub(in super::super) number: usize,
    pub(in super::super) keys: usize,
    pub(in super::super) volatile: usize,
    /// The table.
    pub(in super::super) table: usize,
    /// The deadlines.
    pub(in super::super) wheel: usize,
    /// Keys and values, with the tables of large collections.
    pub(in super::super) data: usize,
}

/// Bytes at one moment.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct MemoryFigures {
    pub(in super::super) used: usize,
    pub(in super::super) peak: usize,
    pub(in super::super) startup: usize,
    pub(in super::super) resident: usize,
    /// Databases that have keys.
    pub(in super::super) dbs: Vec<DbFigures>,
    /// Bytes of entries and values by type, in all databases.
    pub(in super::super) types: [usize; Type::ALL.len()],
    /// Bytes of the tables of large collections, and of what they have outside of the heap.
    pub(in super::super) collections: (usize, usize),
    /// What is not keys and values.
    pub(in super::super) parts: Parts,
    /// Handed out by jemalloc, in pages that hold something, and in physical memory.
    pub(in super::super) jemalloc: (usize, usize, usize),
    /// What jemalloc has for itself.
    pub(in super::super) metadata: usize,
    /// Of what jemalloc has handed out: freed, but kept by threads for what they allocate next.
    pub(in super::super) cached: usize,
    /// The heap: bytes in blocks, and in holes.
    pub(in super::super) heap: (usize, usize),
    /// Handed out by all allocators.
    pub(in super::super) allocated: usize,
    /// In pages that hold something.
    pub(in super::super) active: usize,
    /// In physical memory.
    pub(in super::super) allocator_resident: usize,
    /// Entries detached and not yet freed.
    pub(in super::super) trash: usize,
}

/// All arenas of the heap.
fn arenas(server: &Server) -> impl Iterator<Item = ArenaId> {
    server.all_arenas().into_iter()
}

/// Totals of all arenas.
fn heap_stats(server: &Server) -> ArenaStats {
    arenas(server).map(ArenaId::stats).fold(ArenaStats::default(), |sum, one| ArenaStats {
        live: sum.live + one.live,
        holes: sum.holes + one.holes,
        touched: sum.touched + one.touched,
        blocks: sum.blocks + one.blocks,
        segments: sum.segments + one.segments,
    })
}

impl MemoryFigures {
    /// Reads the figures; visits the shards one after the other.
    pub(in super::super) fn gather(ctx: &mut Context<'_>) -> MemoryFigures {
        let server = ctx.server;
        (server.host.refresh_allocator)(&server.allocator);
        let mut dbs: Vec<DbFigures> = (0..server.keyspace.databases())
            .map(|number| DbFigures { number, ..DbFigures::default() })
            .collect();
        let mut types = [0; Type::ALL.len()];
        let mut collections = (0, 0);
        ctx.each_shard(|shard| {
            for (db, figures) in shard.dbs().iter().zip(&mut dbs) {
                let counts = db.counts();
                let (table, wheel) = db.index_bytes();
                types.iter_mut().zip(counts.bytes).for_each(|(sum, bytes)| *sum += bytes);
                collections.0 += counts.tables;
                collections.1 += counts.outside;
                figures.data += counts.total_bytes();
                figures.keys += counts.keys;
                figures.volatile += counts.volatile;
                figures.table += table;
                figures.wheel += wheel;
            }
        });
        dbs.retain(|db| db.keys > 0);
        let heap = heap_stats(server);
        let read = |figure: &AtomicUsize| figure.load(Ordering::Relaxed);
        let allocator = &server.allocator;
        let jemalloc =
            (read(&allocator.allocated), read(&allocator.active), read(&allocator.resident));
        MemoryFigures {
            used: server.used_memory(),
            peak: server.counters.peak_memory.load(Ordering::Relaxed) as usize,
            startup: read(&server.startup_memory),
            resident: (server.host.resident_bytes)(),
            dbs,
            types,
            collections,
            parts: Parts::gather(server),
            jemalloc,
            metadata: read(&allocator.metadata),
            cached: read(&allocator.cached),
            heap: (heap.live, heap.holes),
            allocated: heap.live + jemalloc.0,
            active: heap.touched + jemalloc.1,
            allocator_resident: heap.touched + jemalloc.2,
            trash: server.keyspace.trash_len(),
        }
    }

    /// Keys of all databases.
    pub(in super::super) fn keys(&self) -> usize {
        self.dbs.iter().map(|db| db.keys).sum()
    }

    /// What is not keys and values.
    pub(in super::super) fn overhead(&self) -> usize {
        let index: usize = self.dbs.iter().map(|db| db.table + db.wheel).sum();
        (self.startup + self.parts.sum() + index).min(self.used)
    }

    /// Keys and values.
    pub(in super::super) fn dataset(&self) -> usize {
        self.used - self.overhead()
    }

    /// The share of the data in what was added since the start, in percent.
    pub(in super::super) fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.used.saturating_sub(self.startup))
    }

    /// Used of peak, in percent.
    pub(in super::super) fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// Ratio and difference of pages that hold something and what they hold.
    pub(in super::super) fn fragmentation(&self) -> (f64, i64) {
        compare(self.active, self.allocated)
    }

    /// The same of physical memory and such pages.
    pub(in super::super) fn allocator_resident(&self) -> (f64, i64) {
        compare(self.allocator_resident, self.active)
    }

    /// The same of the process and the allocators.
    pub(in super::super) fn process_overhead(&self) -> (f64, i64) {
        compare(self.resident, self.allocator_resident)
    }

    /// The same of the process and what is used.
    pub(in super::super) fn process_fragmentation(&self) -> (f64, i64) {
        compare(self.resident, self.used)
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

fn compare(more: usize, less: usize) -> (f64, i64) {
    (more as f64 / less.max(1) as f64, more as i64 - less as i64)
}

/// What the heap says of itself.
pub(super) fn heap_report(server: &Server) -> String {
    let total = heap_stats(server);
    let space = ebb_heap::space_stats();
    let mut text = format!(
        "Heap of keys and values: {} blocks, {} bytes live, {} in holes, {} touched, {} segments\n\
         Address space: {} bytes reserved, {} in use, {} given back since the start\n",
        total.blocks,
        total.live,
        total.holes,
        total.touched,
        total.segments,
        space.reserved,
        space.used,
        space.released
    );
    for (shard, (data, index)) in server.keyspace.arenas().iter().enumerate() {
        for (name, stats) in [("data", data.stats()), ("index", index.stats())] {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "shard {shard} {name}: blocks={} live={} holes={} touched={} segments={}",
                stats.blocks, stats.live, stats.holes, stats.touched, stats.segments
            );
        }
    }
    text
}
