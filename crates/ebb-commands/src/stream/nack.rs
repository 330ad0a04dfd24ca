//! XNACK: entries that a consumer gives back without having dealt with them.

use ebb_collections::stream::{DELIVERIES_MAX, Group as ConsumerGroup, Stream, StreamId};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use ebb_types::number::parse_i64;

use super::{id, no_group};

pub(super) static XNACK: CommandSpec = CommandSpec {
    name: "xnack",
    summary: "Leaves entries that were delivered to a consumer pending for any other.",
    since: "8.8.0",
    group: Group::Stream,
    complexity: "O(log N) for each, with N entries pending.",
    arity: -7,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("group"),
        Argument::one_of(
            "mode",
            &[
                Argument::word("silent", "SILENT"),
                Argument::word("fail", "FAIL"),
                Argument::word("fatal", "FATAL"),
            ],
        ),
        Argument::block("ids", &[Argument::integer("numids"), Argument::string("id").multiple()])
            .after("IDS"),
        Argument::integer("count").after("RETRYCOUNT").optional(),
        Argument::word("force", "FORCE").optional(),
    ],
    run: xnack,
    ..CommandSpec::NEW
};

/// What a delivery that came to nothing counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing: it was not the entry's fault.
    Silent,
    /// As a delivery.
    Fail,
    /// As if no other could succeed.
    Fatal,
}

struct Options {
    mode: Mode,
    ids: Vec<StreamId>,
    /// Deliveries to count, whatever the mode.
    deliveries: Option<u64>,
    /// Makes entries pending that are not.
    force: bool,
}

fn parse(ctx: &Context<'_>) -> Result<Options, CommandError> {
    let mode = match () {
        () if ctx.is_word(3, "SILENT") => Mode::Silent,
        () if ctx.is_word(3, "FAIL") => Mode::Fail,
        () if ctx.is_word(3, "FATAL") => Mode::Fatal,
        () => return Err(CommandError::new("ERR mode must be SILENT, FAIL, or FATAL")),
    };
    let mut options = Options { mode, ids: Vec::new(), deliveries: None, force: false };
    let mut texts: Option<&[&[u8]]> = None;
    let mut at = 4;
    while at < ctx.args.len() {
        let more = ctx.args.len() - 1 - at;
        if ctx.is_word(at, "IDS") && more > 0 {
            let count = parse_i64(ctx.arg(at + 1)).and_then(|count| usize::try_from(count).ok());
            let count = count.filter(|&count| count > 0);
            let count = count.ok_or(CommandError::new("ERR numids must be a positive integer"))?;
            let ids = ctx.args[at + 2..].get(..count);
            texts = Some(ids.ok_or(CommandError::new("ERR number of IDs doesn't match numids"))?);
            at += 1 + count;
        } else if ctx.is_word(at, "RETRYCOUNT") && more > 0 {
            let count = u64::try_from(ctx.int(at + 1)?);
            let negative = |_| CommandError::new("ERR Invalid RETRYCOUNT value, must be >= 0");
            options.deliveries = Some(count.map_err(negative)?);
            at += 1;
        } else if ctx.is_word(at, "FORCE") {
            options.force = true;
        } else {
            let option = ctx.quote(at);
            return Err(CommandError::new(format!("ERR Unrecognized XNACK option '{option}'")));
        }
        at += 1;
    }
    let missing = || CommandError::new("ERR syntax error, expected IDS keyword");
    let ids = texts.ok_or_else(missing)?.iter().map(|text| id::parse(text, 0));
    options.ids = ids.collect::<Result<_, _>>()?;
    Ok(options)
}

