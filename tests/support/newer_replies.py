"""When the replies of a newer server and of Ebb to the same command are equal, and where they differ on purpose."""
import re
import time

import collection_commands
import sequence_commands
from resp import Client, Error, encode


class Typed(Client):
    """A client that tells sets from arrays, and leaves what is pushed aside."""

    def read(self):
        while (kind := self.file.peek(1)[:1]) == b">":
            super().read()
        value = super().read()
        return {"set": value} if kind == b"~" else value

    def __init__(self, port, timeout):
        super().__init__(port, timeout)
        self.port = port

    def pipeline(self, commands):
        self.raw(b"".join(encode(command) for command in commands))
        replies = []
        for command in commands:
            try:
                replies.append(self.read())
            except (TimeoutError, ConnectionError) as problem:
                raise RuntimeError("%r: no reply to %r, number %d of %r: %r" % (
                    self.port, command, len(replies), commands, replies)) from problem
        return replies


def unordered(args, reply):
    """A reply to a command for which `is_disordered` holds."""
    name = str(unwrap(args)[0]).upper()
    reply = exact(reply) if name in collection_commands.SEARCHES or name == "GEOPOS" else scrubbed(reply)
    return without_order(reply)


def is_disordered(args):
    """Whether a command is a script that gets maps, which are tables without an order."""
    return args[0] == "EVAL" and "setresp(3)" in str(args[1]) and "TTL" not in str(unwrap(args)[0]).upper() and \
        "EXPIRETIME" not in str(unwrap(args)[0]).upper()


def without_order(reply):
    """The parts of a reply, whatever their order: the pairs of a map may be parts of an array, too."""
    if isinstance(reply, dict):
        return without_order([part for pairs in reply.values() for pair in pairs
                              for part in (pair if isinstance(pair, tuple) else (pair,))])
    return sorted(repr(without_order(part)) for part in reply) if isinstance(reply, list) else reply


def unwrap(args):
    """The command that a script of `script_call` runs, or the command itself."""
    if args[0] == "EVAL" and "unpack(ARGV)" in str(args[1]) and len(args) > 3:
        return args[3:]
    return args


# Fields of maps that are about the moment, or about how a server keeps things.
COUNTERS = {b"lag", b"entries-read"}
VOLATILE = {b"nacked-count", b"radix-tree-keys", b"radix-tree-nodes", b"idle", b"inactive", b"seen-time",
            b"active-time"}


def scrubbed(reply, names=frozenset()):
    """A reply without fields that differ by nature, and these; times in milliseconds become equal."""
    names = VOLATILE | names
    if isinstance(reply, dict) and "map" in reply:
        pairs = [(key, scrubbed(value, names)) for key, value in reply["map"]]
        return {"map": [pair for pair in pairs if not (isinstance(pair[0], bytes) and pair[0] in names)]}
    if isinstance(reply, list):
        out, skip = [], False
        for item in reply:
            if skip or isinstance(item, bytes) and item in names:
                skip = not skip
            else:
                out.append(scrubbed(item, names))
        return out
    if isinstance(reply, int) and not isinstance(reply, bool) and reply > 10**12:
        return "time"
    return reply


def scrub_users(reply):
    """ACL GETUSER and LIST without what Valkey does not have any more, or Redis does not have yet."""
    if isinstance(reply, dict) and "map" in reply:
        return {"map": [(key, scrub_users(value)) for key, value in reply["map"] if key != b"databases"]}
    if isinstance(reply, dict):
        return {"set": scrub_users(reply["set"])}
    if isinstance(reply, list):
        out = [scrub_users(item) for item in reply if item not in (b"sanitize-payload", b"skip-sanitize-payload")]
        if b"databases" in out:
            at = out.index(b"databases")
            del out[at:at + 2]
        return out
    if isinstance(reply, bytes) and reply.startswith(b"user "):
        return reply.replace(b" sanitize-payload", b"").replace(b" skip-sanitize-payload", b"")
    return reply


