#!/usr/bin/env python3
"""DUMP and RESTORE between Debian's redis-server and Ebb.

usage: dump.py EBB [FLIPS]

Values of all types and sizes go from Redis to Ebb and back, and both must give the same digest. Redis 7.0 reads no
version 11: its payloads get another version here, and where the types themselves are newer, what it can read of them.
Encodings that no server writes any more are made here and given to both. At last payloads are damaged (FLIPS times,
20,000 unless told): Ebb takes or refuses them, and reading and changing what it took does not end it.
"""
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Error, Server  # noqa: E402

STREAM_2, SET_LISTPACK, STREAM_3 = 19, 20, 21
NEW_IN_7_2 = (SET_LISTPACK, STREAM_3)


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x95AC9329AC4BC9B5 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc_table()


def seal(body, version=10):
    body += struct.pack("<H", version)
    crc = 0
    for byte in body:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return body + struct.pack("<Q", crc)


# Values ---------------------------------------------------------------------------------------

INTEGERS = sorted({sign * (1 << power) + more for power in range(64) for sign in (1, -1) for more in (-1, 0, 1)
                   if -(1 << 63) <= sign * (1 << power) + more < 1 << 63})


def strings():
    yield from (str(value) for value in INTEGERS)
    yield from ("", "007", "-0", "+1", "9223372036854775808", "1e3", " 1", "x", "x" * 20, "x" * 21, "abc" * 40)
    yield from ("x" * size for size in (44, 45, 63, 64, 2047, 2048, 16383, 16384, 100_000))
    yield bytes(random.randbytes(100_000))
    yield bytes(random.randbytes(30)) * 3000


def elements(count, size):
    """Members of about a size: text and integers."""
    return [str(at * 7919) if at % 3 == 0 else ("%d:" % at + "ab" * size)[:max(size, 8)] for at in range(count)]


def make_values(client):
    """Makes keys in Redis; answers their names."""
    for number, text in enumerate(strings()):
        client("SET", "string:%d" % number, text)
    for count, size in ((1, 0), (3, 10), (100, 20), (128, 64), (129, 5), (200, 100), (600, 8), (3000, 30), (5, 9000), (40, 5000)):
        name, parts = "%d:%d" % (count, size), elements(count, size)
        client("RPUSH", "list:" + name, *parts, "", "-1")
        client("SADD", "set:" + name, *parts)
        client("HSET", "hash:" + name, *[part for at, field in enumerate(parts) for part in (field, "v%d" % at)])
        client("HSET", "values:" + name, *[part for at, value in enumerate(parts) for part in ("f%d" % at, value)])
        scores = [at * 0.37 if at % 2 else at - 50 for at in range(count)]
        client("ZADD", "zset:" + name, *[part for pair in zip(scores, parts) for part in pair])
    client("RPUSH", "list:integers", *INTEGERS)
    client("HSET", "hash:integers", *[part for value in INTEGERS for part in (value, -value)])
    client("SADD", "set:integers", *INTEGERS)
    for name, top in (("2", 1 << 15), ("4", 1 << 31), ("8", 1 << 63)):
        client("SADD", "intset:" + name, -top, top - 1, *range(-300, 200))
    client("SADD", "intset:large", *range(2000))
    client("ZADD", "zset:scores", "-inf", "a", "inf", "b", "-0", "c", "0", "d", "1e300", "e", "5e-324", "f",
           "-1.5", "g", "0.1", "h", "9007199254740993", "i", "3.141592653589793", "j")
    make_streams(client)
    return [key.decode() for key in client("KEYS", "*:*")]


