#!/usr/bin/env python3
"""Ebb beside Debian's redis-server and the socket limit (floor.c), as ratios from one run.

usage: bench.py [--quick] [cpu] [threads] [keys] [flush] [grow] [expire] [eviction] [types] [elements] [stalls]
       bench.py memory [--quick] [--server HOST:PORT] [--out DIR] [SCENARIO ...]

The first form prints ratios; the second runs the scenarios of memory_bench.py and draws them.

A server runs on core 0 and the load on core 1. What is quoted is the server's own CPU time for
an operation (from /proc/PID/task/*/schedstat), which does not depend on how fast the load runs;
the servers take turns of a second or less, and the median of a server's turns counts.
"""
import argparse
import contextlib
import os
import statistics
import sys
import time

import eviction
import support
from support import Probe, Process, Table, encode, fill, load
import collections_bench
import memory_bench

LOADS = [  # name, test, pipeline, value bytes, requests, keys, goal to redis, goal to floor
    ("GET, pipeline 32", "get", 32, 64, 2_000_000, 1_000_000, 0.25, None),
    ("SET, pipeline 32", "set", 32, 64, 2_000_000, 1_000_000, 0.25, None),
    ("GET, pipeline 1", "get", 1, 64, 200_000, 1_000_000, 0.85, 1.05),
    ("SET, pipeline 1", "set", 1, 64, 200_000, 1_000_000, 0.85, 1.05),
    ("SET 10 KB", "set", 1, 10240, 100_000, 20_000, 0.75, None),
    ("GET 10 KB", "get", 1, 10240, 100_000, 20_000, 0.75, None),
]


TURNS = 8  # What disturbs the machine for some seconds disturbs every server alike.


