//! MEMORY TOP and MEMORY HISTOGRAM: what is large.

use std::fmt::Write;

use ebb_engine::blocking::Wait;
use ebb_engine::survey::{Figures, Grouping, Survey, sum_of};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, Reply, Type,
};

/// A survey is taken anew when it is this old.
const FRESH_MS: i64 = 2000;
/// One that is this old is not answered any more: the client waits for the new one.
const STALE_MS: i64 = 60_000;
const COUNT: usize = 10;
const DEPTH_MAX: usize = 16;

const BY: &[Argument] = &[Argument::word("keys", "KEYS"), Argument::word("prefixes", "PREFIXES")];
const FORMATS: &[Argument] = &[Argument::word("map", "MAP"), Argument::word("text", "TEXT")];

pub(super) const TOP: CommandSpec = CommandSpec {
    name: "top",
    summary: "Returns the largest keys or prefixes as of the last survey, and has it renewed.",
    since: "7.2.0",
    group: Group::Server,
    flags: Flags::BLOCKING,
    complexity: "O(N) where N is the count; the survey is O(K) where K is the number of keys.",
    arity: -2,
    arguments: &[
        Argument::integer("count").after("COUNT").optional(),
        Argument::one_of("by", BY).optional(),
        Argument::string("type").after("TYPE").optional(),
        Argument::string("delimiter").after("DELIMITER").optional(),
        Argument::integer("depth").after("DEPTH").optional(),
        Argument::one_of("format", FORMATS).after("FORMAT").optional(),
    ],
    tips: &["nondeterministic_output"],
    run: top,
    ..CommandSpec::NEW
};

pub(super) const HISTOGRAM: CommandSpec = CommandSpec {
    name: "histogram",
    summary: "Returns how the sizes of keys are distributed, by type.",
    since: "7.2.0",
    group: Group::Server,
    flags: Flags::BLOCKING,
    complexity: "O(1); the survey is O(K) where K is the number of keys.",
    arity: -2,
    arguments: &[Argument::string("type").after("TYPE").optional()],
    tips: &["nondeterministic_output"],
    run: histogram,
    ..CommandSpec::NEW
};

/// The type that an argument names.
pub(super) fn type_of(ctx: &Context<'_>, at: usize) -> Result<Type, CommandError> {
    let named = |kind: &&Type| ctx.is_word(at, kind.name());
    let unknown = || CommandError::new(format!("ERR unknown type name '{}'", ctx.quote(at)));
    Type::ALL.iter().find(named).copied().ok_or_else(unknown)
}

/// A count from 1 on.
pub(super) fn count_of(ctx: &Context<'_>, at: usize) -> Result<usize, CommandError> {
    usize::try_from(ctx.int(at)?).ok().filter(|count| *count > 0).ok_or(CommandError::OutOfRange)
}

struct Options {
    count: usize,
    prefixes: bool,
    wanted: Option<Type>,
    grouping: Grouping,
    text: bool,
}

impl Options {
    fn parse(ctx: &Context<'_>) -> Result<Options, CommandError> {
        let grouping = Grouping::default();
        let mut options =
            Options { count: COUNT, prefixes: false, wanted: None, grouping, text: false };
        let mut at = 2;
        while at < ctx.args.len() {
            let has_value = at + 1 < ctx.args.len();
            match ctx.arg(at).to_ascii_uppercase().as_slice() {
                b"KEYS" => options.prefixes = false,
                b"PREFIXES" => options.prefixes = true,
                _ if !has_value => return Err(CommandError::Syntax),
                word => {
                    options.set(ctx, word, at + 1)?;
                    at += 1;
                }
            }
            at += 1;
        }
        Ok(options)
    }

    fn set(&mut self, ctx: &Context<'_>, word: &[u8], at: usize) -> CommandResult {
        match word {
            b"COUNT" => self.count = count_of(ctx, at)?,
            b"TYPE" => self.wanted = Some(type_of(ctx, at)?),
            b"DEPTH" => {
                let depth = count_of(ctx, at)?;
                self.grouping.depth = Some(depth)
                    .filter(|depth| *depth <= DEPTH_MAX)
                    .ok_or(CommandError::OutOfRange)?;
            }
            b"DELIMITER" if !ctx.arg(at).is_empty() => self.grouping.delimiter = ctx.arg(at).into(),
            b"FORMAT" if ctx.is_word(at, "TEXT") => self.text = true,
            b"FORMAT" if ctx.is_word(at, "MAP") => self.text = false,
            _ => return Err(CommandError::Syntax),
        }
        Ok(())
    }
}

/// One row of an answer.
struct Row<'s> {
    name: &'s [u8],
    /// Database and type of a key.
    key: Option<(usize, Type)>,
    figures: Figures,
}

