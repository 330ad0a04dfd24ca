#!/usr/bin/env python3
"""Runs the Tcl test suite of Debian's Redis source package against Ebb, file by file.

usage: run.py EBB [FILE ...] [--write] [--verbose]

FILE is a test file as the suite names it ("unit/type/string"); without any, those of the list
`files.txt` run. The suite starts the server itself, as it does Redis. The tests in `passing.txt`
must pass. With --write that list and the table in docs/compatibility.md are made anew; why the
others fail is in `known.txt`, as far as their output does not say it.

The package is fetched from where the machine gets its Debian packages, and kept in
target/conformance. Some things are changed in the copy: features that this version does not have
are left out of its servers' configurations, since Ebb refuses to start with them; a server that
does not start is given up after ten seconds, and one whose setup fails does not end the file; the
reply buffers of clients, which Ebb does not have, are not kept from shrinking; where
used memory is held against a limit, what does not count against it is taken off; and where Redis
7.2 names another encoding for a small list or set than 7.0, whose suite this is, both names are
accepted, and texts about users are expected as 7.2 has them.
"""
import argparse
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
WORK = ROOT / "target" / "conformance"
WORKERS = 2
# Directives of the suite's configuration that turn on what Ebb does not have yet.
NOT_YET = ("save", "appendonly")
# What a test that fails needs if it is none of those that count: persistence, replication (with
# replicas that wait and read only), a cluster (with moving keys between its nodes).
ELSEWHERE = re.compile(
    r"SYNC|REPLICAOF|SLAVEOF|replica|WAIT\b|cluster|CLUSTER|READONLY|MIGRATE|module|MODULE|"
    r"snapshot|RDB|SAVE|BGREWRITEAOF|append-only|appendonly|DEBUG RELOAD|LOADAOF")
# In the suite's assert_encoding: a small list is a listpack since 7.2, and so is a small set.
NEWER_ENCODINGS = """\
    if {$val eq "listpack" && $enc in {quicklist hashtable}} { return }
    assert_match $enc $val
"""
# In the suite's tests of `maxmemory`: what counts against it, from one INFO. Between two the rest
# may change.
USED_MEMORY = r"\[s used_memory\](-\[s mem_not_counted_for_evict\])?"
COUNTED_MEMORY = "[counted_memory]"
COUNTED_MEMORY_PROC = """proc counted_memory {} {
    set info [r info memory]
    expr {[getInfoProperty $info used_memory]-[getInfoProperty $info mem_not_counted_for_evict]}
}
"""
# In the suite's start_server: the place behind the directives of a test, and a server whose setup
# fails, which the suite takes off its stack twice. Within a test that is the test's failure.
AFTER_OVERRIDES = "    # remove directives that are marked to be omitted\n"
SETUP_FAILED = (
    """            if {!$assertion && $::durable} {
                # durable is meant to prevent the whole tcl test from exiting on
                # an exception. an assertion will be caught by the test proc.
                set msg [string range $error 10 end]
                lappend details $msg
                lappend details $backtrace
                lappend ::tests_failed $details
""",
    """            if {!$assertion && $::durable && $::cur_test eq ""} {
                dict unset srv "client"
                lappend ::servers $srv
                lappend details "setup of a server ($tags)"
                lappend details $error
                lappend details $backtrace
                lappend ::tests_failed $details
""",
)
# In the suite's tests of users: what 7.2 words in another way than 7.0.
NEWER_ACL_TEXTS = (
    (r"\*NOPERM\*(key|channel)s\*", r"*NOPERM*\1*"),
    (r'"This user has no permissions([^"]*" +\[r ACL DRYRUN ([\w-]+))', r'"User \2 has no permissions\1'),
    (r"(\{user hpuser on nopass) ", r"\1 sanitize-payload "),
    (r"(setuser bob \+@all \+client\|id\n[^{]*\{\+@all)\}", r"\1 +client|id}"),
)


