#!/usr/bin/env python3
"""The same random commands for a server newer than Redis 7.0 and for Ebb; every reply must be the same.

usage: differential_newer.py EBB --oracle "COMMAND LINE" [--oracle ...] [--seed N] [--commands N] [--all]

The oracles are Valkey 9 and Redis 8, each given by the words that start it, to which options are added. What one has
and the other lacks is left to the one that has it. Commands go in pipelined rounds over three connections (one of
which speaks RESP3), with transactions that interleave, and from scripts. Compared are all replies, the keyspace
notifications in their order, and at the end of each round the keyspaces with the deadlines of keys and fields.
DEVIATIONS says what differs on purpose. With --all a run goes on after a difference, and tells each kind once.
"""
import argparse
import collections
import os
import random
import shlex
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..")]
from differential import Failure, Generator, interleave, transactions  # noqa: E402
from newer_commands import FIELDS, NewerCommands  # noqa: E402
from newer_replies import (  # noqa: E402
    AVOIDED, DEVIATIONS, Typed, events_of, is_disordered, kind_of, matches, normal, unordered, unwrap)
from resp import Server  # noqa: E402

# What is not sent with too few arguments, because with none it does something that the test does not survive or
# compare, or answers at length.
NOT_ALONE = """shutdown quit monitor debug subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe reset
 multi exec discard watch unwatch hello info time lolwut randomkey command keys select flushall flushdb swapdb spop
 srandmember hrandfield zrandmember dbsize pfselftest""".split()
GROUPS = {"string": 10, "bits": 5, "keys": 8, "expire": 6, "connection": 1, "wrong": 3, "hash": 6, "set": 6, "zset": 8,
          "geo": 6, "list": 6, "stream": 14, "log": 2, "hexpire": 24, "hfield": 18, "script": 8, "acl": 4, "client": 3,
          "config": 2, "pubsub": 1, "command": 2}
TOLERANCE_MS = 20_000
# The oracles delete what expires from their timer; this is its fastest.
OPTIONS = ["--enable-debug-command", "yes", "--hz", "500"]


class NewerGenerator(NewerCommands, Generator):
    """What the oracle at hand and Ebb both have."""

    def __init__(self, random_source, oracle, ebb):
        super().__init__(random_source, False)
        self.oracle_names, ebb_names = [{name.decode().lower() for name in client("COMMAND", "LIST")} for client
                                        in (oracle, ebb)]
        self.missing = ebb_names - self.oracle_names
        both = sorted(self.oracle_names & ebb_names)
        self.names = [name for name in both if "|" not in name and name not in NOT_ALONE]
        self.is_valkey = "commandlog" in self.oracle_names
        # Redis has these since 8.4.
        self.comparisons = ["IFEQ"] if self.is_valkey else []
        names = [name for name in dir(type(self)) if "_" in name and name.split("_")[0] in GROUPS
                 and callable(getattr(self, name))]
        sizes = collections.Counter(name.split("_")[0] for name in names)
        if not self.is_valkey:
            names = [name for name in names if name not in ("string_compare", "string_equal", "geo_polygon")]
        self.makers = [getattr(self, name) for name in names]
        self.weights = [GROUPS[name.split("_")[0]] / sizes[name.split("_")[0]] for name in names]

    def command(self):
        while True:
            args = super().command()
            words = [str(arg).lower() for arg in args[:2]]
            if words[0] not in self.missing and "|".join(words) not in self.missing and not matches(AVOIDED, args, None,
                None, self.is_valkey):
                return args


def plain(sequences):
    """Sequences without MULTI and WATCH within transactions: Redis refuses the command, Valkey gives up the transaction."""
    for commands in sequences:
        inside, out = False, []
        for args in commands:
            name = str(args[0]).upper()
            if inside and name in ("MULTI", "WATCH"):
                continue
            inside = name == "MULTI" or inside and name not in ("EXEC", "DISCARD", "RESET")
            out.append(args)
        commands[:] = out
    return sequences


