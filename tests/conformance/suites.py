"""The test suites that run.py knows, and what is changed in the copies that it runs.

Of every suite: features that this version of Ebb does not have are left out of its servers'
configurations, since Ebb refuses to start with them; a server that does not start is given up
after ten seconds, and one whose setup fails does not end the file; the reply buffers of clients,
which Ebb does not have, are not kept from shrinking; and where used memory is held against a
limit, what does not count against it is taken off.

Of that of Valkey besides: directives that only tune or test its own inside are not set.

Of that of Redis 7.0 besides: where Redis 7.2 names another encoding for a small list or set, both
names are accepted, and texts about users are expected as 7.2 has them.
"""
import re

# Directives of the suites' configurations that turn on what Ebb does not have yet.
NOT_YET = ("save", "appendonly")
# The same of the suite of Valkey, for all its servers.
VALKEY_NOT_YET = ("enable-debug-assert", "hide-user-data-from-log")
# In the suite of Valkey: which replies are sent without a copy. Here that is a matter of their
# size alone.
AVOID_COPIES = r"^ *r config set min-(io-threads|string-size)-avoid-copy-reply.*\n"
# And how many keys have fields with deadlines, which INFO does not tell here.
VOLATILE_ITEMS = r"^ *assert_\w+ .*\[get_keys_with_volatile_items r\].*\n"
# In the suite's assert_encoding: a small list is a listpack since 7.2, and so is a small set.
NEWER_ENCODINGS = """\
    if {$val eq "listpack" && $enc in {quicklist hashtable}} { return }
    assert_match $enc $val
"""
# In the suites' tests of `maxmemory`: what counts against it, from one INFO. Between two the rest
# may change.
USED_MEMORY = r"\[s used_memory\](-\[s mem_not_counted_for_evict\])?"
COUNTED_MEMORY = "[counted_memory]"
COUNTED_MEMORY_PROC = """proc counted_memory {} {
    set info [r info memory]
    expr {[getInfoProperty $info used_memory]-[getInfoProperty $info mem_not_counted_for_evict]}
}
"""
# In the suites' start_server: the place behind the directives of a test, and a server whose setup
# fails, which the suite takes off its stack twice. Within a test that is the test's failure.
AFTER_OVERRIDES = "    # remove directives that are marked to be omitted\n"
SETUP_FAILED = re.compile(r"""            if \{(!\$assertion[^{}]* && \$::durable)\} \{
                # durable is meant to prevent the whole tcl test from exiting on
                # an exception. an assertion will be caught by the test proc.
                set msg \[string range \$error 10 end\]
                lappend details \$msg
""")
SETUP_REPORTED = r"""            if {\1 && $::cur_test eq ""} {
                dict unset srv "client"
                lappend ::servers $srv
                lappend details "setup of a server ($tags)"
                lappend details $error
"""
# In the suite's tests of users: what 7.2 words or does in another way than 7.0.
NEWER_ACL_TEXTS = (
    (r"\*NOPERM\*(key|channel)s\*", r"*NOPERM*\1*"),
    (r'"This user has no permissions([^"]*" +\[r ACL DRYRUN ([\w-]+))', r'"User \2 has no permissions\1'),
    (r"(\{user hpuser on nopass) ", r"\1 sanitize-payload "),
    # ACL LOAD closes nobody whose user is still there.
    (r"(?i)( r ACL load\n) *catch \{r ACL LIST\} e\n *assert_match \{\*I/O error\*\} \$e\n\s*reconnect\n", r"\1"),
    (r"(setuser bob \+@all \+client\|id\n[^{]*\{\+@all)\}", r"\1 +client|id}"),
)


def edit(path, change, *, complaint=None):
    """Rewrites a file. With a complaint, the change must find something to change."""
    text = path.read_text()
    changed = change(text)
    assert complaint is None or changed != text, complaint
    path.write_text(changed)


def without(directives, copy):
    """Takes directives out of what the suite gives all its servers."""
    edit(copy / "tests" / "assets" / "default.conf", lambda text: "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(directives)))


def change_any(copy):
    """The changes that every suite's copy needs."""
    without(NOT_YET, copy)
    server = copy / "tests" / "support" / "server.tcl"
    edit(server, lambda text: re.sub(r"set maxiter \[expr \{120\*1000/\$checkperiod\}\]",
                                     "set maxiter 100", text),
         complaint="the suite waits for its servers in another way")
    for directive in NOT_YET:
        # Behind what a test's own server asks for.
        unset = f"    dict unset config {directive}\n"
        edit(server, lambda text: text.replace(AFTER_OVERRIDES, unset + AFTER_OVERRIDES, 1),
             complaint="the suite makes configurations in another way")
    edit(server, lambda text: SETUP_FAILED.sub(SETUP_REPORTED, text),
         complaint="the suite goes on after errors in another way")
    edit(copy / "tests" / "unit" / "maxmemory.tcl",
         lambda text: COUNTED_MEMORY_PROC + re.sub(USED_MEMORY, COUNTED_MEMORY, text))
    edit(copy / "tests" / "unit" / "client-eviction.tcl",
         lambda text: re.sub(r"(?m)^ *r debug replybuffer .*\n", "", text))


def newer_acl_texts(text):
    for old, new in NEWER_ACL_TEXTS:
        text = re.sub(old, new, text)
    return text


def change_redis(copy):
    """What the suite of Redis 7.0 expects otherwise than 7.2 behaves."""
    change_any(copy)
    edit(copy / "tests" / "support" / "test.tcl",
         lambda text: text.replace("    assert_match $enc $val\n", NEWER_ENCODINGS, 1),
         complaint="the suite checks encodings in another way")
    for name in ("acl", "acl-v2"):
        edit(copy / "tests" / "unit" / f"{name}.tcl", newer_acl_texts)


def change_valkey(copy):
    """What the suite of Valkey turns on or off that Ebb does not have."""
    change_any(copy)
    without(VALKEY_NOT_YET, copy)
    for tests in (copy / "tests" / "unit").glob("*.tcl"):
        edit(tests, lambda text: re.sub(f"(?m){AVOID_COPIES}|{VOLATILE_ITEMS}", "", text))


class Suite:
    """A test suite: what its programs are called, and what is changed in its copies."""

    def __init__(self, name, change, list_suffix):
        self.name = name
        self.server = f"{name}-server"
        self.tools = (f"{name}-cli", f"{name}-benchmark")
        self.change = change
        # Of the names of its lists: `files.txt` and `known.txt`.
        self.list_suffix = list_suffix


SUITES = {
    "redis": Suite("redis", change_redis, ""),
    "valkey": Suite("valkey", change_valkey, "-valkey"),
}
