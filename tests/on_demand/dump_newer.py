#!/usr/bin/env python3
"""DUMP and RESTORE between Ebb and servers newer than Debian's, both ways.

usage: dump_newer.py EBB SERVER... [--rounds N] [--seed SEED]

A SERVER is a command line to which options are added: "valkey-server", or "/opt/redis-8/bin/redis-server". Random
keys of every type and encoding are made in each server and in Ebb by the same commands, and go as DUMP payloads from
where they were made to Ebb, from there to all others, and back. What commands tell of a key must be the same
everywhere: all elements, the deadlines of fields, all of XINFO STREAM ... FULL.

Not every server reads everything. A payload of a newer version is given to Redis 7.0 as far as `dump.py` can write it
in the form of old. Redis and Valkey write a hash whose fields have deadlines in forms that exclude each other: Ebb
reads both, and writes that of Redis. That Valkey refuses it, and Redis Valkey's, is expected here.
"""
import argparse
import os
import random
import shlex
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..")]
from dump import INTEGERS, SET_LISTPACK, STREAM_3, expect, seal, stream_for_7_0  # noqa: E402
from resp import Error, Server  # noqa: E402

HASH_OF_VALKEY, HASH_OF_REDIS = (22,), (24, 25)
WRONG_VERSION = "ERR DUMP payload version or checksum are wrong"
ID_MAX = (1 << 64) - 1
# Deadlines of fields end here in Redis.
DEADLINE_MAX = (1 << 46) - 1
SOON = 4_000_000_000_000


class Peer:
    """A server that values go to and come from."""

    def __init__(self, words, name=None):
        options = ["--enable-debug-command", "yes"]
        self.server = Server(words[-1], *options, prefix=words[:-1])
        self.client = self.server.client()
        info = self("INFO", "server").decode()
        facts = dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)
        self.is_valkey = "valkey_version" in facts and name is None
        self.version = tuple(map(int, facts["valkey_version" if self.is_valkey else "redis_version"].split(".")))
        self.name = name or "%s %s" % ("Valkey" if self.is_valkey else "Redis", ".".join(map(str, self.version)))
        self.has_deadlines = self("COMMAND", "INFO", "hpexpireat")[0] is not None
        self.is_ebb = name is not None
        # Each Redis from 7.0 on estimates a lag by other rules, and 7.0 does not know when consumers were active.
        self.is_old = not self.is_ebb and self.version < (7, 2)
        self.unknown = set() if self.is_valkey or self.is_ebb else {b"lag", b"active-time"} if self.is_old else {b"lag"}
        self("DEBUG", "SET-ACTIVE-EXPIRE", "0")

    def __call__(self, *args):
        return self.client(*args)

    def must(self, *args):
        answer = self(*args)
        expect(not isinstance(answer, Error), self.name, args, answer)
        return answer


# What a key is ----------------------------------------------------------------------------------

def pairs(flat):
    return list(zip(flat[::2], flat[1::2]))


def told(peer, key):
    """All that commands tell of a key's value."""
    kind = peer.must("TYPE", key)
    if kind == "string":
        return kind, peer.must("GET", key)
    if kind == "list":
        return kind, peer.must("LRANGE", key, 0, -1)
    if kind == "set":
        members = sorted(peer.must("SMEMBERS", key))
        expect(len(members) == peer.must("SCARD", key), peer.name, key, "has another SCARD")
        return kind, members
    if kind == "zset":
        flat = peer.must("ZRANGE", key, 0, -1, "WITHSCORES")
        expect(flat[::2] == peer.must("ZRANGE", key, 0, -1), peer.name, key)
        return kind, [(member, float(score)) for member, score in pairs(flat)]
    if kind == "hash":
        return kind, told_of_hash(peer, key)
    if kind == "stream":
        return kind, told_of_stream(peer, key)
    return kind, None


def told_of_hash(peer, key):
    fields = sorted(pairs(peer.must("HGETALL", key)))
    if not peer.has_deadlines:
        return [(field, value, -1) for field, value in fields]
    names = [field for field, _ in fields]
    times = []
    for at in range(0, len(names), 500):
        part = names[at:at + 500]
        times += peer.must("HPEXPIRETIME", key, "FIELDS", len(part), *part)
    return [(field, value, time) for (field, value), time in zip(fields, times)]


