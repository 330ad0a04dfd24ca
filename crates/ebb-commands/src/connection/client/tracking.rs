//! CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR: copies of values that clients keep.

use ebb_engine::tracking::TrackingMode;
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};

pub(super) const TRACKING: CommandSpec = CommandSpec {
    name: "tracking",
    summary: "Says whether the client is told when keys that it has read change.",
    since: "6.0.0",
    group: Group::Connection,
    complexity: "O(1), and O(N) for N prefixes.",
    arity: -3,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[
        Argument::one_of("status", &[Argument::word("on", "ON"), Argument::word("off", "OFF")]),
        Argument::integer("client-id").after("REDIRECT").optional(),
        Argument::string("prefix").after("PREFIX").optional().multiple().multiple_token(),
        Argument::word("bcast", "BCAST").optional(),
        Argument::word("optin", "OPTIN").optional(),
        Argument::word("optout", "OPTOUT").optional(),
        Argument::word("noloop", "NOLOOP").optional(),
    ],
    run: tracking,
    ..CommandSpec::NEW
};

/// What CLIENT TRACKING asks for.
#[derive(Default)]
struct Options<'a> {
    mode: TrackingMode,
    prefixes: Vec<&'a [u8]>,
}

fn parse<'a>(ctx: &Context<'a>) -> Result<Options<'a>, CommandError> {
    let mut options = Options::default();
    let mode = &mut options.mode;
    let mut at = 3;
    while at < ctx.args.len() {
        let has_value = at + 1 < ctx.args.len();
        match ctx.arg(at).to_ascii_lowercase().as_slice() {
            b"redirect" if has_value => {
                at += 1;
                if mode.redirect != 0 {
                    let text = "ERR A client can only redirect to a single other client";
                    return Err(CommandError::new(text));
                }
                let target = ctx.int(at)?;
                let exists = |&id: &u64| ctx.server.clients.get(id).is_some();
                mode.redirect = u64::try_from(target).ok().filter(exists).ok_or_else(|| {
                    CommandError::new("ERR The client ID you want redirect to does not exist")
                })?;
            }
            b"prefix" if has_value => {
                at += 1;
                options.prefixes.push(ctx.arg(at));
            }
            b"bcast" => mode.bcast = true,
            b"optin" => mode.optin = true,
            b"optout" => mode.optout = true,
            b"noloop" => mode.noloop = true,
            _ => return Err(CommandError::Syntax),
        }
        at += 1;
    }
    Ok(options)
}

fn tracking(ctx: &mut Context<'_>) -> CommandResult {
    let options = parse(ctx)?;
    if ctx.is_word(2, "ON") {
        check(ctx, &options)?;
        ctx.session.start_tracking(ctx.server, options.mode, &options.prefixes);
    } else if ctx.is_word(2, "OFF") {
        ctx.session.stop_tracking(ctx.server);
    } else {
        return Err(CommandError::Syntax);
    }
    ctx.reply.ok();
    Ok(())
}

/// Whether the options fit each other, and what the client does now.
fn check(ctx: &Context<'_>, options: &Options<'_>) -> CommandResult {
    let Options { mode, prefixes } = options;
    let refuse = |text: &'static str| Err(CommandError::new(text));
    let now = ctx.session.tracking.as_ref().map(|own| own.mode);
    if !mode.bcast && !prefixes.is_empty() {
        return refuse("ERR PREFIX option requires BCAST mode to be enabled");
    }
    if now.is_some_and(|now| now.bcast != mode.bcast) {
        return refuse(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
             and then re-enabling it with a different mode.",
        );
    }
    if mode.bcast && (mode.optin || mode.optout) {
        return refuse("ERR OPTIN and OPTOUT are not compatible with BCAST");
    }
    if mode.optin && mode.optout {
        return refuse("ERR You can't specify both OPTIN mode and OPTOUT mode");
    }
    if now.is_some_and(|now| (mode.optin && now.optout) || (mode.optout && now.optin)) {
        return refuse(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, \
             and then re-enabling it with a different mode.",
        );
    }
    check_overlaps(ctx, prefixes)
}

