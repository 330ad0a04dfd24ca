"""Collections, scripts and messages: CPU time beside redis-server, bytes an element, stalls."""
import statistics
import subprocess
import time

from support import Client, Process, encode, pipelined

VALUE = "v" * 16
KEYS = 100_000
RANDOM = "__rand_int__"
LOADS = [  # name, command, goal
    ("HSET", ["hset", "hash", "f:" + RANDOM, VALUE], 0.4),
    ("HGET", ["hget", "hash", "f:" + RANDOM], 0.4),
    ("SADD", ["sadd", "set", "e:" + RANDOM], 0.4),
    ("SISMEMBER", ["sismember", "set", "e:" + RANDOM], 0.4),
    ("ZADD", ["zadd", "zset", RANDOM, "e:" + RANDOM], 0.4),
    ("ZSCORE", ["zscore", "zset", "e:" + RANDOM], 0.4),
    ("ZRANGE 0 10", ["zrange", "zset", "0", "10"], 0.4),
    ("XADD", ["xadd", "stream", "*", "field", VALUE], 0.4),
    ("INCR", ["incr", "n:" + RANDOM], 0.4),
    ("MSET(10)", ["mset"] + [part for n in range(10) for part in ("k%d:%s" % (n, RANDOM), VALUE)], 0.4),
    ("LPUSH", ["lpush", "list", VALUE], 0.5),
    ("RPUSH", ["rpush", "list", VALUE], 0.5),
    ("LRANGE_100", ["lrange", "list", "0", "99"], 0.7),
    ("LPOP", ["lpop", "list"], 0.5),
    ("RPOP", ["rpop", "list"], 0.5),
    ("EVAL of one GET", ["eval", "return redis.call('get',KEYS[1])", "1", "k0:000000000001"], 0.7),
]
HEAVY = {"MSET(10)", "LRANGE_100", "EVAL of one GET"}


def run(server, command, requests):
    """CPU microseconds of the server for one operation at pipeline 32."""
    before = server.cpu()
    argv = ["taskset", "-c", "1", "redis-benchmark", "-p", str(server.port), "-c", "50", "-P", "32",
            "-n", str(requests), "-r", str(KEYS), "-q"] + command
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return (server.cpu() - before) / requests * 1e6


def fan_out(server, scale):
    """CPU microseconds for one message to one of 1,000 subscribers, published 32 at a time as all the rest."""
    batch = 32
    subscribers = [Client(server.port) for _ in range(1000)]
    for client in subscribers:
        client("SUBSCRIBE", "channel")
    publisher, batches = Client(server.port), max(int(60 * scale), 3)
    before = server.cpu()
    for _ in range(batches):
        publisher.raw(encode((b"PUBLISH", b"channel", b"m" * 16)) * batch)
        for _ in range(batch):
            publisher.read()
        for client in subscribers:
            client.file.read(batch * len(b"*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$16\r\n" + b"m" * 16 + b"\r\n"))
    used = server.cpu() - before
    for client in subscribers:
        client.close()
    return used / (batches * batch) / 1000 * 1e6


def bench_types(table, scale):
    # Both servers do a load right after each other: the processor's speed changes by the second, and
    # each pair of figures is of nearly the same moment.
    pairs = {}
    for turn in range(1 if scale < 1 else 5):
        with Process("redis") as redis, Process("ebb") as ebb:
            servers = [redis, ebb] if turn % 2 == 0 else [ebb, redis]
            for name, command, _ in LOADS:
                requests = int((200_000 if name in HEAVY else 1_000_000) * scale)
                used = {server.kind: run(server, command, requests) for server in servers}
                pairs.setdefault(name, []).append((used["ebb"], used["redis"]))
            used = {server.kind: fan_out(server, scale) for server in servers}
            pairs.setdefault("PUBLISH to 1,000", []).append((used["ebb"], used["redis"]))
    for name, goal in [(name, goal) for name, _, goal in LOADS] + [("PUBLISH to 1,000", 0.6)]:
        ratios = sorted(ebb / redis for ebb, redis in pairs[name])
        ebb, redis = (statistics.median(used) for used in zip(*pairs[name]))
        table.add(name + " / redis", statistics.median(ratios), goal,
                  "ebb %.3f us  redis %.3f us  (%.2f to %.2f)" % (ebb, redis, ratios[0], ratios[-1]))


def element(n):
    return b"%016d" % n


