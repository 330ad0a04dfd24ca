#!/usr/bin/env python3
"""Values of some kilobytes, however they come: alike one after the other, and then otherwise.

usage: large_values.py EBB [--seed N] [--seconds N]

A server foresees a client's next request from those before it, and reads its value straight to its place. So clients
send runs of requests that are alike, and surprise it then: by another length, another command of the same shape,
several requests at once, a request in two parts, a transaction, an end in the middle. A dictionary knows what every
reply and every value must be. In groups, with CLIENT PAUSE, at the memory limit and when values expire the same holds.
MONITOR, the slow log and rules see them. Afterwards no memory is missing, and a client that is idle has none of it.
"""
import argparse
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Error, Server, encode  # noqa: E402

# Shorter ones are copied in any case, longer ones have always been read to their places.
SHORTEST, LONGEST = 4096, 32 * 1024 - 1
LENGTHS = (10, SHORTEST - 1, SHORTEST, SHORTEST + 1, 5000, 9999, 10_000, 16_384, LONGEST, LONGEST + 1, 40_000)


def as_dict(reply):
    return {reply[at].decode(): reply[at + 1] for at in range(0, len(reply), 2)}


def stats(client):
    return as_dict(client("MEMORY", "STATS"))


def figure(client, section, name):
    line, = [line for line in client("INFO", section).split() if line.startswith(name.encode() + b":")]
    return int(line.split(b":")[1])


def used_memory(client):
    return figure(client, "memory", "used_memory")


def audit(client):
    """Finds no leak."""
    before = as_dict(client("MEMORY", "AUDIT", "STATUS"))["runs"]
    assert client("MEMORY", "AUDIT", "START") == "OK"
    end = time.time() + 60
    while as_dict(client("MEMORY", "AUDIT", "STATUS"))["runs"] == before:
        assert time.time() < end, client("MEMORY", "AUDIT", "STATUS")
        time.sleep(0.02)
    report = as_dict(client("MEMORY", "AUDIT", "REPORT"))
    assert report["verdict"] == b"clean" and report["leaked-blocks"] == 0, report
    assert report["wrong-counters"] == 0 and report["dangling-owners"] == 0, report


def text(r, length):
    """No two are alike, and no two parts of one."""
    return r.randbytes(length) if length > 20 else b"v" * length


def shown(value):
    return value if not isinstance(value, bytes) or len(value) < 60 else b"%d bytes: %s..." % (len(value), value[:20])


