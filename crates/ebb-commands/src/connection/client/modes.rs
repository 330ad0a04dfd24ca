//! CLIENT REPLY, NO-EVICT and NO-TOUCH: how the server treats this connection.

use std::sync::atomic::Ordering;

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, ReplyMode,
};

pub(super) const REPLY: CommandSpec = CommandSpec {
    name: "reply",
    summary: "Says whether replies are sent.",
    since: "3.2.0",
    group: Group::Connection,
    arity: 3,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::one_of(
        "action",
        &[Argument::word("on", "ON"), Argument::word("off", "OFF"), Argument::word("skip", "SKIP")],
    )],
    run: reply,
    ..CommandSpec::NEW
};

fn reply(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.is_word(2, "ON") {
        ctx.session.reply_mode = ReplyMode::On;
        ctx.reply.ok();
    } else if ctx.is_word(2, "OFF") {
        ctx.session.reply_mode = ReplyMode::Off;
    } else if ctx.is_word(2, "SKIP") {
        if ctx.session.reply_mode != ReplyMode::Off {
            ctx.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn switch(ctx: &Context<'_>) -> Result<bool, CommandError> {
    match () {
        () if ctx.is_word(2, "ON") => Ok(true),
        () if ctx.is_word(2, "OFF") => Ok(false),
        () => Err(CommandError::Syntax),
    }
}

pub(super) const NO_EVICT: CommandSpec = CommandSpec {
    name: "no-evict",
    summary: "Says whether the connection may be closed to free memory.",
    since: "7.0.0",
    group: Group::Connection,
    arity: 3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::one_of(
        "enabled",
        &[Argument::word("on", "ON"), Argument::word("off", "OFF")],
    )],
    run: no_evict,
    ..CommandSpec::NEW
};

fn no_evict(ctx: &mut Context<'_>) -> CommandResult {
    ctx.session.no_evict = switch(ctx)?;
    ctx.session.client.figures.no_evict.store(ctx.session.no_evict, Ordering::Relaxed);
    ctx.reply.ok();
    Ok(())
}

pub(super) const NO_TOUCH: CommandSpec = CommandSpec {
    name: "no-touch",
    summary: "Says whether this connection's commands leave the keys' access times alone.",
    since: "7.2.0",
    group: Group::Connection,
    arity: 3,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::one_of(
        "enabled",
        &[Argument::word("on", "ON"), Argument::word("off", "OFF")],
    )],
    run: no_touch,
    ..CommandSpec::NEW
};

fn no_touch(ctx: &mut Context<'_>) -> CommandResult {
    ctx.session.no_touch = switch(ctx)?;
    ctx.session.client.figures.no_touch.store(ctx.session.no_touch, Ordering::Relaxed);
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn replies_are_dropped_as_asked() {
        let mut client = Client::new();
        assert_eq!(client.say("CLIENT REPLY SKIP"), "");
        assert_eq!(client.say("PING"), "");
        assert_eq!(client.say("PING"), "+PONG\r\n");
        assert_eq!(client.say("CLIENT REPLY SKIP"), "");
        assert_eq!(client.say("CLIENT REPLY SKIP"), "");
        assert_eq!(client.say("PING"), "");
        assert_eq!(client.say("CLIENT REPLY OFF"), "");
        assert_eq!(client.say("PING"), "");
        assert_eq!(client.say("CLIENT REPLY SKIP"), "");
        assert_eq!(client.say("NOTHING"), "");
        assert_eq!(client.say("CLIENT REPLY ON"), "+OK\r\n");
        assert_eq!(client.say("PING"), "+PONG\r\n");
        assert_eq!(client.say("CLIENT REPLY MAYBE"), "-ERR syntax error\r\n");
    }

    #[test]
    fn switches() {
        let mut client = Client::new();
        assert_eq!(client.say("CLIENT NO-EVICT on"), "+OK\r\n");
        assert_eq!(client.say("CLIENT NO-TOUCH on"), "+OK\r\n");
        assert!(client.say("CLIENT INFO").contains(" flags=eT "));
        assert_eq!(client.say("CLIENT NO-TOUCH wat"), "-ERR syntax error\r\n");
    }
}
