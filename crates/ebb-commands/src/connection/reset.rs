//! QUIT and RESET: the end of a connection, and its state as it was at first.

use std::sync::atomic::Ordering;

use ebb_engine::{CommandResult, CommandSpec, Context, Flags, Group, ReplyMode, transaction};
use ebb_resp::Protocol;

pub(super) static QUIT: CommandSpec = CommandSpec {
    name: "quit",
    summary: "Closes the connection.",
    since: "1.0.0",
    group: Group::Connection,
    arity: -1,
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::NO_AUTH)
        .and(Flags::ALLOW_BUSY),
    run: quit,
    ..CommandSpec::NEW
};

fn quit(ctx: &mut Context<'_>) -> CommandResult {
    ctx.session.close_after_reply = true;
    ctx.reply.ok();
    Ok(())
}

pub(super) static RESET: CommandSpec = CommandSpec {
    name: "reset",
    summary: "Gives the connection the state of a new one.",
    since: "6.2.0",
    group: Group::Connection,
    arity: 1,
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::NO_AUTH)
        .and(Flags::ALLOW_BUSY),
    run: reset,
    ..CommandSpec::NEW
};

fn reset(ctx: &mut Context<'_>) -> CommandResult {
    ctx.session.transaction = None;
    transaction::unwatch(ctx.session, ctx.locks);
    let session = &mut *ctx.session;
    session.let_go(ctx.server);
    session.db = 0;
    session.set_protocol(Protocol::Resp2);
    session.reply_mode = ReplyMode::On;
    session.no_touch = false;
    session.no_evict = false;
    session.log_out(ctx.server);
    let figures = &session.client.figures;
    figures.no_touch.store(false, Ordering::Relaxed);
    figures.no_evict.store(false, Ordering::Relaxed);
    session.client.names.lock().name.clear();
    ctx.reply.set_protocol(Protocol::Resp2);
    ctx.reply.simple("RESET");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn everything_is_as_at_first() {
        let mut client = Client::new();
        client.say("HELLO 3 SETNAME me");
        client.say("SELECT 3");
        client.say("WATCH k");
        client.say("MULTI");
        client.say("SET k v");
        assert_eq!(client.say("RESET"), "+RESET\r\n");
        assert_eq!(client.say("EXEC"), "-ERR EXEC without MULTI\r\n");
        assert_eq!(client.say("CLIENT GETNAME"), "$-1\r\n");
        assert_eq!(client.session.db, 0);
        assert!(client.session.watched.is_empty());
    }

    #[test]
    fn quit_closes() {
        let mut client = Client::new();
        assert_eq!(client.say("QUIT"), "+OK\r\n");
        assert!(client.session.close_after_reply);
    }
}