def told_of_stream(peer, key):
    full = mapped(peer.must("XINFO", "STREAM", key, "FULL", "COUNT", 0))
    plain = mapped(peer.must("XINFO", "STREAM", key))
    for internal in (b"radix-tree-keys", b"radix-tree-nodes"):
        full.pop(internal)
    full[b"first"], full[b"last"] = plain[b"first-entry"], plain[b"last-entry"]
    for group in full[b"groups"]:
        # Renamed, and renamed back, between versions.
        group[b"pending"] = group.pop(b"pel", group.get(b"pending"))
        group.pop(b"nacked-count", None)
        for consumer in group[b"consumers"]:
            consumer[b"pending"] = consumer.pop(b"pel", consumer.get(b"pending"))
    full[b"back"] = peer.must("XREVRANGE", key, "+", "-")
    return full


def mapped(value):
    """Replies of pairs as dictionaries: their keys are names, and names are never ids or fields' values."""
    named = (b"length", b"name")
    if isinstance(value, list) and value and value[0] in named and len(value) % 2 == 0:
        return {name: mapped(part) if name in (b"groups", b"consumers") else part for name, part in pairs(value)}
    return [mapped(part) for part in value] if isinstance(value, list) else value


def without(names, value):
    """A description without what is kept under some names."""
    if isinstance(value, dict):
        return {name: without(names, part) for name, part in value.items() if name not in names}
    return [without(names, part) for part in value] if isinstance(value, (list, tuple)) else value


