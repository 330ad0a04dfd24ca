#!/usr/bin/env python3
"""Connections that move between worker threads while they are used.

usage: spreading.py EBB [--seconds N] [--seed N]

One worker serves while it is enough; INFO and CLIENT LIST show who serves whom. Under a load that
keeps one busy more serve, and they rest when it is over. Then `io-threads-always-active` is turned
on and off all the time, which moves every connection to and fro, while clients count, publish and subscribe,
wait in commands, watch keys, cache on their side, send requests in pieces and are killed:
nothing is lost, repeated or out of order.
"""
import argparse
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Client, Server, encode  # noqa: E402

THREADS = 4


def owners(client):
    """The worker of each client."""
    lines = client("CLIENT", "LIST").decode().splitlines()
    return [int(dict(part.split("=", 1) for part in line.split())["io-thread"]) for line in lines]


def serving(client):
    info = client("INFO", "server").decode().splitlines()
    fields = dict(line.split(":", 1) for line in info if ":" in line)
    count = int(fields["serving_worker_threads"])
    assert fields["io_threads_active"] == str(int(count > 1)), fields
    return count


def wait_until(condition, what, seconds=60):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, what
        time.sleep(0.02)


def gathered_and_spread(port):
    clients = [Client(port) for _ in range(40)]
    admin = clients[0]
    assert serving(admin) == 1
    assert set(owners(admin)) == {0}, owners(admin)
    admin("CONFIG", "SET", "io-threads-always-active", "yes")
    assert serving(admin) == THREADS
    wait_until(lambda: all(8 <= owners(admin).count(n) <= 12 for n in range(THREADS)),
               "the connections are not spread: %r" % owners(admin))
    assert [client("PING") for client in clients] == ["PONG"] * len(clients)
    admin("CONFIG", "SET", "io-threads-always-active", "no")
    wait_until(lambda: set(owners(admin)) == {0}, "not gathered: %r" % owners(admin))
    assert [client("PING") for client in clients] == ["PONG"] * len(clients)
    for client in clients:
        client.close()


def spread_by_load(port):
    admin = Client(port)
    admin("SETRANGE", "bits", 1_000_000, "x")
    stopping = threading.Event()

    def load():
        client = Client(port)
        while not stopping.is_set():
            client.pipeline([["BITCOUNT", "bits"]] * 5)
        client.close()
    loads = [threading.Thread(target=load) for _ in range(8)]
    for thread in loads:
        thread.start()
    try:
        wait_until(lambda: serving(admin) > 1 and len(set(owners(admin))) > 1,
                   "one worker alone serves a load that keeps it busy")
    finally:
        stopping.set()
        for thread in loads:
            thread.join()
    wait_until(lambda: serving(admin) == 1 and set(owners(admin)) == {0},
               "workers that have nothing to do do not rest")
    admin.close()


