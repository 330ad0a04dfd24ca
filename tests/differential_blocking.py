#!/usr/bin/env python3
"""The same clients that wait, and the same that wake them, on Debian's redis-server and on Ebb.

usage: differential_blocking.py EBB [--seed N] [--steps N] [--threads N] [--oracle redis-server]

Some connections send commands that wait for lists, sorted sets and streams, mostly on the same few keys; others
push, pop, move, run transactions and scripts, and end waits. Compared are all replies, who is woken by what, the
number of clients that wait, and the keyspaces with their deadlines.

What is controlled, so that both servers must do the same:
- Order. A step is over when both servers have answered it and have told with INFO how many clients wait; only then
  comes the next. So clients are filed in the same order, and there is nobody whom a step has not reached yet.
- Time. Deadlines of keys are absolute, and far away or over; expiry on its own is switched off with DEBUG
  SET-ACTIVE-EXPIRE 0, so that a key goes when it is looked for. Most waits have no end, or one that the run does
  not reach. Short ones are waited out together: they begin, everything sleeps, and all must have ended.
- Versions. Who is woken runs the command anew in 7.2, and in 7.0 gets what is in the key that woke it. That is the
  same unless two of its keys are filled at once, or another is of the wrong type. So either everybody waits for one
  key, or there are no transactions, scripts and chains of moves; the seed decides. Everybody waits for one stream
  only. There are no strings where lists are waited for: SORT STORE over a string wakes nobody in Redis, and does in
  Ebb.
"""
import argparse
import os
import random
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Server, encode  # noqa: E402

LISTS = [b"q0", b"q1", b"q2"]
SORTED = [b"z0", b"z1"]
STREAMS = [b"x0", b"x1"]
KEYS = LISTS + SORTED + STREAMS
WAITERS = 8
# Longer than a run.
FAR = 1000
SHORT = ["0.05", "0.1", "0.15"]


class Failure(Exception):
    pass


class Both:
    """A connection to each server."""

    def __init__(self, servers, resp3=False):
        self.servers = servers
        self.resp3 = resp3
        self.waits = None
        self.connect()

    def connect(self):
        self.clients = [server.client() for server in self.servers]
        if self.resp3:
            for client in self.clients:
                client("HELLO", 3)
        self.ids = [client("CLIENT", "ID") for client in self.clients]

    def __call__(self, *args):
        return self.pipeline([args])[0]

    def pipeline(self, commands):
        left, right = [client.pipeline(commands) for client in self.clients]
        if left != right:
            raise Failure("%r\n  oracle %r\n  ebb    %r" % (commands, left, right))
        return left

    def answered(self):
        """Which servers have answered a command that waits."""
        return [bool(select.select([client.socket], [], [], 0)[0]) for client in self.clients]


