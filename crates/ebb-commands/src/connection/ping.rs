//! PING: is the server there?

use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};

pub(super) static SPEC: CommandSpec = CommandSpec {
    name: "ping",
    summary: "Answers PONG, or the message given.",
    since: "1.0.0",
    group: Group::Connection,
    complexity: "O(1)",
    arity: -1,
    flags: Flags::FAST,
    arguments: &[Argument::string("message").optional()],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.session.is_subscribed() && !ctx.reply.is_resp3() && ctx.args.len() <= 2 {
        // Between messages, the answer looks like one.
        ctx.reply.array(2);
        ctx.reply.bulk(b"pong");
        ctx.reply.bulk(ctx.args.get(1).copied().unwrap_or_default());
        return Ok(());
    }
    match ctx.args {
        [_] => ctx.reply.simple("PONG"),
        [_, message] => ctx.reply.bulk(message),
        _ => return Err(CommandError::WrongArity("ping".into())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn answers() {
        let mut client = Client::new();
        assert_eq!(client.run(&["PING"]), "+PONG\r\n");
        assert_eq!(client.run(&["ping", "hello"]), "$5\r\nhello\r\n");
        assert_eq!(
            client.run(&["PING", "a", "b"]),
            "-ERR wrong number of arguments for 'ping' command\r\n"
        );
    }
}
