//! HGETEX, HSETEX: reading and setting fields together with their deadlines.

use std::ops::Range;

use ebb_collections::FieldDeadline;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_types::number::parse_i64;

use super::fields;
use crate::deadline::{OPTIONS, Unit};

pub(super) static HGETEX: CommandSpec = CommandSpec {
    name: "hgetex",
    summary: "Returns the values of fields and changes their deadlines.",
    since: "8.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of(
            "expiration",
            &[OPTIONS[0], OPTIONS[1], OPTIONS[2], OPTIONS[3], Argument::word("persist", "PERSIST")],
        )
        .optional(),
        Argument::block(
            "fields",
            &[Argument::integer("numfields"), Argument::string("field").multiple()],
        )
        .after("FIELDS"),
    ],
    run: hgetex,
    ..CommandSpec::NEW
};

pub(super) static HSETEX: CommandSpec = CommandSpec {
    name: "hsetex",
    summary: "Sets fields together with their deadline.",
    since: "8.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -6,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of(
            "condition",
            &[Argument::word("fnx", "FNX"), Argument::word("fxx", "FXX")],
        )
        .optional(),
        Argument::one_of(
            "expiration",
            &[OPTIONS[0], OPTIONS[1], OPTIONS[2], OPTIONS[3], Argument::word("keepttl", "KEEPTTL")],
        )
        .optional(),
        Argument::block(
            "fields",
            &[
                Argument::integer("numfields"),
                Argument::block("data", &[Argument::string("field"), Argument::string("value")])
                    .multiple(),
            ],
        )
        .after("FIELDS"),
    ],
    run: hsetex,
    ..CommandSpec::NEW
};

/// What HSETEX is told besides fields.
#[derive(Default)]
struct Options {
    deadline: Option<FieldDeadline>,
    /// FNX: no field may be there; FXX: all must be.
    fields_exist: Option<bool>,
    /// NX: the key must not be there; XX: it must. Valkey has these.
    key_exists: Option<bool>,
}

impl Options {
    /// Parses options up to FIELDS, whose position it answers.
    fn parse(ctx: &Context<'_>) -> Result<(Options, usize), CommandError> {
        let mut options = Options::default();
        let mut at = 2;
        while at < ctx.args.len() && !ctx.is_word(at, "FIELDS") {
            at += options.take(ctx, at)?;
        }
        Ok((options, at))
    }

