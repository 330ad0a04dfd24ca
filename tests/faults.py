#!/usr/bin/env python3
"""Clients and circumstances that go wrong: the server answers or closes, and stays in order.

usage: faults.py EBB
"""
import errno
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Error, Server, encode  # noqa: E402

MEGABYTE = 1 << 20


def info(client, field):
    text = client("INFO", "everything").decode()
    line, = [line for line in text.splitlines() if line.startswith(field + ":")]
    return line.split(":", 1)[1]


def until(what, condition, seconds=20):
    """Waits for a condition, and fails with `what` if it does not come true."""
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, what
        time.sleep(0.02)


def healthy(server):
    """The server still serves, and has logged no panic."""
    client = server.client()
    assert client("SET", "health", "yes") == "OK"
    assert client("GET", "health") == b"yes"
    client.close()
    assert "panicked" not in server.log(), server.log()


def alone(client):
    return int(info(client, "connected_clients")) == 1


def disconnects_in_the_middle(server):
    command = encode(["SET", "key", "v" * 40_000]) + encode(["GET", "key"])
    for cut in [1, 2, 5, 13, 20, 25, 30, 100, 16_383, 16_384, 16_385, 40_000, len(command) - 1]:
        client = server.client()
        client.raw(command[:cut])
        client.close()
    client = server.client()
    # Inside a transaction, watching, blocked output, monitoring.
    for setup in [["MULTI"], ["WATCH", "a", "b"], ["MONITOR"], ["CLIENT", "REPLY", "OFF"]]:
        other = server.client()
        other.send(*setup)
        other.close()
    until("clients that left are forgotten", lambda: alone(client))
    client.close()


def garbage(server):
    source = random.Random(7)
    for _ in range(300):
        client = server.client(timeout=20)
        size = source.choice([1, 10, 100, 5000, 70_000])
        data = bytes(source.randrange(256) for _ in range(size))
        if source.random() < 0.5:
            data = source.choice([b"*", b"$", b"*3\r\n$", b"*1\r\n$-1\r\n", b"*99999999999\r\n"]) + data
        try:
            client.raw(data)
            client.socket.shutdown(socket.SHUT_WR)
            # Whatever it answers, it comes to an end.
            while client.socket.recv(65536):
                pass
        except OSError as error:
            # It may have been closed before that; a timeout has no such number.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise
        client.close()


