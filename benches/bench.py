#!/usr/bin/env python3
"""Ebb beside Debian's redis-server and the socket limit (floor.c), as ratios from one run.

usage: bench.py [--quick] [cpu] [threads] [memory] [flush] [grow] [expire] [eviction]

A server runs on core 0 and the load on core 1. What is quoted is the server's own CPU time for
an operation (from /proc/PID/task/*/schedstat), which does not depend on how fast the load runs;
rounds of the servers alternate, and the median of a server's rounds counts.
"""
import argparse
import glob
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "support")]
import eviction  # noqa: E402
from resp import Client, encode, free_port  # noqa: E402

EBB = os.path.join(ROOT, "target", "dist", "ebb")
FLOOR = os.path.join(ROOT, "target", "floor")


class Process:
    """A server on some cores."""

    def __init__(self, kind, threads=1, cores="0", options=()):
        self.kind, self.port, self.dir = kind, free_port(), tempfile.mkdtemp()
        command = {
            "ebb": [EBB, "server", "--io-threads", str(threads), "--save", ""],
            "redis": ["redis-server", "--save", "", "--appendonly", "no"],
            "floor": [FLOOR],
        }[kind]
        argv = ["taskset", "-c", cores] + command + ["--port", str(self.port), *options]
        self.log = open(os.path.join(self.dir, "log"), "w")
        self.process = subprocess.Popen(argv, cwd=self.dir, stdout=self.log, stderr=self.log)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        else:
            raise RuntimeError("%s did not start" % kind)
        self.pid = self.process.pid

    def cpu(self):
        """Seconds of CPU time used so far."""
        total = 0
        for path in glob.glob("/proc/%d/task/*/schedstat" % self.pid):
            try:
                with open(path) as stat:
                    total += int(stat.read().split()[0])
            except OSError:
                pass
        return total / 1e9

    def resident(self):
        with open("/proc/%d/statm" % self.pid) as statm:
            return int(statm.read().split()[1]) * 4096

    def client(self):
        return Client(self.port, timeout=600)

    def stop(self):
        self.process.kill()
        self.process.wait()
        subprocess.run(["rm", "-rf", self.dir], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def load(server, test, requests, pipeline, size, keys, core="1"):
    """CPU microseconds of the server for one operation."""
    before = server.cpu()
    argv = ["taskset", "-c", core, "redis-benchmark", "-p", str(server.port), "-c", "50", "-q",
            "-t", test, "-n", str(requests), "-P", str(pipeline), "-d", str(size), "-r", str(keys)]
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return (server.cpu() - before) / requests * 1e6


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, value, goal, text):
        """A figure that should be at most `goal`; None for a figure without a goal."""
        verdict = "" if goal is None else ("ok" if value <= goal else "SHORT")
        row = (what, "%.2f" % value, "" if goal is None else "<= %g" % goal, verdict, text)
        self.rows.append(row)
        print("%-44s %10s %9s %6s  %s" % row, flush=True)


def fill(port, count, key, value, batch=1000):
    """SETs keys `key % n`; returns bytes of keys and values."""
    client = Client(port, timeout=600)
    payload = 0
    for start in range(0, count, batch):
        commands = []
        for n in range(start, min(start + batch, count)):
            k, v = key % n, value(n)
            payload += len(k) + len(v)
            commands.append(encode((b"SET", k, v)))
        client.raw(b"".join(commands))
        for _ in commands:
            client.file.readline()
    client.close()
    return payload


LOADS = [  # name, test, pipeline, value bytes, requests, keys, goal to redis, goal to floor
    ("GET, pipeline 32", "get", 32, 64, 2_000_000, 1_000_000, 0.25, None),
    ("SET, pipeline 32", "set", 32, 64, 2_000_000, 1_000_000, 0.25, None),
    ("GET, pipeline 1", "get", 1, 64, 200_000, 1_000_000, 0.85, 1.05),
    ("SET, pipeline 1", "set", 1, 64, 200_000, 1_000_000, 0.85, 1.05),
    ("SET 10 KB", "set", 1, 10240, 100_000, 20_000, 0.75, None),
    ("GET 10 KB", "get", 1, 10240, 100_000, 20_000, 0.75, None),
]


