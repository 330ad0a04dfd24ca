//! DUMP and RESTORE: a value as bytes that any server of the family reads.

use std::sync::atomic::Ordering;

use ebb_config::{RdbVersionCheck, id};
use ebb_engine::collections::{hash_limits, list_fill, set_limits, sorted_set_limits};
use ebb_engine::eviction::access_clock;
use ebb_engine::{
    Argument, Categories, CommandError, CommandResult, CommandSpec, Context, Event, Flags,
    KeyFlags, KeySpec, Server,
};
use ebb_keyspace::Key;
use ebb_keyspace::eviction::AccessClock;
use ebb_persist::rdb::{self, LoadError, Place, Sealed, Sizes, Trust, kind};

pub(super) static DUMP: CommandSpec = CommandSpec {
    name: "dump",
    summary: "Returns the value at a key in a form that RESTORE reads.",
    since: "2.6.0",
    complexity: "O(N), N being the number of the value's elements and their bytes.",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0)],
    tips: &["nondeterministic_output"],
    run: dump,
    ..CommandSpec::NEW
};

fn dump(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(1);
    let compress = ctx.server.config.get(id::RDBCOMPRESSION);
    // The payload while it grows: what there is, and twice as much beside it.
    ctx.require_copies([key, key, key])?;
    match ctx.read(&key).map(|entry| rdb::dump(&entry, compress)) {
        Some(payload) => ctx.reply.bulk(&payload),
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) static RESTORE: CommandSpec = CommandSpec {
    name: "restore",
    summary: "Makes a key of a value that DUMP has returned.",
    since: "2.6.0",
    complexity: "O(N), N being the number of the value's elements and their bytes, or O(N*log(N)) for sorted sets.",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Categories::DANGEROUS,
    keys: &[KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("ttl"),
        Argument::string("serialized-value"),
        Argument::word("replace", "REPLACE").optional().since("3.0.0"),
        Argument::word("absttl", "ABSTTL").optional().since("5.0.0"),
        Argument::integer("seconds").after("IDLETIME").optional().since("5.0.0"),
        Argument::integer("frequency").after("FREQ").optional().since("5.0.0"),
    ],
    run: restore,
    ..CommandSpec::NEW
};

/// The options of RESTORE.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<i64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(ctx: &Context<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut at = 4;
        while at < ctx.args.len() {
            let has_more = at + 1 < ctx.args.len();
            if ctx.is_word(at, "REPLACE") {
                options.replace = true;
            } else if ctx.is_word(at, "ABSTTL") {
                options.absolute = true;
            } else if ctx.is_word(at, "IDLETIME") && has_more && options.frequency.is_none() {
                at += 1;
                options.idle_s = Some(idle_time(ctx, at)?);
            } else if ctx.is_word(at, "FREQ") && has_more && options.idle_s.is_none() {
                at += 1;
                options.frequency = Some(frequency(ctx, at)?);
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(options)
    }
}

fn idle_time(ctx: &Context<'_>, at: usize) -> Result<i64, CommandError> {
    let seconds = ctx.int(at)?;
    if seconds < 0 {
        return Err(CommandError::new("ERR Invalid IDLETIME value, must be >= 0"));
    }
    Ok(seconds)
}

fn frequency(ctx: &Context<'_>, at: usize) -> Result<u8, CommandError> {
    u8::try_from(ctx.int(at)?)
        .map_err(|_| CommandError::new("ERR Invalid FREQ value, must be >= 0 and <= 255"))
}

/// How collections are kept that are read from RDB payloads.
fn sizes(server: &Server) -> Sizes {
    Sizes {
        hash: hash_limits(server),
        set: set_limits(server),
        set_ints: server.config.get(id::SET_MAX_INTSET_ENTRIES) as usize,
        sorted_set: sorted_set_limits(server),
        list: list_fill(server),
    }
}

/// When the key will expire, if it will.
fn deadline(ctx: &Context<'_>, absolute: bool) -> Result<Option<i64>, CommandError> {
    let ttl = ctx.int(2)?;
    if ttl < 0 {
        return Err(CommandError::new("ERR Invalid TTL value, must be >= 0"));
    }
    // A time beyond the end of time never comes.
    let at = if absolute { ttl } else { ttl.saturating_add(ctx.now_ms) };
    Ok((ttl != 0).then_some(at))
}

/// Why a payload is not restored; the log tells what it was to be.
fn refusal(sealed: &Sealed<'_>, error: LoadError) -> CommandError {
    match error {
        LoadError::OutOfMemory => CommandError::OutOfMemory,
        LoadError::Corrupt => {
            let name = sealed.body.first().map_or("Empty payload", |&kind| kind::name_of(kind));
            tracing::warn!("RESTORE: {name} integrity check failed.");
            CommandError::new("ERR Bad data format")
        }
    }
}

/// What is in a payload of DUMP or of FUNCTION DUMP.
pub(crate) fn unseal<'a>(server: &Server, payload: &'a [u8]) -> Result<Sealed<'a>, CommandError> {
    let trust = Trust {
        checksum: server.skip_checksums.load(Ordering::Relaxed),
        version: server.config.get(id::RDB_VERSION_CHECK) == RdbVersionCheck::Relaxed,
    };
    rdb::open(payload, trust)
        .ok_or_else(|| CommandError::new("ERR DUMP payload version or checksum are wrong"))
}

