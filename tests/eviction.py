#!/usr/bin/env python3
"""Memory limits over a socket: every policy, changes at run time, shrinking, and reads meanwhile.

usage: eviction.py EBB
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Error, Server  # noqa: E402

MEGABYTE = 1 << 20
VALUE = b"v" * 500
ORDERS = ["lru", "lfu", "random", "s3fifo"]


def info(client):
    lines = client("INFO", "everything").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def number(client, field):
    return int(info(client)[field])


def counted(client):
    """What counts against the limit."""
    fields = info(client)
    return int(fields["used_memory"]) - int(fields["mem_not_counted_for_evict"])


def until(what, condition, seconds=20):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, what
        time.sleep(0.02)


def fill(client, first, count, *options):
    replies = client.pipeline([("SET", "key:%d" % n, VALUE, *options)
                               for n in range(first, first + count)])
    return [reply for reply in replies if reply != "OK"]


def empty(client, policy, megabytes=None):
    client("CONFIG", "SET", "maxmemory", 0)
    client("FLUSHALL")
    client("CONFIG", "RESETSTAT")
    client("CONFIG", "SET", "maxmemory-policy", policy)
    if megabytes:
        client("CONFIG", "SET", "maxmemory", "%dmb" % megabytes)


def allkeys_policies_keep_the_limit(server):
    client = server.client()
    for order in ORDERS:
        empty(client, "allkeys-" + order, 10)
        assert fill(client, 0, 40_000) == [], order
        assert counted(client) <= 10 * MEGABYTE + 20_000, (order, counted(client))
        assert counted(client) > 9.8 * MEGABYTE, (order, counted(client))
        kept = client("DBSIZE")
        assert number(client, "evicted_keys") == 40_000 - kept, order
        assert kept > 10_000, (order, kept)


def volatile_policies_spare_other_keys(server):
    client = server.client()
    for order in [*ORDERS, "ttl"]:
        empty(client, "volatile-" + order, 10)
        client.pipeline([("SET", "stays:%d" % n, VALUE) for n in range(5_000)])
        assert fill(client, 0, 40_000, "PX", 1_000_000_000) == [], order
        left = client.pipeline([("EXISTS", "stays:%d" % n) for n in range(5_000)])
        assert left.count(1) == 5_000, order
        assert counted(client) <= 10 * MEGABYTE + 20_000, (order, counted(client))
        # At last nothing is left to evict.
        refused = []
        for n in range(20):
            refused = client.pipeline([("SET", "more:%d" % (n * 2000 + m), VALUE) for m in range(2000)])
            if isinstance(refused[-1], Error):
                break
        assert refused[-1].startswith("OOM command not allowed"), order
        assert client("GET", "stays:1") == VALUE
        assert not [n for n in range(0, 40_000, 100) if client("EXISTS", "key:%d" % n)], order


def small_limits_hold_over_many_shards(server):
    """What each of many shards has outside of the heap counts before the next command."""
    client = server.client()
    for order in [*ORDERS, "ttl"]:
        empty(client, "volatile-" + order)
        limit = counted(client) + 100 * 1024
        client("CONFIG", "SET", "maxmemory", limit)
        for n in range(6_000):
            assert client("SET", "key:%d" % n, b"x", "EX", 10_000) == "OK", order
            if n % 100 == 99:
                assert counted(client) < limit + 2_048, (order, n, counted(client) - limit)


def ttl_takes_what_expires_first(server):
    client = server.client()
    empty(client, "volatile-ttl", 10)
    client.pipeline([("SET", "late:%d" % n, VALUE, "EX", 1_000_000) for n in range(5_000)])
    client.pipeline([("SET", "early:%d" % n, VALUE, "EX", 1_000 + n) for n in range(20_000)])
    late = client.pipeline([("EXISTS", "late:%d" % n) for n in range(5_000)])
    assert late.count(1) > 4_950, late.count(1)


def lru_takes_the_idle_and_lfu_the_rare(server):
    client = server.client()
    for policy in ("allkeys-lru", "allkeys-lfu", "allkeys-s3fifo"):
        # Room for some 16,900 of the 22,000 keys, whatever the server itself takes: the 9,000 that
        # are not used are more than have to go.
        empty(client, policy)
        client("CONFIG", "SET", "maxmemory", number(client, "used_memory_startup") + 8_900_000)
        fill(client, 0, 10_000)
        # The clock of LRU counts seconds.
        time.sleep(1.1 if policy == "allkeys-lru" else 0)
        for _ in range(15):
            client.pipeline([("GET", "key:%d" % n) for n in range(0, 10_000, 10)])
        fill(client, 10_000, 12_000)
        used = client.pipeline([("EXISTS", "key:%d" % n) for n in range(0, 10_000, 10)])
        others = client.pipeline([("EXISTS", "key:%d" % n) for n in range(5, 10_000, 10)])
        # Nearly all: 5,100 keys go, and there are 9,000 that are worth less.
        assert used.count(1) > 930, (policy, used.count(1))
        # What is new and not used goes first under S3-FIFO, so that old keys survive a scan.
        if policy != "allkeys-s3fifo":
            assert others.count(1) < 750, (policy, others.count(1))


def noeviction_refuses_writes_and_nothing_else(server):
    client = server.client()
    empty(client, "noeviction")
    fill(client, 0, 1_000)
    client("RPUSH", "list", "a", "b")
    client("CONFIG", "SET", "maxmemory", 1)
    text = "OOM command not allowed when used memory > 'maxmemory'."
    assert client("SET", "a", "b") == text
    assert client("GET", "key:1") == VALUE
    assert client("LPOP", "list") == b"a"
    assert client("DEL", "key:1") == 1
    assert client("EVAL", "return redis.call('set', 'a', 'b')", 0).startswith("OOM")
    assert client("EVAL", "return redis.call('get', 'key:2')", 0) == VALUE
    client("MULTI")
    assert client("SET", "a", "b") == text
    assert client("EXEC").startswith("EXECABORT")
    client("CONFIG", "SET", "maxmemory", 0)
    client("MULTI")
    client("SET", "a", "b")
    other = server.client()
    other("CONFIG", "SET", "maxmemory", 1)
    assert client("EXEC").startswith("EXECABORT Transaction discarded because of: OOM")
    assert number(client, "total_eviction_exceeded_time") >= 0
    other("CONFIG", "SET", "maxmemory", 0)


def transactions_and_scripts_make_room(server):
    client = server.client()
    empty(client, "allkeys-lru", 10)
    fill(client, 0, 25_000)
    for n in range(200):
        client("MULTI")
        for m in range(10):
            assert client("SET", "tx:%d:%d" % (n, m), VALUE) == "QUEUED"
        assert client("EXEC") == ["OK"] * 10
        script = "for i = 1, 10 do redis.call('set', KEYS[1] .. i, ARGV[1]) end return 1"
        assert client("EVAL", script, 1, "script:%d" % n, VALUE) == 1
        assert counted(client) < 10 * MEGABYTE + 20_000, counted(client) - 10 * MEGABYTE


def eviction_is_told(server):
    client, listener = server.client(), server.client()
    empty(client, "allkeys-random")
    client("CONFIG", "SET", "notify-keyspace-events", "Ee")
    listener("SUBSCRIBE", "__keyevent@0__:evicted")
    fill(client, 0, 1_000)
    watching = server.client()
    watching("WATCH", *["key:%d" % n for n in range(1_000)])
    client("CONFIG", "SET", "maxmemory", 1)
    message = listener.read()
    assert message[:2] == [b"message", b"__keyevent@0__:evicted"], message
    assert message[2].startswith(b"key:")
    watching("MULTI")
    watching("PING")
    assert watching("EXEC") is None
    client("CONFIG", "SET", "notify-keyspace-events", "", "maxmemory", 0)


def the_limit_and_the_policy_change_at_run_time(server):
    client = server.client()
    empty(client, "noeviction")
    fill(client, 0, 20_000)
    client("CONFIG", "SET", "maxmemory", "6mb")
    time.sleep(0.3)
    assert client("DBSIZE") == 20_000
    client("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    until("memory gets below the limit", lambda: counted(client) <= 6 * MEGABYTE)
    until("the time is over", lambda: number(client, "current_eviction_exceeded_time") == 0)
    assert number(client, "total_eviction_exceeded_time") > 0
    client("CONFIG", "SET", "maxmemory-policy", "volatile-lfu")
    assert fill(client, 0, 100)[0].startswith("OOM")
    client("CONFIG", "SET", "maxmemory", "7mb")
    assert fill(client, 0, 100) == []
    for policy in ("allkeys-lfu", "allkeys-s3fifo", "allkeys-random", "allkeys-lru"):
        client("CONFIG", "SET", "maxmemory-policy", policy)
        assert fill(client, 50_000, 5_000) == [], policy
        assert counted(client) <= 7 * MEGABYTE + 1000, policy
    assert client("CONFIG", "SET", "maxmemory-policy", "allkeys-mru").startswith("ERR CONFIG SET")
    client("CONFIG", "SET", "maxmemory-basis", "resident")
    fill(client, 0, 1_000)
    client("CONFIG", "SET", "maxmemory-basis", "used")


def shrinking_refuses_no_read_and_delays_none(server):
    client = server.client()
    empty(client, "allkeys-lru")
    for start in range(0, 400_000, 10_000):
        fill(client, start, 10_000)
    before = counted(client)
    times, stop = [], threading.Event()

    def probe():
        other = server.client()
        while not stop.is_set():
            begun = time.perf_counter()
            reply = other("GET", "key:7")
            times.append(time.perf_counter() - begun)
            assert reply in (None, VALUE)
            time.sleep(0.0005)

    thread = threading.Thread(target=probe)
    thread.start()
    client("CONFIG", "SET", "maxmemory", before // 10)
    until("memory gets below the limit", lambda: counted(client) <= before // 10, 60)
    stop.set()
    thread.join()
    times.sort()
    # Machines that run tests are busy; the benchmark has the goal of 2 ms.
    assert times[len(times) * 95 // 100] < 0.05, times[-20:]
    assert client("DBSIZE") < 50_000


def clients_evict_no_data(server):
    client = server.client()
    empty(client, "allkeys-lru")
    fill(client, 0, 10_000)
    client("SET", "large", b"x" * 300_000)
    client("CONFIG", "SET", "maxmemory", counted(client) + MEGABYTE)
    idlers = []
    for _ in range(20):
        other = server.client()
        # Answers that nobody reads.
        other.raw(b"*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n" * 20)
        # And a request that does not end.
        other.raw(b"*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$200000\r\n" + b"y" * 100_000)
        idlers.append(other)
    time.sleep(0.5)
    client.pipeline([("SET", "key:%d" % n, VALUE) for n in range(1_000)])
    evicted = number(client, "evicted_keys")
    # Large arguments are read straight into the heap, where they count.
    assert evicted < 9_000, evicted
    for other in idlers:
        other.close()


def the_largest_clients_are_closed(server):
    client, small, spared, large = (server.client() for _ in range(4))
    empty(client, "noeviction")
    client("SET", "large", b"x" * 10_000)
    spared("CLIENT", "NO-EVICT", "on")
    spared_id = spared("CLIENT", "ID")
    for other in (spared, large):
        # Answers that nobody reads: more than the sockets take.
        other.raw(b"*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n" * 1_500)
    time.sleep(0.5)
    # What is spared counts, too: the limit is between that and both.
    figures = client("CLIENT", "LIST", "ID", spared_id).decode()
    held = int(figures.split("tot-mem=")[1].split()[0])
    client("CONFIG", "SET", "maxmemory-clients", held * 3 // 2)
    until("the largest client is closed", lambda: number(client, "evicted_clients") == 1)
    client("CONFIG", "SET", "maxmemory-clients", 0)
    assert small("PING") == "PONG"
    assert all(len(spared.read()) == 10_000 for _ in range(1_500))
    client("DEL", "large")


def settled(client):
    """Bytes that count, once what other clients held is known to be gone."""
    before, now = 0, counted(client)
    while abs(now - before) > 16 * 1024:
        time.sleep(0.4)
        before, now = now, counted(client)
    return now


def large_values_go_lazily(server):
    client = server.client()
    # With a limit, what does not count against it is told.
    empty(client, "allkeys-lru", 1024)
    before = settled(client)
    for n in range(10):
        for start in range(0, 20_000, 2_000):
            client("SADD", "set:%d" % n, *["member:%d" % m for m in range(start, start + 2_000)])
    client("CONFIG", "SET", "maxmemory", (before + settled(client)) // 2)
    until("memory gets below the limit", lambda: counted(client) <= number(client, "maxmemory"))
    assert 3 <= client("DBSIZE") <= 6, client("DBSIZE")
    until("all is freed", lambda: number(client, "lazyfree_pending_objects") == 0)
    assert number(client, "lazyfreed_objects") >= 4


def keys_go_last(server):
    """With maxmemory-basis resident: what moving repairs costs no key."""
    client = server.client()
    empty(client, "allkeys-lru")
    # It does not begin by itself.
    client("CONFIG", "SET", "active-defrag-ignore-bytes", "1gb", "maxmemory-basis", "resident")
    fill(client, 0, 120_000)
    client.pipeline([("DEL", "key:%d" % n) for n in range(120_000) if n % 4])
    until("all is freed", lambda: number(client, "lazyfree_pending_objects") == 0)
    holes, moved = number(client, "mem_heap_holes"), number(client, "active_defrag_hits")
    assert holes > 30 * MEGABYTE, holes
    limit = number(client, "used_memory") + holes // 2
    client("CONFIG", "SET", "maxmemory", limit)

    def repaired():
        assert client("SET", "one", VALUE) == "OK"
        return number(client, "mem_heap_holes") < holes // 4
    until("holes are repaired", repaired)
    assert number(client, "active_defrag_hits") > moved + 1000
    assert (number(client, "evicted_keys"), client("DBSIZE")) == (0, 30_001)
    # When that is not enough, keys go.
    assert fill(client, 200_000, 100_000) == []
    assert number(client, "evicted_keys") > 0
    client("CONFIG", "SET", "maxmemory", 0, "maxmemory-basis", "used",
           "active-defrag-ignore-bytes", "1mb")


def main():
    for options in (["--io-threads", "2"], ["--io-threads", "4"]):
        server = Server(sys.argv[1], *options)
        try:
            for test in (
                allkeys_policies_keep_the_limit, volatile_policies_spare_other_keys,
                small_limits_hold_over_many_shards, ttl_takes_what_expires_first,
                lru_takes_the_idle_and_lfu_the_rare,
                noeviction_refuses_writes_and_nothing_else, transactions_and_scripts_make_room,
                eviction_is_told, the_limit_and_the_policy_change_at_run_time,
                shrinking_refuses_no_read_and_delays_none, clients_evict_no_data,
                the_largest_clients_are_closed, large_values_go_lazily, keys_go_last,
            ):
                test(server)
                assert "panicked" not in server.log(), server.log()
                print("ok", test.__name__, *options, flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