def bench_cpu(table, scale):
    kinds = ["floor", "redis", "ebb"]
    results = {}
    for _ in range(1 if scale < 1 else 3):
        for kind in kinds:
            with Process(kind) as server:
                for name, test, pipeline, size, requests, keys, _, _ in LOADS:
                    if kind == "floor" and size != 64:
                        continue
                    if test == "get" and (pipeline == 32 or size != 64):
                        # The keys must exist.
                        load(server, "set", int(keys * 2 * scale), 32, size, keys)
                    used = load(server, test, int(requests * scale), pipeline, size, keys)
                    results.setdefault((name, kind), []).append(used)
    for name, *_, to_redis, to_floor in LOADS:
        median = {k: statistics.median(results[name, k]) for k in kinds if (name, k) in results}
        text = "  ".join("%s %.3f us" % item for item in median.items())
        table.add(name + " / redis", median["ebb"] / median["redis"], to_redis, text)
        if "floor" in median:
            table.add(name + " / floor", median["ebb"] / median["floor"], to_floor, text)


def bench_threads(table, scale):
    """CPU time with two workers, which share both cores with the load, against one."""
    for name, test, pipeline, size, requests, keys, _, _ in LOADS[:4]:
        used = {1: [], 2: []}
        for _ in range(3):
            for threads in (1, 2):
                with Process("ebb", threads, "0,1") as server:
                    load(server, "set", int(keys * 2 * scale), 32, size, keys, "0,1")
                    used[threads].append(
                        load(server, test, int(requests * scale), pipeline, size, keys, "0,1"))
        one, two = statistics.median(used[1]), statistics.median(used[2])
        table.add(name + ", 2 threads / 1", two / one, 1.15, "%.3f us, %.3f us" % (two, one))


SHAPES = [  # name, keys, key format, value, goal
    ("16 B key, 8-digit value", 2_000_000, b"key:%012d", lambda n: b"%d" % (10_000_000 + n), 16),
    ("16 B key, 32 B value", 2_000_000, b"key:%012d", lambda n: b"v" * 32, 20),
    ("16 B key, 100 B value", 1_000_000, b"key:%012d", lambda n: b"v" * 100, 20),
    ("100 B key, 10 KB value", 50_000, b"k" * 92 + b"%08d", lambda n: b"v" * 10_240, 70),
]


def bench_memory(table, scale):
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


class Probe(threading.Thread):
    """A client that sends a command each millisecond and notes how long it took."""

    def __init__(self, port, *command):
        super().__init__(daemon=True)
        self.client, self.command = Client(port), command
        self.times, self.running = [], True

    def run(self):
        while self.running:
            before = time.perf_counter()
            self.client(*self.command)
            took = time.perf_counter() - before
            self.times.append(took * 1000)
            time.sleep(max(0.001 - took, 0))

    def finish(self):
        self.running = False
        self.join()
        return sorted(self.times)


def bench_grow(table, scale):
    """The slowest command while the table grows, by the server's own clock."""
    keys = int(10_000_000 * scale)
    with Process("ebb", options=["--slowlog-log-slower-than", "500", "--slowlog-max-len", "100000"]) as server:
        fill(server.port, keys, b"key:%012d", lambda n: b"v", batch=5000)
        slow = [entry[2] for entry in server.client()("SLOWLOG", "GET", "-1")]
        text = "%d of %d SETs took more than 0.5 ms" % (len(slow), keys)
        table.add("slowest SET while growing, ms", max(slow, default=500) / 1000, 2, text)


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
    eviction.bench(sys.modules[__name__], table, scale)


SECTIONS = {"cpu": bench_cpu, "threads": bench_threads, "memory": bench_memory,
            "flush": bench_flush, "grow": bench_grow, "expire": bench_expire,
            "eviction": bench_eviction}


def main():
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
