//! MEMORY GROWTH: what grows, by prefix and type.

use std::collections::HashMap;
use std::sync::Arc;

use ebb_engine::survey::{Figures, Sample};
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Group, Reply, Type};

use super::top::{count_of, type_of};

const COUNT: usize = 10;
/// The times over which growth is told: minutes, and their names.
const SPANS: [(i64, &str); 4] = [(1, "1m"), (5, "5m"), (60, "1h"), (1440, "24h")];

pub(super) const GROWTH: CommandSpec = CommandSpec {
    name: "growth",
    summary: "Returns which prefixes and types have grown in the last minutes and hours.",
    since: "7.2.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of prefixes in the samples, at most 256.",
    arity: -2,
    arguments: &[
        Argument::integer("count").after("COUNT").optional(),
        Argument::string("type").after("TYPE").optional(),
        Argument::word("sample", "SAMPLE").optional(),
    ],
    tips: &["nondeterministic_output"],
    run,
    ..CommandSpec::NEW
};

/// Growth a minute: of bytes and of keys.
type Rates = [(f64, f64); SPANS.len()];

struct Row<'s> {
    prefix: &'s [u8],
    kind: Type,
    now: Figures,
    rates: Rates,
}

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let (mut count, mut wanted, mut at) = (COUNT, None, 2);
    while at < ctx.args.len() {
        let has_value = at + 1 < ctx.args.len();
        if ctx.is_word(at, "SAMPLE") {
            ctx.server.surveys.want_sample();
            at += 1;
            continue;
        }
        match ctx.arg(at).to_ascii_uppercase().as_slice() {
            b"COUNT" if has_value => count = count_of(ctx, at + 1)?,
            b"TYPE" if has_value => wanted = Some(type_of(ctx, at + 1)?),
            _ => return Err(CommandError::Syntax),
        }
        at += 2;
    }
    let samples = ctx.server.surveys.samples();
    let Some(last) = samples.last() else {
        answer(ctx.reply, None, &samples, Vec::new());
        return Ok(());
    };
    let mut rows = rows(last, &bases(&samples, last));
    rows.retain(|row| wanted.is_none_or(|wanted| wanted == row.kind));
    // What grows fastest over any of the times comes first, then what is largest.
    let fastest = |row: &Row<'_>| row.rates.iter().map(|rate| rate.0).fold(0.0, f64::max);
    rows.sort_by(|a, b| {
        fastest(b).total_cmp(&fastest(a)).then_with(|| b.now.bytes.cmp(&a.now.bytes))
    });
    rows.truncate(count);
    answer(ctx.reply, Some(last), &samples, rows);
    Ok(())
}

/// For each span the oldest sample within it (with some seconds' grace).
fn bases<'s>(samples: &'s [Arc<Sample>], last: &Sample) -> Vec<&'s Sample> {
    let within = |minutes: i64| {
        let from = last.taken_ms - minutes * 60_000 - 5000;
        samples.iter().find(|sample| sample.taken_ms >= from)
    };
    SPANS.iter().filter_map(|&(minutes, _)| Some(&**within(minutes)?)).collect()
}

fn rows<'s>(last: &'s Sample, bases: &[&Sample]) -> Vec<Row<'s>> {
    let mut rows = Vec::new();
    for (prefix, figures) in &last.prefixes {
        for (at, kind) in Type::ALL.into_iter().enumerate().filter(|&(at, _)| figures[at].keys > 0)
        {
            let now = figures[at];
            let mut rates = Rates::default();
            for (rate, base) in rates.iter_mut().zip(bases) {
                let before = figures_in(&base.prefixes, prefix, at);
                let minutes = (last.taken_ms - base.taken_ms) as f64 / 60_000.0;
                if minutes > 0.0 {
                    let a_minute = |now: u64, then: u64| (now as f64 - then as f64) / minutes;
                    *rate = (a_minute(now.bytes, before.bytes), a_minute(now.keys, before.keys));
                }
            }
            rows.push(Row { prefix, kind, now, rates });
        }
    }
    rows
}

fn figures_in(
    prefixes: &HashMap<Box<[u8]>, ebb_engine::survey::ByType>,
    prefix: &[u8],
    at: usize,
) -> Figures {
    prefixes.get(prefix).map_or(Figures::default(), |figures| figures[at])
}

fn answer(reply: &mut Reply, last: Option<&Sample>, samples: &[Arc<Sample>], rows: Vec<Row<'_>>) {
    let integer = |reply: &mut Reply, name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    };
    reply.map(5);
    integer(reply, "samples", samples.len() as i64);
    integer(reply, "since-ms", samples.first().map_or(0, |sample| sample.taken_ms));
    integer(reply, "taken-ms", last.map_or(0, |sample| sample.taken_ms));
    integer(reply, "one-key-in", last.map_or(1, |sample| sample.share as i64));
    reply.bulk(b"prefixes");
    reply.array(rows.len());
    for row in rows {
        reply.map(5 + 2 * SPANS.len());
        reply.bulk(b"prefix");
        reply.bulk(row.prefix);
        reply.bulk(b"type");
        reply.bulk(row.kind.name().as_bytes());
        integer(reply, "keys", row.now.keys as i64);
        integer(reply, "bytes", row.now.bytes as i64);
        integer(reply, "keys-without-ttl", row.now.persistent as i64);
        for ((_, span), (bytes, keys)) in SPANS.iter().zip(row.rates) {
            integer(reply, &format!("bytes-per-minute-{span}"), bytes.round() as i64);
            integer(reply, &format!("keys-per-minute-{span}"), keys.round() as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn what_grows_comes_first() {
        let mut client = Client::new();
        assert!(client.say("MEMORY GROWTH").contains("samples\r\n:0\r\n"));
        for number in 0..300 {
            client.say(&format!("SETEX still:{number} 1000 {}", "x".repeat(100)));
        }
        client.server.surveys.sample(client.server);
        for number in 0..100 {
            client.say(&format!("SADD leak:{number} {}", "x".repeat(50)));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        client.server.surveys.sample(client.server);
        let growth = client.say("MEMORY GROWTH COUNT 2");
        let (leak, still) = (growth.find("leak:").unwrap(), growth.find("still:").unwrap());
        assert!(leak < still, "{growth}");
        assert!(growth.contains("keys-without-ttl\r\n:100\r\n"), "{growth}");
        assert!(growth[still..].contains("bytes-per-minute-1m\r\n:0\r\n"), "{growth}");
        assert!(!client.say("MEMORY GROWTH TYPE set").contains("still:"));
        assert!(client.say("MEMORY GROWTH WHAT").starts_with("-ERR syntax"));
        client.say("MEMORY GROWTH SAMPLE");
        assert!(client.server.surveys.is_sample_wanted());
    }
}