fn rows<'s>(survey: &'s Survey, options: &Options) -> Vec<Row<'s>> {
    let mut rows: Vec<Row<'s>> = if options.prefixes {
        let of = |(name, figures): &'s (Box<[u8]>, _)| Row {
            name,
            key: None,
            figures: sum_of(figures, options.wanted),
        };
        survey.prefixes.iter().map(of).collect()
    } else {
        let all = Type::ALL.into_iter().zip(&survey.keys);
        let wanted = all.filter(|(kind, _)| options.wanted.is_none_or(|wanted| wanted == *kind));
        wanted
            .flat_map(|(kind, keys)| {
                keys.iter().map(move |key| Row {
                    name: &key.key,
                    key: Some((key.db, kind)),
                    figures: Figures { keys: 1, bytes: key.bytes, persistent: 0 },
                })
            })
            .collect()
    };
    rows.retain(|row| row.figures.keys > 0);
    rows.sort_by(|a, b| b.figures.bytes.cmp(&a.figures.bytes).then_with(|| a.name.cmp(b.name)));
    rows.truncate(options.count);
    rows
}

/// Whether a survey is under way, when the last was complete, and how many keys it saw.
pub(super) fn head(reply: &mut Reply, survey: Option<&Survey>, is_running: bool) {
    reply.bulk(b"state");
    reply.bulk(if is_running { b"running" } else { b"idle" });
    reply.bulk(b"taken-ms");
    reply.integer(survey.map_or(0, |survey| survey.taken_ms));
    reply.bulk(b"took-ms");
    reply.integer(survey.map_or(0, |survey| survey.took_ms as i64));
    reply.bulk(b"keys");
    reply.integer(survey.map_or(0, |survey| survey.seen as i64));
}

fn integer(reply: &mut Reply, name: &str, value: u64) {
    reply.bulk(name.as_bytes());
    reply.integer(value as i64);
}

/// Answers from the last survey. If there is none, or none that is recent, the client waits for
/// the next; where it may not wait (in a transaction, in a script) it is told that one runs.
fn answer(
    ctx: &mut Context<'_>,
    grouping: &Grouping,
    write: impl Fn(&mut Reply, Option<&Survey>, bool) + Send + 'static,
) {
    let surveys = &ctx.server.surveys;
    let (survey, is_running) = surveys.get(grouping, FRESH_MS);
    let now_ms = ctx.now_ms;
    let survey = survey.filter(|survey| now_ms - survey.taken_ms < STALE_MS);
    if survey.is_none() && ctx.may_block() {
        let on_timeout = Reply::null;
        ctx.block(Wait {
            keys: 0..0,
            kind: None,
            deadline_ms: None,
            on_timeout,
            args: None,
            again_ms: None,
        });
        if let Some(blocked) = ctx.session.blocked.clone() {
            let write = move |reply: &mut Reply, survey: &Survey| write(reply, Some(survey), false);
            surveys.wait(blocked, grouping, Box::new(write));
            return;
        }
    }
    write(ctx.reply, survey.as_deref(), is_running);
}

fn top(ctx: &mut Context<'_>) -> CommandResult {
    let options = Options::parse(ctx)?;
    let grouping = options.grouping.clone();
    answer(ctx, &grouping, move |reply, survey, is_running| {
        let rows = survey.map_or(Vec::new(), |survey| rows(survey, &options));
        if options.text {
            reply.verbatim(*b"txt", &text(survey, is_running, &rows));
        } else {
            table(reply, survey, is_running, options.prefixes, &rows);
        }
    });
    Ok(())
}

