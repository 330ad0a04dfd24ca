#!/usr/bin/env python3
"""Expiry under a clock that the test holds: the same random commands for Debian's redis-server and for Ebb.

usage: differential_clock.py EBB [--seed N] [--commands N] [--oracle redis-server]

Both servers run under libfaketime with the same wall clock, which stands still while commands run and is moved
between them: by a millisecond, by days, exactly to a deadline, to just before and just after it. So every reply that
holds a time can be the same to the millisecond, and must be. Compared are all replies, the notifications of each key
in their order, how many keys have expired, and the keyspaces.

A run has rounds of two kinds:
- Lazy: expiry on its own is off. Keys go when they are looked for, and how many are left is compared at any moment.
- Active: now and then the test waits until both servers have deleted all that is due, and compares what is left.

Fields of hashes expire in no Debian Redis: `field_model.py` checks those against a plain model.

Ebb follows 7.2 and the oracle is 7.0. What differs on purpose is avoided, with the reason beside it, in
`clock_commands.py`: SET with a deadline that is over, consumers that get nothing, SCAN and commands that store over
keys that are due. XINFO CONSUMERS says `inactive` since 7.2. How long a script's keys live is the same for the whole
script in 7.2; in 7.0 only whether they live is.
"""
import argparse
import collections
import os
import random
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from clock import Failure, FrozenClock, step  # noqa: E402
from clock_commands import KEYS, SETS, SORTED, STREAMS, ClockCommands  # noqa: E402
from field_model import FieldModel  # noqa: E402
from resp import Error, Server  # noqa: E402

START_MS = 1_700_000_000_000
# Ebb files deadlines in slots of so many milliseconds: expiry on its own comes up to one later.
SLOT_MS = 16
# The oracle reads the clock of accesses from its timer; this is its fastest.
OPTIONS = ["--enable-debug-command", "yes", "--notify-keyspace-events", "KEA", "--hz", "500"]
# Far more than a busy machine needs.
PATIENCE_SECONDS = 60


def consumers(reply):
    """XINFO CONSUMERS without what 7.2 has added to it."""
    rows = [row["map"] if isinstance(row, dict) else list(zip(row[::2], row[1::2])) for row in reply]
    return [[pair for pair in row if pair[0] != b"inactive"] for row in rows]


def normal(args, reply):
    """A reply with what may differ between equal servers taken out."""
    name = str(args[0]).upper()
    if isinstance(reply, Error):
        return reply
    if name == "SCAN":
        return [reply[0], sorted(reply[1])]
    if name in ("KEYS", "SMEMBERS", "SUNION"):
        return sorted(reply)
    if name == "RANDOMKEY":
        return reply is None
    if name == "HGETALL":
        pairs = reply["map"] if isinstance(reply, dict) else zip(reply[::2], reply[1::2])
        return sorted(pairs)
    if args[:2] == ["XINFO", "CONSUMERS"]:
        return consumers(reply)
    return reply


def same(args, left, right):
    return left == right or normal(args, left) == normal(args, right)


class Both:
    """A connection to each server, whose replies are compared."""

    def __init__(self, servers, history, resp3=False):
        self.clients = [server.client() for server in servers]
        self.history = history
        self.queued = []
        if resp3:
            for client in self.clients:
                client("HELLO", 3)

    def __call__(self, *args):
        return self.pipeline([list(args)])[0]

    def pipeline(self, commands):
        left, right = [client.pipeline(commands) for client in self.clients]
        for args, one, other in zip(commands, left, right):
            self.history.append("%r -> %r" % (args, one))
            if args == ["EXEC"] and isinstance(one, list) and isinstance(other, list):
                for inner, a, b in zip(self.queued, one, other):
                    self.compare(inner, a, b)
            else:
                self.compare(args, one, other)
            self.queued = self.queued + [args] if one == "QUEUED" else []
        return left

    def compare(self, args, left, right):
        if not same(args, left, right):
            raise Failure("%r\n  oracle %r\n  ebb    %r" % (args, left, right))


