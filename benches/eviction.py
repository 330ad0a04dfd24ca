"""The section `eviction` of bench.py: hit ratios beside redis-server, and what evicting costs.

All servers get the same requests in the same run: keys of a Zipf distribution (exponent 0.99), each
asked for with GET and, if it is not there, SET (look-aside). The limit is a tenth of what
redis-server needs for all keys.

The last key that fits is asked for once in 1.3 to 1.8 million requests, so that no policy can know
its worth before some millions are over. Hits are counted in two phases: while the caches learn, and
after that; the second counts for the goals, and the first is shown beside it.
"""
import array
import bisect
import itertools
import random
import statistics
import time

KEYS = 1_000_000
VALUE = b"v" * 200
KEY = b"key:%012d"
BATCH = 500
# Requests for each key there is: when counting begins, when the caches know the keys, the end.
COUNTED, LEARNT, END = 4 / 3, 4, 16
CACHES = [
    ("redis", "allkeys-lru"), ("redis", "allkeys-lfu"),
    ("ebb", "allkeys-lru"), ("ebb", "allkeys-lfu"), ("ebb", "allkeys-s3fifo"),
]


def zipf(keys, count, seed=1):
    """Ranks, from 0, most of them small."""
    sums = array.array("d", itertools.accumulate(1 / rank ** 0.99 for rank in range(1, keys + 1)))
    draw = random.Random(seed).random
    total = sums[-1]
    return array.array("I", (bisect.bisect_left(sums, draw() * total) for _ in range(count)))


def command(*args):
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)


def look_aside(client, trace, marks):
    """The part of hits, in percent, between each two marks on the way through the trace."""
    hits, asked = [0] * len(marks), [0] * len(marks)
    for start in range(0, len(trace), BATCH):
        keys = [KEY % rank for rank in trace[start:start + BATCH]]
        client.raw(b"".join(command(b"GET", key) for key in keys))
        missing = [key for key in keys if client.read() is None]
        phase = bisect.bisect_right(marks, start) - 1
        if phase >= 0:
            hits[phase] += len(keys) - len(missing)
            asked[phase] += len(keys)
        for key in dict.fromkeys(missing):
            client.send(b"SET", key, VALUE)
        for _ in dict.fromkeys(missing):
            if client.read() != "OK":
                raise RuntimeError("SET failed")
    return [100 * some / all_of for some, all_of in zip(hits, asked)]


def needed(process, fill, keys):
    """Bytes that redis-server says it needs for all keys."""
    with process("redis") as server:
        fill(server.port, keys, KEY, lambda n: VALUE)
        return used_memory(server.client())


def field(client, name):
    lines = client(b"INFO", b"everything").decode().splitlines()
    return next(line.split(":", 1)[1] for line in lines if line.startswith(name + ":"))


def used_memory(client):
    return int(field(client, "used_memory"))


def hit_ratios(process, fill, table, scale):
    keys = int(KEYS * scale)
    limit = needed(process, fill, keys) // 10
    trace = zipf(keys, keys * END)
    ratios = {}
    for kind, policy in CACHES:
        options = ["--maxmemory", str(limit), "--maxmemory-policy", policy]
        with process(kind, options=options) as server:
            client = server.client()
            learning, known = look_aside(client, trace, [int(keys * COUNTED), keys * LEARNT])
            ratios[kind, policy] = learning, known
            text = "%.2f%% hits, %.2f%% while it learns, %d keys, limit %.1f MB, %.1f MB used" % (
                known, learning, client(b"DBSIZE"), limit / 2**20, used_memory(client) / 2**20)
            table.add("misses in %%, %s %s" % (kind, policy), 100 - known, None, text)
    best = ratios["ebb", "allkeys-s3fifo"]
    # Negative, so that less is better as everywhere.
    for policy, goal in (("allkeys-lfu", -4), ("allkeys-lru", -6)):
        learning, known = (ours - theirs for ours, theirs in zip(best, ratios["redis", policy]))
        text = "%.2f points more hits, %.2f while they learn" % (known, learning)
        table.add("misses beside redis %s, points" % policy, -known, goal, text)


def cost(process, load, table, scale):
    """SETs of keys that are all new, below the limit and at it, one right after the other."""
    requests, keys = int(1_000_000 * scale), 2_000_000_000
    limits = ("0", "64mb" if scale == 1 else "16mb")

    def one(policy, limit):
        with process("ebb", options=["--maxmemory", limit, "--maxmemory-policy", policy]) as server:
            load(server, "set", int(600_000 * scale), 32, 200, keys)
            return load(server, "set", requests, 16, 200, keys)

    for policy in ("allkeys-lru", "allkeys-lfu", "allkeys-s3fifo"):
        pairs = [tuple(one(policy, limit) for limit in limits) for _ in range(5 if scale == 1 else 1)]
        ratios = sorted(full / free for free, full in pairs)
        free, full = (statistics.median(figures) for figures in zip(*pairs))
        text = "%.3f us, %.3f us; pairs %.2f to %.2f" % (full, free, ratios[0], ratios[-1])
        table.add("SET at the limit / below, %s" % policy, statistics.median(ratios), 1.5, text)


def shrink(process, fill, probe, table, scale):
    """The limit is lowered while a client asks."""
    with process("ebb", cores="0,1", options=["--maxmemory-policy", "allkeys-lru"]) as server:
        client = server.client()
        fill(server.port, int(4_000_000 * scale), KEY, lambda n: b"v" * 500)
        full = used_memory(client)
        watcher = probe(server.port, "GET", "nothing")
        watcher.start()
        time.sleep(0.2)
        before = time.time()
        client(b"CONFIG", b"SET", b"maxmemory", b"100mb")
        while int(field(client, "current_eviction_exceeded_time")) > 0 or used_memory(client) > 110 << 20:
            if time.time() > before + 60:
                raise RuntimeError("memory stays over its limit")
            time.sleep(0.05)
        took = time.time() - before
        times = watcher.finish()
        text = "%d MB in %.1f s, slowest %.2f" % ((full - used_memory(client)) >> 20, took, times[-1])
        table.add("GET while the limit is lowered, p99 ms", times[int(len(times) * 0.99)], 2, text)


def bench(tools, table, scale):
    """`tools` are bench.py's: Process, fill, load, Probe."""
    hit_ratios(tools.Process, tools.fill, table, scale)
    cost(tools.Process, tools.load, table, scale)
    shrink(tools.Process, tools.fill, tools.Probe, table, scale)