def make_streams(client):
    client("XADD", "stream:one", "1-1", "a", "b")
    client("XGROUP", "CREATE", "stream:empty", "g", "$", "MKSTREAM")
    for at in range(1, 1001):
        fields = ["name", "n%d" % at, "count", at] if at % 10 else ["other", at, "", "x" * 50, "more", -at]
        client("XADD", "stream:large", "%d-%d" % (1000 + at // 3, at), *fields)
    client("XDEL", "stream:large", "1001-3", "1001-4", "1333-999", "1003-10")
    client("XTRIM", "stream:large", "MINID", "1020")
    client("XADD", "stream:gone", "5-5", "a", "b")
    client("XDEL", "stream:gone", "5-5")
    for at in range(1, 60):
        client("XADD", "stream:groups", "%d-0" % at, "at", at)
    for group in ("first", "second", "idle"):
        client("XGROUP", "CREATE", "stream:groups", group, "0")
    client("XGROUP", "CREATECONSUMER", "stream:groups", "second", "nobody")
    for consumer, count in (("ann", 7), ("bob", 20), ("ann", 3)):
        client("XREADGROUP", "GROUP", "first", consumer, "COUNT", count, "STREAMS", "stream:groups", ">")
    client("XREADGROUP", "GROUP", "second", "eve", "STREAMS", "stream:groups", ">")
    client("XACK", "stream:groups", "first", "2-0", "9-0")
    client("XCLAIM", "stream:groups", "first", "bob", 0, "1-0", "RETRYCOUNT", 77)
    client("XDEL", "stream:groups", "4-0", "30-0")


# From Redis to Ebb and back -------------------------------------------------------------------

def digest(client, key):
    answer = client("DEBUG", "DIGEST-VALUE", key)
    assert not isinstance(answer, Error), answer
    answer = answer[0]
    return answer.decode() if isinstance(answer, bytes) else answer


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part)[:1200] for part in what))


class Bytes:
    """Reads a payload as far as is needed to write a stream in the form of 7.0."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self):
        first = self.take(1)[0]
        if first >> 6 == 0:
            return first
        if first >> 6 == 1:
            return (first & 63) << 8 | self.take(1)[0]
        return int.from_bytes(self.take(4 if first == 0x80 else 8), "big")

    def skip_string(self):
        first = self.data[self.at]
        if first >> 6 != 3:
            self.take(self.number())
        elif first == 0xC3:
            self.take(1)
            packed, _ = self.number(), self.number()
            self.take(packed)
        else:
            self.take(1 + (1 << (first & 3)))


def stream_for_7_0(body):
    """The same without the times at which consumers were active."""
    read, out, copied = Bytes(body), bytes([STREAM_2]), 1
    read.take(1)
    for _ in range(2 * read.number()):
        read.skip_string()
    for _ in range(8):
        read.number()
    for _ in range(read.number()):
        read.skip_string()
        for _ in range(3):
            read.number()
        for _ in range(read.number()):
            read.take(24)
            read.number()
        for _ in range(read.number()):
            read.skip_string()
            read.take(8)
            out += body[copied:read.at]
            read.take(8)
            copied = read.at
            read.take(16 * read.number())
    expect(read.at == len(body), "a stream has", len(body) - read.at, "bytes more")
    return out + body[copied:]


def described(value):
    """XINFO STREAM ... FULL without what the versions tell differently."""
    if isinstance(value, list) and value and isinstance(value[0], bytes) and len(value) % 2 == 0:
        pairs = [(b"pending" if value[at] == b"pel" else value[at], described(value[at + 1]))
                 for at in range(0, len(value), 2)]
        return [pair for pair in pairs
                if pair[0] not in (b"active-time", b"lag", b"nacked-count", b"radix-tree-keys", b"radix-tree-nodes")]
    return [described(part) for part in value] if isinstance(value, list) else value


def same(one, other, key):
    """Compares two descriptions, and names the innermost difference."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for part, counterpart in zip(one, other):
            same(part, counterpart, key)
    else:
        expect(one == other, key, "is described differently:", one, other)