def headers_of_512_megabytes(server):
    """Announces much, sends nothing: memory is taken only for what arrives."""
    probe = server.client()
    before = server.resident()
    clients = [server.client() for _ in range(50)]
    for client in clients:
        client.raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nonly this")
    for _ in range(20):
        assert probe("PING") == "PONG"
    grown = server.resident() - before
    assert grown < 64 * MEGABYTE, "50 headers took %d MB" % (grown // MEGABYTE)
    for client in clients:
        client.close()
    until("clients that left are forgotten", lambda: alone(probe))
    client = server.client()
    client.raw(b"*2\r\n$536870913\r\n")
    assert client.read() == "ERR Protocol error: invalid bulk length"
    client.close()
    probe.close()


def never_reads(server):
    """Asks for 10 MB again and again: what waits for it is bounded by the output buffer limit."""
    probe = server.client()
    probe("SET", "big", "x" * (10 * MEGABYTE))
    probe("CONFIG", "SET", "client-output-buffer-limit", "normal 64mb 0 0")
    before = server.resident()
    lazy = server.client()
    lazy.socket.setblocking(False)
    sent = 0
    try:
        for _ in range(200):
            sent += lazy.socket.send(encode(["GET", "big"]))
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    until("a client that never reads is closed", lambda: alone(probe))
    assert server.resident() - before < 200 * MEGABYTE
    assert int(info(probe, "client_output_buffer_limit_disconnections")) >= 1
    lazy.close()
    probe("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0")
    probe("DEL", "big")
    probe.close()


def query_buffer_limit(server):
    probe = server.client()
    probe("CONFIG", "SET", "client-query-buffer-limit", "1mb")
    client = server.client()
    client.raw(b"*100\r\n" + b"$100000\r\n")
    try:
        for _ in range(40):
            client.raw(b"x" * 100_000 + b"\r\n$100000\r\n")
        while client.socket.recv(4096):
            pass
    except (BrokenPipeError, ConnectionResetError):
        pass
    client.close()
    until("a client over the query buffer limit is closed", lambda: alone(probe))
    assert int(info(probe, "client_query_buffer_limit_disconnections")) == 1
    probe("CONFIG", "SET", "client-query-buffer-limit", "1gb")
    probe.close()


def idle_connections(server):
    """10,000 of them cost little, and do not slow the others down by being there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, hard - 200)
    assert count == 10_000, "the limit of open files is %d" % hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    probe = server.client()
    assert probe("CONFIG", "SET", "maxclients", count + 100) == "OK"
    before = server.resident()
    clients = []
    for number in range(count):
        clients.append(socket.create_connection(("127.0.0.1", server.port)))
        if number % 500 == 0:
            assert probe("PING") == "PONG"
    until("all are there", lambda: int(info(probe, "connected_clients")) == count + 1)
    # What was free meanwhile goes back to the system within a second or two.
    each = lambda: (server.resident() - before) / count
    until("an idle connection takes less than 4096 bytes", lambda: each() < 4096)
    source = random.Random(1)
    for client in source.sample(clients, 200):
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
    for client in clients:
        client.close()
    until("all are gone", lambda: alone(probe))
    probe.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def too_many_clients(server):
    probe = server.client()
    probe("CONFIG", "SET", "maxclients", "5")
    clients = [server.client() for _ in range(4)]
    for client in clients:
        assert client("PING") == "PONG"
    one_more = server.client()
    assert one_more.read() == "ERR max number of clients reached"
    one_more.close()
    for client in clients:
        client.close()
    until("they are gone", lambda: alone(probe))
    probe("CONFIG", "SET", "maxclients", "10000")
    probe.close()


def memory_limit(server):
    """At the limit writes are refused, reads and deletes go on."""
    client = server.client()
    client("FLUSHALL")
    used = int(info(client, "used_memory"))
    client("CONFIG", "SET", "maxmemory", used + 5 * MEGABYTE)
    refused, number = None, 0
    while refused is None:
        reply = client("SET", "key:%d" % number, "x" * 10_000)
        refused = reply if isinstance(reply, Error) else None
        number += 1
        assert number < 2000, "10 MB went in"
    assert refused == "OOM command not allowed when used memory > 'maxmemory'.", refused
    assert client("GET", "key:0") == b"x" * 10_000
    assert client("APPEND", "key:0", "y").startswith("OOM")
    client("MULTI")
    assert client("SET", "a", "b").startswith("OOM")
    assert client("EXEC").startswith("EXECABORT")
    for key in range(number):
        client("DEL", "key:%d" % key)
    assert client("SET", "a", "b") == "OK"
    client("CONFIG", "SET", "maxmemory", "0")
    client.close()


def kill_and_restart(binary):
    """A server that was killed starts again, at the same port, with whatever it left behind."""
    with Server(binary, "--unixsocket", "socket") as server:
        for _ in range(3):
            client = server.client()
            assert client("SET", "a", "1") == "OK"
            server.kill()
            try:
                client("PING")
                raise AssertionError("a killed server answers")
            except (ConnectionError, OSError):
                pass
            server.start()
            healthy(server)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert not os.path.exists(os.path.join(server.dir, "socket"))


def full_disk(binary):
    """CONFIG REWRITE where nothing can be written leaves the file as it is."""
    with Server(binary) as server:
        path = os.path.join(server.dir, "ebb.conf")
        text = "maxmemory 100mb\n"
        with open(path, "w") as conf:
            conf.write(text)
        server.kill()
        server.argv.insert(2, path)
        # Writing more than 0 bytes to a file fails, as on a full disk; Python ignores the signal
        # that this sends, and its children may inherit that.
        process = subprocess.Popen(
            ["prlimit", "--fsize=0", *server.argv], cwd=server.dir, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, restore_signals=False)
        server.process = process
        client = None

        def connected():
            nonlocal client
            try:
                client = server.client()
                return True
            except OSError:
                return False

        until("it starts", connected)
        assert client("CONFIG", "SET", "maxmemory", "200mb") == "OK"
        reply = client("CONFIG", "REWRITE")
        assert isinstance(reply, Error) and reply.startswith("ERR Rewriting config file:"), reply
        with open(path) as conf:
            assert conf.read() == text
        assert os.listdir(server.dir).count("ebb.conf") == 1
        client.close()


def no_addresses(binary):
    """With too few addresses the server does not start, and says why."""
    for megabytes in (40, 200, 380):
        limit = ["prlimit", "--as=%d" % (megabytes * MEGABYTE)]
        try:
            with Server(binary, "--io-threads", "2", prefix=limit):
                raise AssertionError("%d MB are enough" % megabytes)
        except RuntimeError as error:
            assert "did not start" in str(error) and "ulimit -v" in str(error), error
            assert "panicked" not in str(error), error


# What a client may ask for when there is no memory for it: the answer is an error, or the connection ends.
GREEDY = [
    ("EVAL", "return string.rep('x', 1000000000)", 0),
    ("EVAL", "local t = {} for i = 1, 40 do t[i] = string.rep('x', 20000000) end return table.concat(t)", 0),
    ("EVAL", "local t = {} for i = 1, 1e9 do t[i] = i end", 0),
    ("EVAL", "local t = {} for i = 1, 400 do t[i] = redis.call('GET', 'big') .. i end return t", 0),
    ("EVAL", "return redis.call(unpack(ARGV))", 0, "MGET", *["big"] * 200),
    ("EVAL", "local t = {} for i = 1, 100 do t[i] = ARGV[1] end return cjson.encode(t)", 0, "x" * 8_000_000),
    ("EVAL", "local t = {} for i = 1, 100 do t[i] = ARGV[1] end return cmsgpack.pack(t)", 0, "x" * 8_000_000),
    ("EVAL", "return {string.rep('x', 300000000), string.rep('y', 300000000)}", 0),
    ("KEYS", "*"),
    ("SORT", "set", "ALPHA"), ("SORT", "set", "ALPHA", "STORE", "dst"),
    ("SORT", "set", "BY", "nosort", "GET", "#", "GET", "#", "GET", "#"),
    ("SORT", "few", "BY", "nosort", "GET", "big", *["GET", "big*"] * 3),
    ("SUNION", "set", "set2"), ("SUNIONSTORE", "dst", "set", "set2"), ("SDIFF", "set", "set2"),
    ("SINTER", "set", "set"), ("SMEMBERS", "set"), ("SPOP", "set", 300_000), ("SRANDMEMBER", "set", 200_000),
    ("SRANDMEMBER", "set", -30_000_000), ("ZUNION", 2, "zset", "set"), ("ZDIFF", 2, "zset", "few"),
    ("ZUNIONSTORE", "dst", 2, "zset", "set"), ("ZRANDMEMBER", "zset", -30_000_000, "WITHSCORES"),
    ("ZRANGE", "zset", 0, -1, "WITHSCORES"), ("ZPOPMIN", "zset", 200_000),
    ("HGETALL", "hash"), ("HRANDFIELD", "hash", 200_000, "WITHVALUES"), ("HRANDFIELD", "hash", -2_000_000),
    ("LRANGE", "list", 0, -1), ("LPOS", "list", "nothing", "COUNT", 0), ("XRANGE", "stream", "-", "+"),
    ("XREAD", "STREAMS", "stream", "0"), ("BITOP", "NOT", "dst", "huge"), ("BITOP", "ONE", "dst", "huge", "huge", "big"),
    ("LCS", "long", "long2"), ("LCS", "long", "long2", "IDX"), ("SETRANGE", "r", 500_000_000, "x"),
    ("SETBIT", "bits", 4_000_000_000, 1), ("APPEND", "huge", "z" * 20_000_000), ("DUMP", "huge"), ("DUMP", "set"),
    ("COPY", "huge", "copy"), ("MGET", *["mid"] * 20_000), ("GETRANGE", "huge", 0, -2),
    ("PUBLISH", "nobody", "x" * 50_000_000), ("SET", "s", "x" * 300_000_000), ("ECHO", "x" * 200_000_000),
    ("SUBSCRIBE", *["%d:" % n + "c" * 1000 for n in range(30_000)]), ("PSUBSCRIBE", "p" * 50_000_000),
    ("SCRIPT", "LOAD", "return 1 --" + "x" * 50_000_000),
    ("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() end) --" + "x" * 50_000_000),
    ("DEBUG", "NOTHING", "x" * 100_000_000), ("PFADD", "p", *["%d" % n for n in range(300_000)]),
]


def fill_for_greed(client):
    """Collections whose copies are large, and then what is left of the memory."""
    client("SETRANGE", "huge", 250_000_000, "x")
    client("SET", "big", "b" * 15_000)
    client("SET", "mid", "m" * 15_000)
    for name in ("long", "long2"):
        client("SET", name, "".join(random.Random(name).choices("acgt", k=15_000)))
    client("RPUSH", "few", 1, 2, 3)
    for first in range(0, 300_000, 5000):
        numbers = range(first, first + 5000)
        client.pipeline([
            ("SADD", "set", *["member:%07d" % n for n in numbers]),
            ("SADD", "set2", *["other:%07d" % n for n in numbers]),
            ("ZADD", "zset", *[part for n in numbers for part in (n, "member:%07d" % n)]),
            ("HSET", "hash", *[part for n in numbers for part in ("f%d" % n, "value:%07d" % n)]),
            ("RPUSH", "list", *["item:%07d" % n for n in numbers])])
        client.pipeline([("XADD", "stream", "*", "f", "v%d" % n) for n in range(first, first + 2000)])
        client.pipeline([("SET", "key:%d" % n, "") for n in numbers])


def survived(server, command):
    try:
        probe = server.client(timeout=300)
        assert probe("PING") == "PONG"
        probe.close()
    except (ConnectionError, OSError):
        server.process.wait(20)
        name = [str(part)[:60] for part in command[:5]]
        raise AssertionError("%s ended the server: %s" % (name, server.log()))


def subscriptions_are_refused(server):
    """A subscription for which there is no memory: an error that is counted, and the others stay."""
    client, listener = server.client(), server.client()
    counted = lambda: int((re.findall(r"errorstat_OOM:count=(\d+)", client("INFO", "errorstats").decode()) or [0])[0])
    before, count, reply = counted(), 0, None
    while not isinstance(reply, Error):
        name = "%d:" % count + "c" * 1000
        reply = listener("SUBSCRIBE", name)
        count += 1
        assert count < 1_000_000, "there is no limit"
    assert reply.startswith("OOM "), reply
    assert counted() == before + 1
    receivers = [client("PUBLISH", channel, "m") for channel in ("0:" + "c" * 1000, name)]
    assert receivers == [int(count > 1), 0], receivers
    for each in (client, listener):
        each.close()


def no_memory(binary):
    """The operating system has no memory: whatever clients ask for, the process goes on."""
    limit = ["prlimit", "--as=%d" % (900 * MEGABYTE)]
    refused = closed = 0
    with Server(binary, "--io-threads", "2", prefix=limit) as server:
        client = server.client()
        fill_for_greed(client)
        # What is left goes to strings: first with large ones, then with small ones.
        for size in (10_000_000, 1_000_000, 100_000):
            number = 0
            while client("SET", "fill:%d:%d" % (size, number), "x" * size) == "OK":
                number += 1
                assert number < 10_000, "there is no limit"
        subscriptions_are_refused(server)
        for _ in range(2):
            for command in GREEDY:
                greedy = server.client(timeout=300)
                try:
                    refused += isinstance(greedy(*command), Error)
                except (ConnectionError, BrokenPipeError, ConnectionResetError):
                    closed += 1
                greedy.close()
                survived(server, command)
            transaction = server.client()
            transaction("MULTI")
            for _ in range(40):
                transaction("SET", "queued", "x" * 10_000_000)
            transaction.close()
            healthy(server)
            # The second time with some room.
            client.pipeline([("DEL", "fill:10000000:%d" % n) for n in range(8)])
        assert client("FLUSHALL") == "OK"
        until("there is memory again", lambda: client("SET", "a", "x" * 100_000_000) == "OK")
        script = ("EVAL", "return #string.rep('x', 5000000)", 0)
        until("there is memory for scripts again", lambda: client(*script) == 5_000_000)
        assert len(client("MGET", *["a"] * 3)) == 3
        healthy(server)
        server.process.terminate()
        assert server.process.wait(20) == 0
    assert refused >= 10, refused
    print("  %d refused, %d connections closed" % (refused, closed))


def main():
    binary = sys.argv[1]
    with Server(binary, "--io-threads", "2") as server:
        for scenario in [disconnects_in_the_middle, garbage, headers_of_512_megabytes, never_reads,
                         query_buffer_limit, too_many_clients, memory_limit, idle_connections]:
            start = time.time()
            scenario(server)
            healthy(server)
            print("faults: %s, %.1f s" % (scenario.__name__, time.time() - start), flush=True)
    for scenario in [kill_and_restart, full_disk, no_addresses, no_memory]:
        scenario(binary)
        print("faults: %s" % scenario.__name__, flush=True)


if __name__ == "__main__":
    main()
