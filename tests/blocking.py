#!/usr/bin/env python3
"""Clients that wait in commands, over sockets, with one worker thread and with four.

usage: blocking.py EBB
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Client, Error, Server, encode  # noqa: E402


def until(condition, what, seconds=10):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, what
        time.sleep(0.005)


def blocked(client):
    info = client("INFO", "clients").decode()
    return int(info.split("blocked_clients:")[1].split()[0])


def waits(admin, client, *command):
    """Sends a command that waits, and waits until it does."""
    before = blocked(admin)
    client.send(*command)
    until(lambda: blocked(admin) == before + 1, "%s does not wait" % (command,))


def order(server):
    """The first who waits is the first who is served, whichever thread serves whom."""
    admin, writer = server.client(), server.client()
    clients = [server.client() for _ in range(12)]
    for client in clients:
        waits(admin, client, "BLPOP", "queue", "other", 0)
    for number in range(12):
        writer("RPUSH", "queue" if number % 3 else "other", number)
    for number, client in enumerate(clients):
        assert client.read()[1] == b"%d" % number, number
    waits(admin, clients[0], "BLPOP", "queue", 0)
    waits(admin, clients[1], "BLMOVE", "queue", "moved", "LEFT", "RIGHT", 0)
    waits(admin, clients[2], "BRPOP", "moved", 0)
    writer.pipeline([["MULTI"], ["RPUSH", "queue", "a"], ["RPUSH", "queue", "b"], ["EXEC"]])
    assert clients[0].read() == [b"queue", b"a"]
    assert clients[1].read() == b"b"
    assert clients[2].read() == [b"moved", b"b"]
    assert writer("EXISTS", "queue", "moved") == 0 and blocked(admin) == 0


def several(server):
    """Who waits for several elements gets them together, and hears of its own change after that."""
    admin, writer, client = server.client(), server.client(), server.client()
    client("HELLO", 3)
    client("CLIENT", "TRACKING", "ON")
    client("LRANGE", "to", 0, -1)
    waits(admin, client, "BLMOVEM", "from", "to", "LEFT", "RIGHT", 0, "EXACTLY", 3, "BULK")
    for number in range(4):
        writer("RPUSH", "from", number)
    assert client.read() == [b"0", b"1", b"2"]
    assert client.read() == [b"invalidate", [b"to"]]
    assert writer("LRANGE", "from", 0, -1) == [b"3"]


def timeouts(server):
    client = server.client()
    for command, answer in [(["BLPOP", "none", "0.05"], None),
                            (["BLMOVE", "none", "to", "LEFT", "LEFT", "0.05"], None),
                            (["BLMOVEM", "none", "to", "LEFT", "LEFT", "0.05", "EXACTLY", 2, "BULK"], None),
                            (["BLMPOP", "0.05", 2, "none", "nothing", "LEFT"], None)]:
        client("CONFIG", "RESETSTAT")
        start = time.time()
        assert client(*command) == answer
        assert time.time() - start >= 0.049, command
        stats = client("INFO", "commandstats").decode()
        assert "cmdstat_%s:calls=1," % command[0].lower() in stats, stats
    assert isinstance(client("BLPOP", "none", "-1"), Error)
    # What follows in the same packet is run after the wait.
    client.raw(encode(["BLPOP", "none", "0.05"]) + encode(["SET", "after", 1]) +
               encode(["GET", "after"]))
    assert [client.read() for _ in range(3)] == [None, "OK", b"1"]


def ends(server):
    """A wait ends with its client, or by command."""
    admin = server.client()
    gone = server.client()
    waits(admin, gone, "BLPOP", "left", 0)
    gone.close()
    until(lambda: blocked(admin) == 0, "a client that is gone waits")
    admin("RPUSH", "left", 1)
    assert admin("LLEN", "left") == 1
    client = server.client()
    number = client("CLIENT", "ID")
    waits(admin, client, "BLPOP", "none", 0)
    assert "flags=b" in admin("CLIENT", "LIST", "ID", number).decode()
    assert admin("CLIENT", "UNBLOCK", number, "ERROR") == 1
    assert client.read() == "UNBLOCKED client unblocked via CLIENT UNBLOCK"
    assert admin("CLIENT", "UNBLOCK", number) == 0
    waits(admin, client, "BLPOP", "none", 0)
    assert admin("CLIENT", "KILL", "ID", number) == 1
    until(lambda: blocked(admin) == 0, "a killed client waits")
    # Commands that were sent during a wait are kept, and run when it is over.
    client = server.client()
    waits(admin, client, "BLPOP", "late", 0)
    client.send("PING")
    client.send("SET", "large", "x" * 100_000)
    time.sleep(0.05)
    admin("RPUSH", "late", "x")
    assert client.read() == [b"late", b"x"] and client.read() == "PONG" and client.read() == "OK"


def claims(server):
    """Who waits for what has been pending for too long gets it when the time has come, whichever
    thread it is on: the least patient first, and of equals the first who came."""
    admin, pause = server.client(), 0.4
    for number in (1, 2):
        admin("XADD", "jobs", number, "a", number)
    admin("XGROUP", "CREATE", "jobs", "g", 0)
    start = time.time()
    admin("XREADGROUP", "GROUP", "g", "lost", "STREAMS", "jobs", ">")
    clients = [server.client() for _ in range(5)]
    for number, client in enumerate(clients):
        claim = int(pause * 1000) * (2 if number in (1, 3) else 1)
        waits(admin, client, "XREADGROUP", "GROUP", "g", number, "COUNT", 1, "BLOCK", 0, "CLAIM", claim,
              "STREAMS", "jobs", ">")
    # The first and the third take one each, then the fifth one of them; that resets its time.
    for number, (rounds, entry, deliveries) in {0: (1, 1, 1), 2: (1, 2, 1), 4: (2, 1, 2)}.items():
        [[_, [[name, _, idle_ms, count]]]] = clients[number].read()
        assert (name, count) == (b"%d-0" % entry, deliveries), (number, name, count)
        # Both ends of the time are whole milliseconds of the server's.
        waited = time.time() - start + 0.001
        assert idle_ms >= pause * 1000 and waited >= pause * rounds, (number, idle_ms, waited)
    admin("XNACK", "jobs", "g", "FAIL", "IDS", 2, 1, 2)
    assert [clients[number].read()[0][1][0][0] for number in (1, 3)] == [b"1-0", b"2-0"]
    assert blocked(admin) == 0


def crowd(server):
    """Consumers on all threads share what producers on all threads give: nothing is lost or
    given twice."""
    producers, consumers, each = 4, 8, 2000
    seen, lock = [], threading.Lock()

    def produce(number):
        client = server.client()
        for item in range(each):
            client("RPUSH", "work:%d" % (item % 3), "%d:%d" % (number, item))

    def consume():
        client, own = server.client(), []
        while (got := client("BLPOP", "work:0", "work:1", "work:2", "1")) is not None:
            own.append(got[1])
        with lock:
            seen.extend(own)

    threads = [threading.Thread(target=consume) for _ in range(consumers)]
    threads += [threading.Thread(target=produce, args=(number,)) for number in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == producers * each and len(set(seen)) == len(seen), len(seen)


def main():
    for threads in (1, 4):
        with Server(sys.argv[1], "--io-threads", threads) as server:
            for test in (order, several, timeouts, ends, claims, crowd):
                Client(server.port)("FLUSHALL")
                test(server)
        print("%d worker threads: order, several, timeouts, ends, claims, crowd: ok" % threads)


if __name__ == "__main__":
    main()