def exact(reply):
    """Coordinates as numbers: 7.2 writes 17 digits, Redis 8 the shortest."""
    if isinstance(reply, list):
        return [exact(item) for item in reply]
    if isinstance(reply, tuple):
        return round(float(reply[1]), 12)
    try:
        return round(float(reply), 12)
    except (TypeError, ValueError):
        return reply


def ordered(reply):
    return sorted(map(repr, reply))


# What Valkey leaves out of the texts of errors, or says in other words.
TEXTS = [(r"(This|a|the|calling|in|Unknown) (Redis|Valkey) ", r"\1 "), (" Please use EVAL.$", ""),
         (r"\bserver\.", "redis."),
         ("could not decode requested zset member", "member does not exist"),
         (r"member '.*' does not exist|member \S* does not exist", "member does not exist"),
         (r" script: [0-9a-f]{40}, on", " script: on"),
         (r" script: \w+, on", " script: on"),
         (r"Unknown command called from script|unknown subcommand '.*'. Try [A-Z]+ HELP.", "unknown"),
         ("Lua redis lib command arguments", "Command arguments"), ("this redis lib call", "this call"),
         (r"Unexpected engine in script shebang: #!(.*)", r"Could not find scripting engine '\1'"),
         ("BYRADIUS, BYBOX and BYPOLYGON", "BYRADIUS and BYBOX"),
         (r"^ERR Function names can only", "ERR Error registering functions: ERR Library names can only"),
         ("Command 'multi' not allowed inside a transaction", "MULTI calls can not be nested"),
         ("Command 'watch' not allowed inside a transaction", "WATCH inside MULTI is not allowed")]


def normal(args, reply, is_valkey):
    """A reply with what may differ between equal servers taken out."""
    words = [str(a).upper() for a in args[:3]]
    name = words[0]
    if words[:2] in (["ACL", "GETUSER"], ["ACL", "LIST"]) and is_valkey and not isinstance(reply, Error):
        return scrub_users(reply)
    if isinstance(reply, dict) and "set" in reply:
        return {"set": ordered(reply["set"])}
    if isinstance(reply, Error):
        # Errors are valid UTF-8 in Ebb, whatever they quote, and quote it beyond a NUL.
        text = re.sub(r"\0[^']*'", "'", "".join(char for char in str(reply) if char.isascii()))
        for pattern, replacement in TEXTS if is_valkey else ():
            text = re.sub(pattern, replacement, text)
        return Error(re.sub(r"^(NOGROUP No such key ')[^']*'", r"\1...'", text))
    if reply is None or words[1:2] == ["HELP"]:
        # Ebb has texts of its own.
        return type(reply)
    if name == "XINFO":
        return scrubbed(reply)
    if name == "GEOPOS":
        return exact(reply)
    if name in collection_commands.SEARCHES and isinstance(reply, list):
        return ordered(exact(reply))
    if words[:2] == ["CONFIG", "GET"]:
        pairs = reply["map"] if isinstance(reply, dict) else list(zip(reply[::2], reply[1::2]))
        return sorted(name for name, _value in pairs)
    if words[:2] in (["COMMANDLOG", "LEN"], ["SLOWLOG", "LEN"], ["MEMORY", "USAGE"]):
        return type(reply).__name__
    if name in ("SCAN", "HSCAN", "SSCAN") and isinstance(reply,
        list) and (name == "SCAN" or "NOVALUES" in [str(a).upper() for a in args]):
        return [reply[0], sorted(reply[1])]
    if name in ("KEYS", "SORT", "SORT_RO") or words[:2] == ["FUNCTION", "LIST"]:
        return ordered(reply) if isinstance(reply, list) else reply
    if words[:2] in (["CLIENT", "LIST"],):
        text = reply[1] if isinstance(reply, tuple) else reply
        # Whether another client's watched keys have changed, Ebb shows as of its last command.
        flags = [flags.replace(b"d", b"") or b"N" for flags
                 in re.findall(rb"flags=(\w+)", text or b"")] if isinstance(text, bytes) else text
        return sorted(flags) if isinstance(flags, list) else flags
    return collection_commands.normal(args, sequence_commands.normal(args, reply))


