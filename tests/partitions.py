#!/usr/bin/env python3
"""Partitions over a socket: quotas under concurrent writers, FLUSH, keys that move, restarts, included files, users.

usage: partitions.py EBB [--port N]
"""
import argparse
import os
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Client, Error, Server, free_port  # noqa: E402

WRITERS = 4
MB = 1 << 20


def info(client, name):
    """PARTITION INFO as a dictionary."""
    reply = client("PARTITION", "INFO", name)
    assert not isinstance(reply, Error), reply
    text = [item.decode("latin1") if isinstance(item, bytes) else item for item in reply]
    return dict(zip(text[::2], text[1::2]))


def until(what, condition, seconds=30):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "not within %d s: %s" % (seconds, what)
        time.sleep(0.01)


def together(port, work):
    """Runs `work(client, number)` on some connections at the same time."""
    failures = []

    def run(number):
        try:
            work(Client(port), number)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures, failures


class Watcher:
    """Looks at a partition's bytes again and again while others write."""

    def __init__(self, port, name, limit):
        self.most, self.looks, self.stopped = 0, 0, False
        self.thread = threading.Thread(target=self.run, args=(port, name))
        self.limit = limit

    def run(self, port, name):
        client = Client(port)
        while not self.stopped:
            self.most = max(self.most, info(client, name)["bytes"])
            self.looks += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.thread.join()
        assert self.looks > 0 and self.most <= self.limit, (self.looks, self.most, self.limit)


def check_refusing(server, client):
    """A full partition refuses; its neighbours take what they are given."""
    limit = 2 * MB
    assert client("PARTITION", "CREATE", "full", "PREFIX", "full:", "MAXMEMORY", limit,
                  "MAXMEMORY-POLICY", "noeviction") == "OK"
    refusal = "OOM command not allowed when used memory > 'maxmemory' of partition 'full'."
    counts = {"OK": 0, refusal: 0}
    lock = threading.Lock()

    def fill(client, number):
        for start in range(0, 3000, 50):
            names = ["%d:%d" % (number, at) for at in range(start, start + 50)]
            replies = client.pipeline([["SET", "full:" + name, "v" * 500] for name in names])
            with lock:
                for reply in replies:
                    counts[str(reply)] += 1
            assert client.pipeline([["SET", "free:" + name, "v" * 50] for name in names]) == ["OK"] * 50

    with Watcher(server.port, "full", limit):
        together(server.port, fill)
    now = info(client, "full")
    assert now["keys"] == counts["OK"] and now["refused"] == counts[refusal] > 0, (now, counts)
    assert now["evicted"] == 0 and now["bytes"] > limit * 0.98, now
    assert client("DBSIZE") == counts["OK"] + WRITERS * 3000


