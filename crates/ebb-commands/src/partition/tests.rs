//! What partitions do for clients.

use crate::testing::Client;

/// The number in a field of PARTITION INFO.
fn figure(client: &mut Client, name: &str, field: &str) -> usize {
    let info = client.run(&["PARTITION", "INFO", name]);
    let mut lines = info.lines().skip_while(|line| *line != field).skip(1);
    let value = lines.next().unwrap_or_else(|| panic!("{field} in {info}"));
    value.trim_start_matches(':').parse().unwrap()
}

fn settle(client: &Client) {
    let slice = std::time::Duration::from_micros(300);
    while ebb_engine::partitions::upkeep::settle(client.server, slice) {}
}

#[test]
fn partitions_are_made_changed_and_dropped() {
    let mut client = Client::with_config(&[("io-threads", "2")]);
    client.say("MSET a:1 x b:1 y a:2 z");
    assert_eq!(client.say("PARTITION CREATE one PREFIX a: MAXMEMORY 1mb"), "+OK\r\n");
    assert_eq!(
        client.say("PARTITION CREATE one PREFIX b:"),
        "-ERR a partition 'one' exists already\r\n"
    );
    assert_eq!(
        client.say("PARTITION CREATE two PREFIX a:"),
        "-ERR partition 'one' has the same prefix and db\r\n"
    );
    assert_eq!(
        client.say("PARTITION CREATE two DB 16"),
        "-ERR partition 'two': there are only 16 databases\r\n"
    );
    assert!(client.say("PARTITION CREATE two PREFIX c: SIZE 1").contains("no setting 'size'"));
    assert_eq!(client.say("PARTITION LIST"), "*1\r\n$3\r\none\r\n");
    assert!(client.say("PARTITION INFO one").contains("settling"));
    settle(&client);
    assert!(client.say("PARTITION INFO one").contains("settled"));
    assert_eq!(figure(&mut client, "one", "keys"), 2);
    assert_eq!(client.say("GET a:2"), "$1\r\nz\r\n");
    assert_eq!(client.say("PARTITION ALTER one maxmemory 2mb default-ttl 9"), "+OK\r\n");
    assert_eq!(
        client.say("CONFIG GET partition"),
        "*2\r\n$9\r\npartition\r\n$41\r\none prefix a: maxmemory 2mb default-ttl 9\r\n"
    );
    assert!(client.say("CONFIG SET partition x").contains("can't set immutable config"));
    for unknown in ["ALTER two maxmemory 1", "DROP two", "FLUSH two", "INFO two"] {
        let reply = client.say(&format!("PARTITION {unknown}"));
        assert_eq!(reply, "-ERR no such partition 'two'\r\n", "{unknown}");
    }
    assert_eq!(client.say("PARTITION DROP one"), "+OK\r\n");
    assert_eq!(client.say("PARTITION INFO"), "*0\r\n");
    settle(&client);
    assert_eq!(client.say("MGET a:1 b:1 a:2"), "*3\r\n$1\r\nx\r\n$1\r\ny\r\n$1\r\nz\r\n");
    assert!(client.say("PARTITION HELP").contains("CREATE <name> [PREFIX <prefix>]"));
}

