//! ZPOPMIN, ZPOPMAX, ZMPOP: members from the ends.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec, Reply,
};
use ebb_keyspace::Key;

use super::{answer, range};
use crate::{numkeys, random_count};

pub(super) static ZPOPMIN: CommandSpec = CommandSpec {
    name: "zpopmin",
    summary: "Removes the members with the lowest scores and returns them.",
    since: "5.0.0",
    group: Group::SortedSet,
    complexity: "O(log(N)*M) for N members of which M are popped.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::integer("count").optional()],
    run: |ctx| zpop(ctx, End::Min),
    ..CommandSpec::NEW
};
pub(super) static ZPOPMAX: CommandSpec = CommandSpec {
    name: "zpopmax",
    summary: "Removes the members with the highest scores and returns them.",
    since: "5.0.0",
    group: Group::SortedSet,
    complexity: "O(log(N)*M) for N members of which M are popped.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::integer("count").optional()],
    run: |ctx| zpop(ctx, End::Max),
    ..CommandSpec::NEW
};
pub(super) static ZMPOP: CommandSpec = CommandSpec {
    name: "zmpop",
    summary: "Pops members of the first sorted set that has any.",
    since: "7.0.0",
    group: Group::SortedSet,
    complexity: "O(K)+O(M*log(N)) for K keys and N members of which M are popped.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::integer("numkeys"),
        Argument::key("key", 0).multiple(),
        Argument::one_of("where", &[Argument::word("min", "MIN"), Argument::word("max", "MAX")]),
        Argument::integer("count").after("COUNT").optional(),
    ],
    run: zmpop,
    ..CommandSpec::NEW
};

/// An end of a sorted set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The lowest score.
    Min,
    /// The highest score.
    Max,
}

impl End {
    /// The end that an argument names.
    pub(crate) fn parse(ctx: &Context<'_>, at: usize) -> Result<End, CommandError> {
        match () {
            () if at >= ctx.args.len() => Err(CommandError::Syntax),
            () if ctx.is_word(at, "MIN") => Ok(End::Min),
            () if ctx.is_word(at, "MAX") => Ok(End::Max),
            () => Err(CommandError::Syntax),
        }
    }

    fn event(self) -> Event {
        match self {
            End::Min => Event::zset("zpopmin"),
            End::Max => Event::zset("zpopmax"),
        }
    }
}

/// Members that were popped, with their scores.
pub(crate) type Popped = Vec<(Vec<u8>, f64)>;

/// Removes up to `count` members from an end of a key's sorted set; none if there is no such key.
pub(crate) fn pop(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    end: End,
    count: usize,
) -> Result<Popped, CommandError> {
    if count > 1 {
        ctx.require_copies([*key])?;
    }
    let (Some(mut set), _) = ctx.edit_sorted_set(key)? else { return Ok(Vec::new()) };
    let len = set.as_ref().len();
    let count = count.min(len);
    let ranks = match end {
        End::Min => 0..count,
        End::Max => len - count..len,
    };
    let mut popped = Vec::with_capacity(count);
    range::walk(&set.as_ref(), ranks.clone(), end == End::Max, |member, score| {
        popped.push((member.to_vec(), score));
        true
    });
    set.remove_ranks(ranks)?;
    let gone = set.into_slot().finish();
    if !popped.is_empty() {
        ctx.changed_many(key, end.event(), count as u64);
        ctx.gone_if(key, gone);
    }
    Ok(popped)
}

/// Pops from the first of some keys that has members.
pub(crate) fn pop_first<'k>(
    ctx: &mut Context<'_>,
    keys: impl IntoIterator<Item = Key<'k>>,
    end: End,
    count: usize,
) -> Result<Option<(Key<'k>, Popped)>, CommandError> {
    for key in keys {
        let popped = pop(ctx, &key, end, count)?;
        if !popped.is_empty() {
            return Ok(Some((key, popped)));
        }
    }
    Ok(None)
}

/// Answers as ZMPOP does: the key, and pairs.
pub(crate) fn reply_with_key(reply: &mut Reply, key: &[u8], popped: &Popped) {
    reply.array(2);
    reply.bulk(key);
    reply.array(popped.len());
    for (member, score) in popped {
        reply.array(2);
        reply.bulk(member);
        reply.double(*score);
    }
}