class Writer:
    """A client with keys of its own, and what they must hold."""

    def __init__(self, server, r, name):
        self.server, self.r = server, r
        self.names = ["%s:%d" % (name, number) for number in range(4)]
        self.longer = name + ":with-a-longer-name"
        self.model = {}
        self.client = server.client()

    def check(self, got, expected, what):
        assert got == expected, "%s: %r instead of %r" % (what, shown(got), shown(expected))

    def run(self, *command):
        """What the model answers."""
        name, key = command[0].upper(), command[1]
        old, value = self.model.get(key), command[-1]
        if name in ("SETEX", "PSETEX") and not str(command[2]).isdigit():
            return Error("ERR value is not an integer or out of range")
        if name in ("SET", "SETEX", "PSETEX") and len(command) == (3 if name == "SET" else 4):
            self.model[key] = value
            return "OK"
        if name == "GETSET":
            self.model[key] = value
            return old
        if name == "SETNX":
            self.model.setdefault(key, value)
            return int(old is None)
        if name == "APPEND":
            self.model[key] = (old or b"") + value
            return len(self.model[key])
        if name == "SETRANGE":
            old, at = old or b"", command[2]
            self.model[key] = old[:at].ljust(at, b"\0") + value + old[at + len(value):]
            return len(self.model[key])
        if name == "GET":
            return old
        if name == "STRLEN":
            return len(old or b"")
        if name == "DEL":
            return int(self.model.pop(key, None) is not None)
        if name == "SET":
            return self.run_options(key, old, command[2], command[3:])
        raise ValueError(command)

    def run_options(self, key, old, value, options):
        if options[0] == "NX" and old is not None or options[0] == "XX" and old is None:
            return None
        if options[0] not in ("NX", "XX", "GET", "EX"):
            return Error("ERR syntax error")
        self.model[key] = value
        return old if options[0] == "GET" else "OK"

    def say(self, *command):
        expected = self.run(*command)
        self.check(self.client(*command), expected, command[:2])

    def verify(self):
        for key in (*self.names, self.longer):
            self.check(self.client("GET", key), self.model.get(key), "GET " + key)

    def alike(self, length, count, key=None):
        """Requests of one shape, each alone."""
        key, r = key or self.r.choice(self.names), self.r
        form = r.choice([("SET",), ("SET",), ("set",), ("GETSET",), ("SETEX", 100), ("PSETEX", 100_000)])
        for _ in range(count):
            self.say(form[0], key, *form[1:], text(r, length))
        return key, form

    def surprise(self, length):
        key, (name, *between) = self.alike(length, self.r.choice([1, 2, 2, 3, 6]))
        kind = self.r.choice([self.other_length, self.other_command, self.several, self.parts,
                              self.parts, self.transaction, self.alike_again])
        kind(key, name, between, length)
        if self.r.random() < 0.5:
            self.say(name, key, *between, text(self.r, length))
        self.say(*self.r.choice([("GET", key), ("STRLEN", key)]))

    def alike_again(self, key, name, between, length):
        self.say(name, self.r.choice(self.names), *between, text(self.r, length))

    def other_length(self, key, name, between, length):
        for by in self.r.sample([-1, 1, 2, -2, 1000, -length + 3, 30_000], 3):
            other = max(length + by, 1)
            self.say(name, key, *between, text(self.r, other))
        self.say(name, self.longer, *between, text(self.r, length))

    def other_command(self, key, name, between, length):
        """Of the same length where that can be."""
        r, value = self.r, text(self.r, length)
        kind = r.randrange(9)
        if kind == 0:
            self.say("APPEND", key, value)
        elif kind == 1:
            self.say("SETNX", r.choice(self.names), value)
        elif kind == 2:
            self.say("SETRANGE", key, r.randrange(100), value)
        elif kind == 3:
            for options in (("NX",), ("XX",), ("GET",), ("EX", 100), ("WHAT",)):
                self.say("SET", key, value, *options)
        elif kind == 4:
            self.say("SETEX", key, "1o0", value)
        elif kind == 5:
            self.say("DEL", key)
        elif kind == 6:
            got = self.client("GIT", key, value)
            assert isinstance(got, Error) and got.startswith("ERR unknown command 'GIT'"), got
        elif kind == 7:
            # As long as a request of this key, with nothing of it in its place.
            got = self.client("SET", value)
            assert got == Error("ERR wrong number of arguments for 'set' command"), got
        else:
            # The value is where the key was, and the other way round.
            name = text(r, length)
            assert self.client("SET", name, key) == "OK"
            assert self.client("GET", name) == key.encode() and self.client("DEL", name) == 1

    def several(self, key, name, between, length):
        """With one send, and often with one read."""
        r, commands = self.r, []
        for _ in range(r.choice([2, 2, 3, 5])):
            commands.append(r.choice([
                (name, key, *between, text(r, length)), (name, key, *between, text(r, length)),
                ("SET", r.choice(self.names), text(r, r.choice(LENGTHS))), ("GET", key),
                ("STRLEN", key), ("APPEND", key, text(r, 10)), ("DEL", r.choice(self.names)),
            ]))
        expected = [self.run(*command) for command in commands]
        for got, right, command in zip(self.client.pipeline(commands), expected, commands):
            self.check(got, right, command[:2])

    def parts(self, key, name, between, length):
        """With two or three sends, mostly cut where something begins or ends."""
        r = self.r
        command = (name, key, *between, text(r, length))
        commands = [command] + r.choice([[], [], [("GET", key)], [("SET", key, text(r, length))]])
        whole = b"".join(map(encode, commands))
        first = len(encode(command))
        head, near = first - length - 2, r.randrange(-3, 4)
        places = [head + near, first + near, first - 2 + near, r.randrange(len(whole)), r.randrange(head),
                  head + length // 2, 4096 + near, 16_384 + near]
        cuts = {min(max(cut, 0), len(whole)) for cut in r.sample(places, r.choice([1, 1, 2]))}
        begin = 0
        for cut in sorted(cuts | {len(whole)}):
            self.client.raw(whole[begin:cut])
            time.sleep(r.choice([0, 0.001, 0.003]))
            begin = cut
        for command in commands:
            self.check(self.client.read(), self.run(*command), command[:2])

    def transaction(self, key, name, between, length):
        r, before = self.r, dict(self.model)
        commands = [(name, r.choice(self.names), *between, text(r, length)) for _ in range(r.randrange(1, 5))]
        at_once = r.random() < 0.3
        if at_once:
            replies = self.client.pipeline([("MULTI",), *commands])
        else:
            replies = [self.client(*command) for command in [("MULTI",), *commands]]
        assert replies == ["OK"] + ["QUEUED"] * len(commands), replies
        expected = [self.run(*command) for command in commands]
        if r.random() < 0.3:
            self.model = before
            assert self.client("DISCARD") == "OK"
        else:
            self.check(self.client("EXEC"), expected, "EXEC")

    def leave(self):
        """Ends in the middle of a request, or before its reply, and comes back."""
        r = self.r
        key, (name, *between) = self.alike(10_000, 3)
        whole = encode((name, key, *between, text(r, 10_000)))
        self.client.raw(whole[:r.randrange(len(whole))])
        if r.random() < 0.5:
            # The other end hears of it with the next read.
            self.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        self.client = self.server.client()


def mixed(server, r, seconds):
    """Clients that surprise the server, and now and then leave it."""
    writers = [Writer(server, r, "writer%d" % number) for number in range(6)]
    end = time.time() + seconds
    while time.time() < end:
        writer = r.choice(writers)
        if r.random() < 0.02:
            writer.leave()
        writer.surprise(r.choice(LENGTHS))
        if r.random() < 0.1:
            writer.verify()
    for writer in writers:
        writer.verify()
        writer.client.close()


def together(server, r):
    """Many who are ready together: their requests run in groups."""
    writers = [Writer(server, r, "together%02d" % number) for number in range(100)]
    for round_number in range(12):
        length = r.choice(LENGTHS)
        for writer in writers:
            writer.key = r.choice(writer.names)
            for _ in range(2):
                writer.say("SET", writer.key, text(r, length))
        for _ in range(3):
            for writer in writers:
                own = r.choice([length] * 20 + [length + 1, 3, 20_000])
                writer.command = ("SET", writer.key, text(r, own))
                if r.random() < 0.05:
                    writer.command = ("STRLEN", writer.key)
            requests = [(writer.client, encode(writer.command)) for writer in writers]
            for client, request in requests:
                client.raw(request)
            for writer in writers:
                expected = writer.run(*writer.command)
                writer.check(writer.client.read(), expected, writer.command[:2])
    for writer in writers:
        writer.verify()
        writer.client.close()


def one_key(server, r):
    """Many write to one key: what is read is one of the values, and whole."""
    clients = [server.client() for _ in range(30)]
    value = lambda number: b"%02d" % number * 4000  # noqa: E731
    for _ in range(30):
        for number, client in enumerate(clients):
            client.raw(encode(r.choice([("SET", "one", value(number))] * 4 + [("GET", "one")])))
        for client in clients:
            got = client.read()
            assert got in ("OK", None) or got == value(int(got[:2])), shown(got)
    for client in clients:
        client.close()


def paused(server, r, control):
    """What CLIENT PAUSE holds back is written when it is over, and by nobody who has left."""
    writers = [Writer(server, r, "paused%d" % number) for number in range(12)]
    for _ in range(4):
        for writer in writers:
            writer.key, writer.form = writer.alike(12_000, 3)
        assert control("CLIENT", "PAUSE", 60_000, "WRITE") == "OK"
        for number, writer in enumerate(writers):
            name, *between = writer.form
            count = 1 if number < 3 else r.choice([1, 1, 2])
            writer.commands = [(name, writer.key, *between, text(r, 12_000)) for _ in range(count)]
            for command in writer.commands:
                writer.client.raw(encode(command))
                time.sleep(r.choice([0, 0.002]))
        # Those that were read alone wait in their places.
        end = time.time() + 60
        while not 12_000 * 3 <= (held := stats(control)["owner.heap-arriving"]) < 30_000 * len(writers):
            assert time.time() < end, held
            time.sleep(0.02)
        for writer in writers:
            writer.check(control("GET", writer.key), writer.model[writer.key], "GET in a pause")
        audit(control)
        gone = r.sample(writers, 3)
        for writer in gone:
            writer.client.close()
            writer.client = server.client()
        # That they have left is noticed in a pause only when they are looked after again.
        control("CLIENT", "UNPAUSE")
        for writer in writers:
            for command in writer.commands:
                if writer in gone:
                    continue
                writer.check(writer.client.read(), writer.run(*command), command[:2])
        end = time.time() + 60
        while len(control("CLIENT", "LIST").splitlines()) != len(writers) + 1:
            assert time.time() < end, "clients that have left are still there"
            time.sleep(0.02)
        for writer in gone:
            # Their requests came before their end.
            got, last = control("GET", writer.key), [command[-1] for command in writer.commands]
            assert got in (writer.model[writer.key], *last), shown(got)
            writer.model[writer.key] = got
        assert stats(control)["owner.heap-arriving"] == 0
    for writer in writers:
        writer.verify()
        writer.client.close()


def limited(server, r, control):
    """At the memory limit values are refused and leave nothing, or others go for them."""
    control("FLUSHALL")
    writers = [server.client() for _ in range(5)]
    for number, client in enumerate(writers):
        for _ in range(3):
            assert client("SET", "limited:%d" % number, text(r, 20_000)) == "OK"
    used = used_memory(control)
    assert control("CONFIG", "SET", "maxmemory", 1) == "OK"
    for _ in range(100):
        for number, client in enumerate(writers):
            client.raw(encode(("SET", "limited:%d" % number, b"x" * 20_000)))
        for client in writers:
            got = client.read()
            assert isinstance(got, Error) and got.startswith("OOM "), got
    assert abs(used_memory(control) - used) < 500_000, (used, used_memory(control))
    assert control("STRLEN", "limited:1") == 20_000 and control("GET", "limited:1")[:3] != b"xxx"
    audit(control)
    control("CONFIG", "SET", "maxmemory", used + (4 << 20), "maxmemory-policy", "allkeys-lru")
    for number in range(1000):
        client = r.choice(writers)
        assert client("SET", "evicted:%03d" % number, text(r, 20_000)) == "OK"
    assert used_memory(control) < used + (8 << 20), used_memory(control)
    assert 100 < control("DBSIZE") < 900, control("DBSIZE")
    control("CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction")
    for client in writers:
        client.close()


def expiring(server, r, control):
    control("FLUSHALL")
    client = server.client()
    for number in range(200):
        assert client("PSETEX", "expiring:%03d" % number, 1300 + r.randrange(100), text(r, 10_000)) == "OK"
    last = text(r, 10_000)
    assert client("PSETEX", "expiring:000", 5000, last) == "OK" and client("GET", "expiring:000") == last
    end = time.time() + 20
    while control("DBSIZE"):
        assert time.time() < end, control("DBSIZE")
        time.sleep(0.05)
    client.close()


def watched(server, r, control):
    """Whoever looks at requests sees a value where it lies, and all of it counts."""
    client, monitor, before = server.client(), server.client(), figure(control, "stats", "total_net_input_bytes")
    requests = [("SET", "watched", b"%d" % number * 6000) for number in range(5)]
    assert [client(*request) for request in requests] == ["OK"] * 5
    sent = sum(len(encode(request)) for request in (*requests, ("INFO", "stats")))
    assert figure(control, "stats", "total_net_input_bytes") - before == sent
    assert control("CONFIG", "SET", "slowlog-log-slower-than", 0) == "OK" and monitor("MONITOR") == "OK"
    for request in requests:
        assert client(*request) == "OK"
        assert monitor.read().endswith('"SET" "watched" "%s"' % request[2].decode())
    assert control("CONFIG", "SET", "slowlog-log-slower-than", -1) == "OK"
    slow = [entry[3] for entry in control("SLOWLOG", "GET", 10)]
    assert [b"SET", b"watched", b"4" * 128 + b"... (5872 more bytes)"] in slow, slow
    assert control("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all") == "OK"
    assert client("AUTH", "guest", "any") == "OK"
    assert [client(*request) for request in requests] == ["OK"] * 5
    assert control("ACL", "SETUSER", "guest", "-set") == "OK"
    for request in requests:
        assert str(client(*request)).startswith("NOPERM ")
    audit(control)
    monitor.close()
    client.close()


def idle(server, r, control):
    """Who may send another value has no memory for it before it comes."""
    control("FLUSHALL")
    clients = [server.client() for _ in range(200)]
    for client in clients:
        client("PING")
    before = used_memory(control)
    for client in clients:
        for _ in range(4):
            assert client("SET", "idle", text(r, 20_000)) == "OK"
    control("DEL", "idle")
    owners = stats(control)
    assert owners["owner.heap-arriving"] == 0, owners
    each = (used_memory(control) - before) / len(clients)
    assert each < 1500, "%d bytes for each idle client" % each
    for client in clients:
        client.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    print("large_values: seed %d" % options.seed, flush=True)
    for threads in (1, 4):
        r = random.Random(options.seed * 10 + threads)
        with Server(options.binary, "--io-threads", threads) as server:
            control = server.client()
            mixed(server, r, options.seconds)
            together(server, r)
            one_key(server, r)
            audit(control)
            paused(server, r, control)
            limited(server, r, control)
            expiring(server, r, control)
            watched(server, r, control)
            idle(server, r, control)
            audit(control)
            assert control("FLUSHALL") == "OK"
            audit(control)
            assert "panicked" not in server.log(), server.log()
        print("large_values: %d threads" % threads, flush=True)


if __name__ == "__main__":
    main()