fn restore(ctx: &mut Context<'_>) -> CommandResult {
    let options = Options::parse(ctx)?;
    let key = ctx.key(1);
    let is_there = ctx.peek(&key).is_some();
    if is_there && !options.replace {
        return Err(CommandError::new("BUSYKEY Target key name already exists."));
    }
    let deadline = deadline(ctx, options.absolute)?;
    let sealed = unseal(ctx.server, ctx.arg(3))?;
    let arenas = ctx.db(&key).arenas_of(key.bytes());
    let place = Place { key: key.bytes(), deadline, arenas, sizes: sizes(ctx.server) };
    let entry = rdb::restore(&sealed, &place).map_err(|error| refusal(&sealed, error))?;
    if deadline.is_some_and(|at| at <= ctx.now_ms) {
        // It has expired: what it replaces goes, and nothing comes.
        if ctx.remove(&key) {
            ctx.changed(&key, Event::generic("del"));
        }
    } else {
        let db = ctx.session.db;
        ctx.insert(db, &key, entry)?;
        set_clock(ctx, &key, &options);
        ctx.appeared(db, &key);
        ctx.changed(&key, Event::generic("restore"));
    }
    ctx.reply.ok();
    Ok(())
}

/// Sets the access clock as if the key had not been used for so long, or as often, whichever the
/// policy follows.
fn set_clock(ctx: &mut Context<'_>, key: &Key<'_>, options: &Options) {
    /// The access clock has 24 bits of seconds, and the last stands for a clock that runs ahead.
    const CLOCK_MASK: i64 = 0xff_ffff;

    let now = access_clock(&ctx.server.config, ctx.now_ms);
    let clock = match (now, options.idle_s, options.frequency) {
        (AccessClock::Lru { .. }, Some(idle_s), _) => {
            Some(((ctx.now_ms / 1000 - idle_s.min(CLOCK_MASK - 1)) & CLOCK_MASK) as u32)
        }
        (_, _, Some(frequency)) => now.with_frequency(frequency.into()),
        _ => None,
    };
    let Some(clock) = clock else { return };
    if let Some(mut entry) = ctx.db(key).get_mut(key) {
        entry.set_clock(clock);
    }
}

#[cfg(test)]
mod tests {
    use ebb_persist::rdb;

    use crate::testing::Client;

