//! DEBUG: for tests and for looking inside, behind `enable-debug-command`.

use std::time::Duration;

use ebb_config::id;
use ebb_engine::{CommandError, CommandResult, CommandSpec, Context, Flags, Group, Scope};
use ebb_keyspace::Deadline;
use ebb_keyspace::StringValue;

mod digest;
mod flaws;
mod inspect;
mod protocol;

pub(super) static DEBUG: CommandSpec = CommandSpec {
    name: "debug",
    summary: "Looks inside the server, and changes what only tests change.",
    since: "1.0.0",
    group: Group::Server,
    complexity: "It depends on the subcommand.",
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    scope: Scope::All,
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    if !ctx.server.config.get(id::ENABLE_DEBUG_COMMAND).allows(ctx.session.is_local()) {
        return Err(CommandError::new(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        ));
    }
    let word = ctx.arg(1).to_ascii_uppercase();
    let Some(subcommand) = SUBCOMMANDS.iter().find(|sub| sub.name.as_bytes() == word) else {
        let given = ctx.quote(1);
        return Err(CommandError::new(format!(
            "ERR unknown subcommand '{given}'. Try DEBUG HELP."
        )));
    };
    let given = ctx.args.len() - 2;
    if given < subcommand.min || given > subcommand.max {
        return Err(CommandError::new(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
            ctx.quote(1)
        )));
    }
    (subcommand.run)(ctx)
}