def turns(servers, test, pipeline, size, requests, keys, core="1"):
    """Lists of the CPU microseconds of an operation by server, each serving the load in turn."""
    times = {kind: [] for kind in servers}
    for _ in range(TURNS):
        for kind, server in servers.items():
            times[kind].append(load(server, test, requests // TURNS, pipeline, size, keys, core))
    return times


def bench_cpu(table, scale):
    for name, test, pipeline, size, requests, keys, to_redis, to_floor in LOADS:
        # What the floor program answers to a GET is short whatever was set.
        kinds = ["redis", "ebb"] if (test, size) == ("get", 10240) else ["floor", "redis", "ebb"]
        used = {kind: [] for kind in kinds}
        for _ in range(1 if scale < 1 else 3):
            with contextlib.ExitStack() as stack:
                servers = {kind: stack.enter_context(Process(kind)) for kind in kinds}
                # The keys must exist, and the memory of their values must not be fresh; the floor
                # program does not take values of 10 KB at pipeline 32.
                depth = 32 if size == 64 else 1
                turns(servers, "set", depth, size, int(max(2 * keys, requests) * scale), keys)
                times = turns(servers, test, pipeline, size, int(requests * scale), keys)
            for kind in kinds:
                used[kind] += times[kind]
        median = {kind: statistics.median(used[kind]) for kind in kinds}
        text = "  ".join("%s %.3f us" % item for item in median.items())
        table.add(name + " / redis", median["ebb"] / median["redis"], to_redis, text)
        if "floor" in median:
            table.add(name + " / floor", median["ebb"] / median["floor"], to_floor, text)


def bench_threads(table, scale):
    """CPU time with two workers, which share both cores with the load, against one. While one is
    enough the other rests; the last figure is that of two which both serve in any case."""
    kinds = {"one": (1, ()), "two": (2, ()), "both": (2, ("--io-threads-always-active", "yes"))}
    for name, test, pipeline, size, requests, keys, _, _ in LOADS[:4]:
        used = {kind: [] for kind in kinds}
        for _ in range(1 if scale < 1 else 3):
            with contextlib.ExitStack() as stack:
                servers = {kind: stack.enter_context(Process("ebb", threads, "0,1", options))
                           for kind, (threads, options) in kinds.items()}
                turns(servers, "set", 32, size, int(keys * 2 * scale), keys, "0,1")
                times = turns(servers, test, pipeline, size, int(requests * scale), keys, "0,1")
                for kind in kinds:
                    used[kind] += times[kind]
        one, two, both = (statistics.median(used[kind]) for kind in kinds)
        table.add(name + ", 2 threads / 1", two / one, 1.15, "%.3f us, %.3f us" % (two, one))
        table.add(name + ", both serving / 1", both / one, None, "%.3f us" % both)


SHAPES = [  # name, keys, key format, value, goal
    ("16 B key, 8-digit value", 2_000_000, b"key:%012d", lambda n: b"%d" % (10_000_000 + n), 16),
    ("16 B key, 32 B value", 2_000_000, b"key:%012d", lambda n: b"v" * 32, 20),
    ("16 B key, 100 B value", 1_000_000, b"key:%012d", lambda n: b"v" * 100, 20),
    ("100 B key, 10 KB value", 50_000, b"k" * 92 + b"%08d", lambda n: b"v" * 10_240, 70),
]


def bench_keys(table, scale):
    with Process("ebb") as server:
        server.client()("PING")
        time.sleep(0.5)
        table.add("empty server, MB resident", server.resident() / 2**20, 8, "one thread")
    for name, keys, key, value, goal in SHAPES:
        keys = int(keys * scale)
        used = {}
        for kind in ("redis", "ebb"):
            with Process(kind) as server:
                start = server.resident()
                payload = fill(server.port, keys, key, value)
                time.sleep(1.5)
                used[kind] = (server.resident() - start - payload) / keys
        text = "bytes a key beyond key and value; redis %.1f" % used["redis"]
        table.add(name, used["ebb"], goal, text)


def watch_return(server, start, full, seconds=1.0):
    """The share of memory, in percent, that is back after a second."""
    time.sleep(seconds)
    return (full - server.resident()) / (full - start) * 100


def bench_flush(table, scale):
    keys = int(4_000_000 * scale)
    with Process("ebb") as server:
        client = server.client()
        for how in ("FLUSHALL", "DEL"):
            start = server.resident()
            fill(server.port, keys, b"key:%012d", lambda n: b"v" * 80)
            full = server.resident()
            before = time.time()
            if how == "FLUSHALL":
                client("FLUSHALL")
                took = (time.time() - before) * 1000
                table.add("FLUSHALL of %d MB, ms" % ((full - start) >> 20), took, 5, "until the reply")
            else:
                for first in range(0, keys, 1000):
                    batch = [encode((b"DEL", b"key:%012d" % n))
                             for n in range(first, min(first + 1000, keys))]
                    client.raw(b"".join(batch))
                    for _ in batch:
                        client.file.readline()
            back = watch_return(server, start, full)
            table.add("not back 1 s after %s, %%" % how, 100 - back, 5,
                      "%d MB before, %d MB after" % (full >> 20, server.resident() >> 20))


def slow_sets(keys):
    """Milliseconds of the SETs that took 0.5 or more while the table grew, by key."""
    options = ["--slowlog-log-slower-than", "500", "--slowlog-max-len", "100000", "--hash-seed", "ebb"]
    with Process("ebb", options=options) as server:
        fill(server.port, keys, b"key:%012d", lambda n: b"v", batch=5000)
        entries = server.client()("SLOWLOG", "GET", "-1")
        return {int(entry[3][1][4:]): entry[2] / 1000 for entry in entries}


def bench_grow(table, scale):
    """The slowest command while the table grows, by the server's own clock. With the same hash
    seed the table does the same at the same key, while a busy machine disturbs here and there:
    what counts is slow at the same key in each of three runs, and as slow as in the fastest."""
    keys = int(10_000_000 * scale)
    os.sched_setaffinity(0, {1})
    first, *others = (slow_sets(keys) for _ in range(3))

    def near(run, key):
        # A group of commands is timed as one, and shows one of its keys.
        return max((run[k] for k in range(key - 16, key + 17) if k in run), default=0.5)
    slowest = max((min(ms, *(near(run, key) for run in others)) for key, ms in first.items()), default=0.5)
    text = "same key in 3 runs; of %d SETs over 0.5 ms: %s" % (
        keys, ", ".join("%d, worst %.1f" % (len(run), max(run.values(), default=0)) for run in (first, *others)))
    table.add("slowest SET while growing, ms", slowest, 2, text)


def bench_expire(table, scale):
    keys = int(1_000_000 * scale)
    with Process("ebb", cores="0,1") as server:
        client = server.client()
        start = server.resident()
        due = int(time.time() * 1000) + 14_000
        for first in range(0, keys, 1000):
            batch = [encode((b"SET", b"key:%012d" % n, b"v" * 64, b"PXAT", b"%d" % (due + n % 1000)))
                     for n in range(first, min(first + 1000, keys))]
            client.raw(b"".join(batch))
            for _ in batch:
                client.file.readline()
        full = server.resident()
        if time.time() * 1000 > due:
            raise RuntimeError("filling took longer than the keys live")
        time.sleep(max(0, due / 1000 - time.time() - 0.5))
        probe = Probe(server.port, "GET", "nothing")
        probe.start()
        while client("DBSIZE") > 0:
            time.sleep(0.01)
        gone = time.time() - due / 1000 - 1
        while server.resident() - start > (full - start) * 0.05 and time.time() < due / 1000 + 10:
            time.sleep(0.01)
        back = time.time() - due / 1000 - 1
        times = probe.finish()
        table.add("last of %d keys gone, s late" % keys, gone, 2, "")
        table.add("95%% of %d MB back, s late" % ((full - start) >> 20), back, 2, "")
        table.add("GET meanwhile, p99 ms", times[int(len(times) * 0.99)], 2, "%d GETs" % len(times))


def bench_eviction(table, scale):
    eviction.bench(support, table, scale)


SECTIONS = {"cpu": bench_cpu, "threads": bench_threads, "keys": bench_keys,
            "flush": bench_flush, "grow": bench_grow, "expire": bench_expire, "eviction": bench_eviction,
            **collections_bench.SECTIONS}


def main():
    if sys.argv[1:2] == ["memory"]:
        return memory_bench.main(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the load, one round")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error("no such section: %s" % ", ".join(unknown))
    table = Table()
    for name in options.sections or SECTIONS:
        print("== %s" % name, flush=True)
        SECTIONS[name](table, 0.1 if options.quick else 1)
    short = sum(1 for row in table.rows if row[3] == "SHORT")
    print("%d figures, %d fall short of their goal" % (len(table.rows), short))


if __name__ == "__main__":
    main()