def there_and_back(redis, ebb, key):
    """A value of Redis through Ebb into Redis again."""
    payload = redis("DUMP", key)
    expect(ebb("RESTORE", key, 0, payload, "REPLACE") == "OK", key, "is not restored")
    wanted = digest(redis, key)
    expect(digest(ebb, key) == wanted, key, "differs in Ebb")
    returned = ebb("DUMP", key)
    kind, body = returned[0], returned[:-10]
    expect(returned == seal(body, 11), key, "is not sealed as it should be")
    expect(ebb("RESTORE", "copy", 0, returned, "REPLACE") == "OK", key, "is not restored from Ebb's own")
    expect(digest(ebb, "copy") == wanted, key, "differs after two ways")
    length = int(ebb("DEBUG", "OBJECT", key).split("serializedlength:")[1].split()[0])
    expect(length == len(body) - 1, key, "has another length", length)
    if kind == STREAM_3:
        body = stream_for_7_0(body)
        full = ["XINFO", "STREAM", key, "FULL", "COUNT", 0]
        same(described(redis(*full)), described(ebb(*full)), key)
    elif kind == SET_LISTPACK:
        return kind
    expect(redis("RESTORE", "copy", 0, seal(body), "REPLACE") == "OK", key, "is not restored in Redis", kind)
    expect(digest(redis, "copy") == wanted, key, "differs in Redis", kind)
    if kind == STREAM_3:
        full[2] = "copy"
        same(described(redis(*full)), described(ebb(*full)), key)
    return kind


def deadlines(ebb):
    """Hashes whose fields expire keep the deadlines, small or large."""
    for count in (3, 600):
        key, fields = "deadlines:%d" % count, ["f%d" % at for at in range(count)]
        ebb("HSET", key, *[part for field in fields for part in (field, "v" + field)])
        for at, field in enumerate(fields[:-1]):
            ebb("HPEXPIREAT", key, 4_000_000_000_000 + (at * 7919) % 100_000, "FIELDS", 1, field)
        payload = ebb("DUMP", key)
        expect(payload[0] == (25 if count == 3 else 24) and payload[-10] == 12, key, payload[0])
        expect(ebb("RESTORE", key + "!", 0, payload) == "OK", key)
        times = [ebb("HPEXPIRETIME", name, "FIELDS", count, *fields) for name in (key, key + "!")]
        expect(times[0] == times[1] and times[0][-1] == -1, key, times)
        expect(ebb("OBJECT", "ENCODING", key) == ebb("OBJECT", "ENCODING", key + "!"), key)
        expect(digest(ebb, key) == digest(ebb, key + "!"), key)


# Encodings of old ------------------------------------------------------------------------------

def string(text):
    text = text if isinstance(text, bytes) else str(text).encode()
    return b"\x80" + struct.pack(">I", len(text)) + text


def ziplist(texts):
    out, previous, last = b"", 0, 10
    for text in texts:
        last = 10 + len(out)
        entry = bytes([previous]) if previous < 254 else b"\xfe" + struct.pack("<I", previous)
        if isinstance(text, int):
            forms = [(0xFE, "<b"), (0xC0, "<h"), (0xD0, "<i"), (0xE0, "<q")]
            if 0 <= text <= 12:
                entry += bytes([0xF1 + text])
            elif -(1 << 23) <= text < 1 << 23 and not -(1 << 15) <= text < 1 << 15:
                entry += b"\xf0" + struct.pack("<i", text)[:3]
            else:
                head, form = next(form for form in forms if -(1 << (8 * struct.calcsize(form[1]) - 1)) <= text
                                  < 1 << (8 * struct.calcsize(form[1]) - 1))
                entry += bytes([head]) + struct.pack(form, text)
        else:
            text = text.encode()
            size = len(text)
            head = (bytes([size]) if size < 64 else struct.pack(">H", 0x4000 | size) if size < 1 << 14
                    else b"\x80" + struct.pack(">I", size))
            entry += head + text
        out, previous = out + entry, len(entry)
    return struct.pack("<IIH", 11 + len(out), last, len(texts)) + out + b"\xff"


