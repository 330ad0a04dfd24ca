"""Random commands whose replies depend on the time, or on keys that may have expired."""
from clock import DAY_MS

STRINGS = [b"k%d" % n for n in range(6)]
LISTS = [b"l0", b"l1"]
SETS = [b"s0", b"s1", b"s2"]
SORTED = [b"z0", b"z1", b"z2"]
HASHES = [b"h0", b"h1"]
STREAMS = [b"x0", b"x1"]
COLLECTIONS = LISTS + SETS + SORTED + HASHES + STREAMS
KEYS = STRINGS + COLLECTIONS
ITEMS = [b"a", b"b", b"c", b"7", b"21"]
CONSUMERS = [b"c0", b"c1"]

SCRIPTS = [
    ("return redis.call('TIME')", 0),
    ("return {redis.call('PTTL', KEYS[1]), redis.call('EXISTS', KEYS[1]), redis.call('DBSIZE')}", 1),
    ("redis.call('SET', KEYS[1], 'x', 'PX', ARGV[1]) return redis.call('PEXPIRETIME', KEYS[1])", 1),
    ("local v = redis.call('GETEX', KEYS[1], 'PX', ARGV[1]) return {v, redis.call('PTTL', KEYS[1])}", 1),
    ("redis.call('PEXPIRE', KEYS[1], ARGV[1], 'NX') redis.call('COPY', KEYS[1], KEYS[2], 'REPLACE') "
     "return {redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[2])}", 2),
    ("return {redis.call('XADD', KEYS[1], '*', 'f', 'v'), redis.call('EXISTS', KEYS[2])}", 2),
]