/// A subcommand with the number of its arguments.
struct Subcommand {
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    min: usize,
    max: usize,
    run: fn(&mut Context<'_>) -> CommandResult,
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "CHANGE-REPL-ID",
        syntax: "",
        summary: "Refused: this version does not replicate.",
        min: 0,
        max: 0,
        run: |_| {
            Err(CommandError::new(
                "ERR DEBUG CHANGE-REPL-ID: there is no replication in this version",
            ))
        },
    },
    Subcommand {
        name: "CONFIG-REWRITE-FORCE-ALL",
        syntax: "",
        summary: "CONFIG REWRITE with a line for every directive.",
        min: 0,
        max: 0,
        run: |ctx| {
            ctx.server.show_users_to_config();
            let done = ctx.server.config.rewrite_all();
            done.map_err(|error| CommandError::new(error.to_string()))?;
            ctx.reply.ok();
            Ok(())
        },
    },
    Subcommand {
        name: "DIGEST",
        syntax: "",
        summary: "A digest of all data, the same as Redis computes.",
        min: 0,
        max: 0,
        run: digest::all,
    },
    Subcommand {
        name: "DIGEST-VALUE",
        syntax: "<key> [<key> ...]",
        summary: "Digests of the values at keys.",
        min: 1,
        max: usize::MAX,
        run: digest::values,
    },
    Subcommand {
        name: "ERROR",
        syntax: "<text>",
        summary: "Answers an error with this text.",
        min: 1,
        max: 1,
        run: |ctx| {
            let text = String::from_utf8_lossy(ctx.arg(2)).replace(['\r', '\n'], " ");
            Err(CommandError::new(text))
        },
    },
    Subcommand { name: "HELP", syntax: "", summary: "This text.", min: 0, max: 0, run: help },
    Subcommand {
        name: "HTSTATS",
        syntax: "<db> [full]",
        summary: "The shape of a database's table.",
        min: 1,
        max: 2,
        run: inspect::table,
    },
    Subcommand {
        name: "HTSTATS-KEY",
        syntax: "<key> [full]",
        summary: "The shape of a value's table.",
        min: 1,
        max: 2,
        run: inspect::table_of_key,
    },
    Subcommand {
        name: "LEAK-BLOCK",
        syntax: "<bytes>",
        summary: "Allocates a block that nobody owns, for MEMORY AUDIT to find.",
        min: 1,
        max: 1,
        run: flaws::leak,
    },
    Subcommand {
        name: "LOG",
        syntax: "<message>",
        summary: "Writes a message to the log.",
        min: 1,
        max: 1,
        run: |ctx| {
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(ctx.arg(2)));
            ctx.reply.ok();
            Ok(())
        },
    },
    Subcommand {
        name: "OBJECT",
        syntax: "<key> [fast]",
        summary: "How the value at a key is kept.",
        min: 1,
        max: 2,
        run: inspect::object,
    },
    Subcommand {
        name: "PAUSE-CRON",
        syntax: "<0|1>",
        summary: "Whether expiry, measuring and what else is due now and then waits.",
        min: 1,
        max: 1,
        run: |ctx| {
            let on = ctx.int(2)? != 0;
            ctx.server.cron_paused.store(on, std::sync::atomic::Ordering::Relaxed);
            ctx.reply.ok();
            Ok(())
        },
    },
    Subcommand {
        name: "POPULATE",
        syntax: "<count> [<prefix> [<size>]]",
        summary: "Makes keys <prefix>:<number>; those that exist stay.",
        min: 1,
        max: 3,
        run: populate,
    },
    Subcommand {
        name: "PROTOCOL",
        syntax: "<type>",
        summary: "Answers a sample of a type: string, integer, double, null, array, set, map, \
                  attrib, push, verbatim, true, false, bignum.",
        min: 1,
        max: 1,
        run: protocol::sample,
    },
    Subcommand {
        name: "QUICKLIST-PACKED-THRESHOLD",
        syntax: "<size>",
        summary: "Elements of a list from this size on have a chunk of their own; 0: from 1 GB.",
        min: 1,
        max: 1,
        run: |ctx| {
            let size = std::str::from_utf8(ctx.arg(2)).ok().and_then(ebb_config::parse_memory);
            let size = size.filter(|&size| size <= u32::MAX.into()).ok_or(CommandError::new(
                "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
            ))?;
            ebb_collections::set_lone_bytes(size as usize);
            ctx.reply.ok();
            Ok(())
        },
    },
    Subcommand {
        name: "SET-ACTIVE-EXPIRE",
        syntax: "<0|1>",
        summary: "Whether keys are deleted when they expire, before anybody looks.",
        min: 1,
        max: 1,
        run: |ctx| {
            let on = ctx.int(2)? != 0;
            ctx.server.active_expire.store(on, std::sync::atomic::Ordering::Relaxed);
            ctx.reply.ok();
            Ok(())
        },
    },
    Subcommand {
        name: "SET-DISABLE-DENY-SCRIPTS",
        syntax: "<0|1>",
        summary: "Whether scripts may call commands that are not for scripts.",
        min: 1,
        max: 1,
        run: |ctx| {
            let on = ctx.int(2)? != 0;
            ctx.server.scripting.allow_all.store(on, std::sync::atomic::Ordering::Relaxed);
            ctx.reply.ok();
            Ok(())
        },
    },
    Subcommand {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        syntax: "<0|1>",
        summary: "Whether RESTORE takes payloads with wrong checksums.",
        min: 1,
        max: 1,
        run: |ctx| {
            let on = ctx.int(2)? != 0;
            ctx.server.skip_checksums.store(on, std::sync::atomic::Ordering::Relaxed);
            ctx.reply.ok();
            Ok(())
        },
    },
    Subcommand {
        name: "SKEW-COUNTER",
        syntax: "",
        summary: "Makes a count of keys and one of bytes wrong, for MEMORY AUDIT to find.",
        min: 0,
        max: 0,
        run: flaws::skew,
    },
    Subcommand {
        name: "SLEEP",
        syntax: "<seconds>",
        summary: "Holds all shards for so long.",
        min: 1,
        max: 1,
        run: sleep,
    },
    Subcommand {
        name: "STRINGMATCH-LEN",
        syntax: "<length> <pattern>",
        summary: "Matches a text of so many 'a' against a pattern.",
        min: 2,
        max: 2,
        run: |ctx| {
            let len = usize::try_from(ctx.int(2)?).map_err(|_| CommandError::OutOfRange)?;
            let text = vec![b'a'; len];
            let matches = ebb_types::glob::matches(ctx.arg(3), &text, false);
            ctx.reply.integer(matches.into());
            Ok(())
        },
    },
    Subcommand {
        name: "STRUCTSIZE",
        syntax: "",
        summary: "Bytes of the server's central structures.",
        min: 0,
        max: 0,
        run: inspect::structures,
    },
];

