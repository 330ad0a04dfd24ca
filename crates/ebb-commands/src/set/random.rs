//! SPOP, SRANDMEMBER: members drawn at random, every one with the same chance.

use std::collections::HashSet;

use ebb_collections::SetRef;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use crate::random_count;

pub(super) static SPOP: CommandSpec = CommandSpec {
    name: "spop",
    summary: "Removes members of a set drawn at random and returns them.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members returned.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::integer("count").optional().since("3.2.0")],
    history: &[("3.2.0", "Added the `count` argument.")],
    tips: &["nondeterministic_output"],
    run: spop,
    ..CommandSpec::NEW
};
pub(super) static SRANDMEMBER: CommandSpec = CommandSpec {
    name: "srandmember",
    summary: "Returns members of a set drawn at random.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N) for N members returned.",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), Argument::integer("count").optional().since("2.6.0")],
    history: &[("2.6.0", "Added the optional `count` argument.")],
    tips: &["nondeterministic_output"],
    run: srandmember,
    ..CommandSpec::NEW
};

fn spop(ctx: &mut Context<'_>) -> CommandResult {
    let count = match ctx.args.len() {
        2 => None,
        3 => Some(random_count::positive(ctx, 2)?),
        _ => return Err(CommandError::Syntax),
    };
    let popped = pop(ctx, count.unwrap_or(1))?;
    match (count, popped.first()) {
        (Some(_), _) => {
            ctx.reply.set(popped.len());
            popped.iter().for_each(|member| ctx.reply.bulk(member));
        }
        (None, Some(member)) => ctx.reply.bulk(member),
        (None, None) => ctx.reply.null(),
    }
    Ok(())
}

/// Removes up to `count` members and returns them.
fn pop(ctx: &mut Context<'_>, count: usize) -> Result<Vec<Vec<u8>>, CommandError> {
    let key = ctx.key(1);
    ctx.require_copies([ctx.key(1)])?;
    let mut random = SmallRng::clone(ctx.random);
    let (Some(mut set), _) = ctx.edit_set(&key)? else { return Ok(Vec::new()) };
    let len = set.as_ref().len();
    if count == 0 {
        return Ok(Vec::new());
    }
    let (popped, gone) = if count >= len {
        let all = set.as_ref().to_vec();
        drop(set);
        ctx.remove(&key);
        (all, true)
    } else {
        let mut popped = Vec::with_capacity(count);
        while popped.len() < count
            && let Some(member) = set.as_ref().sample(&mut random, |member| member.to_vec())
        {
            set.remove(&member)?;
            popped.push(member);
        }
        (popped, set.into_slot().finish())
    };
    *ctx.random = random;
    ctx.changed_many(&key, Event::set("spop"), popped.len() as u64);
    ctx.gone_if(&key, gone);
    Ok(popped)
}

fn srandmember(ctx: &mut Context<'_>) -> CommandResult {
    let count = match ctx.args.len() {
        2 => None,
        3 => Some(random_count::signed(ctx, 2)?),
        _ => return Err(CommandError::Syntax),
    };
    let key = ctx.key(1);
    if count.is_some_and(|count| count > 0) {
        ctx.require_copies([ctx.key(1)])?;
    }
    let mut random = SmallRng::clone(ctx.random);
    let (set, reply) = ctx.read_set_and_reply(&key)?;
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), Some(count)) if count >= 0 => {
            let members = distinct(set, count as usize, &mut random);
            reply.array(members.len());
            members.iter().for_each(|member| reply.bulk(member));
        }
        (Some(set), count) => {
            if let Some(count) = count {
                reply.array(count.unsigned_abs() as usize);
            }
            for _ in 0..count.unwrap_or(-1).unsigned_abs() {
                // Who asks for more than it may be sent is closed.
                if reply.room() == 0 {
                    break;
                }
                set.sample(&mut random, |member| member.with_bytes(|bytes| reply.bulk(bytes)));
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
fn distinct(set: SetRef<'_>, count: usize, random: &mut SmallRng) -> Vec<Vec<u8>> {
    if count >= set.len() / DRAW_SHARE {
        let mut all = set.to_vec();
        if count < all.len() {
            all.shuffle(random);
            all.truncate(count);
        }
        return all;
    }
    let mut seen = HashSet::with_capacity(count);
    while seen.len() < count {
        seen.extend(set.sample(random, |member| member.to_vec()));
    }
    seen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::testing::Client;

    #[test]
    fn popped_members_are_gone() {
        let mut client = Client::new();
        assert_eq!(client.say("SPOP s"), "$-1\r\n");
        assert_eq!(client.say("SPOP s 2"), "*0\r\n");
        client.say("SADD s a");
        assert_eq!(client.say("SPOP s 0"), "*0\r\n");
        assert_eq!(client.say("SPOP s"), "$1\r\na\r\n");
        assert_eq!(client.say("EXISTS s"), ":0\r\n");
        (0..300).for_each(|n| drop(client.say(&format!("SADD s m{n}"))));
        assert!(client.say("SPOP s 120").starts_with("*120\r\n"));
        assert_eq!(client.say("SCARD s"), ":180\r\n");
        assert!(client.say("SPOP s 1000").starts_with("*180\r\n"));
        assert_eq!(client.say("EXISTS s"), ":0\r\n");
        assert_eq!(client.say("SPOP s -1"), "-ERR value is out of range, must be positive\r\n");
        assert_eq!(client.say("SPOP s 1 2"), "-ERR syntax error\r\n");
        client.say("SET t x");
        assert!(client.say("SPOP t").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn draws_with_and_without_repetition() {
        let mut client = Client::new();
        assert_eq!(client.say("SRANDMEMBER s"), "$-1\r\n");
        assert_eq!(client.say("SRANDMEMBER s 3"), "*0\r\n");
        client.say("SADD s 7");
        assert_eq!(client.say("SRANDMEMBER s"), "$1\r\n7\r\n");
        assert_eq!(client.say("SRANDMEMBER s 5"), "*1\r\n$1\r\n7\r\n");
        assert_eq!(client.say("SRANDMEMBER s -2"), "*2\r\n$1\r\n7\r\n$1\r\n7\r\n");
        assert_eq!(client.say("SRANDMEMBER s 0"), "*0\r\n");
        assert!(client.say("SRANDMEMBER s -9223372036854775808").contains("value must between"));
    }

    #[test]
    fn drawing_ends_where_the_reply_is_too_long() {
        let mut client = Client::new();
        client.run(&["CONFIG", "SET", "client-output-buffer-limit", "normal 1000000 0 0"]);
        client.say("SADD s a");
        let reply = client.say("SRANDMEMBER s -999999999");
        assert!(client.session.is_over_output_limit);
        assert!(reply.len() < 2_000_000);
    }

    #[test]
    fn every_member_has_the_same_chance() {
        let mut client = Client::new();
        (0..200).for_each(|n| drop(client.say(&format!("SADD s m{n}"))));
        for count in [10, 100] {
            let mut seen: HashMap<String, u32> = HashMap::new();
            for _ in 0..2000 / count * 100 {
                let reply = client.say(&format!("SRANDMEMBER s {count}"));
                for member in reply.lines().filter(|line| line.starts_with('m')) {
                    *seen.entry(member.to_owned()).or_default() += 1;
                }
            }
            // 1000 are expected of each, with a standard deviation of 32 at most.
            assert_eq!(seen.len(), 200);
            assert!(seen.values().all(|&times| (800..1200).contains(&times)), "{seen:?}");
        }
    }
}