class Comparison:
    """Judges replies, and counts what was excused."""

    def __init__(self, is_valkey, go_on):
        self.is_valkey, self.go_on = is_valkey, go_on
        self.queues = collections.defaultdict(list)
        self.seen = set()
        self.excused = collections.Counter()

    def same(self, args, left, right):
        if left == right:
            return True
        if is_disordered(args):
            left, right = unordered(args, left), unordered(args, right)
        args = unwrap(args)
        one, other = [normal(args, reply, self.is_valkey) for reply in (left, right)]
        if one == other or self.near(args, one, other):
            return True
        reason = matches(DEVIATIONS, args, left, right, self.is_valkey)
        if reason:
            self.excused[reason] += 1
        return bool(reason)

    @staticmethod
    def near(args, left, right):
        """Whether these are times that two servers gave a moment apart."""
        name = str(args[0]).upper()
        if name not in ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME"):
            return False
        most = TOLERANCE_MS if "P" in name[:2] else TOLERANCE_MS // 1000
        left, right = [reply if isinstance(reply, list) else [reply] for reply in (left, right)]
        return len(left) == len(right) and all(
            a == b or isinstance(a, int) and isinstance(b, int) and a > 0 and b > 0 and abs(a - b) <= most
            for a, b in zip(left, right))

    def check(self, which, args, left, right, history):
        """Compares the replies to a command; those of EXEC each for itself."""
        queued = self.queues[which]
        if left == "QUEUED":
            queued.append(args)
        name = str(args[0]).upper()
        if name in ("EXEC", "DISCARD", "RESET"):
            self.queues[which] = []
        if name == "EXEC" and isinstance(left, list) and isinstance(right,
            list) and len(left) == len(right) == len(queued):
            for command, a, b in zip(queued, left, right):
                if not self.same(command, a, b):
                    self.differ(which, command, a, b, history)
        elif not self.same(args, left, right):
            self.differ(which, args, left, right, history)

    def differ(self, which, args, left, right, history):
        before = "\n".join("  %s %r -> %r" % line for line in history[-int(os.environ.get("HISTORY", "30")):-1])
        text = "connection %s: %r\n  oracle %r\n  ebb    %r" % (which, args, left, right)
        if not self.go_on:
            raise Failure("%s\nbefore it:\n%s" % (text, before))
        kind = kind_of(args, left, right)
        if kind not in self.seen and not (os.environ.get("ONLY") and os.environ["ONLY"] not in text):
            self.seen.add(kind)
            print(text, flush=True)
            if os.environ.get("HISTORY"):
                print(before)


