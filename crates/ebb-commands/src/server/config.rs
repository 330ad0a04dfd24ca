//! CONFIG: reading and changing directives.

use ebb_config::{Config, Id, Reason};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, Scope, stats,
};
use ebb_keyspace::Db;

use crate::help;

pub(super) static CONFIG: CommandSpec = CommandSpec {
    name: "config",
    summary: "A container of commands on the configuration.",
    since: "2.0.0",
    group: Group::Server,
    arity: -2,
    subcommands: &[GET, HELP, RESETSTAT, REWRITE, SET],
    ..CommandSpec::NEW
};

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "5.0.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};

pub(super) const GET: CommandSpec = CommandSpec {
    name: "get",
    summary: "Returns the directives whose names match patterns.",
    since: "2.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of directives.",
    arity: -3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("parameter").multiple()],
    run: get,
    ..CommandSpec::NEW
};

fn get(ctx: &mut Context<'_>) -> CommandResult {
    let found = ctx.server.config.get_matching(&ctx.args[2..]);
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(value.as_bytes());
    }
    Ok(())
}

pub(super) const SET: CommandSpec = CommandSpec {
    name: "set",
    summary: "Changes directives, all or none.",
    since: "2.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of directives given.",
    arity: -4,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::block(
        "data",
        &[Argument::string("parameter"), Argument::string("value")],
    )
    .multiple()],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    secret: |args, at| {
        let name = (at >= 3 && at % 2 == 1).then(|| args[at - 1]);
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        name.and_then(ebb_config::find).is_some_and(|(id, _)| id.directive().sensitive)
    },
    // A new limit has the memory of all shards measured.
    scope: Scope::Walk,
    run: set,
    ..CommandSpec::NEW
};

fn set(ctx: &mut Context<'_>) -> CommandResult {
    if !ctx.args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> =
        ctx.args[2..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let server = ctx.server;
    let mut apply = |_: &Config, changed: Id| {
        server.directive_changed(changed.name());
        (server.host.apply)(server, changed.name()).map_err(Reason::new)
    };
    server
        .config
        .set(&pairs, ctx.session.is_local(), &mut apply)
        .map_err(|error| CommandError::new(error.to_string()))?;
    if pairs.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with(b"maxmemory")) {
        // A limit holds from now on, and without one nobody has measured.
        ctx.measure();
    }
    ctx.reply.ok();
    Ok(())
}

pub(super) const REWRITE: CommandSpec = CommandSpec {
    name: "rewrite",
    summary: "Writes the configuration to its file.",
    since: "2.8.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: rewrite,
    ..CommandSpec::NEW
};

fn rewrite(ctx: &mut Context<'_>) -> CommandResult {
    ctx.server.show_users_to_config();
    ctx.server.config.rewrite().map_err(|error| CommandError::new(error.to_string()))?;
    ctx.reply.ok();
    Ok(())
}

pub(super) const RESETSTAT: CommandSpec = CommandSpec {
    name: "resetstat",
    summary: "Sets the counters of INFO to zero.",
    since: "2.0.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    scope: Scope::Walk,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: resetstat,
    ..CommandSpec::NEW
};

