#!/usr/bin/env python3
"""What a command has done besides its reply, asked of Debian's redis-server and of Ebb.

usage: effects.py EBB [--oracle redis-server]

Each command runs on the same small data. Compared are the watched keys whose transactions it ends, its
keyspace notifications in their order, the keys whose copies it makes clients drop, and the changes it counts.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Server  # noqa: E402

SETUP = [line.split() for line in """
XADD x 1-1 a b|XADD x 2-1 a b|XADD x 3-1 a b|XGROUP CREATE x g 0|XGROUP CREATECONSUMER x g c1
XREADGROUP GROUP g c COUNT 1 STREAMS x >|PFADD p a|PFADD p2 b|RPUSH l 1 2 3|RPUSH l2 9|SADD s 1 2 3|SADD s2 2
ZADD z 1 a 2 b|ZADD z2 3 c|HSET h a 1|SET k 5|SET k2 abc|GEOADD geo 1 1 a|SET e 1 EX 1000
""".strip().replace("\n", "|").split("|")]
KEYS = "x p p2 l l2 s s2 z z2 h k k2 geo e new other".split()

CASES = """
XADD x * a b|XADD x MAXLEN 1 * a b|XADD new * a b|XADD new NOMKSTREAM * a b|XTRIM x MAXLEN 1|XTRIM x MAXLEN 9
XDEL x 1-1|XDEL x 9-9|XSETID x 9-9|XGROUP CREATE x g2 0|XGROUP CREATE x g2 0 MKSTREAM|XGROUP CREATE new g 0 MKSTREAM
XGROUP CREATE x g 0|XGROUP SETID x g 0|XGROUP DESTROY x g|XGROUP DESTROY x no|XGROUP CREATECONSUMER x g c9
XGROUP CREATECONSUMER x g c|XGROUP DELCONSUMER x g c|XGROUP DELCONSUMER x g no|XREADGROUP GROUP g c STREAMS x >
XREADGROUP GROUP g cnew STREAMS x >|XREADGROUP GROUP g c STREAMS x 0|XREADGROUP GROUP g c NOACK STREAMS x >
XACK x g 1-1|XACK x g 9-9|XCLAIM x g c2 0 1-1|XCLAIM x g c1 0 1-1 JUSTID|XCLAIM x g c1 0 2-1 FORCE
XCLAIM x g c 0 9-1|XCLAIM x g c 0 1-1 LASTID 5-0|XAUTOCLAIM x g c2 0 0|XAUTOCLAIM x g c 0 5|XREAD STREAMS x 0
PFADD p a|PFADD p zz|PFADD new a|PFADD new|PFCOUNT p|PFCOUNT p p2|PFMERGE p p2|PFMERGE new p|PFMERGE other
LPUSH l 1 2|LPUSH new 1|LPUSHX new 1|RPUSHX l 1 2|LTRIM l 0 -1|LTRIM l 0 0|LTRIM l 5 9|LSET l 0 1|LSET l 9 1
LREM l 0 9|LREM l 0 1|LREM l2 0 9|LINSERT l BEFORE 9 x|LINSERT l BEFORE 1 x|LPOP l 0|LPOP l|LPOP l 2|LPOP l 9
LMOVE l l LEFT LEFT|LMOVE l l LEFT RIGHT|LMOVE l new LEFT LEFT|LMOVE l2 l LEFT LEFT|LMOVE new l LEFT LEFT
RPOPLPUSH l l2|RPOPLPUSH l2 new|LMPOP 1 l LEFT|LMPOP 2 new l2 LEFT COUNT 9|LMPOP 1 new LEFT|SORT l STORE l
SORT l STORE new|SORT new STORE l|SORT new STORE other|BLPOP l 0|BLPOP l2 0|BRPOP l 0|BLMOVE l l2 LEFT LEFT 0
BRPOPLPUSH l2 new 0|BLMPOP 0 1 l LEFT|BZPOPMIN z 0|BZPOPMAX z2 0|BZMPOP 0 1 z MIN
SADD s 1|SADD s 9|SADD new 1 2|SREM s 9|SREM s 1 2|SREM s2 2|SPOP s 0|SPOP s2|SPOP s 9|SMOVE s s 1|SMOVE s s2 1
SMOVE s s2 2|SMOVE s2 new 2|SMOVE s s2 9|SMOVE new s 9|SUNIONSTORE s s|SUNIONSTORE new s s2|SINTERSTORE s new
SINTERSTORE other new|SDIFFSTORE s s s|SINTERCARD 2 s s2
ZADD z 1 a|ZADD z 2 a|ZADD z XX 1 q|ZADD z 1 q|ZADD new 1 a 2 b|ZADD z INCR 1 a|ZADD z NX INCR 1 a|ZADD z CH 5 a 6 q
ZINCRBY z 0 a|ZINCRBY z 1 a|ZINCRBY new 1 a|ZREM z q|ZREM z a b|ZREMRANGEBYRANK z 5 9|ZREMRANGEBYRANK z 0 0
ZREMRANGEBYSCORE z 0 9|ZREMRANGEBYLEX z2 - +|ZPOPMIN z 0|ZPOPMIN z|ZPOPMAX z 9|ZMPOP 1 z MIN|ZMPOP 2 new z2 MAX
ZUNIONSTORE z 1 z|ZUNIONSTORE new 2 z z2|ZINTERSTORE z 1 new|ZINTERSTORE other 1 new|ZDIFFSTORE z 2 z z
ZRANGESTORE z z 0 0|ZRANGESTORE new z 0 -1|ZRANGESTORE z new 0 0|ZRANGESTORE other new 0 0
HSET h a 1|HSET h a 2 b 3|HSET new a 1|HMSET h a 1|HDEL h q|HDEL h a|HINCRBY h a 0|HINCRBY h b 1|HINCRBYFLOAT h a 1.5
HSETNX h a 1|HSETNX h b 1|SET k 5|SET new 5|SET l 5|SET k 5 NX|SET new 5 XX|SET k 5 KEEPTTL|SET k 5 GET|SET k 5 EX 100
SETEX k 100 1|PSETEX k 100000 1|SETNX k 1|SETNX new 1|GETSET k 1|GETDEL k|GETDEL new|GETEX k|GETEX k EX 100
GETEX k PERSIST|GETEX e PERSIST|GETEX k EXAT 1|SETRANGE k 9 xyz|SETRANGE new 0 x|APPEND k x|APPEND new x|INCR k
INCRBY k 0|DECR new|INCRBYFLOAT k 1.5|SETBIT k 1 0|SETBIT k 1 1|SETBIT new 1 0|BITOP AND k new|BITOP NOT k k2
BITOP AND other new|BITFIELD k GET u8 0|BITFIELD k SET u8 0 1|BITFIELD k SET u8 0 53|BITFIELD k OVERFLOW FAIL INCRBY u8 0 255
MSET k 1 k2 2|MSET k 1 k 2|MSETNX k 1 new 2|MSETNX new 1 other 2|DEL k|DEL k k2 new|DEL k k|UNLINK k l|TOUCH k
EXPIRE k 100|EXPIRE k 100 XX|EXPIRE k -1|EXPIRE k 0|EXPIRE new 100|PEXPIREAT k 1|PERSIST k|PERSIST e|RENAME k k
RENAME k k2|RENAME k new|RENAMENX k k2|RENAMENX k new|COPY k k2|COPY k k2 REPLACE|COPY k new|MOVE k 1|FLUSHDB
FLUSHALL|SWAPDB 0 1|SWAPDB 0 0|SWAPDB 1 2|GEOADD geo 1 1 a|GEOADD geo 2 2 a|GEOADD new 1 1 a
GEOSEARCHSTORE geo geo FROMLONLAT 1 1 BYRADIUS 1 km|GEOSEARCHSTORE geo geo FROMLONLAT 60 60 BYRADIUS 1 km
GEOSEARCHSTORE other new FROMLONLAT 60 60 BYRADIUS 1 km|GEORADIUS geo 1 1 1 km STORE new|GET k|GET new|LLEN new
GEORADIUS new 1 1 1 km|GEORADIUSBYMEMBER new a 1 km|GEOSEARCH new FROMLONLAT 1 1 BYRADIUS 1 km
GEOSEARCH new FROMMEMBER a BYRADIUS 1 km|GEORADIUS new 1 1 1 km STORE other|EXISTS new|TYPE new|OBJECT ENCODING new|TTL new|STRLEN new|HGET new a|SMEMBERS new|ZSCORE new a|LRANGE new 0 -1
""".strip().replace("\n", "|").split("|")

# What differs, and why.
DEVIATIONS = {
    ("PFADD new a", "changes"): "Redis counts the new key and the element",
}


class Watchers:
    """A connection for each key, which watches it."""

    def __init__(self, server):
        self.clients = {key: server.client() for key in KEYS}

    def watch(self):
        for key, client in self.clients.items():
            client("WATCH", key)

    def ended(self):
        return [key for key, client in self.clients.items() if client.pipeline([["MULTI"], ["EXEC"]])[1] is None]


class Follower:
    """A connection that gets all notifications and invalidations."""

    def __init__(self, server):
        self.client = server.client()
        self.client("HELLO", 3)
        self.client("CLIENT", "TRACKING", "ON", "BCAST")
        self.client("PSUBSCRIBE", "__keyevent@*")

    def until(self, sentinel):
        """Events and invalidated keys that came before those of the sentinel, a key that was set."""
        events, dropped = [], []
        while b"set:" + sentinel not in events or sentinel not in dropped:
            push = self.client.read()
            if push[0] == b"pmessage":
                events.append(push[2].split(b":")[1] + b":" + push[3])
            elif push[0] == b"invalidate":
                dropped += push[1] or [b"everything"]
        events.remove(b"set:" + sentinel)
        dropped.remove(sentinel)
        return events, sorted(dropped)


def changes(client):
    info = client("INFO", "persistence").decode()
    return int(info.split("rdb_changes_since_last_save:")[1].split()[0])


def effects(binary):
    """What each case has done."""
    found = {}
    with Server(binary, "--notify-keyspace-events", "EAmn") as server:
        client, watchers, follower = server.client(), Watchers(server), Follower(server)
        for number, case in enumerate(CASES):
            begin, end = b"begin:%d" % number, b"end:%d" % number
            client.pipeline([["SELECT", 1], ["FLUSHDB"], ["SELECT", 0], ["FLUSHALL"], *SETUP, ["SET", begin, ""]])
            follower.until(begin)
            watchers.watch()
            before = changes(client)
            client(*case.split())
            counted = changes(client) - before
            ended = watchers.ended()
            client("SET", end, "")
            events, dropped = follower.until(end)
            found[case] = {"watched": ended, "events": events, "dropped": dropped, "changes": counted}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ebb")
    parser.add_argument("--oracle", default="redis-server")
    options = parser.parse_args()
    oracle, ebb = effects(options.oracle), effects(options.ebb)
    wrong = 0
    for case in CASES:
        for what, value in oracle[case].items():
            if value != ebb[case][what] and (case, what) not in DEVIATIONS:
                wrong += 1
                print("%s: %s\n  oracle %r\n  ebb    %r" % (case, what, value, ebb[case][what]))
    if wrong:
        sys.exit("effects: %d differ" % wrong)
    print("effects: %d commands have the same" % len(CASES))


if __name__ == "__main__":
    main()