def kind_of(args, left, right):
    """What differences have in common that are likely the same: the command, and what kinds of replies."""
    def kind(reply):
        if isinstance(reply, Error):
            return re.sub(r"'[^']*'|\d+", "", str(reply))
        return type(reply).__name__
    inner = unwrap(args)
    return str(inner[0]).upper(), str(inner[1]).upper() if len(inner) > 1 and inner[0] in ("ACL", "CLIENT", "XINFO",
        "SCRIPT", "FUNCTION", "COMMAND", "CONFIG") else "", \
        str(left) + str(right) if args[0] == "EVENT" else "", kind(left), kind(right)


def matches(table, args, left, right, is_valkey):
    """The reason of the first row of a table that applies, if one does."""
    words = [a.decode("latin1").upper() if isinstance(a, bytes) else str(a).upper() for a in args]
    for row_words, oracle, applies, reason in table:
        if words[:len(row_words)] == row_words and (oracle is None
            or (oracle == "valkey") == is_valkey) and applies(words, left, right):
            return reason
    return None


def events_of(heard, is_valkey):
    """Events in words that both servers have: of what is over when it is set, Redis says that it is deleted, Valkey that
    it has expired, and before that, that a deadline was set."""
    if not is_valkey:
        return heard
    same = {"hexpired": "hdel", "expired": "del"}
    words = [(same.get(event, event), key) for event, key in heard]
    return [(event, key) for at, (event, key) in enumerate(words)
            if not (event == "hexpire" and words[at - 1:at] == [("hset", key)]
                    and words[at + 1:at + 2] == [("hdel", key)])]


# What is not sent, as (words of the command, which oracle if only one, which arguments, reason).
def always(words, left, right):
    return True


def is_doubled(words, left, right):
    conditions = [words.count(word) for word in ("NX", "XX", "GT", "LT", "FNX", "FXX")]
    return max(conditions) > 1 or words[0].startswith("HPEXPIRE") and sum(conditions) > 1 or words[0].startswith("HEXPIRE") and sum(conditions) > 1


def is_past(words, left, right):
    """Whether a command sets a value with a deadline that may be over."""
    for unit, word in enumerate(("EXAT", "PXAT")):
        for at in range(3, len(words) - 1):
            if words[at] == word and words[at + 1].isdigit() and int(words[at + 1]) * (1 if unit
                else 1000) < time.time() * 1000:
                return True
    return False


