//! Bytes by owner: rows that add up to the resident memory of the process.
//!
//! What was handed out is known to the byte, but pages of it that nobody has written yet are not
//! resident. So two rows are negative: what is not resident of the large blocks of the heap, and of
//! jemalloc. The first is measured page by page; the second is the difference between what jemalloc
//! has and what is resident besides the heap, the program and the stacks.

use ebb_engine::server::ResidentPages;
use ebb_engine::{Context, Type};

use super::figures::MemoryFigures;
use crate::partition::Figures;

/// What is measured for these rows only, since it takes longer than a glance.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measured {
    pages: ResidentPages,
    /// Bytes of the heap's large blocks.
    large: usize,
}

impl Measured {
    pub(super) fn now(ctx: &Context<'_>) -> Measured {
        let ranges = ebb_heap::large_ranges();
        let large = ranges.iter().map(std::ops::Range::len).sum();
        Measured { pages: (ctx.server.host.resident_pages)(&ranges), large }
    }
}

/// A row's name without its prefix, and its bytes.
pub(super) type Row = (String, i64);

/// The rows: each byte is in one of them.
pub(super) fn rows(memory: &MemoryFigures, measured: Measured) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name: &str, bytes: i64| rows.push((name.to_owned(), bytes));
    heap_rows(memory, measured, &mut add);
    jemalloc_rows(memory, &mut add);
    process_rows(memory, measured, &mut add);
    rows
}

fn heap_rows(memory: &MemoryFigures, measured: Measured, add: &mut impl FnMut(&str, i64)) {
    let mut known = 0;
    let mut owned = |name: &str, bytes: usize| {
        known += bytes;
        add(name, bytes as i64);
    };
    for (kind, bytes) in Type::ALL.iter().zip(memory.types) {
        owned(&format!("data.{}", kind.name()), bytes);
    }
    owned("collection-tables", memory.collections.0);
    owned("index", memory.dbs.iter().map(|db| db.table).sum());
    owned("heap-arriving", memory.parts.arriving);
    owned("pubsub", memory.parts.pubsub.0);
    owned("tracking", memory.parts.tracking.0);
    owned("scripts", memory.parts.scripts.0);
    owned("functions", memory.parts.functions.0);
    add("heap-other", memory.heap.0.saturating_sub(known) as i64);
    add("heap-holes", memory.heap.1 as i64);
    add("heap-unwritten", -(measured.large.saturating_sub(measured.pages.ranges) as i64));
}

fn jemalloc_rows(memory: &MemoryFigures, add: &mut impl FnMut(&str, i64)) {
    let (allocated, active, resident) = memory.jemalloc;
    let parts = &memory.parts;
    let [normal, pubsub] = parts.clients_own;
    let rows = [
        ("collection-outside", memory.collections.1),
        ("expiry-index", memory.dbs.iter().map(|db| db.wheel).sum()),
        ("clients-normal", normal),
        ("clients-pubsub", pubsub),
        ("tracking-outside", parts.tracking.1),
        ("pubsub-outside", parts.pubsub.1),
        ("scripts-outside", parts.scripts.1),
        ("functions-outside", parts.functions.1),
        ("interpreters", parts.interpreters),
        ("command-statistics", parts.histograms),
    ];
    let known: usize = rows.iter().map(|(_, bytes)| bytes).sum();
    rows.iter().for_each(|&(name, bytes)| add(name, bytes as i64));
    let cached = memory.cached.min(allocated.saturating_sub(known));
    let rest = allocated.saturating_sub(known + cached);
    // Buffers and tables of the workers, settings, commands.
    let startup = memory.startup.min(rest);
    add("startup", startup as i64);
    add("allocator-other", (rest - startup) as i64);
    add("allocator-caches", cached as i64);
    add("allocator-fragmentation", active.saturating_sub(allocated) as i64);
    let metadata = memory.metadata.min(resident.saturating_sub(active));
    add("allocator-metadata", metadata as i64);
    add("allocator-free", resident.saturating_sub(active + metadata) as i64);
}

fn process_rows(memory: &MemoryFigures, measured: Measured, add: &mut impl FnMut(&str, i64)) {
    let pages = measured.pages;
    let unwritten = measured.large.saturating_sub(pages.ranges);
    // Without the dead weight of `unwritten`, what the heap has is resident.
    let heap = (memory.heap.0 + memory.heap.1).saturating_sub(unwritten);
    let besides = pages.total as i64 - (pages.program + pages.stacks + heap) as i64;
    let rest = besides - memory.jemalloc.2 as i64;
    add("allocator-unwritten", rest.min(0));
    add("process-program", pages.program as i64);
    add("process-stacks", pages.stacks as i64);
    add("process-other", rest.max(0));
}

/// Parts of the rows above: what each database takes, and each partition. They are in the rows
/// `data`, `collection`, `index` and `expiry-index` already, and not to be added to them.
pub(super) fn parts(memory: &MemoryFigures, partitions: &[Figures]) -> Vec<Row> {
    let mut rows = Vec::new();
    for db in &memory.dbs {
        let name = format!("db.{}", db.number);
        rows.push((format!("{name}.data"), db.data as i64));
        rows.push((format!("{name}.index"), db.table as i64));
        rows.push((format!("{name}.expiry-index"), db.wheel as i64));
    }
    for one in partitions {
        let name = format!("partition.{}", one.partition.line.name);
        let data = one.by_type.iter().sum::<usize>();
        rows.push((format!("{name}.data"), data as i64));
        rows.push((format!("{name}.tables"), one.tables() as i64));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_to_what_is_resident() {
        let memory = MemoryFigures {
            types: [600, 0, 0, 0, 0, 0],
            heap: (1000, 50),
            jemalloc: (300, 400, 700),
            metadata: 100,
            cached: 70,
            ..MemoryFigures::default()
        };
        for total in [1500, 9000] {
            let pages = ResidentPages { total, program: 200, stacks: 30, ranges: 100 };
            let rows = rows(&memory, Measured { pages, large: 400 });
            assert_eq!(rows.iter().map(|(_, bytes)| bytes).sum::<i64>(), total as i64, "{rows:?}");
            let row = |name: &str| rows.iter().find(|row| row.0 == name).unwrap().1;
            assert_eq!((row("heap-other"), row("heap-unwritten")), (400, -300));
            assert_eq!((row("allocator-metadata"), row("allocator-free")), (100, 200));
            assert_eq!((row("allocator-caches"), row("allocator-other")), (70, 230));
            assert_eq!(row("allocator-unwritten") < 0, total == 1500, "{rows:?}");
        }
    }
}
