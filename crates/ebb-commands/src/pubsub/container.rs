//! PUBSUB: what is listened to.

use ebb_engine::pubsub::Kind;
use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
};

use crate::help;

pub(super) static PUBSUB: CommandSpec = CommandSpec {
    name: "pubsub",
    summary: "A container of commands about subscriptions.",
    since: "2.8.0",
    group: Group::Pubsub,
    arity: -2,
    subcommands: &[CHANNELS, HELP, NUMPAT, NUMSUB, SHARDCHANNELS, SHARDNUMSUB],
    ..CommandSpec::NEW
};

const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "6.2.0",
    group: Group::Pubsub,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};

const CHANNELS: CommandSpec = CommandSpec {
    name: "channels",
    summary: "Lists the channels that somebody listens to.",
    since: "2.8.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of channels.",
    arity: -2,
    flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::new("pattern", ArgumentKind::Pattern).optional()],
    run: |ctx| channels(ctx, Kind::Channel),
    ..CommandSpec::NEW
};

const SHARDCHANNELS: CommandSpec = CommandSpec {
    name: "shardchannels",
    summary: "Lists the shard channels that somebody listens to.",
    since: "7.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of channels.",
    arity: -2,
    flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::new("pattern", ArgumentKind::Pattern).optional()],
    run: |ctx| channels(ctx, Kind::Shard),
    ..CommandSpec::NEW
};

fn channels(ctx: &mut Context<'_>, kind: Kind) -> CommandResult {
    if ctx.args.len() > 3 {
        let name = ctx.quote(1);
        return Err(CommandError::new(format!(
            "ERR unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP."
        )));
    }
    let found = ctx.server.pubsub.list(kind, ctx.args.get(2).copied());
    ctx.reply.array(found.len());
    found.iter().for_each(|name| ctx.reply.bulk(name));
    Ok(())
}

const NUMSUB: CommandSpec = CommandSpec {
    name: "numsub",
    summary: "Counts those who listen to channels.",
    since: "2.8.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of channels.",
    arity: -2,
    flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("channel").optional().multiple()],
    run: |ctx| subscribers(ctx, Kind::Channel),
    ..CommandSpec::NEW
};

const SHARDNUMSUB: CommandSpec = CommandSpec {
    name: "shardnumsub",
    summary: "Counts those who listen to shard channels.",
    since: "7.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of channels.",
    arity: -2,
    flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("shardchannel").optional().multiple()],
    run: |ctx| subscribers(ctx, Kind::Shard),
    ..CommandSpec::NEW
};

fn subscribers(ctx: &mut Context<'_>, kind: Kind) -> CommandResult {
    let names = &ctx.args[2..];
    ctx.reply.array(names.len() * 2);
    for name in names {
        ctx.reply.bulk(name);
        ctx.reply.count(ctx.server.pubsub.subscribers(kind, name));
    }
    Ok(())
}

const NUMPAT: CommandSpec = CommandSpec {
    name: "numpat",
    summary: "Counts the patterns that somebody listens to.",
    since: "2.8.0",
    group: Group::Pubsub,
    arity: 2,
    flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE),
    run: numpat,
    ..CommandSpec::NEW
};

fn numpat(ctx: &mut Context<'_>) -> CommandResult {
    ctx.reply.count(ctx.server.pubsub.pattern_count());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn what_is_listened_to_is_listed_and_counted() {
        let mut client = Client::new();
        let (mut one, mut other) = (client.another(), client.another());
        one.say("SUBSCRIBE abc");
        one.say("PSUBSCRIBE a* b*");
        one.say("SSUBSCRIBE s");
        other.say("SUBSCRIBE abc");
        other.say("PSUBSCRIBE a*");
        assert_eq!(client.say("PUBSUB CHANNELS"), "*1\r\n$3\r\nabc\r\n");
        assert_eq!(client.say("PUBSUB CHANNELS a?c"), "*1\r\n$3\r\nabc\r\n");
        assert_eq!(client.say("PUBSUB CHANNELS b*"), "*0\r\n");
        assert_eq!(client.say("PUBSUB NUMSUB"), "*0\r\n");
        assert_eq!(client.say("PUBSUB NUMSUB abc s"), "*4\r\n$3\r\nabc\r\n:2\r\n$1\r\ns\r\n:0\r\n");
        assert_eq!(client.say("PUBSUB NUMPAT"), ":2\r\n");
        assert_eq!(client.say("PUBSUB SHARDCHANNELS"), "*1\r\n$1\r\ns\r\n");
        assert_eq!(client.say("PUBSUB SHARDNUMSUB s"), "*2\r\n$1\r\ns\r\n:1\r\n");
        assert!(client.say("PUBSUB CHANNELS a b").starts_with("-ERR unknown subcommand or wrong"));
        assert!(client.say("PUBSUB HELP").contains("NUMPAT"));
        one.session.let_go(one.server);
        other.session.let_go(other.server);
        assert_eq!(client.say("PUBSUB NUMPAT"), ":0\r\n");
        assert_eq!(client.say("PUBSUB CHANNELS"), "*0\r\n");
        assert_eq!(client.say("PUBSUB SHARDCHANNELS"), "*0\r\n");
    }
}
