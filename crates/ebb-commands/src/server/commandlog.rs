//! SLOWLOG and COMMANDLOG: commands that took long, or were large.

use ebb_engine::slowlog::LogKind;
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};

use crate::help;

pub(super) static SLOWLOG: CommandSpec = CommandSpec {
    name: "slowlog",
    summary: "A container of commands on the log of slow commands.",
    since: "2.2.12",
    group: Group::Server,
    arity: -2,
    subcommands: &[GET, HELP, LEN, RESET],
    ..CommandSpec::NEW
};

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "6.2.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};

pub(super) const GET: CommandSpec = CommandSpec {
    name: "get",
    summary: "Returns the newest entries of the log.",
    since: "2.2.12",
    group: Group::Server,
    complexity: "O(N) where N is the number of entries returned.",
    arity: -2,
    flags: Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::integer("count").optional()],
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    run: slow_get,
    ..CommandSpec::NEW
};

fn slow_get(ctx: &mut Context<'_>) -> CommandResult {
    let count = if ctx.args.len() > 2 { ctx.int(2).map_err(|_| bad_count())? } else { 10 };
    get(ctx, LogKind::Slow, count)
}

pub(super) const LEN: CommandSpec = CommandSpec {
    name: "len",
    summary: "Counts the entries of the log.",
    since: "2.2.12",
    group: Group::Server,
    arity: 2,
    flags: Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    run: |ctx| len(ctx, LogKind::Slow),
    ..CommandSpec::NEW
};

pub(super) const RESET: CommandSpec = CommandSpec {
    name: "reset",
    summary: "Forgets the entries of the log.",
    since: "2.2.12",
    group: Group::Server,
    complexity: "O(N) where N is the number of entries.",
    arity: 2,
    flags: Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: |ctx| reset(ctx, LogKind::Slow),
    ..CommandSpec::NEW
};

const LOG_FLAGS: Flags = Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE);
const KINDS: Argument = Argument::one_of(
    "type",
    &[
        Argument::word("slow", "SLOW"),
        Argument::word("large-request", "LARGE-REQUEST"),
        Argument::word("large-reply", "LARGE-REPLY"),
    ],
);

pub(super) static COMMANDLOG: CommandSpec = CommandSpec {
    name: "commandlog",
    summary: "A container of commands on the logs of slow and of large commands.",
    since: "8.1.0",
    group: Group::Server,
    arity: -2,
    subcommands: &[LOG_GET, LOG_HELP, LOG_LEN, LOG_RESET],
    ..CommandSpec::NEW
};

const LOG_HELP: CommandSpec = CommandSpec { since: "8.1.0", ..HELP };

const LOG_GET: CommandSpec = CommandSpec {
    name: "get",
    summary: "Returns the newest entries of a log.",
    since: "8.1.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of entries returned.",
    arity: 4,
    flags: LOG_FLAGS,
    arguments: &[Argument::integer("count"), KINDS],
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    run: |ctx| {
        let count = ctx.int(2).ok().filter(|&count| count >= -1).ok_or_else(bad_count)?;
        let kind = kind(ctx, 3)?;
        get(ctx, kind, count)
    },
    ..CommandSpec::NEW
};

const LOG_LEN: CommandSpec = CommandSpec {
    name: "len",
    summary: "Counts the entries of a log.",
    since: "8.1.0",
    group: Group::Server,
    arity: 3,
    flags: LOG_FLAGS,
    arguments: &[KINDS],
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    run: |ctx| {
        let kind = kind(ctx, 2)?;
        len(ctx, kind)
    },
    ..CommandSpec::NEW
};

const LOG_RESET: CommandSpec = CommandSpec {
    name: "reset",
    summary: "Forgets the entries of a log.",
    since: "8.1.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of entries.",
    arity: 3,
    flags: LOG_FLAGS,
    arguments: &[KINDS],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: |ctx| {
        let kind = kind(ctx, 2)?;
        reset(ctx, kind)
    },
    ..CommandSpec::NEW
};

fn bad_count() -> CommandError {
    CommandError::new("ERR count should be greater than or equal to -1")
}

fn kind(ctx: &Context<'_>, index: usize) -> Result<LogKind, CommandError> {
    match () {
        () if ctx.is_word(index, "slow") => Ok(LogKind::Slow),
        () if ctx.is_word(index, "large-request") => Ok(LogKind::LargeRequest),
        () if ctx.is_word(index, "large-reply") => Ok(LogKind::LargeReply),
        () => Err(CommandError::new(
            "ERR type should be one of the following: slow, large-request, large-reply",
        )),
    }
}

/// Answers `count` entries, all for -1.
fn get(ctx: &mut Context<'_>, kind: LogKind, count: i64) -> CommandResult {
    let count = match count {
        -1 => usize::MAX,
        count => usize::try_from(count).map_err(|_| bad_count())?,
    };
    let entries = ctx.server.logs.newest(kind, count);
    let reply = &mut *ctx.reply;
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.integer(entry.id);
        reply.integer(entry.time_s);
        reply.integer(entry.value);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.address.as_bytes());
        reply.bulk(entry.name.as_bytes());
    }
    Ok(())
}

fn len(ctx: &mut Context<'_>, kind: LogKind) -> CommandResult {
    ctx.reply.count(ctx.server.logs.len(kind));
    Ok(())
}

fn reset(ctx: &mut Context<'_>, kind: LogKind) -> CommandResult {
    ctx.server.logs.reset(kind);
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn without_entries_none_is_numbered() {
        let options = [("slowlog-log-slower-than", "0"), ("slowlog-max-len", "0")];
        let mut client = Client::with_config(&options);
        client.say("PING");
        client.say("CONFIG SET slowlog-max-len 10");
        client.say("ACL GETUSER secret");
        let log = client.say("SLOWLOG GET");
        assert!(log.starts_with("*2\r\n*6\r\n:1\r\n"), "{log}");
        assert!(log.contains("$7\r\nGETUSER\r\n$10\r\n(redacted)\r\n"), "{log}");
        client.say("ACL DELUSER secret");
        let log = client.say("SLOWLOG GET");
        assert!(log.contains("$7\r\nDELUSER\r\n$10\r\n(redacted)\r\n"), "{log}");
    }

    #[test]
    fn commands_are_logged() {
        let mut client = Client::with_config(&[
            ("slowlog-log-slower-than", "0"),
            ("slowlog-max-len", "2"),
            ("commandlog-reply-larger-than", "10"),
        ]);
        client.say("SET a 1");
        client.say("SET a 2");
        client.say("SET a 3");
        assert_eq!(client.say("SLOWLOG LEN"), ":2\r\n");
        let log = client.say("SLOWLOG GET 1");
        assert!(log.starts_with("*1\r\n*6\r\n:3\r\n"), "{log}");
        assert_eq!(client.say("COMMANDLOG LEN large-reply"), ":1\r\n");
        assert_eq!(client.say("COMMANDLOG RESET large-reply"), "+OK\r\n");
        assert_eq!(client.say("SLOWLOG RESET"), "+OK\r\n");
        assert!(client.say("SLOWLOG GET -2").starts_with("-ERR count should be greater than"));
        assert!(client.say("COMMANDLOG LEN odd").starts_with("-ERR type should be one of"));
    }

    #[test]
    fn long_arguments_are_cut() {
        let mut client = Client::with_config(&[("slowlog-log-slower-than", "0")]);
        client.run(&["SET", "k", &"x".repeat(200)]);
        assert!(client.say("SLOWLOG GET").contains("... (72 more bytes)"));
    }
}