fn help(ctx: &mut Context<'_>) -> CommandResult {
    ctx.reply.array(1 + SUBCOMMANDS.len() * 2);
    ctx.reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for subcommand in SUBCOMMANDS {
        ctx.reply.simple(format!("{} {}", subcommand.name, subcommand.syntax).trim_end());
        ctx.reply.simple(&format!("    {}", subcommand.summary));
    }
    Ok(())
}

fn sleep(ctx: &mut Context<'_>) -> CommandResult {
    let seconds = ebb_types::float::parse_f64(ctx.arg(2)).ok_or(CommandError::NotFloat)?;
    let time = Duration::try_from_secs_f64(seconds.max(0.0));
    std::thread::sleep(time.map_err(|_| CommandError::OutOfRange)?);
    ctx.reply.ok();
    Ok(())
}

fn populate(ctx: &mut Context<'_>) -> CommandResult {
    let count = ctx.int(2)?;
    let prefix = ctx.args.get(3).copied().unwrap_or(b"key");
    let size = match ctx.args.get(4) {
        Some(_) => Some(usize::try_from(ctx.int(4)?).map_err(|_| CommandError::OutOfRange)?),
        None => None,
    };
    for number in 0..count {
        let name = [prefix, format!(":{number}").as_bytes()].concat();
        let key = ctx.server.keyspace.key(&name);
        if ctx.peek(&key).is_some() {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        ctx.set_string(&key, StringValue::Bytes(&value), Deadline::Clear)?;
    }
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn client() -> Client {
        Client::with_config(&[("enable-debug-command", "yes"), ("io-threads", "2")])
    }

    #[test]
    fn only_where_allowed() {
        assert!(Client::new().say("DEBUG SLEEP 0").starts_with("-ERR DEBUG command not allowed."));
        assert_eq!(client().say("DEBUG SLEEP 0"), "+OK\r\n");
        assert!(client().say("DEBUG WHAT").starts_with("-ERR unknown subcommand 'WHAT'."));
        assert!(client().say("DEBUG SLEEP").starts_with("-ERR unknown subcommand or wrong number"));
    }

    #[test]
    fn a_key_that_is_due_is_still_described() {
        let mut client = client();
        assert_eq!(client.say("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK\r\n");
        client.say("SET k v");
        client.say("PEXPIREAT k 1");
        client.say("SET k v PX 1");
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(client.say("DEBUG OBJECT k").contains("encoding:embstr"));
        assert_eq!(client.say("EXISTS k"), ":0\r\n");
        assert!(client.say("DEBUG OBJECT k").starts_with("-ERR no such key"));
        assert_eq!(client.say("DEBUG PAUSE-CRON 1"), "+OK\r\n");
    }

    #[test]
    fn keys_are_made() {
        let mut client = client();
        assert_eq!(client.say("DEBUG POPULATE 100 k 8"), "+OK\r\n");
        assert_eq!(client.say("DBSIZE"), ":100\r\n");
        assert_eq!(client.run(&["GET", "k:99"]), "$8\r\nvalue:99\r\n");
        assert!(client.say("DEBUG HTSTATS 0").contains("[Dictionary HT]"));
        assert!(client.say("DEBUG OBJECT k:1").contains("encoding:embstr"));
        assert!(client.say("DEBUG OBJECT none").starts_with("-ERR no such key"));
    }

    /// Figures of redis-server 7.0.15.
    #[test]
    fn digests_are_those_of_redis() {
        let mut client = client();
        assert_eq!(client.say("DEBUG DIGEST"), format!("+{}\r\n", "0".repeat(40)));
        client.say("SET a 1");
        client.say("SET b hello");
        client.say("PEXPIREAT b 99999999999999");
        client.say("SELECT 1");
        client.say("SET a x");
        assert_eq!(client.say("DEBUG DIGEST"), "+a1672c6d59782770869baa6cf8a7bb4a0bc4949a\r\n");
        client.say("SELECT 0");
        assert_eq!(
            client.say("DEBUG DIGEST-VALUE a b none"),
            "*3\r\n+b4fc66738120fba0b5aa500ab5c2bf89cea1c5da\r\n+d037c4eb8a8b36b602fbced4000daeab0714c1e3\r\n+0000000000000000000000000000000000000000\r\n"
        );
    }
}