def fetch():
    """The unpacked source package's directory."""
    found = sorted(WORK.glob("redis-*/runtest"))
    if found:
        return found[-1].parent
    lists = WORK / "apt"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    source_list = WORK / "sources.list"
    source_list.write_text("".join(source_lines()))
    options = ["-o", f"Dir::Etc::SourceList={source_list}", "-o", "Dir::Etc::SourceParts=-",
               "-o", f"Dir::State::Lists={lists}", "-o", "APT::Sandbox::User=root"]
    print("Fetching the Redis source package with apt-get", flush=True)
    for action in (["update"], ["source", "--download-only", "redis"]):
        subprocess.run(["apt-get", "-qq", *options, *action], cwd=WORK, check=True)
    archive, = WORK.glob("redis_*.orig.tar.gz")
    subprocess.run(["tar", "xf", archive.name], cwd=WORK, check=True)
    return sorted(WORK.glob("redis-*/runtest"))[-1].parent


def source_lines():
    """The machine's Debian sources, asked for source packages."""
    places = [pathlib.Path("/etc/apt/sources.list"), *pathlib.Path("/etc/apt/sources.list.d").glob("*")]
    for place in places:
        if not place.is_file():
            continue
        text = place.read_text()
        if place.suffix == ".sources":
            for paragraph in re.split(r"\n\s*\n", text):
                fields = dict(re.findall(r"(?m)^(\w[\w-]*):\s*(.*)$", paragraph))
                key = fields.get("Signed-By")
                option = f"[signed-by={key}] " if key else ""
                for uri in fields.get("URIs", "").split():
                    for suite in fields.get("Suites", "").split():
                        yield f"deb-src {option}{uri} {suite} {fields.get('Components', '')}\n"
        else:
            for line in text.splitlines():
                if line.startswith("deb "):
                    yield "deb-src" + line[3:] + "\n"


def end_servers(copy):
    """Ends servers that an earlier run of the suite has left behind: they hold its ports."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(copy.resolve()):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            pass  # It has ended, or is somebody else's.


def prepare(source, ebb, number):
    """A copy of the suite for one worker."""
    copy = WORK / f"suite{number}"
    end_servers(copy)
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    shutil.copytree(source / "tests", copy / "tests")
    shutil.copy(source / "runtest", copy / "runtest")
    (copy / "src").mkdir()
    for tool in ("redis-cli", "redis-benchmark"):
        (copy / "src" / tool).symlink_to(shutil.which(tool))
    (copy / "src" / "redis-server").symlink_to(ebb)
    config = copy / "tests" / "assets" / "default.conf"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith(NOT_YET)))
    support = copy / "tests" / "support" / "server.tcl"
    text = support.read_text()
    patched = re.sub(r"set maxiter \[expr \{120\*1000/\$checkperiod\}\]", "set maxiter 100", text)
    assert patched != text, "the suite waits for its servers in another way"
    for directive in NOT_YET:
        # Behind what a test's own server asks for.
        without = f"    dict unset config {directive}\n{AFTER_OVERRIDES}"
        patched = patched.replace(AFTER_OVERRIDES, without, 1)
    old = patched
    patched = patched.replace(*SETUP_FAILED)
    assert patched != old, "the suite goes on after errors in another way"
    support.write_text(patched)
    tests = copy / "tests" / "unit" / "maxmemory.tcl"
    text = tests.read_text()
    tests.write_text(COUNTED_MEMORY_PROC + re.sub(USED_MEMORY, COUNTED_MEMORY, text))
    tests = copy / "tests" / "unit" / "client-eviction.tcl"
    tests.write_text(re.sub(r"(?m)^ *r debug replybuffer .*\n", "", tests.read_text()))
    support = copy / "tests" / "support" / "test.tcl"
    text = support.read_text()
    patched = text.replace("    assert_match $enc $val\n", NEWER_ENCODINGS, 1)
    assert patched != text, "the suite checks encodings in another way"
    support.write_text(patched)
    for name in ("acl", "acl-v2"):
        tests = copy / "tests" / "unit" / f"{name}.tcl"
        text = tests.read_text()
        for old, new in NEWER_ACL_TEXTS:
            text = re.sub(old, new, text)
        tests.write_text(text)
    return copy


class Result:
    """What became of one file's tests."""

    def __init__(self, name):
        self.name = name
        self.passed, self.failed, self.skipped = [], {}, []
        self.seconds = 0
        self.output = ""


