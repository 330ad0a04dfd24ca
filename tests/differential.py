#!/usr/bin/env python3
"""The same random commands for Debian's redis-server and for Ebb; every reply must be the same.

usage: differential.py EBB [--seed N] [--commands N] [--oracle redis-server]

A run prints its seed and can be repeated with it. Commands go in pipelined rounds over three
connections (one of which speaks RESP3), with transactions that interleave. At the end of each
round of sequences the whole keyspaces are compared: values, deadlines and encodings. DEVIATIONS says
what differs on purpose, because Ebb follows 7.2 and the oracle is 7.0.
"""
import argparse
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
import collection_commands  # noqa: E402
from collection_commands import CollectionCommands  # noqa: E402
from resp import Error, Server  # noqa: E402
import sequence_commands  # noqa: E402
from sequence_commands import SequenceCommands  # noqa: E402

KEYS = [b"k%d" % n for n in range(24)] + [b"", b"\x00bin\xff", b"long" * 70]
NUMBERS = [0, 1, -1, 2, 7, 10, 63, 64, 100, 255, 256, 65535, 2**31 - 1, 2**31, -2**31, 2**32,
           2**63 - 1, -2**63, 2**63, -2**63 - 1, 2**64]
TEXTS = [b"", b"a", b"hello", b"hello world", b"0", b"-0", b"+1", b"01", b"1.5", b"-3.25", b"1e3",
         b"inf", b"nan", b"  1", b"1 ", b"\x00\x01\xff", b"x" * 44, b"x" * 45, b"y" * 300,
         b"z" * 3000, b"ohmytext", b"mynewtext", b"3.0e3", b"9223372036854775807", b"foobar"]
FLOATS = [b"0", b"1", b"-1.5", b"0.1", b"3.0e3", b"1e17", b"-1e-5", b"abc", b"inf", b"-inf", b"nan",
          b"1.7976931348623157e308", b"10.6"]
OFFSETS = [0, 1, 2, 7, 8, 9, 31, 63, 64, 100, 1000, 8191, -1, 2**32, 2**31, b"x"]


