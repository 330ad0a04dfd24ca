//! SHUTDOWN: the end of the server.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, ShutdownRequest,
};

pub(super) static SHUTDOWN: CommandSpec = CommandSpec {
    name: "shutdown",
    summary: "Stops the server.",
    since: "1.0.0",
    group: Group::Server,
    arity: -1,
    flags: Flags::ADMIN
        .and(Flags::NOSCRIPT)
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::NO_MULTI)
        .and(Flags::ALLOW_BUSY),
    arguments: &[
        Argument::one_of(
            "save-selector",
            &[Argument::word("nosave", "NOSAVE"), Argument::word("save", "SAVE")],
        )
        .optional(),
        Argument::word("now", "NOW").optional().since("7.0.0"),
        Argument::word("force", "FORCE").optional().since("7.0.0"),
        Argument::word("abort", "ABORT").optional().since("7.0.0"),
    ],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let (mut save, mut nosave, mut abort) = (false, false, false);
    let mut request = ShutdownRequest::default();
    for at in 1..ctx.args.len() {
        match () {
            () if ctx.is_word(at, "SAVE") => save = true,
            () if ctx.is_word(at, "NOSAVE") => nosave = true,
            () if ctx.is_word(at, "NOW") => request.now = true,
            () if ctx.is_word(at, "FORCE") => request.force = true,
            () if ctx.is_word(at, "ABORT") => abort = true,
            () => return Err(CommandError::Syntax),
        }
    }
    if (abort && ctx.args.len() > 2) || (save && nosave) {
        return Err(CommandError::Syntax);
    }
    if abort {
        // Only what a signal has scheduled may wait: otherwise the end comes at once.
        if !ctx.server.abort_shutdown() {
            return Err(CommandError::new("ERR No shutdown in progress."));
        }
        tracing::info!("Shutdown manually aborted.");
        ctx.reply.ok();
        return Ok(());
    }
    if save && !request.force {
        return Err(CommandError::new(
            "ERR SHUTDOWN SAVE is refused: this version does not save data. Use NOSAVE or FORCE.",
        ));
    }
    ctx.session.close_after_reply = true;
    ctx.server.request_shutdown(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use ebb_engine::ShutdownRequest;

    use crate::testing::Client;

    #[test]
    fn what_is_scheduled_is_taken_back() {
        let mut client = Client::new();
        client.server.schedule_shutdown(ShutdownRequest::default());
        assert_eq!(client.say("SHUTDOWN ABORT"), "+OK\r\n");
        assert!(!client.server.is_shutdown_scheduled());
        assert_eq!(client.say("SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
    }

    #[test]
    fn stops_unless_something_would_be_lost() {
        let mut client = Client::new();
        assert_eq!(client.say("SHUTDOWN SAVE NOSAVE"), "-ERR syntax error\r\n");
        assert_eq!(client.say("SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
        assert!(client.say("SHUTDOWN SAVE").starts_with("-ERR SHUTDOWN SAVE is refused"));
        assert!(!client.server.is_stopping());
        assert_eq!(client.say("SHUTDOWN"), "");
        assert!(client.server.is_stopping());
    }
}
