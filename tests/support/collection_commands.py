"""Random commands on hashes, sets, sorted sets and places, and what equal replies to them are."""
from resp import Error

HASHES = [b"h0", b"h1", b"h2"]
SETS = [b"s0", b"s1", b"s2", b"s3", b"s4"]
SORTED = [b"z0", b"z1", b"z2", b"z3"]
# Sorted sets whose members all have the same score, for commands on ranges of names.
NAMES = [b"l0", b"l1"]
PLACES = [b"g0", b"g1"]
KEYS = HASHES + SETS + SORTED + PLACES
FIELDS = [b"f%d" % n for n in range(14)] + [b"", b"12", b"-3", b"\x00\xff", b"wide" * 9]
MEMBERS = [b"m%d" % n for n in range(8)] + [b"%d" % n for n in range(-3, 9)] + [
    b"", b"40000", b"-3000000000", b"9223372036854775807", b"9223372036854775808", b"01", b"-0",
    b"\x00\xff", b"broad" * 8]
VALUES = [b"1", b"-7", b"3.5", b"text", b"", b"9223372036854775807", b"v" * 30, b"1e3", b" 1", b"0.25"]
# Sums and products of these are exact, and short enough that 7.0 and 7.2 write the same.
SCORES = [b"0", b"-0", b"1", b"2", b"-1", b"3", b"10", b"2.5", b"-0.5", b"100", b"0.25", b"inf", b"-inf"]
BOUNDS = SCORES + [b"(1", b"(2.5", b"(-inf", b"(inf", b"+inf", b"(0", b"", b"(", b"x", b"nan", b"((1", b" 1", b"1e400"]
NAME_BOUNDS = [b"-", b"+", b"[m1", b"(m1", b"[m5", b"(m6", b"[", b"(", b"[1", b"(40000", b"m3", b"", b"-x"]
PLACES_OF_EARTH = [(b"13.361389", b"38.115556"), (b"15.087269", b"37.502669"), (b"12.758489", b"38.788135"),
                   (b"17.241510", b"38.788135"), (b"-122.27652", b"37.805186"), (b"2.349014", b"48.864716"),
                   (b"179.9", b"-16.5"), (b"-179.8", b"-16.6"), (b"0", b"0"), (b"-0.001", b"0.001"),
                   (b"20", b"84.9"), (b"-70", b"-80"), (b"15", b"37")]
BAD_PLACES = [(b"181", b"0"), (b"0", b"86"), (b"x", b"0"), (b"0", b""), (b"nan", b"1")]


