//! CLIENT PAUSE, UNPAUSE and UNBLOCK: clients that wait.

use ebb_engine::blocking::{Unblock, unblock};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, PauseMode,
};

pub(super) const PAUSE: CommandSpec = CommandSpec {
    name: "pause",
    summary: "Holds commands of all clients back for some milliseconds.",
    since: "2.9.50",
    group: Group::Connection,
    arity: -3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[
        Argument::integer("timeout"),
        Argument::one_of("mode", &[Argument::word("write", "WRITE"), Argument::word("all", "ALL")])
            .optional()
            .since("6.2.0"),
    ],
    run: pause,
    ..CommandSpec::NEW
};

/// What Redis says of too many arguments.
fn usage(ctx: &Context<'_>) -> CommandError {
    let name = ctx.quote(1);
    CommandError::new(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLIENT HELP."
    ))
}

fn pause(ctx: &mut Context<'_>) -> CommandResult {
    let mode = match ctx.args.len() {
        3 => PauseMode::All,
        4 if ctx.is_word(3, "ALL") => PauseMode::All,
        4 if ctx.is_word(3, "WRITE") => PauseMode::Write,
        4 => return Err(CommandError::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(usage(ctx)),
    };
    let timeout = ctx
        .int(2)
        .map_err(|_| CommandError::new("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(CommandError::new("ERR timeout is negative"));
    }
    let until = timeout
        .checked_add(ctx.now_ms)
        .ok_or_else(|| CommandError::new("ERR timeout is out of range"))?;
    ctx.server.pause(mode, until, ctx.now_ms);
    ctx.reply.ok();
    Ok(())
}

pub(super) const UNPAUSE: CommandSpec = CommandSpec {
    name: "unpause",
    summary: "Ends a pause.",
    since: "6.2.0",
    group: Group::Connection,
    complexity: "O(N) where N is the number of clients that are held back.",
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    run: unpause,
    ..CommandSpec::NEW
};

fn unpause(ctx: &mut Context<'_>) -> CommandResult {
    ctx.server.unpause();
    ctx.reply.ok();
    Ok(())
}

pub(super) const UNBLOCK: CommandSpec = CommandSpec {
    name: "unblock",
    summary: "Ends the wait of a client in a blocking command.",
    since: "5.0.0",
    group: Group::Connection,
    arity: -3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[
        Argument::integer("client-id"),
        Argument::one_of(
            "unblock-type",
            &[Argument::word("timeout", "TIMEOUT"), Argument::word("error", "ERROR")],
        )
        .optional(),
    ],
    run: end_wait,
    ..CommandSpec::NEW
};

fn end_wait(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.args.len() > 4 {
        return Err(usage(ctx));
    }
    if ctx.args.len() == 4 && !ctx.is_word(3, "TIMEOUT") && !ctx.is_word(3, "ERROR") {
        return Err(CommandError::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    }
    let id = ctx.int(2)?;
    let how = match ctx.args.len() == 4 && ctx.is_word(3, "ERROR") {
        true => Unblock::Error,
        false => Unblock::Timeout,
    };
    let client = u64::try_from(id).ok().and_then(|id| ctx.server.clients.get(id));
    let waited = client.is_some_and(|client| unblock(ctx.server, &client, how));
    ctx.reply.integer(waited.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use ebb_engine::PauseMode;

    use crate::testing::Client;

    #[test]
    fn too_many_arguments_are_refused() {
        let mut client = Client::new();
        let usage = "-ERR unknown subcommand or wrong number of arguments for";
        for name in ["Pause", "UNBLOCK"] {
            let reply = client.say(&format!("CLIENT {name} x WRITE more"));
            assert_eq!(reply, format!("{usage} '{name}'. Try CLIENT HELP.\r\n"));
        }
        assert!(client.say("CLIENT UNBLOCK x y").contains("reason should be TIMEOUT or ERROR"));
    }

    #[test]
    fn pauses_begin_and_end() {
        let mut client = Client::new();
        let now = ebb_engine::unix_ms();
        assert_eq!(client.say("CLIENT PAUSE 100000 WRITE"), "+OK\r\n");
        assert_eq!(client.server.paused(now), PauseMode::Write);
        assert_eq!(client.say("CLIENT PAUSE 100000 ALL"), "+OK\r\n");
        assert_eq!(client.server.paused(now), PauseMode::All);
        assert_eq!(client.say("CLIENT UNPAUSE"), "+OK\r\n");
        assert_eq!(client.server.paused(now), PauseMode::Off);
        assert_eq!(client.say("CLIENT PAUSE -1"), "-ERR timeout is negative\r\n");
        assert_eq!(
            client.say("CLIENT PAUSE 1 READ"),
            "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n"
        );
    }

    #[test]
    fn nobody_is_blocked() {
        let mut client = Client::new();
        assert_eq!(client.say("CLIENT UNBLOCK 1"), ":0\r\n");
        assert_eq!(
            client.say("CLIENT UNBLOCK 1 NOW"),
            "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n"
        );
    }
}
