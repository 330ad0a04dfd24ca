//! PUBLISH and SPUBLISH: a message to all who listen.

use ebb_engine::pubsub::Kind;
use ebb_engine::scratch;
use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec};

pub(super) static PUBLISH: CommandSpec = CommandSpec {
    name: "publish",
    summary: "Sends a message to those who listen to a channel.",
    since: "2.0.0",
    group: Group::Pubsub,
    complexity: "O(N+M) where N is the number of subscribers and M the number of patterns.",
    arity: 3,
    flags: Flags::PUBSUB
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::MAY_REPLICATE),
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
    flags: Flags::PUBSUB
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::MAY_REPLICATE),
    keys: &[KeySpec::one(1, KeyFlags::NOT_KEY)],
    arguments: &[Argument::string("shardchannel"), Argument::string("message")],
    run: |ctx| publish(ctx, Kind::Shard),
    ..CommandSpec::NEW
};

fn publish(ctx: &mut Context<'_>, kind: Kind) -> CommandResult {
    // It is encoded for each protocol, and the encoding copied to be shared.
    scratch::require(4 * (ctx.args[1].len() + ctx.args[2].len()))?;
    let post = &mut ctx.journal.effects.post;
    let receivers = ctx.server.pubsub.publish(ctx.server, kind, ctx.args[1], ctx.args[2], post);
    ctx.reply.count(receivers);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ebb_engine::{Peer, Session};

    use super::Kind;
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

    #[test]
    fn another_worker_is_woken_once_for_a_batch_and_this_one_never() {
        let mut client = Client::with_config(&[("io-threads", "2")]);
        let server = client.server;
        static WAKES: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let mut sessions = Vec::new();
        for (number, wakes) in WAKES.iter().enumerate() {
            server.workers[number].set_waker(Box::new(|| {
                wakes.fetch_add(1, Ordering::Relaxed);
            }));
            for _ in 0..10 {
                let peer = Peer {
                    worker: number,
                    fd: -1,
                    address: "127.0.0.1:1".into(),
                    local_address: "127.0.0.1:2".into(),
                    is_unix: false,
                };
                let mut session = Session::new(server.clients.add(peer, 0), true);
                session.subscribe(server, Kind::Channel, b"c").unwrap();
                sessions.push(session);
            }
        }
        let wakes = || WAKES.each_ref().map(|wakes| wakes.load(Ordering::Relaxed));
        assert_eq!(client.say("PUBLISH c x"), ":20\r\n");
        assert_eq!(client.say("PUBLISH c x"), ":20\r\n");
        // The other has not looked since, so it is awake, or will be.
        assert_eq!(wakes(), [0, 1]);
        for worker in &server.workers {
            assert!(worker.is_told());
            assert_eq!(worker.take_attention().len(), 10);
            assert!(!worker.is_told());
        }
        sessions.iter().for_each(|session| drop(session.client.take_inbox()));
        client.say("PUBLISH c x");
        assert_eq!(wakes(), [0, 2]);
    }

    #[test]
    fn messages_are_shared() {
        let mut client = Client::new();
        let (mut one, mut other) = (client.another(), client.another());
        one.say("SUBSCRIBE c");
        other.say("SUBSCRIBE c");
        client.say("PUBLISH c x");
        let (mut mail, mut same) = (Vec::new(), Vec::new());
        one.session.client.take_mail(&mut mail);
        other.session.client.take_mail(&mut same);
        assert!(std::sync::Arc::ptr_eq(&mail[0], &same[0]));
    }

    #[test]
    fn a_mailbox_over_the_limit_ends_the_client() {
        let mut client = Client::new();
        let mut other = client.another();
        assert_eq!(
            client.run(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 100 0 0"]),
            "+OK\r\n"
        );
        other.say("SUBSCRIBE c");
        client.say("PUBLISH c short");
        assert!(!other.session.client.take_mail(&mut Vec::new()));
        (0..3).for_each(|_| drop(client.say("PUBLISH c 1234567890")));
        assert!(other.session.client.take_mail(&mut Vec::new()));
    }

    #[test]
    fn replies_over_the_limit_end_the_client() {
        let mut client = Client::new();
        client.run(&["CONFIG", "SET", "client-output-buffer-limit", "normal 100 0 0"]);
        client.run(&["ECHO", &"x".repeat(90)]);
        assert!(!client.session.is_over_output_limit);
        client.run(&["ECHO", &"x".repeat(100)]);
        assert!(client.session.is_over_output_limit);
    }
}
