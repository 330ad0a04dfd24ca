//! MULTI, EXEC and DISCARD. Queueing and running are the engine's work.

use ebb_engine::{
    CommandError, CommandResult, CommandSpec, Context, Flags, Group, Transaction, transaction,
};

pub(super) static MULTI: CommandSpec = CommandSpec {
    name: "multi",
    summary: "Begins a transaction: the commands that follow are queued.",
    since: "1.2.0",
    group: Group::Transactions,
    arity: 1,
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::ALLOW_BUSY),
    run: multi,
    ..CommandSpec::NEW
};

fn multi(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.session.transaction.is_some() {
        return Err(CommandError::new("ERR MULTI calls can not be nested"));
    }
    ctx.session.transaction = Some(Transaction::default());
    ctx.reply.ok();
    Ok(())
}

pub(super) static EXEC: CommandSpec = CommandSpec {
    name: "exec",
    summary: "Runs the commands of a transaction, all or none, and nothing in between.",
    since: "1.2.0",
    group: Group::Transactions,
    complexity: "The sum of the commands.",
    arity: 1,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SKIP_SLOWLOG),
    run: exec,
    ..CommandSpec::NEW
};

/// Dispatch runs EXEC by itself, because it takes the locks of all queued commands.
fn exec(_: &mut Context<'_>) -> CommandResult {
    Err(CommandError::new("ERR EXEC without MULTI"))
}

pub(super) static DISCARD: CommandSpec = CommandSpec {
    name: "discard",
    summary: "Ends a transaction without running its commands.",
    since: "2.0.0",
    group: Group::Transactions,
    complexity: "O(N) where N is the number of commands queued.",
    arity: 1,
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::ALLOW_BUSY),
    run: discard,
    ..CommandSpec::NEW
};

fn discard(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.session.transaction.take().is_none() {
        return Err(CommandError::new("ERR DISCARD without MULTI"));
    }
    transaction::unwatch(ctx.session, ctx.locks);
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn commands_run_together() {
        let mut client = Client::with_config(&[("io-threads", "2")]);
        assert_eq!(client.say("EXEC"), "-ERR EXEC without MULTI\r\n");
        assert_eq!(client.say("DISCARD"), "-ERR DISCARD without MULTI\r\n");
        assert_eq!(client.say("MULTI"), "+OK\r\n");
        assert_eq!(client.say("INCR a"), "+QUEUED\r\n");
        assert_eq!(client.say("INCR b"), "+QUEUED\r\n");
        assert_eq!(client.say("DBSIZE"), "+QUEUED\r\n");
        assert_eq!(client.say("EXEC"), "*3\r\n:1\r\n:1\r\n:2\r\n");
        client.say("MULTI");
        client.say("SET a x");
        assert_eq!(client.say("DISCARD"), "+OK\r\n");
        assert_eq!(client.say("GET a"), "$1\r\n1\r\n");
    }

    #[test]
    fn a_command_that_cannot_be_queued_aborts() {
        let mut client = Client::new();
        client.say("MULTI");
        client.say("SET a");
        client.say("SET a 1");
        assert_eq!(
            client.say("EXEC"),
            "-EXECABORT Transaction discarded because of previous errors.\r\n"
        );
        assert_eq!(client.say("EXISTS a"), ":0\r\n");
    }

    #[test]
    fn a_failing_command_does_not_undo_others() {
        let mut client = Client::new();
        client.say("MULTI");
        client.say("SET a x");
        client.say("INCR a");
        client.say("APPEND a y");
        assert_eq!(
            client.say("EXEC"),
            "*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n:2\r\n"
        );
    }

    #[test]
    fn a_refused_exec_says_so_with_and_without_a_transaction() {
        let mut client = Client::new();
        let refused = "-EXECABORT Transaction discarded because of: wrong number of arguments for \
                       'exec' command\r\n";
        assert_eq!(client.say("EXEC x"), refused);
        client.say("MULTI");
        assert_eq!(client.say("EXEC x"), refused);
        assert_eq!(client.say("EXEC"), "-ERR EXEC without MULTI\r\n");
    }
}
