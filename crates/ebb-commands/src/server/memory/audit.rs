//! MEMORY AUDIT: what nobody owns, and which counters are wrong.

use ebb_engine::audit::Report;
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Group};

pub(super) const AUDIT: CommandSpec = CommandSpec {
    name: "audit",
    summary: "Looks in the background for blocks that nobody owns and counters that are wrong.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(1); the audit is O(N) where N is the number of keys and elements.",
    arity: -2,
    arguments: &[Argument::one_of(
        "action",
        &[
            Argument::word("start", "START"),
            Argument::word("status", "STATUS"),
            Argument::word("report", "REPORT"),
        ],
    )
    .optional()],
    tips: &["nondeterministic_output"],
    run,
    ..CommandSpec::NEW
};

/// Without an argument: starts an audit unless one runs, and answers the last report.
fn run(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let action = ctx.args.get(2).map(|word| word.to_ascii_uppercase());
    match action.as_deref() {
        None => {
            let status = ctx.server.audit.status();
            ctx.server.audit.start();
            report(ctx, status.report.as_deref());
        }
        Some(b"START") => {
            if !ctx.server.audit.start() {
                return Err(CommandError::new("ERR An audit runs already"));
            }
            ctx.reply.ok();
        }
        Some(b"STATUS") => status(ctx),
        Some(b"REPORT") => {
            let status = ctx.server.audit.status();
            report(ctx, status.report.as_deref());
        }
        Some(_) => return Err(CommandError::Syntax),
    }
    Ok(())
}

fn status(ctx: &mut Context<'_>) {
    let status = ctx.server.audit.status();
    let state = if status.phase.is_empty() { "idle" } else { "running" };
    let running_ms = if status.phase.is_empty() { 0 } else { ctx.now_ms - status.started_ms };
    ctx.reply.map(4);
    ctx.reply.bulk(b"state");
    ctx.reply.bulk(state.as_bytes());
    ctx.reply.bulk(b"phase");
    ctx.reply.bulk(status.phase.as_bytes());
    ctx.reply.bulk(b"running-ms");
    ctx.reply.integer(running_ms.max(0));
    ctx.reply.bulk(b"runs");
    ctx.reply.integer(status.runs as i64);
}

/// The verdict in a word.
fn verdict(report: &Report) -> &'static str {
    match (report.is_clean(), report.inconclusive.is_empty()) {
        (false, true) => "flawed",
        (_, false) => "inconclusive",
        (true, true) => "clean",
    }
}

/// What a block's tag says of its owner.
fn owner(kind: u8) -> &'static str {
    match kind {
        8 => "large string",
        9 => "table",
        11 => "planted by DEBUG LEAK-BLOCK",
        96 | 99 => "list chunk",
        97 => "sorted set leaf",
        98 => "stream node",
        16..=28 | 40.. => "entry or element",
        _ => "unknown",
    }
}