def old_payloads():
    mixed = ["", "a", "x" * 63, "y" * 64, "z" * 300, "w" * 20000, *INTEGERS]
    pairs = [part for at, value in enumerate(mixed[:6] + mixed[6::9]) for part in ("f%d" % at, value)]
    scored = [part for at, score in enumerate([0, 12, 13, -1, 70000, "0.5", "inf", "-1e10"])
              for part in ("m%d" % at, score)]
    zipmap = b"\x02" + b"\x03foo\x03\x02barXX" + b"\xfe" + struct.pack("<I", 300) + b"k" * 300 + b"\x01\x00v" + b"\xff"
    yield "list", b"\x01\x03" + string("a") + string("") + b"\xc1\x10\x27"
    yield "ziplist", b"\x0a" + string(ziplist(mixed))
    yield "quicklist", b"\x0e\x02" + string(ziplist(mixed)) + string(ziplist(["end"]))
    yield "set", b"\x02\x02" + string("a") + string("7")
    yield "zset text", b"\x03\x04" + b"".join(string(at) + score for at, score in
                                             enumerate([b"\x031.5", b"\xfe", b"\xff", b"\x06-1e+20"]))
    yield "zset binary", b"\x05\x02" + string("a") + struct.pack("<d", -2.5) + string("b") + struct.pack("<d", 1e-300)
    yield "zipmap", b"\x09" + string(zipmap)
    yield "zset ziplist", b"\x0c" + string(ziplist(scored))
    yield "hash ziplist", b"\x0d" + string(ziplist(pairs))
    yield "hash", b"\x04\x02" + string("a") + string("b") + string("c") + string("")
    yield "intset", b"\x0b" + string(struct.pack("<IIhh", 2, 2, -5, 7))


def refused():
    """Bodies that both servers refuse."""
    yield b"\x01\x00"
    yield b"\x02\x02" + string("a") + string("a")
    yield b"\x04\x02" + string("a") + string("b") + string("a") + string("c")
    yield b"\x05\x01" + string("a") + struct.pack("<d", float("nan"))
    yield b"\x03\x01" + string("a") + b"\xfd"
    yield b"\x0a" + string(ziplist(["a"])[:-1])
    yield b"\x0d" + string(ziplist(["a"]))
    yield b"\x0d" + string(ziplist(["a", "b", "a", "c"]))
    yield b"\x0b" + string(struct.pack("<IIhh", 2, 2, 7, -5))
    yield b"\x0b" + string(struct.pack("<II", 2, 0))
    yield b"\x12\x01\x02" + string(b"\x07\0\0\0\0\0\xff")
    yield b"\x00\x81" + b"\xff" * 8
    yield b"\x06\x00"
    yield b"\xff"
    yield b""


def encodings_of_old(redis, ebb):
    for name, body in old_payloads():
        payload = seal(body)
        for client in (redis, ebb):
            answer = client("RESTORE", "old", 0, payload, "REPLACE")
            expect(answer == "OK", name, answer)
        expect(digest(redis, "old") == digest(ebb, "old"), name, "differs")
    wrong = []
    for body in refused():
        answers = [client("RESTORE", "bad", 0, seal(body), "REPLACE") for client in (redis, ebb)]
        if answers != ["ERR Bad data format"] * 2:
            wrong.append((body, answers))
    expect(not wrong, wrong)


# Errors ----------------------------------------------------------------------------------------

