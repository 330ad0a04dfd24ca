//! ECHO: the message comes back.

use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group};

pub(super) static ECHO: CommandSpec = CommandSpec {
    name: "echo",
    summary: "Answers with the message given.",
    since: "1.0.0",
    group: Group::Connection,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
    arguments: &[Argument::string("message")],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    ctx.reply.bulk(ctx.arg(1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn answers() {
        assert_eq!(Client::new().run(&["ECHO", "a b"]), "$3\r\na b\r\n");
    }
}
