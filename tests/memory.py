#!/usr/bin/env python3
"""Where memory is: leaks and wrong counters, large and growing keys, and its way back.

usage: memory.py EBB

MEMORY AUDIT is clean while clients change everything there is, with keys that expire, are evicted,
renamed and moved, with defragmentation, and with values that are being sent; what is planted is
found. MEMORY TOP, HISTOGRAM and GROWTH tell what is there. What is deleted waits, or does not, as
lazyfree-lazy-* say. What clients used goes back. The owners
in MEMORY STATS add up to the resident memory, with data, with clients, with scripts, after a peak.
"""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Client, Error, Server  # noqa: E402


def as_dict(reply):
    """A RESP2 map as a dictionary."""
    return {reply[at].decode(): reply[at + 1] for at in range(0, len(reply), 2)}


def audit(client, seconds=60):
    """The report of an audit that begins now."""
    before = as_dict(client("MEMORY", "AUDIT", "STATUS"))["runs"]
    started = client("MEMORY", "AUDIT", "START")
    assert started == "OK", started
    end = time.time() + seconds
    while as_dict(client("MEMORY", "AUDIT", "STATUS"))["runs"] == before:
        assert time.time() < end, client("MEMORY", "AUDIT", "STATUS")
        time.sleep(0.05)
    return as_dict(client("MEMORY", "AUDIT", "REPORT"))


def clean(report):
    assert report["verdict"] == b"clean", report
    assert report["leaked-blocks"] == 0 and report["wrong-counters"] == 0, report


def change(rng, key, other):
    """One random command."""
    number = rng.randrange(400)
    if rng.randrange(20) == 0:
        # More elements than an audit claims where they arrive.
        fresh = ("SADD", "huge:1", *["m%d" % n for n in range(3000)])
        return rng.choice([fresh, ("RENAME", "huge:1", "huge:2"), ("RENAME", "huge:2", "huge:1")])
    return rng.choice([
        ("SET", key, "x" * rng.choice([1, 50, 500, 5000, 60000])),
        ("SETEX", key, rng.randrange(1, 3), "x" * rng.randrange(4000)),
        ("APPEND", key, "y" * rng.randrange(3000)),
        ("RPUSH", key, *["e%d" % n for n in range(rng.choice([1, 300]))]),
        ("LPUSH", key, "z" * rng.randrange(300)), ("LPOP", key, 20), ("RPOP", key, 50),
        ("LTRIM", key, 5, 200), ("RPOPLPUSH", key, other),
        ("HSET", key, *[part for n in range(rng.choice([1, 200])) for part in (n, "v" * 30)]),
        ("HDEL", key, number), ("HPEXPIRE", key, 500, "FIELDS", 1, number),
        ("SADD", key, *["m%d" % n for n in range(rng.choice([1, 300]))]),
        ("SREM", key, "m%d" % number), ("SUNIONSTORE", other, key, other),
        ("ZADD", key, *[part for n in range(rng.choice([1, 200])) for part in (n, "m%d" % n)]),
        ("ZREM", key, "m%d" % number), ("ZREMRANGEBYRANK", key, 0, 10),
        ("XADD", key, "MAXLEN", "~", 300, "*", "f", "v" * rng.randrange(200)),
        ("PFADD", key, number), ("SETRANGE", key, number * 10, "abc"), ("GETDEL", key),
        ("RENAME", key, other), ("COPY", key, other, "REPLACE"), ("MOVE", key, 1),
        ("DEL", key), ("UNLINK", key), ("PERSIST", key), ("PEXPIRE", key, 300),
        ("GET", key), ("SPOP", key, 3), ("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", 1,
                                         key, "s" * 3000),
    ])


def load(port, seed, until, failures):
    rng = random.Random(seed)
    client = Client(port)
    try:
        while not until.is_set():
            batch = []
            for _ in range(50):
                kind = rng.choice("abcdefgh")
                key, other = ("%s:%d" % (kind, rng.randrange(400)) for _ in range(2))
                batch.append(change(rng, key, other))
            if rng.randrange(40) == 0:
                batch.append(("FLUSHDB", rng.choice(["ASYNC", "SYNC"])))
            if rng.randrange(100) == 0:
                batch.append(("SWAPDB", 0, 1))
            client.pipeline(batch)
    except Exception as error:  # what went wrong is told by the main thread
        failures.append(error)


