//! SCRIPT: the scripts that the server knows, and the one that runs.

use ebb_engine::scripting::KillError;
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};
use ebb_script::{forget_scripts, load_script};

use crate::help;

/// What is said where a digest is not that of a known script.
pub(super) const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";

pub(super) static SCRIPT: CommandSpec = CommandSpec {
    name: "script",
    summary: "A container of commands on scripts.",
    since: "2.6.0",
    group: Group::Scripting,
    complexity: "Depends on subcommand.",
    arity: -2,
    subcommands: &[DEBUG, EXISTS, FLUSH, HELP, KILL, LOAD, SHOW],
    ..CommandSpec::NEW
};

pub(super) const DEBUG: CommandSpec = CommandSpec {
    name: "debug",
    summary: "Sets the debugging mode of scripts that follow.",
    since: "3.2.0",
    group: Group::Scripting,
    arity: 3,
    flags: Flags::NOSCRIPT,
    arguments: &[Argument::one_of(
        "mode",
        &[Argument::word("yes", "YES"), Argument::word("sync", "SYNC"), Argument::word("no", "NO")],
    )],
    run: debug,
    ..CommandSpec::NEW
};
pub(super) const EXISTS: CommandSpec = CommandSpec {
    name: "exists",
    summary: "Tells which digests are those of known scripts.",
    since: "2.6.0",
    group: Group::Scripting,
    complexity: "O(N) where N is the number of digests.",
    arity: -3,
    flags: Flags::NOSCRIPT,
    arguments: &[Argument::string("sha1").multiple()],
    tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
    run: exists,
    ..CommandSpec::NEW
};
pub(super) const FLUSH: CommandSpec = CommandSpec {
    name: "flush",
    summary: "Forgets all scripts.",
    since: "2.6.0",
    group: Group::Scripting,
    complexity: "O(N) where N is the number of scripts.",
    arity: -2,
    flags: Flags::NOSCRIPT,
    arguments: &[Argument::one_of(
        "flush-type",
        &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")],
    )
    .optional()
    .since("6.2.0")],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: flush,
    ..CommandSpec::NEW
};
pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "5.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};
pub(super) const KILL: CommandSpec = CommandSpec {
    name: "kill",
    summary: "Stops the script that runs, unless it has changed data.",
    since: "2.6.0",
    group: Group::Scripting,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    run: kill,
    ..CommandSpec::NEW
};
pub(super) const LOAD: CommandSpec = CommandSpec {
    name: "load",
    summary: "Compiles a script and keeps it.",
    since: "2.6.0",
    group: Group::Scripting,
    complexity: "O(N) where N is the length of the script.",
    arity: 3,
    flags: Flags::NOSCRIPT.and(Flags::STALE),
    arguments: &[Argument::string("script")],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: load,
    ..CommandSpec::NEW
};

pub(super) const SHOW: CommandSpec = CommandSpec {
    name: "show",
    summary: "Returns the source of a known script.",
    since: "8.0.0",
    group: Group::Scripting,
    arity: 3,
    flags: Flags::NOSCRIPT.and(Flags::STALE),
    arguments: &[Argument::string("sha1")],
    run: show,
    ..CommandSpec::NEW
};

