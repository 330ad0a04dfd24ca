"""Fields of hashes that expire, against a plain model: no Debian Redis has them."""
import time

from clock import DAY_MS, Failure, step

KEYS = [b"f%d" % n for n in range(4)]
# More than are packed, so that hashes grow out of that form and start in it again.
FIELDS = [b"name%d" % n for n in range(12)]
PACKED_MAX = 6
# Ebb files deadlines in slots of so many milliseconds: expiry on its own comes up to one later.
SLOT_MS = 16
PATIENCE_SECONDS = 60
NO_FIELD, NO_DEADLINE = -2, -1


class FieldModel:
    """Makes commands, and knows what Ebb must answer: each method answers both, and changes the model."""

    def __init__(self, r, clock, server):
        self.r, self.clock = r, clock
        self.client, self.listener = server.client(), server.client()
        self.listener("PSUBSCRIBE", "__keyevent@0__:hexpired", "__keyevent@0__:del")
        self.listener.read()
        self.listener("SUBSCRIBE", "fence")
        self.client("CONFIG", "SET", "hash-max-listpack-entries", PACKED_MAX)
        # Each hash as {field: [value, deadline or None]}; what is due is taken out as the clock moves.
        self.hashes = {key: {} for key in KEYS}
        # What is due since the last look at what has expired.
        self.lapsed = set()
        self.history = []
        self.done = self.fences = 0
        names = [name for name in dir(self) if name.startswith("make_")]
        self.makers = [getattr(self, name) for name in names]

    # What commands are made of.

    def fields(self, most=4):
        return self.r.sample(FIELDS, self.r.randint(1, most))

    def key(self):
        key = self.r.choice(KEYS)
        return key, self.hashes[key]

    def deadline(self, words, past):
        """A word and its number, and the time that they mean."""
        word = self.r.choice(words)
        now_ms = self.clock.now_ms
        span_ms = self.r.choice([1, 2, 15, 16, 17, 100, 999, 1000, 1001, self.r.randint(1, 3000),
                                 self.r.randint(1, 3 * DAY_MS)])
        at = now_ms + self.r.choice([span_ms] * 9 + [past and self.r.choice([0, -1, -1000])])
        unit = 1 if word in ("PX", "PXAT", "HPEXPIRE", "HPEXPIREAT") else 1000
        if word.endswith("AT"):
            number = at // unit + (unit == 1000 and not past)
            return word, number, number * unit
        number = max((at - now_ms) // unit, 1)
        return word, number, now_ms + number * unit

    def set_deadline(self, hash, name, at):
        """Gives a field a deadline, or deletes it if that is over."""
        if at <= self.clock.now_ms:
            del hash[name]
        else:
            hash[name][1] = at

    @staticmethod
    def value(hash, name):
        return hash[name][0] if name in hash else None

    # Values.

    def make_set(self):
        key, hash = self.key()
        names = self.fields()
        new = sum(name not in hash for name in names)
        hash.update((name, [b"v", None]) for name in names)
        return ["HSET", key] + [word for name in names for word in (name, b"v")], new

    def make_setnx(self):
        (key, hash), name = self.key(), self.r.choice(FIELDS)
        new = name not in hash
        hash.setdefault(name, [b"once", None])
        return ["HSETNX", key, name, b"once"], int(new)

    def make_increment(self):
        (key, hash), name = self.key(), b"number"
        value, at = hash.get(name, [b"0", None])
        hash[name] = [b"%d" % (int(value) + 1), at]
        return ["HINCRBY", key, name, 1], int(value) + 1

    def make_number(self):
        (key, hash), (word, number, at) = self.key(), self.deadline(["HPEXPIRE"], past=False)
        if b"number" not in hash:
            return [word, key, number, "FIELDS", 1, b"number"], [NO_FIELD]
        hash[b"number"][1] = at
        return [word, key, number, "FIELDS", 1, b"number"], [1]

    def make_delete(self):
        key, hash = self.key()
        names = self.fields(2)
        gone = [name for name in names if hash.pop(name, None)]
        return ["HDEL", key, *names], len(gone)

    def make_get(self):
        key, hash = self.key()
        names = self.fields()
        return self.r.choice([
            (["HGET", key, names[0]], self.value(hash, names[0])),
            (["HMGET", key, *names], [self.value(hash, name) for name in names]),
            (["HEXISTS", key, names[0]], int(names[0] in hash)),
            (["HSTRLEN", key, names[0]], len(self.value(hash, names[0]) or b""))])

    def make_list(self):
        key, hash = self.key()
        pairs = [word for name, (value, _) in hash.items() for word in (name, value)]
        values = [value for value, _ in hash.values()]
        return self.r.choice([
            (["HGETALL", key], sorted(pairs)), (["HKEYS", key], sorted(hash)), (["HVALS", key], sorted(values)),
            (["HSCAN", key, 0, "COUNT", 1000], [b"0", sorted(pairs)]), (["HRANDFIELD", key, 1000], sorted(hash))])

    # Deadlines.

    def make_expire(self):
        (key, hash), names = self.key(), self.fields()
        word, number, at = self.deadline(["HEXPIRE", "HPEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT"], past=True)
        condition = self.r.choice(["", "", "NX", "XX", "GT", "LT"])
        answers = []
        for name in names:
            old = hash[name][1] if name in hash else None
            holds = {"": True, "NX": old is None, "XX": old is not None, "GT": old is not None and at > old,
                     "LT": old is None or at < old}[condition]
            if name not in hash:
                answers.append(NO_FIELD)
            elif not holds:
                answers.append(0)
            else:
                answers.append(2 if at <= self.clock.now_ms else 1)
                self.set_deadline(hash, name, at)
        return [word, key, number] + [condition] * (condition != "") + ["FIELDS", len(names), *names], answers

    def make_persist(self):
        (key, hash), names = self.key(), self.fields()
        answers = [NO_FIELD if name not in hash else NO_DEADLINE if hash[name][1] is None else 1 for name in names]
        for name in names:
            if name in hash:
                hash[name][1] = None
        return ["HPERSIST", key, "FIELDS", len(names), *names], answers

    def make_ask(self):
        (key, hash), names = self.key(), self.fields(8)
        now_ms = self.clock.now_ms
        word, shown = self.r.choice([
            ("HTTL", lambda at: -((now_ms - at) // 1000)), ("HPTTL", lambda at: at - now_ms),
            ("HEXPIRETIME", lambda at: -(-at // 1000)), ("HPEXPIRETIME", lambda at: at)])
        answers = [NO_FIELD if name not in hash else NO_DEADLINE if hash[name][1] is None else shown(hash[name][1])
                   for name in names]
        return [word, key, "FIELDS", len(names), *names], answers

    # Both together.

    def make_getex(self):
        (key, hash), names = self.key(), self.fields()
        values = [self.value(hash, name) for name in names]
        options = []
        if self.r.random() < 0.6:
            word, number, at = self.deadline(["EX", "PX", "EXAT", "PXAT"], past=True)
            options = [word, number]
            for name in names:
                if name in hash:
                    self.set_deadline(hash, name, at)
        elif self.r.random() < 0.5:
            options = ["PERSIST"]
            for name in names:
                if name in hash:
                    hash[name][1] = None
        return ["HGETEX", key, *options, "FIELDS", len(names), *names], values

    def make_setex(self):
        (key, hash), names = self.key(), self.fields()
        condition = self.r.choice(["", "", "FNX", "FXX"])
        there = [name in hash for name in names]
        holds = {"": True, "FNX": not any(there), "FXX": all(there)}[condition]
        options = [condition] * (condition != "")
        keep, at = False, None
        if self.r.random() < 0.6:
            word, number, at = self.deadline(["EX", "PX", "EXAT", "PXAT"], past=True)
            options += [word, number]
        elif self.r.random() < 0.5:
            options, keep = options + ["KEEPTTL"], True
        for name in names if holds else []:
            old = hash[name][1] if name in hash else None
            hash[name] = [b"w", old if keep else None]
            if at is not None:
                self.set_deadline(hash, name, at)
        pairs = [word for name in names for word in (name, b"w")]
        return ["HSETEX", key, *options, "FIELDS", len(names), *pairs], int(holds)

    def make_getdel(self):
        (key, hash), names = self.key(), self.fields(3)
        values = [self.value(hash, name) for name in names]
        for name in names:
            hash.pop(name, None)
        return ["HGETDEL", key, "FIELDS", len(names), *names], values

    # Keys. A hash of which all fields are due may be there until somebody changes it, so these are
    # only done to others.

    def make_move(self):
        (key, hash), (to, _) = self.key(), self.key()
        if not hash or key == to:
            return ["DEL", key, to], None
        self.hashes[to] = {name: list(field) for name, field in hash.items()}
        if self.r.random() < 0.5:
            return ["COPY", key, to, "REPLACE"], 1
        self.hashes[key] = {}
        return ["RENAME", key, to], "OK"

    def make_look(self):
        key, hash = self.key()
        if self.active:
            return self.r.choice([(["EXISTS", key], int(bool(hash))), (["HLEN", key], len(hash))])
        return (["EXISTS", key], 1) if hash else (["HGETALL", key], [])

    # A run.

    def burst(self):
        made = []
        for _ in range(self.r.randint(1, 30)):
            args, answer = self.r.choice(self.makers)()
            if args[0] == "DEL":
                for key in args[1:]:
                    self.hashes[key] = {}
            made.append((args, answer))
        for (args, answer), reply in zip(made, self.client.pipeline([args for args, _ in made])):
            self.history.append("  %r -> %r" % (args, reply))
            if args[0] in ("HGETALL", "HKEYS", "HVALS", "HRANDFIELD"):
                reply = sorted(reply)
            elif args[0] == "HSCAN":
                reply = [reply[0], sorted(reply[1])]
            if args[0] != "DEL" and reply != answer:
                raise self.failure("%r\n  model %r\n  ebb   %r" % (args, answer, reply))
        self.done += len(made)

    def failure(self, text):
        return Failure("%s\nbefore it:\n%s" % (text, "\n".join(self.history[-60:])))

    def deadlines(self):
        return [at for hash in self.hashes.values() for _, at in hash.values() if at is not None]

    def move(self, now_ms):
        self.clock.set(now_ms)
        self.history = self.history[-200:] + ["  the clock is %d" % now_ms]
        for key, hash in self.hashes.items():
            # In the millisecond of its deadline a field is still there, as in Redis.
            due = [name for name, (_, at) in hash.items() if at is not None and at < now_ms]
            for name in due:
                del hash[name]
            self.lapsed |= {(key, "hexpired")} if due else set()
            self.lapsed |= {(key, "del")} if due and not hash else set()

    def settle(self):
        """Waits until Ebb has deleted all that is due, by itself, and compares what it told and what is left."""
        while any(self.clock.now_ms - 2 * SLOT_MS < at < self.clock.now_ms for at in self.deadlines_before):
            self.move(self.clock.now_ms + SLOT_MS)
        wanted, end = [len(hash) for hash in self.hashes.values()], time.time() + PATIENCE_SECONDS
        # A hash may lose fields, and Ebb tell of it, more than once: how many are left says that it was the last time.
        while self.client.pipeline([["HLEN", key] for key in self.hashes]) != wanted and time.time() < end:
            time.sleep(0.002)
        told = self.receive()
        if told != self.lapsed:
            raise self.failure("notifications: expected %r, heard %r" % (self.lapsed, told))
        wanted, found = sum(map(bool, self.hashes.values())), self.client("DBSIZE")
        if found != wanted:
            raise self.failure("%d keys instead of %d" % (found, wanted))

    def receive(self):
        """The keys and events of which Ebb has told."""
        self.fences += 1
        self.client("PUBLISH", "fence", self.fences)
        told = set()
        while (message := self.listener.read())[0] != b"message" or message[2] != b"%d" % self.fences:
            told.add((message[3], message[2].decode().split(":")[1]))
        return told

    def stretch(self):
        """Some bursts with expiry on its own, or only when keys are looked for."""
        self.active = self.r.random() < 0.5
        self.client("DEBUG", "SET-ACTIVE-EXPIRE", int(self.active))
        self.client("FLUSHALL")
        self.hashes = {key: {} for key in KEYS}
        for _ in range(20):
            self.burst()
            self.receive()
            self.lapsed = set()
            self.deadlines_before = self.deadlines()
            self.move(step(self.r, self.clock.now_ms, self.deadlines_before))
            if self.active:
                self.settle()

    def run(self, commands):
        while self.done < commands:
            self.stretch()
