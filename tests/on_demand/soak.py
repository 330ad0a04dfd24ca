#!/usr/bin/env python3
"""A soak: random load at the memory limit, for as long as asked.

usage: soak.py EBB [--seconds N] [--limit-mb N] [--threads N] [--seed N]

Several clients write and read all types under a limit, while policies and settings change, keys
expire, collections grow and shrink by thousands, databases are emptied and swapped, and
defragmentation runs at its highest share. A model of some keys that nobody else touches, kept in a
database whose keys never go, is compared all the time. The server must answer throughout, and keep
its limit. Meant for binaries with a sanitizer in them.
"""
import argparse
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from resp import Client, Error, Server  # noqa: E402

POLICIES = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-s3fifo", "volatile-lru",
            "volatile-ttl", "volatile-s3fifo", "noeviction"]
ALLOWED = ("OOM", "WRONGTYPE", "ERR value is not", "ERR hash value", "ERR The ID", "ERR no such key",
           "ERR increment", "ERR index out", "BUSY", "EXECABORT", "NOSCRIPT", "ERR string exceeds",
           "INVALIDOBJ", "ERR source and destination")


class Failure(Exception):
    pass


class Load(threading.Thread):
    """One client's random commands."""

    def __init__(self, server, seed, until):
        super().__init__(daemon=True)
        self.client, self.dice, self.until = server.client(timeout=600), random.Random(seed), until
        self.commands, self.problem = 0, None

    def key(self):
        return "%s:%d" % (self.dice.choice(["a", "b", "sess", "cache"]), self.dice.randrange(3000))

    def text(self):
        return "x" * self.dice.choice([0, 3, 20, 60, 200, 900, 3000, 12_000, 200_000 if self.dice.random() < 0.02 else 40])

    def members(self):
        count = 2000 if self.dice.random() < 0.02 else self.dice.randrange(1, 12)
        return ["m%d%s" % (self.dice.randrange(4000), "y" * self.dice.choice([0, 0, 5, 70])) for _ in range(count)]

    def command(self):
        d, key, other = self.dice, self.key(), self.key()
        return d.choice([
            lambda: ("SET", key, self.text()),
            lambda: ("SET", key, self.text(), "PX", str(d.randrange(1, 3000))),
            lambda: ("GET", key),
            lambda: ("APPEND", key, self.text()),
            lambda: ("SETRANGE", key, str(d.randrange(5000)), self.text()),
            lambda: ("INCR", key),
            lambda: ("MSET", key, self.text(), other, self.text()),
            lambda: ("HSET", key, *(part for m in self.members() for part in (m, "v"))),
            lambda: ("HDEL", key, *self.members()),
            lambda: ("HPEXPIRE", key, str(d.randrange(1, 2000)), "FIELDS", "1", "m%d" % d.randrange(4000)),
            lambda: ("SADD", key, *self.members()),
            lambda: ("SREM", key, *self.members()),
            lambda: ("SPOP", key, str(d.randrange(1, 300))),
            lambda: ("SUNIONSTORE", other, key, self.key()),
            lambda: ("ZADD", key, *(part for m in self.members() for part in (str(d.randrange(500)), m))),
            lambda: ("ZREM", key, *self.members()),
            lambda: ("ZREMRANGEBYRANK", key, "0", str(d.randrange(200))),
            lambda: ("RPUSH", key, *self.members()),
            lambda: ("LPOP", key, str(d.randrange(1, 400))),
            lambda: ("LINSERT", key, "BEFORE", "m%d" % d.randrange(4000), self.text()),
            lambda: ("XADD", key, "MAXLEN", "~", "1000", "*", "f", self.text()),
            lambda: ("XTRIM", key, "MAXLEN", str(d.randrange(100))),
            lambda: ("PFADD", key, *self.members()),
            lambda: ("PEXPIRE", key, str(d.randrange(1, 5000))),
            lambda: ("PERSIST", key),
            lambda: ("DEL", key, other),
            lambda: ("UNLINK", key),
            lambda: ("RENAME", key, other),
            lambda: ("COPY", key, other, "REPLACE"),
            lambda: ("MOVE", key, "1"),
            lambda: ("SORT", key, "ALPHA", "STORE", other),
            lambda: ("EVAL", "redis.call('set', KEYS[1], ARGV[1]) return redis.call('strlen', KEYS[1])", "1", key, self.text()),
            lambda: ("EVAL", "return %d -- %s" % (d.randrange(3000), "x" * d.randrange(300)), "0"),
            lambda: ("SCAN", "0", "COUNT", "50"),
            lambda: ("LRANGE", key, "0", "-1"),
            lambda: ("SMEMBERS", key),
            lambda: ("MEMORY", "USAGE", key),
        ])()

    def check(self, command, reply):
        if isinstance(reply, Error) and not str(reply).startswith(ALLOWED):
            raise Failure("%s: %s" % (command[0], reply))
        self.commands += 1

    def run(self):
        try:
            while time.time() < self.until:
                if self.dice.random() < 0.1:
                    self.transaction()
                    continue
                commands = [self.command() for _ in range(self.dice.choice([1, 1, 4, 30]))]
                for command, reply in zip(commands, self.client.pipeline(commands)):
                    self.check(command, reply)
        except Exception as problem:  # noqa: BLE001: whatever it is, the soak has failed
            self.problem = problem

    def transaction(self):
        self.client("WATCH", self.key())
        self.client("MULTI")
        for _ in range(3):
            self.client(*self.command())
        self.client("EXEC")
        self.commands += 5


