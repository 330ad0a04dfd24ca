//! MEMORY DOCTOR: what is unusual, in sentences.

use ebb_config::id;
use ebb_engine::{CommandResult, CommandSpec, Context, Group, Scope};

use super::figures::MemoryFigures;
use super::holes::Holes;

pub(super) const DOCTOR: CommandSpec = CommandSpec {
    name: "doctor",
    summary: "Explains what is unusual about memory.",
    since: "4.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards and databases.",
    arity: 2,
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    scope: Scope::Walk,
    run,
    ..CommandSpec::NEW
};

const MEGABYTE: i64 = 1 << 20;

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let memory = MemoryFigures::gather(ctx);
    let config = &ctx.server.config;
    let policy = config.text(id::MAXMEMORY_POLICY.id());
    let holes = Holes::gather(ctx.server, &memory);
    let findings = examine(&memory, &holes, config.get(id::MAXMEMORY), &policy);
    let text = if findings.is_empty() {
        let (used, keys) = (memory.used, memory.keys());
        format!("Nothing unusual: {used} bytes are in use for {keys} keys.\n")
    } else {
        findings.iter().map(|finding| format!("* {finding}\n")).collect()
    };
    ctx.reply.verbatim(*b"txt", &text);
    Ok(())
}

fn examine(memory: &MemoryFigures, holes: &Holes, limit: u64, policy: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if memory.used as i64 > 10 * MEGABYTE && memory.peak as f64 > memory.used as f64 * 1.5 {
        findings.push(format!(
            "The peak was {} bytes, {:.0}% of what is in use now. What was freed has gone back to \
             the operating system.",
            memory.peak,
            memory.peak as f64 / memory.used as f64 * 100.0
        ));
    }
    findings.extend(holes.findings());
    let (ratio, bytes) = memory.allocator_resident();
    if ratio > 1.1 && bytes > 10 * MEGABYTE {
        findings.push(format!(
            "The allocators hold {bytes} bytes of free pages. They go back within seconds, or at \
             once with MEMORY PURGE."
        ));
    }
    let clients = memory.parts.clients_normal + memory.parts.clients_pubsub;
    if clients as i64 > 10 * MEGABYTE && clients * 5 > memory.used {
        findings.push(format!(
            "Buffers of clients take {} bytes. CLIENT LIST shows whose (qbuf and omem); \
             client-output-buffer-limit and client-query-buffer-limit bound them.",
            clients
        ));
    }
    if limit > 0 && memory.used as u64 > limit / 100 * 95 {
        findings.push(format!(
            "{} of the {limit} bytes that maxmemory allows are in use; beyond it, maxmemory-policy \
             ({policy}) says whether keys are evicted or commands refused.",
            memory.used
        ));
    }
    if memory.trash > 0 {
        findings.push(format!("{} deleted keys wait to be freed in the background.", memory.trash));
    }
    let (keys, volatile) =
        memory.dbs.iter().fold((0, 0), |sum, db| (sum.0 + db.keys, sum.1 + db.volatile));
    if policy.starts_with("volatile") && limit > 0 && keys > 1000 && volatile * 10 < keys {
        findings.push(format!(
            "Only {volatile} of {keys} keys have a deadline, and maxmemory-policy evicts no others: \
             choose an allkeys policy, or give keys a TTL (MEMORY GROWTH shows which have none)."
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::memory::figures::DbFigures;
    use crate::server::memory::parts::Parts;

    #[test]
    fn findings_have_figures() {
        let memory = MemoryFigures {
            used: 100 << 20,
            peak: 300 << 20,
            allocated: 100 << 20,
            allocator_resident: 151 << 20,
            parts: Parts { clients_normal: 50 << 20, ..Parts::default() },
            trash: 7,
            ..MemoryFigures::default()
        };
        let findings = examine(&memory, &Holes::default(), 101 << 20, "noeviction");
        assert_eq!(findings.len(), 5, "{findings:?}");
        assert!(findings[0].contains("314572800"), "{}", findings[0]);
        let keys = DbFigures { keys: 5000, volatile: 10, ..DbFigures::default() };
        let persistent = MemoryFigures { dbs: vec![keys], ..MemoryFigures::default() };
        let findings = examine(&persistent, &Holes::default(), 1 << 30, "volatile-lru");
        assert!(findings.len() == 1 && findings[0].contains("10 of 5000"), "{findings:?}");
        assert!(examine(&persistent, &Holes::default(), 1 << 30, "allkeys-lru").is_empty());
        let calm = MemoryFigures { used: 1 << 20, peak: 1 << 20, ..MemoryFigures::default() };
        assert!(examine(&calm, &Holes::default(), 0, "noeviction").is_empty());
    }
}