def free_base(number):
    """The first of 3,000 ports for a worker. The suite's own port, 32 below, must be free: another
    run may have it. (10,000 more must be ports, too.)"""
    for base in [13111 + number * 3500 + run * 10500 for run in range(4)]:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", base - 32))
                return base
            except OSError:
                continue
    raise SystemExit("conformance: another run has all ports that the suite can use")


def run_file(copy, number, name, left_out):
    """Runs one file of the suite, and reads what it prints."""
    result = Result(name)
    start = time.time()
    base = free_base(number)
    command = ["./runtest", "--single", name, "--clients", "1", "--durable",
               "--baseport", str(base), "--portcount", "3000"]
    for test in left_out:
        command += ["--skiptest", test]
    suite = subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)
    try:
        output, _ = suite.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(suite.pid, signal.SIGKILL)
        output, _ = suite.communicate()
        output += b"\n[exception]: the file took longer than 5 minutes\n"
    end_servers(copy)
    result.seconds = time.time() - start
    result.output = re.sub(r"\x1b\[[0-9;]*m", "", output.decode(errors="replace"))
    logs = WORK / "logs"
    logs.mkdir(exist_ok=True)
    (logs / f"{name.replace('/', '-')}.log").write_text(result.output)
    lines = result.output.split("The End", 1)[0].splitlines()
    for at, line in enumerate(lines):
        kind, _, rest = line.partition("]: ")
        if kind == "[ok":
            result.passed.append(re.sub(r" \(\d+ ms\)$", "", rest))
        elif kind in ("[err", "[exception"):
            test = re.sub(r" in tests/\S+\.tcl$", "", rest)
            result.failed.setdefault(test, " ".join(lines[at + 1:at + 3])[:400])
        elif kind in ("[ignore", "[skip"):
            if rest not in left_out:
                result.skipped.append(rest)
    return result


def run_all(ebb, names, left_out):
    """Results by file, several files at a time."""
    source = fetch()
    work, results = queue.Queue(), {}
    for name in names:
        work.put(name)

    def worker(number):
        copy = prepare(source, ebb, number)
        while True:
            try:
                name = work.get_nowait()
            except queue.Empty:
                return
            result = results[name] = run_file(copy, number, name, left_out.get(name, []))
            print(f"{name}: {len(result.passed)} passed, {len(result.failed)} failed, "
                  f"{len(result.skipped)} skipped, {result.seconds:.0f} s", flush=True)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[name] for name in names]


def read_known():
    """Reasons by file and test, and the tests to leave out by file."""
    known, left_out, section = {}, {}, None
    for line in (HERE / "known.txt").read_text().splitlines():
        if line.startswith("["):
            section = known.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            test, _, reason = line.removeprefix("! ").rpartition(" => ")
            section[test] = reason
            if line.startswith("! "):
                left_out.setdefault(next(reversed(known)), []).append(test)
    return known, left_out


def reason_for(known, name, test, detail):
    for pattern, reason in known.get(name, {}).items():
        if test == pattern or (pattern.endswith("*") and test.startswith(pattern[:-1])):
            return reason
    command = re.search(r"unknown command '(\w+)'", detail)
    if command:
        return f"needs {command.group(1).upper()}"
    subcommand = re.search(r"n subcommand '([\w-]+)'\. Try (\w+) HELP", detail)
    if subcommand:
        return f"needs {subcommand.group(2)} {subcommand.group(1).upper()}"
    if "appendonly.aof" in detail:
        return "needs an append-only file"
    missing = re.search(r"this version of Ebb has (no .*?) yet", detail)
    return missing.group(1) if missing else None


def read_passing():
    """The tests that must pass, as {file: [test]}."""
    passing = {}
    path = HERE / "passing.txt"
    for line in path.read_text().splitlines() if path.exists() else []:
        name, _, test = line.partition(": ")
        passing.setdefault(name, []).append(test)
    return passing