fn xnack(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name) = (ctx.key(1), ctx.arg(2));
    if !ctx.read_stream(&key)?.is_some_and(|stream| stream.groups.contains_key(name)) {
        return Err(no_group(key.bytes(), name));
    }
    let options = parse(ctx)?;
    let mut done = 0;
    if let Some(mut stream) = ctx.edit_stream(&key)?.0
        // The group is taken out while it and the entries are looked at together.
        && let Some((name, mut group)) = stream.groups.remove_entry(name)
    {
        done = options.ids.iter().filter(|&&id| release(&stream, &mut group, id, &options)).count();
        stream.groups.insert(name, group);
    }
    ctx.journal.dirty += done as u64;
    if done > 0 {
        // Who waits for what is pending for long gets it now.
        ctx.may_be_ready(&key);
    }
    ctx.reply.count(done);
    Ok(())
}

/// Leaves an entry pending for nobody; answers whether it is there and pending, or is made so.
fn release(stream: &Stream, group: &mut ConsumerGroup, id: StreamId, options: &Options) -> bool {
    let known = group.pending().get(&id).map(|pending| pending.deliveries);
    if stream.get(id).is_none() || (known.is_none() && !options.force) {
        return false;
    }
    let known = known.unwrap_or(0);
    let deliveries = options.deliveries.unwrap_or(match options.mode {
        Mode::Silent => known.saturating_sub(1),
        Mode::Fail => known,
        Mode::Fatal => DELIVERIES_MAX,
    });
    group.release(id, deliveries);
    true
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// Entries 1 to 4, of which `one` has read three.
    fn delivered() -> Client {
        let mut client = Client::new();
        (1..=4).for_each(|n| drop(client.say(&format!("XADD s {n} a {n}"))));
        client.say("XGROUP CREATE s g 0");
        client.say("XREADGROUP GROUP g one COUNT 3 STREAMS s >");
        client
    }

    fn pending(client: &mut Client, id: u32) -> String {
        client.say(&format!("XPENDING s g {id} {id} 1"))
    }

    /// What XPENDING tells of an entry that is nobody's.
    fn released(id: u32, deliveries: u64) -> String {
        format!("*1\r\n*4\r\n$3\r\n{id}-0\r\n$0\r\n\r\n:-1\r\n:{deliveries}\r\n")
    }

    #[test]
    fn entries_are_left_for_others() {
        let mut client = delivered();
        assert_eq!(client.say("XNACK s g FAIL IDS 3 1 4 9"), ":1\r\n", "4 and 9 are not pending");
        assert_eq!(client.say("XNACK s g silent IDS 1 2"), ":1\r\n");
        assert_eq!(client.say("XNACK s g FATAL IDS 1 3"), ":1\r\n");
        for (id, deliveries) in [(1, 1), (2, 0), (3, 9_223_372_036_854_775_807)] {
            assert_eq!(pending(&mut client, id), released(id, deliveries));
        }
        assert_eq!(client.say("XPENDING s g - + 9 one"), "*0\r\n");
        assert_eq!(client.say("XPENDING s g"), "*4\r\n:3\r\n$3\r\n1-0\r\n$3\r\n3-0\r\n*0\r\n");
        let full = client.say("XINFO STREAM s FULL");
        assert!(full.ends_with("$12\r\nnacked-count\r\n:3\r\n"), "{full}");
        assert_eq!(client.say("XNACK s g SILENT IDS 1 2"), ":1\r\n", "once more");
        assert_eq!(pending(&mut client, 2), released(2, 0));
        let answer = client.say("XREADGROUP GROUP g two CLAIM 100000000 COUNT 2 STREAMS s >");
        assert!(answer.contains("$1\r\n1\r\n:-1\r\n:1\r\n*4\r\n$3\r\n2-0\r\n"), "{answer}");
        assert_eq!(client.say("XCLAIM s g two 100000000 3 JUSTID"), "*1\r\n$3\r\n3-0\r\n");
        client.say("XCLAIM s g two 0 3");
        assert!(pending(&mut client, 3).ends_with(":9223372036854775807\r\n"), "no more fit");
        assert_eq!(client.say("XACK s g 1 2 3"), ":3\r\n");
    }

    #[test]
    fn what_is_not_pending_is_made_so() {
        let mut client = delivered();
        client.say("XDEL s 1");
        assert_eq!(client.say("XNACK s g FAIL FORCE IDS 3 1 4 9"), ":1\r\n", "4 is there");
        assert_eq!(pending(&mut client, 4), released(4, 0));
        assert_eq!(client.say("XNACK s g FATAL RETRYCOUNT 7 IDS 1 2"), ":1\r\n");
        assert_eq!(pending(&mut client, 2), released(2, 7));
        assert_eq!(client.say("XGROUP DELCONSUMER s g one"), ":2\r\n");
        assert!(client.say("XPENDING s g").starts_with("*4\r\n:2\r\n"), "2 and 4 stay");
    }

    #[test]
    fn who_waits_gets_it() {
        let mut client = delivered();
        let mut waiting = client.another();
        client.say("XREADGROUP GROUP g one STREAMS s >");
        assert_eq!(waiting.say("XREADGROUP GROUP g two BLOCK 0 CLAIM 100000 STREAMS s >"), "");
        client.say("XNACK s g FAIL IDS 1 2");
        assert!(waiting.mail().contains("$3\r\n2-0\r\n"));
    }

    #[test]
    fn copies_and_dumps_know_it() {
        let mut client = delivered();
        client.say("XNACK s g FAIL IDS 2 1 3");
        client.say("COPY s t");
        let dump = client.run_raw(&["DUMP", "s"]);
        let start = dump.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let dump = &dump[start..dump.len() - 2];
        assert_eq!(client.run(&[&b"RESTORE"[..], b"u", b"0", dump]), "+OK\r\n");
        for key in ["t", "u"] {
            assert_eq!(
                client.say(&format!("XPENDING {key} g")),
                "*4\r\n:3\r\n$3\r\n1-0\r\n$3\r\n3-0\r\n*1\r\n*2\r\n$3\r\none\r\n$1\r\n1\r\n"
            );
            let consumers = client.say(&format!("XINFO CONSUMERS {key} g"));
            assert!(consumers.starts_with("*1\r\n"), "{key}: {consumers}");
        }
        assert_eq!(client.run_raw(&["DUMP", "u"]), client.run_raw(&["DUMP", "t"]));
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = delivered();
        for (line, text) in [
            ("MAYBE IDS 1 1", "mode must be SILENT, FAIL, or FATAL"),
            ("FAIL IDS 0 1", "numids must be a positive integer"),
            ("FAIL IDS x 1", "numids must be a positive integer"),
            ("FAIL IDS 2 1", "number of IDs doesn't match numids"),
            ("FAIL IDS 9223372036854775807 1", "number of IDs doesn't match numids"),
            ("FAIL IDS 1 1 2", "Unrecognized XNACK option '2'"),
            ("FAIL IDS 1 1 RETRYCOUNT", "Unrecognized XNACK option 'RETRYCOUNT'"),
            ("FAIL IDS 1 1 RETRYCOUNT -1", "Invalid RETRYCOUNT value, must be >= 0"),
            ("FAIL IDS 1 1 RETRYCOUNT x", "value is not an integer"),
            ("FAIL FORCE FORCE FORCE", "syntax error, expected IDS keyword"),
            ("FAIL IDS 2 1 x", "Invalid stream ID"),
        ] {
            let reply = client.say(&format!("XNACK s g {line}"));
            assert!(reply.starts_with("-ERR ") && reply.contains(text), "{line}: {reply}");
        }
        assert!(client.say("XNACK s x FAIL IDS 1 1").starts_with("-NOGROUP No such key 's'"));
        assert!(client.say("XNACK nothing g FAIL IDS 1 1").starts_with("-NOGROUP"));
        client.say("SET t x");
        assert!(client.say("XNACK t g FAIL IDS 1 1").starts_with("-WRONGTYPE"));
        assert!(pending(&mut client, 1).contains("$3\r\none\r\n"), "nothing has changed");
    }
}
