//! XDELEX, XACKDEL: deleting entries with regard to what consumer groups have pending.

use ebb_collections::stream::{References, Stream, StreamId};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_keyspace::Key;
use ebb_types::number::parse_i64;

use super::{id, references};

const IDS: Argument =
    Argument::block("ids", &[Argument::integer("numids"), Argument::string("id").multiple()])
        .after("IDS");

pub(super) static XDELEX: CommandSpec = CommandSpec {
    name: "xdelex",
    summary: "Deletes entries of a stream, minding what groups have pending if asked to.",
    since: "8.2.0",
    group: Group::Stream,
    complexity: "O(N) for N entries.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), references::ARGUMENT.optional(), IDS],
    run: xdelex,
    ..CommandSpec::NEW
};
pub(super) static XACKDEL: CommandSpec = CommandSpec {
    name: "xackdel",
    summary: "Acknowledges entries that were delivered to a consumer, and deletes them.",
    since: "8.2.0",
    group: Group::Stream,
    complexity: "O(N) for N entries.",
    arity: -6,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("group"),
        references::ARGUMENT.optional(),
        IDS,
    ],
    run: xackdel,
    ..CommandSpec::NEW
};

struct Options {
    references: References,
    ids: Vec<StreamId>,
}

/// The options and ids, in any order, from a position on.
fn parse(ctx: &Context<'_>, mut at: usize) -> Result<Options, CommandError> {
    let (mut references, mut ids) = (None, None);
    while at < ctx.args.len() {
        let rest = &ctx.args[at + 1..];
        if let (Some(found), None) = (references::of_word(ctx.arg(at)), references) {
            references = Some(found);
            at += 1;
        } else if let (true, None, Some((&count, rest))) =
            (ctx.is_word(at, "IDS"), &ids, rest.split_first())
        {
            let count = parse_i64(count).and_then(|count| usize::try_from(count).ok());
            let count = count.filter(|&count| count > 0);
            let count =
                count.ok_or(CommandError::new("ERR Number of IDs must be a positive integer"))?;
            let texts = rest.get(..count).ok_or(CommandError::new(
                "ERR The `numids` parameter must match the number of arguments",
            ))?;
            let parsed: Result<Vec<StreamId>, _> =
                texts.iter().map(|text| id::parse(text, 0)).collect();
            ids = Some(parsed?);
            at += 2 + count;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let ids = ids.ok_or(CommandError::Syntax)?;
    Ok(Options { references: references.unwrap_or_default(), ids })
}

/// What became of an entry, and what is answered for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// There is no such entry.
    Missing = -1,
    /// It is gone.
    Deleted = 1,
    /// A group still needs it.
    Kept = 2,
}

/// What was done to a stream.
#[derive(Default)]
struct Changes {
    deleted: u64,
    acknowledged: u64,
}

/// Deletes an entry that is there, or that only groups still know of.
fn delete(
    stream: &mut Stream,
    id: StreamId,
    references: References,
    changes: &mut Changes,
) -> Outcome {
    if references == References::Respect && stream.is_referenced(id) {
        return Outcome::Kept;
    }
    if references == References::Remove {
        changes.acknowledged += u64::from(stream.forget_references(id));
    }
    changes.deleted += u64::from(stream.delete(id));
    Outcome::Deleted
}

fn delete_if_there(
    stream: &mut Stream,
    id: StreamId,
    references: References,
    changes: &mut Changes,
) -> Outcome {
    if stream.get(id).is_none() {
        if references == References::Remove {
            changes.acknowledged += u64::from(stream.forget_references(id));
        }
        return Outcome::Missing;
    }
    // Without groups nobody has acknowledged anything.
    if references == References::Respect && stream.groups.is_empty() {
        return Outcome::Kept;
    }
    delete(stream, id, references, changes)
}

fn acknowledge_and_delete(
    stream: &mut Stream,
    group: &[u8],
    id: StreamId,
    references: References,
    changes: &mut Changes,
) -> Outcome {
    let Some(group) = stream.groups.get_mut(group) else { return Outcome::Missing };
    if !group.acknowledge(id) {
        return Outcome::Missing;
    }
    changes.acknowledged += 1;
    delete(stream, id, references, changes)
}

/// Does something with each of the ids, tells what has changed, and answers.
fn for_each(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    options: &Options,
    mut work: impl FnMut(&mut Stream, StreamId, References, &mut Changes) -> Outcome,
) -> CommandResult {
    let mut changes = Changes::default();
    let outcomes: Vec<Outcome> = match ctx.edit_stream(key)?.0 {
        None => vec![Outcome::Missing; options.ids.len()],
        Some(mut stream) => options
            .ids
            .iter()
            .map(|&id| work(&mut stream, id, options.references, &mut changes))
            .collect(),
    };
    if changes.deleted > 0 {
        ctx.changed_many(key, Event::stream("xdel"), changes.deleted);
    }
    ctx.journal.dirty += changes.acknowledged;
    ctx.reply.array(outcomes.len());
    outcomes.iter().for_each(|&outcome| ctx.reply.integer(outcome as i64));
    Ok(())
}

fn xdelex(ctx: &mut Context<'_>) -> CommandResult {
    let options = parse(ctx, 2)?;
    let key = ctx.key(1);
    for_each(ctx, &key, &options, delete_if_there)
}

fn xackdel(ctx: &mut Context<'_>) -> CommandResult {
    let options = parse(ctx, 3)?;
    let (key, group) = (ctx.key(1), ctx.arg(2));
    for_each(ctx, &key, &options, |stream, id, references, changes| {
        acknowledge_and_delete(stream, group, id, references, changes)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// Entries 1 to 3; group g has read all, group h the first.
    fn delivered() -> Client {
        let mut client = Client::new();
        (1..=3).for_each(|n| drop(client.say(&format!("XADD s {n} a {n}"))));
        client.say("XGROUP CREATE s g 0");
        client.say("XGROUP CREATE s h 0");
        client.say("XREADGROUP GROUP g one STREAMS s >");
        client.say("XREADGROUP GROUP h one COUNT 1 STREAMS s >");
        client
    }

    fn pending(client: &mut Client, group: &str) -> String {
        let reply = client.say(&format!("XPENDING s {group}"));
        reply.split("\r\n").nth(1).unwrap().to_owned()
    }

    #[test]
    fn entries_are_deleted_with_their_references_or_without() {
        let mut client = delivered();
        assert_eq!(client.say("XDELEX s IDS 2 1 9"), "*2\r\n:1\r\n:-1\r\n");
        assert_eq!(pending(&mut client, "h"), ":1", "it dangles");
        assert_eq!(client.say("XDELEX s DELREF IDS 1 1"), "*1\r\n:-1\r\n");
        assert_eq!(pending(&mut client, "h"), ":0", "not any more");
        assert_eq!(client.say("XDELEX s IDS 1 2 DELREF"), "*1\r\n:1\r\n");
        assert_eq!(pending(&mut client, "g"), ":1");
        assert_eq!(client.say("XDELEX nothing IDS 2 1 2"), "*2\r\n:-1\r\n:-1\r\n");
    }

    #[test]
    fn entries_that_groups_need_stay_if_asked() {
        let mut client = delivered();
        assert_eq!(client.say("XDELEX s ACKED IDS 1 1"), "*1\r\n:2\r\n", "pending");
        client.say("XACK s g 1 2");
        client.say("XACK s h 1");
        assert_eq!(
            client.say("XDELEX s ACKED IDS 2 1 2"),
            "*2\r\n:1\r\n:2\r\n",
            "h has not read 2"
        );
        client.say("XGROUP DESTROY s g");
        client.say("XGROUP DESTROY s h");
        assert_eq!(client.say("XDELEX s ACKED IDS 1 2"), "*1\r\n:2\r\n", "no groups");
        assert_eq!(client.say("XDELEX s KEEPREF IDS 1 2"), "*1\r\n:1\r\n");
        assert_eq!(client.say("XLEN s"), ":1\r\n");
    }

    #[test]
    fn acknowledging_deletes() {
        let mut client = delivered();
        assert_eq!(client.say("XACKDEL s g ACKED IDS 1 1"), "*1\r\n:2\r\n", "h has it pending");
        assert_eq!(pending(&mut client, "g"), ":2");
        assert_eq!(client.say("XACKDEL s h ACKED IDS 2 1 2"), "*2\r\n:1\r\n:-1\r\n");
        assert_eq!(client.say("XACKDEL s g IDS 1 2"), "*1\r\n:1\r\n");
        client.say("XREADGROUP GROUP h one STREAMS s >");
        assert_eq!(client.say("XACKDEL s g DELREF IDS 1 3"), "*1\r\n:1\r\n");
        assert_eq!(pending(&mut client, "h"), ":0");
        assert_eq!(client.say("XLEN s"), ":0\r\n");
        assert_eq!(client.say("XACKDEL s x IDS 1 3"), "*1\r\n:-1\r\n");
        assert_eq!(client.say("XACKDEL nothing g IDS 1 3"), "*1\r\n:-1\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = delivered();
        for count in ["abc", "0", "-5"] {
            assert_eq!(
                client.say(&format!("XDELEX s IDS {count} 1")),
                "-ERR Number of IDs must be a positive integer\r\n"
            );
        }
        assert_eq!(
            client.say("XACKDEL s g IDS 3 1 2"),
            "-ERR The `numids` parameter must match the number of arguments\r\n"
        );
        for line in [
            "XACKDEL s g IDS 1 1 2",
            "XDELEX s KEEPREF ACKED IDS 1 1",
            "XDELEX s IDS 1 1 IDS 1 1",
            "XDELEX s KEEPREF x y",
        ] {
            assert_eq!(client.say(line), "-ERR syntax error\r\n", "{line}");
        }
        assert!(client.say("XDELEX s IDS 1 x").contains("Invalid stream ID"));
        client.say("SET t x");
        assert!(client.say("XDELEX t IDS 1 1").starts_with("-WRONGTYPE"));
    }
}