class Listener:
    """A connection to each server that is told what happens to keys."""

    def __init__(self, servers, writer):
        self.writer = writer
        self.clients = [server.client() for server in servers]
        for client in self.clients:
            client("PSUBSCRIBE", "__keyevent@*__:*")
            client("SUBSCRIBE", "fence")
        self.fences = 0
        self.forget()

    def forget(self):
        self.heard = [collections.defaultdict(list) for _ in self.clients]

    def receive(self):
        """Files what has come up to a fence that is put behind it."""
        self.fences += 1
        fence = b"%d" % self.fences
        for writer, client, heard in zip(self.writer.clients, self.clients, self.heard):
            writer("PUBLISH", "fence", fence)
            while (message := client.read()) != [b"message", b"fence", fence]:
                place, event = message[2].decode().split(":", 1)
                heard[place, message[3]].append(event)

    def compare(self, patience_seconds):
        """What happened to each key, in its order. What expiry on its own tells of may come a little later."""
        end = time.time() + patience_seconds
        self.receive()
        while self.heard[0] != self.heard[1]:
            if time.time() >= end:
                left, right = self.heard
                differ = [place for place in {*left, *right} if left.get(place) != right.get(place)]
                raise Failure("notifications differ:" + "".join(
                    "\n%r\n  oracle %r\n  ebb    %r" % (place, left[place], right[place]) for place in differ))
            time.sleep(0.005)
            self.receive()
        self.forget()


