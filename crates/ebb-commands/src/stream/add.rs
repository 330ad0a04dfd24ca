//! XADD, XTRIM: adding entries and bounding their number.

use ebb_collections::stream::{NodeLimits, References, Stream, StreamId, Trim};
use ebb_config::id as directive;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

use super::{id, references};

pub(super) static XADD: CommandSpec = CommandSpec {
    name: "xadd",
    summary: "Adds an entry to a stream.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(1), and O(N) for N entries that are trimmed.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::word("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
        references::ARGUMENT.optional().since("8.2.0"),
        Argument::block(
            "trim",
            &[
                Argument::one_of(
                    "strategy",
                    &[
                        Argument::word("maxlen", "MAXLEN"),
                        Argument::word("minid", "MINID").since("6.2.0"),
                    ],
                ),
                Argument::one_of(
                    "operator",
                    &[Argument::word("equal", "="), Argument::word("approximately", "~")],
                )
                .optional(),
                Argument::string("threshold"),
                Argument::integer("count").after("LIMIT").optional().since("6.2.0"),
            ],
        )
        .optional(),
        Argument::one_of("id-selector", &[Argument::word("auto-id", "*"), Argument::string("id")]),
        Argument::block("data", &[Argument::string("field"), Argument::string("value")]).multiple(),
    ],
    tips: &["nondeterministic_output"],
    run: xadd,
    ..CommandSpec::NEW
};
pub(super) static XTRIM: CommandSpec = CommandSpec {
    name: "xtrim",
    summary: "Removes the oldest entries of a stream.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries that go.",
    arity: -4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::block(
            "trim",
            &[
                Argument::one_of(
                    "strategy",
                    &[
                        Argument::word("maxlen", "MAXLEN"),
                        Argument::word("minid", "MINID").since("6.2.0"),
                    ],
                ),
                Argument::one_of(
                    "operator",
                    &[Argument::word("equal", "="), Argument::word("approximately", "~")],
                )
                .optional(),
                Argument::string("threshold"),
                Argument::integer("count").after("LIMIT").optional().since("6.2.0"),
            ],
        ),
        references::ARGUMENT.optional().since("8.2.0"),
    ],
    tips: &["nondeterministic_output"],
    run: xtrim,
    ..CommandSpec::NEW
};

/// What the options say.
struct Options {
    no_create: bool,
    trim: Option<Trim>,
    references: Option<References>,
    approximate: bool,
    /// Entries to remove at most; 0 for any number.
    limit: u64,
    /// The position behind the options.
    next: usize,
}

fn number(ctx: &Context<'_>, at: usize, name: &str) -> Result<u64, CommandError> {
    let value = ctx.int(at)?;
    let negative = || CommandError::new(format!("ERR The {name} argument must be >= 0."));
    u64::try_from(value).map_err(|_| negative())
}

