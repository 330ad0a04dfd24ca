//! SUBSCRIBE, UNSUBSCRIBE, and the same for patterns and shard channels.
//!
//! Each name is confirmed by a message of its own. What was published before the end of a
//! subscription comes before its confirmation, and nothing comes after it.

use ebb_engine::mailbox;
use ebb_engine::pubsub::Kind;
use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
    KeyFlags, KeySpec,
};

pub(super) static SUBSCRIBE: CommandSpec = CommandSpec {
    name: "subscribe",
    summary: "Listens to channels.",
    since: "2.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of channels.",
    arity: -2,
    flags: Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("channel").multiple()],
    run: |ctx| subscribe(ctx, Kind::Channel),
    ..CommandSpec::NEW
};

pub(super) static PSUBSCRIBE: CommandSpec = CommandSpec {
    name: "psubscribe",
    summary: "Listens to all channels that match patterns.",
    since: "2.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of patterns.",
    arity: -2,
    flags: Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::new("pattern", ArgumentKind::Pattern).multiple()],
    run: |ctx| subscribe(ctx, Kind::Pattern),
    ..CommandSpec::NEW
};

pub(super) static SSUBSCRIBE: CommandSpec = CommandSpec {
    name: "ssubscribe",
    summary: "Listens to shard channels.",
    since: "7.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of channels.",
    arity: -2,
    flags: Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::NOT_KEY)],
    arguments: &[Argument::string("shardchannel").multiple()],
    run: |ctx| subscribe(ctx, Kind::Shard),
    ..CommandSpec::NEW
};

fn subscribe(ctx: &mut Context<'_>, kind: Kind) -> CommandResult {
    let word: &[u8] = match kind {
        Kind::Channel => b"subscribe",
        Kind::Pattern => b"psubscribe",
        Kind::Shard => b"ssubscribe",
    };
    for &name in &ctx.args[1..] {
        match ctx.session.subscribe(ctx.server, kind, name) {
            Ok(count) => confirm(ctx, word, Some(name), count),
            Err(error) => {
                // Those before it have begun, and been confirmed.
                ctx.error_behind(&CommandError::from(error));
                break;
            }
        }
    }
    Ok(())
}

pub(super) static UNSUBSCRIBE: CommandSpec = CommandSpec {
    name: "unsubscribe",
    summary: "Stops listening to channels, or to all.",
    since: "2.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of channels.",
    arity: -1,
    flags: Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("channel").optional().multiple()],
    run: |ctx| unsubscribe(ctx, Kind::Channel),
    ..CommandSpec::NEW
};

pub(super) static PUNSUBSCRIBE: CommandSpec = CommandSpec {
    name: "punsubscribe",
    summary: "Stops listening to patterns, or to all.",
    since: "2.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of patterns.",
    arity: -1,
    flags: Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::new("pattern", ArgumentKind::Pattern).optional().multiple()],
    run: |ctx| unsubscribe(ctx, Kind::Pattern),
    ..CommandSpec::NEW
};

pub(super) static SUNSUBSCRIBE: CommandSpec = CommandSpec {
    name: "sunsubscribe",
    summary: "Stops listening to shard channels, or to all.",
    since: "7.0.0",
    group: Group::Pubsub,
    complexity: "O(N) where N is the number of channels.",
    arity: -1,
    flags: Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::NOT_KEY)],
    arguments: &[Argument::string("shardchannel").optional().multiple()],
    run: |ctx| unsubscribe(ctx, Kind::Shard),
    ..CommandSpec::NEW
};

fn unsubscribe(ctx: &mut Context<'_>, kind: Kind) -> CommandResult {
    let word: &[u8] = match kind {
        Kind::Channel => b"unsubscribe",
        Kind::Pattern => b"punsubscribe",
        Kind::Shard => b"sunsubscribe",
    };
    if ctx.args.len() > 1 {
        ctx.args[1..].iter().for_each(|name| end(ctx, kind, word, name));
        return Ok(());
    }
    let all = ctx.session.subscribed(kind);
    all.iter().for_each(|name| end(ctx, kind, word, name));
    if all.is_empty() {
        let count = ctx.session.subscription_count(kind);
        confirm(ctx, word, None, count);
    }
    Ok(())
}

/// Ends one subscription.
fn end(ctx: &mut Context<'_>, kind: Kind, word: &[u8], name: &[u8]) {
    let count = ctx.session.unsubscribe(ctx.server, kind, name);
    let is_in_transaction = ctx.bytes == 0;
    if !is_in_transaction {
        // Among the replies of EXEC there is no place for messages: they follow it.
        mailbox::deliver(ctx.session, ctx.reply);
    }
    confirm(ctx, word, Some(name), count);
}

