"""Random commands on lists, streams and HyperLogLogs, and SORT."""
LISTS = [b"q0", b"q1", b"q2"]
STREAMS = [b"x0", b"x1"]
LOGS = [b"p0", b"p1", b"p2"]
KEYS = LISTS + STREAMS + LOGS
ITEMS = [b"i%d" % n for n in range(6)] + [b"%d" % n for n in range(-2, 5)] + [b"", b"\x00\xff", b"wide" * 30, b"3.5"]
GROUPS = [b"g1", b"g2"]
CONSUMERS = [b"c1", b"c2", b"c3"]
IDS = [b"0-0", b"0-1", b"1-1", b"1-2", b"2", b"3-0", b"5-5", b"7-1", b"9", b"50-0", b"x", b"1-x", b"", b"-1",
       b"18446744073709551615-18446744073709551615"]
STARTS = IDS + [b"-", b"+", b"(1-1", b"(3-0", b"(-", b"(18446744073709551615-18446744073709551615"]


class SequenceCommands:
    """Methods of the generator, named after the group of the command they make."""

    # Lists.

    def list_push(self):
        return [self.word("LPUSH", "RPUSH", "LPUSHX", "RPUSHX"), self.of(LISTS)] + self.some(ITEMS)

    def list_pop(self):
        return [self.word("LPOP", "RPOP"), self.of(LISTS)] + self.r.choice([[], [], [self.count()]])

    def list_range(self):
        return [self.word("LRANGE", "LRANGE", "LTRIM"), self.of(LISTS), self.rank(), self.rank()]

    def list_index(self):
        return self.r.choice([["LINDEX", self.of(LISTS), self.rank()], ["LLEN", self.of(LISTS)],
                              ["LSET", self.of(LISTS), self.rank(), self.r.choice(ITEMS)]])

    def list_insert(self):
        return ["LINSERT", self.of(LISTS), self.word("BEFORE", "AFTER", "AT"), self.r.choice(ITEMS),
                self.r.choice(ITEMS)]

    def list_remove(self):
        return ["LREM", self.of(LISTS), self.rank(), self.r.choice(ITEMS)]

    def list_find(self):
        args = ["LPOS", self.of(LISTS), self.r.choice(ITEMS)]
        for option in ("RANK", "COUNT", "MAXLEN"):
            args += self.maybe(0.3, option) and [option, self.rank()]
        return args

    def list_move(self):
        ends = [self.word("LEFT", "RIGHT"), self.word("LEFT", "RIGHT", "UP")]
        return self.r.choice([["LMOVE", self.of(LISTS), self.of(LISTS)] + ends,
                              ["RPOPLPUSH", self.of(LISTS), self.of(LISTS)]])

    def list_many(self):
        keys = [self.of(LISTS) for _ in range(self.r.randint(1, 3))]
        count = len(keys) if self.r.random() < 0.9 else self.r.choice([0, -1, 9, b"x"])
        return ["LMPOP", count] + keys + [self.word("LEFT", "RIGHT")] + \
            (["COUNT", self.count()] if self.r.random() < 0.4 else [])

    def sort_any(self):
        args = [self.word("SORT", "SORT_RO"), self.of(LISTS + [b"s0", b"z0"])]
        args += self.maybe(0.4, "DESC")
        args += ["LIMIT", self.rank(), self.rank()] if self.r.random() < 0.3 else []
        # Redis leaves elements in any order whose weights are the same words.
        args += ["BY", self.r.choice([b"k*", b"h0->f*", b"h*->f1"])] if self.r.random() < 0.3 else ["ALPHA"]
        # Which of two elements that `strcoll` finds equal is within the limit is not determined.
        if "LIMIT" not in args and self.r.random() < 0.3:
            args += ["GET", self.r.choice([b"#", b"k*", b"h0->*"])]
        return args + (["STORE", self.of(LISTS)] if self.r.random() < 0.2 else [])

    # Streams.

    def stream_add(self):
        args = ["XADD", self.of(STREAMS)] + self.maybe(0.1, "NOMKSTREAM")
        args += self.trim(0.2)
        args += [self.r.choice([b"%d-%d" % (self.r.randint(0, 60), self.r.randint(0, 9))] * 6 +
                               [b"%d-*" % self.r.randint(0, 60)] * 3 + IDS[:-1])]
        for _ in range(self.r.randint(1, 3)):
            args += [self.r.choice([b"a", b"b", b"name"]), self.r.choice(ITEMS)]
        return args

    def trim(self, chance):
        if self.r.random() > chance:
            return []
        kind = self.r.choice(["MAXLEN", "MINID"])
        value = self.r.choice([0, 3, 10, -1, b"x"]) if kind == "MAXLEN" else self.r.choice(IDS)
        # What `~` leaves depends on how nodes are filled.
        return [self.word(kind)] + self.maybe(0.3, b"=") + [value]

    def stream_trim(self):
        return ["XTRIM", self.of(STREAMS)] + self.trim(0.95)

    def stream_range(self):
        args = [self.word("XRANGE", "XREVRANGE"), self.of(STREAMS), self.r.choice(STARTS), self.r.choice(STARTS)]
        return args + (["COUNT", self.count()] if self.r.random() < 0.3 else [])

    def stream_all(self):
        return self.r.choice([["XRANGE", self.of(STREAMS), b"-", b"+"], ["XLEN", self.of(STREAMS)],
                              ["XREVRANGE", self.of(STREAMS), b"+", b"-"]])

    def stream_delete(self):
        return ["XDEL", self.of(STREAMS)] + [b"%d-%d" % (self.r.randint(0, 60), self.r.randint(0, 3))
                                             for _ in range(4)] + self.maybe(0.05, b"x")

    def stream_read(self):
        args = ["XREAD"] + (["COUNT", self.count()] if self.r.random() < 0.3 else [])
        keys = [self.of(STREAMS) for _ in range(self.r.randint(1, 2))]
        return args + ["STREAMS"] + keys + [self.r.choice(IDS + [b"$"]) for _ in keys]

    def stream_group(self):
        key, group = self.of(STREAMS), self.r.choice(GROUPS)
        return self.r.choice([
            ["XGROUP", "CREATE", key, group, self.r.choice(IDS + [b"$", b"0"])] + self.maybe(0.3, "MKSTREAM"),
            ["XGROUP", "SETID", key, group, self.r.choice(IDS + [b"$"])],
            ["XGROUP", "DESTROY", key, group],
            ["XGROUP", self.word("CREATECONSUMER", "DELCONSUMER"), key, group, self.r.choice(CONSUMERS)],
            ["XINFO", "GROUPS", key]])

    def stream_consume(self):
        args = ["XREADGROUP", "GROUP", self.r.choice(GROUPS), self.r.choice(CONSUMERS)]
        args += (["COUNT", self.r.randint(1, 5)] if self.r.random() < 0.6 else []) + self.maybe(0.1, "NOACK")
        return args + ["STREAMS", self.of(STREAMS), self.r.choice([b">", b">", b">", b"0", b"3-0", b"x", b"$"])]

    def stream_ack(self):
        return ["XACK", self.of(STREAMS), self.r.choice(GROUPS)] + \
            [b"%d-%d" % (self.r.randint(0, 60), self.r.randint(0, 3)) for _ in range(5)]

    def stream_pending(self):
        args = ["XPENDING", self.of(STREAMS), self.r.choice(GROUPS)]
        if self.r.random() < 0.5:
            return args
        args += [self.r.choice(STARTS), self.r.choice(STARTS), self.count()]
        return args + self.maybe(0.5, self.r.choice(CONSUMERS + [b"nobody"]))

    def stream_claim(self):
        ids = [b"%d-%d" % (self.r.randint(0, 60), self.r.randint(0, 3)) for _ in range(3)]
        base = [self.of(STREAMS), self.r.choice(GROUPS), self.r.choice(CONSUMERS), self.r.choice([0, 0, 0, 10**9, b"x"])]
        if self.r.random() < 0.5:
            return ["XCLAIM"] + base + ids + self.maybe(0.3, "JUSTID") + self.maybe(0.3, "FORCE") + \
                (["RETRYCOUNT", self.r.choice([3, b"x", -1])] if self.r.random() < 0.2 else [])
        return ["XAUTOCLAIM"] + base + [self.r.choice(STARTS)] + \
            (["COUNT", self.r.choice([1, 2, 50, 0])] if self.r.random() < 0.5 else []) + self.maybe(0.3, "JUSTID")

    def stream_setid(self):
        # 7.2, unlike 7.0, does not go below the greatest deleted ID; none is above these.
        return ["XSETID", self.of(STREAMS), self.r.choice([b"x", b"1-x", b"", b"-", b"60-9", b"61-5"])]

    # HyperLogLogs.

    def log_add(self):
        return ["PFADD", self.r.choice(LOGS)] + [b"e%d" % self.r.randint(0, 400) for _ in range(self.r.randint(0, 30))]

    def log_count(self):
        return [self.word("PFCOUNT", "PFMERGE"), self.r.choice(LOGS)] + [self.of(LOGS) for _ in range(self.r.randint(0, 2))]

    def log_look(self):
        return self.r.choice([["GET", self.of(LOGS)], ["PFDEBUG", self.word("ENCODING", "DECODE"), self.of(LOGS)]])