def errors(redis, ebb):
    """Both answer the same to whatever is wrong with the command."""
    good = seal(b"\x00\x01x")
    for client in (redis, ebb):
        client("SET", "k", "v")
        client("DEL", "new")
    for args in (
        ["k", 0, good], ["new", -1, good], ["new", "x", good], ["k", "x", good], ["new", 0, good[:-1] + b"!"],
        ["new", 0, "short"], ["new", 0, ""], ["new", 0, seal(b"\x00\x01x", 99)], ["new", 0, good, "WHAT"],
        ["new", 0, good, "FREQ"], ["new", 0, good, "FREQ", "256"], ["new", 0, good, "FREQ", "-1"],
        ["new", 0, good, "FREQ", "x"], ["new", 0, good, "IDLETIME", "-1"], ["new", 0, good, "IDLETIME", "x"],
        ["new", 0, good, "FREQ", "1", "IDLETIME", "1"], ["new", 0, good, "IDLETIME", "1", "FREQ", "1"],
        ["new", 1, good, "ABSTTL"], ["k", 1, good, "ABSTTL", "REPLACE"], ["new", 5000, good, "replace"],
        ["new", 4000000000000, good, "absttl", "replace", "idletime", "1000"],
        ["new", 0, good[:-8] + b"\0" * 8, "REPLACE"],
    ):
        answers = [[client("RESTORE", *args), client("EXISTS", args[0]), client("PEXPIRETIME", args[0]) // 1000]
                   for client in (redis, ebb)]
        if args[1] == 5000:
            answers = [answer[:2] for answer in answers]
        expect(answers[0] == answers[1], args, answers)
        if "idletime" in args:
            idle = [client("OBJECT", "IDLETIME", "new") for client in (redis, ebb)]
            expect(all(1000 <= seconds <= 1002 for seconds in idle), idle)
    expect(ebb("DUMP", "nothing") is None, "DUMP of no key")


# Damage ----------------------------------------------------------------------------------------

READS = [["TYPE"], ["OBJECT", "ENCODING"], ["DUMP"], ["DEBUG", "DIGEST-VALUE"], ["GET"], ["LRANGE", None, 0, -1],
         ["HGETALL"], ["HPTTL", None, "FIELDS", 1, "f0"], ["XRANGE", None, "-", "+"], ["XREVRANGE", None, "+", "-"],
         ["XINFO", "STREAM", None, "FULL"], ["XINFO", "GROUPS"], ["XPENDING", None, "first"], ["COPY", None, "other", "REPLACE"],
         ["APPEND", None, "x"], ["LSET", None, 0, "x"], ["RPUSH", None, "y"], ["HSET", None, "f0", "x"], ["HDEL", None, "f1"],
         ["XREADGROUP", "GROUP", "first", "ann", "STREAMS", None, ">"], ["XADD", None, "*", "a", "b"], ["XTRIM", None, "MAXLEN", 2],
         ["LTRIM", None, 1, -2], ["DEL"]]


def damage(server, ebb, payloads, flips):
    """Payloads with some wrong bytes and the right checksum."""
    taken = 0
    commands = [args if None in args else args + [None] for args in READS]
    for number in range(flips):
        body = bytearray(random.choice(payloads)[:-10])
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            at = random.randrange(len(body))
            body[at] = random.choice((body[at] ^ 1 << random.randrange(8), random.randrange(256), 0, 255))
        if random.random() < 0.05:
            del body[random.randrange(len(body)):]
        payload = seal(bytes(body), random.choice((10, 11, 12, 80)))
        batch = [["RESTORE", "d", 0, payload, "REPLACE"]]
        batch += [["d" if arg is None else arg for arg in args] for args in commands]
        try:
            answers = ebb.pipeline(batch)
        except (ConnectionError, OSError, ValueError) as error:
            raise AssertionError("%r after %r\n%s" % (error, payload, server.log()[-2000:]))
        expect(str(answers[0]) in ("OK", "ERR Bad data format"), answers[0], payload)
        taken += answers[0] == "OK"
    return taken


def main():
    flips = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print("seed", seed)
    debug = ["--enable-debug-command", "yes"]
    strict = ["--sanitize-dump-payload", "yes"]
    with Server("redis-server", *debug, *strict) as old, Server(sys.argv[1], *debug) as new:
        redis, ebb = old.client(), new.client()
        errors(redis, ebb)
        encodings_of_old(redis, ebb)
        redis("FLUSHALL")
        keys = make_values(redis)
        kinds = {there_and_back(redis, ebb, key) for key in keys}
        ebb("CONFIG", "SET", "set-max-listpack-entries", 0, "rdbcompression", "no")
        kinds |= {there_and_back(redis, ebb, key) for key in keys if key.startswith(("set", "list"))}
        expect(kinds == {0, 2, 4, 5, 11, 16, 17, 18, 20, 21}, "types that were written:", kinds)
        ebb("CONFIG", "SET", "set-max-listpack-entries", 128, "rdbcompression", "yes")
        deadlines(ebb)
        print("%d values went there and back" % len(keys))
        payloads = [payload for client in (redis, ebb) for key in keys for payload in [client("DUMP", key)]
                    if payload and len(payload) < 600 and (not key.startswith("string") or len(payload) > 30)]
        payloads += [ebb("DUMP", "deadlines:3"), *(seal(body) for name, body in old_payloads() if len(body) < 2000)]
        payloads += [client("DUMP", "stream:groups") for client in (redis, ebb)] * 10
        taken = damage(new, ebb, payloads, flips)
        print("%d of %d damaged payloads were taken" % (taken, flips))
        expect(ebb("PING") == "PONG", "no PONG")


if __name__ == "__main__":
    main()
