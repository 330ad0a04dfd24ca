//! LATENCY: events that took long, and how long commands take.

use std::fmt::Write;

use ebb_config::id;
use ebb_engine::latency::LatencyEvent;
use ebb_engine::stats::{CommandTotals, merged_totals};
use ebb_engine::{
    Argument, Command, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
};

use crate::help;

pub(super) static LATENCY: CommandSpec = CommandSpec {
    name: "latency",
    summary: "A container of commands on latency.",
    since: "2.8.13",
    group: Group::Server,
    arity: -2,
    subcommands: &[DOCTOR, GRAPH, HELP, HISTOGRAM, HISTORY, LATEST, RESET],
    ..CommandSpec::NEW
};

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "2.8.13",
    group: Group::Server,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};

pub(super) const LATEST: CommandSpec = CommandSpec {
    name: "latest",
    summary: "Returns the last latency of each event.",
    since: "2.8.13",
    group: Group::Server,
    complexity: "O(N) where N is the number of events.",
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    run: latest,
    ..CommandSpec::NEW
};

fn latest(ctx: &mut Context<'_>) -> CommandResult {
    let events = ctx.server.latency.all();
    ctx.reply.array(events.len());
    for (name, event) in events {
        let last = event.history.back();
        ctx.reply.array(4);
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(last.map_or(0, |sample| sample.time_s));
        ctx.reply.integer(last.map_or(0, |sample| sample.latency_ms as i64));
        ctx.reply.integer(event.max_ms as i64);
    }
    Ok(())
}

pub(super) const HISTORY: CommandSpec = CommandSpec {
    name: "history",
    summary: "Returns the latencies of an event, with their times.",
    since: "2.8.13",
    group: Group::Server,
    arity: 3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("event")],
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    run: history,
    ..CommandSpec::NEW
};

fn history(ctx: &mut Context<'_>) -> CommandResult {
    let name = String::from_utf8_lossy(ctx.arg(2));
    let event = ctx.server.latency.get(&name).unwrap_or_default();
    ctx.reply.array(event.history.len());
    for sample in &event.history {
        ctx.reply.array(2);
        ctx.reply.integer(sample.time_s);
        ctx.reply.integer(sample.latency_ms as i64);
    }
    Ok(())
}

pub(super) const RESET: CommandSpec = CommandSpec {
    name: "reset",
    summary: "Forgets events, all if none is named.",
    since: "2.8.13",
    group: Group::Server,
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("event").optional().multiple()],
    tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
    run: reset,
    ..CommandSpec::NEW
};

fn reset(ctx: &mut Context<'_>) -> CommandResult {
    let latency = &ctx.server.latency;
    let count = match &ctx.args[2..] {
        [] => latency.reset_all(),
        names => {
            let names = names.iter().map(|name| String::from_utf8_lossy(name));
            names.filter(|name| latency.reset(name)).count()
        }
    };
    ctx.reply.count(count);
    Ok(())
}

pub(super) const GRAPH: CommandSpec = CommandSpec {
    name: "graph",
    summary: "Draws the latencies of an event.",
    since: "2.8.13",
    group: Group::Server,
    arity: 3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("event")],
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    run: graph,
    ..CommandSpec::NEW
};

fn graph(ctx: &mut Context<'_>) -> CommandResult {
    let name = ctx.quote(2).into_owned();
    let Some(event) = ctx.server.latency.get(&name) else {
        return Err(CommandError::new(format!("ERR No samples available for event '{name}'")));
    };
    ctx.reply.verbatim(*b"txt", &draw(&name, &event, ctx.now_ms / 1000));
    Ok(())
}

const GRAPH_ROWS: u64 = 4;
const GRAPH_COLUMNS: usize = 80;

/// One column for each sample, its height by the latency, its age below.
fn draw(name: &str, event: &LatencyEvent, now_s: i64) -> String {
    let skip = event.history.len().saturating_sub(GRAPH_COLUMNS);
    let samples: Vec<_> = event.history.iter().skip(skip).collect();
    let high = samples.iter().map(|sample| sample.latency_ms).max().unwrap_or(0);
    let low = samples.iter().map(|sample| sample.latency_ms).min().unwrap_or(0);
    let mut text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        event.max_ms,
        "-".repeat(GRAPH_COLUMNS)
    );
    let level = |latency: u64| {
        if high == low { 1 } else { 1 + (latency - low) * (GRAPH_ROWS - 1) / (high - low) }
    };
    for row in (1..=GRAPH_ROWS).rev() {
        text.extend(samples.iter().map(|sample| match level(sample.latency_ms) {
            top if top == row => '#',
            top if top > row => '|',
            _ => ' ',
        }));
        text.push('\n');
    }
    let ages: Vec<_> = samples.iter().map(|sample| age(now_s - sample.time_s)).collect();
    let rows = ages.iter().map(String::len).max().unwrap_or(0);
    text.push('\n');
    for row in 0..rows {
        text.extend(ages.iter().map(|age| age.as_bytes().get(row).map_or(' ', |&b| b.into())));
        text.push('\n');
    }
    text
}

fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

pub(super) const DOCTOR: CommandSpec = CommandSpec {
    name: "doctor",
    summary: "Explains the latencies that were seen.",
    since: "2.8.13",
    group: Group::Server,
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    run: doctor,
    ..CommandSpec::NEW
};