fn confirm(ctx: &mut Context<'_>, word: &[u8], name: Option<&[u8]>, count: usize) {
    ctx.reply.push(3);
    ctx.reply.bulk(word);
    match name {
        Some(name) => ctx.reply.bulk(name),
        None => ctx.reply.null(),
    }
    ctx.reply.count(count);
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn confirmed(word: &str, name: &str, count: usize) -> String {
        let (w, n) = (word.len(), name.len());
        format!("*3\r\n${w}\r\n{word}\r\n${n}\r\n{name}\r\n:{count}\r\n")
    }

    #[test]
    fn subscriptions_begin_and_end() {
        let mut client = Client::new();
        let three = confirmed("subscribe", "a", 1)
            + &confirmed("subscribe", "b", 2)
            + &confirmed("subscribe", "a", 2);
        assert_eq!(client.say("SUBSCRIBE a b a"), three);
        assert_eq!(client.say("PSUBSCRIBE x*"), confirmed("psubscribe", "x*", 3));
        assert_eq!(client.say("SSUBSCRIBE s"), confirmed("ssubscribe", "s", 1));
        client.session.publish(0);
        let line = client.another().say("CLIENT LIST ID 1");
        assert!(line.contains(" flags=P ") && line.contains(" sub=2 psub=1 ssub=1 "), "{line}");
        assert_eq!(client.say("UNSUBSCRIBE nothing"), confirmed("unsubscribe", "nothing", 3));
        let both = confirmed("unsubscribe", "a", 2) + &confirmed("unsubscribe", "b", 1);
        assert_eq!(client.say("UNSUBSCRIBE"), both);
        assert_eq!(client.say("PUNSUBSCRIBE"), confirmed("punsubscribe", "x*", 0));
        assert_eq!(client.say("SUNSUBSCRIBE"), confirmed("sunsubscribe", "s", 0));
        for word in ["unsubscribe", "punsubscribe", "sunsubscribe"] {
            let len = word.len();
            assert_eq!(client.say(word), format!("*3\r\n${len}\r\n{word}\r\n$-1\r\n:0\r\n"));
        }
        assert!(!client.session.is_subscribed());
        assert_eq!(client.another().say("PUBLISH a x"), ":0\r\n");
    }

    #[test]
    fn a_subscriber_of_resp2_may_do_little_else() {
        let mut client = Client::new();
        client.say("SUBSCRIBE c");
        assert_eq!(
            client.say("GET k"),
            "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context\r\n"
        );
        assert!(client.say("CLIENT ID").starts_with("-ERR Can't execute 'client|id': only"));
        assert_eq!(client.say("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        assert_eq!(client.say("PING hi"), "*2\r\n$4\r\npong\r\n$2\r\nhi\r\n");
        assert_eq!(client.say("RESET"), "+RESET\r\n");
        assert_eq!(client.say("GET k"), "$-1\r\n");
        client.say("HELLO 3");
        assert_eq!(client.say("SUBSCRIBE c"), ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
        assert_eq!(client.say("GET k"), "_\r\n");
        assert_eq!(client.say("PING"), "+PONG\r\n");
    }

    #[test]
    fn transactions_subscribe_too() {
        let mut client = Client::new();
        client.say("MULTI");
        client.say("SUBSCRIBE c");
        assert_eq!(client.say("EXEC"), format!("*1\r\n{}", confirmed("subscribe", "c", 1)));
        assert!(client.say("GET k").starts_with("-ERR Can't execute"));
    }

    #[test]
    fn messages_come_before_the_end_is_confirmed() {
        let mut client = Client::new();
        let mut other = client.another();
        other.say("SUBSCRIBE c");
        client.say("PUBLISH c x");
        let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
        assert_eq!(
            other.say("UNSUBSCRIBE c"),
            message.to_owned() + &confirmed("unsubscribe", "c", 0)
        );
    }

    #[test]
    fn confirmations_are_sent_even_when_replies_are_off() {
        let mut client = Client::new();
        client.say("CLIENT REPLY OFF");
        assert_eq!(client.say("SUBSCRIBE c"), confirmed("subscribe", "c", 1));
        assert_eq!(client.say("SUBSCRIBE"), "");
        client.another().say("PUBLISH c x");
        assert!(client.say("PING").starts_with("*3\r\n$7\r\nmessage"));
    }

    #[test]
    fn subscribers_are_a_class_of_clients() {
        let mut client = Client::new();
        let mut other = client.another();
        other.say("PSUBSCRIBE c*");
        assert!(client.say("CLIENT LIST TYPE pubsub").contains("id=2 "));
        assert!(!client.say("CLIENT LIST TYPE normal").contains("id=2 "));
        assert!(client.say("INFO clients").contains("pubsub_clients:1\r\n"));
        assert!(client.say("INFO stats").contains("pubsub_channels:0\r\npubsub_patterns:1\r\n"));
        assert_eq!(client.say("CLIENT KILL TYPE pubsub"), ":1\r\n");
        assert!(other.session.client.is_killed() && !client.session.client.is_killed());
    }
}