/// A client's prefixes may not begin with one another, or it would be told twice.
fn check_overlaps(ctx: &Context<'_>, prefixes: &[&[u8]]) -> CommandResult {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let refuse = |one: &[u8], which: &str, other: &[u8]| {
        let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
        Err(CommandError::new(format!(
            "ERR Prefix '{one}' overlaps with {which} prefix '{other}'. Prefixes for a single \
             client must not overlap."
        )))
    };
    for (at, prefix) in prefixes.iter().enumerate() {
        let own = ctx.session.tracking.iter().flat_map(|own| &own.prefixes);
        if let Some(other) = own.into_iter().find(|other| overlap(prefix, other)) {
            return refuse(prefix, "an existing", other);
        }
        if let Some(other) = prefixes[at + 1..].iter().find(|other| overlap(prefix, other)) {
            return refuse(prefix, "another provided", other);
        }
    }
    Ok(())
}

pub(super) const CACHING: CommandSpec = CommandSpec {
    name: "caching",
    summary: "Says whether the keys that the next command reads are tracked.",
    since: "6.0.0",
    group: Group::Connection,
    arity: 3,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::one_of(
        "mode",
        &[Argument::word("yes", "YES"), Argument::word("no", "NO")],
    )],
    run: caching,
    ..CommandSpec::NEW
};

fn caching(ctx: &mut Context<'_>) -> CommandResult {
    let refuse = |text: &'static str| Err(CommandError::new(text));
    let Some(own) = ctx.session.tracking.as_mut() else {
        return refuse(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        );
    };
    match ctx.args[2].to_ascii_lowercase().as_slice() {
        b"yes" if !own.mode.optin => {
            return refuse(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            );
        }
        b"no" if !own.mode.optout => {
            return refuse(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            );
        }
        b"yes" | b"no" => own.caching = true,
        _ => return Err(CommandError::Syntax),
    }
    ctx.reply.ok();
    Ok(())
}

pub(super) const GETREDIR: CommandSpec = CommandSpec {
    name: "getredir",
    summary: "Returns the number of the client that gets this one's invalidations.",
    since: "6.0.0",
    group: Group::Connection,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    run: getredir,
    ..CommandSpec::NEW
};

fn getredir(ctx: &mut Context<'_>) -> CommandResult {
    let redirect = ctx.session.tracking.as_ref().map_or(-1, |own| own.mode.redirect as i64);
    ctx.reply.integer(redirect);
    Ok(())
}

pub(super) const TRACKINGINFO: CommandSpec = CommandSpec {
    name: "trackinginfo",
    summary: "Describes how the client tracks keys.",
    since: "6.2.0",
    group: Group::Connection,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    run: trackinginfo,
    ..CommandSpec::NEW
};

