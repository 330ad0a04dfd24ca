//! Fragmentation as MEMORY DOCTOR tells it: what moving blocks repairs, and what it does not.

use ebb_config::id;
use ebb_engine::Server;
use ebb_keyspace::defrag;

use super::figures::MemoryFigures;

/// What is no larger, or a smaller share of what is live, is nothing unusual.
const NOTABLE_BYTES: usize = 10 << 20;
const NOTABLE_PERCENT: usize = 10;

/// Holes, where they are, and the settings that bear on them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Holes {
    /// The heap: bytes in blocks, in holes, and in the holes of segments sparse enough to be
    /// emptied.
    live: usize,
    holes: usize,
    repairable: usize,
    /// jemalloc: handed out, and in pages that hold something.
    allocated: usize,
    active: usize,
    /// `activedefrag`, `active-defrag-ignore-bytes` and `active-defrag-threshold-lower`.
    is_enabled: bool,
    ignored_bytes: u64,
    ignored_percent: u32,
}

impl Holes {
    pub(super) fn gather(server: &Server, memory: &MemoryFigures) -> Holes {
        let config = &server.config;
        Holes {
            live: memory.heap.0,
            holes: memory.heap.1,
            repairable: defrag::repairable(&server.all_arenas()),
            allocated: memory.jemalloc.0,
            active: memory.jemalloc.1,
            is_enabled: config.get(id::ACTIVEDEFRAG),
            ignored_bytes: config.get(id::ACTIVE_DEFRAG_IGNORE_BYTES),
            ignored_percent: config.get(id::ACTIVE_DEFRAG_THRESHOLD_LOWER),
        }
    }

    /// Why active defragmentation leaves the holes as they are, and which setting changes that.
    fn advice(&self) -> String {
        let percent = self.holes as f64 * 100.0 / self.live.max(1) as f64;
        if !self.is_enabled {
            "But activedefrag is off: CONFIG SET activedefrag yes has them repaired".to_owned()
        } else if self.holes as u64 <= self.ignored_bytes {
            format!(
                "It rests, since active-defrag-ignore-bytes is {}: a smaller one has them repaired",
                self.ignored_bytes
            )
        } else if percent < f64::from(self.ignored_percent) {
            format!(
                "It rests, since they are {percent:.1}% of what is live and \
                 active-defrag-threshold-lower is {}: a lower one has them repaired",
                self.ignored_percent
            )
        } else {
            "It works on them; active-defrag-cycle-max says how fast, MEMORY DEFRAG STATUS how far \
             it is"
                .to_owned()
        }
    }

    pub(super) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let is_notable =
            |bytes: usize, of: usize| bytes > NOTABLE_BYTES && bytes > of / 100 * NOTABLE_PERCENT;
        if is_notable(self.repairable, self.live) {
            findings.push(format!(
                "Fragmentation that moving repairs: {} of the {} bytes of holes in the heap lie in \
                 sparse segments, which active defragmentation can empty. {}.",
                self.repairable,
                self.holes,
                self.advice()
            ));
        }
        let dense = self.holes.saturating_sub(self.repairable);
        if is_notable(dense, self.live) {
            findings.push(format!(
                "Fragmentation that moving does not repair: {dense} bytes of holes in the heap lie \
                 in segments that are at least 94% full, or are what a pass leaves. No setting \
                 changes that; new values fill them."
            ));
        }
        let between = self.active.saturating_sub(self.allocated);
        if is_notable(between, self.allocated) {
            findings.push(format!(
                "Fragmentation that moving does not repair: jemalloc has {between} bytes of room \
                 between the {} that it has handed out to clients, scripts and tables. It goes \
                 when its neighbours do; smaller limits on clients (maxmemory-clients, \
                 client-query-buffer-limit, client-output-buffer-limit) keep it small. A restart \
                 ends it.",
                self.allocated
            ));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARSE: Holes = Holes {
        live: 100 << 20,
        holes: 50 << 20,
        repairable: 45 << 20,
        allocated: 10 << 20,
        active: 11 << 20,
        is_enabled: false,
        ignored_bytes: 1 << 20,
        ignored_percent: 10,
    };

    fn only(holes: Holes) -> String {
        let mut findings = holes.findings();
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }

    #[test]
    fn each_reason_to_rest_has_its_setting() {
        assert!(only(SPARSE).contains("47185920 of the 52428800"), "{}", only(SPARSE));
        assert!(only(SPARSE).contains("CONFIG SET activedefrag yes"));
        let on = Holes { is_enabled: true, ..SPARSE };
        assert!(only(on).contains("active-defrag-cycle-max"));
        let few = Holes { ignored_bytes: 1 << 30, ..on };
        assert!(only(few).contains("active-defrag-ignore-bytes is 1073741824"));
        let little = Holes { ignored_percent: 60, ..on };
        assert!(only(little).contains("50.0%") && only(little).contains("threshold-lower is 60"));
    }

    #[test]
    fn what_moving_does_not_repair_is_told_apart() {
        let dense = only(Holes { repairable: 0, ..SPARSE });
        assert!(dense.contains("does not repair: 52428800 bytes of holes"), "{dense}");
        let elsewhere = Holes { active: 40 << 20, repairable: 0, holes: 0, ..SPARSE };
        assert!(only(elsewhere).contains("jemalloc has 31457280 bytes"));
        assert!(Holes::default().findings().is_empty());
    }
}