fn report(ctx: &mut Context<'_>, report: Option<&Report>) {
    let Some(report) = report else {
        ctx.reply.null();
        return;
    };
    let reply = &mut *ctx.reply;
    let findings = &report.findings;
    let number = |reply: &mut ebb_engine::Reply, name: &str, value: usize| {
        reply.bulk(name.as_bytes());
        reply.count(value);
    };
    reply.map(16);
    reply.bulk(b"verdict");
    reply.bulk(verdict(report).as_bytes());
    reply.bulk(b"inconclusive-because");
    reply.bulk(report.inconclusive.as_bytes());
    number(reply, "started-ms", report.started_ms as usize);
    number(reply, "took-ms", report.took_ms as usize);
    number(reply, "passes", report.passes);
    number(reply, "keys", findings.keys);
    number(reply, "blocks", report.blocks);
    number(reply, "audit-bytes", report.memory);
    number(reply, "leaked-blocks", report.leaked.0);
    number(reply, "leaked-bytes", report.leaked.1);
    number(reply, "dangling-owners", findings.dangling.len());
    number(reply, "wrong-counters", findings.flaw_count);
    reply.bulk(b"leaks");
    reply.array(report.leaks.len());
    for leak in &report.leaks {
        reply.map(4);
        number(reply, "address", leak.block.address as usize);
        number(reply, "bytes", leak.block.bytes);
        number(reply, "arena", leak.arena.number().into());
        reply.bulk(b"kind");
        reply.bulk(owner(leak.block.kind & 0x7f).as_bytes());
    }
    reply.bulk(b"dangling");
    let shown = findings.dangling.len().min(ebb_keyspace::audit::FLAWS_MAX);
    reply.array(shown);
    findings.dangling[..shown].iter().for_each(|place| reply.bulk(place.as_bytes()));
    reply.bulk(b"counters");
    reply.array(findings.flaws.len());
    for flaw in &findings.flaws {
        reply.map(3);
        reply.bulk(b"counter");
        reply.bulk(flaw.counter.as_bytes());
        number(reply, "counted", flaw.counted);
        number(reply, "actual", flaw.actual);
    }
    reply.bulk(b"state");
    let runs = !ctx.server.audit.status().phase.is_empty();
    reply.bulk(if runs { b"running" } else { b"idle" });
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// The watch is the process's: the audit is run again if another test has it.
    fn audit(client: &mut Client) -> String {
        loop {
            assert_eq!(client.say("MEMORY AUDIT START"), "+OK\r\n");
            assert!(client.server.audit.take_wanted());
            ebb_engine::audit::run(client.server);
            let report = client.say("MEMORY AUDIT REPORT");
            if !report.contains("another audit") {
                return report;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_healthy_server_is_clean_and_planted_flaws_are_found() {
        let options = [("enable-debug-command", "yes"), ("io-threads", "2")];
        let mut client = Client::with_config(&options);
        assert_eq!(client.say("MEMORY AUDIT REPORT"), "$-1\r\n");
        client.say("DEBUG POPULATE 2000 k 100");
        client.run(&["SET", "large", &"x".repeat(20_000)]);
        for number in 0..600 {
            client.say(&format!("RPUSH list {number}"));
            client.say(&format!("HSET hash {number} {number}"));
            client.say(&format!("SADD set m{number}"));
            client.say(&format!("ZADD zset {number} m{number}"));
            client.say(&format!("XADD stream * f {number}"));
        }
        client.say("HEXPIRE hash 1000 FIELDS 2 1 2");
        client.say("EXPIRE set 1000");
        let clean = audit(&mut client);
        assert!(clean.contains("verdict\r\n$5\r\nclean"), "{clean}");
        assert!(clean.contains("keys\r\n:2006\r\n"), "{clean}");
        assert_eq!(client.say("DEBUG LEAK-BLOCK 500"), "+OK\r\n");
        assert_eq!(client.say("DEBUG SKEW-COUNTER"), "+OK\r\n");
        let flawed = audit(&mut client);
        assert!(flawed.contains("verdict\r\n$6\r\nflawed"), "{flawed}");
        assert!(flawed.contains("leaked-blocks\r\n:1\r\n"), "{flawed}");
        assert!(flawed.contains("wrong-counters\r\n:2\r\n"), "{flawed}");
        assert!(flawed.contains("planted by DEBUG LEAK-BLOCK"), "{flawed}");
    }

    #[test]
    fn one_audit_at_a_time() {
        let mut client = Client::new();
        assert_eq!(client.say("MEMORY AUDIT START"), "+OK\r\n");
        assert_eq!(client.say("MEMORY AUDIT START"), "-ERR An audit runs already\r\n");
        assert!(client.say("MEMORY AUDIT STATUS").contains("waiting"));
        assert_eq!(client.say("MEMORY AUDIT NOW"), "-ERR syntax error\r\n");
    }
}