    /// What DUMP answers.
    fn dump(client: &mut Client, key: &str) -> Vec<u8> {
        let reply = client.run_raw(&["DUMP", key]);
        let start = reply.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        reply[start..reply.len() - 2].to_vec()
    }

    fn restore(client: &mut Client, key: &str, ttl: &str, payload: &[u8], more: &[&str]) -> String {
        let mut args = vec![&b"RESTORE"[..], key.as_bytes(), ttl.as_bytes(), payload];
        args.extend(more.iter().map(|arg| arg.as_bytes()));
        client.run(&args)
    }

    #[test]
    fn values_come_back() {
        let mut client = Client::new();
        client.run(&["SET", "string", &"abc".repeat(2000)]);
        client.say("SET int -70000");
        client.say("RPUSH list a 1 b");
        client.say("HSET hash a 1 b 2");
        client.say("HPEXPIREAT hash 99999999999999 FIELDS 1 a");
        client.say("XADD stream 1-1 a b");
        client.say("XGROUP CREATE stream g 0");
        client.say("XREADGROUP GROUP g c STREAMS stream >");
        for (key, read) in [
            ("string", "GET"),
            ("int", "GET"),
            ("list", "LRANGE 0 -1"),
            ("hash", "HPEXPIRETIME FIELDS 2 a b"),
            ("stream", "XINFO STREAM FULL"),
        ] {
            let payload = dump(&mut client, key);
            assert_eq!(
                restore(&mut client, "copy", "0", &payload, &["REPLACE"]),
                "+OK\r\n",
                "{key}"
            );
            let ask = |client: &mut Client, key: &str| match read.split_once(' ') {
                Some(("XINFO", rest)) => client.say(&format!("XINFO STREAM {key} {}", &rest[7..])),
                Some((command, rest)) => client.say(&format!("{command} {key} {rest}")),
                None => client.say(&format!("{read} {key}")),
            };
            assert_eq!(ask(&mut client, "copy"), ask(&mut client, key), "{key}");
            assert_eq!(dump(&mut client, "copy"), payload);
        }
        assert_eq!(client.say("DUMP nothing"), "$-1\r\n");
    }

    #[test]
    fn restoring_has_options() {
        let mut client = Client::new();
        client.say("SET k v");
        let payload = dump(&mut client, "k");
        let busy = "-BUSYKEY Target key name already exists.\r\n";
        assert_eq!(restore(&mut client, "k", "0", &payload, &[]), busy);
        assert_eq!(restore(&mut client, "k", "0", &payload, &["replace"]), "+OK\r\n");
        let idle = client.say("OBJECT IDLETIME k");
        assert!(matches!(idle.as_str(), ":0\r\n" | ":1\r\n"), "{idle}");
        assert_eq!(client.say("PTTL k"), ":-1\r\n");
        let options = &["ABSTTL", "IDLETIME", "1000", "REPLACE"];
        assert_eq!(restore(&mut client, "k", "9999999999999", &payload, options), "+OK\r\n");
        assert_eq!(client.say("PEXPIRETIME k"), ":9999999999999\r\n");
        let idle = client.say("OBJECT IDLETIME k");
        assert!(matches!(idle.as_str(), ":1000\r\n" | ":1001\r\n"), "{idle}");
        assert_eq!(
            restore(&mut client, "k", "1000000", &payload, &["REPLACE", "FREQ", "255"]),
            "+OK\r\n"
        );
        assert_ne!(client.say("TTL k"), ":-1\r\n");
        assert_eq!(restore(&mut client, "k", "1", &payload, &["ABSTTL", "REPLACE"]), "+OK\r\n");
        assert_eq!(client.say("EXISTS k"), ":0\r\n");
    }