class Run:
    def __init__(self, seed, servers):
        self.r = random.Random(seed)
        self.one_key = self.r.random() < 0.5
        self.servers = servers
        self.admin, self.writer = Both(servers), Both(servers, resp3=True)
        self.waiters = [Both(servers, resp3=number % 3 == 2) for number in range(WAITERS)]
        self.history = []
        self.number = 0
        self.admin("DEBUG", "SET-ACTIVE-EXPIRE", 0)

    # What is compared.

    def blocked(self):
        """How many clients wait on each server."""
        infos = [client("INFO", "clients").decode() for client in self.admin.clients]
        return [int(info.split("blocked_clients:")[1].split()[0]) for info in infos]

    def settle(self):
        """Reads the replies of those who were woken: the same clients, with the same replies."""
        end = time.time() + 5
        waiting = [waiter for waiter in self.waiters if waiter.waits]
        while True:
            left, right = self.blocked()
            answered = [waiter.answered() for waiter in waiting]
            counts = [len(waiting) - sum(one) for one in zip(*answered)] or [0, 0]
            if counts == [left, right] and left == right:
                break
            if time.time() > end:
                who = [(self.waiters.index(waiter), *one) for waiter, one in zip(waiting, answered)]
                raise Failure("%d and %d clients wait; who has an answer (waiter, oracle, ebb): %r" % (left, right, who))
            time.sleep(0.001)
        for waiter, (one, other) in zip(waiting, answered):
            name = "waiter %d" % self.waiters.index(waiter)
            if one != other:
                raise Failure("%s was woken by one only: oracle %s, ebb %s" % (name, one, other))
            if one:
                replies = [[client.read() for _ in waiter.waits] for client in waiter.clients]
                self.history.append("  %s: %r" % (name, replies[0]))
                if replies[0] != replies[1]:
                    raise Failure("%s: %r\n  oracle %r\n  ebb    %r" % (name, waiter.waits, *replies))
                waiter.waits = None

    def compare_keys(self):
        keys = sorted(self.admin.clients[0]("KEYS", "*"))
        if keys != sorted(self.admin.clients[1]("KEYS", "*")):
            raise Failure("the keys differ")
        for key in keys:
            kind = self.admin("TYPE", key)
            ask = {"list": ["LRANGE", key, 0, -1], "zset": ["ZRANGE", key, 0, -1, "WITHSCORES"],
                   "stream": ["XRANGE", key, "-", "+"], "string": ["GET", key]}[kind]
            self.admin.pipeline([ask, ["PEXPIRETIME", key]])
            if kind == "stream":
                self.admin.pipeline([["XPENDING", key, "g"], ["XINFO", "STREAM", key]][:1])

    # What waits.

    def some(self, keys):
        if self.one_key:
            return [self.r.choice(keys if self.r.random() < 0.95 else KEYS)] * self.r.randint(1, 2)
        return [self.r.choice(keys) for _ in range(self.r.randint(1, 3))]

    def end(self):
        return self.r.choice(["LEFT", "RIGHT"])

    def waiting_command(self, timeout):
        r = self.r
        lists, sets = self.some(LISTS), self.some(SORTED)
        count = ["COUNT", r.randint(1, 3)] if r.random() < 0.5 else []
        stream = r.choice(STREAMS)
        block = ["BLOCK", int(float(timeout) * 1000)]
        moves = [["BLMOVE", lists[0], r.choice(LISTS), self.end(), self.end(), timeout],
                 ["BRPOPLPUSH", lists[0], r.choice(LISTS), timeout]]
        return r.choice((moves if self.one_key else []) + [
            [r.choice(["BLPOP", "BRPOP"]), *lists, timeout],
            ["BLMPOP", timeout, len(lists), *lists, self.end(), *count],
            [r.choice(["BZPOPMIN", "BZPOPMAX"]), *sets, timeout],
            ["BZMPOP", timeout, len(sets), *sets, r.choice(["MIN", "MAX"]), *count],
            ["XREAD", *count, *block, "STREAMS", stream, r.choice([b"$", b"$", b"0"])],
            ["XREADGROUP", "GROUP", "g", r.choice(["c1", "c2"]), *count, *block, *r.choice([[], ["NOACK"]]), "STREAMS",
             stream, b">"]])

    def wait(self, timeout=None):
        idle = [waiter for waiter in self.waiters if not waiter.waits]
        if not idle:
            return
        waiter = self.r.choice(idle)
        commands = [self.waiting_command(timeout or self.r.choice([0, 0, FAR]))]
        if self.r.random() < 0.3:
            # What comes behind a command that waits is run when it is over.
            commands.append(self.r.choice([["ECHO", "behind"], ["INCR", "count:%d" % self.waiters.index(waiter)]]))
        self.history.append("waiter %d: %r" % (self.waiters.index(waiter), commands))
        for client in waiter.clients:
            client.raw(b"".join(map(encode, commands)))
        waiter.waits = commands
        self.settle()

    def short_waits(self):
        for _ in range(self.r.randint(1, 4)):
            self.wait(self.r.choice(SHORT))
        time.sleep(0.25)
        self.settle()

    # What wakes.

    def item(self):
        self.number += 1
        return b"i%d" % self.number

    def items(self):
        return [self.item() for _ in range(self.r.randint(1, 4))]

    def push(self):
        return [self.r.choice(["LPUSH", "RPUSH"]), self.r.choice(LISTS), *self.items()]

    def add(self):
        pairs = sum([[self.r.randint(-3, 3), item] for item in self.items()], [])
        return ["ZADD", self.r.choice(SORTED), *pairs]

    def append(self):
        self.number += 1
        return ["XADD", self.r.choice(STREAMS), b"%d-1" % self.number, "field", self.item()]

    def read_by_group(self):
        return any(waiter.waits and waiter.waits[0][0] == "XREADGROUP" for waiter in self.waiters)

    def other(self):
        r = self.r
        lists, sets = r.choice(LISTS), r.choice(SORTED)
        return r.choice([
            ["RPOPLPUSH", lists, r.choice(LISTS)], ["LMOVE", lists, r.choice(LISTS), self.end(), self.end()],
            ["LPOP", lists], ["ZPOPMIN", sets], ["LINSERT", lists, "BEFORE", b"none", b"x"], ["LPUSHX", lists, self.item()],
            ["DEL", lists, sets], ["RENAME", lists, r.choice(LISTS)], ["COPY", lists, r.choice(LISTS), "REPLACE"],
            ["SORT", lists, "ALPHA", "STORE", r.choice(LISTS)], ["ZUNIONSTORE", sets, 2, *SORTED],
            ["ZRANGESTORE", sets, r.choice(SORTED), 0, -1], ["GEOADD", sets, 1, 1, self.item()],
            ["XTRIM", r.choice(STREAMS), "MAXLEN", 3], ["XACK", r.choice(STREAMS), "g", b"%d-1" % self.number],
            ["PEXPIREAT", r.choice(LISTS + SORTED), r.choice([1, 4_000_000_000_000])], ["PERSIST", lists],
            ["XGROUP", "CREATE", r.choice(STREAMS), "g", r.choice([b"$", b"0"]), "MKSTREAM"], ["SELECT", 0]])

    def waking_command(self):
        return self.r.choices([self.push, self.add, self.append, self.other], [6, 4, 4, 4])[0]()

    def wake(self):
        commands = [self.waking_command()]
        pick = self.r.random()
        if not self.one_key:
            pass
        elif pick < 0.2:
            commands = [["MULTI"], *[self.waking_command() for _ in range(self.r.randint(1, 4))], ["EXEC"]]
        elif pick < 0.3:
            commands = [["EVAL", self.script([self.waking_command() for _ in range(self.r.randint(1, 3))]), 0]]
        self.history.append("writer: %r" % (commands,))
        self.writer.pipeline(commands)
        self.settle()

    @staticmethod
    def script(commands):
        def text(arg):
            arg = arg if isinstance(arg, bytes) else str(arg).encode()
            return "'%s'" % arg.decode()
        return "".join("redis.pcall(%s) " % ", ".join(map(text, command)) for command in commands)

    def end_wait(self):
        waiting = [waiter for waiter in self.waiters if waiter.waits]
        if not waiting:
            return
        waiter = self.r.choice(waiting)
        kill = self.r.random() < 0.3
        how = self.r.choice([[], ["TIMEOUT"], ["ERROR"]])
        self.history.append("waiter %d is %s" % (self.waiters.index(waiter), "killed" if kill else "unblocked %r" % how))
        for client, number in zip(self.admin.clients, waiter.ids):
            done = client("CLIENT", "KILL", "ID", number) if kill else client("CLIENT", "UNBLOCK", number, *how)
            if done != 1:
                raise Failure("a wait could not be ended: %r" % (done,))
        if kill:
            waiter.waits = None
            waiter.connect()
        self.settle()

    def all_gone(self):
        """Ends all waits, and empties the servers."""
        while any(waiter.waits for waiter in self.waiters):
            self.end_wait()
        self.history = ["FLUSHALL"]
        self.writer("FLUSHALL")
        self.writer.pipeline([["XGROUP", "CREATE", key, "g", "$", "MKSTREAM"] for key in STREAMS])

    def steps(self, count):
        actions = [self.wait, self.wake, self.end_wait, self.short_waits, self.compare_keys, self.all_gone]
        self.all_gone()
        for _ in range(count):
            self.r.choices(actions, [45, 45, 5, 0.5, 4, 2])[0]()
        self.all_gone()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ebb")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--oracle", default="redis-server")
    options = parser.parse_args()
    print("differential_blocking: seed %d, %d steps" % (options.seed, options.steps), flush=True)
    debug = ["--enable-debug-command", "yes"]
    with Server(options.oracle, *debug) as oracle, Server(options.ebb, "--io-threads", options.threads, *debug) as ebb:
        run = Run(options.seed, (oracle, ebb))
        try:
            run.steps(options.steps)
        except Failure as failure:
            before = "\n".join(run.history[-int(os.environ.get("HISTORY", "40")):])
            sys.exit("FAILED with --seed %d\n%s\nbefore it:\n%s" % (options.seed, failure, before))
    print("differential_blocking: all replies equal")


if __name__ == "__main__":
    main()