class CollectionCommands:
    """Methods of the generator, named after the group of the command they make."""

    def of(self, keys):
        """Mostly one of these keys, now and then any."""
        return self.r.choice(keys) if self.r.random() < 0.95 else self.key()

    def rank(self):
        return self.r.choice([0, 1, 2, 5, 9, 100, -1, -2, -5, -100, 2**63 - 1, -2**63, 2**63, b"x"]
                             if self.r.random() < 0.3 else range(-9, 10))

    def some(self, items, most=5):
        if self.r.random() < 0.05:
            most = 20
        return [self.r.choice(items) for _ in range(self.r.randint(1, most))]

    def maybe(self, chance, *words):
        return [self.word(w) if isinstance(w, str) else w for w in words] if self.r.random() < chance else []

    def count(self):
        return self.r.choice([0, 1, 2, 3, 7, 100, -1, b"x", 2**63])

    # Hashes.

    def hash_set(self):
        args = [self.word("HSET", "HMSET"), self.of(HASHES)]
        for field in self.some(FIELDS):
            args += [field, self.r.choice(VALUES)]
        return args

    def hash_setnx(self):
        return ["HSETNX", self.of(HASHES), self.r.choice(FIELDS), self.r.choice(VALUES)]

    def hash_get(self):
        return [self.word("HGET", "HEXISTS", "HSTRLEN"), self.of(HASHES), self.r.choice(FIELDS)]

    def hash_many(self):
        return [self.word("HMGET", "HDEL"), self.of(HASHES)] + self.some(FIELDS, 3)

    def hash_all(self):
        return [self.word("HGETALL", "HKEYS", "HVALS", "HLEN"), self.of(HASHES)]

    def hash_incr(self):
        return ["HINCRBY", self.of(HASHES), self.r.choice(FIELDS), self.number()]

    def hash_incrbyfloat(self):
        return ["HINCRBYFLOAT", self.of(HASHES), self.r.choice(FIELDS), self.r.choice([b"1", b"0.5", b"-2.25", b"x", b"inf", b"nan"])]

    def hash_random(self):
        args = ["HRANDFIELD", self.of(HASHES)]
        if self.r.random() < 0.8:
            args += [self.r.choice([100, 0, 2**62, -2**63, b"x", -3, 2])] + self.maybe(0.4, "WITHVALUES") + self.maybe(0.05, "X")
        return args

    def hash_scan(self):
        return ["HSCAN", self.of(HASHES)] + self.scan()

    def scan(self):
        return self.r.choice([[0], [0], [0], [b"x"], [b""]]) + self.maybe(0.3, "MATCH", self.r.choice([b"*1*", b"m?", b"f[0-5]"])) + \
            ["COUNT", self.r.choice([1000, 1000, 1000, 0, b"x"])]

    # Sets.

    def set_add(self):
        if self.r.random() < 0.3:
            return ["SADD", self.of(SETS)] + self.some([m for m in MEMBERS if m.isdigit()])
        return ["SADD", self.of(SETS)] + self.some(MEMBERS)

    def set_remove(self):
        return [self.word("SREM", "SMISMEMBER"), self.of(SETS)] + self.some(MEMBERS, 3)

    def set_ask(self):
        return ["SISMEMBER", self.of(SETS), self.r.choice(MEMBERS)]

    def set_all(self):
        return [self.word("SMEMBERS", "SCARD"), self.of(SETS)]

    def set_move(self):
        return ["SMOVE", self.of(SETS), self.of(SETS), self.r.choice(MEMBERS)]

    def set_pop(self):
        return ["SPOP", self.of(SETS), self.r.choice([0, 1000, 1000, -1, b"x", 2**63])]

    def set_random(self):
        return ["SRANDMEMBER", self.of(SETS)] + self.r.choice([[], [0], [1000], [-4], [2], [b"x"], [-2**63], [1, 2]])

    def set_combine(self):
        return [self.word("SINTER", "SUNION", "SDIFF")] + [self.of(SETS) for _ in range(self.r.randint(1, 4))]

    def set_store(self):
        store = self.word("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE")
        # See DIFFERENCE in differential.py: of two sets nothing passes through the result.
        most = 2 if store.upper() == "SDIFFSTORE" and not self.oddities else 4
        return [store, self.of(SETS)] + [self.of(SETS) for _ in range(self.r.randint(1, most))]

    def set_card(self):
        return ["SINTERCARD"] + self.counted(SETS) + self.maybe(0.4, "LIMIT", self.count())

    def set_scan(self):
        return ["SSCAN", self.of(SETS)] + self.scan()

    def counted(self, keys):
        some = [self.of(keys) for _ in range(self.r.randint(1, 4))]
        number = len(some) if self.r.random() < 0.95 else self.r.choice([0, 1, 2, 7, -1, b"x", 2**63 - 1])
        return [number] + some

    # Sorted sets.

    def zset_add(self):
        args = ["ZADD", self.of(SORTED)]
        for option in ("NX", "XX", "GT", "LT", "CH", "INCR"):
            args += self.maybe(0.08, option)
        for member in self.some(MEMBERS, 1 if "INCR" in args else 5):
            args += [self.r.choice(SCORES if self.r.random() < 0.98 else [b"x", b"nan", b"", b" 1", b"1e999"]), member]
        return args

    def zset_add_names(self):
        args = ["ZADD", self.r.choice(NAMES)]
        for member in self.some(MEMBERS):
            args += [b"0", member]
        return args

    def zset_incr(self):
        return ["ZINCRBY", self.of(SORTED), self.r.choice(SCORES + [b"x", b"nan"]), self.r.choice(MEMBERS)]

    def zset_ask(self):
        return [self.word("ZSCORE", "ZRANK", "ZREVRANK"), self.of(SORTED), self.r.choice(MEMBERS)]

    def zset_many(self):
        return [self.word("ZREM", "ZMSCORE"), self.of(SORTED + NAMES)] + self.some(MEMBERS, 3)

    def zset_card(self):
        return ["ZCARD", self.of(SORTED + NAMES)]

    def zset_count(self):
        return [self.word("ZCOUNT", "ZREMRANGEBYSCORE") if self.r.random() < 0.3 else "ZCOUNT",
                self.of(SORTED), self.r.choice(BOUNDS), self.r.choice(BOUNDS)]

    def zset_count_names(self):
        return ["ZLEXCOUNT" if self.r.random() < 0.8 else "ZREMRANGEBYLEX", self.r.choice(NAMES),
                self.r.choice(NAME_BOUNDS), self.r.choice(NAME_BOUNDS)]

    def limit(self):
        return self.maybe(0.4, "LIMIT", self.r.choice([0, 1, 2, 5, -1, 100, b"x"]), self.r.choice([0, 1, 2, 5, -1, -2, 100]))

    def zset_range(self):
        args = ["ZRANGE", self.of(SORTED)]
        kind = self.r.random()
        if kind < 0.4:
            args += [self.rank(), self.rank()]
        else:
            args += [self.r.choice(BOUNDS), self.r.choice(BOUNDS), self.word("BYSCORE")] + self.limit()
        args += self.maybe(0.3, "REV") + self.maybe(0.4, "WITHSCORES") + self.maybe(0.03, "BYLEX")
        return args

    def zset_range_names(self):
        return ["ZRANGE", self.r.choice(NAMES), self.r.choice(NAME_BOUNDS), self.r.choice(NAME_BOUNDS), "BYLEX"] + \
            self.limit() + self.maybe(0.3, "REV") + self.maybe(0.05, "WITHSCORES")

    def zset_range_old(self):
        name = self.word("ZRANGEBYSCORE", "ZREVRANGEBYSCORE")
        return [name, self.of(SORTED), self.r.choice(BOUNDS), self.r.choice(BOUNDS)] + self.limit() + \
            self.maybe(0.4, "WITHSCORES") + self.maybe(0.03, "REV")

    def zset_range_names_old(self):
        name = self.word("ZRANGEBYLEX", "ZREVRANGEBYLEX")
        return [name, self.r.choice(NAMES), self.r.choice(NAME_BOUNDS), self.r.choice(NAME_BOUNDS)] + self.limit()

    def zset_revrange(self):
        return ["ZREVRANGE", self.of(SORTED), self.rank(), self.rank()] + self.maybe(0.4, "WITHSCORES")

    def zset_remove_ranks(self):
        return ["ZREMRANGEBYRANK", self.of(SORTED), self.rank(), self.r.randint(-9, 3)]

    def zset_range_store(self):
        args = ["ZRANGESTORE", self.of(SORTED), self.of(SORTED)]
        if self.r.random() < 0.4:
            args += [self.rank(), self.rank()]
        else:
            args += [self.r.choice(BOUNDS), self.r.choice(BOUNDS), "BYSCORE"] + self.limit()
        return args + self.maybe(0.3, "REV") + self.maybe(0.03, "WITHSCORES")

    def zset_pop(self):
        return [self.word("ZPOPMIN", "ZPOPMAX"), self.of(SORTED)] + self.r.choice([[], [0], [1], [3], [100], [-1], [b"x"]])

    def zset_mpop(self):
        return ["ZMPOP"] + self.counted(SORTED) + [self.word("MIN", "MAX", "MIN", "MAX", "MID")] + \
            self.maybe(0.5, "COUNT", self.count()) + self.maybe(0.03, "COUNT", 1)

    def zset_random(self):
        args = ["ZRANDMEMBER", self.of(SORTED)]
        if self.r.random() < 0.8:
            args += [self.r.choice([100, 0, 2**62, -2**63, b"x", -3, 2])] + self.maybe(0.4, "WITHSCORES") + self.maybe(0.05, "X")
        return args

    def weighing(self, keys):
        args = []
        if self.r.random() < 0.4:
            number = len(keys) - 1 if self.r.random() < 0.95 else 1
            args += ["WEIGHTS"] + [self.r.choice([b"1", b"2", b"0", b"-1", b"0.5", b"inf", b"x"] if self.r.random() < 0.3
                                                 else [b"1", b"-1", b"0"]) for _ in range(number)]
        if self.r.random() < 0.4:
            args += ["AGGREGATE", self.word("SUM", "MIN", "MAX", "MIN", "MAX", "AVG")]
        return args

    def zset_combine(self):
        name = self.word("ZUNION", "ZINTER", "ZDIFF")
        keys = self.counted(SORTED + SETS)
        weights = self.weighing(keys) if name.upper() != "ZDIFF" or self.r.random() < 0.1 else []
        return [name] + keys + weights + self.maybe(0.6, "WITHSCORES") + self.maybe(0.02, "X")

    def zset_store(self):
        name = self.word("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE")
        keys = self.counted(SORTED + SETS)
        weights = self.weighing(keys) if name.upper() != "ZDIFFSTORE" or self.r.random() < 0.1 else []
        return [name, self.of(SORTED)] + keys + weights + self.maybe(0.02, "WITHSCORES")

    def zset_inter_card(self):
        return ["ZINTERCARD"] + self.counted(SORTED + SETS) + self.maybe(0.4, "LIMIT", self.count())

    def zset_scan(self):
        return ["ZSCAN", self.of(SORTED)] + self.scan()

    # Places.

    def place(self):
        if self.r.random() < 0.6:
            return list(self.r.choice(PLACES_OF_EARTH))
        if self.r.random() < 0.05:
            return list(self.r.choice(BAD_PLACES))
        return [b"%.6f" % self.r.uniform(12, 18), b"%.6f" % self.r.uniform(36, 40)]

    def geo_add(self):
        args = ["GEOADD", self.of(PLACES)]
        for option in ("NX", "XX", "CH"):
            args += self.maybe(0.1, option)
        for member in self.some(MEMBERS, 4):
            args += self.place() + [member]
        return args

    def geo_ask(self):
        return [self.word("GEOPOS", "GEOHASH"), self.of(PLACES + SORTED)] + self.some(MEMBERS, 3)

    def geo_distance(self):
        return ["GEODIST", self.of(PLACES), self.r.choice(MEMBERS), self.r.choice(MEMBERS)] + self.r.choice([[], [self.unit()]])

    def unit(self):
        return self.word("M", "KM", "FT", "MI") if self.r.random() < 0.97 else b"yd"

    def length(self):
        return self.r.choice([b"0", b"1", b"200", b"500.5", b"2000", b"10000", b"-1", b"x"] if self.r.random() < 0.5
                             else [b"100", b"300", b"400000"])

    def search_options(self, search):
        args = self.maybe(0.3, "WITHDIST") + self.maybe(0.3, "WITHCOORD") + self.maybe(0.3, "WITHHASH") if search else []
        args += self.r.choice([[], [self.word("ASC", "DESC")]])
        if self.r.random() < 0.2:
            args += ["COUNT", self.r.choice([100, 1000, 0, -1, b"x"])] + self.maybe(0.3, "ANY")
        return args + self.maybe(0.02, "ANY") + self.maybe(0.02, "X")

    def geo_radius(self):
        if self.r.random() < 0.5:
            args = [self.word("GEORADIUS", "GEORADIUS_RO"), self.of(PLACES)] + self.place()
        else:
            args = [self.word("GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"), self.of(PLACES), self.r.choice(MEMBERS)]
        store = self.r.random() < 0.2
        args += [self.length(), self.unit()] + self.search_options(not store or self.r.random() < 0.1)
        return args + ([self.word("STORE", "STOREDIST"), self.of(SORTED)] if store else [])

    def geo_search(self):
        store = self.r.random() < 0.3
        args = ["GEOSEARCHSTORE", self.of(SORTED)] if store else ["GEOSEARCH"]
        parts = [self.search_options(not store or self.r.random() < 0.05)]
        if self.r.random() < 0.97:
            parts.append(["FROMLONLAT"] + self.place() if self.r.random() < 0.6 else ["FROMMEMBER", self.r.choice(MEMBERS)])
        if self.r.random() < 0.97:
            parts.append(["BYRADIUS", self.length(), self.unit()] if self.r.random() < 0.5
                         else ["BYBOX", self.length(), self.length(), self.unit()])
        self.r.shuffle(parts)
        return args + [self.of(PLACES)] + sum(parts, []) + self.maybe(0.3 if store else 0.02, "STOREDIST")