fn table(
    reply: &mut Reply,
    survey: Option<&Survey>,
    is_running: bool,
    prefixes: bool,
    rows: &[Row<'_>],
) {
    reply.map(6);
    head(reply, survey, is_running);
    integer(reply, "may-lack-bytes", survey.map_or(0, |survey| survey.floor));
    reply.bulk(if prefixes { b"prefixes" } else { b"keys-by-size" });
    reply.array(rows.len());
    for row in rows {
        match row.key {
            Some((db, kind)) => {
                reply.map(4);
                reply.bulk(b"key");
                reply.bulk(row.name);
                integer(reply, "db", db as u64);
                reply.bulk(b"type");
                reply.bulk(kind.name().as_bytes());
                integer(reply, "bytes", row.figures.bytes);
            }
            None => {
                reply.map(4);
                reply.bulk(b"prefix");
                reply.bulk(row.name);
                integer(reply, "keys", row.figures.keys);
                integer(reply, "bytes", row.figures.bytes);
                integer(reply, "keys-without-ttl", row.figures.persistent);
            }
        }
    }
}

fn text(survey: Option<&Survey>, is_running: bool, rows: &[Row<'_>]) -> String {
    let Some(survey) = survey else {
        return "The first survey is under way: ask again in a moment.\n".into();
    };
    let mut text = format!("{} keys, seen in {} ms", survey.seen, survey.took_ms);
    text.push_str(if is_running { "; a new survey is under way\n" } else { "\n" });
    for row in rows {
        let name = String::from_utf8_lossy(row.name);
        // Writing to a string cannot fail.
        let _ = match row.key {
            Some((db, kind)) => {
                let kind = kind.name();
                writeln!(text, "{:>14} bytes  {kind:<6} db{db} {name}", row.figures.bytes)
            }
            None => {
                let Figures { keys, bytes, persistent } = row.figures;
                let name = if name.is_empty() { "(no prefix)".into() } else { name };
                writeln!(text, "{bytes:>14} bytes {keys:>10} keys {persistent:>10} no ttl  {name}")
            }
        };
    }
    text
}

fn histogram(ctx: &mut Context<'_>) -> CommandResult {
    let wanted = match ctx.args.len() {
        2 => None,
        4 if ctx.is_word(2, "TYPE") => Some(type_of(ctx, 3)?),
        _ => return Err(CommandError::Syntax),
    };
    answer(ctx, &Grouping::default(), move |reply, survey, is_running| {
        sizes(reply, survey, is_running, wanted);
    });
    Ok(())
}

fn sizes(reply: &mut Reply, survey: Option<&Survey>, is_running: bool, wanted: Option<Type>) {
    reply.map(5);
    head(reply, survey, is_running);
    reply.bulk(b"types");
    let is_wanted = |kind: &Type| wanted.is_none_or(|wanted| wanted == *kind);
    let sizes = survey.map_or(&[][..], |survey| &survey.sizes);
    let types: Vec<_> =
        Type::ALL.into_iter().zip(sizes).filter(|(kind, _)| is_wanted(kind)).collect();
    reply.map(types.len());
    for (kind, classes) in types {
        reply.bulk(kind.name().as_bytes());
        let filled: Vec<_> = (0u32..).zip(classes).filter(|(_, class)| class.0 > 0).collect();
        reply.array(filled.len());
        for (class, (keys, bytes)) in filled {
            reply.map(3);
            integer(reply, "below", 2 << class);
            integer(reply, "keys", *keys);
            integer(reply, "bytes", *bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn filled() -> Client {
        let mut client = Client::new();
        for number in 0..50 {
            client.say(&format!("SET user:{number} x"));
            client.run(&["SETEX", &format!("sess:{number}"), "100", &"x".repeat(200)]);
        }
        client.run(&["SET", "big", &"x".repeat(10_000)]);
        client.say("SADD s a b c");
        client
    }

    /// The answer to a command that waits for a survey.
    fn surveyed(client: &mut Client, command: &str) -> String {
        assert_eq!(client.say(command), "");
        assert!(client.server.surveys.work(client.server));
        client.session.blocked = None;
        client.mail()
    }

    #[test]
    fn who_asks_first_waits_for_the_first_survey() {
        let mut client = filled();
        let mut others = [client.another(), client.another()];
        assert_eq!(client.say("MEMORY TOP"), "");
        assert_eq!(others[0].say("MEMORY TOP PREFIXES DELIMITER e"), "");
        assert_eq!(others[1].say("MEMORY HISTOGRAM"), "");
        // One that has gone away is not answered.
        client.session.blocked.take().unwrap().abandon();
        assert!(client.server.surveys.work(client.server));
        assert_eq!((client.mail(), others[0].mail()), (String::new(), String::new()));
        let sizes = others[1].mail();
        assert!(sizes.contains("state\r\n$4\r\nidle") && sizes.contains("below"), "{sizes}");
        // The other grouping is next.
        assert!(client.server.surveys.work(client.server));
        let prefixes = others[0].mail();
        assert!(prefixes.contains("keys\r\n:50\r\n"), "{prefixes}");
        assert!(!client.server.surveys.work(client.server));
    }

    #[test]
    fn who_may_not_wait_is_told_that_a_survey_runs() {
        let mut client = filled();
        client.say("MULTI");
        client.say("MEMORY TOP");
        let replies = client.say("EXEC");
        assert!(replies.contains("state\r\n$7\r\nrunning"), "{replies}");
    }

    #[test]
    fn the_largest_come_first() {
        let mut client = filled();
        let top = surveyed(&mut client, "MEMORY TOP COUNT 2 KEYS");
        assert!(top.contains("keys\r\n:102\r\n"), "{top}");
        assert!(top.contains("*2\r\n*8\r\n$3\r\nkey\r\n$3\r\nbig\r\n"), "{top}");
        let prefixes = client.say("MEMORY TOP PREFIXES TYPE string");
        let (sess, user) = (prefixes.find("sess:").unwrap(), prefixes.find("user:").unwrap());
        assert!(sess < user && prefixes.contains("keys-without-ttl\r\n:0\r\n"), "{prefixes}");
        let text = client.say("MEMORY TOP PREFIXES FORMAT TEXT");
        assert!(text.contains("(no prefix)") && text.contains("sess:"), "{text}");
        for wrong in ["COUNT 0", "TYPE what", "DELIMITER", "DEPTH 17", "FORMAT xml", "WHAT"] {
            assert!(client.say(&format!("MEMORY TOP {wrong}")).starts_with('-'), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_told_by_type() {
        let mut client = filled();
        let all = surveyed(&mut client, "MEMORY HISTOGRAM");
        assert!(all.contains("below\r\n:16384\r\n$4\r\nkeys\r\n:1\r\n"), "{all}");
        let sets = client.say("MEMORY HISTOGRAM TYPE set");
        assert!(sets.contains("$3\r\nset\r\n*1\r\n"), "{sets}");
        assert!(client.say("MEMORY HISTOGRAM TYPE").starts_with("-ERR syntax"));
    }
}
