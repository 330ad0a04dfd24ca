//! HRANDFIELD: fields drawn at random.

use std::collections::HashSet;

use ebb_collections::HashRef;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    Reply,
};
use rand::seq::SliceRandom;

use crate::random_count;

pub(super) static HRANDFIELD: CommandSpec = CommandSpec {
    name: "hrandfield",
    summary: "Returns fields of a hash drawn at random.",
    since: "6.2.0",
    group: Group::Hash,
    complexity: "O(N) for N fields returned.",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::block(
            "options",
            &[Argument::integer("count"), Argument::word("withvalues", "WITHVALUES").optional()],
        )
        .optional(),
    ],
    tips: &["nondeterministic_output"],
    run: hrandfield,
    ..CommandSpec::NEW
};

type Pair = (Vec<u8>, Vec<u8>);

fn hrandfield(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.args.len() == 2 {
        return one(ctx);
    }
    let count = random_count::signed(ctx, 2)?;
    let values = match ctx.args.len() {
        3 => false,
        4 if ctx.is_word(3, "WITHVALUES") => true,
        _ => return Err(CommandError::Syntax),
    };
    if values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::OutOfRange);
    }
    let nested = values && ctx.reply.is_resp3();
    let len = |pairs| if values && !nested { 2 * pairs } else { pairs };
    if count < 0 {
        let (drawn, pairs) = repeated(ctx, count.unsigned_abs() as usize, values)?;
        ctx.reply.array(len(pairs));
        ctx.reply.raw(drawn.parts().0);
        return Ok(());
    }
    let pairs = distinct(ctx, count as usize)?;
    ctx.reply.array(len(pairs.len()));
    pairs.iter().for_each(|(name, value)| write_pair(ctx.reply, name, values.then_some(value)));
    Ok(())
}

fn write_pair(reply: &mut Reply, name: &[u8], value: Option<impl AsRef<[u8]>>) {
    if value.is_some() && reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(name);
    if let Some(value) = value {
        reply.bulk(value.as_ref());
    }
}

/// Fields drawn one by one, but no more than the reply has room for; encoded, and their number.
fn repeated(
    ctx: &mut Context<'_>,
    count: usize,
    values: bool,
) -> Result<(Reply, usize), CommandError> {
    let (key, now_ms, room) = (ctx.key(1), ctx.now_ms, ctx.reply.room());
    let mut random = rand::rngs::SmallRng::clone(ctx.random);
    let (mut drawn, mut pairs) = (Reply::default(), 0);
    drawn.set_protocol(ctx.reply.protocol());
    if let Some(hash) = ctx.read_hash(&key)? {
        let mut live = false;
        hash.for_each(|field| live |= !field.is_due(now_ms));
        while live && pairs < count && drawn.len() <= room && !drawn.is_starved() {
            if let Some(field) = hash.sample(&mut random).filter(|field| !field.is_due(now_ms)) {
                write_pair(&mut drawn, field.name, values.then_some(&field.value));
                pairs += 1;
            }
        }
    }
    *ctx.random = random;
    if drawn.is_starved() { Err(CommandError::OutOfMemory) } else { Ok((drawn, pairs)) }
}

fn one(ctx: &mut Context<'_>) -> CommandResult {
    match repeated(ctx, 1, false)? {
        (_, 0) => ctx.reply.null(),
        (drawn, _) => ctx.reply.raw(drawn.parts().0),
    }
    Ok(())
}

/// `count` different fields, or all.
fn distinct(ctx: &mut Context<'_>, count: usize) -> Result<Vec<Pair>, CommandError> {
    let (key, now_ms) = (ctx.key(1), ctx.now_ms);
    ctx.require_copies([key])?;
    let mut random = rand::rngs::SmallRng::clone(ctx.random);
    let Some(hash) = ctx.read_hash(&key)? else { return Ok(Vec::new()) };
    let mut pairs = Vec::new();
    if count < hash.len() / 3 && !hash.is_expiring() {
        pairs = sample(hash, count, &mut random);
    } else {
        hash.for_each(|field| {
            if !field.is_due(now_ms) {
                pairs.push((field.name.to_vec(), field.value.to_vec()));
            }
        });
        if count < pairs.len() {
            pairs.shuffle(&mut random);
            pairs.truncate(count);
        }
    }
    *ctx.random = random;
    Ok(pairs)
}

/// Draws fields of a hash that has many more, none with a deadline.
fn sample(hash: HashRef<'_>, count: usize, random: &mut rand::rngs::SmallRng) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut seen = HashSet::new();
    while pairs.len() < count {
        let field = hash.sample(random).filter(|field| seen.insert(field.name));
        pairs.extend(field.map(|field| (field.name.to_vec(), field.value.to_vec())));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn draws_with_and_without_repetition() {
        let mut client = Client::new();
        assert_eq!(client.say("HRANDFIELD h"), "$-1\r\n");
        assert_eq!(client.say("HRANDFIELD h 3"), "*0\r\n");
        client.say("HSET h a 1");
        assert_eq!(client.say("HRANDFIELD h"), "$1\r\na\r\n");
        assert_eq!(client.say("HRANDFIELD h 5"), "*1\r\n$1\r\na\r\n");
        assert_eq!(client.say("HRANDFIELD h -2"), "*2\r\n$1\r\na\r\n$1\r\na\r\n");
        assert_eq!(client.say("HRANDFIELD h 1 WITHVALUES"), "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
        assert_eq!(client.say("HRANDFIELD h 1 x"), "-ERR syntax error\r\n");
        (0..30).for_each(|n| drop(client.say(&format!("HSET big {n} x"))));
        assert!(client.say("HRANDFIELD big 7").starts_with("*7\r\n"));
        assert!(client.say("HRANDFIELD big 30").starts_with("*30\r\n"));
    }

    #[test]
    fn drawing_ends_where_the_reply_is_too_long() {
        let mut client = Client::new();
        client.run(&["CONFIG", "SET", "client-output-buffer-limit", "normal 1000000 0 0"]);
        client.say("HSET h a b");
        let reply = client.say("HRANDFIELD h -999999999");
        assert!(client.session.is_over_output_limit);
        assert!(reply.len() < 1_100_000 * 3, "{}", reply.len());
    }
}
