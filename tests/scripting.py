#!/usr/bin/env python3
"""Scripts and functions over sockets, compared with redis-server where that is possible.

usage: scripting.py EBB [--redis PATH]

Values are converted, and errors told, as Redis does it, in both protocols. Scripts are atomic over
shards. A script without end can be stopped by others, with one worker thread and with four.
"""
import argparse
import multiprocessing
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Client, Error, Server  # noqa: E402

VALUES = r"""
return 1
return -1.9
return 3.99999
return 1e30
return 0/0
return 'text'
return ''
return 'a\r\nb'
return true
return false
return nil
return {}
return {1, 2, nil, 4}
return {1.5, 'a', true, false, {2, {3}}}
return {ok='fine'}
return {ok='fi\r\nne'}
return {ok=3}
return {err='My error'}
return {err='ERR x\r\ny'}
return {1, {err='inside'}, {ok='status'}}
return {double=3.25}
return {double='3'}
return {map={a=1}}
return {set={a=true}}
return {big_number='12345678901234567890'}
return {verbatim_string={format='txt', string='hi'}}
return {verbatim_string={format='mkd', string='# x'}}
return function() end
return cjson.null
return redis.status_reply('FINE')
return redis.error_reply('CODE text')
return redis.error_reply('word')
return redis.error_reply('-CODE text')
return redis.call('set', KEYS[1], 'v')
return redis.call('get', KEYS[1])
return redis.call('get', 'missing')
return redis.call('mget', KEYS[1], 'missing')
return redis.call('incr', 'number')
return redis.call('ping')
return redis.call('ping').ok
return type(redis.call('get', 'missing'))
redis.setresp(3) return type(redis.call('get', 'missing'))
redis.setresp(3) return redis.call('get', 'missing')
redis.setresp(3) return true
redis.setresp(3) return false
redis.setresp(3) return {map={a=true}}
redis.setresp(3) return {redis.call('mget', KEYS[1], 'missing')}
redis.setresp(3) return redis.call('debug', 'protocol', 'map')
redis.call('select', 4) return redis.call('get', KEYS[1])
return {KEYS, ARGV, #KEYS, #ARGV}
return redis.sha1hex('')
return redis.sha1hex(5)
return tostring(cjson.null) == 'userdata: (nil)'
math.randomseed(7) return {math.random(1000), math.random(10, 20), tostring(math.random())}
return redis.acl_check_cmd('get', 'x')
return redis.replicate_commands()
return redis.set_repl(redis.REPL_ALL)
return {redis.LOG_DEBUG, redis.LOG_WARNING, redis.REPL_NONE, redis.REPL_SLAVE}
return cjson.encode({1, {a=1/3}, 'x/y', {}, cjson.null, 1e20, -0.5})
return cjson.decode('{"a": [1, null, {"b": "\\u00e9\\ud83d\\ude00"}]}')['a'][3]['b']
return cjson.encode(cjson.decode('[1.5,[],{},"x",true,null]'))
return cmsgpack.pack({1, 'x', {a=-5}, 1.5, 2^40, true, -70000})
return {cmsgpack.unpack(cmsgpack.pack(1, 'two', {3}))}
return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3), 1)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)}
return struct.pack('>I2i4s!4 b d', 258, -5, 'str', 7, 1.5)
return {struct.unpack('<i2 c3 b', 'ab123x')}
return struct.size('!8 b d i3 h')
return {bit.band(0xff, 0x0f), bit.bor(1, 2), bit.bxor(5, 1), bit.bnot(7), bit.tobit(2^40 + 9)}
return {bit.lshift(1, 4), bit.rshift(-1, 28), bit.arshift(-256, 4), bit.rol(1, 31), bit.bswap(1)}
return bit.tohex(-1, -6)
local t = {} for k in pairs(redis) do if k ~= 'SERVER_NAME' then t[#t + 1] = k end end table.sort(t) return t
local t = {} for k in pairs(string) do t[#t + 1] = k end table.sort(t) return t
local t = {} for k in pairs(math) do t[#t + 1] = k end table.sort(t) return t
local t = {} for k in pairs(cjson) do t[#t + 1] = k end table.sort(t) return t
return {pcall(redis.call, 'get')}
return {pcall(error, {err='x'})}
return {pcall(error, 'x')}
return {pcall(cjson.decode, '[')}
return {xpcall(function() error('x') end, function(e) return e .. '!' end)}
return {coroutine.resume(coroutine.create(function() return redis.call('incr', 'number') end))}
return loadstring('return 5')()
return {loadstring('x x')}
return select('#', unpack({1, 2, 3}))
""".strip().split("\n")