def check_evicting(server, client):
    """A full partition evicts its own keys, and only these, under every policy."""
    limit = 2 * MB
    before = info(client, "full")["keys"]
    assert client("PARTITION", "CREATE", "cache", "PREFIX", "cache:", "MAXMEMORY", limit) == "OK"
    for policy in ("allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-s3fifo", "volatile-ttl"):
        assert client("PARTITION", "ALTER", "cache", "MAXMEMORY-POLICY", policy) == "OK"

        def churn(client, number):
            for start in range(0, 5000, 50):
                commands = [["SET", "cache:%s:%d:%d" % (policy, number, at), "v" * (at % 1000), "EX", 1000 + at]
                            for at in range(start, start + 50)]
                assert client.pipeline(commands) == ["OK"] * 50

        with Watcher(server.port, "cache", limit):
            together(server.port, churn)
        now = info(client, "cache")
        assert now["bytes"] > limit * 0.9 and now["refused"] == 0, now
    assert now["evicted"] > 0 and info(client, "full")["keys"] == before
    assert client("DBSIZE") == now["keys"] + before + WRITERS * 3000
    # A limit that is lowered is kept to soon, by nobody's command.
    assert client("PARTITION", "ALTER", "cache", "MAXMEMORY", MB // 2) == "OK"
    until("a lower limit", lambda: info(client, "cache")["bytes"] <= MB // 2)
    # Scripts and transactions are held to it too.
    assert client("PARTITION", "ALTER", "cache", "MAXMEMORY-POLICY", "allkeys-lru") == "OK"

    def scripts(client, number):
        code = "for n = 1, 50 do redis.call('SET', KEYS[1] .. n, ARGV[1]) end"
        for at in range(40):
            assert client("EVAL", code, 1, "cache:script:%d:%d:" % (number, at), "v" * 300) is None
            client("MULTI")
            [client("SET", "cache:multi:%d:%d:%d" % (number, at, n), "v" * 300) for n in range(20)]
            assert client("EXEC") == ["OK"] * 20

    with Watcher(server.port, "cache", MB // 2):
        together(server.port, scripts)


def check_flush(client):
    """FLUSH answers at once, and the memory is the system's again soon."""
    assert client("PARTITION", "CREATE", "big", "PREFIX", "big:") == "OK"
    for start in range(0, 200_000, 1000):
        client.pipeline([["SET", "big:%d" % at, "v" * 600] for at in range(start, start + 1000)])
    bytes_before = info(client, "big")["bytes"]
    resident = resident_bytes(client)
    assert info(client, "big")["keys"] == 200_000 and bytes_before > 110 * MB
    others = client("DBSIZE") - 200_000
    began = time.time()
    assert client("PARTITION", "FLUSH", "big") == "OK"
    answered = time.time() - began
    assert client("DBSIZE") == others and info(client, "big")["bytes"] < MB
    until("memory is given back", lambda: resident - resident_bytes(client) > bytes_before * 0.9, 5)
    assert answered < 5
    print("   FLUSH of 200,000 keys: answered in %.1f ms, memory back in %.0f ms"
          % (answered * 1000, (time.time() - began) * 1000))
    assert client("PARTITION", "DROP", "big") == "OK"


def resident_bytes(client):
    text = client("INFO", "memory")
    line = next(line for line in text.decode().splitlines() if line.startswith("used_memory_rss:"))
    return int(line.split(":")[1])


def check_creation(server, client):
    """Keys that are there already move to a new partition, while they are used."""
    client("SELECT", 2)
    count = 200_000
    for start in range(0, count, 1000):
        client.pipeline([["SET", "%s:%d" % ("old" if at % 2 else "other", at), at] for at in range(start, start + 1000)])
    assert client("PARTITION", "CREATE", "moved", "PREFIX", "old:", "DB", 2) == "OK"
    seen = [info(client, "moved")]
    assert seen[0]["state"] == "settling" and 0 < seen[0]["unsettled-keys"] <= count, seen[0]

    def use(client, number):
        client("SELECT", 2)
        for at in range(number * 2 + 1, count, 997 * 2):
            assert client("GET", "old:%d" % at) == b"%d" % at
            assert client("INCR", "old:%d" % at) == at + 1
            assert client("DECR", "old:%d" % at) == at

    together(server.port, use)
    until("settled", lambda: seen.append(info(client, "moved")) or seen[-1]["state"] == "settled")
    left = [one["unsettled-keys"] for one in seen]
    # What has moved is looked at once more in its new place, so the figure may grow a little.
    assert left[-1] == 0 and all(b < a + count // 20 for a, b in zip(left, left[1:])), left
    assert seen[-1]["keys"] == count // 2 and client("DBSIZE") == count
    # Its keys stay when it is dropped.
    client("SWAPDB", 2, 3)
    until("settled", lambda: info(client, "moved")["state"] == "settled")
    assert info(client, "moved")["keys"] == 0
    client("SWAPDB", 2, 3)
    until("settled", lambda: info(client, "moved")["keys"] == count // 2)
    assert client("PARTITION", "DROP", "moved") == "OK"
    assert client("DBSIZE") == count and client("GET", "old:1") == b"1"
    client("FLUSHDB")
    client("SELECT", 0)


def check_alteration(server, client):
    """Keys move when a partition's prefix and database change, while they are used."""
    client("SELECT", 2)
    count = 100_000
    for start in range(0, count, 1000):
        client.pipeline([["SET", "%s:%d" % ("here" if at % 2 else "there", at), at] for at in range(start, start + 1000)])
    prefix = b"\x00\xff\r\n\" "
    assert client("PARTITION", "CREATE", "altered", "PREFIX", prefix) == "OK"
    assert dict(zip(*[iter(client("PARTITION", "INFO", "altered"))] * 2))[b"prefix"] == prefix
    client("SET", prefix + b"key", "v")
    until("settled", lambda: info(client, "altered")["state"] == "settled")
    assert info(client, "altered")["keys"] == 1
    for name in ("here", "there"):
        assert client("PARTITION", "ALTER", "altered", "PREFIX", name + ":", "DB", 2) == "OK"
        seen = [info(client, "altered")]
        assert seen[0]["state"] == "settling" and 0 < seen[0]["unsettled-keys"] <= count + 1000, seen[0]

        def use(client, number):
            client("SELECT", 2)
            for at in range(number * 2 + 1, count, 997 * 2):
                assert client("GET", "here:%d" % at) == b"%d" % at
                assert client("INCR", "here:%d" % at) == at + 1
                assert client("DECR", "here:%d" % at) == at
                assert client("SET", "there:new:%d" % at, "v") == "OK"

        together(server.port, use)
        until("settled", lambda: seen.append(info(client, "altered")) or seen[-1]["state"] == "settled")
        left = [one["unsettled-keys"] for one in seen]
        assert left[-1] == 0 and all(b < a + count // 20 for a, b in zip(left, left[1:])), left
        if name == "here":
            assert info(client, "altered")["keys"] == count // 2
    # Only now: until they have moved, keys that leave are evicted by the partition's limit too.
    assert client("PARTITION", "ALTER", "altered", "MAXMEMORY", MB, "MAXMEMORY-POLICY", "allkeys-random") == "OK"
    until("the limit", lambda: info(client, "altered")["bytes"] <= MB)
    now = info(client, "altered")
    assert 0 < now["keys"] < count // 2 and now["evicted"] > 0, now
    assert client("DBSIZE") == now["keys"] + count // 2 + 1
    assert client("GET", prefix + b"key") == b"v" and client("GET", "here:1") == b"1"
    refused = client("PARTITION", "ALTER", "altered", "PREFIX", "full:", "DB", "ALL")
    assert refused == "ERR partition 'full' has the same prefix and db", refused
    assert client("PARTITION", "DROP", "altered") == "OK"
    client("FLUSHDB")
    client("SELECT", 0)


def check_leaving(client):
    """Keys that leave a partition are not evicted for its limit, though they count there until then."""
    count, writes = 100_000, 20
    client("SELECT", 2)
    assert client("PARTITION", "CREATE", "narrow", "PREFIX", "leave:") == "OK"
    for start in range(0, count, 1000):
        client.pipeline([["SET", "leave:%d" % at, at] for at in range(start, start + 1000)])
    for prefix, written in (("stay:", 0), ("leave:", writes), ("stay:", writes)):
        limit = 0 if prefix == "leave:" else MB // 2
        evicted = info(client, "narrow")["evicted"]
        keys = client("DBSIZE")
        assert client("PARTITION", "ALTER", "narrow", "PREFIX", prefix, "MAXMEMORY", limit,
                      "MAXMEMORY-POLICY", "allkeys-lru") == "OK"
        for at in range(written):
            assert client("SET", "%s:new:%d" % (prefix, at), "v") == "OK"
        until("settled", lambda: info(client, "narrow")["state"] == "settled")
        evicted = info(client, "narrow")["evicted"] - evicted
        # Twice what a write may need is some kilobytes, and these keys are small.
        assert evicted <= written * 150, (prefix, evicted)
        assert client("DBSIZE") == keys + written - evicted, prefix
    assert client("PARTITION", "DROP", "narrow") == "OK"
    client("FLUSHDB")
    client("SELECT", 0)


def check_users(server, client):
    assert client("ACL", "SETUSER", "ops", "on", ">x", "+@partition", "~*") == "OK"
    assert client("ACL", "SETUSER", "app", "on", ">x", "~*", "+@all", "-@partition") == "OK"
    ops, app = Client(server.port), Client(server.port)
    assert ops("AUTH", "ops", "x") == app("AUTH", "app", "x") == "OK"
    assert app("SET", "full:0:0", "v" * 3000).startswith("OOM") and app("GET", "free:0:0") is not None
    assert app("PARTITION", "FLUSH", "full").startswith("NOPERM")
    assert ops("GET", "free:0:0").startswith("NOPERM")
    assert ops("PARTITION", "FLUSH", "full") == "OK" and app("SET", "full:0:0", "v") == "OK"


def check_restart(server, client):
    """CONFIG REWRITE writes what was changed; the next server has it."""
    names = client("PARTITION", "LIST")
    assert names == [b"configured", b"full", b"cache"], names
    assert client("PARTITION", "ALTER", "configured", "DEFAULT-TTL", 60) == "OK"
    assert client("CONFIG", "REWRITE") == "OK"
    with open(server.config) as file:
        text = file.read()
    assert "partition configured prefix conf: db 1 maxmemory 1mb default-ttl 60\n" in text, text
    assert "partition full prefix full: maxmemory 2mb maxmemory-policy noeviction\n" in text, text
    server.restart()
    client = server.client()
    assert client("PARTITION", "LIST") == names
    now = info(client, "configured")
    assert (now["db"], now["maxmemory"], now["default-ttl"], now["keys"]) == ("1", MB, 60, 0), now
    client("SELECT", 1)
    client("SET", "conf:a", 1)
    assert 58 <= client("TTL", "conf:a") <= 60 and info(client, "configured")["keys"] == 1


def check_includes(server):
    """What an included file says is not written again, and does not come back unnoticed."""
    client = server.client()
    names = client("PARTITION", "LIST")
    more = os.path.join(server.dir, "more.conf")
    with open(more, "w") as file:
        file.write('# shared\npartition "shared" prefix "\\x00\\xff" maxmemory 1mb\n')
    with open(server.config, "a") as file:
        file.write("include %s\n" % more)
    server.restart()
    client = server.client()
    assert client("PARTITION", "LIST") == names + [b"shared"]
    assert client("CONFIG", "REWRITE") == "OK"
    with open(server.config) as file:
        kept = file.read()
    assert "partition shared" not in kept, kept
    server.restart()
    client = server.client()
    assert client("PARTITION", "ALTER", "shared", "MAXMEMORY", "2mb") == "OK"
    refused = client("CONFIG", "REWRITE")
    assert refused == ("ERR Rewriting config file: line 2 of '%s' makes partition 'shared' other than it is: change "
                       "the line to 'partition shared prefix \"\\x00\\xff\" maxmemory 2mb'" % more), refused
    assert client("PARTITION", "DROP", "shared") == "OK"
    refused = client("CONFIG", "REWRITE")
    assert refused.endswith("makes partition 'shared', which is not there: delete the line"), refused
    with open(server.config) as file:
        assert file.read() == kept
    with open(more, "w"):
        pass
    assert client("CONFIG", "REWRITE") == "OK"
    server.restart()
    assert server.client()("PARTITION", "LIST") == names


class Configured(Server):
    """A server with a configuration file, which may be started again."""

    def __init__(self, binary, port):
        self.dir = tempfile.mkdtemp(prefix="ebb-test-")
        self.port, self.binary, self.env = port or free_port(), binary, None
        self.config = os.path.join(self.dir, "ebb.conf")
        with open(self.config, "w") as file:
            file.write("port %d\nsave \"\"\nio-threads 4\nio-threads-always-active yes\n" % self.port)
            file.write("partition configured prefix conf: db 1 maxmemory 1mb\n")
        self.argv = [binary, "server", self.config]
        self.start()

    def restart(self):
        self.process.terminate()
        self.process.wait(20)
        self.start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ebb")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    with Configured(options.ebb, options.port) as server:
        client = server.client()
        checks = [
            ("a full partition refuses alone", lambda: check_refusing(server, client)),
            ("a full partition evicts its own keys", lambda: check_evicting(server, client)),
            ("FLUSH", lambda: check_flush(client)),
            ("CREATE over keys, SWAPDB, DROP", lambda: check_creation(server, client)),
            ("ALTER of prefix and database", lambda: check_alteration(server, client)),
            ("keys that leave", lambda: check_leaving(client)),
            ("users", lambda: check_users(server, client)),
            ("REWRITE and restart", lambda: check_restart(server, client)),
            ("included files", lambda: check_includes(server)),
        ]
        for name, check in checks:
            print("-- %s" % name, flush=True)
            check()
            assert server.process.poll() is None, server.log()
    print("partitions: all is well")


if __name__ == "__main__":
    main()