fn trackinginfo(ctx: &mut Context<'_>) -> CommandResult {
    let shared = *ctx.session.client.tracking.lock();
    let reply = &mut *ctx.reply;
    let own = ctx.session.tracking.as_deref();
    let mode = own.map(|own| own.mode).unwrap_or_default();
    let caching = own.is_some_and(|own| own.caching);
    let flags = [
        (own.is_none(), "off"),
        (own.is_some(), "on"),
        (mode.bcast, "bcast"),
        (mode.optin, "optin"),
        (mode.optin && caching, "caching-yes"),
        (mode.optout, "optout"),
        (mode.optout && caching, "caching-no"),
        (mode.noloop, "noloop"),
        (shared.is_some_and(|mode| mode.broken), "broken_redirect"),
    ];
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.iter().filter(|(on, _)| *on).count());
    flags.iter().filter(|(on, _)| *on).for_each(|(_, flag)| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(own.map_or(-1, |own| own.mode.redirect as i64));
    reply.bulk(b"prefixes");
    let prefixes = own.map(|own| &own.prefixes);
    reply.array(prefixes.map_or(0, |prefixes| prefixes.len()));
    prefixes.into_iter().flatten().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    const PUSH_K: &str = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
    const MESSAGE_K: &str =
        "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n";

    /// A client of RESP3 that tracks, and one that changes keys.
    fn tracker(options: &str) -> (Client, Client) {
        let mut client = Client::with_config(&[("io-threads", "2")]);
        let other = client.another();
        client.say("HELLO 3");
        assert_eq!(client.say(&format!("CLIENT TRACKING ON {options}")), "+OK\r\n");
        (client, other)
    }

    #[test]
    fn a_key_that_was_read_is_invalidated_once() {
        let (mut client, mut other) = tracker("");
        other.say("SET k 1");
        assert_eq!(client.mail(), "");
        client.say("GET k");
        other.say("SET k 2");
        other.say("SET k 3");
        assert_eq!(client.mail(), PUSH_K);
        client.say("MGET a k");
        other.say("DEL k");
        assert_eq!(client.mail(), PUSH_K);
        // Its own changes come behind the reply.
        client.say("GET k");
        assert_eq!(client.say("SET k 4"), format!("+OK\r\n{PUSH_K}"));
        client.say("CLIENT TRACKING OFF");
        client.say("GET k");
        other.say("SET k 5");
        assert_eq!(client.mail(), "");
        assert_eq!(client.server.tracking.clients(), 0);
    }

    #[test]
    fn noloop_leaves_out_own_changes() {
        let (mut client, mut other) = tracker("NOLOOP");
        client.say("GET k");
        assert_eq!(client.say("SET k 1"), "+OK\r\n");
        client.say("GET k");
        other.say("SET k 2");
        assert_eq!(client.mail(), PUSH_K);
    }

    #[test]
    fn messages_go_to_another_client() {
        let mut client = Client::new();
        let (mut target, mut other) = (client.another(), client.another());
        target.say("SUBSCRIBE __redis__:invalidate");
        assert_eq!(client.say("CLIENT TRACKING on REDIRECT 2"), "+OK\r\n");
        assert_eq!(client.say("CLIENT GETREDIR"), ":2\r\n");
        client.say("GET k");
        other.say("SET k 1");
        assert_eq!(target.mail(), MESSAGE_K);
        other.say("FLUSHALL");
        assert!(target.mail().ends_with("__redis__:invalidate\r\n$-1\r\n"));
        client.say("HELLO 3");
        client.say("GET k");
        client.server.clients.remove(2);
        other.say("SET k 2");
        assert_eq!(client.mail(), ">2\r\n$21\r\ntracking-redir-broken\r\n:2\r\n");
        assert!(client.say("CLIENT TRACKINGINFO").contains("broken_redirect"));
        assert!(other.say("CLIENT LIST").contains(" flags=tR "));
    }

    #[test]
    fn optin_and_optout() {
        let (mut client, mut other) = tracker("OPTIN");
        client.say("GET k");
        other.say("SET k 1");
        assert_eq!(client.mail(), "");
        assert_eq!(client.say("CLIENT CACHING yes"), "+OK\r\n");
        client.say("GET k");
        client.say("GET a");
        other.say("MSET k 1 a 2");
        assert_eq!(client.mail(), PUSH_K);
        let (mut client, mut other) = tracker("OPTOUT");
        client.say("CLIENT CACHING no");
        client.say("GET a");
        client.say("GET k");
        other.say("MSET k 1 a 2");
        assert_eq!(client.mail(), PUSH_K);
    }

    #[test]
    fn caching_holds_for_a_transaction() {
        let (mut client, mut other) = tracker("OPTIN");
        for line in ["CLIENT CACHING yes", "MULTI", "GET a", "GET k", "EXEC"] {
            client.say(line);
        }
        other.say("SET k 1");
        assert_eq!(client.mail(), PUSH_K);
    }

    #[test]
    fn what_a_script_reads_is_remembered() {
        let (mut client, mut other) = tracker("");
        other.say("MSET k 1 l 1");
        let eval = |client: &mut Client, name: &str, script: &str| {
            client.run(&[name, script, "2", "k", "l"]);
        };
        for name in ["EVAL", "EVAL_RO"] {
            eval(&mut client, name, "return redis.call('ping')");
            other.say("MSET k 2 l 2");
            assert_eq!(client.mail(), "", "{name} has read nothing");
            eval(&mut client, name, "return redis.call('get', 'k')");
            other.say("MSET k 2 l 2");
            assert_eq!(client.mail(), PUSH_K, "{name}");
        }
        eval(&mut client, "EVAL", "redis.call('get', 'k') redis.call('set', 'm', '1')");
        other.say("MSET k 2 m 2");
        assert_eq!(client.mail(), PUSH_K);
    }

    #[test]
    fn the_reply_comes_before_what_it_has_changed() {
        let (mut client, mut other) = tracker("");
        client.say("LRANGE k 0 -1");
        assert_eq!(client.say("BLMOVE source k LEFT LEFT 0"), "");
        other.say("RPUSH source x");
        assert_eq!(client.mail(), format!("$1\r\nx\r\n{PUSH_K}"));
    }

    #[test]
    fn prefixes_are_broadcast() {
        let (mut client, mut other) = tracker("BCAST PREFIX a: PREFIX b:");
        other.say("MSET a:1 x c:1 x a:2 x b:1 x");
        let push = |keys: &str| format!(">2\r\n$10\r\ninvalidate\r\n{keys}");
        let expected = push("*2\r\n$3\r\na:1\r\n$3\r\na:2\r\n") + &push("*1\r\n$3\r\nb:1\r\n");
        assert_eq!(client.mail(), expected);
        assert_eq!(client.server.tracking.prefixes(), 2);
        client.say("CLIENT TRACKING OFF");
        assert_eq!(client.server.tracking.prefixes(), 0);
    }

    #[test]
    fn expiry_and_flushing_invalidate() {
        let (mut client, mut other) = tracker("");
        other.say("SET k 1 PX 200");
        client.say("GET k");
        std::thread::sleep(std::time::Duration::from_millis(220));
        other.say("GET k");
        assert_eq!(client.mail(), PUSH_K);
        other.say("FLUSHDB");
        assert_eq!(client.mail(), ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    }

    #[test]
    fn the_table_is_bounded() {
        let (mut client, mut other) = tracker("");
        other.say("CONFIG SET tracking-table-max-keys 1");
        client.say("GET a");
        assert_eq!(client.mail(), "");
        let reply = client.say("GET b");
        assert!(reply.contains("invalidate"), "{reply}");
        assert_eq!(client.server.tracking.keys(), 1);
        assert_eq!(client.server.tracking.items(), 1);
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        let mut client = Client::new();
        for (line, error) in [
            ("TRACKING maybe", "syntax error"),
            ("TRACKING on PREFIX a", "PREFIX option requires BCAST mode to be enabled"),
            ("TRACKING on BCAST OPTIN", "OPTIN and OPTOUT are not compatible with BCAST"),
            ("TRACKING on OPTIN OPTOUT", "You can't specify both OPTIN mode and OPTOUT mode"),
            ("TRACKING on REDIRECT 9", "The client ID you want redirect to does not exist"),
            (
                "TRACKING on BCAST PREFIX abc PREFIX ab",
                "Prefix 'abc' overlaps with another provided prefix 'ab'. Prefixes for a single \
                 client must not overlap.",
            ),
            (
                "CACHING yes",
                "CLIENT CACHING can be called only when the client is in tracking mode with \
                 OPTIN or OPTOUT mode enabled",
            ),
        ] {
            assert_eq!(client.say(&format!("CLIENT {line}")), format!("-ERR {error}\r\n"));
        }
        client.say("CLIENT TRACKING on BCAST PREFIX ab");
        assert!(
            client
                .say("CLIENT TRACKING on BCAST PREFIX abc")
                .starts_with("-ERR Prefix 'abc' overlaps with an existing prefix 'ab'.")
        );
        assert!(client.say("CLIENT TRACKING on").starts_with("-ERR You can't switch BCAST mode"));
        assert!(client.say("CLIENT CACHING yes").starts_with("-ERR CLIENT CACHING YES is only"));
        assert_eq!(
            client.say("CLIENT TRACKINGINFO"),
            "*6\r\n$5\r\nflags\r\n*2\r\n$2\r\non\r\n$5\r\nbcast\r\n$8\r\nredirect\r\n:0\r\n\
             $8\r\nprefixes\r\n*1\r\n$2\r\nab\r\n"
        );
        client.say("RESET");
        assert_eq!(client.say("CLIENT GETREDIR"), ":-1\r\n");
    }
}
