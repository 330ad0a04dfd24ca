use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ebb_engine::{CommandTable, Executor, Host, PauseMode, Peer, Progress as Ran, Reply, Server};
use ebb_engine::{Session, unix_ms};
use mio::net::UnixStream;

use super::super::{Fate, READ_BYTES, Socket, Tools};
use super::*;
use crate::group::{Group, Member};

const LEN: usize = 5000;

fn value(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + ((at * 7 + at / 251 + seed * 11) % 26) as u8).collect()
}

fn encoded(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend(format!("${}\r\n", arg.len()).bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn set(key: &str, value: &[u8]) -> Vec<u8> {
    encoded(&[b"SET", key.as_bytes(), value])
}

fn new_server(directives: &str) -> &'static Server {
    let config = ebb_config::parse_bytes(directives.as_bytes(), 1).unwrap();
    let commands = CommandTable::new(&ebb_commands::table::all(), &[]).unwrap();
    let host = Host {
        refresh_allocator: |_| {},
        purge_allocator: || {},
        allocator_report: String::new,
        resident_bytes: || 0,
        resident_pages: |_| Default::default(),
        cpu_times_us: Default::default,
        system: Default::default(),
        describe_client: |_, _, _| {},
        collation_key: |_| None,
        apply: |_, _| Ok(()),
    };
    let server: &'static Server = Box::leak(Box::new(Server::new(config, commands, host)));
    server.load_configured_users().unwrap();
    server
}

/// A worker's part without its loop: clients, and the groups in which their connections run.
struct Bench {
    server: &'static Server,
    executor: Executor,
    buffer: Vec<u8>,
}

/// A connection with both of its ends.
struct Client {
    far: std::os::unix::net::UnixStream,
    connection: Option<Box<Connection>>,
}

/// What a request did.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// It came as foreseen.
    in_place: bool,
    reply: String,
}

fn outcome(in_place: bool, reply: &str) -> Outcome {
    Outcome { in_place, reply: reply.into() }
}

impl Bench {
    fn new(directives: &str) -> Bench {
        let server = new_server(directives);
        Bench { server, executor: Executor::new(server, 0), buffer: vec![0; READ_BYTES] }
    }

    fn client(&self) -> Client {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (address, local_address) = ("near".into(), "far".into());
        let peer = Peer { worker: 0, fd: -1, address, local_address, is_unix: true };
        let client = self.server.clients.add(peer, unix_ms());
        let session = Session::new(client, !self.server.acl.needs_password());
        let socket = Socket::Unix(UnixStream::from_std(near));
        Client { far, connection: Some(Box::new(Connection::new(socket, session))) }
    }

    /// A group of clients, each of which has sent something. Also answers how much of the buffer
    /// it took.
    fn group(&mut self, clients: &mut [&mut Client]) -> (Vec<Outcome>, usize) {
        let (server, arena) = (self.server, self.server.workers[0].arena);
        let mut group = Group::default();
        for (at, client) in clients.iter_mut().enumerate() {
            let mut connection = client.connection.take().unwrap();
            assert!(connection.is_fresh());
            let (room, begin) = (&mut self.buffer[group.used..], group.requests.len());
            let Group { args, requests, .. } = &mut group;
            let joined = connection.join(server, arena, room, args, requests).unwrap();
            let input = group.used..group.used + joined.len;
            group.used = input.end;
            let (requests, reply) = (begin..group.requests.len(), group.reply());
            let progress = Ran::Done;
            group.members.push(Member { at, connection, input, requests, joined, reply, progress });
        }
        group.run(&mut self.executor, &self.buffer, &mut ());
        let mut outcomes = Vec::new();
        for member in std::mem::take(&mut group.members) {
            let Member { at, mut connection, input, requests, joined, mut reply, progress } =
                member;
            let in_place = !connection.externals.is_empty();
            let requests = &group.requests[requests];
            let input = &self.buffer[input];
            let (executor, mut own) = (&mut self.executor, Vec::new());
            let mut tools = tools(server, executor, &mut [], &mut reply, &mut own);
            let fate = connection.leave(&mut tools, input, &group.args, requests, joined, progress);
            let reply = if connection.paused { String::new() } else { clients[at].reply() };
            outcomes.push(Outcome { in_place, reply });
            assert_ne!(fate, Fate::Aside);
            assert_eq!(connection.externals.is_empty(), connection.held.is_none());
            clients[at].connection = Some(connection);
        }
        (outcomes, group.used)
    }

