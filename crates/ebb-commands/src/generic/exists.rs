//! EXISTS, TOUCH and TYPE.

use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, KeyFlags, KeySpec};

pub(super) static EXISTS: CommandSpec = CommandSpec {
    name: "exists",
    summary: "Counts the keys that exist; one that is named twice counts twice.",
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys.",
    arity: -2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0).multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    run: exists,
    ..CommandSpec::NEW
};

fn exists(ctx: &mut Context<'_>) -> CommandResult {
    count(ctx, |ctx, at| {
        let key = ctx.key(at);
        ctx.ask(&key).is_some()
    })
}

pub(super) static TOUCH: CommandSpec = CommandSpec {
    name: "touch",
    summary: "Marks keys as just used and counts those that exist.",
    since: "3.2.1",
    complexity: "O(N) where N is the number of keys.",
    arity: -2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0).multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    run: touch,
    ..CommandSpec::NEW
};

fn touch(ctx: &mut Context<'_>) -> CommandResult {
    count(ctx, |ctx, at| {
        let key = ctx.key(at);
        ctx.touch(&key)
    })
}

fn count(
    ctx: &mut Context<'_>,
    mut holds: impl FnMut(&mut Context<'_>, usize) -> bool,
) -> CommandResult {
    let count = (1..ctx.args.len()).filter(|&at| holds(ctx, at)).count();
    ctx.reply.count(count);
    Ok(())
}

pub(super) static TYPE: CommandSpec = CommandSpec {
    name: "type",
    summary: "Names the type of the value at a key.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    arguments: &[Argument::key("key", 0)],
    run: type_of,
    ..CommandSpec::NEW
};

fn type_of(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let name = ctx.ask(&key).map_or("none", |entry| entry.value_type().name());
    ctx.reply.simple(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn asks() {
        let mut client = Client::new();
        client.say("SET a 1");
        assert_eq!(client.say("EXISTS a a b"), ":2\r\n");
        assert_eq!(client.say("TOUCH a b"), ":1\r\n");
        assert_eq!(client.say("TYPE a"), "+string\r\n");
        assert_eq!(client.say("TYPE b"), "+none\r\n");
    }
}
