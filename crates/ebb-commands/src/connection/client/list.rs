//! CLIENT ID, INFO, LIST and KILL: who is connected.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use ebb_engine::{
    Argument, Client, CommandError, CommandResult, CommandSpec, Context, Flags, Group, Server,
    unix_ms,
};

use super::filter::Filter;
use super::filter_arguments::FILTERS;

pub(super) const ID: CommandSpec = CommandSpec {
    name: "id",
    summary: "Returns the number of the connection.",
    since: "5.0.0",
    group: Group::Connection,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    run: id,
    ..CommandSpec::NEW
};

fn id(ctx: &mut Context<'_>) -> CommandResult {
    ctx.reply.integer(ctx.session.id() as i64);
    Ok(())
}

/// Shows the state that the client has while the command runs.
fn publish(ctx: &Context<'_>) {
    ctx.session.publish(ctx.now_ms);
    ctx.session.client.figures.query_buffer.store(ctx.bytes, Ordering::Relaxed);
}

pub(super) const INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "Describes the connection.",
    since: "6.2.0",
    group: Group::Connection,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    tips: &["nondeterministic_output"],
    run: info,
    ..CommandSpec::NEW
};

fn info(ctx: &mut Context<'_>) -> CommandResult {
    publish(ctx);
    let mut text = String::new();
    describe(ctx.server, &ctx.session.client, &mut text);
    ctx.reply.verbatim(*b"txt", &text);
    Ok(())
}

pub(super) const LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Describes all connections, or those that pass filters.",
    since: "2.4.0",
    group: Group::Connection,
    complexity: "O(N) where N is the number of connections.",
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: FILTERS,
    tips: &["nondeterministic_output"],
    run: list,
    ..CommandSpec::NEW
};

fn list(ctx: &mut Context<'_>) -> CommandResult {
    let filter = Filter::parse(ctx, 2, false)?;
    publish(ctx);
    let mut text = String::new();
    for client in ctx.server.clients.all() {
        let is_me = client.id == ctx.session.id();
        // Who is to be closed is gone for others, even if its worker has not come to it yet.
        if client.is_killed() && !is_me {
            continue;
        }
        if filter.passes(&client, ctx.now_ms) && !(is_me && filter.skip_me) {
            describe(ctx.server, &client, &mut text);
        }
    }
    ctx.reply.verbatim(*b"txt", &text);
    Ok(())
}

pub(super) const KILL: CommandSpec = CommandSpec {
    name: "kill",
    summary: "Closes the connections that pass filters.",
    since: "2.4.0",
    group: Group::Connection,
    complexity: "O(N) where N is the number of connections.",
    arity: -3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::one_of(
        "filter",
        &[Argument::string("old-format"), Argument::one_of("new-format", FILTERS).multiple()],
    )],
    run: kill,
    ..CommandSpec::NEW
};

fn kill(ctx: &mut Context<'_>) -> CommandResult {
    let by_address = ctx.args.len() == 3;
    let filter =
        if by_address { Filter::address(ctx.arg(2)) } else { Filter::parse(ctx, 2, true)? };
    publish(ctx);
    let mut killed = 0;
    for client in ctx.server.clients.all() {
        let is_me = client.id == ctx.session.id();
        if !filter.passes(&client, ctx.now_ms) || (is_me && filter.skip_me) {
            continue;
        }
        killed += 1;
        if is_me {
            ctx.session.close_after_reply = true;
        } else {
            client.kill();
            ctx.server.attend(&client);
        }
    }
    match (by_address, killed) {
        (true, 0) => return Err(CommandError::new("ERR No such client")),
        (true, _) => ctx.reply.ok(),
        (false, _) => ctx.reply.integer(killed),
    }
    Ok(())
}

/// The letters of a client's state.
pub(super) fn flags_of(client: &Client) -> String {
    let figures = &client.figures;
    let tracking = *client.tracking.lock();
    let is = |flag: &std::sync::atomic::AtomicBool| flag.load(Ordering::Relaxed);
    let letters = [
        (is(&figures.monitor), 'O'),
        (client.is_subscribed(), 'P'),
        (figures.multi.load(Ordering::Relaxed) >= 0, 'x'),
        (is(&figures.paused) || client.is_blocked(), 'b'),
        (tracking.is_some(), 't'),
        (tracking.is_some_and(|mode| mode.broken), 'R'),
        (tracking.is_some_and(|mode| mode.bcast), 'B'),
        (is(&figures.dirty), 'd'),
        (is(&figures.closing), 'c'),
        (client.is_unix, 'U'),
        (is(&figures.no_evict), 'e'),
        (is(&figures.no_touch), 'T'),
    ];
    let set: String = letters.iter().filter(|(on, _)| *on).map(|(_, letter)| letter).collect();
    if set.is_empty() { "N".into() } else { set }
}