    /// A group of one that has sent this.
    fn one(&mut self, client: &mut Client, bytes: &[u8]) -> Outcome {
        client.far.write_all(bytes).unwrap();
        self.group(&mut [client]).0.remove(0)
    }

    /// What an incomplete request is followed by does not come through a group.
    fn resume(&mut self, client: &mut Client) -> Fate {
        let (mut reply, mut requests) = (Reply::default(), Vec::new());
        let executor = &mut self.executor;
        let mut tools = tools(self.server, executor, &mut self.buffer, &mut reply, &mut requests);
        client.connection.as_mut().unwrap().resume(&mut tools)
    }

    fn get(&mut self, client: &mut Client, key: &str) -> Vec<u8> {
        let Outcome { in_place, reply } = self.one(client, &encoded(&[b"GET", key.as_bytes()]));
        assert!(!in_place);
        let (_, rest) = reply.split_once("\r\n").unwrap();
        rest.strip_suffix("\r\n").unwrap().into()
    }

    /// Has the client send as many requests alike as it takes to foresee the next.
    fn accustom(&mut self, client: &mut Client, key: &str) {
        for seed in 0..ALIKE.into() {
            let request = set(key, &value(seed, LEN));
            assert_eq!(self.one(client, &request), outcome(false, "+OK\r\n"));
        }
    }
}

fn tools<'w>(
    server: &'static Server,
    executor: &'w mut Executor,
    buffer: &'w mut [u8],
    reply: &'w mut Reply,
    requests: &'w mut Vec<Request>,
) -> Tools<'w> {
    // Nothing here takes long: nobody needs to be attended.
    let attendant = Box::leak(Box::new(()));
    let arena = server.workers[0].arena;
    Tools { server, executor, buffer, reply, requests, arena, attendant }
}

impl Client {
    /// What there is to read now, or soon.
    fn reply(&mut self) -> String {
        let mut reply = vec![0; 1 << 16];
        let len = self.far.read(&mut reply).unwrap();
        reply.truncate(len);
        String::from_utf8(reply).unwrap()
    }
}

#[test]
fn two_alike_foretell_the_next_and_a_surprise_ends_that() {
    let (one, other) = (Shape { head: 30, len: 5000 }, Shape { head: 30, len: 5001 });
    let mut foreseen = Foreseen::default();
    // Not even the shape of nothing is foreseen at first.
    foreseen.note(Some(Shape::default()));
    assert_eq!(foreseen.next(), None);
    for (noted, next) in [
        (Some(one), None),
        (Some(one), Some(one)),
        (Some(one), Some(one)),
        (Some(other), None),
        (Some(one), None),
        (None, None),
        (Some(one), None),
        (Some(one), Some(one)),
        (None, None),
    ] {
        foreseen.note(noted);
        assert_eq!(foreseen.next(), next, "after {noted:?}");
    }
    for _ in 0..1000 {
        foreseen.note(Some(other));
    }
    assert_eq!(foreseen.next(), Some(other));
}

#[test]
fn commands_that_keep_their_last_argument_have_a_shape() {
    let shape = |bytes: &[u8]| {
        let (mut parser, limits) = (ebb_resp::RequestParser::new(), Limits::default());
        let (mut requests, mut args, mut at) = (Vec::new(), Vec::new(), 0);
        while let Ok(Progress::Command { consumed: bytes } | Progress::Empty { consumed: bytes }) =
            parser.parse(&bytes[at..], &limits, &mut args)
        {
            let first = requests.last().map_or(0, |it: &Request| it.first + it.count);
            at += bytes;
            if args.len() > first {
                requests.push(Request { first, count: args.len() - first, bytes, end: at });
            }
        }
        let name = parser.resolve(&args[0], bytes);
        Shape::of(bytes, &args, &requests, name).map(|shape| (shape.head(), shape.len()))
    };
    let long = value(0, LEN_MIN);
    let plain = set("key", &long);
    let head = plain.len() - LEN_MIN - 2;
    assert_eq!(shape(&plain), Some((head, LEN_MIN)));
    assert_eq!(shape(&encoded(&[b"gEtSeT", b"k", &long])), Some((head + 1, LEN_MIN)));
    assert!(shape(&encoded(&[b"setex", b"k", b"10", &long])).is_some());
    assert!(shape(&encoded(&[b"PSETEX", b"k", b"10", &long])).is_some());
    assert!(shape(&set("key", &value(0, EXTERNAL_BULK_MIN - 1))).is_some());
    for other in [
        set("key", &long[1..]),
        set("key", &value(0, EXTERNAL_BULK_MIN)),
        encoded(&[b"APPEND", b"key", &long]),
        encoded(&[b"SETNX", b"key", &long]),
        encoded(&[b"SET", b"key", &long, b"NX"]),
        encoded(&[b"SET", b"key", b"NX", &long]),
        encoded(&[b"SET", &long]),
        encoded(&[&long]),
        [b"SET key ", &long[..], b"\r\n"].concat(),
        [plain.clone(), plain.clone()].concat(),
        [&plain[..], b"*"].concat(),
        [&plain[..], b"\r\n"].concat(),
    ] {
        assert_eq!(shape(&other), None, "{}", String::from_utf8_lossy(&other[..30]));
    }
}