# Whose replies have no order.
UNORDERED = {"SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS", "SPOP"}
RANDOM = {"HRANDFIELD", "SRANDMEMBER", "ZRANDMEMBER"}
SCANS = {"HSCAN": 2, "SSCAN": 1, "ZSCAN": 2}
SCORED = {"ZADD", "ZINCRBY", "ZSCORE", "ZMSCORE", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE",
          "ZPOPMIN", "ZPOPMAX", "ZMPOP", "ZUNION", "ZINTER", "ZDIFF"}
SEARCHES = {"GEORADIUS", "GEORADIUS_RO", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO", "GEOSEARCH"}


def is_fixed(args):
    """Whether a command must not lose or get an argument: it would draw at random, or be a 7.2 one."""
    name = str(args[0]).upper()
    return name in RANDOM or name in ("SPOP", "ZRANK", "ZREVRANK")


def pairs(flat, width):
    if flat and isinstance(flat[0], list):
        return flat
    return [tuple(flat[at:at + width]) for at in range(0, len(flat), width)]


def number(value):
    """A score as a number: 7.0 writes some with 17 digits that 7.2 writes with fewer."""
    if isinstance(value, list):
        return [number(item) for item in value]
    if isinstance(value, tuple):
        value = value[1]
    try:
        return float(value) + 0.0
    except (TypeError, ValueError):
        return value


def normal(args, reply):
    """A reply to a command on a collection with what may differ between equal servers taken out."""
    name = str(args[0]).upper()
    if isinstance(reply, Error) or reply is None:
        return reply
    if name == "HGETALL" and isinstance(reply, list):
        return sorted(pairs(reply, 2))
    if name == "HGETALL" and isinstance(reply, dict):
        return sorted(reply["map"])
    if name in UNORDERED and isinstance(reply, list):
        return sorted(reply)
    if name in RANDOM:
        return len(reply) if isinstance(reply, list) else type(reply)
    if name in SCANS and isinstance(reply, list):
        found = pairs(reply[1], SCANS[name])
        return reply[0], sorted((pair[0], *map(number, pair[1:])) for pair in found)
    if name in SCORED:
        return number(reply)
    if name in SEARCHES and isinstance(reply, list):
        return sorted(map(repr, reply))
    return reply