class Traffic:
    """Clients in threads of their own until `end`; what goes wrong is kept."""

    def __init__(self, port, seed, end):
        self.port, self.seed, self.end = port, seed, end
        self.failures, self.done, self.threads = [], {}, []

    def start(self, kind, number):
        def run():
            r = random.Random("%d %s %d" % (self.seed, kind.__name__, number))
            try:
                count = kind(self, r, number)
                self.done[kind.__name__] = self.done.get(kind.__name__, 0) + count
            except Exception as failure:  # whatever it is, it is shown at the end
                self.failures.append("%s %d: %r" % (kind.__name__, number, failure))
        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def counting(self, r, number):
        """Pipelines of INCR, now and then cut into pieces: the replies are the numbers in order."""
        client, name, last = Client(self.port), "counter:%d" % number, 0
        while time.time() < self.end:
            count = r.randint(1, 20)
            data = encode(["INCR", name]) * count
            cut = r.randrange(len(data)) if r.random() < 0.3 else 0
            client.raw(data[:cut])
            if cut:
                time.sleep(r.random() * 0.02)
            client.raw(data[cut:])
            replies = [client.read() for _ in range(count)]
            assert replies == list(range(last + 1, last + count + 1)), replies
            last += count
        return last

    def transactions(self, r, number):
        """WATCH, and EXEC that succeeds as nobody else writes; its key is written by others at times."""
        client, other, done = Client(self.port), Client(self.port), 0
        name = "watched:%d" % number
        while time.time() < self.end:
            client("WATCH", name)
            disturbed = r.random() < 0.3
            if r.random() < 0.3:
                time.sleep(r.random() * 0.3)
            if disturbed:
                other("INCR", name)
            client("MULTI")
            client("INCRBY", name, 2)
            reply = client("EXEC")
            assert (reply is None) == disturbed, reply
            done += 1
        return done

    def publishing(self, r, number):
        """All subscribers get all messages, in their order."""
        channel, sent = "channel:%d" % number, 0
        subscribers = [Client(self.port) for _ in range(4)]
        for subscriber in subscribers:
            assert subscriber("SUBSCRIBE", channel) == [b"subscribe", channel.encode(), 1]
        publisher = Client(self.port)
        while time.time() < self.end:
            count = r.randint(1, 30)
            replies = publisher.pipeline([["PUBLISH", channel, sent + n] for n in range(count)])
            assert replies == [len(subscribers)] * count, replies
            for subscriber in subscribers:
                for n in range(sent, sent + count):
                    message = subscriber.read()
                    assert message == [b"message", channel.encode(), b"%d" % n], (n, message)
            sent += count
            time.sleep(r.random() * 0.05)
        return sent

    def waiting(self, r, number):
        """BLPOP, which is served or times out."""
        client, pusher, name, done = Client(self.port), Client(self.port), "list:%d" % number, 0
        while time.time() < self.end:
            serve = r.random() < 0.7
            client.send("BLPOP", name, 30 if serve else 0.05)
            if serve:
                time.sleep(r.random() * 0.1)
                pusher("RPUSH", name, done)
            expected = [name.encode(), b"%d" % done] if serve else None
            reply = client.read()
            assert reply == expected, (reply, expected)
            done += 1
        return done

    def caching(self, r, number):
        """A client that caches is told of every change of what it has read."""
        client, writer, name, done = Client(self.port), Client(self.port), "cached:%d" % number, 0
        client("HELLO", 3)
        assert client("CLIENT", "TRACKING", "ON") == "OK"
        while time.time() < self.end:
            client("GET", name)
            time.sleep(r.random() * 0.05)
            writer("INCR", name)
            push = client.read()
            assert push == [b"invalidate", [name.encode()]], push
            done += 1
        return done

    def killing(self, r, number):
        """A client that is killed is closed, wherever it is."""
        killer, done = Client(self.port), 0
        while time.time() < self.end:
            victims = [Client(self.port) for _ in range(10)]
            numbers = [victim("CLIENT", "ID") for victim in victims]
            time.sleep(r.random() * 0.3)
            for victim, client in zip(victims, numbers):
                assert killer("CLIENT", "KILL", "ID", client) == 1
                assert victim.socket.recv(1) == b"", "it is still served"
                victim.close()
            done += len(victims)
        return done


def moved_while_in_use(port, seconds, seed):
    traffic = Traffic(port, seed, time.time() + seconds)
    kinds = [Traffic.counting, Traffic.transactions, Traffic.publishing, Traffic.waiting,
             Traffic.caching, Traffic.killing]
    for kind in kinds:
        for number in range(3):
            traffic.start(kind, number)
    admin, seen = Client(port), set()
    while time.time() < traffic.end:
        for setting in ("yes", "no"):
            admin("CONFIG", "SET", "io-threads-always-active", setting)
            time.sleep(0.025)
            seen.update(owners(admin))
    for thread in traffic.threads:
        thread.join()
    assert not traffic.failures, "\n".join(traffic.failures)
    assert seen == set(range(THREADS)), "not every worker has served: %r" % seen
    assert all(traffic.done.get(kind.__name__) for kind in kinds), traffic.done
    print("moved while in use:", ", ".join("%s %d" % item for item in sorted(traffic.done.items())))
    # Nothing is left behind: all but this client are gone, wherever they were.
    wait_until(lambda: len(owners(admin)) == 1, "clients that are gone are still listed")
    admin.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ebb")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print("seed", options.seed)
    adaptive = ("--io-threads", THREADS, "--io-threads-always-active", "no")
    with Server(options.ebb, *adaptive) as server:
        gathered_and_spread(server.port)
        spread_by_load(server.port)
        moved_while_in_use(server.port, options.seconds, options.seed)


main()