class Events:
    """What both servers tell of the changes in a database, in order."""

    def __init__(self, servers, writers):
        self.clients = [server.client() for server in servers]
        self.writers = writers
        for client in self.clients:
            client("PSUBSCRIBE", "__keyevent@0__:*")
            client("SUBSCRIBE", "fence")
        self.fences = 0

    def settle(self, comparison, history):
        """Waits until both have told of all that has expired by itself, which comes in any order."""
        heard = [set(), set()]
        for _ in range(500):
            for some, more in zip(heard, self.receive()):
                some |= set(more)
            # Of a key and a field of it, either may have gone first.
            left, right = [{(event, key) for event,
                            key in some if event != "hexpired" or ("expired", key) not in heard[0] | heard[1]}
                           for some in heard]
            if left == right:
                return
            time.sleep(0.01)
        comparison.differ("events", ["EVENT"], sorted(left), sorted(right), history)

    def receive(self):
        self.fences += 1
        heard = []
        for client, writer in zip(self.clients, self.writers):
            fence, some = b"%d" % self.fences, []
            writer("PUBLISH", "fence", fence)
            while (message := client.read()) != [b"message", b"fence", fence]:
                some.append((message[2].decode().split(":", 1)[1], message[3]))
            heard.append(some)
        return heard

    def compare(self, comparison, history):
        heard = self.receive()
        left, right = [events_of(some, comparison.is_valkey) for some in heard]
        if left != right:
            at = next((at for at, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
            comparison.differ("events", ["EVENT"], left[max(at - 2, 0):at + 4], right[max(at - 2, 0):at + 4], history)


# What is asked about every key, whatever its type.
ASKS = [
    lambda key: ["TYPE", key], lambda key: ["GET", key], lambda key: ["PEXPIRETIME", key],
    lambda key: ["OBJECT", "ENCODING", key],
    lambda key: ["HGETALL", key], lambda key: ["HLEN", key],
    lambda key: ["HPEXPIRETIME", key, "FIELDS", len(FIELDS), *FIELDS],
    lambda key: ["SMEMBERS", key], lambda key: ["ZRANGE", key, 0, -1, "WITHSCORES"], lambda key: ["LRANGE", key, 0, -1],
    lambda key: ["XRANGE", key, "-", "+"], lambda key: ["XINFO", "GROUPS", key],
]
LIMITS = {"hash-max-listpack-entries": 8, "hash-max-listpack-value": 24, "set-max-intset-entries": 8,
          "zset-max-listpack-entries": 8,
          "zset-max-listpack-value": 24, "hll-sparse-max-bytes": 400, "set-max-listpack-entries": 8,
          "set-max-listpack-value": 24}


def compare_keyspaces(comparison, clients, history):
    """Whether both hold the same; if not, both are emptied."""
    equal = True
    for database in (0, 1, 2):
        for client in clients:
            client("SELECT", database)
        keys = [sorted(client("KEYS", "*")) for client in clients]
        if keys[0] != keys[1]:
            equal = False
            comparison.differ("final", ["KEYS"], *[sorted(set(a) - set(b)) for a, b in (keys, keys[::-1])], history)
            continue
        asks = [ask(key) for key in keys[0] for ask in ASKS]
        left, right = [client.pipeline(asks) for client in clients]
        for args, a, b in zip(asks, left, right):
            if not comparison.same(args, a, b):
                equal = False
                comparison.differ("final", args, a, b, history)
    if not equal:
        for client in clients:
            client("FLUSHALL")


def expire_soon(r, generator, clients):
    """Gives keys and fields a few milliseconds, and waits until both servers have deleted them."""
    burst = [["PEXPIRE", generator.key(), r.randint(1, 10)] for _ in range(4)]
    for _ in range(6):
        burst.append(["HPEXPIRE", generator.of([b"h0", b"h1", b"h2"]), r.randint(1, 10), "FIELDS", 1, r.choice(FIELDS)])
    for client in clients:
        client.pipeline(burst)
    time.sleep(0.2)


def run(options, oracle_line):
    r = random.Random(options.seed)
    *prefix, binary = shlex.split(oracle_line)
    with Server(binary, *OPTIONS, prefix=prefix) as oracle, \
            Server(options.ebb, *OPTIONS, "--io-threads", "2") as ebb:
        servers = (oracle, ebb)
        pairs = [[Typed(server.port, timeout=20) for server in servers] for _ in range(3)]
        final = [Typed(server.port, timeout=20) for server in servers]
        for client in pairs[2]:
            client("HELLO", 3)
        for name, value in {**LIMITS, "notify-keyspace-events": "KEA"}.items():
            for client in final:
                client("CONFIG", "SET", name, value)
        generator = NewerGenerator(r, *final)
        comparison = Comparison(generator.is_valkey, options.all)
        events = Events(servers, final)
        done, history = 0, []
        while done < options.commands:
            for which, burst in interleave(r, plain(transactions(generator))):
                replies = [client.pipeline(burst) for client in pairs[which]]
                for args, left, right in zip(burst, *replies):
                    history.append((which, args, left))
                    comparison.check(which, args, left, right, history)
                done += len(burst)
                events.compare(comparison, history)
            history = history[-200:]
            for client in [client for pair in pairs for client in pair]:
                client.pipeline([["DISCARD"], ["UNWATCH"], ["CLIENT", "TRACKING", "OFF"], ["SELECT", 0]])
            comparison.queues.clear()
            if r.random() < 0.1:
                expire_soon(r, generator, final)
                events.settle(comparison, history)
            compare_keyspaces(comparison, final, history)
            if r.random() < 0.2:
                for client in final:
                    client.pipeline([["FLUSHALL"], ["ACL", "DELUSER", "u1", "u2"], ["SELECT", 0]])
            for client in final:
                client("SELECT", 0)
            events.compare(comparison, history)
    for reason, times in sorted(comparison.excused.items()):
        print("  %6d times: %s" % (times, reason))
    return done, len(comparison.seen)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ebb")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--commands", type=int, default=50_000)
    parser.add_argument("--oracle", action="append", required=True)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    for oracle in options.oracle:
        print("differential_newer: %s, seed %d, %d commands" % (oracle, options.seed, options.commands), flush=True)
        start = time.time()
        try:
            done, differences = run(options, oracle)
        except Failure as failure:
            print("FAILED with --seed %d\n%s" % (options.seed, failure))
            sys.exit(1)
        if differences:
            print("FAILED with --seed %d: %d kinds of differences" % (options.seed, differences))
            sys.exit(1)
        print("differential_newer: %d commands, all replies equal, %.0f s" % (done, time.time() - start))


if __name__ == "__main__":
    main()
