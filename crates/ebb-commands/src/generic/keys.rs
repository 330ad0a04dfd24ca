//! KEYS and RANDOMKEY.

use ebb_engine::{
    Argument, ArgumentKind, Categories, CommandError, CommandResult, CommandSpec, Context, Flags,
    Reply, Scope,
};
use ebb_types::glob;
use rand::Rng;

pub(super) static KEYS: CommandSpec = CommandSpec {
    name: "keys",
    summary: "Returns all keys that match a pattern.",
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys in the database.",
    arity: 2,
    flags: Flags::READONLY,
    acl: Categories::DANGEROUS,
    arguments: &[Argument::new("pattern", ArgumentKind::Pattern)],
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    scope: Scope::All,
    run: keys,
    ..CommandSpec::NEW
};

fn keys(ctx: &mut Context<'_>) -> CommandResult {
    let (pattern, db, now_ms) = (ctx.arg(1), ctx.session.db, ctx.now_ms);
    let all = pattern == b"*";
    // A reply of its own, because the number comes first: it says so if there is no memory.
    let (mut found, mut count) = (Reply::default(), 0);
    ctx.each_shard(|shard| {
        shard.db_ref(db).for_each(|entry| {
            let key = entry.key();
            let is_due = entry.is_due(now_ms);
            if !is_due && (all || glob::matches(pattern, key, false)) {
                found.bulk(key);
                count += 1;
            }
        });
    });
    if found.is_starved() {
        return Err(CommandError::OutOfMemory);
    }
    ctx.reply.array(count);
    ctx.reply.raw(found.parts().0);
    Ok(())
}

pub(super) static RANDOMKEY: CommandSpec = CommandSpec {
    name: "randomkey",
    summary: "Returns a key drawn at random.",
    since: "1.0.0",
    complexity: "O(N) where N is the number of shards.",
    arity: 1,
    flags: Flags::READONLY,
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    scope: Scope::Walk,
    run: randomkey,
    ..CommandSpec::NEW
};

/// A key that is due is drawn again, but not for ever.
const DRAWS_MAX: usize = 100;

fn randomkey(ctx: &mut Context<'_>) -> CommandResult {
    for _ in 0..DRAWS_MAX {
        let Some((key, is_due)) = draw(ctx) else { break };
        if !is_due {
            ctx.reply.bulk(&key);
            return Ok(());
        }
    }
    ctx.reply.null();
    Ok(())
}

/// A key, each with the same chance, and whether its time is over.
fn draw(ctx: &mut Context<'_>) -> Option<(Vec<u8>, bool)> {
    let (db, now_ms) = (ctx.session.db, ctx.now_ms);
    let mut counts = Vec::new();
    ctx.each_shard(|shard| counts.push(shard.db_ref(db).len()));
    let total: usize = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let mut nth = ctx.random.random_range(0..total);
    let shard = counts.iter().position(|&count| {
        let here = nth < count;
        nth = nth.saturating_sub(count);
        here
    })?;
    ctx.enter_shard(shard);
    let Context { locks, random, .. } = ctx;
    let entry = locks.shard(shard).db_ref(db).sample(*random)?;
    Some((entry.key().to_vec(), entry.deadline().is_some_and(|at| at <= now_ms)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn keys_match() {
        let mut client = Client::with_config(&[("io-threads", "2")]);
        assert_eq!(client.say("RANDOMKEY"), "$-1\r\n");
        client.say("MSET one 1 two 2 three 3");
        assert_eq!(client.say("KEYS o*"), "*1\r\n$3\r\none\r\n");
        assert!(client.say("KEYS *").starts_with("*3\r\n"));
        assert!(client.say("RANDOMKEY").starts_with('$'));
        client.say("FLUSHALL");
        client.say("SET gone 1 PXAT 1");
        assert_eq!(client.say("KEYS *"), "*0\r\n");
    }
}