class Model(threading.Thread):
    """Keys of a database of its own, and what must be in them. They have no deadline, so that a
    volatile policy never takes them; under any other this thread only reads what is left."""

    def __init__(self, server, seed, until):
        super().__init__(daemon=True)
        self.client, self.dice, self.until = server.client(timeout=600), random.Random(seed), until
        self.client("SELECT", "9")
        self.model, self.problem, self.checks = {}, None, 0

    def run(self):
        try:
            while time.time() < self.until:
                key = "model:%d" % self.dice.randrange(500)
                value = "%d" % self.dice.randrange(10**6) * self.dice.choice([1, 10, 300, 2000])
                if self.dice.random() < 0.3 and self.client("SET", key, value) == "OK":
                    self.model[key] = value
                found = self.client("GET", key)
                if found is not None and found.decode() != self.model.get(key):
                    raise Failure("%s holds something else" % key)
                self.checks += 1
        except Exception as problem:  # noqa: BLE001
            self.problem = problem


class Listeners(threading.Thread):
    """Clients that listen to ever other channels, and a model of who listens to what."""

    def __init__(self, server, seed, until):
        super().__init__(daemon=True)
        self.publisher, self.dice, self.until = server.client(timeout=600), random.Random(seed), until
        self.clients = [(server.client(timeout=600), set()) for _ in range(8)]
        self.problem, self.checks = None, 0

    def names(self):
        return {"%s%d" % ("channel:" * self.dice.choice([1, 5]), self.dice.randrange(3000)) for _ in range(40)}

    def change(self):
        client, model = self.dice.choice(self.clients)
        # Now they listen to more, now to less.
        begins = self.dice.random() < (0.8 if int(time.time()) // 20 % 2 else 0.3)
        names = self.names()
        client.send("SUBSCRIBE" if begins else "UNSUBSCRIBE", *names)
        for name in names:
            (model.add if begins else model.discard)(name)
            reply = client.read()
            if reply[1].decode() != name or reply[2] != len(model):
                raise Failure("%d subscriptions, but %r" % (len(model), reply))

    def publish(self):
        for name in self.names():
            listeners = [client for client, model in self.clients if name in model]
            if self.publisher("PUBLISH", name, "text") != len(listeners):
                raise Failure("%s has %d listeners" % (name, len(listeners)))
            for client in listeners:
                if client.read() != [b"message", name.encode(), b"text"]:
                    raise Failure("a message of %s is lost" % name)
            self.checks += 1

    def run(self):
        try:
            while time.time() < self.until:
                self.change()
                self.publish()
        except Exception as problem:  # noqa: BLE001
            self.problem = problem


def end_of(log):
    """The end of a log, or what a sanitizer reports there."""
    at = max(log.find("WARNING: ThreadSanitizer"), log.find("ERROR: AddressSanitizer"))
    return log[at:at + 16_000] if at >= 0 else log[-3000:]


def disturb(client, dice, number):
    """Changes something about the server."""
    choice = number % 9
    if choice == 0:
        client("CONFIG", "SET", "maxmemory-policy", dice.choice(POLICIES))
    elif choice == 1:
        client("FLUSHDB", dice.choice(["ASYNC", "SYNC"]))
    elif choice == 2:
        client("SWAPDB", "0", "1")
    elif choice == 3:
        client("CONFIG", "SET", "activedefrag", dice.choice(["yes", "yes", "no"]))
    elif choice == 4:
        client("MEMORY", "PURGE")
    elif choice == 5:
        client("CONFIG", "SET", "hash-max-listpack-entries", str(dice.choice([0, 8, 512])))
    elif choice == 6:
        client("CONFIG", "SET", "list-compress-depth", str(dice.choice([0, 1, 2])))
    elif choice == 7:
        client("MEMORY", "AUDIT", "START")
    else:
        client("INFO", "everything")


def audited(client):
    """The verdict of an audit when all is quiet."""
    while client("MEMORY", "AUDIT", "START") != "OK":
        time.sleep(1)
    report = None
    while report is None or b"verdict" not in report:
        time.sleep(1)
        report = client("MEMORY", "AUDIT", "REPORT")
    return report[report.index(b"verdict") + 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--limit-mb", type=int, default=24)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print("soak: seed %d, %d s" % (options.seed, options.seconds), flush=True)
    until, dice = time.time() + options.seconds, random.Random(options.seed)
    arguments = ["--io-threads", str(options.threads), "--maxmemory", "%dmb" % options.limit_mb,
                 "--enable-debug-command", "yes", "--maxmemory-policy", "allkeys-lru",
                 "--active-defrag-ignore-bytes", "1mb", "--active-defrag-cycle-min", "20",
                 "--active-defrag-cycle-max", "75"]
    with Server(options.binary, *arguments) as server:
        loads = [Load(server, options.seed + n, until) for n in range(4)]
        model, listeners = (one(server, options.seed + 99, until) for one in (Model, Listeners))
        threads = loads + [model, listeners]
        for thread in threads:
            thread.start()
        client, number, most = server.client(timeout=600), 0, 0
        while time.time() < until and not any(thread.problem for thread in threads):
            time.sleep(1)
            try:
                if number % 2 == 0:
                    disturb(client, dice, number // 2)
                memory = client("INFO", "memory").decode()
            except (OSError, EOFError) as problem:
                server.process.wait(60)
                raise SystemExit("soak: %r\n%s" % (problem, end_of(server.log()))) from problem
            number += 1
            memory = dict(line.split(":", 1) for line in memory.split("\r\n") if ":" in line)
            counted = int(memory["used_memory"]) - int(memory["mem_not_counted_for_evict"])
            most = max(most, counted)
        for thread in threads:
            thread.join(timeout=600)
        problems = [thread.problem for thread in threads if thread.problem]
        if problems:
            raise SystemExit("soak: %s\n%s" % (problems[0], end_of(server.log())))
        stats = dict(line.split(":", 1) for line in client("INFO", "stats").decode().split("\r\n") if ":" in line)
        print("soak: %d commands, %d checks, %d messages, %s keys evicted, %s expired, %s blocks moved, at most %.1f MB counted" % (
            sum(load.commands for load in loads), model.checks, listeners.checks, stats["evicted_keys"],
            stats["expired_keys"], stats["active_defrag_hits"], most / 2**20))
        verdict = audited(client)
        if verdict != b"clean":
            raise SystemExit("soak: the audit's verdict is %r" % verdict)
        if most > options.limit_mb * 2**20 * 1.1 + 4 * 2**20:
            raise SystemExit("soak: the limit was exceeded by far")


if __name__ == "__main__":
    main()