fn debug(ctx: &mut Context<'_>) -> CommandResult {
    if ctx.is_word(2, "NO") {
        ctx.reply.ok();
        return Ok(());
    }
    if ctx.is_word(2, "YES") || ctx.is_word(2, "SYNC") {
        return Err(CommandError::new("ERR this version of Ebb has no debugger of scripts"));
    }
    Err(CommandError::new("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn exists(ctx: &mut Context<'_>) -> CommandResult {
    let cache = ctx.server.scripting.cache.lock();
    ctx.reply.array(ctx.args.len() - 2);
    for sha in &ctx.args[2..] {
        let sha: Result<[u8; 40], _> = sha.to_ascii_lowercase().try_into();
        ctx.reply.integer(i64::from(sha.is_ok_and(|sha| cache.contains(&sha))));
    }
    Ok(())
}

fn show(ctx: &mut Context<'_>) -> CommandResult {
    let sha: Result<[u8; 40], _> = ctx.arg(2).to_ascii_lowercase().try_into();
    let script = sha.ok().and_then(|sha| ctx.server.scripting.cache.lock().get(&sha));
    let script = script.ok_or(CommandError::new(NO_SCRIPT))?;
    ctx.reply.bulk(&script.source());
    Ok(())
}

fn flush(ctx: &mut Context<'_>) -> CommandResult {
    let known = || ctx.is_word(2, "SYNC") || ctx.is_word(2, "ASYNC");
    if ctx.args.len() > 3 || (ctx.args.len() == 3 && !known()) {
        return Err(CommandError::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    ctx.server.scripting.flush_scripts();
    forget_scripts(ctx);
    ctx.reply.ok();
    Ok(())
}

fn kill(ctx: &mut Context<'_>) -> CommandResult {
    stop(ctx, false)
}

/// Asks a script, or a function, to stop.
pub(super) fn stop(ctx: &mut Context<'_>, function: bool) -> CommandResult {
    ctx.server.kill_script(function).map_err(|error| {
        CommandError::new(match error {
            KillError::NotBusy => "NOTBUSY No scripts in execution right now.",
            KillError::Unkillable => {
                "UNKILLABLE Sorry the script already executed write commands against the dataset. \
                 You can either wait the script termination or kill the server in a hard way using \
                 the SHUTDOWN NOSAVE command."
            }
            KillError::OtherKind => ctx.server.scripting.busy_text(),
        })
    })?;
    ctx.reply.ok();
    Ok(())
}

fn load(ctx: &mut Context<'_>) -> CommandResult {
    let sha = load_script(ctx, ctx.arg(2))?;
    ctx.reply.bulk(&sha);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn scripts_are_loaded_and_forgotten() {
        let mut client = Client::new();
        let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        assert_eq!(client.run(&["SCRIPT", "LOAD", "return 1"]), format!("$40\r\n{sha}\r\n"));
        assert_eq!(client.run(&["SCRIPT", "EXISTS", sha, "x"]), "*2\r\n:1\r\n:0\r\n");
        assert!(client.say("INFO memory").contains("number_of_cached_scripts:1\r\n"));
        assert_eq!(client.run(&["EVALSHA", sha, "0"]), ":1\r\n");
        assert_eq!(
            client.say("SCRIPT FLUSH now"),
            "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"
        );
        assert_eq!(client.say("SCRIPT FLUSH ASYNC"), "+OK\r\n");
        assert!(client.run(&["EVALSHA", sha, "0"]).starts_with("-NOSCRIPT"));
        assert_eq!(client.run(&["SCRIPT", "EXISTS", sha]), "*1\r\n:0\r\n");
        assert!(client.run(&["SCRIPT", "LOAD", "x x"]).starts_with("-ERR Error compiling script"));
    }

    #[test]
    fn sources_are_shown() {
        let mut client = Client::new();
        let script = "#!lua\nreturn '\u{e4}\0'";
        let sha = client.run(&["SCRIPT", "LOAD", script]).split("\r\n").nth(1).unwrap().to_owned();
        let reply = format!("${}\r\n{script}\r\n", script.len());
        assert_eq!(client.run(&["SCRIPT", "SHOW", &sha]), reply);
        assert_eq!(client.run(&["SCRIPT", "SHOW", &sha.to_uppercase()]), reply);
        client.run(&["EVAL", "return 1", "0"]);
        let evaluated = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        assert_eq!(client.run(&["SCRIPT", "SHOW", evaluated]), "$8\r\nreturn 1\r\n");
        client.say("SCRIPT FLUSH");
        for unknown in [&sha, &sha[1..], &"g".repeat(40)] {
            assert_eq!(
                client.run(&["SCRIPT", "SHOW", unknown]),
                "-NOSCRIPT No matching script. Please use EVAL.\r\n"
            );
        }
        assert!(client.say("SCRIPT SHOW").contains("wrong number of arguments"));
        assert!(client.say("SCRIPT HELP").contains("SHOW <sha1>"));
        assert!(
            client
                .run(&["EVAL", "return redis.call('script', 'show', 'x')", "0"])
                .contains("This Redis command is not allowed from script")
        );
    }

    #[test]
    fn nothing_runs_and_nothing_is_debugged() {
        let mut client = Client::new();
        assert_eq!(client.say("SCRIPT KILL"), "-NOTBUSY No scripts in execution right now.\r\n");
        assert_eq!(client.say("SCRIPT DEBUG NO"), "+OK\r\n");
        assert!(client.say("SCRIPT DEBUG YES").starts_with("-ERR this version of Ebb has no"));
        assert_eq!(client.say("SCRIPT DEBUG x"), "-ERR Use SCRIPT DEBUG YES/SYNC/NO\r\n");
        assert!(client.say("SCRIPT HELP").contains("EXISTS <sha1> [<sha1> ...]"));
    }

    #[test]
    fn evaluated_scripts_are_evicted_and_loaded_ones_stay() {
        let mut client = Client::new();
        client.run(&["SCRIPT", "LOAD", "return 'kept'"]);
        for number in 0..1600 {
            client.run(&["EVAL", &format!("return {number}"), "0"]);
        }
        let info = client.say("INFO everything");
        assert!(info.contains("number_of_cached_scripts:501\r\n"), "{info}");
        assert!(info.contains("evicted_scripts:1100\r\n"), "{info}");
        assert_eq!(client.run(&["EVAL", "return 0", "0"]), ":0\r\n");
        client.say("CONFIG RESETSTAT");
        let info = client.say("INFO everything");
        assert!(info.contains("evicted_scripts:0\r\n"), "{info}");
    }
}
