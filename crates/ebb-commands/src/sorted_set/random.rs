//! ZRANDMEMBER: members drawn at random.

use ahash::AHashSet;
use ebb_collections::SortedSetRef;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::answer;
use crate::random_count;

pub(super) static ZRANDMEMBER: CommandSpec = CommandSpec {
    name: "zrandmember",
    summary: "Returns members of a sorted set drawn at random.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(N) for N members returned.",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::block(
            "options",
            &[Argument::integer("count"), Argument::word("withscores", "WITHSCORES").optional()],
        )
        .optional(),
    ],
    tips: &["nondeterministic_output"],
    run: zrandmember,
    ..CommandSpec::NEW
};

fn zrandmember(ctx: &mut Context<'_>) -> CommandResult {
    let count = if ctx.args.len() > 2 { Some(random_count::signed(ctx, 2)?) } else { None };
    let scores = match ctx.args.len() {
        2 | 3 => false,
        4 if ctx.is_word(3, "WITHSCORES") => true,
        _ => return Err(CommandError::Syntax),
    };
    if scores && count.is_some_and(|count| count.unsigned_abs() > i64::MAX as u64 / 2) {
        return Err(CommandError::OutOfRange);
    }
    let key = ctx.key(1);
    let mut random = SmallRng::clone(ctx.random);
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), Some(count)) if count >= 0 => {
            let members = distinct(set, count as usize, &mut random);
            answer::begin(reply, members.len(), scores);
            for (member, score) in members {
                answer::member(reply, member, score, scores);
            }
        }
        (Some(set), count) => {
            if let Some(count) = count {
                answer::begin(reply, count.unsigned_abs() as usize, scores);
            }
            for _ in 0..count.unwrap_or(-1).unsigned_abs() {
                // Who asks for more than it may be sent is closed.
                if reply.room() == 0 {
                    break;
                }
                if let Some((member, score)) = set.sample(&mut random) {
                    answer::member(reply, member, score, scores);
                }
            }
        }
    }
    *ctx.random = random;
    Ok(())
}

/// Of a set at least this many times as large as what is wanted, members are drawn until enough
/// are different; of a smaller one, all are shuffled.
const DRAW_SHARE: usize = 3;

/// `count` different members, or all.
fn distinct<'a>(
    set: SortedSetRef<'a>,
    count: usize,
    random: &mut SmallRng,
) -> Vec<(&'a [u8], f64)> {
    let mut members = Vec::new();
    if count >= set.len() / DRAW_SHARE {
        set.walk(0, |member, score| {
            members.push((member, score));
            true
        });
        if count < members.len() {
            members.shuffle(random);
            members.truncate(count);
        }
        return members;
    }
    let mut seen = AHashSet::with_capacity(count);
    while members.len() < count {
        members.extend(set.sample(random).filter(|(member, _)| seen.insert(*member)));
    }
    members
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn draws_with_and_without_repetition() {
        let mut client = Client::new();
        assert_eq!(client.say("ZRANDMEMBER z"), "$-1\r\n");
        assert_eq!(client.say("ZRANDMEMBER z 3"), "*0\r\n");
        client.say("ZADD z 1.5 a");
        assert_eq!(client.say("ZRANDMEMBER z"), "$1\r\na\r\n");
        assert_eq!(client.say("ZRANDMEMBER z 5 WITHSCORES"), "*2\r\n$1\r\na\r\n$3\r\n1.5\r\n");
        assert_eq!(client.say("ZRANDMEMBER z -2"), "*2\r\n$1\r\na\r\n$1\r\na\r\n");
        assert_eq!(client.say("ZRANDMEMBER z 1 x"), "-ERR syntax error\r\n");
        assert!(client.say("ZRANDMEMBER z -9223372036854775808").contains("must between"));
        assert_eq!(
            client.say("ZRANDMEMBER z -9223372036854775807 WITHSCORES"),
            "-ERR value is out of range\r\n"
        );
        (0..300).for_each(|n| drop(client.say(&format!("ZADD big {n} m{n}"))));
        for count in [7, 200, 300] {
            let reply = client.say(&format!("ZRANDMEMBER big {count}"));
            let members: std::collections::HashSet<&str> =
                reply.lines().filter(|line| line.starts_with('m')).collect();
            assert_eq!(members.len(), count);
        }
    }

    #[test]
    fn drawing_ends_where_the_reply_is_too_long() {
        let mut client = Client::new();
        client.run(&["CONFIG", "SET", "client-output-buffer-limit", "normal 1000000 0 0"]);
        client.say("ZADD z 1 a");
        let reply = client.say("ZRANDMEMBER z -999999999 WITHSCORES");
        assert!(client.session.is_over_output_limit);
        assert!(reply.len() < 2_000_000);
    }
}
