//! PUBLISH and SPUBLISH: a message to all who listen.

use ebb_engine::pubsub::Kind;
use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec};

pub(super) static PUBLISH: CommandSpec = CommandSpec {
    name: "publish",
    summary: "Sends a message to those who listen to a channel.",
    since: "2.0.0",
    group: Group::Pubsub,
    complexity: "O(N+M) where N is the number of subscribers and M the number of patterns.",
    arity: 3,
    flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST),
    arguments: &[Argument::string("channel"), Argument::string("message")],
    run: |ctx| publish(ctx, Kind::Channel),
    ..CommandSpec::NEW
};

pub(super) static SPUBLISH: CommandSpec = CommandSpec {
    name: "spublish",
    summary: "Sends a message to those who listen to a shard channel.",
    since: "7.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of subscribers.",
    arity: 3,
    flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::NOT_KEY)],
    arguments: &[Argument::string("shardchannel"), Argument::string("message")],
    run: |ctx| publish(ctx, Kind::Shard),
    ..CommandSpec::NEW
};

fn publish(ctx: &mut Context<'_>, kind: Kind) -> CommandResult {
    let is_in_transaction = ctx.bytes == 0;
    if !is_in_transaction {
        // No data is needed: others may have what is still held of the command before.
        ctx.locks.release();
    }
    let post = &mut ctx.journal.effects.post;
    let receivers = ctx.server.pubsub.publish(ctx.server, kind, ctx.args[1], ctx.args[2], post);
    ctx.reply.count(receivers);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn messages_reach_subscribers_in_their_protocol() {
        let mut client = Client::new();
        let (mut old, mut new) = (client.another(), client.another());
        new.say("HELLO 3");
        old.say("SUBSCRIBE news");
        new.say("PSUBSCRIBE n?ws x*");
        new.say("SUBSCRIBE news");
        assert_eq!(client.say("PUBLISH news hello"), ":3\r\n");
        assert_eq!(old.mail(), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
        assert_eq!(
            new.mail(),
            ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n\
             >4\r\n$8\r\npmessage\r\n$4\r\nn?ws\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
        );
        assert_eq!(client.say("PUBLISH other hello"), ":0\r\n");
        assert_eq!(client.say("SPUBLISH news hello"), ":0\r\n");
        assert_eq!((old.mail(), new.mail()), (String::new(), String::new()));
    }

    #[test]
    fn shard_channels_are_channels_of_their_own() {
        let mut client = Client::new();
        let mut other = client.another();
        assert_eq!(other.say("SSUBSCRIBE c"), "*3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n");
        assert_eq!(client.say("PUBLISH c x"), ":0\r\n");
        assert_eq!(client.say("SPUBLISH c x"), ":1\r\n");
        assert_eq!(other.mail(), "*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
    }

    #[test]
    fn whoever_publishes_to_itself_is_answered_first() {
        let mut client = Client::new();
        client.say("HELLO 3");
        client.say("SUBSCRIBE c");
        assert_eq!(
            client.say("PUBLISH c x"),
            ":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"
        );
        client.say("MULTI");
        client.say("PUBLISH c y");
        client.say("ECHO e");
        assert_eq!(
            client.say("EXEC"),
            "*2\r\n:1\r\n$1\r\ne\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\ny\r\n"
        );
    }
}
