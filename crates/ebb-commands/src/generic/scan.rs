//! SCAN: all keys, some at a time.
//!
//! A cursor is the shard in its upper 16 bits and the position in that shard's table in the
//! others. A shard is scanned to its end before the next begins, so whatever is there from
//! the first call to the last is returned.

use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Flags, Scope,
};
use ebb_keyspace::POSITION_BITS;
use ebb_types::{glob, number};

use crate::element_scan;

pub(super) static SCAN: CommandSpec = CommandSpec {
    name: "scan",
    summary: "Returns some keys, and the cursor with which to ask for the next.",
    since: "2.8.0",
    complexity: "O(1) for a call, O(N) for all N keys of the database.",
    arity: -2,
    flags: Flags::READONLY,
    arguments: &[
        Argument::integer("cursor"),
        Argument::new("pattern", ArgumentKind::Pattern).after("MATCH").optional(),
        Argument::integer("count").after("COUNT").optional(),
        Argument::string("type").after("TYPE").optional().since("6.0.0"),
    ],
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    scope: Scope::Walk,
    run: scan,
    ..CommandSpec::NEW
};

struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    kind: Option<&'a [u8]>,
}

fn parse<'a>(ctx: &Context<'a>) -> Result<Options<'a>, CommandError> {
    let mut options = Options { pattern: None, count: 10, kind: None };
    let mut at = 2;
    while at < ctx.args.len() {
        element_scan::is_bare_word(ctx, at, None)?;
        let Some(&value) = ctx.args.get(at + 1) else { return Err(CommandError::Syntax) };
        if ctx.is_word(at, "COUNT") {
            let count = ctx.int(at + 1)?;
            options.count = usize::try_from(count)
                .ok()
                .filter(|&count| count > 0)
                .ok_or(CommandError::Syntax)?;
        } else if ctx.is_word(at, "MATCH") {
            options.pattern = (value != b"*").then_some(value);
        } else if ctx.is_word(at, "TYPE") {
            options.kind = Some(value);
        } else {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    Ok(options)
}

/// Buckets visited in one call, as a multiple of COUNT: a sparse table must not hold up.
const STEPS_PER_KEY: usize = 10;

fn scan(ctx: &mut Context<'_>) -> CommandResult {
    let cursor =
        number::parse_u64(ctx.arg(1)).ok_or_else(|| CommandError::new("ERR invalid cursor"))?;
    let options = parse(ctx)?;
    let (db, now_ms, shards) = (ctx.session.db, ctx.now_ms, ctx.server.keyspace.shards());
    let mut shard = (cursor >> POSITION_BITS) as usize;
    let mut position = cursor & ((1 << POSITION_BITS) - 1);
    let mut found: Vec<Vec<u8>> = Vec::new();
    let (mut seen, mut steps) = (0, 0);
    while shard < shards
        && seen < options.count
        && steps < options.count.saturating_mul(STEPS_PER_KEY)
    {
        position = ctx.enter_shard(shard).db_ref(db).scan(position, |entry| {
            seen += 1;
            let key = entry.key();
            let is_due = entry.is_due(now_ms);
            let matches = |pattern| glob::matches(pattern, key, false);
            let is_of =
                |kind: &[u8]| entry.value_type().name().as_bytes().eq_ignore_ascii_case(kind);
            if !is_due && options.pattern.is_none_or(matches) && options.kind.is_none_or(is_of) {
                found.push(key.to_vec());
            }
        });
        steps += 1;
        if position == 0 {
            shard += 1;
        }
    }
    let next = if shard < shards { (shard as u64) << POSITION_BITS | position } else { 0 };
    ctx.reply.array(2);
    ctx.reply.bulk(next.to_string().as_bytes());
    ctx.reply.array(found.len());
    found.iter().for_each(|key| ctx.reply.bulk(key));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::testing::Client;

    /// All keys that a scan with these options returns.
    fn collect(client: &mut Client, options: &str) -> HashSet<String> {
        let (mut cursor, mut keys) = ("0".to_owned(), HashSet::new());
        loop {
            let reply = client.say(&format!("SCAN {cursor} {options}"));
            let mut lines = reply.split("\r\n").filter(|line| !line.starts_with(['*', '$']));
            cursor = lines.next().unwrap().to_owned();
            keys.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
            if cursor == "0" {
                return keys;
            }
        }
    }

    #[test]
    fn every_key_is_found() {
        for threads in ["1", "2"] {
            let mut client = Client::with_config(&[("io-threads", threads)]);
            (0..3000).for_each(|n| drop(client.say(&format!("SET key:{n} {n}"))));
            assert_eq!(collect(&mut client, "").len(), 3000);
            assert_eq!(collect(&mut client, "COUNT 1000 MATCH key:1?").len(), 10);
            assert_eq!(collect(&mut client, "TYPE string").len(), 3000);
            assert_eq!(collect(&mut client, "TYPE hash").len(), 0);
        }
    }

    #[test]
    fn bad_options_are_refused() {
        let mut client = Client::new();
        assert_eq!(client.say("SCAN x"), "-ERR invalid cursor\r\n");
        assert_eq!(client.say("SCAN 0 COUNT 0"), "-ERR syntax error\r\n");
        assert_eq!(client.say("SCAN 0 MATCH"), "-ERR syntax error\r\n");
        assert_eq!(client.say("SCAN 18446744073709551615"), "*2\r\n$1\r\n0\r\n*0\r\n");
    }
}