/// Parses options up to the first word that is none, which only XADD has.
fn parse(ctx: &Context<'_>, is_add: bool) -> Result<Options, CommandError> {
    let mut options = Options {
        no_create: false,
        trim: None,
        references: None,
        approximate: false,
        limit: 0,
        next: 2,
    };
    let mut limited = false;
    let mut at = 2;
    while at < ctx.args.len() {
        let more = ctx.args.len() - 1 - at;
        let is_max = ctx.is_word(at, "MAXLEN");
        if (is_max || ctx.is_word(at, "MINID")) && more > 0 {
            if options.trim.is_some() {
                return Err(CommandError::new(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                ));
            }
            let mark = ctx.arg(at + 1);
            options.approximate = more >= 2 && mark == b"~";
            at += if more >= 2 && (mark == b"~" || mark == b"=") { 2 } else { 1 };
            options.trim = Some(match is_max {
                true => Trim::MaxLen(number(ctx, at, "MAXLEN")?),
                false => Trim::MinId(id::parse(ctx.arg(at), 0)?),
            });
        } else if ctx.is_word(at, "LIMIT") && more > 0 {
            at += 1;
            options.limit = number(ctx, at, "LIMIT")?;
            limited = true;
        } else if is_add && ctx.is_word(at, "NOMKSTREAM") {
            options.no_create = true;
        } else if let Some(found) = references::of_word(ctx.arg(at)) {
            if options.references.replace(found).is_some() {
                return Err(CommandError::Syntax);
            }
        } else if is_add {
            break;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    options.next = at;
    if limited && options.trim.is_none() {
        return Err(CommandError::new(
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        ));
    }
    if !is_add && options.trim.is_none() {
        return Err(CommandError::new(
            "ERR syntax error, XTRIM must be called with a trimming strategy",
        ));
    }
    if limited && !options.approximate {
        return Err(CommandError::new(
            "ERR syntax error, LIMIT cannot be used without the special ~ option",
        ));
    }
    if options.approximate && !limited {
        let per_node = ctx.server.config.get(directive::STREAM_NODE_MAX_ENTRIES);
        let limit = per_node.saturating_mul(100);
        options.limit = if limit == 0 { 10_000 } else { limit.min(1_000_000) };
    }
    Ok(options)
}

/// The id that an entry gets.
enum NewId {
    /// `*`
    Auto,
    /// `ms-*`
    AutoSeq(u64),
    Given(StreamId),
}

impl NewId {
    fn parse(text: &[u8]) -> Result<NewId, CommandError> {
        if text == b"*" {
            return Ok(NewId::Auto);
        }
        if let [ms @ .., b'-', b'*'] = text {
            return Ok(NewId::AutoSeq(id::parse(ms, 0)?.ms));
        }
        Ok(NewId::Given(id::parse(text, 0)?))
    }

    /// The id behind a stream's last one; `None` if there is none.
    fn resolve(&self, last: StreamId, now_ms: i64) -> Option<StreamId> {
        match *self {
            NewId::Auto => {
                let now = now_ms.max(0) as u64;
                if now > last.ms { Some(StreamId { ms: now, seq: 0 }) } else { last.next() }
            }
            NewId::AutoSeq(ms) if ms == last.ms => {
                last.seq.checked_add(1).map(|seq| StreamId { ms, seq })
            }
            NewId::AutoSeq(ms) => (ms > last.ms).then_some(StreamId { ms, seq: 0 }),
            NewId::Given(id) => (id > last).then_some(id),
        }
    }
}

fn trim(stream: &mut Stream, options: &Options) -> u64 {
    match options.trim {
        Some(trim) => stream.trim(
            trim,
            options.references.unwrap_or_default(),
            options.approximate,
            options.limit,
        ),
        None => 0,
    }
}

fn xadd(ctx: &mut Context<'_>) -> CommandResult {
    let options = parse(ctx, true)?;
    let arity = || CommandError::WrongArity(ctx.command.name.into());
    let text = *ctx.args.get(options.next).ok_or_else(arity)?;
    let new = NewId::parse(text)?;
    let fields = &ctx.args[options.next + 1..];
    if fields.is_empty() || fields.len() % 2 == 1 {
        return Err(arity());
    }
    if matches!(new, NewId::Given(StreamId::MIN)) {
        return Err(CommandError::new("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let (key, now_ms) = (ctx.key(1), ctx.now_ms);
    let config = &ctx.server.config;
    let limits = NodeLimits {
        bytes: config.get(directive::STREAM_NODE_MAX_BYTES) as usize,
        entries: config.get(directive::STREAM_NODE_MAX_ENTRIES) as usize,
    };
    if options.no_create && ctx.read_to_write(&key).is_none() {
        ctx.reply.null();
        return Ok(());
    }
    let mut stream = ctx.open_stream(&key)?;
    if stream.last_id == StreamId::MAX {
        return Err(CommandError::new(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let Some(id) = new.resolve(stream.last_id, now_ms) else {
        return Err(CommandError::new(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ));
    };
    stream.append(id, fields, limits)?;
    let trimmed = trim(&mut stream, &options);
    drop(stream);
    ctx.changed(&key, Event::stream("xadd"));
    if trimmed > 0 {
        ctx.notify(&key, Event::stream("xtrim"));
    }
    id::reply_id(ctx.reply, id);
    Ok(())
}

fn xtrim(ctx: &mut Context<'_>) -> CommandResult {
    let options = parse(ctx, false)?;
    let key = ctx.key(1);
    let trimmed = match ctx.edit_stream(&key)?.0 {
        Some(mut stream) => trim(&mut stream, &options),
        None => 0,
    };
    if trimmed > 0 {
        ctx.changed_many(&key, Event::stream("xtrim"), trimmed);
    }
    ctx.reply.integer(trimmed as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn ids_grow() {
        let mut client = Client::new();
        assert_eq!(client.say("XADD s NOMKSTREAM * a 1"), "$-1\r\n");
        assert_eq!(client.say("XADD s 5-3 a 1 b 2"), "$3\r\n5-3\r\n");
        assert_eq!(client.say("XADD s 5-* a 1"), "$3\r\n5-4\r\n");
        assert_eq!(client.say("XADD s 6 a 1"), "$3\r\n6-0\r\n");
        assert!(client.say("XADD s 6-0 a 1").contains("equal or smaller"));
        assert!(client.say("XADD s 0-0 a 1").contains("must be greater than 0-0"));
        assert!(client.say("XADD s * a").contains("wrong number of arguments"));
        assert!(client.say("XADD s x a 1").contains("Invalid stream ID"));
        assert!(client.say("XADD s * a 1").contains("-0\r\n"));
        assert_eq!(client.say("XLEN s"), ":4\r\n");
        let last = "18446744073709551615-18446744073709551615";
        assert_eq!(client.say(&format!("XADD s {last} a 1")), format!("$41\r\n{last}\r\n"));
        assert!(client.say("XADD s * a 1").contains("exhausted"));
    }

    #[test]
    fn the_oldest_go() {
        let mut client = Client::new();
        (1..=300).for_each(|n| drop(client.say(&format!("XADD s {n} a 1"))));
        assert_eq!(client.say("XTRIM s MAXLEN 250"), ":50\r\n");
        assert_eq!(client.say("XTRIM s MINID = 61"), ":10\r\n");
        assert_eq!(client.say("XTRIM s MAXLEN ~ 235"), ":0\r\n", "half a node is left");
        assert_eq!(client.say("XTRIM s MAXLEN ~ 100"), ":140\r\n");
        assert_eq!(client.say("XADD s MAXLEN 10 301 a 1"), "$5\r\n301-0\r\n");
        assert_eq!(client.say("XLEN s"), ":10\r\n");
        assert!(client.say("XTRIM s MAXLEN 1 MINID 1").contains("not compatible"));
        assert_eq!(client.say("XTRIM s MAXLEN 1 ACKED KEEPREF"), "-ERR syntax error\r\n");
        assert!(client.say("XTRIM s MAXLEN 1 LIMIT 1").contains("special ~"));
        assert!(client.say("XTRIM s MAXLEN -1").contains("must be >= 0"));
        assert_eq!(client.say("XTRIM s x 1"), "-ERR syntax error\r\n");
    }

    /// A group that has read all but 5 of entries 1 to 5, and acknowledged 2 and 3.
    fn read_in_part() -> Client {
        let mut client = Client::new();
        (1..=5).for_each(|n| drop(client.say(&format!("XADD s {n} a 1"))));
        client.say("XGROUP CREATE s g 0");
        client.say("XREADGROUP GROUP g one COUNT 4 STREAMS s >");
        client.say("XACK s g 2 3");
        client
    }

    #[test]
    fn trimming_minds_groups_if_asked_to() {
        let mut client = read_in_part();
        assert_eq!(client.say("XTRIM s MAXLEN 0 ACKED"), ":2\r\n", "2 and 3 are acknowledged");
        assert_eq!(client.say("XTRIM s MINID 2 DELREF"), ":1\r\n");
        assert!(client.say("XPENDING s g").starts_with("*4\r\n:1\r\n"), "1 is forgotten");
        assert_eq!(client.say("XADD s KEEPREF MAXLEN 1 6 a 1"), "$3\r\n6-0\r\n");
        assert!(client.say("XPENDING s g").starts_with("*4\r\n:1\r\n"), "4 dangles");

        let mut client = read_in_part();
        assert_eq!(client.say("XTRIM s MAXLEN 4 ACKED"), ":1\r\n", "not more than asked for");
        assert_eq!(client.say("XLEN s"), ":4\r\n");
        client.say("XGROUP DESTROY s g");
        assert_eq!(client.say("XTRIM s MAXLEN 1 ACKED"), ":3\r\n", "nobody is left to mind");
    }

    #[test]
    fn whole_nodes_go_entry_by_entry_where_groups_matter() {
        let mut client = Client::with_config(&[("stream-node-max-entries", "2")]);
        (1..=6).for_each(|n| drop(client.say(&format!("XADD s {n} a 1"))));
        client.say("XGROUP CREATE s g 0");
        client.say("XREADGROUP GROUP g one COUNT 4 STREAMS s >");
        client.say("XACK s g 2 3");
        assert_eq!(client.say("XTRIM s MAXLEN ~ 3 ACKED"), ":2\r\n");
        assert_eq!(client.say("XTRIM s MAXLEN ~ 1 DELREF"), ":2\r\n", "the last node stays");
        assert!(client.say("XPENDING s g").starts_with("*4\r\n:0\r\n"));
    }
}