fn zpop(ctx: &mut Context<'_>, end: End) -> CommandResult {
    let count = match ctx.args.len() {
        2 => None,
        3 => Some(random_count::positive(ctx, 2)?),
        _ => return Err(CommandError::Syntax),
    };
    let key = ctx.key(1);
    let popped = pop(ctx, &key, end, count.unwrap_or(1))?;
    if count.is_some() {
        answer::begin(ctx.reply, popped.len(), true);
    } else {
        // Without a count, the pair is the reply itself.
        ctx.reply.array(2 * popped.len());
    }
    for (member, score) in &popped {
        if count.is_some() {
            answer::member(ctx.reply, member, *score, true);
        } else {
            ctx.reply.bulk(member);
            ctx.reply.double(*score);
        }
    }
    Ok(())
}

/// What ZMPOP and BZMPOP take: `numkeys key [key ...] MIN|MAX [COUNT count]`.
pub(crate) struct Request {
    /// The positions of the keys.
    pub(crate) keys: std::ops::Range<usize>,
    pub(crate) end: End,
    pub(crate) count: usize,
}

impl Request {
    /// Parses the arguments from the number of keys on.
    pub(crate) fn parse(ctx: &Context<'_>, at: usize) -> Result<Request, CommandError> {
        let keys = numkeys::counted_keys(ctx, at, CommandError::Syntax)?;
        let end = End::parse(ctx, keys.end)?;
        let (mut count, mut at) = (None, keys.end + 1);
        while at < ctx.args.len() {
            if count.is_some() || at + 1 == ctx.args.len() || !ctx.is_word(at, "COUNT") {
                return Err(CommandError::Syntax);
            }
            let text = "ERR count should be greater than 0";
            count = Some(numkeys::at_least(ctx, at + 1, 1, text)?);
            at += 2;
        }
        Ok(Request { keys, end, count: count.unwrap_or(1) })
    }
}

fn zmpop(ctx: &mut Context<'_>) -> CommandResult {
    let request = Request::parse(ctx, 1)?;
    let keys: Vec<Key<'_>> = request.keys.map(|at| ctx.key(at)).collect();
    match pop_first(ctx, keys, request.end, request.count)? {
        Some((key, popped)) => reply_with_key(ctx.reply, key.bytes(), &popped),
        None => ctx.reply.null_array(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn ends_are_popped() {
        let mut client = Client::new();
        client.say("ZADD z 1 a 2 b 3 c 4 d");
        assert_eq!(client.say("ZPOPMIN z"), "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
        assert_eq!(client.say("ZPOPMAX z 2"), "*4\r\n$1\r\nd\r\n$1\r\n4\r\n$1\r\nc\r\n$1\r\n3\r\n");
        assert_eq!(client.say("ZPOPMAX z 0"), "*0\r\n");
        assert_eq!(client.say("ZPOPMAX z 9"), "*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
        assert_eq!(client.say("EXISTS z"), ":0\r\n");
        assert_eq!(client.say("ZPOPMAX z"), "*0\r\n");
        assert_eq!(client.say("ZPOPMIN z -1"), "-ERR value is out of range, must be positive\r\n");
        assert_eq!(client.say("ZPOPMIN z 1 2"), "-ERR syntax error\r\n");
        client.say("SET t x");
        assert!(client.say("ZPOPMIN t 0").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn pairs_nest_in_resp3_if_there_is_a_count() {
        let mut client = Client::new();
        client.say("ZADD z 1 a 2 b");
        client.say("HELLO 3");
        assert_eq!(client.say("ZPOPMIN z 1"), "*1\r\n*2\r\n$1\r\na\r\n,1\r\n");
        assert_eq!(client.say("ZPOPMIN z"), "*2\r\n$1\r\nb\r\n,2\r\n");
    }

    #[test]
    fn the_first_that_has_members_is_popped() {
        let mut client = Client::new();
        client.say("ZADD z 1 a 2 b");
        assert_eq!(
            client.say("ZMPOP 2 nothing z MAX COUNT 5"),
            "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
        assert_eq!(client.say("ZMPOP 1 z MIN"), "*-1\r\n");
        for (command, text) in [
            ("ZMPOP 0 z MIN", "numkeys should be greater than 0"),
            ("ZMPOP 2 z MIN", "syntax error"),
            ("ZMPOP 9 z MIN", "syntax error"),
            ("ZMPOP 1 z MIDDLE", "syntax error"),
            ("ZMPOP 1 z MIN COUNT 0", "count should be greater than 0"),
            ("ZMPOP 1 z MIN COUNT 1 COUNT 1", "syntax error"),
        ] {
            assert!(client.say(command).contains(text), "{command}");
        }
    }
}
