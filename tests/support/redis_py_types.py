"""What applications do with redis-py's commands on each type of value, over both protocols, synchronously and not.

usage: redis_py_types.py PORT

Each check is written once, with `await`; for the synchronous client, `Now` makes its results awaitable.
"""
import asyncio
import logging
import queue
import sys
import time

import redis
import redis.asyncio


class Now:
    """A synchronous client whose methods can be awaited."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        method = getattr(self.client, name)

        async def call(*args, **options):
            return method(*args, **options)
        return call


def resp3(client):
    pool = (client.client if isinstance(client, Now) else client).connection_pool
    return int(pool.connection_kwargs.get("protocol") or 2) == 3


async def refused(command, text, kind=redis.ResponseError):
    try:
        await command
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError("not refused: %s" % text)


async def lists(client):
    assert await client.rpush("list", "a", "b", "c", "b") == 4
    assert await client.lpush("list", "first") == 5
    assert await client.lrange("list", 0, -1) == ["first", "a", "b", "c", "b"]
    assert await client.lpos("list", "b", rank=-1) == 4 and await client.lpos("list", "b", count=0) == [2, 4]
    assert await client.linsert("list", "BEFORE", "c", "x") == 6 and await client.lindex("list", 3) == "x"
    assert await client.lset("list", 0, "new") is True and await client.lrem("list", -1, "b") == 1
    assert await client.ltrim("list", 0, 2) is True and await client.llen("list") == 3
    assert await client.lmove("list", "other", "LEFT", "RIGHT") == "new"
    assert await client.rpoplpush("list", "other") == "b"
    assert await client.lmpop(2, "none", "other", direction="LEFT", count=5) == ["other", ["b", "new"]]
    assert await client.lpop("list", 2) == ["a"] and await client.lpop("list") is None
    await client.rpush("list", 3, 1, 2)
    assert await client.sort("list", desc=True) == ["3", "2", "1"]
    got = await client.blpop(["none", "list"], timeout=1)
    assert tuple(got) == ("list", "3") and await client.brpop("none", timeout=0.05) is None
    assert await client.blmpop(1, 1, "list", direction="RIGHT") == ["list", ["2"]]


async def hashes(client):
    assert await client.hset("hash", mapping={"name": "x", "size": 3, "part": "1.5"}) == 3
    assert await client.hgetall("hash") == {"name": "x", "size": "3", "part": "1.5"}
    assert await client.hincrby("hash", "size", 4) == 7 and await client.hincrbyfloat("hash", "part", 0.25) == 1.75
    assert await client.hmget("hash", "name", "none") == ["x", None] and await client.hsetnx("hash", "name", "y") == 0
    assert await client.hexists("hash", "size") is True and await client.hstrlen("hash", "name") == 1
    assert sorted(await client.hkeys("hash")) == ["name", "part", "size"] and await client.hlen("hash") == 3
    cursor, found = await client.hscan("hash", match="s*")
    assert cursor == 0 and found == {"size": "7"}
    assert await client.hrandfield("hash", 5, withvalues=True)
    assert await client.hexpire("hash", 100, "name", "none") == [1, -2]
    assert 98 <= (await client.httl("hash", "name"))[0] <= 100 and await client.httl("hash", "size") == [-1]
    assert await client.hpersist("hash", "name") == [1] and await client.hpexpire("hash", 20, "size") == [1]
    await asyncio.sleep(0.05)
    assert await client.hget("hash", "size") is None and await client.hdel("hash", "name", "size") == 1


async def sets(client):
    assert await client.sadd("s", "a", "b", "c") == 3 and await client.sadd("t", "b", "c", "d") == 3
    assert await client.smembers("s") == {"a", "b", "c"} and await client.sismember("s", "a") == 1
    assert await client.smismember("s", ["a", "x"]) == [1, 0]
    assert set(await client.sinter("s", "t")) == {"b", "c"} and set(await client.sdiff("s", "t")) == {"a"}
    assert await client.sunionstore("u", "s", "t") == 4 and await client.sintercard(2, ["s", "t"], limit=1) == 1
    assert await client.smove("s", "t", "a") and await client.srem("s", "b", "none") == 1
    assert set(await client.spop("t", 9)) == {"a", "b", "c", "d"} and await client.srandmember("s") == "c"
    cursor, found = await client.sscan("u")
    assert cursor == 0 and sorted(found) == ["a", "b", "c", "d"]


async def sorted_sets(client):
    assert await client.zadd("z", {"a": 1, "b": 2.5, "c": 3}) == 3
    assert await client.zadd("z", {"a": 5}, gt=True, ch=True) == 1 and await client.zincrby("z", 1, "a") == 6.0
    assert await client.zscore("z", "a") == 6.0 and await client.zmscore("z", ["b", "none"]) == [2.5, None]
    ranged = await client.zrange("z", 0, -1, withscores=True)
    assert [tuple(pair) for pair in ranged] == [("b", 2.5), ("c", 3.0), ("a", 6.0)]
    assert await client.zrange("z", "-inf", 5, byscore=True, offset=0, num=1) == ["b"]
    assert await client.zrank("z", "c") == 1 and await client.zrevrank("z", "c") == 1
    rank, score = await client.zrank("z", "c", withscore=True)
    assert rank == 1 and float(score) == 3
    assert await client.zcount("z", "(2.5", "+inf") == 2 and await client.zcard("z") == 3
    assert await client.zunionstore("u", {"z": 2}, aggregate="MAX") == 3
    assert await client.zinter(["z", "u"]) == ["b", "c", "a"]
    assert await client.zrangestore("part", "z", 0, 0) == 1 and await client.zdiff(["z", "part"]) == ["c", "a"]
    low = await client.zpopmin("z")
    assert low == (["b", 2.5] if resp3(client) else [("b", 2.5)]), low
    assert (await client.zmpop(1, ["z"], max=True))[0] == "z"
    assert await client.bzpopmin("z", timeout=1) is not None and await client.bzpopmin("z", timeout=0.05) is None
    await client.zadd("names", {name: 0 for name in "abcd"})
    assert await client.zrangebylex("names", "[b", "(d") == ["b", "c"] and await client.zlexcount("names", "-", "+") == 4
    assert await client.zremrangebylex("names", "-", "[b") == 2


async def streams(client):
    ids = [await client.xadd("x", {"n": number}) for number in range(5)]
    assert await client.xlen("x") == 5 and (await client.xrange("x", count=1))[0] == (ids[0], {"n": "0"})
    assert (await client.xrevrange("x", count=1))[0][0] == ids[4]
    assert await client.xgroup_create("x", "g", "0") is True
    await refused(client.xgroup_create("x", "g", "0"), "Consumer Group name already exists")
    got = await client.xreadgroup("g", "me", {"x": ">"}, count=3)
    entries = got["x"][0] if resp3(client) else got[0][1]
    assert [entry[0] for entry in entries] == ids[:3]
    assert await client.xack("x", "g", ids[0]) == 1 and (await client.xpending("x", "g"))["pending"] == 2
    pending = await client.xpending_range("x", "g", "-", "+", 10)
    assert [one["message_id"] for one in pending] == ids[1:3] and pending[0]["consumer"] == "me"
    assert await client.xclaim("x", "g", "you", 0, [ids[1]], justid=True) == [ids[1]]
    cursor, claimed, deleted = await client.xautoclaim("x", "g", "they", 0, count=10)
    assert cursor == "0-0" and [one[0] for one in claimed] == ids[1:3] and deleted == []
    groups = await client.xinfo_groups("x")
    assert groups[0]["name"] == "g" and groups[0]["lag"] == 2 and len(await client.xinfo_consumers("x", "g")) == 3
    assert (await client.xinfo_stream("x"))["length"] == 5 and (await client.xinfo_stream("x", full=True))["groups"]
    assert await client.xtrim("x", maxlen=2, approximate=False) == 3 and await client.xdel("x", ids[4]) == 1
    assert not await client.xread({"x": "$"}, block=50)
    assert await client.xgroup_destroy("x", "g") == 1


async def places(client):
    assert await client.geoadd("geo", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")) == 2
    assert abs(await client.geodist("geo", "Palermo", "Catania", unit="km") - 166.2742) < 0.001
    assert (await client.geohash("geo", "Palermo"))[0] == "sqc8b49rny0"
    longitude, latitude = (await client.geopos("geo", "Catania"))[0]
    assert abs(longitude - 15.087269) < 1e-5 and abs(latitude - 37.502669) < 1e-5
    near = await client.geosearch("geo", longitude=15, latitude=37, radius=200, unit="km", sort="ASC", withdist=True)
    assert [place[0] for place in near] == ["Catania", "Palermo"]
    assert await client.geosearchstore("near", "geo", member="Catania", radius=10, unit="km") == 1


async def logs(client):
    assert await client.pfadd("log", *range(1000)) == 1 and await client.pfadd("log", 1) == 0
    assert abs(await client.pfcount("log") - 1000) < 40
    await client.pfadd("more", "x")
    assert await client.pfmerge("all", "log", "more") and await client.pfcount("all") >= await client.pfcount("log")


async def scripts(client):
    assert await client.eval("return {KEYS[1], ARGV[1], 7}", 1, "k", "a") == ["k", "a", 7]
    sha = await client.script_load("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert await client.evalsha(sha, 1, "n", 5) == 5 and await client.script_exists(sha, "0" * 40) == [True, False]
    await client.script_flush()
    await refused(client.evalsha(sha, 1, "n", 5), "No matching script", redis.exceptions.NoScriptError)
    await refused(client.eval("return redis.call('GET')", 0), "Wrong number of args")
    library = "#!lua name=lib\nredis.register_function('add', function(keys, args) return args[1] + args[2] end)"
    assert await client.function_load(library, replace=True) == "lib" and await client.fcall("add", 0, 1, 2) == 3
    assert await client.function_list() and await client.function_delete("lib")


CHECKS = [lists, hashes, sets, sorted_sets, streams, places, logs, scripts]


def scripts_registered(client):
    double = client.register_script("return redis.call('GET', KEYS[1]) * 2")
    client.set("n", 21)
    assert double(keys=["n"]) == 42
    client.script_flush()
    assert double(keys=["n"]) == 42


def pubsub(client):
    heard = queue.Queue()
    messages = client.pubsub(ignore_subscribe_messages=True)
    messages.subscribe(news=heard.put)
    messages.psubscribe(**{"n?ws": heard.put})
    thread = messages.run_in_thread(sleep_time=0.01, daemon=True)
    while client.pubsub_numsub("news")[0][1] == 0 or client.pubsub_numpat() == 0:
        time.sleep(0.01)
    assert client.publish("news", "x") == 2 and client.pubsub_channels() == ["news"]
    got = [heard.get(timeout=5) for _ in range(2)]
    assert sorted((one["type"], one["channel"], one["data"]) for one in got) == [
        ("message", "news", "x"), ("pmessage", "news", "x")], got
    thread.stop()
    thread.join(5)
    messages.close()


def pipelines(client):
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", 1).lpush("a", 1).incr("a").hset("h", "f", 1)
        results = pipe.execute(raise_on_error=False)
    assert results[0] is True and isinstance(results[1], redis.ResponseError) and results[2:] == [2, 1]
    with client.lock("lock", timeout=5, blocking_timeout=1):
        assert not client.lock("lock").acquire(blocking=False)
    assert client.exists("lock") == 0


async def asynchronous_pubsub(client):
    async with client.pubsub() as messages:
        await messages.subscribe("news")
        assert (await messages.get_message(timeout=5))["type"] == "subscribe"
        assert await client.publish("news", "y") == 1
        assert (await messages.get_message(timeout=5))["data"] == "y"


async def asynchronous(port, protocol):
    client = redis.asyncio.Redis(port=port, protocol=protocol, decode_responses=True)
    for check in CHECKS + [asynchronous_pubsub]:
        await client.flushall()
        await check(client)
    await client.flushall()
    # Many waits and what ends them, all at once.
    waits = [asyncio.create_task(client.blpop("queue", timeout=5)) for _ in range(10)]
    await asyncio.sleep(0.05)
    await client.rpush("queue", *range(10))
    assert sorted(int(item) for _, item in await asyncio.gather(*waits)) == list(range(10))
    await client.aclose()


def main():
    logging.getLogger("push_response").setLevel(logging.WARNING)
    port = int(sys.argv[1])
    for protocol in (2, 3):
        client = redis.Redis(port=port, protocol=protocol, decode_responses=True)
        for check in CHECKS:
            client.flushall()
            asyncio.run(check(Now(client)))
        for check in (scripts_registered, pubsub, pipelines):
            client.flushall()
            check(client)
        client.close()
        asyncio.run(asynchronous(port, protocol))


if __name__ == "__main__":
    main()