ERRORS = r"""
error('boom')
error({err='boom'})
error()
local function f() error('deep', 2) end f()
x = 1
return y
redis.x = 1
return redis.call()
return redis.call('get')
return redis.call('nosuch')
return redis.call('get', {})
return redis.call('incr', KEYS[1])
return redis.call('eval', 'return 1', 0)
return redis.call('config', 'get', 'x')
return redis.call('multi')
return redis.pcall('nosuch')
return {redis.pcall('nosuch'), 1}
setmetatable(_G, {})
getmetatable(_G).__index = nil
rawset(redis, 'a', 1)
rawset(_G, 'a', 1)
table.insert(redis, 1)
string.x = 1
cjson.encode = nil
redis.setresp(5)
redis.setresp()
redis.log('x')
redis.log(9, 'x')
redis.log('x', 'y')
redis.set_repl(77)
redis.sha1hex()
redis.acl_check_cmd('nosuch')
local x = nil; return x.y
return 1 + {}
return ('x')()
return #nil
return {} < {}
syntax error
return 'unfinished
return cjson.decode('[1,')
return cjson.encode({[{}]=1})
cjson.decode()
return cmsgpack.unpack('\255\254\193')
struct.pack('y')
bit.band({})
return print('x')
return dofile('/etc/passwd')
pairs(nil)
setmetatable(1, {})
""".strip().split("\n")

SHEBANGS = ["#!lua\nreturn 1", "#!lua", "#!js\nreturn 1", "#!lua flags=bad\nreturn 1", "#!lua x=y\nreturn 1",
            "#!lua flags=no-writes\nreturn redis.call('set','a','b')",
            "#!lua flags=no-writes,allow-oom\nreturn redis.call('get','a')", "#!lua flags=\nerror('x')"]

LIBRARY = """#!lua name=lib
redis.register_function('echo', function(keys, args) return {keys, args} end)
redis.register_function{function_name='reads', flags={'no-writes'}, description='d',
                        callback=function(keys) return redis.call('get', keys[1]) end}
redis.register_function('fails', function() error('boom') end)
redis.register_function('globals', function() return KEYS end)
"""

LIBRARIES = ["", "x", "#!lua\n", "#!lua name=a-b\nx", "#!lua name=a\nreturn 1", "#!lua name=a\nx = 1",
             "#!lua name=a\nredis.call('get', 'x')", "#!lua name=a name=b\nx", "#!js name=a\nx",
             "#!lua name=a\nredis.register_function('f')", "#!lua name=a\nredis.register_function()",
             "#!lua name=a\nredis.register_function('f', 1)", "#!lua name=a\nsyntax error",
             "#!lua name=a\nredis.register_function{function_name='f'}",
             "#!lua name=a\nredis.register_function{function_name='f', callback=1}",
             "#!lua name=a\nredis.register_function('echo', function() end)", LIBRARY]


def sandboxed(value):
    """What newer versions have and 7.0 does not."""
    return [name for name in value if name != b"os"] if isinstance(value, list) else value


def compare(ours, theirs, *command):
    one, other = sandboxed(ours(*command)), sandboxed(theirs(*command))
    assert one == other, "%r\n  Ebb:   %r\n  Redis: %r" % (command, one, other)