/// Appends a line on a client.
pub fn describe(server: &Server, client: &Client, text: &mut String) {
    let figures = &client.figures;
    let count = |figure: &std::sync::atomic::AtomicUsize| figure.load(Ordering::Relaxed);
    let now_ms = unix_ms();
    let seconds_since = |ms: i64| (now_ms - ms).max(0) / 1000;
    let command = match count(&figures.command).checked_sub(1) {
        Some(number) => server.commands.all()[number].name,
        None => "NULL",
    };
    let names = client.names.lock().clone();
    let (query, free) = (count(&figures.query_buffer), count(&figures.query_buffer_free));
    let (argv, multi) = (count(&figures.argv_mem), count(&figures.multi_mem));
    let output = count(&figures.output_bytes) + client.inbox_bytes();
    let redirect = client.tracking.lock().map_or(-1, |mode| mode.redirect as i64);
    let total = client.memory_bytes();
    let events = if output > 0 { "rw" } else { "r" };
    // What came after 7.2 is behind the rest. Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} \
         multi={} qbuf={query} qbuf-free={free} argv-mem={argv} multi-mem={multi} rbs=0 rbp=0 \
         obl=0 oll={} omem={output} tot-mem={total} events={events} cmd={command} user={} \
         redir={redirect} resp={} lib-name={} lib-ver={} watch={} tot-net-in={} tot-net-out={} \
         tot-cmds={} io-thread={}",
        client.id,
        client.address,
        client.local_address,
        client.fd,
        names.name,
        seconds_since(client.created_ms),
        seconds_since(figures.last_active_ms.load(Ordering::Relaxed)),
        flags_of(client),
        count(&figures.db),
        count(&figures.channels),
        count(&figures.patterns),
        count(&figures.shard_channels),
        figures.multi.load(Ordering::Relaxed),
        count(&figures.output_chunks),
        String::from_utf8_lossy(&names.user),
        figures.protocol.load(Ordering::Relaxed),
        names.lib_name,
        names.lib_version,
        count(&figures.watch),
        figures.net_in.load(Ordering::Relaxed),
        figures.net_out.load(Ordering::Relaxed),
        figures.commands.load(Ordering::Relaxed),
        client.worker(),
    );
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn clients_are_described_and_filtered() {
        let mut client = Client::new();
        let mut other = client.another();
        other.say("SELECT 7");
        other.session.publish(0);
        assert_eq!(other.say("CLIENT ID"), ":2\r\n");
        let info = client.say("CLIENT INFO");
        assert!(info.contains("id=1 addr=127.0.0.1:1 "), "{info}");
        assert!(info.contains(" flags=N db=0 "), "{info}");
        assert!(info.contains(" cmd=client|info "), "{info}");
        let ids = |client: &mut Client, line: &str| {
            let text = client.say(line);
            text.lines().filter(|line| line.starts_with("id=")).count()
        };
        assert_eq!(ids(&mut client, "CLIENT LIST"), 2);
        assert_eq!(ids(&mut client, "CLIENT LIST ID 1 2 3"), 2);
        assert_eq!(ids(&mut client, "CLIENT LIST DB 7"), 1);
        assert_eq!(ids(&mut client, "CLIENT LIST NOT-DB 7"), 1);
        assert_eq!(ids(&mut client, "CLIENT LIST TYPE pubsub"), 0);
        assert_eq!(ids(&mut client, "CLIENT LIST SKIPME yes"), 1);
        assert_eq!(client.say("CLIENT LIST TYPE odd"), "-ERR Unknown client type 'odd'\r\n");
        assert_eq!(ids(&mut client, "CLIENT LIST ID 0 -1"), 0);
        assert_eq!(client.say("CLIENT LIST ID x"), "-ERR Invalid client ID\r\n");
        for (line, error) in [
            ("CLIENT KILL ID 0", "client-id should be greater than 0"),
            ("CLIENT LIST NOT-ID 0", "client-id should be greater than 0"),
            ("CLIENT KILL MAXAGE 0", "maxage should be greater than 0"),
            ("CLIENT KILL MAXAGE x", "maxage is not an integer or out of range"),
            ("CLIENT LIST IDLE -1", "idle should be greater than 0"),
            ("CLIENT LIST DB 16", "DB number should be between 0 and 15"),
            ("CLIENT LIST NOT-DB x", "NOT-DB is not an integer or out of range"),
            ("CLIENT KILL FLAGS Nz", "Unknown flags found in the provided filter: Nz"),
            ("CLIENT KILL NOT-FLAGS z", "Unknown flags found in the NOT-FLAGS filter: z"),
        ] {
            assert_eq!(client.say(line), format!("-ERR {error}\r\n"));
        }
        client.say("MULTI");
        client.say("CLIENT INFO");
        client.say("PING");
        client.session.publish(0);
        let mut other = client.another();
        assert!(other.say("CLIENT LIST ID 1").contains(" cmd=ping "), "what was queued last");
        let info = client.say("EXEC");
        assert!(info.contains(" flags=x ") && info.contains(" multi=2 "), "{info}");
        assert!(client.say("CLIENT INFO").contains(" multi=-1 "));
    }

    #[test]
    fn the_last_request_is_told_of() {
        let mut client = Client::new();
        let mut other = client.another();
        for (line, shown) in [
            ("MULTI", "multi"),
            ("INCR x", "incr"),
            ("EXEC", "exec"),
            ("EVAL return(redis.call('INCR','x')) 0", "eval"),
            ("GET", "get"),
            ("CONFIG GET", "config|get"),
            ("CONFIG NOTHING", "NULL"),
            ("GET x", "get"),
            ("NOTHING", "NULL"),
        ] {
            other.say(line);
            other.session.publish(0);
            let list = client.say("CLIENT LIST ID 2");
            assert!(list.contains(&format!(" cmd={shown} ")), "{line}: {list}");
            assert!(list.contains(" multi=-1 qbuf=") || line.starts_with(['M', 'I']), "{list}");
        }
    }

    #[test]
    fn of_a_filter_given_twice_the_last_counts() {
        let mut client = Client::new();
        client.say("CLIENT SETNAME me");
        let mut other = client.another();
        other.say("CLIENT SETNAME you");
        let mut names = |filters: &str| {
            let text = client.say(&format!("CLIENT LIST {filters}"));
            let lines = text.lines().filter(|line| line.starts_with("id="));
            lines.map(|line| if line.contains(" name=me ") { 'm' } else { 'y' }).collect::<String>()
        };
        assert_eq!(names("NAME you NAME me"), "m");
        assert_eq!(names("NOT-NAME you NOT-NAME me"), "y");
        assert_eq!(names("NAME me NOT-NAME me"), "");
        assert_eq!(names("ID 1 ID 2"), "my");
        assert_eq!(names("ID 1 2 NOT-ID 2 NOT-ID 9"), "m");
        assert_eq!(names("TYPE pubsub TYPE normal DB 3 DB 0"), "my");
        assert_eq!(names("IP 127.0.0.1"), "my");
        for (filter, error) in [
            ("FLAGS NQ", "Unknown flags found in the provided filter: NQ"),
            ("NOT-FLAGS Q", "Unknown flags found in the NOT-FLAGS filter: Q"),
            ("DB 16", "DB number should be between 0 and 15"),
            ("NOT-DB -1", "NOT-DB number should be between 0 and 15"),
            ("NOT-DB x", "NOT-DB is not an integer or out of range"),
            ("MAXAGE -1", "maxage should be greater than 0"),
            ("IDLE x", "idle is not an integer or out of range"),
            ("ID 1 x", "syntax error"),
        ] {
            assert_eq!(client.say(&format!("CLIENT LIST {filter}")), format!("-ERR {error}\r\n"));
        }
    }

    #[test]
    fn clients_are_killed() {
        let mut client = Client::new();
        let other = client.another();
        assert_eq!(client.say("CLIENT KILL 1.2.3.4:5"), "-ERR No such client\r\n");
        assert_eq!(client.say("CLIENT KILL ID 2"), ":1\r\n");
        assert!(other.session.client.is_killed());
        assert_eq!(client.say("CLIENT KILL ID 1"), ":0\r\n");
        assert_eq!(client.say("CLIENT KILL ID 1 SKIPME no"), ":1\r\n");
        assert!(client.session.close_after_reply);
        assert_eq!(client.say("CLIENT KILL USER x"), "-ERR No such user 'x'\r\n");
    }
}
