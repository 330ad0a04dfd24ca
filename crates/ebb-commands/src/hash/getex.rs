//! HGETEX, HSETEX: reading and setting fields together with their deadlines.

use ebb_collections::FieldDeadline;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

use super::fields;
use crate::deadline::{OPTIONS, Unit, positive};

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

/// Which fields or keys must be there.
#[derive(Default)]
struct Options {
    deadline: Option<FieldDeadline>,
    /// FNX: no field may be there; FXX: all must be.
    fields_exist: Option<bool>,
    /// NX: the key must not be there; XX: it must.
    key_exists: Option<bool>,
}

/// Parses options up to FIELDS, whose position it answers. `plain` is the option without a time.
fn parse(
    ctx: &Context<'_>,
    plain: (&str, FieldDeadline),
    conditions: bool,
) -> Result<(Options, usize), CommandError> {
    let mut options = Options::default();
    let mut at = 2;
    while at < ctx.args.len() && !ctx.is_word(at, "FIELDS") {
        let once = |is_set: bool| if is_set { Err(CommandError::Syntax) } else { Ok(()) };
        if ctx.is_word(at, plain.0) {
            once(options.deadline.is_some())?;
            options.deadline = Some(plain.1);
        } else if let Some(unit) = Unit::of_word(ctx.arg(at)) {
            once(options.deadline.is_some())?;
            at += 1;
            let Some(&text) = ctx.args.get(at) else { return Err(CommandError::Syntax) };
            options.deadline = Some(FieldDeadline::At(positive(ctx, text, unit)?));
        } else if conditions && (ctx.is_word(at, "FNX") || ctx.is_word(at, "FXX")) {
            once(options.fields_exist.is_some())?;
            options.fields_exist = Some(ctx.is_word(at, "FXX"));
        } else if conditions && (ctx.is_word(at, "NX") || ctx.is_word(at, "XX")) {
            once(options.key_exists.is_some())?;
            options.key_exists = Some(ctx.is_word(at, "XX"));
        } else {
            return Err(CommandError::new(format!("ERR unknown argument: {}", ctx.quote(at))));
        }
        at += 1;
    }
    Ok((options, at))
}

fn hgetex(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args, now_ms) = (ctx.key(1), ctx.args, ctx.now_ms);
    let (options, at) = parse(ctx, ("PERSIST", FieldDeadline::Clear), false)?;
    let names = fields::parse(args, at)?;
    if names.end != args.len() {
        return Err(CommandError::Syntax);
    }
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
        match options.deadline {
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
    let (options, at) = parse(ctx, ("KEEPTTL", FieldDeadline::Keep), true)?;
    let pairs = fields::parse_groups(args, at, 2)?;
    if pairs.end != args.len() {
        return Err(CommandError::Syntax);
    }
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
    ctx.changed(&key, Event::hash(if is_past { "hdel" } else { "hset" }));
    if !is_past && matches!(deadline, FieldDeadline::At(_)) {
        ctx.notify(&key, Event::hash("hexpire"));
    }
    ctx.gone_if(&key, gone && there);
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
        assert!(client.say("HSETEX h EX 1 PX 1 FIELDS 1 a 1").starts_with("-ERR syntax"));
        assert!(client.say("HSETEX h EX 0 FIELDS 1 a 1").contains("invalid expire time"));
        assert_eq!(client.say("HSETEX h XX FIELDS 1 a 1"), ":0\r\n");
        assert_eq!(client.say("EXISTS h"), ":0\r\n");
    }
}