def busy(binary):
    """Audits beside a load of everything."""
    options = ("--io-threads", 2, "--activedefrag", "yes", "--active-defrag-ignore-bytes", "1mb",
               "--active-defrag-threshold-lower", 5, "--maxmemory", "60mb",
               "--maxmemory-policy", "allkeys-lru", "--enable-debug-command", "yes")
    with Server(binary, *options) as server:
        until, failures = threading.Event(), []
        threads = [threading.Thread(target=load, args=(server.port, seed, until, failures))
                   for seed in range(3)]
        for thread in threads:
            thread.start()
        client = Client(server.port)
        verdicts = []
        end = time.time() + 12
        while time.time() < end:
            report = audit(client)
            # Exchanged databases may leave a report without a proof, but never with a flaw.
            assert report["wrong-counters"] == 0 and report["dangling-owners"] == 0, report
            assert report["verdict"] in (b"clean", b"inconclusive"), report
            verdicts.append(report["verdict"])
        client("DEBUG", "LEAK-BLOCK", 1000)
        report = audit(client)
        assert report["leaked-blocks"] == 1 and report["wrong-counters"] == 0, report
        until.set()
        for thread in threads:
            thread.join()
        assert not failures, failures
        assert b"clean" in verdicts, verdicts
        assert audit(client)["leaked-blocks"] == 1
        print("  %d audits beside a load: %d clean" % (len(verdicts), verdicts.count(b"clean")))


def sent(binary):
    """A value that was deleted while it is being sent is not a leak."""
    with Server(binary, "--io-threads", 2) as server:
        client, slow = Client(server.port), Client(server.port)
        client("SET", "large", b"x" * (20 << 20))
        slow.send("GET", "large")
        time.sleep(0.3)
        client("DEL", "large")
        clean(audit(client))
        assert slow.read() == b"x" * (20 << 20)
        # Nor is one that is being read.
        slow.raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" + b"y" * 1000)
        time.sleep(0.2)
        clean(audit(client))


def planted(binary):
    with Server(binary, "--enable-debug-command", "yes", "--io-threads", 2) as server:
        client = Client(server.port)
        client("DEBUG", "POPULATE", 20000, "key", 100)
        report = audit(client)
        clean(report)
        assert report["keys"] == 20000, report
        for size in (100, 300_000):
            assert client("DEBUG", "LEAK-BLOCK", size) == "OK"
        assert client("DEBUG", "SKEW-COUNTER") == "OK"
        report = audit(client)
        assert report["verdict"] == b"flawed", report
        assert report["leaked-blocks"] == 2 and report["leaked-bytes"] > 300_000, report
        assert report["wrong-counters"] == 2, report
        assert isinstance(client("MEMORY", "AUDIT"), list)
        again = client("MEMORY", "AUDIT", "START")
        assert isinstance(again, Error), again


def surveyed(client, *command):
    """The answer, which waits for a survey if there is none."""
    asked = time.time() * 1000
    reply = as_dict(client("MEMORY", *command))
    assert reply["taken-ms"] > asked - 60_000, reply
    return reply


def surveys(binary):
    with Server(binary) as server:
        client = Client(server.port)
        client.pipeline([("SET", "small:%d" % n, "x") for n in range(5000)])
        client.pipeline([("SETEX", "wide:%d" % n, 1000, "x" * 1000) for n in range(1000)])
        client.pipeline([("RPUSH", "list", "e%d" % n) for n in range(50000)])
        transaction = client.pipeline([("MULTI",), ("MEMORY", "TOP"), ("EXEC",)])[-1][0]
        assert as_dict(transaction)["state"] == b"running", transaction
        top = surveyed(client, "TOP")
        assert top["keys"] == 6001, top
        first = as_dict(top["keys-by-size"][0])
        assert first["key"] == b"list" and first["bytes"] > 100_000, first
        prefixes = [as_dict(row) for row in surveyed(client, "TOP", "PREFIXES")["prefixes"]]
        assert [row["prefix"] for row in prefixes] == [b"wide:", b"", b"small:"], prefixes
        assert prefixes[0]["keys-without-ttl"] == 0 and prefixes[2]["keys"] == 5000, prefixes
        other = surveyed(client, "TOP", "PREFIXES", "DELIMITER", "l", "COUNT", 1)
        assert as_dict(other["prefixes"][0])["prefix"] == b"", other
        sizes = surveyed(client, "HISTOGRAM", "TYPE", "string")["types"]
        assert sum(as_dict(row)["keys"] for row in sizes[1]) == 6000, sizes
        growth(client)


