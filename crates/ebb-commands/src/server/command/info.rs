//! COMMAND INFO: a command's row, in the shape that clients and proxies read.

use ebb_engine::{
    Argument, Begin, Categories, Command, CommandResult, CommandSpec, Context, Find, Flags, Group,
    KeySpec, Reply,
};

pub(super) const INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "Describes commands, all if none is named.",
    since: "2.8.13",
    group: Group::Server,
    complexity: "O(N) where N is the number of commands.",
    arity: -2,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::CONNECTION,
    arguments: &[Argument::string("command-name").optional().multiple()],
    tips: &["nondeterministic_output_order"],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let table = &ctx.server.commands;
    let Some(names) = ctx.args.get(2..).filter(|names| !names.is_empty()) else {
        return super::all(ctx);
    };
    ctx.reply.array(names.len());
    for name in names {
        match table.by_full_name(name) {
            Some(command) => describe(ctx.reply, command),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}

/// First key, last key and step, as before Redis 7; zeros if they do not say it.
fn legacy_range(keys: &[KeySpec]) -> (i64, i64, i64) {
    let range = |spec: &KeySpec| match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Range { last, step, limit: 0 }) => {
            let first = first as i64;
            let last = i64::from(last);
            Some((first, if last >= 0 { first + last } else { last }, step as i64))
        }
        _ => None,
    };
    let mut ranges = keys.iter().map_while(range);
    let Some(mut whole) = ranges.next() else { return (0, 0, 0) };
    // Ranges that follow on one another are one.
    for (first, last, step) in ranges {
        if whole.1 < 0 || first != whole.1 + 1 || step != 1 || whole.2 != 1 {
            break;
        }
        whole.1 = last;
    }
    whole
}

/// Writes a command's description and those of its subcommands.
pub(super) fn describe(reply: &mut Reply, command: &Command) {
    let spec = command.spec;
    let (first, last, step) = legacy_range(spec.keys);
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(spec.arity.into());
    let is_shown = |flag: &&str| *flag != "may_replicate"; // As in Redis.
    let flags: Vec<_> = spec.flags.names().filter(is_shown).collect();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    let categories: Vec<_> = spec.categories().names().collect();
    reply.set(categories.len());
    categories.iter().for_each(|category| reply.simple(&format!("@{category}")));
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(spec.keys.len());
    spec.keys.iter().for_each(|keys| describe_keys(reply, keys));
    // As in Redis: an array, but if there are none, an empty set.
    match command.subcommands.len() {
        0 => reply.set(0),
        some => reply.array(some),
    }
    command.subcommands.iter().for_each(|subcommand| describe(reply, subcommand));
}

/// A map of pairs of a name and a number.
fn numbers(reply: &mut Reply, pairs: &[(&str, i64)]) {
    reply.map(pairs.len());
    for (name, value) in pairs {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}

/// The header of `{type: ..., spec: ...}`; the specification follows.
fn kind(reply: &mut Reply, kind: &str) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
}

fn describe_keys(reply: &mut Reply, keys: &KeySpec) {
    let flags: Vec<_> = keys.flags.names().collect();
    reply.map(if keys.notes.is_empty() { 3 } else { 4 });
    if !keys.notes.is_empty() {
        reply.bulk(b"notes");
        reply.bulk(keys.notes.as_bytes());
    }
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    reply.bulk(b"begin_search");
    match keys.begin {
        Begin::Index(index) => {
            kind(reply, "index");
            numbers(reply, &[("index", index as i64)]);
        }
        Begin::Custom(_) => {
            kind(reply, "unknown");
            reply.map(0);
        }
        Begin::Keyword(word, from) => {
            kind(reply, "keyword");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(from.into());
        }
    }
    reply.bulk(b"find_keys");
    if let Begin::Custom(_) = keys.begin {
        kind(reply, "unknown");
        reply.map(0);
        return;
    }
    match keys.find {
        Find::Range { last, step, limit } => {
            kind(reply, "range");
            let pairs =
                [("lastkey", last.into()), ("keystep", step as i64), ("limit", limit as i64)];
            numbers(reply, &pairs);
        }
        Find::Count { number, first, step } => {
            kind(reply, "keynum");
            let [number, first, step] = [number, first, step].map(|value| value as i64);
            numbers(reply, &[("keynumidx", number), ("firstkey", first), ("keystep", step)]);
        }
    }
}