def comparisons(ebb, redis):
    count = 0
    for protocol in ("2", "3"):
        ours, theirs = ebb.client(), redis.client()
        ours("HELLO", protocol)
        theirs("HELLO", protocol)
        for client in (ours, theirs):
            client("FLUSHALL")
            client("FUNCTION", "FLUSH")
        for script in VALUES + ERRORS + SHEBANGS:
            compare(ours, theirs, "EVAL", script, "1", "key", "arg", "second")
        for script in SHEBANGS + VALUES[:5]:
            compare(ours, theirs, "EVAL_RO", script, "0")
            compare(ours, theirs, "SCRIPT", "LOAD", script)
        for code in LIBRARIES:
            compare(ours, theirs, "FUNCTION", "LOAD", code)
        calls = [["FCALL", "echo", "1", "k", "a"], ["FCALL", "ECHO", "0"], ["FCALL", "fails", "0"],
                 ["FCALL", "globals", "0"], ["FCALL_RO", "reads", "1", "none"],
                 ["FCALL_RO", "echo", "0"], ["FCALL", "nosuch", "0"], ["FCALL", "echo", "x"],
                 ["FCALL", "echo", "5"], ["FCALL", "echo", "-1"], ["EVAL", "return 1", "x"],
                 ["EVAL", "return 1", "2", "a"], ["EVAL", "return 1", "-1"], ["EVAL", "return 1"],
                 ["EVALSHA", "x", "0"], ["EVALSHA", "0" * 40, "0"], ["SCRIPT", "EXISTS", "x"],
                 ["SCRIPT", "KILL"], ["FUNCTION", "KILL"], ["FUNCTION", "STATS"],
                 ["FUNCTION", "DELETE", "none"], ["FUNCTION", "LIST", "x"],
                 ["FUNCTION", "RESTORE", "x"], ["FUNCTION", "RESTORE", "x", "y"],
                 ["FUNCTION", "FLUSH", "x"], ["SCRIPT", "FLUSH", "x"], ["SCRIPT", "FLUSH"]]
        for call in calls:
            compare(ours, theirs, *call)
        count += len(VALUES) + len(ERRORS) + len(calls)
    return count


def dumps(ebb, redis):
    """Libraries survive a dump, also one that the other server made."""
    ours = ebb.client()
    clients = [ours] + ([redis.client()] if redis else [])
    for client in clients:
        client("FUNCTION", "FLUSH")
        assert client("FUNCTION", "LOAD", LIBRARY) == b"lib"
    before = ours("FUNCTION", "LIST", "WITHCODE")
    for payload in [client("FUNCTION", "DUMP") for client in clients]:
        for client in clients:
            assert client("FUNCTION", "FLUSH") == "OK" and client("FUNCTION", "LIST") == []
            # A server takes no payload of a newer version.
            if client is ours or payload[-10:-8] == clients[1]("FUNCTION", "DUMP")[-10:-8]:
                assert client("FUNCTION", "RESTORE", payload) == "OK"
                assert client("FCALL", "echo", "1", "k", "a") == [[b"k"], [b"a"]]
                assert str(client("FUNCTION", "RESTORE", payload)) == "ERR Library lib already exists"
    assert ours("FUNCTION", "LIST", "WITHCODE") == before


ACCOUNTS, MONEY = 40, 1000
TRANSFER = """
local from, to, amount = KEYS[1], ARGV[1], tonumber(ARGV[2])
redis.call('decrby', from, amount)
return redis.call('incrby', to, amount)
"""
AUDIT = """
local total = 0
for i = 0, %d do total = total + redis.call('get', 'account:' .. i) end
return total
""" % (ACCOUNTS - 1)


def transfers(port, seed, end, results):
    """Moves money: the account that it goes to is not declared."""
    r, client, done = random.Random(seed), Client(port), 0
    sha = client("SCRIPT", "LOAD", TRANSFER)
    while time.time() < end:
        one, other = r.sample(range(ACCOUNTS), 2)
        names = ["account:%d" % one, "account:%d" % other]
        if r.random() < 0.3:
            replies = client.pipeline([["MULTI"], ["DECRBY", names[0], 5], ["INCRBY", names[1], 5], ["EXEC"]])
            assert isinstance(replies[3], list), replies
        else:
            reply = client("EVALSHA", sha, "1", names[0], names[1], r.randint(1, 50))
            assert isinstance(reply, int), reply
        done += 1
    results.put(("transfers", done))


def audits(port, seed, end, results):
    r, client, done = random.Random(seed), Client(port), 0
    names = ["account:%d" % number for number in range(ACCOUNTS)]
    while time.time() < end:
        if r.random() < 0.5:
            total = client("EVAL", AUDIT, "0")
        else:
            total = sum(map(int, client("MGET", *names)))
        assert total == ACCOUNTS * MONEY, "the sum is %r" % total
        client("KEYS", "account:*")
        done += 1
    results.put(("audits", done))


def atomicity(ebb, seconds, seed):
    client = ebb.client()
    client("MSET", *[word for n in range(ACCOUNTS) for word in ("account:%d" % n, MONEY)])
    results, end = multiprocessing.Queue(), time.time() + seconds
    work = [transfers] * 4 + [audits] * 3
    processes = [multiprocessing.Process(target=function, args=(ebb.port, seed + n, end, results))
                 for n, function in enumerate(work)]
    for process in processes:
        process.start()
    totals = {}
    for _ in work:
        name, value = results.get(timeout=seconds + 30)
        totals[name] = totals.get(name, 0) + value
    for process in processes:
        process.join(30)
        assert process.exitcode == 0, "a client failed"
    assert all(totals.values()), totals
    return totals