def growth(client):
    def sample():
        count = as_dict(client("MEMORY", "GROWTH", "SAMPLE"))["samples"]
        end = time.time() + 10
        while as_dict(client("MEMORY", "GROWTH"))["samples"] == count:
            assert time.time() < end
            time.sleep(0.05)
    sample()
    client.pipeline([("SET", "leak:%d" % n, "x" * 100) for n in range(2000)])
    time.sleep(1)
    sample()
    rows = [as_dict(row) for row in as_dict(client("MEMORY", "GROWTH"))["prefixes"]]
    assert rows[0]["prefix"] == b"leak:", rows[0]
    assert rows[0]["bytes-per-minute-1m"] > 200_000, rows[0]
    assert rows[1]["bytes-per-minute-1m"] == 0, rows[1]


def figure(client, name):
    for line in client("INFO").decode().splitlines():
        if line.startswith(name + ":"):
            return int(line.split(":")[1])
    raise AssertionError(name)


def freed_lazily(client, delete):
    """What waited before it was freed when something of 201 objects was deleted: objects."""
    client.pipeline([("SET", "s:%d" % n, "x") for n in range(200)])
    client("SADD", "set", *["m%d" % n for n in range(500)])
    client("CONFIG", "RESETSTAT")
    delete()
    end = time.time() + 5
    while client("EXISTS", "set") or figure(client, "lazyfree_pending_objects") > 0:
        assert time.time() < end
        time.sleep(0.01)
    return figure(client, "lazyfreed_objects")


def lazy(binary):
    """What the directives lazyfree-lazy-* mean: with "no" small things do not wait."""
    with Server(binary) as server:
        client = Client(server.port)

        def evict():
            client("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", 1)
            while client("DBSIZE"):
                client("SET", "one", "more")
            client("CONFIG", "SET", "maxmemory", 0)

        def over():
            client("SET", "set", "string")
            client("DEL", "set")
        ways = [
            ("user-del", 1, lambda: client("DEL", "set")),
            ("server-del", 1, over),
            ("expire", 1, lambda: client("PEXPIRE", "set", 1)),
            ("user-flush", 201, lambda: client("FLUSHALL")),
            ("eviction", 1, evict),
        ]
        for name, objects, delete in ways:
            directive = "lazyfree-lazy-" + name
            assert client("CONFIG", "SET", directive, "yes") == "OK"
            assert freed_lazily(client, delete) == objects, name
            assert client("CONFIG", "SET", directive, "no") == "OK"
            # A thread that is interrupted meanwhile leaves the rest.
            assert any(freed_lazily(client, delete) == 0 for _ in range(10)), name
        assert freed_lazily(client, lambda: client("UNLINK", "set")) == 1
        assert freed_lazily(client, lambda: client("FLUSHDB", "ASYNC")) == 201
        client("CONFIG", "SET", "lazyfree-lazy-user-flush", "yes")
        assert any(freed_lazily(client, lambda: client("FLUSHALL", "SYNC")) == 0
                   for _ in range(10))
        # What takes long waits whatever the directive says.
        for start in range(0, 200_000, 1000):
            client("SADD", "large", *["member:%d" % n for n in range(start, start + 1000)])
        assert freed_lazily(client, lambda: client("DEL", "large", "set")) >= 1
        client("FLUSHALL")


def resident(server):
    with open("/proc/%d/statm" % server.process.pid) as statm:
        return int(statm.read().split()[1]) * 4096