/// Gives so many bytes at a time.
struct Chunks(VecDeque<Vec<u8>>);

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buffer)])
    }

    fn read_vectored(&mut self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let bytes = self.0.pop_front().unwrap_or_default();
        let mut left = &bytes[..];
        for part in parts {
            let (now, later) = left.split_at(left.len().min(part.len()));
            part[..now.len()].copy_from_slice(now);
            left = later;
        }
        assert!(left.is_empty());
        Ok(bytes.len())
    }
}

#[test]
fn whatever_came_is_put_together() {
    let (arena, shape) = (ArenaId::new(), Shape { head: 10, len: 40 });
    let bytes = value(3, 70);
    for len in 0..=bytes.len() {
        let place = Shared::copy_from(arena, &[b'?'; 40]).unwrap();
        let mut guess = Guess { shape, value: place };
        let mut buffer = [b'.'; 80];
        let mut socket = Chunks([bytes[..len].to_vec()].into());
        assert_eq!(guess.read(&mut socket, &mut buffer).unwrap(), len);
        let gap = &buffer[10..50];
        assert!(gap.iter().all(|&byte| byte == b'.'), "{len} bytes: the gap was read into");
        guess.put_together(&mut buffer[..len]);
        assert_eq!(buffer[..len], bytes[..len], "{len} bytes");
    }
}

#[test]
fn a_third_request_alike_is_read_to_its_place() {
    let mut bench = Bench::new("");
    let (mut client, mut reader) = (bench.client(), bench.client());
    bench.accustom(&mut client, "k");
    for seed in 3..6 {
        let text = value(seed, LEN);
        client.far.write_all(&set("k", &text)).unwrap();
        let (outcomes, used) = bench.group(&mut [&mut client]);
        assert_eq!(outcomes, [outcome(true, "+OK\r\n")]);
        assert!(used < 50, "the value is not in the buffer: {used}");
        assert_eq!(bench.get(&mut reader, "k"), text);
        // The block is the value's only, and nobody else's.
        let count = bench.one(&mut reader, &encoded(&[b"OBJECT", b"REFCOUNT", b"k"]));
        assert_eq!(count, outcome(false, ":1\r\n"));
    }
}

#[test]
fn the_block_itself_is_taken_over() {
    let mut bench = Bench::new("");
    let mut client = bench.client();
    bench.accustom(&mut client, "k");
    let arena = bench.server.workers[0].arena;
    let before = arena.live_bytes();
    assert!(bench.one(&mut client, &set("k", &value(9, LEN))).in_place);
    // A copy would be in the shard's arena.
    assert!((LEN..LEN + 32).contains(&(arena.live_bytes() - before)));
    // What is refused leaves nothing, and is not read to a place that would count against the limit.
    let mut other = bench.client();
    let limit = encoded(&[b"CONFIG", b"SET", b"maxmemory", b"1"]);
    assert_eq!(bench.one(&mut other, &limit), outcome(false, "+OK\r\n"));
    let refused = bench.one(&mut client, &set("l", &value(9, LEN)));
    assert!(!refused.in_place && refused.reply.starts_with("-OOM"), "{refused:?}");
    assert!((LEN..LEN + 32).contains(&(arena.live_bytes() - before)));
}