class Generator(CollectionCommands, SequenceCommands):
    """Commands, each built by a method whose name begins with its group."""

    def __init__(self, random_source, oddities):
        self.oddities = oddities
        self.r = random_source
        self.now = int(time.time() * 1000)
        groups = {"string": 10, "bits": 6, "keys": 8, "expire": 5, "connection": 1, "wrong": 2,
                  "hash": 10, "set": 14, "zset": 18, "geo": 9, "list": 9, "stream": 14, "log": 3,
                  "sort": int(oddities)}
        makers, weights = [], []
        for name in dir(type(self)):
            group = name.split("_")[0]
            if group in groups:
                makers.append(getattr(self, name))
                weights.append(groups[group])
        self.makers, self.weights = makers, weights

    def command(self):
        args = self.r.choices(self.makers, self.weights)[0]()
        while sequence_commands.breaks_log(args):
            args = self.r.choices(self.makers, self.weights)[0]()
        if self.r.random() < 0.02 and not collection_commands.is_fixed(args):
            args = args[:-1] if len(args) > 1 and self.r.random() < 0.5 else args + [self.text()]
        return args

    def key(self):
        if self.r.random() < 0.08:
            return self.special_key()
        return self.r.choice(KEYS[:8] if self.r.random() < 0.5 else KEYS)

    def special_key(self):
        return self.r.choice(collection_commands.KEYS + sequence_commands.KEYS)

    def keys(self, most=4):
        return [self.key() for _ in range(self.r.randint(1, most))]

    def number(self):
        if self.r.random() < 0.6:
            return self.r.randint(-20, 120)
        return self.r.choice(NUMBERS) if self.r.random() < 0.9 else self.text()

    def text(self):
        if self.r.random() < 0.2:
            return str(self.r.choice(NUMBERS)).encode()
        return self.r.choice(TEXTS)

    def word(self, *words):
        word = self.r.choice(words)
        return word if self.r.random() < 0.8 else word.lower()

    def far(self, ms, past=True):
        """A deadline that is over, or so far away that the run cannot reach it."""
        base = self.now if ms else self.now // 1000
        unit = 1000 if ms else 1
        choices = [base + self.r.randint(1000, 9999) * 100 * unit, base + 5000 * unit * 86400]
        return self.r.choice(choices + ([1, base - 1000 * unit] if past else []))

    def relative(self, ms):
        unit = 1000 if ms else 1
        pick = self.r.random()
        if pick < 0.7:
            return self.r.randint(1000, 99999) * 100 * unit
        return self.r.choice([0, -1, 2**63 - 1, -2**63, 2**62, b"x", b"1.5", 2**64])

    def deadline(self, past=True):
        kind = self.r.choice(["EX", "PX", "EXAT", "PXAT"])
        ms = kind.startswith("P")
        return [self.word(kind), self.far(ms, past) if kind.endswith("AT") else self.relative(ms)]

    # Strings.

    def string_set(self):
        args = ["SET", self.key(), self.text()]
        for option in (["NX"], ["XX"], ["GET"], ["KEEPTTL"]):
            if self.r.random() < 0.15:
                args += [self.word(*option)]
        if self.r.random() < 0.25:
            # Redis keeps a value that is over until somebody looks; Ebb, like Valkey, does not.
            args += self.deadline(past=False)
        if self.r.random() < 0.03:
            args += ["BOGUS"]
        return args

    def string_get(self):
        return [self.word("GET", "STRLEN", "GETDEL"), self.key()]

    def string_getex(self):
        args = ["GETEX", self.key()]
        if self.r.random() < 0.5:
            args += self.deadline()
        if self.r.random() < 0.2:
            args += ["PERSIST"]
        return args

    def string_getset(self):
        return [self.word("GETSET", "SETNX", "APPEND"), self.key(), self.text()]

    def string_setex(self):
        name = self.word("SETEX", "PSETEX")
        return [name, self.key(), self.relative(name.upper() == "PSETEX"), self.text()]

    def string_many(self):
        return ["MGET"] + self.keys(6)

    def string_mset(self):
        args = [self.word("MSET", "MSETNX")]
        for key in self.keys(4):
            args += [key, self.text()]
        return args

    def string_range(self):
        return [self.word("GETRANGE", "SUBSTR"), self.key(), self.number(), self.number()]

    def string_setrange(self):
        offset = self.r.choice(OFFSETS + [self.r.randint(0, 60)] * 8)
        return ["SETRANGE", self.key(), offset, self.text()]

    def string_incr(self):
        return [self.word("INCR", "DECR"), self.key()]

    def string_incrby(self):
        return [self.word("INCRBY", "DECRBY"), self.key(), self.number()]

    def string_incrbyfloat(self):
        return ["INCRBYFLOAT", self.key(), self.r.choice(FLOATS)]

    def string_lcs(self):
        args = ["LCS", self.key(), self.key()]
        for option in ("LEN", "IDX", "WITHMATCHLEN"):
            if self.r.random() < 0.3:
                args += [option]
        if self.r.random() < 0.2:
            args += ["MINMATCHLEN", self.number()]
        return args

    # Bits.

    def bits_set(self):
        return ["SETBIT", self.key(), self.r.choice(OFFSETS[:11] + [-1, b"x", 2**32]),
                self.r.choice([0, 1, 0, 1, 2])]

    def bits_get(self):
        return ["GETBIT", self.key(), self.r.choice(OFFSETS)]

    def bits_count(self):
        args = ["BITCOUNT", self.key()]
        if self.r.random() < 0.7:
            args += [self.number(), self.number()]
            if self.r.random() < 0.5:
                args += [self.word("BIT", "BYTE", "BOGUS")]
        return args

    def bits_pos(self):
        args = ["BITPOS", self.key(), self.r.choice([0, 1, 0, 1, 2])]
        if self.r.random() < 0.7:
            args += [self.number()]
            if self.r.random() < 0.7:
                args += [self.number()]
                if self.r.random() < 0.5:
                    args += [self.word("BIT", "BYTE", "BOGUS")]
        return args

    def bits_op(self):
        op = self.word("AND", "OR", "XOR", "NOT")
        keys = [self.key()] if op.upper() == "NOT" and self.r.random() < 0.8 else self.keys(3)
        return ["BITOP", op, self.key()] + keys

    def bits_field(self):
        read_only = self.r.random() < 0.2
        args = ["BITFIELD_RO" if read_only else "BITFIELD", self.key()]
        for _ in range(self.r.randint(0, 4)):
            kind = self.r.choice(["u1", "i1", "u4", "i8", "u8", "u63", "i64", "u64", "i65", "x", "u31"])
            offset = self.r.choice([0, 1, 5, 8, 63, 100, "#0", "#1", "#7", -1, "x"])
            what = self.r.choice(["GET", "SET", "INCRBY", "OVERFLOW"])
            if read_only and self.r.random() < 0.8:
                what = "GET"
            if what == "GET":
                args += ["GET", kind, offset]
            elif what == "OVERFLOW":
                args += ["OVERFLOW", self.word("WRAP", "SAT", "FAIL", "BOGUS")]
            else:
                args += [what, kind, offset, self.number()]
        return args

    # Keys.

    def keys_del(self):
        return [self.word("DEL", "UNLINK", "EXISTS", "TOUCH")] + self.keys()

    def keys_type(self):
        return [self.word("TYPE", "PERSIST"), self.key()]

    def keys_rename(self):
        return [self.word("RENAME", "RENAMENX"), self.key(), self.key()]

    def keys_copy(self):
        args = ["COPY", self.key(), self.key()]
        if self.r.random() < 0.3:
            args += ["DB", self.r.choice([0, 1, 15, 16, -1, b"x"])]
        if self.r.random() < 0.5:
            args += [self.word("REPLACE")]
        return args

    def keys_move(self):
        return ["MOVE", self.key(), self.r.choice([0, 1, 2, 16, -1, b"x"])]

    def keys_object(self):
        return ["OBJECT", self.word("ENCODING", "REFCOUNT", "FREQ", "BOGUS"), self.key()]

    def keys_count(self):
        return self.r.choice([["DBSIZE"], ["KEYS", self.r.choice(["*", "k1*", "k?", "[", "k[0-3]"])]])

    def keys_swap(self):
        if self.r.random() < 0.6:
            return ["DBSIZE"]
        return ["SWAPDB", self.r.choice([0, 1, 2, 16, b"x"]), self.r.choice([0, 1, 2, -1])]

    def keys_flush(self):
        if self.r.random() < 0.9:
            return ["EXISTS"] + self.keys()
        return [self.word("FLUSHDB", "FLUSHALL")] + self.r.choice([[], ["ASYNC"], ["SYNC"], ["X"]])

    # Expiry.

    def expire_set(self):
        name = self.r.choice(["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])
        ms = name.startswith("P")
        when = self.far(ms) if name.endswith("AT") else self.relative(ms)
        args = [name, self.key(), when]
        for option in ("NX", "XX", "GT", "LT", "BOGUS"):
            if self.r.random() < 0.08:
                args += [self.word(option)]
        return args

    def expire_get(self):
        return [self.word("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"), self.key()]

    # Connection.

    def connection_misc(self):
        return self.r.choice([["PING"], ["PING", self.text()], ["ECHO", self.text()],
                              ["SELECT", self.r.choice([0, 1, 2, 16, -1, b"x"])],
                              ["CLIENT", "GETNAME"], ["CLIENT", "SETNAME", "some name"],
                              ["AUTH", "x"], ["AUTH", "default", "x"], ["HELLO", "9"]])

    def wrong_command(self):
        name = self.r.choice(["NOSUCH", "GETT", "", "SETT", "client", "object", "GET", "SET", "bitop"])
        return [name] + [self.text() for _ in range(self.r.randint(0, 3))]


class Failure(Exception):
    pass


def is_wrong_type(reply):
    return isinstance(reply, Error) and reply.startswith("WRONGTYPE")


# What differs on purpose, as (words of the command, which replies, reason).
DEVIATIONS = [
    (["OBJECT", "REFCOUNT"], lambda left, right: isinstance(left, int) and isinstance(right, int),
     "small integers need no object in Ebb, however they came about; copies share large values"),
    (["HELLO"], lambda left, right: type(left) is type(right), "versions and client ids"),
    (["DBSIZE"], lambda left, right: type(left) is type(right),
     "keys that are over count until they are deleted, which each server does in its own time"),
    (["BITCOUNT"], lambda left, right: (left == 0 or is_wrong_type(left)) and isinstance(right, Error),
     "7.2 checks the arguments before it looks for the key"),
    (["BITPOS"], lambda left, right: (left in (0, -1) or is_wrong_type(left)) and isinstance(right, Error),
     "7.2 checks the arguments before it looks for the key"),
    (["XREAD"], lambda left, right: "Unbalanced" in str(left) and "Unbalanced" in str(right),
     "7.2 names the command in lower case"),
    (["XREADGROUP"], lambda left, right: "Unbalanced" in str(left) and "Unbalanced" in str(right),
     "7.2 names the command in lower case"),
    (["LPOS"], lambda left, right: "value must between -9223372036854775807 and" in str(right),
     "7.2 refuses a rank that has no opposite"),
    (["XINFO", "GROUPS"], sequence_commands.same_groups, "7.2 counts consumers and lag otherwise"),
    (["XGROUP", "CREATECONSUMER"], lambda left, right: (left, right) == (1, 0),
     "7.2's XCLAIM and XAUTOCLAIM make the consumer even if they claim nothing"),
    (["OBJECT", "ENCODING"], lambda left, right: (left, right) == (b"quicklist", b"listpack"),
     "7.2 packs small lists"),
]

SORTED = (["OBJECT", "ENCODING"], lambda left, right: (left, right) == (b"skiplist", b"listpack"),
          "Redis's SORT, even SORT_RO, turns a packed sorted set into a skiplist; Ebb's only reads")
DIFFERENCE = (["OBJECT", "ENCODING"], lambda left, right: (left, right) == (b"hashtable", b"intset"),
              "Redis's SDIFFSTORE may put all of the first set into the result and take out what the "
              "others have: strings that pass through leave a hash table of integers")


def is_deviation(args, left, right):
    for words, applies, _reason in DEVIATIONS:
        if [str(a).upper() for a in args[:len(words)]] == words and applies(left, right):
            return True
    return False


class Queue:
    """The commands of a connection's transaction, to compare EXEC's replies with."""

    def __init__(self):
        self.commands = []

    def same(self, args, left, right):
        name = str(args[0]).upper()
        queued = self.commands
        if left == "QUEUED":
            self.commands.append(args)
        elif name in ("EXEC", "DISCARD", "RESET"):
            self.commands = []
        if name == "EXEC" and isinstance(left, list) and isinstance(right, list):
            for command, a, b in zip(queued, left, right):
                if not same(command, a, b):
                    print("in the transaction: %r\n  oracle %r\n  ebb    %r" % (command, a, b))
                    return False
            return len(queued) == len(left) == len(right)
        return same(args, left, right)


def is_time(args):
    return str(args[0]).upper() in ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME")


def normal(args, reply):
    """A reply with what may differ between equal servers taken out."""
    name = str(args[0]).upper()
    if name == "KEYS" and isinstance(reply, list):
        return sorted(reply)
    if isinstance(reply, Error):
        # Errors are valid UTF-8 in Ebb, whatever they quote.
        text = "".join(char for char in str(reply) if char.isascii())
        # Redis quotes a name up to its first NUL.
        return Error(re.sub(r"^(NOGROUP No such key ')[^']*'", r"\1...'", text))
    return collection_commands.normal(args, sequence_commands.normal(args, reply))


def same(args, left, right):
    """Whether the replies to one command are equal, as far as two servers' can be."""
    if left == right or is_deviation(args, left, right):
        return True
    if is_time(args) and isinstance(left, int) and isinstance(right, int):
        # The two servers are asked, and get relative deadlines, a moment apart.
        return left > 0 and right > 0 and abs(left - right) <= (20_000 if args[0][0] in "pP" else 20)
    return normal(args, left) == normal(args, right)


def transactions(generator):
    """Sequences for the three connections: plain commands, and MULTI blocks of some."""
    r = generator.r
    sequences = []
    for number in range(3):
        commands = []
        while len(commands) < 40:
            if r.random() < 0.1:
                if r.random() < 0.5:
                    commands.append(["WATCH"] + generator.keys() + [generator.special_key()])
                commands.append(["MULTI"])
                commands += [generator.command() for _ in range(r.randint(0, 5))]
                commands.append([r.choice(["EXEC", "EXEC", "EXEC", "DISCARD"])])
            elif r.random() < 0.03:
                commands.append([r.choice(["EXEC", "DISCARD", "UNWATCH", "RESET", "MULTI"])])
                if commands[-1] == ["RESET"] and number == 2:
                    commands.append(["HELLO", "3"])
            else:
                commands.append(generator.command())
        sequences.append(commands)
    return sequences


def interleave(r, sequences):
    """Short bursts of each connection in a random order."""
    queues = [list(s) for s in sequences]
    while any(queues):
        which = r.choice([n for n, queue in enumerate(queues) if queue])
        size = r.randint(1, 12)
        burst, queues[which] = queues[which][:size], queues[which][size:]
        yield which, burst


def only(listing, other):
    """What keys of one listing hold that those of the other do not."""
    def rows(listing):
        keys, replies = listing
        each = len(ASKS)
        return {key: replies[each * at:each * (at + 1)] for at, key in enumerate(keys)}
    mine, others = rows(listing), rows(other)
    return {key: row for key, row in mine.items() if others.get(key) != row}


# What is asked about every key, whatever its type.
ASKS = [
    lambda key: ["TYPE", key],
    lambda key: ["GET", key],
    lambda key: ["PEXPIRETIME", key],
    lambda key: ["OBJECT", "ENCODING", key],
    lambda key: ["HGETALL", key],
    lambda key: ["SMEMBERS", key],
    lambda key: ["ZRANGE", key, 0, -1, "WITHSCORES"],
    lambda key: ["LRANGE", key, 0, -1],
    lambda key: ["XRANGE", key, "-", "+"],
    lambda key: ["XINFO", "GROUPS", key],
]

# Limits small enough that collections outgrow them. 7.0 has no packed sets.
LIMITS = {"hash-max-listpack-entries": 8, "hash-max-listpack-value": 24, "set-max-intset-entries": 8,
          "zset-max-listpack-entries": 8, "zset-max-listpack-value": 24, "hll-sparse-max-bytes": 400}
PACKED_SETS = {"set-max-listpack-entries": 8, "set-max-listpack-value": 24}


def set_limits(r, oracle, ebb):
    """Sets the limits of both servers. In half of the runs Ebb packs small sets, too."""
    for name, value in LIMITS.items():
        for server in (oracle, ebb):
            server("CONFIG", "SET", name, value)
    if r.random() < 0.5:
        for name in PACKED_SETS:
            ebb("CONFIG", "SET", name, 0)
        return
    for name, value in PACKED_SETS.items():
        ebb("CONFIG", "SET", name, value)
    DEVIATIONS.append((["OBJECT", "ENCODING"], lambda left, right: (left, right) == (b"hashtable", b"listpack"),
                       "7.2 packs small sets"))


def compare_keyspaces(oracle, ebb):
    for db in (0, 1, 2):
        listings = []
        for client in (oracle, ebb):
            client("SELECT", db)
            keys = sorted(client("KEYS", "*"))
            replies = client.pipeline([ask(key) for key in keys for ask in ASKS])
            listings.append((keys, replies))
        left, right = listings
        asks = [ask(key) for key in left[0] for ask in ASKS]
        equal = left[0] == right[0] and all(map(same, asks, left[1], right[1]))
        if not equal:
            for ask, one, other in zip(asks, left[1], right[1]):
                if left[0] == right[0] and not same(ask, one, other):
                    raise Failure("keyspaces differ in database %d: %r\n  oracle %r\n  ebb    %r" % (
                        db, ask, one, other))
            raise Failure("keyspaces differ in database %d:\n  oracle %r\n  ebb    %r" % (
                db, only(left, right), only(right, left)))


def expire_soon(r, generator, clients):
    """Gives some keys a few milliseconds, and waits until they are over in both servers."""
    burst = [["PEXPIRE", generator.key(), r.randint(1, 10)] for _ in range(4)]
    burst += [["SET", generator.key(), b"short", "PX", r.randint(1, 10)] for _ in range(4)]
    replies = [client.pipeline(burst) for client in clients]
    if replies[0] != replies[1]:
        raise Failure("%r\n  oracle %r\n  ebb    %r" % (burst, *replies))
    time.sleep(0.02)
    return zip(burst, replies[0])


def report(which, args, left, right, history):
    before = "\n".join("  %s %r -> %r" % line for line in history[-int(os.environ.get("HISTORY", "40")):-1])
    return "connection %s: %r\n  oracle %r\n  ebb    %r\nbefore it:\n%s" % (
        which, args, left, right, before)


def run(options):
    r = random.Random(options.seed)
    # Half of the runs do without SORT and SDIFFSTORE of many sets, and so without what these do to
    # encodings in Redis.
    oddities = r.random() < 0.5
    if oddities:
        DEVIATIONS.extend([SORTED, DIFFERENCE])
    generator = Generator(r, oddities)
    done = 0
    history = []
    with Server(options.oracle) as oracle, Server(options.ebb, "--io-threads", "2") as ebb:
        pairs, queues = [], [Queue() for _ in range(3)]
        for number in range(3):
            pair = (oracle.client(), ebb.client())
            if number == 2:
                for client in pair:
                    client("HELLO", "3")
            pairs.append(pair)
        final = (oracle.client(), ebb.client())
        set_limits(r, *final)
        while done < options.commands:
            for which, burst in interleave(r, transactions(generator)):
                left, right = pairs[which]
                queue_left, queue_right = left.pipeline(burst), right.pipeline(burst)
                for args, a, b in zip(burst, queue_left, queue_right):
                    history.append((which, args, a))
                    if not queues[which].same(args, a, b):
                        raise Failure(report(which, args, a, b, history))
                done += len(burst)
            history = history[-max(200, int(os.environ.get("HISTORY", "40"))):]
            # Ends what a sequence may have left open, and starts anew now and then.
            for pair in pairs:
                for client in pair:
                    client("DISCARD")
                    client("UNWATCH")
            for queue in queues:
                queue.commands = []
            if r.random() < 0.1:
                history += [("final", *pair) for pair in expire_soon(r, generator, final)]
            try:
                compare_keyspaces(*final)
            except Failure as failure:
                raise Failure("%s\n%s" % (failure, report("any", [], None, None, history)))
            if r.random() < 0.2:
                for client in final:
                    client("FLUSHALL")
    return done


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ebb")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--commands", type=int, default=200_000)
    parser.add_argument("--oracle", default="redis-server")
    options = parser.parse_args()
    print("differential: seed %d, %d commands" % (options.seed, options.commands), flush=True)
    start = time.time()
    try:
        done = run(options)
    except Failure as failure:
        print("FAILED with --seed %d\n%s" % (options.seed, failure))
        sys.exit(1)
    print("differential: %d commands, all replies equal, %.0f s" % (done, time.time() - start))


if __name__ == "__main__":
    main()