def returned(binary):
    """What clients and their pipelines used goes back to the system."""
    with Server(binary) as server:
        client = Client(server.port)
        client.pipeline([("SET", "key:%d" % n, "x" * 10_000) for n in range(2000)])
        time.sleep(2)
        before = resident(server)
        others = [Client(server.port) for _ in range(40)]

        def work(other):
            for _ in range(3):
                other.pipeline([("GET", "key:%d" % n) for n in range(500)])
                other.pipeline([("SET", "own:%d" % (n % 50), "y" * 10_000) for n in range(300)])
        threads = [threading.Thread(target=work, args=(other,)) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        end = time.time() + 15
        # They are still connected, with the buffers that they keep.
        bound = (before + 50 * 10_100) * 1.05 + (10 << 20)
        while resident(server) > bound:
            assert time.time() < end, (before, resident(server))
            time.sleep(0.1)
        print("  resident %d before, %d after" % (before, resident(server)))


def mapped(server):
    """Resident bytes by kind of mapping, as the kernel counts them."""
    sums, kind = {"heap": 0, "file": 0, "other": 0}, "other"
    with open("/proc/%d/smaps" % server.process.pid) as smaps:
        for line in smaps:
            words = line.split()
            if not words[0].endswith(":"):
                begin, end = (int(part, 16) for part in words[0].split("-"))
                is_file = len(words) > 5 and words[5].startswith("/")
                # Nothing else has so many addresses.
                kind = "file" if is_file else "heap" if end - begin > 1 << 34 else "other"
            elif words[0] == "Rss:":
                sums[kind] += int(words[1]) * 1024
    return sums


HEAP_ROWS = ("data.", "collection-tables", "index", "heap-")
# What else is in the heap; each has a row for what it has outside of it, too.
BESIDE = ("pubsub", "tracking", "scripts", "functions")
# What may be somewhere else than where the rows say: pages cut in pieces, threads of jemalloc.
SLACK = 768 << 10
# What jemalloc has and nobody has written, right after the start.
UNWRITTEN = 6 << 20


def owners_add_up(server, client, state):
    """The rows are the resident memory, in sum and by mapping; answers them."""
    for _ in range(20):
        stats, kernel = as_dict(client("MEMORY", "STATS")), mapped(server)
        rows = {name[6:]: bytes for name, bytes in stats.items() if name.startswith("owner.")}
        resident, total = server.resident(), sum(rows.values())
        by_mapping = {
            "heap": sum(bytes for name, bytes in rows.items() if name.startswith(HEAP_ROWS) or name in BESIDE),
            "file": rows["process-program"],
        }
        by_mapping["other"] = total - sum(by_mapping.values())
        unknown = rows["process-other"]
        is_right = abs(total - resident) <= resident * 0.02 and unknown <= resident * 0.02 + SLACK
        # jemalloc's own tables, buffers of the start, and room that clients have for queries.
        room = sum(int(part[10:]) for part in client("CLIENT", "LIST").split()
                   if part.startswith(b"qbuf-free="))
        is_right &= rows["allocator-unwritten"] > -(UNWRITTEN + room + resident * 0.02)
        for kind, bytes in by_mapping.items():
            is_right &= abs(bytes - kernel[kind]) <= kernel[kind] * 0.02 + SLACK
        if is_right:
            break
        # Free pages go back while one looks.
        time.sleep(0.5)
    assert is_right, (state, total, resident, by_mapping, kernel, rows)
    print("  %s: owners %d, resident %d, ratio %.4f; heap %.4f" % (
        state, total, resident, total / resident, by_mapping["heap"] / max(kernel["heap"], 1)))
    print("    jemalloc unwritten %d, unknown %d" % (rows["allocator-unwritten"], unknown))
    parts_add_up(stats, rows)
    return rows


def parts_add_up(stats, rows):
    """Databases are parts of the rows of data, of tables and of deadlines."""
    def part(end):
        names = [name for name in stats if name.startswith("part.db.") and name.endswith(end)]
        return sum(stats[name] for name in names)
    collections = rows["collection-tables"] + rows["collection-outside"]
    data = sum(bytes for name, bytes in rows.items() if name.startswith("data."))
    assert part(".data") == data + collections, (stats, rows)
    assert part(".expiry-index") == rows["expiry-index"], (stats, rows)


def populate(client):
    """Some 300 MB in keys of all types, a half of them with a deadline."""
    for part in range(100):
        batch = []
        for n in range(part * 2000, part * 2000 + 2000):
            deadline = ("PX", 3_600_000 + n) if n % 2 else ()
            batch.append(("SET", "string:%d" % n, "x" * (n % 2000), *deadline))
            if n % 10 == 0:
                batch += [
                    ("RPUSH", "list:%d" % n, *range(n % 150 + 1)),
                    ("HSET", "hash:%d" % n, *range(2 * (n % 100 + 1))),
                    ("SADD", "set:%d" % n, *["m%d" % m for m in range(n % 200 + 1)]),
                    ("ZADD", "zset:%d" % n, *range(2 * (n % 100 + 1))),
                    ("XADD", "stream:%d" % n, "*", "field", "v" * 100),
                    ("EXPIRE", "hash:%d" % n, 5000), ("EXPIRE", "zset:%d" % n, 5000)]
            if n % 1000 == 0:
                batch.append(("SET", "large:%d" % n, "y" * 300_000))
        client.pipeline(batch)
    for n in range(30):
        client.pipeline([("HSET", "wide:h%d" % n, *range(4000)),
                         ("ZADD", "wide:z%d" % n, *range(4000)),
                         ("SADD", "wide:s%d" % n, *["m%d" % m for m in range(4000)])])


def owners_of_data(binary):
    with Server(binary, "--io-threads", 2, "--activedefrag", "no") as server:
        client = Client(server.port)
        rows = owners_add_up(server, client, "empty")
        # What threads keep for later is not taken for something that is in use.
        assert rows["allocator-caches"] > 0 and rows["allocator-other"] < 1 << 20, rows
        assert client("PARTITION", "CREATE", "wide", "PREFIX", "wide:") == "OK"
        populate(client)
        client.pipeline([("SELECT", 3), ("SETBIT", "bits", 8 * (64 << 20), 1), ("SELECT", 0)])
        rows = owners_add_up(server, client, "data")
        # What a key takes outside of the heap is known, too.
        assert rows["allocator-other"] < 8 << 20, rows
        stats = as_dict(client("MEMORY", "STATS"))
        assert stats["part.db.3.data"] > 64 << 20, stats
        assert stats["part.partition.wide.data"] > 4_000_000, stats
        client.pipeline([("DEL", "string:%d" % n) for n in range(200_000) if n % 5])
        owners_add_up(server, client, "holes")
        said = client("MEMORY", "DOCTOR")
        assert b"Fragmentation that moving repairs" in said and b"activedefrag yes" in said, said
        client("FLUSHALL")
        # It waits to be freed: that has a row, too.
        owners_add_up(server, client, "being freed")
        end = time.time() + 20
        while server.resident() > 60 << 20:
            assert time.time() < end, server.resident()
            time.sleep(0.1)
        owners_add_up(server, client, "freed after a peak")


def owners_of_clients(binary):
    limits = ("--client-output-buffer-limit", "normal 0 0 0 pubsub 0 0 0")
    with Server(binary, "--io-threads", 2, *limits) as server:
        client = Client(server.port)
        client("SET", "value", "x" * 200_000)
        others = [Client(server.port) for _ in range(500)]
        for number, other in enumerate(others):
            kind = number % 5
            if kind == 0:
                other("SUBSCRIBE", "news", "news:%d" % number)
            elif kind == 1:
                other("CLIENT", "TRACKING", "ON")
                other.pipeline([("GET", "key:%d:%d" % (number, n)) for n in range(100)])
            elif kind == 2:
                other.raw(b"".join([b"GET value\r\n"] * 30))
            elif kind == 3:
                other.raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" + b"y" * 300_000)
            else:
                other.pipeline([("MULTI",), *[("SET", "key:%d" % n, "z" * 1000) for n in range(50)]])
        for _ in range(40):
            client("PUBLISH", "news", "m" * 100_000)
        rows = owners_add_up(server, client, "clients")
        # Each of a hundred values has arrived to a third.
        assert 95 << 20 < rows["heap-arriving"] < 105 << 20, rows
        assert -(80 << 20) < rows["heap-unwritten"] < -(60 << 20), rows
        assert 5 << 20 < rows["clients-normal"] < 50 << 20 and rows["tracking"] > 100_000, rows
        for other in others:
            other.close()
        owners_add_up(server, client, "clients gone")


def owners_of_scripts(binary):
    with Server(binary, "--io-threads", 2) as server:
        client = Client(server.port)
        for n in range(2000):
            body = "local t = {} for i = 1, %d do t[i] = i end return #t" % n
            assert client("EVAL", body, 0) == n
            library = ("#!lua name=l%d\nlocal function f(keys, args) return %d end\n"
                       "redis.register_function('f%d', f)" % (n, n, n))
            client("FUNCTION", "LOAD", library)
            assert client("FCALL", "f%d" % n, 0) == n
        rows = owners_add_up(server, client, "scripts")
        assert rows["scripts"] > 50_000 and rows["functions"] > 200_000, rows
        assert rows["scripts-outside"] > 50_000 and rows["functions-outside"] > 100_000, rows
        assert rows["interpreters"] > 1 << 20, rows
        kept = figure(client, "used_memory_functions")
        held = rows["functions"] + rows["functions-outside"]
        # Blocks have headers, and there is a list of them.
        assert kept < held < kept * 1.2, (kept, held)
        clean(audit(client))
        dump = client("FUNCTION", "DUMP")
        assert client("FUNCTION", "FLUSH") == "OK"
        assert as_dict(client("MEMORY", "STATS"))["owner.functions"] == 0
        assert client("FUNCTION", "RESTORE", dump) == "OK"
        assert as_dict(client("MEMORY", "STATS"))["owner.functions"] == rows["functions"]


def libraries(binary):
    """Sources of libraries move, and functions are what they were."""
    with Server(binary, "--active-defrag-ignore-bytes", "1mb") as server:
        client, numbers = Client(server.port), range(2000)
        text = "#!lua name=l%d\nredis.register_function('f%d', function() return %d end) --%s"
        client.pipeline([("FUNCTION", "LOAD", text % (n, n, n, "x" * (n * 7 % 20_000)))
                         for n in numbers])
        inside = as_dict(client("MEMORY", "STATS"))["owner.functions"]
        assert inside > 10 << 20, inside
        client.pipeline([("FUNCTION", "DELETE", "l%d" % n) for n in numbers if n % 4])
        end = time.time() + 20
        while figure(client, "mem_heap_holes") > 2 << 20:
            assert time.time() < end, client("MEMORY", "DEFRAG", "STATUS")
            time.sleep(0.1)
        assert figure(client, "active_defrag_hits") > 100
        clean(audit(client))
        dump = client("FUNCTION", "DUMP")
        assert client("FUNCTION", "RESTORE", dump, "FLUSH") == "OK"
        for n in numbers[::4]:
            assert client("FCALL", "f%d" % n, 0) == n
        assert client("FUNCTION", "FLUSH") == "OK"
        assert as_dict(client("MEMORY", "STATS"))["owner.functions"] == 0


def subscriptions(binary):
    """Channels that somebody listens to lie in the heap: they move, and their memory comes back."""
    count, options = 200_000, ("--io-threads", 2, "--active-defrag-ignore-bytes", "1mb")
    with Server(binary, *options) as server:
        client, listener = Client(server.port), Client(server.port)

        def each(word, names):
            for at in range(0, len(names), 500):
                listener.send(word, *names[at:at + 500])
                for name in names[at:at + 500]:
                    assert listener.read()[1] == name.encode()

        def pubsub():
            stats = as_dict(client("MEMORY", "STATS"))
            return stats["owner.pubsub"], stats["owner.pubsub-outside"]

        names = ["channel:%d" % n for n in range(count)]
        before, used = resident(server), figure(client, "used_memory")
        each("SUBSCRIBE", names)
        inside, outside = pubsub()
        assert figure(client, "used_memory") - used > inside, (used, inside)
        print("  %d bytes a channel in the heap, %d outside" % (inside // count, outside // count))
        # Its name twice, for the channel and for the client, and an entry in a table for each.
        assert 60 * count < inside < 90 * count and outside < 20 * count, (inside, outside)
        random.Random(1).shuffle(names)
        gone, left = names[:count * 3 // 4], names[count * 3 // 4:]
        each("UNSUBSCRIBE", gone)
        end = time.time() + 30
        while resident(server) - before > 100 * len(left) + (4 << 20):
            assert time.time() < end, (before, resident(server), client("MEMORY", "DEFRAG", "STATUS"))
            time.sleep(0.1)
        assert figure(client, "active_defrag_hits") > 0
        for name in left[:500]:
            assert client("PUBLISH", name, "text") == 1
            assert listener.read() == [b"message", name.encode(), b"text"]
        assert client("PUBLISH", gone[0], "text") == 0
        scripts = ["return '%d'" % n for n in range(1000)]
        client.pipeline([("EVAL", script, "0") for script in scripts])
        clean(audit(client))
        each("UNSUBSCRIBE", left)
        assert pubsub()[0] == 0 and pubsub()[1] < 200_000, pubsub()
        assert client("PUBSUB", "CHANNELS") == []


def tracked(binary):
    """What is remembered of clients that keep copies of keys lies in the heap, too."""
    count = 100_000
    with Server(binary, "--io-threads", 2, "--active-defrag-ignore-bytes", "1mb") as server:
        client, reader = Client(server.port), Client(server.port)
        reader("HELLO", "3")
        assert reader("CLIENT", "TRACKING", "ON") == "OK"
        for at in range(0, count, 1000):
            reader.pipeline([("GET", "key:%d" % n) for n in range(at, at + 1000)])

        def tracking():
            stats = as_dict(client("MEMORY", "STATS"))
            return stats["owner.tracking"], figure(client, "tracking_total_keys")

        inside, keys = tracking()
        print("  %d bytes a key" % (inside // count))
        assert keys == count and 30 * count < inside < 50 * count, (inside, keys)
        numbers = list(range(count))
        random.Random(2).shuffle(numbers)

        def change(numbers):
            for at in range(0, len(numbers), 500):
                client.pipeline([("DEL", "key:%d" % n) for n in numbers[at:at + 500]])

        # A key that is not there does not change: only writes tell.
        change(numbers)
        assert tracking()[1] == count
        for at in range(0, count, 1000):
            client.pipeline([("SET", "key:%d" % n, "") for n in numbers[at:at + 1000][:750]])
        end = time.time() + 20
        while figure(client, "mem_heap_holes") > 3 << 20:
            assert time.time() < end, client("MEMORY", "DEFRAG", "STATUS")
            time.sleep(0.1)
        assert tracking()[0] < 50 * count // 4 + 100_000 and tracking()[1] == count // 4
        invalid = {reader.read()[1][0] for _ in range(count * 3 // 4)}
        assert len(invalid) == count * 3 // 4
        clean(audit(client))

        def void(forget, many):
            """What is forgotten is no key any more at once, counts until it is freed, and is no leak."""
            for at in range(0, many, 1000):
                reader.pipeline([("GET", "new:%d" % n) for n in range(at, at + 1000)])
            assert tracking()[0] > 30 * many and tracking()[1] >= many
            assert forget() == "OK"
            assert figure(client, "tracking_total_keys") == figure(client, "tracking_total_items") == 0
            clean(audit(client))
            end = time.time() + 5
            while tracking()[0] > 0:
                assert time.time() < end, tracking()
                time.sleep(0.01)
        void(lambda: client("FLUSHALL"), 300_000)
        assert reader.read() == [b"invalidate", None]
        void(lambda: reader("CLIENT", "TRACKING", "OFF"), 50_000)


def main():
    binary = sys.argv[1]
    owners = (owners_of_data, owners_of_clients, owners_of_scripts)
    for test in (planted, sent, surveys, lazy, returned, busy, subscriptions, tracked, libraries, *owners):
        print(test.__name__, flush=True)
        test(binary)


if __name__ == "__main__":
    main()
