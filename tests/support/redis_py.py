"""What applications do with redis-py, over both protocols, synchronously and not.

usage: redis_py.py PORT
"""
import asyncio
import sys
import threading

import redis
import redis.asyncio


def strings(client):
    client.flushall()
    assert client.set("a", "1", ex=100, nx=True) is True
    assert client.set("a", "2", nx=True) is None
    assert client.get("a") == "1" and 98 <= client.ttl("a") <= 100
    assert client.set("a", "3", get=True, keepttl=True) == "1"
    assert client.incr("a", 4) == 7 and client.incrbyfloat("a", 0.5) == 7.5
    assert client.mset({"x": "1", "y": "2"}) and client.mget("x", "none", "y") == ["1", None, "2"]
    assert client.append("x", "23") == 3 and client.getrange("x", 1, 2) == "23"
    assert client.getex("x", px=5000) == "123" and client.pttl("x") > 4000
    assert client.getdel("x") == "123" and client.exists("x") == 0
    assert client.setbit("bits", 7, 1) == 0 and client.bitcount("bits") == 1
    assert client.bitfield("fields").set("u8", 0, 200).incrby("u8", 0, 10).execute() == [0, 210]
    assert client.lcs("a", "a") == "7.5"
    binary = bytes(range(256)) * 100
    raw = redis.Redis(port=client.connection_pool.connection_kwargs["port"])
    raw.set("binary", binary)
    assert raw.get("binary") == binary
    raw.close()


def keys(client):
    client.flushall()
    pipe = client.pipeline(transaction=False)
    for number in range(1000):
        pipe.set("key:%d" % number, number)
    assert all(pipe.execute())
    assert client.dbsize() == 1000
    assert len(set(client.scan_iter(match="key:*", count=50))) == 1000
    assert client.unlink("key:0", "key:1") == 2 and client.type("key:2") == "string"
    assert client.rename("key:2", "new") and client.copy("new", "newer") is True
    assert client.expire("new", 10, nx=True) is True and client.persist("new") is True
    assert client.object("encoding", "new") == "int"
    assert client.memory_usage("new") > 0
    assert client.randomkey() is not None


def transactions(client):
    client.set("balance", 10)

    def spend(pipe):
        balance = int(pipe.get("balance"))
        pipe.multi()
        pipe.set("balance", balance - 1)

    threads = [threading.Thread(target=client.transaction, args=(spend, "balance"))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("balance") == "2"
    with client.pipeline() as pipe:
        pipe.watch("balance")
        client.set("balance", 0)
        pipe.multi()
        pipe.get("balance")
        try:
            pipe.execute()
            raise AssertionError("a changed key went unnoticed")
        except redis.WatchError:
            pass


def introspection(client):
    info = client.info()
    assert info["redis_version"].startswith("7.2") and info["used_memory"] > 0
    assert client.info("keyspace")["db0"]["keys"] >= 1
    assert client.config_get("maxmemory*")["maxmemory"] == "0"
    assert client.config_set("slowlog-log-slower-than", 0)
    client.get("balance")
    assert any(b"GET balance" == entry["command"] or "GET balance" == entry["command"]
               for entry in client.slowlog_get(20))
    assert client.slowlog_reset() and client.config_set("slowlog-log-slower-than", 10000)
    assert client.client_setname("me") and client.client_getname() == "me"
    assert any(other["name"] == "me" for other in client.client_list())
    assert client.command_count() > 80 and "get" in client.command()
    assert client.memory_stats()["keys.count"] >= 1
    assert isinstance(client.time(), tuple) and client.ping() and client.echo("x") == "x"
    try:
        client.execute_command("NOSUCH")
        raise AssertionError("an unknown command ran")
    except redis.ResponseError as error:
        assert "unknown command" in str(error)


async def asynchronous(port, protocol):
    client = redis.asyncio.Redis(port=port, protocol=protocol, decode_responses=True)
    await client.flushall()
    assert await client.set("a", "1", px=60_000)
    values = await asyncio.gather(*[client.incr("a") for _ in range(100)])
    assert sorted(values) == list(range(2, 102))
    async with client.pipeline(transaction=True) as pipe:
        assert await pipe.set("b", "x").get("b").strlen("b").execute() == [True, "x", 1]
    await client.aclose()


def main():
    port = int(sys.argv[1])
    for protocol in (2, 3):
        client = redis.Redis(port=port, protocol=protocol, decode_responses=True)
        for check in (strings, keys, transactions, introspection):
            check(client)
        client.close()
        asyncio.run(asynchronous(port, protocol))


if __name__ == "__main__":
    main()
