//! MEMORY: what memory is used for.

use ebb_collections::Footprint;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};

use crate::help;

mod audit;
mod defrag;
mod doctor;
pub(super) mod figures;
mod growth;
mod holes;
mod owners;
mod parts;
mod stats;
mod top;

pub(super) static MEMORY: CommandSpec = CommandSpec {
    name: "memory",
    summary: "A container of commands on memory.",
    since: "4.0.0",
    group: Group::Server,
    arity: -2,
    subcommands: &[
        audit::AUDIT,
        defrag::DEFRAG,
        doctor::DOCTOR,
        growth::GROWTH,
        HELP,
        top::HISTOGRAM,
        MALLOC_STATS,
        PURGE,
        stats::STATS,
        top::TOP,
        USAGE,
    ],
    ..CommandSpec::NEW
};

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "4.0.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};

pub(super) const USAGE: CommandSpec = CommandSpec {
    name: "usage",
    summary: "Returns the bytes that a key takes.",
    since: "4.0.0",
    group: Group::Server,
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0), Argument::integer("count").after("SAMPLES").optional()],
    run: usage,
    ..CommandSpec::NEW
};

fn usage(ctx: &mut Context<'_>) -> CommandResult {
    let mut at = 3;
    while at < ctx.args.len() {
        // The answer is exact, so how many elements to sample does not matter; the option
        // is checked as Redis checks it.
        if !ctx.is_word(at, "SAMPLES") || at + 1 >= ctx.args.len() {
            return Err(CommandError::Syntax);
        }
        if ctx.int(at + 1)? < 0 {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let key = ctx.key(2);
    let Some(entry) = ctx.inspect(&key) else {
        ctx.reply.null();
        return Ok(());
    };
    let Footprint { data, index, outside } = entry.footprint();
    ctx.reply.count(data + index + outside + ebb_keyspace::SLOT_BYTES);
    Ok(())
}

pub(super) const PURGE: CommandSpec = CommandSpec {
    name: "purge",
    summary: "Gives free memory back to the operating system.",
    since: "4.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of pages.",
    arity: 2,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    run: purge,
    ..CommandSpec::NEW
};

fn purge(ctx: &mut Context<'_>) -> CommandResult {
    // The heap of keys and values returns its memory by itself; this is for the rest.
    (ctx.server.host.purge_allocator)();
    ctx.reply.ok();
    Ok(())
}

pub(super) const MALLOC_STATS: CommandSpec = CommandSpec {
    name: "malloc-stats",
    summary: "Returns what the allocators say of themselves.",
    since: "4.0.0",
    group: Group::Server,
    arity: 2,
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    run: malloc_stats,
    ..CommandSpec::NEW
};

fn malloc_stats(ctx: &mut Context<'_>) -> CommandResult {
    let heap = figures::heap_report(ctx.server);
    let report = (ctx.server.host.allocator_report)();
    ctx.reply.verbatim(*b"txt", &format!("{heap}\n{report}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn number(reply: &str) -> usize {
        reply.trim_start_matches(':').trim_end().parse().unwrap()
    }

    #[test]
    fn usage_is_exact() {
        let mut client = Client::new();
        (0..1000).for_each(|n| drop(client.say(&format!("SET key:{n} x"))));
        client.run(&["SET", "long", &"x".repeat(1000)]);
        let usage = number(&client.say("MEMORY USAGE long SAMPLES 5"));
        assert!((1004..1030).contains(&usage), "{usage}");
        let usage = number(&client.say("MEMORY USAGE key:7"));
        assert!((10..30).contains(&usage), "{usage}");
        assert_eq!(client.say("MEMORY USAGE nothing"), "$-1\r\n");
        assert_eq!(client.say("MEMORY USAGE long SAMPLES"), "-ERR syntax error\r\n");
    }

    #[test]
    fn free_pages_of_the_allocator_cost_no_key() {
        use std::sync::atomic::Ordering::Relaxed;
        let options = [("maxmemory-basis", "resident"), ("maxmemory-policy", "allkeys-lru")];
        let mut client = Client::with_config(&options);
        (0..1000).for_each(|n| drop(client.say(&format!("SET key:{n} x"))));
        let allocator = &client.server.allocator;
        allocator.resident.store(64 << 20, Relaxed);
        allocator.active.store(1 << 20, Relaxed);
        assert_eq!(allocator.free(), 63 << 20);
        client.say("CONFIG SET maxmemory 32mb");
        assert_eq!(client.say("SET another x"), "+OK\r\n");
        assert_eq!(client.say("DBSIZE"), ":1001\r\n");
        // The same bytes in use are another thing.
        allocator.active.store(64 << 20, Relaxed);
        client.say("CONFIG SET maxmemory 31mb");
        client.say("SET another x");
        assert!(number(&client.say("DBSIZE")) < 1001);
    }

    #[test]
    fn memory_is_described() {
        let mut client = Client::new();
        client.say("SELECT 2");
        client.say("SET a 1");
        let stats = client.say("MEMORY STATS");
        for field in ["peak.allocated", "db.2", "overhead.hashtable.main", "keys.count\r\n:1\r\n"] {
            assert!(stats.contains(field), "{field} is missing in {stats}");
        }
        assert!(client.say("MEMORY DOCTOR").contains("Nothing unusual"));
        assert_eq!(client.say("MEMORY PURGE"), "+OK\r\n");
        assert!(client.say("MEMORY MALLOC-STATS").contains("blocks"));
    }
}