    /// Takes the option at a position, and says how many arguments it has.
    fn take(&mut self, ctx: &Context<'_>, at: usize) -> Result<usize, CommandError> {
        let once = |is_set: bool, text| if is_set { Err(CommandError::new(text)) } else { Ok(()) };
        if ctx.is_word(at, "FNX") || ctx.is_word(at, "FXX") {
            once(
                self.fields_exist.is_some(),
                "ERR Only one of FXX or FNX arguments can be specified",
            )?;
            self.fields_exist = Some(ctx.is_word(at, "FXX"));
            return Ok(1);
        }
        if ctx.is_word(at, "NX") || ctx.is_word(at, "XX") {
            once(self.key_exists.is_some(), "ERR syntax error")?;
            self.key_exists = Some(ctx.is_word(at, "XX"));
            return Ok(1);
        }
        let unit = Unit::of_word(ctx.arg(at));
        if unit.is_none() && !ctx.is_word(at, "KEEPTTL") {
            return Err(CommandError::new(format!("ERR unknown argument: {}", ctx.quote(at))));
        }
        once(
            self.deadline.is_some(),
            "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        )?;
        let Some(unit) = unit else {
            self.deadline = Some(FieldDeadline::Keep);
            return Ok(1);
        };
        let text = ctx.args.get(at + 1).ok_or(CommandError::new("ERR missing expire time"))?;
        self.deadline = Some(FieldDeadline::At(fields::deadline(ctx, text, unit)?));
        Ok(2)
    }
}

/// The deadline that HGETEX is to give to fields, and the position of the word FIELDS.
fn parse_new_deadline(ctx: &Context<'_>) -> Result<(Option<FieldDeadline>, usize), CommandError> {
    let (deadline, at) = match Unit::of_word(ctx.arg(2)) {
        Some(unit) => (Some(FieldDeadline::At(fields::deadline(ctx, ctx.arg(3), unit)?)), 4),
        None if ctx.is_word(2, "PERSIST") => (Some(FieldDeadline::Clear), 3),
        None => (None, 2),
    };
    match ctx.args.len() {
        len if at + 1 >= len => Err(CommandError::WrongArity("hgetex".into())),
        _ => Ok((deadline, at)),
    }
}

/// The positions of fields and values, which are all that follows the word FIELDS at `at` and their number.
fn parse_pairs(args: &[&[u8]], at: usize) -> Result<Range<usize>, CommandError> {
    let arity = || CommandError::WrongArity("hsetex".into());
    if at + 3 >= args.len() {
        return Err(arity());
    }
    let count = parse_i64(args[at + 1]).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
    let count = count.ok_or(CommandError::new("ERR invalid number of fields"))?;
    let pairs = at + 2..args.len();
    if count * 2 != pairs.len() as i64 { Err(arity()) } else { Ok(pairs) }
}

fn hgetex(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args, now_ms) = (ctx.key(1), ctx.args, ctx.now_ms);
    ctx.read_hash(&key)?;
    let (deadline, at) = parse_new_deadline(ctx)?;
    let names = fields::parse(args, at, fields::NOT_POSITIVE)?;
    let mut hash = ctx.edit_hash(&key)?;
    let mut values = Vec::with_capacity(names.len());
    let mut event = None;
    for name in &args[names] {
        let field = hash.as_ref().and_then(|hash| hash.as_ref().get(name));
        let old = field.and_then(|field| field.deadline);
        values.push(field.map(|field| field.value.to_vec()));
        let (Some(hash), true) = (&mut hash, values.last().is_some_and(Option::is_some)) else {
            continue;
        };
        match deadline {
            Some(FieldDeadline::At(at)) if at <= now_ms => {
                hash.remove(name)?;
                event = Some("hdel");
            }
            Some(FieldDeadline::At(at)) => {
                hash.set_deadline(name, Some(at))?;
                event = Some("hexpire");
            }
            Some(FieldDeadline::Clear) if old.is_some() => {
                hash.set_deadline(name, None)?;
                event = Some("hpersist");
            }
            _ => {}
        }
    }
    let gone = hash.is_some_and(|hash| hash.into_slot().finish());
    if let Some(name) = event {
        ctx.changed(&key, Event::hash(name));
        ctx.gone_if(&key, gone);
    }
    ctx.reply.array(values.len());
    for value in values {
        match value {
            Some(value) => ctx.reply.bulk(&value),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn hsetex(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args, now_ms) = (ctx.key(1), ctx.args, ctx.now_ms);
    let (options, at) = Options::parse(ctx)?;
    let pairs = parse_pairs(args, at)?;
    let there = ctx.read_hash(&key)?.is_some();
    if options.key_exists.is_some_and(|wanted| wanted != there) {
        ctx.reply.integer(0);
        return Ok(());
    }
    let mut hash = ctx.open_hash(&key)?;
    let exists = |name: &[u8]| hash.as_ref().get(name).is_some();
    let all_are =
        |wanted| args[pairs.clone()].chunks_exact(2).all(|pair| exists(pair[0]) == wanted);
    if options.fields_exist.is_some_and(|wanted| !all_are(wanted)) {
        hash.into_slot().finish();
        ctx.reply.integer(0);
        return Ok(());
    }
    let deadline = options.deadline.unwrap_or(FieldDeadline::Clear);
    let is_past = matches!(deadline, FieldDeadline::At(at) if at <= now_ms);
    for pair in args[pairs].chunks_exact(2) {
        if is_past {
            hash.remove(pair[0])?;
        } else {
            hash.set(pair[0], pair[1], deadline)?;
        }
    }
    let gone = hash.into_slot().finish();
    ctx.changed(&key, Event::hash("hset"));
    if matches!(deadline, FieldDeadline::At(_)) {
        ctx.notify(&key, Event::hash(if is_past { "hdel" } else { "hexpire" }));
    }
    ctx.gone_if(&key, gone);
    ctx.reply.integer(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn deadlines_go_with_values() {
        let mut client = Client::new();
        assert_eq!(client.say("HSETEX h EX 100 FIELDS 2 a 1 b 2"), ":1\r\n");
        assert_eq!(client.say("HTTL h FIELDS 2 a b"), "*2\r\n:100\r\n:100\r\n");
        assert_eq!(client.say("HSETEX h FNX FIELDS 2 a 1 c 2"), ":0\r\n");
        assert_eq!(client.say("HSETEX h FXX KEEPTTL FIELDS 1 a 9"), ":1\r\n");
        assert_eq!(client.say("HGETEX h PERSIST FIELDS 2 a x"), "*2\r\n$1\r\n9\r\n$-1\r\n");
        assert_eq!(client.say("HTTL h FIELDS 2 a b"), "*2\r\n:-1\r\n:100\r\n");
        assert_eq!(client.say("HGETEX h EX 10 FIELDS 1 a"), "*1\r\n$1\r\n9\r\n");
        assert_eq!(client.say("HTTL h FIELDS 1 a"), "*1\r\n:10\r\n");
        assert_eq!(client.say("HGETEX h EXAT 1 FIELDS 2 a b"), "*2\r\n$1\r\n9\r\n$1\r\n2\r\n");
        assert_eq!(client.say("EXISTS h"), ":0\r\n");
        assert_eq!(client.say("HSETEX h XX FIELDS 1 a 1"), ":0\r\n");
        assert_eq!(client.say("EXISTS h"), ":0\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = Client::new();
        client.say("HSET h a 1");
        client.say("SET s x");
        let arity = "-ERR wrong number of arguments for 'hsetex' command";
        for (line, error) in [
            ("HSETEX h EX 1 PX 1 FIELDS 1 a 1", "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL"),
            (
                "HSETEX h KEEPTTL EX 1 FIELDS 1 a 1",
                "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL",
            ),
            ("HSETEX h FNX FXX FIELDS 1 a 1", "-ERR Only one of FXX or FNX arguments"),
            ("HSETEX h EX -1 FIELDS 1 a 1", "-ERR invalid expire time, must be >= 0"),
            ("HSETEX h PX 99999999999999 FIELDS 1 a 1", "-ERR invalid expire time in 'hsetex'"),
            ("HSETEX h FNX KEEPTTL FXAT 1 1", "-ERR unknown argument: FXAT"),
            ("HSETEX h FNX KEEPTTL FIELDS 1", arity),
            ("HSETEX h FIELDS 2 a 1", arity),
            ("HSETEX h FIELDS 1 a 1 b", arity),
            ("HSETEX h FIELDS 0 a 1", "-ERR invalid number of fields"),
            ("HSETEX s FIELDS x a 1", "-ERR invalid number of fields"),
            ("HSETEX s FIELDS 1 a 1", "-WRONGTYPE"),
            ("HGETEX s EX x FIELDS 1 a", "-WRONGTYPE"),
            ("HGETEX h EX -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
            ("HGETEX h EX 1 PERSIST FIELDS 1 a", "-ERR Mandatory argument FIELDS is missing"),
            ("HGETEX h EX 1 FIELDS", "-ERR wrong number of arguments for 'hgetex' command"),
            ("HGETEX h FIELDS 1 a b", "-ERR The `numfields` parameter must match"),
            ("HGETEX h FIELDS 0 a b", "-ERR Number of fields must be a positive integer"),
        ] {
            let reply = client.say(line);
            assert!(reply.starts_with(error), "{line}: {reply}");
        }
    }

    #[test]
    fn fields_that_are_over_are_set_and_deleted() {
        let mut client = Client::with_config(&[("notify-keyspace-events", "AKE")]);
        let mut listener = client.another();
        listener.say("PSUBSCRIBE __keyspace@0__:*");
        assert_eq!(client.say("HSETEX h EX 0 FIELDS 1 a 1"), ":1\r\n");
        let mail = listener.mail();
        let events = mail.split("__keyspace@0__:h\r\n").skip(1);
        let events: Vec<_> = events.filter_map(|rest| rest.split("\r\n").nth(1)).collect();
        assert_eq!(events, ["hset", "hdel", "del"]);
        assert_eq!(client.say("EXISTS h"), ":0\r\n");
    }
}