fn resetstat(ctx: &mut Context<'_>) -> CommandResult {
    ctx.server.counters.reset();
    ebb_keyspace::lazyfree::reset_freed();
    ctx.server.partitions.reset_counters();
    ctx.server.scripting.cache.lock().evicted = 0;
    ctx.each_shard(|shard| shard.dbs().iter_mut().for_each(Db::reset_uses));
    ctx.server.errors.reset();
    stats::reset_totals(ctx.server.workers.iter().map(|worker| &worker.totals));
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use crate::testing::Client;

    #[test]
    fn values_are_read_and_changed() {
        let mut client = Client::new();
        assert_eq!(client.say("CONFIG GET maxmemory"), "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
        assert_eq!(client.say("CONFIG SET maxmemory 10mb timeout 5"), "+OK\r\n");
        assert!(client.say("CONFIG GET maxmemory").ends_with("$8\r\n10485760\r\n"));
        let failed = client.say("CONFIG SET timeout 9 maxmemory many");
        assert!(failed.starts_with("-ERR CONFIG SET failed (possibly related to argument"));
        assert!(client.say("CONFIG GET timeout").ends_with("$1\r\n5\r\n"));
        assert_eq!(
            client.say("CONFIG SET timeout"),
            "-ERR wrong number of arguments for 'config|set' command\r\n"
        );
        assert_eq!(client.say("CONFIG SET timeout 5 maxmemory"), "-ERR syntax error\r\n");
        assert_eq!(
            client.say("CONFIG REWRITE"),
            "-ERR The server is running without a config file\r\n"
        );
    }

    #[test]
    fn a_limit_that_is_set_evicts_before_the_reply_unless_writes_are_paused() {
        // However long the machine lets it wait.
        let tenacity = ("maxmemory-eviction-tenacity", "100");
        let mut client = Client::with_config(&[("maxmemory-policy", "allkeys-lru"), tenacity]);
        let value = "x".repeat(1000);
        (0..1000).for_each(|n| drop(client.run(&["SET", &format!("k:{n}"), &value])));
        client.say("INFO memory");
        let limit = client.server.counted_memory() - 20_000;
        assert_eq!(client.say("CLIENT PAUSE 100000 WRITE"), "+OK\r\n");
        assert_eq!(client.say(&format!("CONFIG SET maxmemory {limit}")), "+OK\r\n");
        assert_eq!(client.say("DBSIZE"), ":1000\r\n");
        assert_eq!(client.say("CLIENT UNPAUSE"), "+OK\r\n");
        assert_eq!(client.say(&format!("CONFIG SET maxmemory {limit}")), "+OK\r\n");
        let left: usize = client.say("DBSIZE")[1..].trim().parse().unwrap();
        assert!((900..990).contains(&left), "{left}");
        assert!(client.server.counted_memory() <= limit);
    }

    #[test]
    fn a_limit_beyond_the_signed_numbers_is_none() {
        let mut client = Client::with_config(&[("maxmemory-policy", "allkeys-lru")]);
        client.say("SET kept 1");
        for limit in ["9223372036854775808", "18446744073709551615"] {
            assert_eq!(client.say(&format!("CONFIG SET maxmemory {limit}")), "+OK\r\n");
            assert!(client.say("CONFIG GET maxmemory").ends_with(&format!("\r\n{limit}\r\n")));
            assert_eq!(client.say("SET k v"), "+OK\r\n");
            assert_eq!(client.say("DBSIZE"), ":2\r\n");
        }
    }

    #[test]
    fn without_a_limit_nothing_is_over_it() {
        let mut client = Client::with_config(&[("maxmemory-basis", "resident")]);
        (0..1000).for_each(|n| drop(client.run(&["SET", &format!("k:{n}"), "value"])));
        (0..990).for_each(|n| drop(client.run(&["DEL", &format!("k:{n}")])));
        client.say("INFO memory");
        assert!(!client.server.defrag.wanted.load(Ordering::Relaxed));
        client.say("CONFIG SET maxmemory 1");
        assert!(client.server.defrag.wanted.load(Ordering::Relaxed));
    }

    #[test]
    fn statistics_are_reset() {
        let mut client = Client::new();
        client.say("GET k");
        client.say("NOTHING");
        assert!(client.say("INFO everything").contains("cmdstat_get:calls=1"));
        assert_eq!(client.say("CONFIG RESETSTAT"), "+OK\r\n");
        let info = client.say("INFO everything");
        assert!(!info.contains("cmdstat_get"), "{info}");
        assert!(!info.contains("errorstat_ERR"), "{info}");
        assert!(info.contains("keyspace_misses:0\r\n"), "{info}");
    }
}
