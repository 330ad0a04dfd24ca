#!/usr/bin/env python3
"""Messages between clients of four worker threads: subscriptions, notifications, tracking.

usage: pubsub.py EBB

Each publisher's messages arrive complete and in order at clients of all workers, and nothing
arrives after the end of a subscription was confirmed. A subscriber that does not read is closed
when too much waits for it. Keyspace notifications and invalidations reach whom they concern.
"""
import os
import re
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Client, Server, encode  # noqa: E402


def until(check, what, seconds=10):
    """Waits for something that comes true soon."""
    end = time.time() + seconds
    while not check():
        assert time.time() < end, what
        time.sleep(0.02)


def info(client, name):
    text = client("INFO", "everything")
    text = text[1] if isinstance(text, tuple) else text
    for line in text.decode().splitlines():
        if line.startswith(name + ":"):
            return int(line.partition(":")[2])
    raise AssertionError("INFO has no " + name)


def order(server, publishers=4, subscribers=12, messages=2000):
    """Every subscriber gets every publisher's messages, complete and in order."""
    large = "x" * 3000
    listeners = [server.client() for _ in range(subscribers)]
    for number, listener in enumerate(listeners):
        if number % 3 == 0:
            listener("HELLO", "3")
        if number % 2 == 0:
            assert listener("SUBSCRIBE", "order") == [b"subscribe", b"order", 1]
        else:
            assert listener("PSUBSCRIBE", "ord*") == [b"psubscribe", b"ord*", 1]
    failures = []

    def publish(number):
        client, sent = server.client(), 0
        while sent < messages:
            batch = range(sent, min(messages, sent + random.choice([1, 1, 1, 20])))
            texts = ["%d:%d:%s" % (number, at, large if at % 50 == 0 else "") for at in batch]
            replies = client.pipeline([["PUBLISH", "order", text] for text in texts])
            if replies != [subscribers] * len(texts):
                failures.append("receivers: %r" % replies)
            sent = batch.stop

    def listen(listener, asks):
        next_of, asked, answered, received = [0] * publishers, 0, 0, 0
        total = publishers * messages
        while received < total or answered < asked:
            if asks and received < total and received % 20 == 0 and asked - answered < 50:
                # RESP3: commands run meanwhile, and their replies come between messages.
                listener.raw(encode(["PING"]) * 3)
                asked += 3
            message = listener.read()
            if message == "PONG":
                answered += 1
                continue
            received += 1
            number, at, text = message[-1].split(b":")
            number, at = int(number), int(at)
            if at != next_of[number] or len(text) != (len(large) if at % 50 == 0 else 0):
                failures.append("expected %d of %d, got %r" % (next_of[number], number, message))
                return
            next_of[number] += 1

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(publishers)]
    threads += [threading.Thread(target=listen, args=(listener, number % 3 == 0))
                for number, listener in enumerate(listeners)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "messages are missing: %r" % failures
    assert not failures, failures
    for listener in listeners:
        listener.close()
    return publishers * messages * subscribers


def ends(server, rounds=300):
    """While others publish, nothing comes between the confirmed end of a subscription and the
    next one."""
    stop = threading.Event()

    def publish():
        client = server.client()
        while not stop.is_set():
            client("PUBLISH", "ends", "x")

    threads = [threading.Thread(target=publish) for _ in range(2)]
    for thread in threads:
        thread.start()
    client = server.client()
    for _ in range(rounds):
        assert client("SUBSCRIBE", "ends") == [b"subscribe", b"ends", 1]
        client.send("UNSUBSCRIBE", "ends")
        reply = client.read()
        while reply[0] == b"message":
            reply = client.read()
        assert reply == [b"unsubscribe", b"ends", 0], reply
        assert client("PING") == "PONG"
    stop.set()
    for thread in threads:
        thread.join(60)


def closing(server):
    """A connection that closes no longer counts."""
    client, listener = server.client(), server.client()
    listener.raw(encode(["SUBSCRIBE", "closing"]) + encode(["PSUBSCRIBE", "clos?ng"]))
    listener.read(), listener.read()
    assert client("PUBLISH", "closing", "x") == 2
    assert info(client, "pubsub_clients") == 1
    listener.close()
    until(lambda: client("PUBLISH", "closing", "x") == 0, "a closed client still gets messages")
    until(lambda: info(client, "pubsub_clients") == 0, "a closed client is still counted")
    assert info(client, "pubsub_channels") == info(client, "pubsub_patterns") == 0


def slow(server):
    """A subscriber that reads nothing is closed at its limit; one that reads is not."""
    client, reader, sleeper = server.client(), server.client(), server.client()
    client("CONFIG", "SET", "client-output-buffer-limit", "pubsub 2mb 0 0")
    before = info(client, "client_output_buffer_limit_disconnections")
    for listener in (reader, sleeper):
        listener("SUBSCRIBE", "slow")
    sleeper.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    payload = "y" * 10000
    for number in range(4000):
        receivers = client("PUBLISH", "slow", payload)
        assert reader.read()[2] == payload.encode()
        if receivers == 1:
            break
    else:
        raise AssertionError("a slow subscriber was not closed")
    assert info(client, "client_output_buffer_limit_disconnections") == before + 1
    log = [line for line in server.log().splitlines() if "overcoming of output buffer" in line]
    assert log and " scheduled to be closed ASAP for" in log[-1] and " sub=1 " in log[-1], log
    client("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 100kb 1")
    sleeper = server.client()
    sleeper.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sleeper("SUBSCRIBE", "slow")

    def waiting():
        """Bytes that the slowest subscriber has not taken."""
        return max(map(int, re.findall(rb" omem=(\d+) ", client("CLIENT", "LIST", "TYPE", "pubsub"))))

    # The kernel's buffers grow while they take: what waits has to stay.
    while client("PUBSUB", "NUMSUB", "slow")[1] == 2:
        client("PUBLISH", "slow", payload * 10)
        reader.read()
        if waiting() > 500_000:
            time.sleep(0.2)
            if waiting() > 500_000:
                break
    until(lambda: client("PUBSUB", "NUMSUB", "slow")[1] == 1, "the soft limit closes nobody")
    client("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60")


def many(server, subscribers=1000, messages=50):
    """A thousand subscribers all get everything."""
    listeners = [server.client() for _ in range(subscribers)]
    for listener in listeners:
        listener.send("SUBSCRIBE", "many")
    for listener in listeners:
        assert listener.read()[0] == b"subscribe"
    client = server.client()
    assert client("PUBSUB", "NUMSUB", "many") == [b"many", subscribers]
    start = time.time()
    for number in range(messages):
        assert client("PUBLISH", "many", number) == subscribers
    for listener in listeners:
        for number in range(messages):
            assert listener.read() == [b"message", b"many", b"%d" % number]
    seconds = time.time() - start
    for listener in listeners:
        listener.close()
    until(lambda: client("PUBSUB", "NUMSUB", "many")[1] == 0, "closed clients are subscribed")
    return subscribers * messages / seconds


def notifications(server):
    """SET, DEL and expiry by the maintenance thread are told, each key's events in order."""
    client, listener = server.client(), server.client()
    client("CONFIG", "SET", "notify-keyspace-events", "KEA")
    assert client("CONFIG", "GET", "notify-keyspace-events")[1] == b"AKE"
    listener("PSUBSCRIBE", "__keyspace@0__:n*")
    client("SET", "n1", "x")
    client("DEL", "n1")
    client("SET", "n2", "x", "PX", "50")
    events = [b"n1 set", b"n1 del", b"n2 set", b"n2 expire", b"n2 expired"]
    for expected in events:
        message = listener.read()
        got = message[2].partition(b":")[2] + b" " + message[3]
        assert got == expected, (got, expected)

    # Clients of all workers change one key: it appears and goes in turns.
    def change():
        other = server.client()
        for _ in range(500):
            other("SETNX", "n3", "x")
            other("DEL", "n3")

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    client("SET", "n4", "x")
    events = []
    while True:
        message = listener.read()
        if message[2].endswith(b":n4"):
            break
        events.append(message[3])
    assert events and events == [b"set", b"del"] * (len(events) // 2), "events are out of order"
    client("CONFIG", "SET", "notify-keyspace-events", "")
    return len(events)


def tracking(server):
    """Invalidations as push messages and through another client."""
    writer, reader, target = server.client(), server.client(), server.client()
    target("HELLO", "2")
    number = target("CLIENT", "ID")
    assert target("SUBSCRIBE", "__redis__:invalidate")[0] == b"subscribe"
    assert reader("CLIENT", "TRACKING", "on", "REDIRECT", number) == "OK"
    writer("SET", "t1", "1")
    assert reader("GET", "t1") == b"1"
    writer("SET", "t1", "2")
    assert target.read() == [b"message", b"__redis__:invalidate", [b"t1"]]
    writer("FLUSHALL")
    assert target.read() == [b"message", b"__redis__:invalidate", None]
    reader("CLIENT", "TRACKING", "off")

    push = server.client()
    push("HELLO", "3")
    assert push("CLIENT", "TRACKING", "on") == "OK"
    writer("SET", "t2", "1", "PX", "100")
    assert push("GET", "t2") == b"1"
    # The maintenance thread expires it.
    assert push.read() == [b"invalidate", [b"t2"]]

    # A cache that believes the invalidations never differs from the data for long.
    cache, writers = {}, [server.client() for _ in range(3)]
    for at in range(3000):
        key = b"t:%d" % random.randrange(20)
        if at % 3 == 0:
            writers[at % len(writers)]("SET", key, at)
            continue
        push.send("GET", key)
        value = push.read()
        while isinstance(value, list):
            assert value[0] == b"invalidate"
            for name in value[1]:
                cache.pop(name, None)
            value = push.read()
        # What was valid before this read, and was not taken back, is what the read says.
        assert cache.get(key, value) == value, (key, cache[key], value)
        cache[key] = value
    assert info(writer, "tracking_clients") == 1
    assert info(writer, "tracking_total_keys") <= 21
    push.close()
    until(lambda: info(writer, "tracking_clients") == 0, "a closed client still tracks")


def main():
    with Server(sys.argv[1], "--io-threads", "4") as server:
        delivered = order(server)
        ends(server)
        closing(server)
        slow(server)
        rate = many(server)
        events = notifications(server)
        tracking(server)
        print("pubsub: %d messages in order, %.0f a second to 1000 subscribers, %d events in order"
              % (delivered, rate, events))


if __name__ == "__main__":
    main()