def breaks_log(args):
    """Whether a command edits bytes of a HyperLogLog, or brings edited bytes to where one is: of a
    broken one, Redis finds out only what it happens to pass."""
    name = str(args[0]).upper()
    edits = ("APPEND", "SETRANGE", "SETBIT", "BITFIELD", "BITOP", "RENAME", "RENAMENX", "COPY")
    return name in edits and any(arg in LOGS for arg in args[1:])


def same_groups(left, right):
    """Whether XINFO GROUPS says the same, but for how many consumers there are, as 7.2's XCLAIM and
    XAUTOCLAIM make one even if they claim nothing, and for what was read and what is left to read,
    which later versions count in another way where entries were deleted or trimmed."""
    def fields(group):
        return dict(group["map"] if isinstance(group, dict) else zip(group[::2], group[1::2]))

    def same(one, other):
        unknown = (b"consumers", b"entries-read", b"lag")
        return all(one[name] == other[name] for name in one if name not in unknown)

    return isinstance(left, list) and isinstance(right, list) and len(left) == len(right) and \
        all(same(fields(one), fields(other)) for one, other in zip(left, right))


def normal(args, reply):
    """A reply to a command on a sequence with what may differ between equal servers taken out."""
    words = [str(a).upper() for a in args]
    if words[0] in ("SORT", "SORT_RO") and "ALPHA" in words and isinstance(reply, list):
        # `strcoll` ends at a NUL: what differs only after it comes in any order.
        return sorted(map(repr, reply)) if "GET" in words else [item.split(b"\0")[0] for item in reply]
    if words[0] == "XPENDING" and isinstance(reply, list) and all(isinstance(entry, list) for entry in reply):
        # The two servers deliver, and are asked how long ago that was, a moment apart; where their clock is
        # held, in differential_clock.py, the times are compared.
        return [[entry, consumer, deliveries] for entry, consumer, _idle, deliveries in reply]
    return reply