class ClockCommands:
    """Commands, each built by a method whose name begins with its group."""

    WEIGHTS = {"string": 10, "expire": 12, "ask": 8, "keys": 9, "list": 4, "set": 6, "zset": 5, "hash": 3,
               "stream": 12, "script": 4, "server": 5}

    def __init__(self, r, clock, payloads):
        self.r, self.clock, self.payloads, self.lazy = r, clock, payloads, True
        # Deadlines that keys have had, to aim at.
        self.deadlines = []
        makers = [name for name in dir(type(self)) if name.split("_")[0] in self.WEIGHTS]
        self.makers = [getattr(self, name) for name in makers]
        counts = {group: sum(name.startswith(group) for name in makers) for group in self.WEIGHTS}
        self.weights = [self.WEIGHTS[name.split("_")[0]] / counts[name.split("_")[0]] for name in makers]

    def commands(self, most):
        """Some commands that belong together, as a list."""
        out = []
        for _ in range(self.r.randint(1, most)):
            made = self.r.choices(self.makers, self.weights)[0]()
            out += made if isinstance(made[0], list) else [made]
        return out

    def fill(self):
        """Values for some keys, most with a deadline: random commands alone leave few alive."""
        values = [(STRINGS, ["SET", "v"]), (LISTS, ["RPUSH", "b", "a"]), (SETS, ["SADD", "a", "7"]),
                  (SORTED, ["ZADD", 1, "a"]), (HASHES, ["HSET", "a", "b"]), (STREAMS, ["XADD", "*", "f", "v"])]
        out = []
        for keys, (name, *words) in values:
            for key in self.r.sample(keys, self.r.randint(1, len(keys))):
                out.append([name, key, *words])
                out += self.stream_group(key) if name == "XADD" else []
                if self.r.random() < 0.7:
                    out.append(["PEXPIRE", key, self.time(True, False)])
        return out

    # What commands are made of.

    def any_key(self):
        return self.r.choice(STRINGS if self.r.random() < 0.5 else COLLECTIONS)

    def of(self, keys):
        """Mostly a key of the type that is wanted."""
        return self.r.choice(keys) if self.r.random() < 0.95 else self.any_key()

    def maybe(self, chance, *words):
        return list(words) if self.r.random() < chance else []

    def span_ms(self):
        """How long something lives: mostly so short that the clock gets there soon."""
        return self.r.choice([1, 2, 3, 15, 16, 17, 499, 500, 501, 999, 1000, 1001, 1500, self.r.randint(1, 300),
                              self.r.randint(1, 9000), self.r.randint(1, 3 * DAY_MS), 2 * DAY_MS])

    def relative(self, ms):
        return self.span_ms() if ms else self.r.choice([1, 1, 2, 3, 10, 60, self.r.randint(1, 200_000)])

    def absolute(self, ms, past):
        """A time near now, or near the deadline of another key."""
        known = [at + self.r.randint(-1, 1) for at in self.deadlines[-3:]]
        at = self.r.choice(known + [self.clock.now_ms + self.span_ms()] * 6 +
                           [self.clock.now_ms + self.r.choice([-1000, -1, 0, 1])])
        if not past:
            at = max(at, self.clock.now_ms + (1 if ms else 1000))
        return at if ms else at // 1000

    def time(self, ms, absolute, past=True):
        value = self.absolute(ms, past) if absolute else self.relative(ms)
        self.note(value if absolute and ms else value * 1000 if absolute else
                  self.clock.now_ms + (value if ms else value * 1000))
        return value

    def note(self, deadline):
        self.deadlines = (self.deadlines + [deadline])[-40:]

    def deadline(self, past):
        word = self.r.choice(["EX", "PX", "PX", "EXAT", "PXAT"])
        return [word, self.time(word[0] == "P", word.endswith("AT"), past)]

    @staticmethod
    def store(args, at):
        """A command that puts something in the place of a key. If that is due, Redis may delete it without counting
        it as expired, where Ebb never sees what is due. So it goes before."""
        return [["EXISTS", args[at]], *ClockCommands.several(args)]

    @staticmethod
    def several(args):
        """A command with several keys. At the first that is of another type, Redis does not look at the others any
        more, and so does not delete those that are due."""
        return [args, ["EXISTS", *(arg for arg in args if arg in KEYS)]]

    # Strings.

    def string_set(self):
        # 7.0 keeps a value that is over until somebody looks; Ebb, like Valkey, does not.
        options = self.deadline(past=False) if self.r.random() < 0.6 else self.maybe(0.3, "KEEPTTL")
        return ["SET", self.of(STRINGS), self.r.choice(ITEMS)] + options + \
            self.r.choice([[], [], [], ["NX"], ["XX"]]) + self.maybe(0.2, "GET")

    def string_setex(self):
        ms = self.r.random() < 0.5
        return ["PSETEX" if ms else "SETEX", self.of(STRINGS), self.time(ms, False), self.r.choice(ITEMS)]

    def string_getex(self):
        return ["GETEX", self.of(STRINGS)] + self.r.choice([[], ["PERSIST"], *[self.deadline(past=True)] * 3])

    def string_get(self):
        return [self.r.choice(["GET", "STRLEN", "GETDEL", "GET"]), self.of(STRINGS)]

    def string_change(self):
        return [self.r.choice(["GETSET", "SETNX", "APPEND"]), self.of(STRINGS), self.r.choice(ITEMS)]

    def string_number(self):
        return [self.r.choice(["INCR", "DECR"]), self.of(STRINGS)]

    def string_bits(self):
        return self.r.choice([["SETBIT", self.of(STRINGS), 3, 1], ["SETRANGE", self.of(STRINGS), 2, "xy"],
                              self.store(["BITOP", "OR", self.of(STRINGS), self.of(STRINGS), self.of(STRINGS)], 2)])

    def string_many(self):
        keys = [self.of(STRINGS) for _ in range(3)]
        if self.r.random() < 0.5:
            return ["MGET"] + keys
        return [self.r.choice(["MSET", "MSETNX"])] + [word for key in keys for word in (key, b"v")]

    # Deadlines.

    def expire_set(self):
        name = self.r.choice(["EXPIRE", "PEXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])
        return [name, self.any_key(), self.time(name[0] == "P", name.endswith("AT"))] + \
            self.r.choice([[], [], [], ["NX"], ["XX"], ["GT"], ["LT"], ["XX", "GT"], ["XX", "LT"]])

    def expire_now(self):
        return [self.r.choice(["EXPIRE", "PEXPIRE"]), self.any_key(), self.r.choice([0, -1])]

    def expire_persist(self):
        return ["PERSIST", self.any_key()]

    def ask_time(self):
        return [self.r.choice(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]), self.any_key()]

    # Keys.

    def keys_look(self):
        return [self.r.choice(["EXISTS", "TOUCH", "DEL", "UNLINK"]), self.any_key(), self.any_key()]

    def keys_type(self):
        return ["TYPE", self.any_key()]

    def keys_rename(self):
        return [self.r.choice(["RENAME", "RENAMENX"]), self.any_key(), self.any_key()]

    def keys_copy(self):
        return ["COPY", self.any_key(), self.any_key()] + self.maybe(0.1, "DB", 1) + self.maybe(0.7, "REPLACE")

    def keys_move(self):
        return ["MOVE", self.any_key(), 1]

    def keys_restore(self):
        absolute = self.r.random() < 0.5
        ttl = 0 if self.r.random() < 0.1 else self.time(True, absolute)
        args = ["RESTORE", self.any_key(), ttl, self.r.choice(self.payloads)] + (["ABSTTL"] if absolute else [])
        return args if self.r.random() < 0.2 else self.store(args + ["REPLACE"], 1)

    # Collections.

    def list_change(self):
        return [self.r.choice(["LPUSH", "RPUSH", "LPUSHX"]), self.of(LISTS), self.r.choice(ITEMS)]

    def list_move(self):
        return self.r.choice([["LPOP", self.of(LISTS)], ["RPOPLPUSH", self.of(LISTS), self.of(LISTS)],
                              self.several(["LMPOP", 2, *LISTS, "LEFT"])])

    def list_read(self):
        return self.r.choice([["LRANGE", self.of(LISTS), 0, -1], ["LLEN", self.of(LISTS)]])

    def list_sort(self):
        sort = ["SORT", self.of(LISTS + SETS), "ALPHA"] + self.maybe(0.4, "GET", "k*")
        return sort if self.r.random() < 0.6 else self.store(sort + ["STORE", self.of(LISTS)], -1)

    def set_change(self):
        return [self.r.choice(["SADD", "SADD", "SREM"]), self.of(SETS), self.r.choice(ITEMS), self.r.choice(ITEMS)]

    def set_read(self):
        return self.r.choice([["SMEMBERS", self.of(SETS)], ["SCARD", self.of(SETS)], self.several(["SUNION", *SETS]),
                              # Redis looks at both sets, Ebb at the second one if the first has the member.
                              self.store(["SMOVE", self.of(SETS), self.of(SETS), self.r.choice(ITEMS)], 2)])

    def set_store(self):
        name = self.r.choice(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"])
        return self.store([name] + [self.of(SETS) for _ in range(3)], 1)

    def zset_change(self):
        return ["ZADD", self.of(SORTED), self.r.randint(0, 9), self.r.choice(ITEMS)]

    def zset_read(self):
        return self.r.choice([["ZRANGE", self.of(SORTED), 0, -1], ["ZCARD", self.of(SORTED)],
                              ["ZPOPMIN", self.of(SORTED)], self.several(["ZMPOP", 2, *SORTED[:2], "MAX"])])

    def zset_store(self):
        name = self.r.choice(["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"])
        return self.store(self.r.choice([["ZRANGESTORE", self.of(SORTED), self.of(SORTED), 0, -1],
                                         [name, self.of(SORTED), 2, self.of(SORTED), self.of(SETS)]]), 1)

    def hash_change(self):
        return self.r.choice([["HSET", self.of(HASHES), self.r.choice(ITEMS), self.r.choice(ITEMS)],
                              ["HINCRBY", self.of(HASHES), "n", 1], ["HDEL", self.of(HASHES), self.r.choice(ITEMS)]])

    def hash_read(self):
        return self.r.choice([["HGETALL", self.of(HASHES)], ["HLEN", self.of(HASHES)]])

    # Streams.

    def stream_add(self):
        at = self.clock.now_ms + self.r.choice([-1, 0, 0, 1, 5])
        return ["XADD", self.of(STREAMS)] + self.maybe(0.2, "MAXLEN", 8) + \
            [self.r.choice(["*", "*", "*", "%d-*" % at]), "f", self.r.choice(ITEMS)]

    def stream_group(self, key=None):
        # 7.2 makes a consumer even when it claims nothing: here they are there from the start.
        key = key or self.r.choice(STREAMS)
        return [["XGROUP", "CREATE", key, "g", "0", "MKSTREAM"]] + \
            [["XGROUP", "CREATECONSUMER", key, "g", name] for name in CONSUMERS]

    def stream_read(self):
        key, consumer = self.r.choice(STREAMS), self.r.choice(CONSUMERS)
        return [["XREADGROUP", "GROUP", "g", consumer, "COUNT", self.r.randint(1, 3), "STREAMS", key, ">"],
                self.seen(key, consumer)]

    @staticmethod
    def seen(key, consumer):
        """In 7.2 a consumer is seen when it gets nothing, too; by this it is in both."""
        return ["XREADGROUP", "GROUP", "g", consumer, "STREAMS", key, "0"]

    def stream_claim(self):
        key, consumer = self.r.choice(STREAMS), self.r.choice(CONSUMERS)
        start = self.clock.now_ms - self.r.choice([0, 1, 5, 100, 2000])
        idle = self.r.choice([0, 1, 2, 16, 100, 500, 1000, 5000, 10**6])
        if self.r.random() < 0.5:
            claim = ["XAUTOCLAIM", key, "g", consumer, idle, self.r.choice(["-", start]), "COUNT", 3]
        else:
            ids = ["%d-%d" % (start + step, step % 2) for step in range(4)]
            claim = ["XCLAIM", key, "g", consumer, idle] + ids + self.r.choice(
                [[], [], ["IDLE", self.r.randint(0, 2000)], ["TIME", self.clock.now_ms - self.r.randint(0, 2000)]])
        return [claim + self.maybe(0.3, "JUSTID"), self.seen(key, consumer)]

    def stream_pending(self):
        idle = self.maybe(0.6, "IDLE", self.r.choice([0, 1, 16, 100, 500, 1000, 5000, 10**6]))
        return ["XPENDING", self.r.choice(STREAMS), "g"] + idle + ["-", "+", 10]

    def stream_look(self):
        key = self.r.choice(STREAMS)
        return self.r.choice([["XINFO", "CONSUMERS", key, "g"], ["XPENDING", key, "g"], ["XLEN", key],
                              ["XRANGE", key, self.clock.now_ms - 1000, "+"],
                              ["XTRIM", key, "MINID", self.clock.now_ms - self.r.choice([1, 100, 10**6])]])

    # Scripts, and the server.

    def script_eval(self):
        script, keys = self.r.choice(SCRIPTS if self.lazy else [s for s in SCRIPTS if "DBSIZE" not in s[0]])
        return ["EVAL", script, keys] + [self.of(STREAMS if "XADD" in script else STRINGS) for _ in range(keys)] + \
            [self.time(True, False)]

    def server_look(self):
        looks = [["TIME"], ["KEYS", "*"], ["KEYS", "k*"]]
        # While keys are deleted, how many there are is a matter of the moment.
        return self.r.choice(looks + [["DBSIZE"]] * 3 * self.lazy)

    def server_random(self):
        # How many keys it finds due, and deletes, before one that is not, is a matter of luck.
        return [["RANDOMKEY"], ["EXISTS", *KEYS]]

    def server_scan(self):
        # Redis's SCAN deletes what is due, Ebb's does not show it. With EXISTS it goes in both.
        return [["SCAN", 0, "COUNT", 1000] + self.maybe(0.5, "TYPE", "string"), ["EXISTS", *KEYS]]

    # When keys were used last: only by commands that do the same to it in all versions.

    def use(self):
        """A command that uses a collection, or only asks about it."""
        key, other = self.r.choice(SETS), self.r.choice(SORTED)
        return self.r.choice([
            ["SMEMBERS", key], ["SADD", key, "d"], ["ZRANGE", other, 0, -1], ["SUNIONSTORE", key, key],
            ["TOUCH", key, other], ["COPY", key, other, "REPLACE"], ["RENAME", key, other], ["TYPE", key],
            ["EXISTS", key], ["PEXPIRETIME", key], ["PEXPIRE", other, 10 * DAY_MS], ["PERSIST", key],
            ["RESTORE", key, 0, self.r.choice(self.payloads), "REPLACE"],
            ["RESTORE", other, 0, self.r.choice(self.payloads), "REPLACE", "IDLETIME", self.r.randint(0, 5000)]])