def missing(results, passing):
    """Tests that must pass and did not, with what they said."""
    return [(result.name, test, result.failed.get(test, "it did not run"))
            for result in results for test in passing.get(result.name, [])
            if test not in result.passed]


def write_passing(results, known):
    lines = [f"{result.name}: {test}" for result in results for test in result.passed
             if reason_for(known, result.name, test, "") is None]
    (HERE / "passing.txt").write_text("\n".join(dict.fromkeys(lines)) + "\n")


def counts(results, known):
    """Tests of the suite's units that passed, that failed, and of these those that need what is
    left out of the count."""
    units = [result for result in results if result.name.startswith("unit/")]
    failed = [(result.name, *failure) for result in units for failure in result.failed.items()]
    elsewhere = [one for one in failed if ELSEWHERE.search(reason_for(known, *one) or "")]
    return sum(len(result.passed) for result in units), len(failed), len(elsewhere)


def write_table(results, known):
    passed, failed, elsewhere = counts(results, known)
    share = 100 * passed / (passed + failed - elsewhere)
    lines = ["# Compatibility with Redis's own test suite", "",
             "`./x conformance --write` runs the test suite of Debian's Redis 7.0.15 against Ebb and",
             "writes this page. The suite starts Ebb itself. A file whose setup needs a feature that",
             "Ebb does not have yet stops there; what it would have tested later is not counted.", "",
             f"Of the tests in `unit/*` and `unit/type/*`, {passed} pass and {failed} fail. {elsewhere} of",
             "these need persistence, replication, or a cluster and MIGRATE. **Of all others, "
             f"{share:.1f}% pass** ({passed} of {passed + failed - elsewhere}). What Ebb leaves out of Redis and",
             "Valkey is listed in [left-out.md](left-out.md).", "",
             "| file | passed | failed | skipped by the suite |", "|---|---:|---:|---:|"]
    for result in results:
        lines.append(f"| `{result.name}` | {len(result.passed)} | {len(result.failed)} | "
                     f"{len(result.skipped)} |")
    lines += ["", "## Tests that fail, and why", ""]
    for result in results:
        if result.failed:
            lines += [f"### `{result.name}`", ""]
            for test in sorted(result.failed):
                reason = reason_for(known, result.name, test, result.failed[test])
                lines.append(f"- {test}: {reason or 'not explained yet'}.")
            lines.append("")
    (ROOT / "docs" / "compatibility.md").write_text("\n".join(lines).rstrip() + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ebb", type=os.path.abspath)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    names = options.files or (HERE / "files.txt").read_text().split()
    known, left_out = read_known()
    results = run_all(options.ebb, names, left_out)
    for result in results:
        for test in left_out.get(result.name, []):
            result.failed.setdefault(test, "")
    if options.write:
        write_table(results, known)
        write_passing(results, known)
    passing = read_passing()
    broken = missing(results, passing)
    if broken:
        # Some of the suite's tests measure time: a busy machine gets a second chance, which shows.
        names = sorted({name for name, _, _ in broken})
        print("Once more:", ", ".join(f"{test} ({detail})" for _, test, detail in broken))
        broken = missing(run_all(options.ebb, names, left_out), passing)
    for name, test, detail in broken:
        print(f"{name}: FAILED: {test}\n    {detail}")
    for result in results:
        if options.verbose:
            print(result.output)
        if options.write or options.files:
            for test, detail in result.failed.items():
                if reason_for(known, result.name, test, detail) is None:
                    print(f"{result.name}: unexplained: {test}\n    {detail}")
    passed = sum(len(result.passed) for result in results)
    failed = sum(len(result.failed) for result in results)
    unit_passed, unit_failed, elsewhere = counts(results, known)
    others = unit_passed + unit_failed - elsewhere
    print(f"units: {unit_passed} of {others} passed ({100 * unit_passed / max(others, 1):.1f}%), "
          f"beside {elsewhere} that need persistence, replication or a cluster")
    print(f"conformance: {passed} passed, {failed} failed, {len(broken)} that must pass did not")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