AVOIDED = [
    *[([name], None, lambda words, left, right: "AUTH" in words,
       "a user's connections are closed with it, and 8.0 does not answer a wrong password that comes in a pipeline")
      for name in ("AUTH", "HELLO")],
    (["CLIENT", "REPLY"], "valkey", always, "Valkey refuses it in a transaction, and gives that up"),
    (["SCRIPT", "DEBUG"], None, always, "refused in a pipeline, which Ebb does not mind"),
    (["CONFIG", "SET"], None, lambda words, left, right: "MAXMEMORY-SAMPLES" in words, "has no upper limit in 7.2"),
    (["SLOWLOG", "GET"], None, lambda words, left, right: len(words) == 2, "what was slow is a matter of luck"),
    (["ACL", "LOG"], None, lambda words, left, right: len(words) == 2, "addresses and ages"),
    (["ACL", "GENPASS"], None, lambda words, left,
     right: len(words) == 2 or words[2].isdigit() and 0 < int(words[2]) < 4097, "random"),
    (["LREM"], None, lambda words, left, right: str(-2**63) in words, "7.2 takes a number that has no opposite"),
    (["LSET"], None, lambda words, left, right: len(words) > 2 and len(words[2]) > 10,
     "since 7.2, only the lower half of an index is taken; Ebb refuses it"),
    (["CLIENT", "PAUSE"], "valkey", lambda words, left, right: len(words) > 4, "Valkey does not mind what follows"),
    (["CLIENT", "UNBLOCK"], "valkey", lambda words, left, right: len(words) > 3,
     "Valkey looks at the number first, and does not mind what follows"),
    *[([name], None, lambda words, left,
       right: any(pair[0] == "LIMIT" and pair[1].startswith("-") for pair in zip(words, words[1:])),
       "since 7.4 and Valkey 8, a negative offset counts in grown sorted sets from the other end, where 7.2 finds nothing")
      for name in ("ZRANGE", "ZRANGESTORE", "ZREVRANGEBYLEX", "ZRANGEBYLEX", "ZREVRANGEBYSCORE", "ZRANGEBYSCORE")],
    (["LATENCY", "HISTOGRAM"], None, lambda words, left, right: len(words) == 2,
     "how long commands took is the server's own"),
    (["ACL", "DRYRUN"], "redis", lambda words, left, right: "MSETEX" in words, "8.0 does not have it"),
    *[([name], "valkey", is_doubled, "Valkey takes the same condition twice, and of those for deadlines several")
      for name in ("HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT", "MSETEX", "HSETEX")],
    *[([name], "redis", is_past, "Redis keeps a value that is over until somebody looks; Ebb, like Valkey, does not")
      for name in ("SET",)],
    (["MSETEX"], "valkey", is_past, "Valkey keeps such values until somebody looks; Ebb does as with SET"),
    *[([name], None, lambda words, left, right: words[2:3] == [""], "7.2 takes an empty cursor for 0")
      for name in ("HSCAN", "SSCAN", "ZSCAN")],
    (["COMMAND"], None, lambda words, left,
     right: len(words) == 1 or words[1] in ("COUNT", "INFO", "DOCS") and len(words) == 2, "all commands"),
    (["ACL", "CAT"], None, lambda words, left, right: len(words) == 2, "Ebb has a category of its own"),
    (["SCAN"], None, lambda words, left, right: len(words) < 4, "cursors are the server's own"),
    *[([name], None, lambda words, left, right: " 1" in words, "7.2 takes blanks before a number")
      for name in ("ZCOUNT", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZRANGESTORE", "ZREMRANGEBYSCORE")],
]


def both_refuse(words, left, right):
    return isinstance(left, Error) and isinstance(right, Error)


FIELD_COMMANDS = ["HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT", "HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME",
                  "HPERSIST",
                  "HGETEX", "HSETEX", "HGETDEL"]

# What differs on purpose, as (words of the command, which oracle if only one, which replies, reason).
DEVIATIONS = [
    (["OBJECT", "REFCOUNT"], None, lambda words, left, right: isinstance(left, int) and isinstance(right, int),
     "small integers need no object in Ebb, however they came about; copies share large values"),
    (["HELLO"], None, lambda words, left, right: type(left) is type(right), "versions and client ids"),
    *[([name], "valkey", both_refuse,
       "fields with deadlines: the texts of errors, and what is checked first, are Redis 8's")
      for name in FIELD_COMMANDS],
    (["OBJECT", "ENCODING"], "valkey", lambda words, left, right: {left, right} == {b"raw", b"embstr"},
     "Valkey embeds longer strings"),
    (["OBJECT", "ENCODING"], None, lambda words, left, right: {left, right} == {b"listpack", b"listpackex"},
     "Redis does not go back to listpack when no field has a deadline any more"),
    *[([name], "valkey", lambda words, left, right: isinstance(right, Error) and "invalid expire time" in right,
       "deadlines of fields have 46 bits, as in Redis") for name in FIELD_COMMANDS],
    (["HSETEX"], "valkey", lambda words, left, right: left == 0 and isinstance(right, Error),
     "Redis looks at times before it does at conditions"),
    (["MSETEX"], "valkey", both_refuse, "the texts and the order of checks are Redis 8.4's"),
    *[(["CLIENT", name], "valkey", lambda words, left,
       right: left in ("ERR client-id should be greater than 0", "ERR syntax error"),
       "of IDs, Redis's CLIENT LIST only says whether they are numbers") for name in ("LIST", "KILL")],
    (["CLIENT", "LIST"], "redis", lambda words, left, right: left == "ERR Invalid client ID",
     "filters of Valkey may follow an ID"),
    (["CLIENT", "LIST"], "redis", lambda words, left, right: left == "ERR syntax error", "filters of Valkey"),
    (["CLIENT", "KILL"], "redis", lambda words, left, right: left == "ERR syntax error", "filters of Valkey"),
    (["SCAN"], None, lambda words, left, right: "unknown type name" in str(left),
     "7.2 finds nothing of a type that there is not"),
    (["GETEX"], "valkey", both_refuse, "7.2 looks at times when it has found the key"),
    (["XREAD"], "valkey", lambda words, left, right: "+" in words,
     "Redis's + is the last entry; Valkey does not have it"),
    *[(["OBJECT", "ENCODING"], None, lambda words, left, right, pair=pair: (left, right) == pair,
       "Redis leaves grown what passed through a larger collection, or through SORT")
      for pair in ((b"hashtable", b"intset"), (b"skiplist", b"listpack"), (b"hashtable", b"listpackex"),
                   (b"hashtable", b"listpack"), (b"listpack", b"intset"))],
    (["GETEX"], "valkey", lambda words, left, right: isinstance(left, Error) and right is None,
     "7.2 looks at times when it has found the key"),
    *[([name], "redis", lambda words, left, right: "Unbalanced" in str(left) and "Unbalanced" in str(right),
       "8.0 says that + may stand there, too")
      for name in ("XREAD", "XREADGROUP")],
    (["BITCOUNT"], "valkey", both_refuse, "7.2 reads numbers before the unit"),
    (["BITCOUNT"], "valkey", lambda words, left, right: str(right).startswith("ERR syntax error") and len(words) == 3,
     "Valkey's range may have no end"),
    (["CONFIG", "SET"], None, lambda words, left,
     right: str(right).startswith(str(left)) and "MAXMEMORY-POLICY" in words, "Ebb has more policies"),
    *[(["XINFO", name], None, lambda words, left, right: scrubbed(left, COUNTERS) == scrubbed(right, COUNTERS),
       "8.0 knows more lags than 7.2; Valkey has negative ones, and counts otherwise from an ENTRIESREAD that cannot be")
      for name in ("GROUPS", "STREAM")],
    (["CLIENT", "KILL"], "valkey", lambda words, left, right: left == 0 and words[-1] == "ID",
     "Valkey takes no ID for none"),
    (["OBJECT", "ENCODING"], "valkey", lambda words, left, right: (left, right) == (b"hashtable", b"listpackex"),
     "Valkey has no packed hashes with deadlines"),
    (["ACL", "DRYRUN"], "valkey", lambda words, left, right: left == "OK" and b"access database 99" in right,
     "a number that is no database"),
    (["OBJECT", "ENCODING"], "valkey", lambda words, left, right: left in (b"embstr", b"raw") and right == b"int",
     "Valkey's MSETEX does not see a number in the value of a key that it names twice"),
    (["COMMAND", "GETKEYSANDFLAGS"], "valkey", lambda words, left, right: words[2] in ("HSETEX", "SINTERSTORE"),
     "Valkey has other flags for these keys"),
    (["DBSIZE"], None, lambda words, left, right: type(left) is type(right),
     "keys that are over count until they are deleted, which each server does in its own time"),
]