#[test]
fn many_are_in_one_group_each_with_its_own() {
    let mut bench = Bench::new("io-threads 4\n");
    let mut clients: Vec<Client> = (0..60).map(|_| bench.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 7 != 0 {
            bench.accustom(client, &format!("key{number:02}"));
        }
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let key = format!("key{number:02}");
        let bytes = match number % 7 {
            0 => set(&key, &value(number, 50)),
            _ => set(&key, &value(number, LEN)),
        };
        client.far.write_all(&bytes).unwrap();
    }
    let (outcomes, used) = bench.group(&mut clients.iter_mut().collect::<Vec<_>>());
    for (number, it) in outcomes.iter().enumerate() {
        assert_eq!(*it, outcome(number % 7 != 0, "+OK\r\n"), "client {number}");
    }
    assert!(used < 10_000, "{used}");
    for number in 0..60 {
        let len = if number % 7 == 0 { 50 } else { LEN };
        let got = bench.get(&mut clients[0], &format!("key{number:02}"));
        assert!(got == value(number, len), "key {number}");
    }
}

#[test]
fn a_surprise_is_run_as_if_nothing_had_been_foreseen() {
    let mut bench = Bench::new("");
    let mut client = bench.client();
    let (text, longer) = (value(1, LEN), value(2, LEN + 1));
    let twice = [set("k", &text), set("k", &longer)].concat();
    let follows = [set("k", &text), encoded(&[b"STRLEN", b"k"])].concat();
    let surprises: &[(Vec<u8>, &str)] = &[
        (set("k", &longer), "+OK\r\n"),
        (set("k", &longer[2..]), "+OK\r\n"),
        (set("key", &longer[3..]), "+OK\r\n"),
        (encoded(&[b"DEL", b"k"]), ":1\r\n"),
        (encoded(&[b"GIT", b"k", &text]), "-ERR unknown command"),
        (encoded(&[b"SET", b"k", &text, b"NX"]), "$-1\r\n"),
        (twice, "+OK\r\n+OK\r\n"),
        (follows, "+OK\r\n:5000\r\n"),
        (b"PING\r\n".to_vec(), "+PONG\r\n"),
    ];
    for (bytes, reply) in surprises {
        bench.accustom(&mut client, "k");
        let got = bench.one(&mut client, bytes);
        assert!(!got.in_place && got.reply.starts_with(reply), "{got:?} instead of {reply:?}");
        let again = bench.one(&mut client, &set("k", &text));
        assert_eq!(again, outcome(false, "+OK\r\n"), "after {reply:?}");
        assert_eq!(bench.get(&mut client, "k"), text);
    }
    // The same length of all, but nothing in it is where it was.
    bench.accustom(&mut client, "k");
    let other = encoded(&[b"SET", &text[..LEN - 2], b"xyz"]);
    assert_eq!(other.len(), set("k", &text).len());
    assert_eq!(bench.one(&mut client, &other), outcome(false, "+OK\r\n"));
}

#[test]
fn a_request_that_comes_in_parts_is_whole_in_the_end() {
    let mut bench = Bench::new("");
    let (mut client, mut reader) = (bench.client(), bench.client());
    let len = set("k", &value(0, LEN)).len();
    let head = len - LEN - 2;
    let near = |place: usize| place.saturating_sub(3)..place + 4;
    let cuts = (1..head).chain(near(head)).chain(near(head + LEN / 2)).chain(len - 5..len);
    for cut in cuts {
        bench.accustom(&mut client, "k");
        let text = value(cut, LEN);
        let request = set("k", &text);
        client.far.write_all(&request[..cut]).unwrap();
        let arena = bench.server.workers[0].arena;
        let mut connection = client.connection.take().unwrap();
        let (mut args, mut requests) = (Vec::new(), Vec::new());
        let joined =
            connection.join(bench.server, arena, &mut bench.buffer, &mut args, &mut requests);
        let joined = joined.unwrap();
        assert!(requests.is_empty() && connection.externals.is_empty() && joined.len == cut);
        let (mut reply, mut own) = (Reply::default(), Vec::new());
        let mut tools = tools(bench.server, &mut bench.executor, &mut [], &mut reply, &mut own);
        let input = &bench.buffer[..cut];
        let fate = connection.leave(&mut tools, input, &args, &requests, joined, Ran::Done);
        assert_eq!(fate, Fate::Wait, "cut at {cut}");
        client.connection = Some(connection);
        client.far.write_all(&request[cut..]).unwrap();
        assert_eq!(bench.resume(&mut client), Fate::Wait);
        assert_eq!(client.reply(), "+OK\r\n", "cut at {cut}");
        assert_eq!(bench.get(&mut reader, "k"), text, "cut at {cut}");
    }
}

