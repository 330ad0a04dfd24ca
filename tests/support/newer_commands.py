"""Random commands that Redis 7.0 does not have, or not with these options, for oracles that are newer.

`COMMAND LIST` says which of them an oracle has; of options, its name does.
"""
HASHES = [b"h0", b"h1", b"h2"]
FIELDS = [b"f%d" % n for n in range(7)] + [b"", b"12", b"wide" * 9]
WORDS = [b"1", b"-7", b"3.5", b"text", b"", b"v" * 30, b"9223372036854775807"]
ROUNDS = [b"k%d" % n for n in range(8)]
POLYGONS = [
    [(12, 36), (18, 36), (18, 40), (12, 40)], [(12, 37), (16, 36), (15, 40)], [(-180, -85), (180, -85), (0, 85)],
    [(13, 37), (13, 37), (13, 37)], [(12, 36), (18, 40), (18, 36), (12, 40)],
    [(0, 0), (20, 0), (20, 60), (0, 60), (-5, 30)],
]
NUMBERS_OF_FIELDS = [0, -1, 1, 2, 7, b"x", b"", 2**31 - 1, 2**31, 2**63, b"1.5", b"01"]
BAD_TIMES = [0, -1, -2**63, 2**63 - 1, 2**62, 2**46, 2**46 - 1, 2**53, 2**48 // 1000, 9223372036854775, b"x", b"",
             b"1.5", 2**64]
# What one server dumps the other cannot read.
THROUGH_DUMP = "return redis.call('RESTORE', KEYS[2], 0, redis.call('DUMP', KEYS[1]), 'REPLACE')"