    #[test]
    fn versions_to_come_are_tried_if_that_is_allowed() {
        let mut client = Client::new();
        client.say("SET k v");
        let mut later = dump(&mut client, "k");
        later.truncate(later.len() - 10);
        rdb::seal(&mut later, 13);
        let mut unknown = vec![99, 0];
        rdb::seal(&mut unknown, 13);
        let refused = "-ERR DUMP payload version or checksum are wrong\r\n";
        assert_eq!(restore(&mut client, "a", "0", &later, &[]), refused);
        client.say("CONFIG SET rdb-version-check relaxed");
        assert_eq!(restore(&mut client, "a", "0", &later, &[]), "+OK\r\n");
        assert_eq!(client.say("GET a"), "$1\r\nv\r\n");
        let bad = "-ERR Bad data format\r\n";
        assert_eq!(restore(&mut client, "b", "0", &unknown, &[]), bad);
    }

    #[test]
    fn wrong_options_and_payloads_are_refused() {
        let mut client = Client::new();
        client.say("SET k v");
        let good = dump(&mut client, "k");
        let mut wrong = good.clone();
        wrong[1] ^= 1;
        let mut bad = vec![1, 0];
        rdb::seal(&mut bad, rdb::VERSION);
        for (ttl, payload, more, answer) in [
            ("-1", &good, &[][..], "ERR Invalid TTL value, must be >= 0"),
            ("x", &good, &[], "ERR value is not an integer or out of range"),
            ("0", &wrong, &[], "ERR DUMP payload version or checksum are wrong"),
            ("0", &bad, &[], "ERR Bad data format"),
            ("0", &good, &["WHAT"], "ERR syntax error"),
            ("0", &good, &["FREQ"], "ERR syntax error"),
            ("0", &good, &["FREQ", "1", "IDLETIME", "1"], "ERR syntax error"),
            ("0", &good, &["FREQ", "256"], "ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("0", &good, &["IDLETIME", "-1"], "ERR Invalid IDLETIME value, must be >= 0"),
        ] {
            let reply = restore(&mut client, "new", ttl, payload, more);
            assert_eq!(reply, format!("-{answer}\r\n"), "{ttl} {more:?}");
        }
        assert_eq!(client.say("EXISTS new"), ":0\r\n");
        client.server.skip_checksums.store(true, super::Ordering::Relaxed);
        assert_eq!(restore(&mut client, "new", "0", &wrong, &[]), "-ERR Bad data format\r\n");
    }

    #[test]
    fn counters_of_streams_may_have_run_over() {
        let mut client = Client::new();
        client.say("XADD s 1-1 a b");
        client.say("XADD s 1-2 a b");
        client.say("XGROUP CREATE s g 1-1 ENTRIESREAD 9223372036854775807");
        client.say("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
        client.say("XSETID s 1-2 ENTRIESADDED 9223372036854775807");
        client.say("XADD s 1-3 a b");
        let payload = dump(&mut client, "s");
        assert_eq!(restore(&mut client, "copy", "0", &payload, &[]), "+OK\r\n");
        let told = client.say("XINFO STREAM copy FULL");
        assert!(told.contains("$13\r\nentries-added\r\n:-9223372036854775808\r\n"), "{told}");
        assert!(told.contains("$12\r\nentries-read\r\n:-9223372036854775808\r\n"), "{told}");
    }

    #[test]
    fn fields_expire_after_restoring() {
        let mut client = Client::new();
        client.say("HSET h a 1 b 2");
        client.say("HPEXPIRE h 20 FIELDS 1 a");
        let payload = dump(&mut client, "h");
        restore(&mut client, "copy", "0", &payload, &[]);
        std::thread::sleep(std::time::Duration::from_millis(30));
        assert_eq!(client.say("HGETALL copy"), "*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
        let now = ebb_engine::unix_ms();
        let gone: usize = (0..client.server.keyspace.shards())
            .map(|shard| {
                client.server.keyspace.lock(shard).expire_step(0, now, 100, |_, _| {}).examined
            })
            .sum();
        assert!(gone > 0, "the deadline was filed");
    }
}