SHAPES = [  # name, goal, payload of one, command of some elements
    ("hash field", 20, 32, lambda ns: (b"HSET", b"k", *(x for n in ns for x in (element(n), element(n))))),
    ("set member", 14, 16, lambda ns: (b"SADD", b"k", *(b"m" + element(n)[1:] for n in ns))),
    ("sorted set member", 30, 16,
     lambda ns: (b"ZADD", b"k", *(x for n in ns for x in (b"%d" % (n * 7919 % 1_000_003), b"m" + element(n)[1:])))),
    ("list element", 3, 16, lambda ns: (b"RPUSH", b"k", *(b"m" + element(n)[1:] for n in ns))),
]


def grown_by(kind, feed):
    """Resident bytes that `feed` adds to a server."""
    with Process(kind) as server:
        client = server.client()
        client("PING")
        time.sleep(0.5)
        start = server.resident()
        feed(client)
        time.sleep(1.5)
        return server.resident() - start


def bench_elements(table, scale):
    count = int(1_000_000 * scale)
    batches = [range(first, min(first + 200, count)) for first in range(0, count, 200)]
    for name, goal, payload, command in SHAPES:
        used = {}
        for kind in ("redis", "ebb"):
            used[kind] = grown_by(kind, lambda client: [pipelined(client, [command(ns)]) for ns in batches])
        ebb, redis = (used[kind] / count - payload for kind in ("ebb", "redis"))
        table.add("bytes beyond payload: " + name, ebb, goal, "redis %.1f" % redis)
    entry = lambda n: (b"XADD", b"k", b"*", element(7), element(n))  # noqa: E731
    small = lambda n: (b"HSET", b"h:%08d" % n,  # noqa: E731
                       *(x for f in range(5) for x in (b"field:%02d" % f, element(n))))
    for name, goal, payload, one in [("stream entry", 12, 32, entry), ("hash of 5 fields", 40, 130, small)]:
        used = {}
        for kind in ("redis", "ebb"):
            feed = lambda client: [pipelined(client, [one(n) for n in ns]) for ns in batches]  # noqa: B023,E731
            used[kind] = grown_by(kind, feed)
        ebb, redis = (used[kind] / count - payload for kind in ("ebb", "redis"))
        table.add("bytes beyond payload: " + name, ebb, goal, "redis %.1f" % redis)


STALLS = [  # name, command that adds one, command that removes one
    ("hash", lambda n: (b"HSET", b"k", b"f%d" % n, b"v"), lambda n: (b"HDEL", b"k", b"f%d" % n)),
    ("set", lambda n: (b"SADD", b"k", b"m%d" % n), lambda n: (b"SREM", b"k", b"m%d" % n)),
    ("sorted set", lambda n: (b"ZADD", b"k", b"%d" % (n * 7919 % 10_000_019), b"m%d" % n),
     lambda n: (b"ZREM", b"k", b"m%d" % n)),
    ("list", lambda n: (b"RPUSH", b"k", b"element:%d" % n), lambda n: (b"LPOP", b"k")),
    ("stream", lambda n: (b"XADD", b"k", b"%d-1" % (n + 1), b"f", b"v"), lambda n: (b"XDEL", b"k", b"%d-1" % (n + 1))),
]


def slow_places(server, one, count):
    """Milliseconds of the slowest command among each few thousand elements, if it took more than 0.2."""
    client, few, slow = server.client(), 2000, {}
    for first in range(0, count, few):
        batch = [one(n) for n in range(first, min(first + few, count))]
        pipelined(client, batch)
        if client("SLOWLOG", "LEN") > 0:
            slow[first // few] = max(entry[2] for entry in client("SLOWLOG", "GET", "-1")) / 1000
            client("SLOWLOG", "RESET")
    client.close()
    return slow


def bench_stalls(table, scale):
    """The slowest command while a collection grows to 10 million elements and shrinks again. What the
    collection makes slow is slow among the same 2,000 elements in each of three runs with the same hashes;
    what the machine makes slow is not, nor is what a timer does, which only the slowest of each run show."""
    count = int(10_000_000 * scale)
    options = ["--slowlog-log-slower-than", "200", "--slowlog-max-len", "2000", "--hash-seed", "stalls"]
    for name, add, remove in STALLS:
        found = {"grows": [], "shrinks": []}
        for _ in range(3):
            with Process("ebb", options=options) as server:
                for what, one in (("grows", add), ("shrinks", remove)):
                    found[what].append(slow_places(server, one, count))
        for what, runs in found.items():
            always = [min(run.get(place, 0) for run in runs) for place in runs[0]]
            slowest = ["%.2f" % max(run.values(), default=0.2) for run in runs]
            text = "slowest in each run: " + ", ".join(slowest)
            table.add("slowest while a %s %s, ms" % (name, what), max(always + [0.2]), 1, text)


SECTIONS = {"types": bench_types, "elements": bench_elements, "stalls": bench_stalls}