BUSY = "BUSY Redis is busy running a script. You can only call %s KILL or SHUTDOWN NOSAVE."


def wait_busy(client, kind):
    """Waits until others are told of the script."""
    for _ in range(100):
        reply = client("GET", "x")
        if isinstance(reply, Error):
            assert str(reply) == BUSY % kind, reply
            return
        time.sleep(0.05)
    raise AssertionError("the server never was busy")


def kills(ebb):
    """Stops scripts that never end, from connections old and new."""
    # A sanitizer makes the server some twenty times slower.
    runner = ebb.client(timeout=600)
    others = [ebb.client() for _ in range(12)]
    for other in others:
        other("CONFIG", "SET", "busy-reply-threshold", "150")
    runner("FUNCTION", "LOAD", "REPLACE",
           "#!lua name=endless\nredis.register_function('endless', function() while true do end end)")
    cases = [(["EVAL", "while true do end", "0"], "SCRIPT"),
             (["EVAL", "local f = function() while true do end end while true do pcall(f) end", "0"], "SCRIPT"),
             (["EVAL", "while true do redis.call('get', 'x') end", "1", "x"], "SCRIPT"),
             (["EVAL", "local c = coroutine.wrap(function() while true do end end) while true do pcall(c) end",
               "0"], "SCRIPT"),
             (["FCALL", "endless", "0"], "FUNCTION")]
    for command, kind in cases:
        runner.send(*command)
        time.sleep(0.02)
        for other in others:
            wait_busy(other, kind)
        newcomer = ebb.client()
        wait_busy(newcomer, kind)
        assert newcomer.pipeline([["MULTI"], ["SET", "x", "1"], ["EXEC"]])[2].startswith("EXECABORT")
        wrong = "FUNCTION" if kind == "SCRIPT" else "SCRIPT"
        assert str(newcomer(wrong, "KILL")) == BUSY % kind
        stats = newcomer("FUNCTION", "STATS")
        assert isinstance(stats, Error) if kind == "SCRIPT" else stats[1][1] == b"endless", stats
        assert random.choice(others)(kind, "KILL") == "OK"
        reply = runner.read()
        assert reply.startswith("ERR Script killed by user with SCRIPT KILL... script: "), reply
        for other in others + [newcomer]:
            assert other("PING") == "PONG"
        assert str(others[0](kind, "KILL")) == "NOTBUSY No scripts in execution right now."
    runner.send("EVAL", "redis.call('set', 'x', '1') local t = 0 while redis.call('get', 'stop') == false "
                "and t < 4e6 do t = t + 1 end return t", "1", "x")
    # What is read together with the script waits for it.
    time.sleep(0.02)
    wait_busy(others[0], "SCRIPT")
    assert others[0]("SCRIPT", "KILL").startswith("UNKILLABLE Sorry the script already executed write commands")
    assert isinstance(runner.read(), int)
    assert others[0]("GET", "x") == b"1"


def shutdown(ebb):
    runner, other = ebb.client(), ebb.client()
    other("CONFIG", "SET", "busy-reply-threshold", "100")
    runner.send("EVAL", "redis.call('set', 'x', '1') while true do end", "0")
    time.sleep(0.02)
    wait_busy(other, "SCRIPT")
    other.send("SHUTDOWN", "NOSAVE")
    ebb.process.wait(10)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ebb")
    parser.add_argument("--redis", default=shutil.which("redis-server"))
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print("scripting: seed %d" % options.seed, flush=True)
    if options.redis:
        with Server(options.ebb, "--enable-debug-command", "yes") as ebb, \
                Server(options.redis, "--enable-debug-command", "yes") as redis:
            print("scripting: %d replies as Redis gives them" % comparisons(ebb, redis), flush=True)
            dumps(ebb, redis)
    else:
        print("scripting: there is no redis-server to compare with")
    for threads in ("1", "4"):
        with Server(options.ebb, "--io-threads", threads) as ebb:
            dumps(ebb, None)
            totals = atomicity(ebb, options.seconds, options.seed)
            kills(ebb)
            shutdown(ebb)
            print("scripting: %s threads: %s" % (threads, ", ".join("%s %d" % t for t in sorted(totals.items()))),
                  flush=True)


if __name__ == "__main__":
    main()
