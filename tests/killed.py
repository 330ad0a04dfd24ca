#!/usr/bin/env python3
"""kill -9 while background work is under way: the server starts again with the same arguments, and serves.

usage: killed.py EBB

There is nothing on disk to come back from yet: what is tested is that nothing that a killed process leaves
behind (its port, its socket, its lock) stands in the way, whatever it was doing. Each kind of work is
seen to be under way, by what the server says of itself, before the server is killed.
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Server  # noqa: E402


def as_dict(reply):
    return {reply[at].decode(): reply[at + 1] for at in range(0, len(reply), 2)}


def info(client, field):
    text = client("INFO", "everything").decode()
    line, = [line for line in text.splitlines() if line.startswith(field + ":")]
    return float(line.split(":", 1)[1])


def add_members(client, key, count):
    for first in range(0, count, 200_000):
        batch = [("SADD", key, *["member:%d" % n for n in range(at, at + 1000)])
                 for at in range(first, min(first + 200_000, count), 1000)]
        client.pipeline(batch)


def free_large_set(client):
    add_members(client, "set", 1_000_000)
    client("UNLINK", "set")
    return lambda: info(client, "lazyfree_pending_objects") > 0


def defragment(client):
    client("CONFIG", "SET", "activedefrag", "no")
    client("DEBUG", "POPULATE", 400_000, "key", 100)
    client.pipeline([("DEL", "key:%d" % n) for n in range(400_000) if n % 4])
    client("CONFIG", "SET", "active-defrag-ignore-bytes", "1mb", "active-defrag-threshold-lower", 2,
           "active-defrag-cycle-min", 1, "active-defrag-cycle-max", 1)
    client("CONFIG", "SET", "activedefrag", "yes")
    return lambda: info(client, "active_defrag_running") > 0


def evict(client):
    client("DEBUG", "POPULATE", 400_000, "key", 100)
    used = int(info(client, "used_memory"))
    client("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", used // 3)
    # Some keys are gone and more have to go.
    return lambda: (info(client, "evicted_keys") > 0
                    and info(client, "used_memory") > info(client, "maxmemory") * 1.02)


def expire(client):
    at = int(time.time()) + 6
    for first in range(0, 300_000, 50_000):
        client.pipeline([("SET", "key:%d" % n, "x", "EXAT", at) for n in range(first, first + 50_000)])
    return lambda: 0 < info(client, "expired_keys") < 300_000


def assign_to_partition(client):
    client("DEBUG", "POPULATE", 400_000, "key", 10)
    assert client("PARTITION", "CREATE", "part", "PREFIX", "key:") == "OK"
    return lambda: 0 < as_dict(client("PARTITION", "INFO", "part"))["unsettled-keys"]


def audit(client):
    client("DEBUG", "POPULATE", 400_000, "key", 10)
    assert client("MEMORY", "AUDIT", "START") == "OK"
    return lambda: as_dict(client("MEMORY", "AUDIT", "STATUS"))["state"] == b"running"


def killed_during(server, work):
    """Kills the server while it works; answers whether the work was seen."""
    client = server.client()
    is_under_way = work(client)
    end = time.time() + 30
    while not is_under_way():
        assert time.time() < end, "%s was never seen to run" % work.__name__
    server.process.send_signal(signal.SIGKILL)
    assert server.process.wait(10) == -signal.SIGKILL
    server.start()
    client = server.client()
    assert client("DBSIZE") == 0
    assert client("SET", "a", "b") == "OK" and client("GET", "a") == b"b"
    assert "panicked" not in server.log(), server.log()
    client("FLUSHALL")
    client.close()


def main():
    binary = sys.argv[1]
    options = ("--io-threads", "2", "--unixsocket", "socket", "--pidfile", "ebb.pid",
               "--enable-debug-command", "yes")
    with Server(binary, *options) as server:
        for work in (free_large_set, defragment, evict, expire, assign_to_partition, audit):
            start = time.time()
            killed_during(server, work)
            print("killed: %s, %.1f s" % (work.__name__, time.time() - start), flush=True)


if __name__ == "__main__":
    main()
