#!/usr/bin/env python3
"""Runs a Tcl test suite against Ebb, file by file: that of Debian's Redis source package, or another.

usage: run.py EBB [FILE ...] [--write] [--verbose]
       run.py EBB --suite valkey --source DIR [--tools DIR] [--ports FIRST] [FILE ...]

FILE is a test file as the suite names it ("unit/type/string"); without any, those of the list
`files.txt` run. The suite starts the server itself, as it does Redis. The tests in `passing.txt`
must pass. With --write that list and the table in docs/compatibility.md are made anew; why the
others fail is in `known.txt`, as far as their output does not say it.

The package is fetched from where the machine gets its Debian packages, and kept in
target/conformance. What is changed in the copy is in `suites.py`.

The suite of Valkey 9.1 is run from a directory of its source, with the lists `files-valkey.txt`
and `known-valkey.txt`; it prints its table, and fails if a test fails whose reason is not known.
--tools says where its valkey-cli and valkey-benchmark are, if not in the PATH; --ports, which of
2,000 ports servers use.
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

from suites import SUITES

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
WORK = ROOT / "target" / "conformance"
WORKERS = 2
# What a test that fails needs if it is none of those that count: persistence, replication (with
# replicas that wait and read only), a cluster (with moving keys between its nodes).
ELSEWHERE = re.compile(
    r"SYNC|REPLICAOF|SLAVEOF|replica|WAIT\b|cluster|CLUSTER|READONLY|MIGRATE|module|MODULE|"
    r"snapshot|RDB|SAVE|BGREWRITEAOF|append-only|appendonly|DEBUG RELOAD|LOADAOF")


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


def which(tool, options):
    """Where one of the suite's own programs is."""
    path = shutil.which(tool, path=options.tools)
    if path is None:
        raise SystemExit(f"conformance: no {tool}")
    return os.path.abspath(path)


def prepare(source, options, number):
    """A copy of the suite for one worker."""
    suite = SUITES[options.suite]
    copy = WORK / f"suite{suite.list_suffix}{number}"
    end_servers(copy)
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    shutil.copytree(source / "tests", copy / "tests")
    shutil.copy(source / "runtest", copy / "runtest")
    (copy / "src").mkdir()
    for tool in suite.tools:
        (copy / "src" / tool).symlink_to(which(tool, options))
    (copy / "src" / suite.server).symlink_to(options.ebb)
    suite.change(copy)
    return copy


class Result:
    """What became of one file's tests."""

    def __init__(self, name):
        self.name = name
        self.passed, self.failed, self.skipped = [], {}, []
        self.seconds = 0
        self.output = ""


def free_base(number, first):
    """The first port of a worker, and how many it may use. The suite's own port, 32 below, must be
    free: another run may have it. (10,000 more must be ports, too.)"""
    if first is not None:
        return first + 32 + number * 1000, 968
    for base in [13111 + number * 3500 + run * 10500 for run in range(4)]:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", base - 32))
                return base, 3000
            except OSError:
                continue
    raise SystemExit("conformance: another run has all ports that the suite can use")


def run_file(copy, number, name, left_out, options):
    """Runs one file of the suite, and reads what it prints."""
    result = Result(name)
    start = time.time()
    base, ports = free_base(number, options.ports)
    command = ["./runtest", "--single", name, "--clients", "1", "--durable",
               "--baseport", str(base), "--portcount", str(ports)]
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
    logs = WORK / f"logs{SUITES[options.suite].list_suffix}"
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


def run_all(options, names, left_out):
    """Results by file, several files at a time."""
    source = options.source or fetch()
    work, results = queue.Queue(), {}
    for name in names:
        work.put(name)

    def worker(number):
        copy = prepare(source, options, number)
        while True:
            try:
                name = work.get_nowait()
            except queue.Empty:
                return
            result = results[name] = run_file(copy, number, name, left_out.get(name, []),
                                              options)
            print(f"{name}: {len(result.passed)} passed, {len(result.failed)} failed, "
                  f"{len(result.skipped)} skipped, {result.seconds:.0f} s", flush=True)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[name] for name in names]


def read_known(suite):
    """Reasons by file and test, and the tests to leave out by file."""
    known, left_out, section = {}, {}, None
    for line in (HERE / f"known{suite.list_suffix}.txt").read_text().splitlines():
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
        if re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), test, re.DOTALL):
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


def table(results):
    """Lines of a table: what became of each file."""
    lines = ["| file | passed | failed | skipped by the suite |", "|---|---:|---:|---:|"]
    for result in results:
        lines.append(f"| `{result.name}` | {len(result.passed)} | {len(result.failed)} | "
                     f"{len(result.skipped)} |")
    return lines


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
             *table(results)]
    lines += ["", "## Tests that fail, and why", ""]
    for result in results:
        if result.failed:
            lines += [f"### `{result.name}`", ""]
            for test in sorted(result.failed):
                reason = reason_for(known, result.name, test, result.failed[test])
                lines.append(f"- {test}: {reason or 'not explained yet'}.")
            lines.append("")
    (ROOT / "docs" / "compatibility.md").write_text("\n".join(lines).rstrip() + "\n")


def unexplained(results, known):
    """Tests that failed without a reason that is known, with what they said."""
    return [(result.name, test, detail) for result in results
            for test, detail in result.failed.items()
            if reason_for(known, result.name, test, detail) is None]


def required(options, results, left_out):
    """Tests that must pass and do not, with a second chance."""
    passing = read_passing()
    broken = missing(results, passing)
    if broken:
        # Some of the suite's tests measure time: a busy machine gets a second chance, which shows.
        names = sorted({name for name, _, _ in broken})
        print("Once more:", ", ".join(f"{test} ({detail})" for _, test, detail in broken))
        broken = missing(run_all(options, names, left_out), passing)
    return broken


def options_of_command_line():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ebb", type=os.path.abspath)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--suite", choices=SUITES, default="redis")
    parser.add_argument("--source", type=pathlib.Path)
    parser.add_argument("--tools")
    parser.add_argument("--ports", type=int)
    options = parser.parse_intermixed_args()
    if options.suite != "redis":
        if options.write:
            parser.error("--write is for the suite of Redis")
        if options.source is None:
            parser.error(f"the suite of {options.suite} needs --source")
    return options


def main():
    options = options_of_command_line()
    suite = SUITES[options.suite]
    names = options.files or (HERE / f"files{suite.list_suffix}.txt").read_text().split()
    known, left_out = read_known(suite)
    results = run_all(options, names, left_out)
    for result in results:
        for test in left_out.get(result.name, []):
            result.failed.setdefault(test, "")
    if options.write:
        write_table(results, known)
        write_passing(results, known)
    if options.suite == "redis":
        broken = required(options, results, left_out)
    else:
        print("\n".join(table(results)))
        broken = unexplained(results, known)
    for name, test, detail in broken:
        print(f"{name}: FAILED: {test}\n    {detail}")
    for result in results:
        if options.verbose:
            print(result.output)
    if options.suite == "redis" and (options.write or options.files):
        for name, test, detail in unexplained(results, known):
            print(f"{name}: unexplained: {test}\n    {detail}")
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