class Run:
    def __init__(self, r, clock, servers):
        self.r, self.clock = r, clock
        self.history = collections.deque(maxlen=int(os.environ.get("HISTORY", "60")))
        self.admin = Both(servers, self.history)
        self.writers = [Both(servers, self.history), Both(servers, self.history, resp3=True)]
        self.transactor = Both(servers, self.history)
        self.listener = Listener(servers, self.admin)
        self.done = 0
        self.generator = ClockCommands(r, clock, self.payloads())
        self.lazy = True

    def payloads(self):
        """What 7.0 writes for some values: Ebb reads it, but not the other way round."""
        oracle = self.admin.clients[0]
        oracle.pipeline([["SET", "s", "restored"], ["RPUSH", "l", "a", "b"], ["SADD", "m", "a", "7"]])
        payloads = [oracle("DUMP", key) for key in "slm"]
        oracle("FLUSHALL")
        self.listener.receive()
        self.listener.forget()
        return payloads

    # The clock.

    def move(self, now_ms):
        self.clock.set(now_ms)
        self.history.append("the clock is %d" % now_ms)
        # The oracle's clock of accesses, in seconds, follows with its timer.
        wanted = "lru_clock:%d\r" % (now_ms // 1000 & 0xFFFFFF)
        while wanted not in self.admin.clients[0]("INFO", "server").decode():
            time.sleep(0.001)

    def step(self):
        self.move(step(self.r, self.clock.now_ms, self.generator.deadlines))

    # Commands.

    def send(self, connection, commands):
        connection.pipeline(commands)
        self.done += len(commands)

    def burst(self, most=40):
        self.send(self.r.choice(self.writers), self.generator.commands(most))

    def transaction(self):
        """Between its parts, others write and keys expire."""
        self.send(self.transactor, [["WATCH", *self.r.sample(KEYS, self.r.randint(1, 3))]])
        commands = self.generator.commands(8)
        # What SET does with a deadline that is over when it runs differs on purpose.
        is_timed = any(args[0] == "SET" and {"EXAT", "PXAT"} & set(args[3:]) for args in commands)
        for part in ([["MULTI"]], commands, [["EXEC"]]):
            if self.r.random() < 0.4 and not is_timed:
                self.step()
            if self.r.random() < 0.2:
                self.burst(3)
            self.send(self.transactor, part)

    def script_sees_one_time(self):
        """While a script runs, the clock passes a deadline: the script does not see it."""
        script = "local before = redis.call('PTTL', KEYS[1]) for _ = 1, ARGV[1] do end " \
            "return {before, redis.call('PTTL', KEYS[1]), redis.call('GET', KEYS[1])}"
        for attempt in range(8):
            self.admin("SET", KEYS[0], "v", "PX", 100)
            for client in self.admin.clients:
                client.send("EVAL", script, 1, KEYS[0], 10**7 << attempt)
            time.sleep(0.02 * (attempt + 1))
            self.clock.set(self.clock.now_ms + 200)
            sockets = [client.socket for client in self.admin.clients]
            were_early = bool(select.select(sockets, [], [], 0)[0])
            replies = [client.read() for client in self.admin.clients]
            self.admin("GET", KEYS[0])
            if not were_early and all(reply[0] == 100 for reply in replies):
                # In 7.0 the key stays as well, but PTTL says how much of its time is left by the clock.
                if replies != [[100, 0, b"v"], [100, 100, b"v"]]:
                    raise Failure("a script saw time pass:\n  oracle %r\n  ebb    %r" % tuple(replies))
                break
        # The same time for what follows, however many attempts it took.
        self.move(START_MS + 10_000)

    def idle_times(self):
        """How long keys have not been used, when little else is going on."""
        self.admin("FLUSHALL")
        for _ in range(10):
            self.send(self.admin, [self.generator.use() for _ in range(3)])
            self.send(self.admin, [["OBJECT", "IDLETIME", key] for key in SETS + SORTED])
            self.move(self.clock.now_ms + self.r.randint(1, 5000))

    # What is left.

    def deadlines(self):
        """Those of all keys, -1 if they have none, by database. Asking deletes what is due."""
        out = []
        for database in (0, 1):
            self.admin("SELECT", database)
            found = self.admin.pipeline([["PEXPIRETIME", key] for key in KEYS])
            out.append([at for at in found if at != -2])
        self.admin("SELECT", 0)
        return out

    def settle(self):
        """Waits until the servers have deleted by themselves what is due."""
        deadlines = self.deadlines()
        if self.r.random() < 0.8:
            self.step()
        now_ms = self.clock.now_ms
        # No deadline may be just over, but one may be now.
        while any(now_ms - 2 * SLOT_MS < at < now_ms for at in sum(deadlines, [])):
            now_ms += SLOT_MS
        self.move(now_ms)
        wanted = [sum(at == -1 or at >= now_ms for at in found) for found in deadlines]
        end = time.time() + PATIENCE_SECONDS
        while (found := [self.sizes(client) for client in self.admin.clients]) != [wanted] * 2:
            if time.time() > end:
                raise Failure("keys left in the databases: %r, oracle %r, ebb %r" % (wanted, *found))
            time.sleep(0.002)
        self.history.append("all that is due has been deleted")

    @staticmethod
    def sizes(client):
        replies = client.pipeline([["DBSIZE"], ["SELECT", 1], ["DBSIZE"], ["SELECT", 0]])
        return [replies[0], replies[2]]

    def expired_keys(self):
        infos = [client("INFO", "stats").decode() for client in self.admin.clients]
        return [int(info.split("expired_keys:")[1].split()[0]) for info in infos]

    def compare(self):
        """All that the servers hold and have told."""
        if self.lazy:
            self.deadlines()
        else:
            self.settle()
        self.listener.compare(0 if self.lazy else PATIENCE_SECONDS)
        left, right = self.expired_keys()
        if left != right:
            raise Failure("expired_keys: oracle %d, ebb %d" % (left, right))
        for database in (0, 1):
            self.admin("SELECT", database)
            kinds = self.admin.pipeline([["TYPE", key] for key in KEYS])
            self.admin("DBSIZE")
            asks = {"string": ["GET"], "list": ["LRANGE", 0, -1], "set": ["SMEMBERS"], "hash": ["HGETALL"],
                    "zset": ["ZRANGE", 0, -1, "WITHSCORES"], "stream": ["XRANGE", "-", "+"]}
            self.admin.pipeline([[asks[kind][0], key, *asks[kind][1:]]
                                 for kind, key in zip(kinds, KEYS) if kind != "none"])
        self.admin("SELECT", 0)

    def stretch(self):
        """Some bursts with expiry of one kind."""
        self.admin("FLUSHALL")
        self.lazy = self.generator.lazy = self.r.random() < 0.6
        self.admin("DEBUG", "SET-ACTIVE-EXPIRE", int(not self.lazy))
        for key in STREAMS:
            self.send(self.admin, self.generator.stream_group(key))
        for _ in range(self.r.randint(5, 30)):
            if self.r.random() < 0.4:
                self.send(self.admin, self.generator.fill())
            self.step()
            if self.r.random() < 0.2:
                self.transaction()
            else:
                self.burst()
            if self.lazy:
                self.listener.compare(0)
            elif self.r.random() < 0.2:
                self.compare()
        self.compare()


def run(options):
    r = random.Random(options.seed)
    with FrozenClock(START_MS) as clock:
        environment = clock.environment()
        with Server(options.oracle, *OPTIONS, env=environment) as oracle, \
                Server(options.ebb, *OPTIONS, "--io-threads", "2", env=environment) as ebb:
            run = Run(r, clock, (oracle, ebb))
            try:
                run.script_sees_one_time()
                while run.done < options.commands:
                    run.stretch()
                    run.idle_times()
            except Failure as failure:
                raise Failure("%s\nbefore it:\n  %s" % (failure, "\n  ".join(run.history)))
        with Server(options.ebb, *OPTIONS, env=environment) as ebb:
            fields = FieldModel(r, clock, ebb)
            fields.run(options.commands // 4)
    return run.done, fields.done


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ebb")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--oracle", default="redis-server")
    options = parser.parse_args()
    print("differential_clock: seed %d, %d commands" % (options.seed, options.commands), flush=True)
    start = time.time()
    try:
        done = run(options)
    except Failure as failure:
        print("FAILED with --seed %d\n%s" % (options.seed, failure))
        sys.exit(1)
    print("differential_clock: %d commands, all replies equal, and %d as modelled, %.0f s" % (
        *done, time.time() - start))


if __name__ == "__main__":
    main()