def difference(one, other, path=""):
    """The innermost difference of two descriptions, or None."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        parts = [(name, one[name], other[name]) for name in one]
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        parts = [(at, part, other[at]) for at, part in enumerate(one)]
    else:
        return None if one == other else "%s: %.300r / %.300r" % (path, one, other)
    return next((found for name, part, counterpart in parts
                 if (found := difference(part, counterpart, "%s/%s" % (path, name)))), None)


# Random values ----------------------------------------------------------------------------------

def text(size=None):
    """A string of one of the kinds that are written in different ways."""
    kind = random.randrange(6)
    if size is None:
        size = random.choice((0, 1, 5, 20, 63, 64, 65, 200, 300))
    if kind == 0:
        return str(random.choice(INTEGERS)).encode()
    if kind == 1:
        return str(random.randrange(-300, 300)).encode()
    if kind == 2:
        return random.randbytes(size)
    if kind == 3:
        return random.choice((b"007", b"-0", b"+1", b"1e3", b" 1", b"9223372036854775808", b"", b"\0"))
    return (random.randbytes(7) * (size // 7 + 1))[:size]


def distinct(count, size):
    """Different strings, so many and about so long."""
    found = {text(random.choice((1, size))) for _ in range(count)}
    while len(found) < count:
        found.add(b"%d:" % len(found) + text(size))
    return random.sample(sorted(found), count)


def amounts():
    return random.choice((1, 2, 5, 30, 127, 129, 400, 1200)), random.choice((1, 10, 60, 64, 65, 300))


def in_parts(parts, size=600):
    return [parts[at:at + size] for at in range(0, len(parts), size)]


def make_string(peer, key):
    size = random.choice((0, 1, 11, 19, 20, 21, 44, 45, 63, 64, 500, 16383, 16384, 70_000, 300_000))
    peer.must("SET", key, text(size))
    if random.random() < 0.2:
        peer.must("APPEND", key, text())
    if random.random() < 0.1:
        peer.must("SETBIT", key, random.randrange(1 << 16), 1)


def make_list(peer, key):
    count, size = amounts()
    items = [text(random.choice((1, size))) for _ in range(count)]
    if random.random() < 0.3:
        items += [text(random.choice((8191, 8192, 8193, 30_000))) for _ in range(random.randrange(1, 4))]
        random.shuffle(items)
    for part in in_parts(items):
        peer.must(random.choice(("RPUSH", "LPUSH")), key, *part)
    for _ in range(random.randrange(4)):
        peer.must("LSET", key, random.randrange(len(items)), text(size))


def make_set(peer, key):
    count, size = amounts()
    width = random.choice((0, 0, 15, 31, 63))
    members = distinct(count, size) if width == 0 else [
        random.choice((random.randrange(-300, 300), random.randrange(-(1 << width), 1 << width))) for _ in range(count)]
    for part in in_parts(members):
        peer.must("SADD", key, *part)
    if count > 5:
        peer.must("SREM", key, *members[:3])


def make_sorted_set(peer, key):
    count, size = amounts()
    scores = ["-inf", "inf", "-0", "0", "1e300", "5e-324", "-1.5", "0.1", "9007199254740993", "-9223372036854775808",
              "1.7976931348623157e308", "3.141592653589793", "18446744073709551615", "1e-7", "123456789012"]
    added = [(random.choice((random.choice(scores), random.randrange(-99, 99), random.uniform(-1e9, 1e9))), member)
             for member in distinct(count, size)]
    for part in in_parts(added):
        peer.must("ZADD", key, *[word for pair in part for word in pair])
    if count > 5:
        peer.must("ZREM", key, *[member for _, member in added[:3]])


def make_hash(peer, key):
    count, size = amounts()
    fields = distinct(count, size)
    for part in in_parts(fields):
        peer.must("HSET", key, *[word for field in part for word in (field, text(size))])
    if count > 5:
        peer.must("HDEL", key, *fields[:3])


def make_expiring_hash(peer, key):
    """A hash with fields that have deadlines, that had one, and that may be due."""
    count, size = amounts()
    fields = distinct(count, size)
    for part in in_parts(fields):
        peer.must("HSET", key, *[word for field in part for word in (field, text(size))])
    share = random.choice((0.02, 0.5, 1))
    some = [field for field in fields if random.random() < share] or fields[:1]
    spread = random.choice((1, 100, 1 << 33))
    for part in in_parts(some, random.choice((1, 7, 600))):
        at = random.choice((SOON + random.randrange(spread), SOON + random.randrange(spread), DEADLINE_MAX))
        peer.must("HPEXPIREAT", key, at, "FIELDS", len(part), *part)
    if random.random() < 0.3:
        part = some[:random.choice((1, 600))]
        peer.must("HPERSIST", key, "FIELDS", len(part), *part)
    if random.random() < 0.3 and len(some) > 1:
        part = some[-random.randrange(1, len(some)):][:600]
        peer.must("HPEXPIRE", key, 1, "FIELDS", len(part), *part)
        time.sleep(0.003)


def make_stream(peer, key):
    ids = make_entries(peer, key)
    for group in random.sample(["g", "other", "", "\0x", "h" * 70], random.randrange(4)):
        make_group(peer, key, group, ids)
    if random.random() < 0.5:
        peer.must("XDEL", key, *random.sample(ids, max(1, len(ids) // random.choice((2, 5, 30)))))
    if random.random() < 0.2:
        peer.must("XTRIM", key, "MAXLEN", len(ids) // 2)
    if random.random() < 0.1:
        peer.must("XTRIM", key, "MAXLEN", 0)
    last = mapped(peer.must("XINFO", "STREAM", key))[b"last-generated-id"]
    if random.random() < 0.2:
        peer.must("XSETID", key, last, "ENTRIESADDED", len(ids) + random.choice((0, 5, (1 << 63) - 1 - len(ids))),
                  "MAXDELETEDID", random.choice(("0-0", "0-1", last)))
    if random.random() < 0.1:
        peer.must("XSETID", key, "%d-%d" % (ID_MAX, ID_MAX))


def make_entries(peer, key):
    """Entries under ids that are near, far, at the beginning and at the end."""
    count = random.choice((1, 3, 99, 101, 400))
    at, sequence = random.choice(((0, 1), (0, 5), (1, 0), (1_700_000_000_000, 0), (ID_MAX, ID_MAX - count), (77, ID_MAX - 2)))
    names, ids = [text(8) or b"n" for _ in range(random.choice((1, 2, 5)))], []
    for _ in range(count):
        if random.random() < 0.1:
            names = [text(8) or b"n" for _ in range(random.choice((1, 2, 60)))]
        ids.append("%d-%d" % (at, sequence))
        fields = [word for name in names for word in (name, text(random.choice((1, 30))))]
        peer.must("XADD", key, ids[-1], *fields)
        step = random.choice((0, 0, 1, 300)) if at < ID_MAX - 1000 else 0
        if step or sequence >= ID_MAX:
            at, sequence = at + max(step, 1), random.choice((0, 3))
        else:
            sequence += 1
    return ids


def make_group(peer, key, group, ids):
    read = random.choice(((), (), ("ENTRIESREAD", random.choice((0, 3, (1 << 63) - 1)))))
    peer.must("XGROUP", "CREATE", key, group, random.choice(("0", "$", random.choice(ids))), *read)
    consumers = random.sample(["ann", "bob", "", "\xff\0", "c" * 100], random.randrange(1, 4))
    for consumer in consumers:
        if random.random() < 0.3:
            peer.must("XGROUP", "CREATECONSUMER", key, group, consumer)
        peer.must("XREADGROUP", "GROUP", group, consumer, "COUNT", random.choice((1, 20, 300)), "STREAMS", key, ">")
    some = random.sample(ids, max(1, len(ids) // 4))[:100]
    if random.random() < 0.5:
        peer.must("XACK", key, group, *some)
    if random.random() < 0.5:
        more = random.choice(([], ["FORCE"], ["TIME", 1], ["TIME", 12345], ["RETRYCOUNT", (1 << 63) - 1], ["FORCE", "JUSTID"]))
        peer.must("XCLAIM", key, group, random.choice(consumers), 0, *some, *more)
    if random.random() < 0.2:
        peer.must("XGROUP", "SETID", key, group, random.choice(ids), *read)


MAKERS = [make_string, make_list, make_set, make_sorted_set, make_hash, make_expiring_hash, make_stream, make_stream]

# What decides how values are kept, and with that how they are written.
SETTINGS = {
    "hash-max-listpack-entries": (128, 0, 512), "hash-max-listpack-value": (64, 1, 400),
    "set-max-intset-entries": (512, 0, 5), "set-max-listpack-entries": (128, 0), "set-max-listpack-value": (64, 1),
    "zset-max-listpack-entries": (128, 0, 512), "zset-max-listpack-value": (64, 1, 400),
    "list-max-listpack-size": (-2, -1, 1, 7, 128), "list-compress-depth": (0, 1),
    "stream-node-max-entries": (100, 1, 10, 0), "stream-node-max-bytes": (4096, 100, 0), "rdbcompression": ("yes", "no"),
}


def settle(peers):
    for peer in peers:
        for name, values in SETTINGS.items():
            answer = peer("CONFIG", "SET", name, random.choice(values))
            expect(answer == "OK" or "Unknown option" in answer, peer.name, name, answer)


# There and back ---------------------------------------------------------------------------------

def readable(payload, source, target):
    """The payload as `target` reads it, or None if it cannot hold the value."""
    kind = payload[0]
    if target.is_old:
        if kind in HASH_OF_REDIS + HASH_OF_VALKEY + (SET_LISTPACK,):
            return None
        body = payload[:-10]
        return seal(stream_for_7_0(body) if kind == STREAM_3 else body)
    if target.is_ebb or source is target:
        return payload
    newest = 80 if target.is_valkey else 11 if target.version < (7, 4) else 12
    version = int.from_bytes(payload[-10:-8], "little")
    foreign = 12 <= version < 80 if target.is_valkey else version > newest
    if foreign and (kind in HASH_OF_VALKEY or kind in HASH_OF_REDIS):
        answer = target("RESTORE", "refused", 0, payload, "REPLACE")
        expect(answer == WRONG_VERSION, target.name, "answers", answer, "to type", kind)
        return None
    # Redis and Valkey refuse each other's versions; what they hold is the same.
    return seal(payload[:-10], newest) if foreign and not source.is_ebb else payload


def hand_over(source, target, key, kinds):
    """Dumps a key in one server and restores it in another, where the same must be told of it."""
    payload = source.must("DUMP", key)
    # Asked after the payload was made, so that what is due by then was due there, too.
    wanted = told(source, key)
    kinds.setdefault((source.name, target.name), set()).add(payload[0])
    payload = readable(payload, source, target)
    if payload is None:
        return False
    answer = target("RESTORE", key, 0, payload, "REPLACE")
    expect(answer == "OK", source.name, "to", target.name, key, "type", payload[0], "answers", answer)
    found = told(target, key)
    unknown = source.unknown | target.unknown
    wrong = difference(without(unknown, wanted), without(unknown, found))
    expect(wrong is None, source.name, "to", target.name, key, "type", payload[0], wrong)
    return True


def journey(ebb, others, source, maker, number, kinds):
    """One value from where it is made to Ebb, to all others, and back to Ebb."""
    key = "%s:%d" % (maker.__name__, number)
    maker(source, key)
    if source.must("EXISTS", key) == 0:
        return
    if source is not ebb:
        hand_over(source, ebb, key, kinds)
    else:
        expect(ebb("RESTORE", "again", 0, ebb("DUMP", key), "REPLACE") == "OK", key)
        expect(difference(told(ebb, key), told(ebb, "again")) is None, key, "differs from its copy")
    for other in others:
        if hand_over(ebb, other, key, kinds):
            hand_over(other, ebb, key, kinds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ebb", type=os.path.abspath)
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print("seed", options.seed, flush=True)
    random.seed(options.seed)
    peers = []
    try:
        peers.append(Peer([options.ebb], "Ebb"))
        peers += [Peer(shlex.split(words)) for words in options.servers]
        ebb, kinds, count = peers[0], {}, 0
        for _ in range(options.rounds):
            settle(peers)
            for source in peers:
                for maker in MAKERS:
                    if maker is not make_expiring_hash or source.has_deadlines:
                        journey(ebb, peers[1:], source, maker, count, kinds)
                        count += 1
            for peer in peers:
                peer.must("FLUSHALL")
        for (source, target), types in sorted(kinds.items()):
            print("%s to %s: types %s" % (source, target, ", ".join(map(str, sorted(types)))))
        print("%d values went there and back" % count)
    finally:
        for peer in peers:
            peer.server.stop()


if __name__ == "__main__":
    main()
