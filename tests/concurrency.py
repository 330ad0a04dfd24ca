#!/usr/bin/env python3
"""Many clients on four worker threads: transactions, WATCH and commands on several keys.

usage: concurrency.py EBB [--seconds N]

Accounts hold money that clients move in every way there is, while others add up what they see in
one command or transaction: the sum is always the same. Counters kept with WATCH lose no update.
A register written and read by many clients has a history that some order of its commands explains.
"""
import argparse
import multiprocessing
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Client, Server  # noqa: E402

ACCOUNTS = 40
MONEY = 1000
NAMES = ["account:%d" % number for number in range(ACCOUNTS)]


def transfers(port, seed, end, results):
    """Moves money with MULTI, with WATCH, and with MSET after WATCH."""
    r, client, done = random.Random(seed), Client(port), 0
    while time.time() < end:
        one, other = r.sample(NAMES, 2)
        amount = r.randint(1, 50)
        if r.random() < 0.5:
            replies = client.pipeline([["MULTI"], ["DECRBY", one, amount], ["INCRBY", other, amount],
                                       ["EXEC"]])
            assert isinstance(replies[3], list) and len(replies[3]) == 2, replies
        else:
            client("WATCH", one, other)
            left, right = map(int, client("MGET", one, other))
            write = [["MSET", one, left - amount, other, right + amount]]
            if r.random() < 0.3:
                write = [["SET", one, left - amount], ["SET", other, right + amount]]
            replies = client.pipeline([["MULTI"], *write, ["EXEC"]])
            done += replies[-1] is not None
            continue
        done += 1
    results.put(("transfers", done))


def renames(port, seed, end, results):
    """Moves whole accounts between two names: at every moment exactly one of them exists."""
    r, client, done = random.Random(seed), Client(port), 0
    while time.time() < end:
        number = r.randrange(4)
        here, there = "here:%d" % number, "there:%d" % number
        replies = client.pipeline([["RENAMENX", here, there], ["EXISTS", here, there],
                                   ["RENAMENX", there, here]])
        assert replies[1] == 1, replies
        done += 1
    results.put(("renames", done))


def auditors(port, seed, end, results):
    """Sees the sum of all accounts, in one command and in transactions."""
    r, client, done = random.Random(seed), Client(port), 0
    while time.time() < end:
        names = r.sample(NAMES, ACCOUNTS)
        if r.random() < 0.5:
            values = client("MGET", *names)
        else:
            *_, values = client.pipeline([["MULTI"], *[["GET", name] for name in names], ["EXEC"]])
        total = sum(map(int, values))
        assert total == ACCOUNTS * MONEY, "the sum is %d" % total
        done += 1
    results.put(("audits", done))


def counters(port, seed, end, results):
    """Counts up with WATCH, as applications do that compute the new value."""
    r, client, done, failed = random.Random(seed), Client(port), 0, 0
    while time.time() < end:
        name = "counter:%d" % r.randrange(3)
        client("WATCH", name)
        value = int(client("GET", name) or 0)
        if client.pipeline([["MULTI"], ["SET", name, value + 1], ["EXEC"]])[-1] is None:
            failed += 1
        else:
            done += 1
    results.put(("counted", done))
    results.put(("lost races", failed))


def snapshots(port, seed, end, results):
    """Writes the same mark to many keys at once; whoever reads them all sees one mark."""
    r, client, done = random.Random(seed), Client(port), 0
    names = ["mark:%d" % number for number in range(16)]
    while time.time() < end:
        mark = "%d-%d" % (seed, done)
        pairs = [word for name in r.sample(names, 16) for word in (name, mark)]
        client("MSET", *pairs)
        seen = set(client("MGET", *r.sample(names, 16)))
        assert len(seen) == 1, seen
        done += 1
    results.put(("snapshots", done))


def register(port, seed, end, results):
    """Reads and replaces one register, and notes when each command began and ended."""
    client, history = Client(port), []
    for number in range(1500):
        if time.time() > end:
            break
        value = b"%d:%d" % (seed, number)
        begin = time.monotonic()
        previous = client("GETSET", "register", value)
        history.append((begin, time.monotonic(), value, previous))
    results.put(("history", history))


def check_history(history):
    """GETSET makes a chain: each value's predecessor is known. The chain must hold all commands,
    and none may come before one that had ended when it began."""
    follower = {previous: (begin, end, value) for begin, end, value, previous in history}
    assert len(follower) == len(history), "two commands replaced the same value"
    at, latest_begin, length = None, 0.0, 0
    while at in follower:
        begin, end, at = follower[at]
        assert end >= latest_begin, "a command took effect after one that began when it was over"
        latest_begin = max(latest_begin, begin)
        length += 1
    assert length == len(history), "the chain holds %d of %d commands" % (length, len(history))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ebb")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print("concurrency: seed %d" % options.seed, flush=True)
    with Server(options.ebb, "--io-threads", "4") as server:
        client = server.client()
        client("MSET", *[word for name in NAMES for word in (name, MONEY)])
        for number in range(4):
            client("SET", "here:%d" % number, "x")
        results, end = multiprocessing.Queue(), time.time() + options.seconds
        work = [transfers] * 3 + [auditors] * 2 + [counters] * 3 + [snapshots] * 2 + [register] * 3
        # Several clients renaming would each find the other's names: one does.
        work.append(renames)
        processes = [multiprocessing.Process(target=function, args=(server.port, options.seed + n,
                                                                    end, results))
                     for n, function in enumerate(work)]
        for process in processes:
            process.start()
        expected = len(work) + work.count(counters)
        totals, history = {}, []
        for _ in range(expected):
            name, value = results.get(timeout=options.seconds + 60)
            if name == "history":
                history += value
            else:
                totals[name] = totals.get(name, 0) + value
        for process in processes:
            process.join(60)
            assert process.exitcode == 0, "a client failed"
        check_history(history)
        counted = sum(int(value or 0) for value in client("MGET", "counter:0", "counter:1", "counter:2"))
        assert counted == totals["counted"], "%d updates, %d counted" % (totals["counted"], counted)
        assert sum(map(int, client("MGET", *NAMES))) == ACCOUNTS * MONEY
        totals["history"] = len(history)
        assert all(totals.values()), totals
        print("concurrency: " + ", ".join("%s %d" % item for item in sorted(totals.items())))


if __name__ == "__main__":
    main()
