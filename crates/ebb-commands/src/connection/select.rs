//! SELECT: another database.

use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group};

use crate::generic::database;

pub(super) static SELECT: CommandSpec = CommandSpec {
    name: "select",
    summary: "Selects the database that later commands use.",
    since: "1.0.0",
    group: Group::Connection,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
    arguments: &[Argument::integer("index")],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    ctx.session.db = database(ctx, 1)?;
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn databases_are_apart() {
        let mut client = Client::new();
        client.say("SET k 0");
        assert_eq!(client.say("SELECT 15"), "+OK\r\n");
        assert_eq!(client.say("EXISTS k"), ":0\r\n");
        assert_eq!(client.say("SELECT 16"), "-ERR DB index is out of range\r\n");
        assert_eq!(client.say("SELECT x"), "-ERR value is not an integer or out of range\r\n");
    }
}
