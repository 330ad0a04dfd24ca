#!/usr/bin/env python3
"""What a trained build is trained on: each kind of command, as clients send them.

usage: training.py EBB DIR

EBB was built to count how often each branch is taken; its counts go to DIR. The compiler then lays
out and inlines what is used much, and what is not used here is made small instead of fast: so
everything that a client may send often belongs into this file.
"""
import os
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
from resp import Client, free_port  # noqa: E402

KEYS = 100_000
R = "__rand_int__"
VALUE = "v" * 16
# Pipeline, requests of each command. Most of the weight is on pipelines, where Ebb's own code
# and not the kernel's takes the time.
PIPELINES = [(32, 100_000), (1, 10_000)]
COMMANDS = """
SET key:{R} {VALUE} | GET key:{R} | SET text:{R} {LONG} | GET text:{R} | SET number:{R} 12345678 | INCR number:{R}
SET key:{R} {VALUE} EX 1000 | SETEX key:{R} 500 {VALUE} | SETNX key:{R} {VALUE} | GETSET key:{R} {VALUE} | APPEND log:{R} {VALUE}
MSET key:{R} a key:{R} b key:{R} c key:{R} d key:{R} e | MGET key:{R} key:{R} key:{R} key:{R} key:{R}
GETRANGE text:{R} 0 9 | SETRANGE text:{R} 5 xx | STRLEN text:{R} | INCRBY number:{R} 7 | DECR number:{R} | INCRBYFLOAT float:{R} 1.5
EXISTS key:{R} | TTL key:{R} | PTTL key:{R} | EXPIRE key:{R} 100 | PERSIST key:{R} | TYPE key:{R} | DEL key:{R} | UNLINK log:{R} | TOUCH text:{R}
SETBIT bits:{R} 70 1 | GETBIT bits:{R} 70 | BITCOUNT text:{R} | BITPOS text:{R} 1 | BITFIELD bf:{R} INCRBY u8 0 1
LPUSH list {VALUE} | RPUSH list {VALUE} | LRANGE list 0 9 | LRANGE list 0 99 | LINDEX list 5 | LPOP list | RPOP list | LLEN list
RPUSH list:{R} a b c | LPUSH list:{R} d | LRANGE list:{R} 0 -1 | LPOP list:{R} | LREM list:{R} 1 a | LMOVE list:{R} list:{R} LEFT RIGHT
HSET hash f:{R} {VALUE} | HGET hash f:{R} | HEXISTS hash f:{R} | HINCRBY counts f:{R} 1 | HDEL hash f:{R} | HLEN hash
HSET user:{R} name a city b age 30 | HGET user:{R} name | HGETALL user:{R} | HMGET user:{R} name age | HINCRBY user:{R} age 1 | HKEYS user:{R}
SADD set e:{R} | SISMEMBER set e:{R} | SMISMEMBER set e:{R} e:{R} | SREM set e:{R} | SCARD set | SRANDMEMBER set | SPOP set
SADD tags:{R} a b c | SMEMBERS tags:{R} | SADD ids:{R} 1 2 3 | SINTER tags:{R} tags:{R} | SISMEMBER ids:{R} 2
ZADD scores {R} e:{R} | ZSCORE scores e:{R} | ZRANK scores e:{R} | ZRANGE scores 0 9 | ZRANGE scores 0 9 WITHSCORES | ZREVRANGE scores 0 9
ZRANGEBYSCORE scores {R} +inf LIMIT 0 10 | ZINCRBY scores 1 e:{R} | ZREM scores e:{R} | ZCARD scores | ZCOUNT scores {R} +inf | ZPOPMIN scores
ZADD board:{R} 1 a 2 b 3 c | ZRANGE board:{R} 0 -1 | ZSCORE board:{R} a | ZINCRBY board:{R} 1 b
XADD stream * field {VALUE} | XLEN stream | XRANGE stream - + COUNT 10 | XREVRANGE stream + - COUNT 10 | XADD stream MAXLEN ~ 1000 * field {VALUE}
GEOADD places 13.361389 38.115556 e:{R} | GEOPOS places e:{R} | PFADD visitors:{R} {R} | PFCOUNT visitors:{R}
EVAL {SCRIPT} 1 key:{R} | PING | ECHO {VALUE}
"""


def load(port, *arguments):
    argv = ["redis-benchmark", "-p", str(port), "-c", "50", "-q", "-r", str(KEYS), *map(str, arguments)]
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def commands():
    words = {"R": R, "VALUE": VALUE, "LONG": "x" * 64, "SCRIPT": "script"}
    for command in COMMANDS.replace("\n", "|").split("|"):
        parts = command.format(**words).split()
        if parts:
            yield ["return redis.call('get', KEYS[1])" if part == "script" else part for part in parts]


def single_commands(port):
    for pipeline, requests in PIPELINES:
        for command in commands():
            load(port, "-P", pipeline, "-n", requests, *command)
    load(port, "-P", 1, "-n", 20_000, "-d", 10_240, "-t", "set,get")


def transactions(port):
    one = [["MULTI"], ["INCR", "balance:1"], ["DECR", "balance:2"], ["EXEC"]]
    client = Client(port)
    for _ in range(1000):
        client.pipeline(one * 8)


def messages(port):
    subscribers = [Client(port) for _ in range(50)]
    for subscriber in subscribers:
        subscriber("SUBSCRIBE", "news")
    publisher = Client(port)
    for _ in range(300):
        publisher.pipeline([["PUBLISH", "news", VALUE]] * 32)
        for subscriber in subscribers:
            for _ in range(32):
                subscriber.read()
    for client in [publisher, *subscribers]:
        client.close()


def at_the_limit(port):
    """Evicts by each policy, expires, defragments, and frees."""
    client = Client(port)
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-s3fifo", "volatile-ttl"]:
        client("FLUSHALL")
        client("CONFIG", "SET", "maxmemory", "8mb", "maxmemory-policy", policy)
        load(port, "-P", 16, "-n", 150_000, "SET", "key:" + R, "x" * 200, "EX", 1000)
        load(port, "-P", 16, "-n", 50_000, "GET", "key:" + R)
    client("CONFIG", "SET", "maxmemory", "0")
    load(port, "-P", 16, "-n", 200_000, "SET", "key:" + R, "x" * 200, "PX", 300)
    load(port, "-P", 16, "-n", 200_000, "SET", "other:" + R, "x" * 100)
    load(port, "-P", 16, "-n", 150_000, "DEL", "other:" + R)
    time.sleep(2)
    client("FLUSHALL")


def main():
    ebb, out = sys.argv[1:3]
    for threads in [1, 2]:
        port, here = free_port(), tempfile.mkdtemp()
        environment = dict(os.environ, LLVM_PROFILE_FILE=os.path.join(os.path.abspath(out), "%p.profraw"))
        argv = [ebb, "server", "--port", str(port), "--io-threads", str(threads), "--save", "", "--dir", here]
        server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            for part in [single_commands, transactions, messages, at_the_limit]:
                part(port)
            refused = Client(port)("INFO", "errorstats").decode().splitlines()[1:]
        finally:
            # The counts are written when it ends.
            server.terminate()
            status = server.wait()
            os.rmdir(here)
        if status != 0:
            sys.exit("the server ended with an error")
        if refused:
            sys.exit("commands were refused: %s" % refused)


if __name__ == "__main__":
    main()
