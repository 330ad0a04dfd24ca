"""How memory behaves over time: scenarios for Ebb and redis-server, or for a server that runs.

usage: bench.py memory [--quick] [--server HOST:PORT] [--out DIR] [SCENARIO ...]

Each scenario prints what was resident at its marks, beside the bytes of keys and values that
were live then, and DIR gets a picture (SVG) and the samples (CSV) of each. With --server the
scenarios run against that server alone, whatever it is; all of its data is deleted.
"""
import argparse
import bisect
import contextlib
import os
import random
import socket
import sys
import threading
import time

from support import Client, Probe, Process, encode, percentile, pipelined

SAMPLE_S = 0.05


class Remote:
    """A server that runs already."""

    kind = "server"

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        if host not in ("", "127.0.0.1", "localhost"):
            raise SystemExit("--server: only servers on this machine, at 127.0.0.1:PORT")
        self.port = int(port)

    def client(self):
        return Client(self.port, timeout=600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client()("FLUSHALL")


def info(client, section):
    lines = client("INFO", section).decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


class Watch(threading.Thread):
    """Samples a server's memory: seconds, bytes resident, bytes used."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.client = server, server.client()
        self.samples, self.marks, self.running = [], [], True
        self.start_s = time.time()

    def sample(self):
        memory = info(self.client, "memory")
        resident = int(memory["used_memory_rss"])
        if hasattr(self.server, "resident"):
            resident = self.server.resident()
        now = (time.time() - self.start_s, resident, int(memory["used_memory"]))
        self.samples.append(now)
        return now

    def run(self):
        while self.running:
            self.sample()
            time.sleep(SAMPLE_S)

    def mark(self, name, payload):
        """Remembers what is resident now; `payload` are the live bytes of keys and values."""
        resident = self.samples[-1][1] if self.samples else 0
        if hasattr(self.server, "resident"):
            resident = self.server.resident()
        self.marks.append((time.time() - self.start_s, name, resident, payload))

    def finish(self):
        self.running = False
        self.join()


def set_all(client, items, batch=500):
    for first in range(0, len(items), batch):
        pipelined(client, [(b"SET", key, value) for key, value in items[first:first + batch]])


def delete_all(client, keys, batch=500):
    for first in range(0, len(keys), batch):
        pipelined(client, [(b"DEL", *keys[first:first + batch])])


def settle(watch, payload, seconds=(0, 1, 5, 10)):
    start = time.time()
    for at in seconds:
        time.sleep(max(0, start + at - time.time()))
        watch.mark("+%d s" % at, payload)


def churn(server, watch, scale):
    """1,000,000 keys of 50-500 B, of which 75% are deleted at random."""
    client, dice = server.client(), random.Random(1)
    items = [(b"key:%d" % n, b"x" * dice.randint(50, 500)) for n in range(int(1_000_000 * scale))]
    set_all(client, items)
    watch.mark("full", sum(len(key) + len(value) for key, value in items))
    dice.shuffle(items)
    kept = len(items) // 4
    delete_all(client, [key for key, _ in items[kept:]])
    settle(watch, sum(len(key) + len(value) for key, value in items[:kept]))


def shift(server, watch, scale):
    """Values of 130 B, 90% of which are rewritten as 90 B, then as 200 B."""
    client, dice = server.client(), random.Random(2)
    keys = [b"key:%d" % n for n in range(int(1_000_000 * scale))]
    sizes = dict.fromkeys(keys, 130)
    set_all(client, [(key, b"x" * 130) for key in keys])
    payload = lambda: sum(len(key) + size for key, size in sizes.items())  # noqa: E731
    watch.mark("130 B", payload())
    for size in (90, 200):
        chosen = dice.sample(keys, len(keys) * 9 // 10)
        sizes.update(dict.fromkeys(chosen, size))
        set_all(client, [(key, b"x" * size) for key in chosen])
        watch.mark("%d B" % size, payload())
        time.sleep(3)
    settle(watch, payload(), (0, 5))


def half(kind):
    def add(ns):
        member = [b"member:%d" % n for n in ns]
        value = [b"value:%d" % n for n in ns]
        key = b"big:%d" % (ns[0] // 100_000)
        pairs = [part for pair in zip(member, value) for part in pair]
        if kind == "stream":
            return [(b"XADD", key, b"%d-1" % (n + 1), b"f", b"value:%d" % n) for n in ns]
        return [{"hash": (b"HSET", key, *pairs), "set": (b"SADD", key, *member),
                 "zset": (b"ZADD", key, *(part for n in ns for part in (b"%d" % (n * 7919 % 1_000_003), b"member:%d" % n))),
                 "list": (b"RPUSH", key, *value)}[kind]]

    def remove(ns):
        gone = [n for n in ns if n * 2654435761 & 65536]
        member = [b"member:%d" % n for n in gone]
        key = b"big:%d" % (ns[0] // 100_000)
        if kind == "stream":
            return [(b"XDEL", key, *(b"%d-1" % (n + 1) for n in gone))]
        if kind == "list":
            return [(b"LPOP" if ns[0] // 200 % 2 else b"RPOP", key, b"%d" % len(gone))]
        return [({"hash": b"HDEL", "set": b"SREM", "zset": b"ZREM"}[kind], key, *member)]

    def scenario(server, watch, scale):
        client, count = server.client(), int(2_000_000 * scale)
        parts = [range(first, first + 200) for first in range(0, count, 200)]
        for ns in parts:
            pipelined(client, [c for c in add(ns) if len(c) > 2])
        size = {"hash": 26, "stream": 14}.get(kind, 14)
        watch.mark("full", count * size)
        for ns in parts:
            client.raw(b"".join(encode(command) for command in remove(ns)))
            for _ in remove(ns):
                client.read()
        # What an idle server's client sees at the same time is the machine's doing.
        with contextlib.nullcontext() if server.kind == "server" else Process("redis") as idle:
            probes = [Probe(one.port, "GET", "nothing") for one in (server, idle) if one]
            for probe in probes:
                probe.start()
            settle(watch, count * size // 2, (0, 5, 15, 30))
            times = [percentile(probe.finish(), 99) for probe in probes]
        memory = info(client, "memory")
        return "allocator_frag_ratio %s, probing client p99 %.2f ms%s" % (
            memory.get("allocator_frag_ratio", "?"), times[0],
            " (of an idle server %.2f)" % times[1] if idle else "")
    scenario.__doc__ = "%d collections (%s), half of whose elements are deleted." % (20, kind)
    return scenario


def pubsub(server, watch, scale):
    """200,000 channels subscribed to by 100 clients, half of which leave."""
    clients = [server.client() for _ in range(100)]
    each = int(2000 * scale)
    for number, client in enumerate(clients):
        channels = [b"channel:%d:%d" % (number, n) for n in range(each)]
        client.raw(encode((b"SUBSCRIBE", *channels)))
        for _ in channels:
            client.read()
    watch.mark("full", 100 * each * 16)
    for client in clients[::2]:
        client.close()
    settle(watch, 50 * each * 16)
    for client in clients[1::2]:
        client.close()


def expiry(server, watch, scale):
    """1,000,000 keys of 64 B that expire within one second."""
    client = server.client()
    count = int(1_000_000 * scale)
    due = int(time.time() * 1000) + int(20_000 * max(scale, 0.3))
    for first in range(0, count, 500):
        pipelined(client, [(b"SET", b"key:%d" % n, b"v" * 64, b"PXAT", b"%d" % (due + n % 1000))
                           for n in range(first, min(first + 500, count))])
    watch.mark("full", count * 74)
    time.sleep(max(0, due / 1000 + 1 - time.time()))
    settle(watch, 0, (0, 1, 2, 5))


class Zipf:
    """Ranks 0 to count - 1, drawn by Zipf's law with exponent 0.99."""

    def __init__(self, count, seed):
        self.dice, total, self.sums = random.Random(seed), 0.0, []
        for rank in range(1, count + 1):
            total += rank ** -0.99
            self.sums.append(total)

    def draw(self):
        return bisect.bisect_left(self.sums, self.dice.random() * self.sums[-1])


def eviction(server, watch, scale):
    """A cache for 10% of 1,000,000 keys of 200 B under Zipf 0.99: look aside, set on a miss."""
    client, count = server.client(), int(1_000_000 * scale)
    limit = int(count * 0.1 * 300)
    base = int(info(client, "memory")["used_memory"])
    client("CONFIG", "SET", "maxmemory", str(base + limit), "maxmemory-policy", "allkeys-lfu")
    zipf, hits, reads = Zipf(count, 3), 0, 0
    for _ in range(int(2_000_000 * scale) // 500):
        keys = [b"key:%d" % (zipf.draw() * 7919 % count) for _ in range(500)]
        client.raw(b"".join(encode((b"STRLEN", key)) for key in keys))
        found = [client.read() for _ in keys]
        missing = [(key, b"x" * 200) for key, length in zip(keys, found) if not length]
        reads += len(keys)
        hits += len(keys) - len(missing)
        set_all(client, missing)
    settle(watch, int(info(client, "keyspace").get("db0", "keys=0").split("=")[1].split(",")[0]) * 210, (0, 5))
    client("CONFIG", "SET", "maxmemory", "0")
    return "hit ratio %.1f%%" % (100 * hits / reads)


def trickle(server, watch, scale):
    """10 KB values with keys of 100 B from 40 clients at full speed, then deleted; then a trickle."""
    count = int(50_000 * scale)
    value = b"x" * 10_240

    def write(number):
        client = server.client()
        for n in range(number, count, 40):
            pipelined(client, [(b"SET", b"%0100d" % n, value)])
        client.close()
    writers = [threading.Thread(target=write, args=(number,)) for number in range(40)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    watch.mark("full", count * 10_340)
    client = server.client()
    delete_all(client, [b"%0100d" % n for n in range(count)], 100)
    start = time.time()
    for at in (0, 1, 5, 10):
        while time.time() < start + at:
            client("SET", "trickle", value)
            time.sleep(0.02)
        watch.mark("+%d s" % at, 10_340)


def flushall(server, watch, scale):
    """2,000,000 keys of 100 B, then FLUSHALL."""
    client, count = server.client(), int(2_000_000 * scale)
    for first in range(0, count, 1000):
        set_all(client, [(b"key:%d" % n, b"x" * 100) for n in range(first, first + 1000)])
    watch.mark("full", count * 110)
    client("FLUSHALL")
    settle(watch, 0, (0, 1, 2))


SCENARIOS = {"churn": churn, "shift": shift, **{"half-" + kind: half(kind) for kind in ("hash", "list", "set", "zset", "stream")},
             "pubsub": pubsub, "expiry": expiry, "eviction": eviction, "trickle": trickle, "flushall": flushall}
COLOURS = {"ebb": "#0b7285", "redis": "#c92a2a", "server": "#0b7285"}


def draw(name, what, watches, path):
    """A picture of resident memory over time, one line for each server."""
    width, height, left, bottom = 720, 320, 60, 40
    longest = max(watch.samples[-1][0] for watch in watches.values())
    most = max(sample[1] for watch in watches.values() for sample in watch.samples) or 1
    x = lambda s: left + s / longest * (width - left - 20)  # noqa: E731
    y = lambda b: height - bottom - b / most * (height - bottom - 40)  # noqa: E731
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">' % (width, height),
             '<rect width="100%" height="100%" fill="white"/>',
             '<text x="%d" y="20" font-size="14">%s: %s</text>' % (left, name, what)]
    for step in range(5):
        level = most * step / 4
        parts.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>' % (left, width - 20, y(level), y(level)))
        parts.append('<text x="4" y="%.1f">%d MB</text>' % (y(level) + 4, level / 1e6))
    parts.append('<text x="%d" y="%d">%.0f s</text>' % (width - 50, height - 12, longest))
    for place, (kind, watch) in enumerate(watches.items()):
        points = " ".join("%.1f,%.1f" % (x(at), y(resident)) for at, resident, _ in watch.samples)
        parts.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>' % (COLOURS[kind], points))
        parts.append('<text x="%d" y="%d" fill="%s">%s</text>' % (left + place * 80, height - 12, COLOURS[kind], kind))
    parts.append("</svg>")
    with open(path, "w") as picture:
        picture.write("\n".join(parts))


def main(argv):
    parser = argparse.ArgumentParser(prog="bench.py memory", description=__doc__.split("\n")[0])
    parser.add_argument("scenarios", nargs="*", help=", ".join(SCENARIOS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the data")
    parser.add_argument("--server", help="HOST:PORT of a server on this machine whose data may go")
    parser.add_argument("--out", default=os.path.join("target", "memory-bench"))
    options = parser.parse_args(argv)
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error("no such scenario: %s" % ", ".join(unknown))
    os.makedirs(options.out, exist_ok=True)
    for name in options.scenarios or SCENARIOS:
        scenario, watches = SCENARIOS[name], {}
        print("== %s: %s" % (name, scenario.__doc__), flush=True)
        for kind in ["server"] if options.server else ["redis", "ebb"]:
            with Remote(options.server) if options.server else Process(kind, cores="0,1") as server:
                watch = watches[kind] = Watch(server)
                watch.start()
                said = scenario(server, watch, 0.1 if options.quick else 1)
                watch.finish()
                for _, mark, resident, payload in watch.marks:
                    ratio = "%.2f of live payload" % (resident / payload) if payload > 1e6 else ""
                    print("%-6s %-6s %8.1f MB resident  %s" % (kind, mark, resident / 1e6, ratio), flush=True)
                if said:
                    print("%-6s %s" % (kind, said), flush=True)
            with open(os.path.join(options.out, "%s-%s.csv" % (name, kind)), "w") as table:
                table.write("seconds,resident,used\n")
                table.writelines("%.3f,%d,%d\n" % sample for sample in watch.samples)
        draw(name, scenario.__doc__.replace("&", "and"), watches, os.path.join(options.out, name + ".svg"))
    print("pictures and samples are in %s" % options.out)


if __name__ == "__main__":
    main(sys.argv[1:])