class NewerCommands:
    """Methods of the generator, named after the group of the command they make."""

    # Fields with deadlines.

    def fields(self, most=3):
        """FIELDS, a number, and fields: mostly well formed."""
        some = self.some(FIELDS, most)
        return self.counted_fields(some, some)

    def counted_fields(self, some, words):
        number = len(some) if self.r.random() < 0.94 else self.r.choice(NUMBERS_OF_FIELDS)
        args = [self.word("FIELDS"), number] + words
        if self.r.random() < 0.03:
            args = self.r.choice([args[1:], args[:1], args[:2], args[:-1], args + [b"more"], args + ["NX"],
                                  args + args])
        return args

    def when(self, name):
        """A time for a command or option: far enough away not to be reached in the run, or over, or wrong.
        Absolute ones are few, so that GT and LT meet equal ones; relative ones are never near those."""
        ms = name.upper().startswith(("P", "HP"))
        unit = 1000 if ms else 1
        if self.r.random() < 0.12:
            # Deadlines beyond 46 bits are Valkey's alone.
            return self.r.choice(BAD_TIMES[:3] + BAD_TIMES[-4:] if self.is_valkey else BAD_TIMES)
        if name.upper().endswith("AT"):
            seconds = self.now // 1000 // 100_000 * 100_000
            if self.r.random() < 0.15:
                return self.r.choice([1, (seconds - 100_000) * unit])
            return (seconds + self.r.randint(2, 6) * 1_000_000) * unit
        if self.r.random() < 0.1:
            return self.r.choice([0, 0, -1])
        return self.r.randint(70_000, 790_000) * 10 * unit

    def hexpire_set(self):
        name = self.r.choice(["HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT"])
        args = [name, self.of(HASHES), self.when(name)]
        if self.r.random() < 0.4:
            args += [self.word("NX", "XX", "GT", "LT")]
        return args + self.maybe(0.02, self.r.choice(["NX", "BOGUS", "XX"])) + self.fields()

    def hexpire_ask(self):
        name = self.r.choice(["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME", "HPERSIST"])
        return [name, self.of(HASHES)] + self.fields()

    def hexpire_get(self):
        args = ["HGETEX", self.of(HASHES)]
        if self.r.random() < 0.6:
            args += self.time_option()
        args += self.maybe(0.15, "PERSIST") + self.maybe(0.02, "KEEPTTL") + self.maybe(0.02, "BOGUS")
        return args + self.fields()

    def time_option(self):
        name = self.r.choice(["EX", "PX", "EXAT", "PXAT"])
        return [self.word(name), self.when(name)]

    def hexpire_write(self):
        args = ["HSETEX", self.of(HASHES)]
        options = [self.maybe(0.3, self.r.choice(["FNX", "FXX"])), self.maybe(0.6, "TIME"), self.maybe(0.15, "KEEPTTL"),
                   self.maybe(0.02, "BOGUS"), self.maybe(0.02, "PERSIST")]
        if self.is_valkey:
            options.append(self.maybe(0.15, self.r.choice(["NX", "XX"])))
        options = [self.time_option() if option and option[0].upper() == "TIME" else option for option in options]
        self.r.shuffle(options)
        some = self.some(FIELDS, 3)
        return args + sum(options, []) + self.counted_fields(some, [w for f in some for w in (f, self.r.choice(WORDS))])

    def hexpire_take(self):
        return ["HGETDEL", self.of(HASHES)] + self.fields()

    def hfield_change(self):
        key, field = self.of(HASHES), self.r.choice(FIELDS)
        return self.r.choice([
            ["HSET", key, field, self.r.choice(WORDS), self.r.choice(FIELDS), b"1"],
            ["HINCRBY", key, field, self.r.choice([1, -3, 2**63 - 1])], ["HINCRBYFLOAT", key, field, b"0.5"],
            ["HSETNX", key, field, self.r.choice(WORDS)], ["HDEL", key, field, self.r.choice(FIELDS)]])

    def hfield_look(self):
        key, field = self.of(HASHES), self.r.choice(FIELDS)
        return self.r.choice([
            ["HGETALL", key], ["HLEN", key], ["HSCAN", key, 0, "COUNT", 1000], ["HMGET", key, field, b"f0"],
            ["HSTRLEN", key, field],
            ["HSCAN", key, 0, "COUNT", 1000, self.word("NOVALUES")],
            ["HSCAN", key, 0, "NOVALUES", "MATCH", "f*", "COUNT", 1000],
            ["HSCAN", key, 0, "COUNT", 1000, "NOVALUES", "NOVALUES"], ["SSCAN", key, 0, "NOVALUES"],
            ["ZSCAN", key, 0, "NOVALUES"],
            ["SCAN", 0, "NOVALUES"], ["HRANDFIELD", key, 100], ["HEXISTS", key, field], ["HKEYS", key], ["HVALS", key],
            ["OBJECT", "ENCODING", key]])

    def hfield_key(self):
        key, other = self.of(HASHES), self.of(HASHES)
        return self.r.choice([["COPY", key, other, "REPLACE"], ["RENAME", key, other], ["DEL", key],
                              ["COPY", key, other],
                              ["MOVE", key, 1], ["UNLINK", key], ["PERSIST", key], ["PEXPIRETIME", key],
                              ["EVAL", THROUGH_DUMP, 2, key, other]])

    def hfield_sort(self):
        args = ["SORT", self.r.choice([b"q0", b"s0"]), "BY", self.r.choice([b"h*->f1", b"h0->f*", b"nosort"])]
        return args + ["ALPHA"] + self.maybe(0.6, "GET", b"h*->f0")

    # Strings.

    def string_compare(self):
        option = self.r.choice(self.comparisons)
        args = ["SET", self.key(), self.text(), self.word(option), self.text()]
        for option in ("NX", "XX", "GET", "KEEPTTL", "IFEQ"):
            args += self.maybe(0.1, option)
        return args + (self.deadline() if self.r.random() < 0.2 else [])

    def string_equal(self):
        return ["SET", self.r.choice(ROUNDS), self.r.choice([b"a", b"b"]), self.word("IFEQ"),
                self.r.choice([b"a", b"b"])] + \
            self.maybe(0.4, "GET")

    def string_small(self):
        return ["SET", self.r.choice(ROUNDS), self.r.choice([b"a", b"b"])]

    def string_past(self):
        return ["SET", self.key(), self.text()] + self.maybe(0.3,
            self.r.choice(["NX", "XX", "GET"])) + self.time_option()

    def string_getex2(self):
        return ["GETEX", self.key()] + self.r.choice([[], ["PERSIST"], self.time_option(), self.time_option()])

    def string_delete(self):
        return ["DELIFEQ", self.r.choice(ROUNDS) if self.r.random() < 0.7 else self.key(),
                self.r.choice([b"a", b"b", self.text()])]

    def string_msetex(self):
        keys = self.keys(3)
        number = len(keys) if self.r.random() < 0.9 else self.r.choice(NUMBERS_OF_FIELDS)
        args = ["MSETEX", number] + [w for key in keys for w in (key, self.text())]
        options = [self.maybe(0.3, self.r.choice(["NX", "XX"])), self.maybe(0.1, "KEEPTTL"), self.maybe(0.02, "BOGUS"),
                   self.time_option() if self.r.random() < 0.5 else []]
        self.r.shuffle(options)
        return args + sum(options, [])

    def expire_edge(self):
        name = self.r.choice(["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])
        return [name, self.key(), self.when(name)] + self.maybe(0.3, self.r.choice(["NX", "XX", "GT", "LT"])) + \
            self.maybe(0.1, self.r.choice(["NX", "XX", "GT", "LT", "BOGUS"]))

    # What else has newer options.

    def geo_polygon(self):
        corners = self.r.choice(POLYGONS)
        number = len(corners) if self.r.random() < 0.93 else self.r.choice([0, 1, 2, 3, 4, -1, b"x", 10**6, 2**63])
        shape = [self.word("BYPOLYGON"), number] + [str(part).encode() for corner in corners for part in corner]
        if self.r.random() < 0.03:
            shape[-1] = self.r.choice([b"x", b"91", b"nan", b"1e400"])
        parts = [shape, self.search_options(True)] + \
            ([self.r.choice([["FROMMEMBER", b"m1"], ["BYRADIUS", 1, "km"], ["FROMLONLAT", 15, 37],
                             ["BYPOLYGON", 3] + [1] * 6])]
             if self.r.random() < 0.1 else [])
        self.r.shuffle(parts)
        if self.r.random() < 0.2:
            return ["GEOSEARCHSTORE", self.r.choice([b"z0", b"z1"]), self.of([b"g0", b"g1"])] + sum(parts, []) + \
                self.maybe(0.2, "STOREDIST")
        return ["GEOSEARCH", self.of([b"g0", b"g1"])] + sum(parts, [])

    def bits_edge(self):
        name = self.r.choice(["BITCOUNT", "BITPOS"])
        args = [name, self.key()] + ([self.r.choice([0, 1, 2, b"x"])] if name == "BITPOS" else [])
        for most in (0.8, 0.8):
            if self.r.random() < most:
                args += [self.number()]
        return args + self.maybe(0.3, self.r.choice(["BIT", "BYTE", "BITS"]))

    def stream_last(self):
        keys = [self.r.choice([b"x0", b"x1", b"none", b"k0"]) for _ in range(self.r.randint(1, 2))]
        return ["XREAD"] + self.maybe(0.3, "COUNT", 2) + ["STREAMS"] + keys + \
            [self.r.choice([b"+", b"+", b"$", b"0", b">", b"++", b"-"]) for _ in keys]

    def stream_claimed(self):
        ids = [b"%d-%d" % (self.r.randint(0, 60), self.r.randint(0, 3)) for _ in range(3)]
        base = [self.of([b"x0", b"x1"]), self.r.choice([b"g1", b"g2"]), self.r.choice([b"c1", b"c2", b"new"]),
                self.r.choice([0, 0, -5, 10**9])]
        if self.r.random() < 0.5:
            return ["XAUTOCLAIM"] + base + [self.r.choice([b"-", b"0", b"(1-1", b"(", b"3"])] + \
                self.maybe(0.5, "COUNT", self.r.choice([1, 2, 0, -1, 2**62, b"x"])) + self.maybe(0.3,
                    "JUSTID") + self.maybe(0.03, "BOGUS")
        return ["XCLAIM"] + base + ids + self.maybe(0.2, "LASTID", self.r.choice([b"9-9", b"0-1", b"x"])) + \
            self.maybe(0.1, "FORCE") + self.maybe(0.1, "IDLE", self.r.choice([5, -1, b"x"])) + self.maybe(0.1, "TIME",
                self.r.choice([5, -1, b"x"]))

    def stream_info(self):
        key = self.of([b"x0", b"x1"])
        return self.r.choice([["XINFO", "STREAM", key],
                              ["XINFO", "STREAM", key, "FULL"] + self.maybe(0.4, "COUNT", self.count()),
                              ["XINFO", "CONSUMERS", key, self.r.choice([b"g1", b"g2", b"g3"])],
                              ["XINFO", "STREAM", key, "BOGUS"],
                              ["XSETID", key, self.r.choice([b"60-9", b"70-1", b"1-1"]), "ENTRIESADDED",
                               self.r.choice([100, 3, -1, b"x"]),
                               "MAXDELETEDID", self.r.choice([b"0-0", b"60-9", b"99-1", b"x"])],
                              ["XGROUP", "CREATE", key, b"g1", b"0", "ENTRIESREAD",
                               self.r.choice([0, 3, -1, -2, b"x"])],
                              ["XGROUP", "SETID", key, b"g1", self.r.choice([b"0", b"$", b"3-0"]), "ENTRIESREAD",
                               self.r.choice([0, 3, -1, b"x"])]])

    def keys_scan(self):
        return ["SCAN", self.r.choice([0, 0, 0, b"x"]), "COUNT", 10_000] + \
            self.maybe(0.6, "TYPE",
                       self.r.choice([b"string", b"HASH", b"hash", b"zset", b"set", b"list", b"stream", b"bogus",
                                      b""])) + \
            self.maybe(0.3, "MATCH", self.r.choice([b"k*", b"h?", b"{x}*", b"k1", b"[a"]))

    def zset_withscore(self):
        return [self.word("ZRANK", "ZREVRANK"), self.of([b"z0", b"z1"]), b"m%d" % self.r.randrange(8)] + \
            self.maybe(0.8, self.r.choice(["WITHSCORE", "WITHSCORE", "WITHSCORES"])) + self.maybe(0.03, "X")

    # Wrong words.

    def wrong_container(self):
        name = self.r.choice(["ACL", "CLIENT", "COMMAND", "CONFIG", "FUNCTION", "LATENCY", "MEMORY", "OBJECT", "PUBSUB",
                              "SCRIPT",
                              "SLOWLOG", "COMMANDLOG", "XGROUP", "XINFO", "acl", "xgroup"])
        return [name] + self.r.choice([[], ["NOSUCH"], ["nosuch", "x"], ["LIST", "a", "b", "c", "d", "e"],
                                       ["HELP", "x"], ["GET"],
                                       ["CREATE"], ["STREAM"], ["ENCODING"], ["USAGE"], ["KILL"], ["", ""],
                                       [b"\xff\x00"]])

    def wrong_arity(self):
        """Any command with too few arguments."""
        return [self.r.choice(self.names)] + [self.text() for _ in range(self.r.choice([0, 0, 1]))]

    # Scripts.

    def script_call(self):
        how = self.r.choice(["return redis.call(unpack(ARGV))", "return redis.pcall(unpack(ARGV))",
                             "redis.setresp(3) return redis.call(unpack(ARGV))",
                             "redis.setresp(3) return redis.pcall(unpack(ARGV))"])
        args = self.command()
        while str(args[0]).upper() in ("EVAL", "MULTI", "EXEC") or self.is_local(args):
            args = self.command()
        return ["EVAL", how, 0] + args

    def script_error(self):
        return self.r.choice([
            ["EVAL", self.r.choice(["return redis.call('nosuch')", "return redis.call()", "return redis.call('get')",
                                    "return {err='x'}",
                                    "return {err='MY error'}", "return redis.error_reply('x y')",
                                    "return redis.error_reply('-X y')",
                                    "error('x')", "error({err='X y'})", "error({})", "return nosuch", "x = 1",
                                    "return redis.call({})",
                                    "syntax error", "#!lua\nreturn 1", "#!lua flags=bogus\nreturn 1", "#!x\nreturn 1",
                                    "#!lua flags=no-writes\nreturn redis.call('set','k1','x')",
                                    "#!lua bogus=1\nreturn 1",
                                    "return redis.pcall('set')", "return redis.status_reply('x')", "return {ok='x'}",
                                    "return {double=1.5}",
                                    "return redis.sha1hex()", "return redis.log(1)", "return redis.setresp(4)",
                                    "return redis.call('subscribe','x')", "return redis.call('multi')",
                                    "return os.time()", "return #KEYS",
                                    "return redis.acl_check_cmd('nosuch')", "return redis.acl_check_cmd()",
                                    "return bit.tohex(1)",
                                    "return cjson.encode({1,{a=1.5}})", "return cjson.decode('[')",
                                    "return redis.REDIS_VERSION_NUM ~= nil",
                                    "return {1,nil,3}", "return {3.99,true,false,'x'}", "return redis.breakpoint()",
                                    "return print",
                                    "redis.call('set','k1','v') error('late')", "return loadstring('return 1')()"]),
             self.r.choice([0, 0, 0, 1, -1, b"x", 2**63])] + self.maybe(0.5, "a"),
            ["EVALSHA", self.r.choice([b"0" * 40, b"x", b""]), 0], ["EVAL_RO", "return redis.call('set','k1','x')", 0],
            ["SCRIPT", "EXISTS", b"0" * 40, b"x"],
            ["SCRIPT", "LOAD", self.r.choice(["return 1", "syntax error", "", "#!lua\n"])],
            ["SCRIPT", "FLUSH", self.r.choice(["SYNC", "ASYNC", "X"])], ["SCRIPT", "KILL"],
            ["SCRIPT", "DEBUG", self.r.choice(["NO", "X"])],
            ["SCRIPT", "SHOW", self.r.choice([b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db", b"0" * 40, b"x"])],
            ["FCALL", "nosuch", self.r.choice([0, -1, b"x", 5])], ["FUNCTION", "STATS"], ["FUNCTION", "KILL"],
            ["FUNCTION", "LOAD", self.r.choice([b"x",
                                                b"#!lua name=lib1\nredis.register_function('fn1', function(k, a) return a[1] end)",
                                                b"#!lua name=lib1\n", b"#!lua\n", b"#!bogus name=x\n",
                                                b"#!lua name=a-b\nx()",
                                                b"#!lua name=lib2\nredis.register_function('fn1', function() end)",
                                                b"#!lua name=lib2\nredis.register_function{function_name='fn2', flags={'no-writes'}, "
                                                b"callback=function() return redis.call('set','k1','x') end, description='d'}",
                                                b"#!lua name=lib3\nredis.call('x')", b"#!lua name=lib3\nerror('x')",
                                                b"#!lua name=l name=m\n",
                                                b"#!lua name=lib3\nredis.register_function('a b', function() end)",
                                                b"#!lua name=lib3\nredis.register_function('x')",
                                                b"#!lua name=lib3\nredis.register_function{1}",
                                                b"#!lua name=lib3\nredis.register_function('x', 'y')"])],
            ["FUNCTION", "LOAD", "REPLACE",
             b"#!lua name=lib1\nredis.register_function('fn1', function(k, a) return #k end)"],
            ["FUNCTION", "LIST"] + self.maybe(0.4, "LIBRARYNAME", self.r.choice([b"lib*", b"x"])) + self.maybe(0.4,
                "WITHCODE") + self.maybe(0.1, "X"),
            ["FUNCTION", "DELETE", self.r.choice([b"lib1", b"lib2", b"nosuch"])],
            ["FUNCTION", "FLUSH", self.r.choice(["SYNC", "X"])],
            ["FCALL", self.r.choice([b"fn1", b"fn2"]), self.r.choice([0, 1]), b"a", b"b"],
            ["FCALL_RO", b"fn1", 0, b"a"],
            ["FUNCTION", "RESTORE", b"x"] + self.maybe(0.5, self.r.choice(["FLUSH", "X"]))])

    # Users, connections and settings.

    def rule_of_user(self):
        rules = ["on", "off", ">pw", "<pw", "nopass", "resetpass", "~k*", "%R~k1*", "%W~k2*", "%RW~k3*", "allkeys",
                 "resetkeys", "&ch*",
                 "allchannels", "resetchannels", "+get", "-get", "+@read", "-@write", "+@all", "-@all", "allcommands",
                 "nocommands",
                 "+client|id", "-client|id", "+config|get", "+select|1", "+select|0", "reset", "sanitize-payload",
                 "skip-sanitize-payload",
                 "+nosuch", "+@nosuch", "bogus", "(+set ~x*)", "(+@write %W~a* ~b*)", "clearselectors", "(bogus)", "(",
                 "%X~a", "%~a", "&",
                 "#" + "0" * 64, "#xyz", "!" + "0" * 64, "<nosuch", "+client|nosuch", "-client|list", "+hexpire",
                 "+@hash", "+set|x",
                 "~x y", "+", "-@", "@read", "(%R~a", "+config|get|x"]
        if self.is_valkey:
            rules += ["db=0", "db=0,1", "db=0-2", "alldbs", "resetdbs", "db=", "db=x", "db=16", "db=1-", "db=2-1",
                      "db=-1", "db=0,,1", "db=1,0,1",
                      "db=0 1", "(+get ~a db=1)", "(alldbs +set)", "db", "alldb", "db=99999999999999999999", "db=01",
                      "db=+1", "db=15"] * 2
        return self.r.choice(rules)

    def acl_set(self):
        return ["ACL", "SETUSER",
                self.r.choice([b"u1", b"u2"])] + [self.rule_of_user() for _ in range(self.r.randint(0, 3))]

    def acl_ask(self):
        user = self.r.choice([b"u1", b"u2", b"u2", b"u1", b"nobody", b"default"])
        command = self.r.choice([["GET", "k1"], ["SET", "k2", "v"], ["SET", "x1", "v"], ["SELECT", "1"], ["SELECT", 0],
                                 ["SELECT", "x"], ["HSET", "k3", "f", "v"],
                                 ["MOVE", "k1", "1"], ["COPY", "k1", "k2", "DB", "1"], ["SWAPDB", "0", "1"],
                                 ["FLUSHALL"], ["FLUSHDB"],
                                 ["PUBLISH", "ch", "x"], ["CLIENT", "ID"], ["CLIENT", "NOSUCH"], ["NOSUCH"], ["GET"],
                                 ["GETEX", "a", "PERSIST"],
                                 ["CONFIG", "GET", "x"], ["EVAL", "x", "1", "k1"], ["SORT", "k1", "BY", "x*"],
                                 ["DBSIZE"], ["SCAN", "0"],
                                 ["HGETEX", "k2", "FIELDS", "1", "x"], ["HGETDEL", "k2", "FIELDS", "1", "x"],
                                 ["MSETEX", "1", "k1", "v"]])
        return self.r.choice([["ACL", "GETUSER", user], ["ACL", "LIST"], ["ACL", "DRYRUN", user] + command,
                              ["ACL", "DRYRUN", user] + command,
                              ["ACL", "USERS"], ["ACL",
                                                 "DELUSER"] + self.r.choice([[b"nobody"], [b"default"],
                                                     [user] if user != b"default" else [b"u1"]])])

    def acl_forms(self):
        return self.r.choice([["ACL", "CAT", self.r.choice([b"nosuch", b""])],
                              ["ACL", "GENPASS", self.r.choice([0, -1, 4097, b"x"])],
                              ["ACL", "LOG", self.r.choice([b"x", -1])], ["ACL", "WHOAMI"], ["ACL", "WHOAMI", "x"],
                              ["ACL", "SAVE"], ["ACL", "LOAD"],
                              ["AUTH", "u1", "pw2"], ["AUTH", "nobody", "x"], ["ACL", "LOG", "RESET"],
                              ["ACL", "GETUSER"], ["ACL", "DRYRUN", "u1"]])

    def client_forms(self):
        filters = [["TYPE", self.r.choice(["normal", "pubsub", "replica", "master", "bogus"])],
                   ["USER", self.r.choice(["default", "nobody"])],
                   ["ID", self.r.choice([9999, 0, -1, b"x"])], ["ID", 9999, 9998], ["ADDR", "1.2.3.4:5"],
                   ["LADDR", "1.2.3.4:5"],
                   ["MAXAGE", self.r.choice([10**6, -1, 0, b"x"])], ["SKIPME", self.r.choice(["yes", "no", "x"])]]
        if self.is_valkey:
            filters += [["NAME", "nosuch"], ["IDLE", self.r.choice([10**6, -1, b"x"])],
                        ["FLAGS", self.r.choice(["N", "P", "Nx", "z", ""])],
                        ["LIB-NAME", "nosuch"], ["LIB-VER", "nosuch"], ["DB", self.r.choice([14, 99, -1, b"x"])],
                        ["IP", "1.2.3.4"],
                        ["NOT-TYPE", "normal"], ["NOT-NAME", "x"], ["NOT-USER", "default"], ["NOT-DB", 0],
                        ["NOT-FLAGS", "N"],
                        ["NOT-IP", "127.0.0.1"], ["NOT-ADDR", "1.2.3.4:5"], ["NOT-LIB-NAME", "x"], ["NOT-LIB-VER", "x"],
                        ["NOT-LADDR", "x"]]
        some = sum(self.r.sample(filters, self.r.randint(1, 2)), [])
        if self.r.random() < 0.5:
            # Nobody is that old, so nobody is killed.
            return ["CLIENT", "KILL", "MAXAGE", 10**6] + some + self.maybe(0.05, "X")
        return ["CLIENT", "LIST"] + some + self.maybe(0.05, "X")

    def client_odds(self):
        return self.r.choice([["CLIENT", "TRACKINGINFO"], ["CLIENT", "TRACKING", self.r.choice(["ON", "OFF", "X"])],
                              ["CLIENT", "TRACKING", "ON", self.r.choice(["BCAST", "OPTIN", "OPTOUT", "NOLOOP", "X"])],
                              ["CLIENT", "TRACKING", "ON", "PREFIX", "a"],
                              ["CLIENT", "TRACKING", "ON", "OPTIN", "OPTOUT"],
                              ["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "zz1", "PREFIX", "zz2"],
                              ["CLIENT", "TRACKING", "OFF"],
                              ["CLIENT", "TRACKING", "ON", "REDIRECT", self.r.choice([99999, -1, b"x"])],
                              ["CLIENT", "CACHING", self.r.choice(["YES", "NO", "X"])],
                              ["CLIENT", "GETREDIR"],
                              ["CLIENT", "SETINFO", self.r.choice(["LIB-NAME", "LIB-VER", "X"]),
                               self.r.choice(["a", "a b", "", "\x01"])],
                              ["CLIENT", "SETNAME", self.r.choice(["", "abc", "a b", "\x01"])], ["CLIENT", "GETNAME"],
                              ["CLIENT", "NO-TOUCH", self.r.choice(["ON", "OFF", "X"])],
                              ["CLIENT", "NO-EVICT", self.r.choice(["OFF", "X"])], ["CLIENT", "REPLY", "X"],
                              ["CLIENT", "UNBLOCK", self.r.choice([9999, b"x"])],
                              ["CLIENT", "UNBLOCK", 9999, self.r.choice(["ERROR", "TIMEOUT", "X"])],
                              ["CLIENT", "PAUSE", self.r.choice([b"x", -1, 0]), "X"],
                              ["CLIENT", "KILL", self.r.choice(["x", "1.2.3.4:5"])],
                              ["HELLO", self.r.choice([1, 4, b"x", 2**63])], ["HELLO", "3", "X"],
                              ["HELLO", "3", "AUTH", "x"], ["HELLO", "3", "SETNAME", "a b"],
                              ["HELLO", "3", "AUTH", "nobody", "x"]])

    def config_forms(self):
        name, values = self.r.choice([
            ("maxmemory-policy", ["bogus", "noeviction"]), ("hz", ["x"]), ("maxclients", ["x", "0", "-1"]),
            ("timeout", ["-1", "x", "0"]),
            ("appendfsync", ["bogus"]), ("loglevel", ["bogus", "notice"]), ("slowlog-max-len", ["-1", "x", "128"]),
            ("list-max-listpack-size", ["x", "-2"]),
            ("hash-max-listpack-entries", ["-1", "x", "8"]), ("notify-keyspace-events", ["bogus!", "KEA"]),
            ("client-output-buffer-limit", ["x", "normal 0 0", "bogus 1 2 3", "normal a b c"]),
            ("maxmemory-clients", ["x", "101%", "-1", "0"]),
            ("latency-tracking-info-percentiles", ["101", "x", "50 99"]), ("nosuch", ["1"]),
            ("port", ["x", "70000"]), ("bind", ["bogus.invalid.x"]), ("databases", ["4"]),
            ("lfu-log-factor", ["-1", "10"]), ("active-expire-effort", ["0", "11", "1"]),
            ("maxmemory-samples", ["0", "65", "5"]), ("busy-reply-threshold", ["-1", "5000"]),
            ("acl-pubsub-default", ["bogus", "resetchannels"]),
            ("tracking-table-max-keys", ["-1", "x"]), ("stream-node-max-entries", ["-1", "x"]), ("save", ["x"]),
            ("maxmemory", ["1x", "-1", "0", "1kbx"]),
            ("proto-max-bulk-len", ["1", "x", "512mb"]), ("lua-time-limit", ["x", "5000"]),
            ("latency-monitor-threshold", ["-1", "x", "0"]),
            ("activedefrag", ["x"]), ("lazyfree-lazy-expire", ["x", "maybe"]), ("enable-debug-command", ["yes"]),
            ("oom-score-adj", ["x", "no"]), ("requirepass", [""]),
            ("slowlog-log-slower-than", ["x", "10000"]), ("unixsocket", ["x"]), ("logfile", ["x"]),
            ("zset-max-listpack-value", ["x", "24"]), ("set-max-intset-entries", ["x", "8"])])
        args = ["CONFIG", "SET", name, self.r.choice(values)]
        if self.r.random() < 0.2:
            args += self.r.choice([[name, values[0]], ["nosuch2", "1"], ["x"], ["timeout", "0"],
                                   ["maxmemory-policy", "bogus"]])
        return args if self.r.random() < 0.85 else self.r.choice([["CONFIG", "GET", name],
            ["CONFIG", "GET", name, "nosuch*"], ["CONFIG", "RESETSTAT"], ["CONFIG", "REWRITE"]])

    def log_forms(self):
        word = self.r.choice(["slow", "large-request", "large-reply", "bogus"])
        return self.r.choice([["SLOWLOG", "GET", self.r.choice([-2, b"x", 0])], ["SLOWLOG", "RESET", "x"],
                              ["SLOWLOG", "LEN", "x"],
                              ["COMMANDLOG", "GET", self.r.choice([0, -2, b"x"]), word], ["COMMANDLOG", "LEN", word],
                              ["COMMANDLOG", "RESET", word],
                              ["COMMANDLOG", "GET", 1], ["COMMANDLOG", "LEN"], ["LATENCY", "RESET", "nosuch"],
                              ["LATENCY", "HISTORY", "nosuch"],
                              ["LATENCY", "GRAPH", "nosuch"], ["LATENCY", "HISTOGRAM", "nosuch"],
                              ["LATENCY", "LATEST", "x"],
                              ["MEMORY", "USAGE", "nosuch"],
                              ["MEMORY", "USAGE", "k1", "SAMPLES", self.r.choice([-1, b"x"])],
                              ["MEMORY", "USAGE", "k1", "X"]])

    def pubsub_forms(self):
        return self.r.choice([["PUBSUB", "CHANNELS", "nosuch*"], ["PUBSUB", "NUMSUB", "a", "b"], ["PUBSUB", "NUMSUB"],
                              ["PUBSUB", "SHARDCHANNELS"],
                              ["PUBSUB", "SHARDNUMSUB", "a"], ["PUBSUB", "SHARDNUMSUB"], ["PUBSUB", "NUMPAT", "x"],
                              ["PUBSUB", "SHARDCHANNELS", "x", "y"],
                              ["SPUBLISH", "ch", "x"], ["PUBLISH", "ch", "x"], ["PUBLISH", "ch"]])

    def command_forms(self):
        command = self.command()
        while self.is_local(command) or str(command[0]).upper() in ("COMMAND", "EVAL"):
            command = self.command()
        return self.r.choice([["COMMAND", "GETKEYS"] + command, ["COMMAND", "GETKEYS"] + command,
                              ["COMMAND", "GETKEYSANDFLAGS"] + command,
                              ["COMMAND", "INFO", "nosuch", "config|nosuch"], ["COMMAND", "DOCS", "nosuch"],
                              ["COMMAND", "LIST", "FILTERBY", "X", "y"],
                              ["COMMAND", "LIST", "FILTERBY", "ACLCAT", "nosuch"], ["COMMAND", "COUNT", "x"],
                              ["COMMAND", "GETKEYS", "nosuch"],
                              ["COMMAND", "GETKEYS", "get"], ["COMMAND", "GETKEYS", "ping"]])

    @staticmethod
    def is_local(args):
        """Whether a command is about the connection it comes from, which for a script is another one, or its reply loses
        its order or its end in one."""
        return str(args[0]).upper() in ("CLIENT", "HELLO", "SELECT", "AUTH", "RESET", "SWAPDB", "SCAN", "FLUSHALL",
                                        "FLUSHDB", "COMMAND", "SORT", "SORT_RO")