#[test]
fn a_partition_may_get_other_keys() {
    let mut client = Client::with_config(&[("io-threads", "2")]);
    for db in ["1", "0"] {
        client.run(&["SELECT", db]);
        for n in 0..50 {
            let keys = [format!("a:{n}"), format!("b:{n}"), format!("c:{n}")];
            client.run(&["MSET", &keys[0], "a", &keys[1], "b", &keys[2], "c"]);
        }
    }
    client.say("PARTITION CREATE one PREFIX a:");
    client.say("PARTITION CREATE two PREFIX b: DB 0");
    settle(&client);
    let keys = |client: &mut Client| ["one", "two"].map(|name| figure(client, name, "keys"));
    assert_eq!(keys(&mut client), [100, 50]);
    for (change, error) in [
        ("one PREFIX b: DB 0", "partition 'two' has the same prefix and db"),
        ("one PREFIX c: DB 16", "partition 'one': there are only 16 databases"),
        ("one PREFIX c: DB x", "db must be the number of a database, or 'all'"),
        ("two PREFIX c: SIZE 9", "a partition has no setting 'size'"),
    ] {
        assert_eq!(client.say(&format!("PARTITION ALTER {change}")), format!("-ERR {error}\r\n"));
    }
    assert_eq!(
        client.run(&["PARTITION", "ALTER", "one", "PREFIX", ""]),
        "-ERR a partition needs a prefix or a db\r\n"
    );
    assert!(client.say("PARTITION INFO one").contains("settled"));
    // Settings change at once, and keys can be used on their way.
    assert_eq!(client.say("PARTITION ALTER one PREFIX c: DB 1 DEFAULT-TTL 9"), "+OK\r\n");
    assert!(client.say("PARTITION INFO one").contains("settling"));
    assert_eq!(client.say("MGET a:1 b:1 c:1"), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    client.say("APPEND a:1 x");
    client.say("DEL a:2");
    client.say("SET a:new 1");
    assert_eq!(client.say("PARTITION ALTER two PREFIX a: DB ALL"), "+OK\r\n");
    assert_eq!(client.say("GET a:1"), "$2\r\nax\r\n");
    settle(&client);
    assert!(client.say("PARTITION INFO one").contains("settled"));
    assert_eq!(keys(&mut client), [50, 100]);
    assert_eq!(client.say("DBSIZE"), ":150\r\n");
    assert_eq!(client.say("EXISTS a:1 a:2 a:new"), ":2\r\n");
    assert!(client.say("CONFIG GET partition").contains("\r\none prefix c: db 1 default-ttl 9\n"));
    // FLUSH meanwhile takes what is its own now, wherever it lies.
    assert_eq!(client.run(&["PARTITION", "ALTER", "two", "DB", "0", "PREFIX", ""]), "+OK\r\n");
    assert_eq!(client.say("PARTITION FLUSH two"), "+OK\r\n");
    assert_eq!(client.say("EXISTS a:1 b:1 c:1"), ":0\r\n");
    client.say("SET b:1 again");
    assert_eq!(client.say("PARTITION ALTER one DB ALL"), "+OK\r\n");
    settle(&client);
    assert_eq!(keys(&mut client), [50, 1]);
    assert_eq!(client.say("DBSIZE"), ":1\r\n");
    client.say("SELECT 1");
    assert_eq!(client.say("DBSIZE"), ":150\r\n");
}

#[test]
fn limits_hold_after_a_change_of_prefix() {
    let mut client = Client::new();
    let value = "v".repeat(1000);
    (0..300).for_each(|n| drop(client.run(&["SET", &format!("b:{n}"), &value])));
    client.say("PARTITION CREATE p PREFIX a: MAXMEMORY 100kb MAXMEMORY-POLICY allkeys-lru");
    client.say("PARTITION ALTER p PREFIX b:");
    settle(&client);
    // Those that came are more than it may have, and go.
    let second = std::time::Duration::from_secs(1);
    let effects = &mut ebb_engine::notify::Effects::default();
    while ebb_engine::partitions::upkeep::relieve(client.server, second, second, effects) {}
    let kept = figure(&mut client, "p", "keys");
    // What a table costs differs with the hashes: more than there is room for are too many.
    let most = (100 << 10) / value.len();
    assert!((50..=most).contains(&kept), "{kept}");
    assert!(figure(&mut client, "p", "bytes") <= 100 << 10);
    client.say("PARTITION ALTER p MAXMEMORY-POLICY noeviction");
    let mut replies = (0..5000).map(|n| client.run(&["SET", &format!("b:full:{n}"), "x"]));
    assert!(replies.any(|reply| reply.starts_with("-OOM")));
    assert!(figure(&mut client, "p", "bytes") <= 100 << 10);
    assert_eq!(client.run(&["SET", "a:y", &value]), "+OK\r\n");
}

#[test]
fn prefixes_are_any_bytes() {
    let mut client = Client::new();
    let command = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    let prefix = b"\x00\xff\r\n\"";
    let create = command(&[b"PARTITION", b"CREATE", b"raw", b"PREFIX", prefix]);
    assert_eq!(client.run(&create), "+OK\r\n");
    client.run(&[&b"SET"[..], b"\x00\xff\r\n\"key", b"v"]);
    client.run(&[&b"SET"[..], b"\x00\xfe\r\n\"key", b"v"]);
    assert_eq!(figure(&mut client, "raw", "keys"), 1);
    let info = client.run_raw(&["PARTITION", "INFO", "raw"]);
    let field = b"$6\r\nprefix\r\n$5\r\n\x00\xff\r\n\"\r\n";
    assert!(info.windows(field.len()).any(|part| part == field), "{info:?}");
    assert!(client.say("CONFIG GET partition").contains(r#"raw prefix "\x00\xff\r\n\"""#));
    let wrong = client.run(&command(&[b"PARTITION", b"ALTER", b"raw", b"a\r\nb\xff", b"x"]));
    assert_eq!(wrong, "-ERR a partition has no setting 'a  b\u{fffd}'\r\n");
    let wrong = client.run(&command(&[b"PARTITION", b"CREATE", b"\xff", b"PREFIX", b"x"]));
    assert!(wrong.starts_with("-ERR a partition's name is 1 to 64"), "{wrong}");
}

#[test]
fn a_full_partition_refuses_alone() {
    let mut client = Client::new();
    client.say("PARTITION CREATE full PREFIX f: MAXMEMORY 100kb MAXMEMORY-POLICY noeviction");
    let value = "v".repeat(1000);
    let refused =
        "-OOM command not allowed when used memory > 'maxmemory' of partition 'full'.\r\n";
    let mut set = 0;
    for number in 0..200 {
        let reply = client.run(&["SET", &format!("f:{number}"), &value]);
        assert!(reply == "+OK\r\n" || reply == refused, "{reply}");
        set += usize::from(reply == "+OK\r\n");
        assert_eq!(client.run(&["SET", &format!("g:{number}"), &value]), "+OK\r\n");
        assert!(figure(&mut client, "full", "bytes") <= 100 << 10);
    }
    assert!((85..100).contains(&set), "{set}");
    assert_eq!(figure(&mut client, "full", "refused"), 200 - set);
    assert_eq!(figure(&mut client, "full", "evicted"), 0);
    assert_eq!(client.say("GET f:0").len(), 1000 + 9);
    // Whatever makes it larger is refused, and what makes it smaller is not.
    client.run(&["SET", "g:1", &"x".repeat(20_000)]);
    let fill = |client: &mut Client| while client.say("APPEND f:5 x") != refused {};
    fill(&mut client);
    for grows in ["RENAME g:1 f:x", "COPY g:1 f:x", "LPUSH f:l x"] {
        assert_eq!(client.say(grows), refused, "{grows}");
    }
    assert_eq!(client.say("RENAME f:1 f:2"), "+OK\r\n");
    fill(&mut client);
    client.say("MULTI");
    client.say("SET g:1 x");
    assert_eq!(client.say("SET f:1 x"), refused);
    assert!(client.say("EXEC").starts_with("-EXECABORT"));
    let script = "redis.call('SET', 'g:2', 'x'); return redis.call('SET', KEYS[1], ARGV[1])";
    assert!(client.run(&["EVAL", script, "1", "f:x", "x"]).starts_with("-OOM command not"));
    assert_eq!(client.say("GET g:2"), "$1\r\nx\r\n");
    assert_eq!(client.say("DEL f:0 f:1 f:2 f:3 f:4"), ":4\r\n");
    assert_eq!(client.run(&["EVAL", script, "1", "f:x", "x"]), "+OK\r\n");
    assert_eq!(client.say("PARTITION ALTER full maxmemory 0"), "+OK\r\n");
    assert_eq!(client.run(&["SET", "f:big", &"x".repeat(1 << 20)]), "+OK\r\n");
}

#[test]
fn a_full_partition_evicts_its_own_keys() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-s3fifo"] {
        let mut client = Client::with_config(&[("io-threads", "2")]);
        client.run(&[
            "PARTITION",
            "CREATE",
            "p",
            "PREFIX",
            "p:",
            "MAXMEMORY",
            "200kb",
            "MAXMEMORY-POLICY",
            policy,
        ]);
        client.say("PARTITION CREATE q PREFIX q: MAXMEMORY 200kb");
        let value = "v".repeat(1000);
        for number in 0..600 {
            assert_eq!(client.run(&["SET", &format!("p:{number}"), &value]), "+OK\r\n");
            assert!(figure(&mut client, "p", "bytes") <= 200 << 10);
            if number < 100 {
                assert_eq!(client.run(&["SET", &format!("q:{number}"), &value]), "+OK\r\n");
                assert_eq!(client.run(&["SET", &format!("r:{number}"), &value]), "+OK\r\n");
            }
        }
        let kept = figure(&mut client, "p", "keys");
        assert!(kept > 120, "{policy}: {kept}");
        assert_eq!(figure(&mut client, "p", "evicted"), 600 - kept);
        assert_eq!(figure(&mut client, "q", "keys"), 100);
        assert_eq!(client.say("DBSIZE"), format!(":{}\r\n", 200 + kept));
        // What never fits costs no key.
        let huge = "h".repeat(300 << 10);
        assert!(client.run(&["SET", "p:huge", &huge]).starts_with("-OOM"));
        assert_eq!(figure(&mut client, "p", "keys"), kept);
        // In a transaction and in a script, too.
        client.say("MULTI");
        (0..100).for_each(|n| drop(client.run(&["SET", &format!("p:m{n}"), &value])));
        assert!(client.say("EXEC").starts_with("*100\r\n+OK"));
        assert!(figure(&mut client, "p", "bytes") <= 200 << 10);
        let script = "for n = 1, 300 do redis.call('SET', 'p:s' .. n, ARGV[1]) end";
        assert_eq!(client.run(&["EVAL", script, "0", &value]), "$-1\r\n");
        assert!(figure(&mut client, "p", "bytes") <= 200 << 10);
        assert_eq!(figure(&mut client, "q", "keys"), 100);
        // A lower limit is kept to by the maintenance thread.
        client.say("PARTITION ALTER p maxmemory 50kb");
        let second = std::time::Duration::from_secs(1);
        let effects = &mut ebb_engine::notify::Effects::default();
        while ebb_engine::partitions::upkeep::relieve(client.server, second, second, effects) {}
        assert!(figure(&mut client, "p", "bytes") <= 50 << 10);
    }
}

#[test]
fn keys_get_the_time_to_live_of_their_partition() {
    let mut client = Client::new();
    client.say("CONFIG SET notify-keyspace-events KEA");
    client.say("PARTITION CREATE p PREFIX p: DEFAULT-TTL 100");
    let has = |client: &mut Client, key: &str| {
        let left: i64 = client.say(&format!("TTL {key}"))[1..].trim_end().parse().unwrap();
        if left > 0 {
            assert!((99..=100).contains(&left), "{left}")
        }
        left > 0
    };
    for command in [
        "SET p:k v",
        "LPUSH p:l 1",
        "SADD p:s 1",
        "HSET p:h f v",
        "ZADD p:z 1 m",
        "XADD p:x * f v",
        "INCR p:n",
        "APPEND p:a x",
        "SETBIT p:b 1 1",
        "SET p:kt v KEEPTTL",
        "MSET p:m 1",
        "SETNX p:nx 1",
        "SUNIONSTORE p:u p:s",
        "SETRANGE p:sr 2 x",
        "HINCRBY p:hi f 1",
        "PFADD p:pf a",
        "COPY plain p:copy",
        "RENAME plain p:renamed",
    ] {
        client.say("SET plain 1");
        let key = command.split(' ').find(|word| word.starts_with("p:")).unwrap();
        let reply = client.say(command);
        let key =
            if command.contains("plain ") { command.split(' ').next_back().unwrap() } else { key };
        assert!(has(&mut client, key), "{command}: {reply}");
    }
    assert!(!has(&mut client, "plain"));
    assert_eq!(client.say("SET p:e v EX 500"), "+OK\r\n");
    assert_eq!(client.say("TTL p:e"), ":500\r\n");
    // It may be taken away, and stays away until the value is set.
    assert_eq!(client.say("PERSIST p:k"), ":1\r\n");
    client.say("APPEND p:k x");
    client.say("SET p:k v KEEPTTL");
    assert_eq!(client.say("TTL p:k"), ":-1\r\n");
    client.say("SET p:k v");
    assert!(has(&mut client, "p:k"));
    let mut listener = client.another();
    listener.say("PSUBSCRIBE __keyspace@0__:p:new");
    client.say("SET p:new 1");
    let mail = listener.mail();
    let at =
        |event: &str| mail.find(&format!("\r\n{event}\r\n")).unwrap_or_else(|| panic!("{mail}"));
    assert!(at("set") < at("expire"), "{mail}");
}

#[test]
fn lookups_are_counted_by_partition() {
    let mut client = Client::new();
    client.say("PARTITION CREATE p PREFIX p:");
    client.say("MSET p:a 1 p:b 2 c 3");
    client.say("MGET p:a p:b p:c c d");
    client.say("GET p:a");
    assert_eq!(figure(&mut client, "p", "hits"), 3);
    assert_eq!(figure(&mut client, "p", "misses"), 1);
    client.say("SET p:t 1 PX 1");
    std::thread::sleep(std::time::Duration::from_millis(5));
    client.say("GET p:t");
    assert_eq!(figure(&mut client, "p", "expired"), 1);
    let info = client.say("INFO partitions");
    assert!(info.contains("partition_p:keys=2,bytes="), "{info}");
    assert!(info.contains(",hits=3,misses=2,evicted=0,expired=1,refused=0,unsettled=0"), "{info}");
    assert!(client.say("MEMORY STATS").contains("partition.p"));
    client.say("CONFIG RESETSTAT");
    assert_eq!(figure(&mut client, "p", "hits") + figure(&mut client, "p", "expired"), 0);
}

#[test]
fn a_flush_takes_one_partition() {
    let mut client = Client::with_config(&[
        ("io-threads", "2"),
        ("partition", "p prefix p: db 0"),
        ("partition", "q db 1"),
    ]);
    for db in ["1", "0"] {
        client.run(&["SELECT", db]);
        (0..100).for_each(|n| {
            drop(client.run(&["MSET", &format!("p:{n}"), "v", &format!("{n}"), "v"]))
        });
    }
    assert_eq!(figure(&mut client, "p", "keys"), 100);
    assert_eq!(figure(&mut client, "q", "keys"), 200);
    let mut other = client.another();
    other.say("WATCH p:1");
    assert_eq!(client.say("PARTITION FLUSH p"), "+OK\r\n");
    other.say("MULTI");
    assert_eq!(other.say("EXEC"), "*-1\r\n");
    assert_eq!(client.say("DBSIZE"), ":100\r\n");
    assert_eq!(figure(&mut client, "p", "bytes.strings"), 0);
    // Databases are exchanged: the partitions stay with the numbers.
    client.say("SWAPDB 0 1");
    settle(&client);
    assert_eq!(figure(&mut client, "p", "keys"), 100);
    assert_eq!(figure(&mut client, "q", "keys"), 100);
    client.say("SWAPDB 0 1");
    client.say("PARTITION FLUSH q");
    settle(&client);
    assert_eq!(client.say("DBSIZE"), ":100\r\n");
    assert_eq!(figure(&mut client, "q", "keys"), 0);
}

#[test]
fn users_need_the_category() {
    let mut client = Client::new();
    client.say("ACL SETUSER u on nopass ~* +@all -@partition");
    let mut user = client.another();
    user.say("AUTH u x");
    assert!(user.say("PARTITION LIST").starts_with("-NOPERM"));
    client.say("ACL SETUSER u -@all +@partition");
    assert_eq!(user.say("PARTITION LIST"), "*0\r\n");
    assert_eq!(user.say("PARTITION CREATE p PREFIX p:"), "+OK\r\n");
    assert!(client.say("ACL CAT").contains("partition"));
    assert!(client.say("ACL CAT partition").contains("partition|flush"));
}