#[test]
fn what_a_pause_holds_back_keeps_its_block() {
    let mut bench = Bench::new("");
    let (mut client, mut other, mut reader) = (bench.client(), bench.client(), bench.client());
    bench.accustom(&mut client, "k");
    bench.accustom(&mut other, "l");
    let now_ms = unix_ms();
    bench.server.pause(PauseMode::Write, now_ms + 60_000, now_ms);
    for (client, key) in [(&mut client, "k"), (&mut other, "l")] {
        client.far.write_all(&set(key, &value(8, LEN))).unwrap();
    }
    reader.far.write_all(&encoded(&[b"GET", b"none"])).unwrap();
    let (outcomes, _) = bench.group(&mut [&mut reader, &mut client, &mut other]);
    assert_eq!(outcomes[0], outcome(false, "$-1\r\n"));
    assert_eq!(outcomes[1..], [outcome(true, ""), outcome(true, "")]);
    let mut held = 0;
    client.connection.as_ref().unwrap().each_value(|value| held += value.len());
    assert_eq!(held, LEN);
    assert_eq!(bench.get(&mut reader, "k"), value(1, LEN));
    // More comes while it waits.
    client.far.write_all(&encoded(&[b"STRLEN", b"k"])).unwrap();
    bench.server.unpause();
    bench.resume(&mut client);
    bench.resume(&mut other);
    assert_eq!((client.reply(), other.reply()), ("+OK\r\n:5000\r\n".into(), "+OK\r\n".into()));
    for client in [&client, &other] {
        client.connection.as_ref().unwrap().each_value(|value| panic!("{value:?} is left"));
    }
    assert_eq!(bench.get(&mut reader, "k"), value(8, LEN));
    assert_eq!(bench.get(&mut reader, "l"), value(8, LEN));
    let client = &other.connection.as_ref().unwrap().session.client;
    assert_eq!(client.figures.arriving.load(Ordering::Relaxed), 0);
    // As before the pause.
    assert!(bench.one(&mut other, &set("l", &value(2, LEN))).in_place);
}

#[test]
fn nothing_is_foreseen_in_a_transaction_or_without_room() {
    let mut bench = Bench::new("");
    let mut client = bench.client();
    bench.accustom(&mut client, "k");
    let (server, arena) = (bench.server, bench.server.workers[0].arena);
    let foresees = |client: &Client, room| {
        let connection = client.connection.as_ref().unwrap();
        let live = arena.live_bytes();
        let guess = connection.foresee(server, arena, room);
        assert_eq!(arena.live_bytes() > live, guess.is_some());
        guess.is_some()
    };
    let len = set("k", &value(0, LEN)).len();
    assert!(foresees(&client, len + 1) && !foresees(&client, len));
    assert_eq!(bench.one(&mut client, &encoded(&[b"MULTI"])).reply, "+OK\r\n");
    for seed in 0..4 {
        assert_eq!(
            bench.one(&mut client, &set("k", &value(seed, LEN))),
            outcome(false, "+QUEUED\r\n")
        );
    }
    assert!(!foresees(&client, READ_BYTES));
    let exec = bench.one(&mut client, &encoded(&[b"EXEC"]));
    assert_eq!(exec, outcome(false, "*4\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"));
    assert_eq!(bench.get(&mut client, "k"), value(3, LEN));
}

#[test]
fn the_limit_for_the_unknown_holds() {
    let mut bench = Bench::new("requirepass secret\n");
    let mut client = bench.client();
    let login = encoded(&[b"AUTH", b"secret"]);
    assert_eq!(bench.one(&mut client, &login).reply, "+OK\r\n");
    let long = value(1, 20_000);
    for in_place in [false, false, true] {
        assert_eq!(bench.one(&mut client, &set("k", &long)), outcome(in_place, "+OK\r\n"));
    }
    client.connection.as_mut().unwrap().session.authenticated = false;
    let got = bench.one(&mut client, &set("k", &long));
    let reply = "-ERR Protocol error: unauthenticated bulk length\r\n";
    assert_eq!(got, outcome(false, reply));
}