fn doctor(ctx: &mut Context<'_>) -> CommandResult {
    let threshold_ms: u64 = ctx.server.config.get(id::LATENCY_MONITOR_THRESHOLD);
    let text = if threshold_ms == 0 {
        "Latency monitoring is off. Turn it on with CONFIG SET latency-monitor-threshold \
         <milliseconds>; events that take at least that long are then recorded.\n"
            .to_owned()
    } else {
        diagnose(&ctx.server.latency.all().into_iter().collect::<Vec<_>>(), threshold_ms)
    };
    ctx.reply.verbatim(*b"txt", &text);
    Ok(())
}

fn diagnose(events: &[(String, LatencyEvent)], threshold_ms: u64) -> String {
    if events.is_empty() {
        return format!(
            "No event has taken {threshold_ms} ms or longer since the last reset: there is \
             nothing to report.\n"
        );
    }
    let mut text = String::new();
    for (number, (name, event)) in events.iter().enumerate() {
        let samples = event.history.len() as u64;
        let sum: u64 = event.history.iter().map(|sample| sample.latency_ms).sum();
        let deviation = |mean: u64| {
            let total: u64 = event.history.iter().map(|s| s.latency_ms.abs_diff(mean)).sum();
            total / samples.max(1)
        };
        let mean = sum / samples.max(1);
        let advice = match name.as_str() {
            "command" => {
                "Commands that are not O(1) ran for long: SLOWLOG GET names them, with their \
                 arguments."
            }
            "fast-command" => {
                "Even commands that should be quick ran for long: the machine is overloaded or \
                 swaps, or a value is very large. See SLOWLOG GET."
            }
            _ => "See INFO for what the server was doing.",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}. {name}: {samples} latency spikes (average {mean} ms, mean deviation {} ms, worst \
             {} ms).\n   {advice}",
            number + 1,
            deviation(mean),
            event.max_ms,
        );
    }
    text
}

pub(super) const HISTOGRAM: CommandSpec = CommandSpec {
    name: "histogram",
    summary: "Returns how long commands took, as cumulative counts.",
    since: "7.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of commands.",
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("command").optional().multiple()],
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    run: histogram,
    ..CommandSpec::NEW
};

fn histogram(ctx: &mut Context<'_>) -> CommandResult {
    let commands = ctx.server.commands.all();
    let totals = merged_totals(ctx.server.workers.iter().map(|w| &w.totals), commands.len());
    let selected: Vec<&'static Command> = match &ctx.args[2..] {
        [] => commands.to_vec(),
        names => {
            let named = names.iter().filter_map(|name| ctx.server.commands.by_full_name(name));
            named.flat_map(|command| [&[command][..], &command.subcommands].concat()).collect()
        }
    };
    let measured: Vec<_> = selected
        .iter()
        .filter_map(|command| Some((command.name, totals[command.number].latency.as_ref()?)))
        .collect();
    ctx.reply.map(measured.len());
    for (name, latency) in measured {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.map(2);
        ctx.reply.bulk(b"calls");
        ctx.reply.integer(latency.len() as i64);
        ctx.reply.bulk(b"histogram_usec");
        let buckets = cumulative(latency);
        ctx.reply.map(buckets.len());
        for (micros, count) in buckets {
            ctx.reply.integer(micros);
            ctx.reply.integer(count);
        }
    }
    Ok(())
}

/// Upper bounds in microseconds, doubling, with the number of runs up to each; bounds that
/// add none are left out.
fn cumulative(latency: &hdrhistogram::Histogram<u64>) -> Vec<(i64, i64)> {
    let mut buckets: Vec<(i64, i64)> = Vec::new();
    let mut bound = 1024;
    loop {
        let count = latency.count_between(0, bound) as i64;
        if buckets.last().is_none_or(|&(_, last)| count > last) && count > 0 {
            buckets.push(((bound / 1000) as i64, count));
        }
        if count as u64 >= latency.len() || bound > latency.high() {
            return buckets;
        }
        bound *= 2;
    }
}

/// The percentiles of a command, as INFO latencystats shows them, in microseconds.
pub(super) fn percentiles(totals: &CommandTotals, wanted: &[f64]) -> Option<String> {
    let latency = totals.latency.as_ref()?;
    let one = |percentile: &f64| {
        let micros = latency.value_at_percentile(*percentile) as f64 / 1000.0;
        format!("p{percentile}={micros:.3}")
    };
    Some(wanted.iter().map(one).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn events_are_reported() {
        let mut client = Client::with_config(&[("latency-monitor-threshold", "100")]);
        assert!(client.say("LATENCY DOCTOR").contains("nothing to report"));
        client.server.latency.add("command", 1000, 200);
        client.server.latency.add("command", 1001, 300);
        assert_eq!(
            client.say("LATENCY LATEST"),
            "*1\r\n*4\r\n$7\r\ncommand\r\n:1001\r\n:300\r\n:300\r\n"
        );
        assert_eq!(
            client.say("LATENCY HISTORY command"),
            "*2\r\n*2\r\n:1000\r\n:200\r\n*2\r\n:1001\r\n:300\r\n"
        );
        assert!(client.say("LATENCY GRAPH command").contains("high 300 ms, low 200 ms"));
        assert!(client.say("LATENCY DOCTOR").contains("1. command: 2 latency spikes"));
        assert_eq!(client.say("LATENCY RESET command other"), ":1\r\n");
        assert_eq!(client.say("LATENCY LATEST"), "*0\r\n");
        assert!(client.say("LATENCY GRAPH x").starts_with("-ERR No samples available"));
    }

    #[test]
    fn commands_have_histograms() {
        let mut client = Client::new();
        client.say("SET a 1");
        client.say("SET a 1");
        let reply = client.say("LATENCY HISTOGRAM set get nothing");
        assert!(reply.starts_with("*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:2\r\n"), "{reply}");
    }
}
