"""What the benchmarks share: servers on chosen cores, loads, tables of figures, a probing client."""
import glob
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from resp import Client, encode, free_port  # noqa: E402

EBB = os.path.abspath(os.environ.get("EBB") or os.path.join(ROOT, "target", "dist", "ebb"))
FLOOR = os.path.join(ROOT, "target", "floor")


class Process:
    """A server on some cores."""

    def __init__(self, kind, threads=1, cores="0", options=()):
        self.kind, self.port, self.dir = kind, free_port(), tempfile.mkdtemp()
        command = {
            "ebb": [EBB, "server", "--io-threads", str(threads), "--save", ""],
            "redis": ["redis-server", "--save", "", "--appendonly", "no"],
            "floor": [FLOOR],
        }[kind]
        argv = ["taskset", "-c", cores] + command + ["--port", str(self.port), *options]
        self.log = open(os.path.join(self.dir, "log"), "w")
        self.process = subprocess.Popen(argv, cwd=self.dir, stdout=self.log, stderr=self.log)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        else:
            raise RuntimeError("%s did not start" % kind)
        self.pid = self.process.pid

    def cpu(self):
        """Seconds of CPU time used so far."""
        total = 0
        for path in glob.glob("/proc/%d/task/*/schedstat" % self.pid):
            try:
                with open(path) as stat:
                    total += int(stat.read().split()[0])
            except OSError:
                pass
        return total / 1e9

    def resident(self):
        with open("/proc/%d/statm" % self.pid) as statm:
            return int(statm.read().split()[1]) * 4096

    def client(self):
        return Client(self.port, timeout=600)

    def stop(self):
        self.process.kill()
        self.process.wait()
        subprocess.run(["rm", "-rf", self.dir], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def load(server, test, requests, pipeline, size, keys, core="1"):
    """CPU microseconds of the server for one operation."""
    before = server.cpu()
    argv = ["taskset", "-c", core, "redis-benchmark", "-p", str(server.port), "-c", "50", "-q",
            "-t", test, "-n", str(requests), "-P", str(pipeline), "-d", str(size), "-r", str(keys)]
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return (server.cpu() - before) / requests * 1e6


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, value, goal, text):
        """A figure that should be at most `goal`; None for a figure without a goal."""
        verdict = "" if goal is None else ("ok" if value <= goal else "SHORT")
        row = (what, "%.2f" % value, "" if goal is None else "<= %g" % goal, verdict, text)
        self.rows.append(row)
        print("%-44s %10s %9s %6s  %s" % row, flush=True)


def fill(port, count, key, value, batch=1000):
    """SETs keys `key % n`; returns bytes of keys and values."""
    client = Client(port, timeout=600)
    payload = 0
    for start in range(0, count, batch):
        commands = []
        for n in range(start, min(start + batch, count)):
            k, v = key % n, value(n)
            payload += len(k) + len(v)
            commands.append(encode((b"SET", k, v)))
        client.raw(b"".join(commands))
        for _ in commands:
            client.file.readline()
    client.close()
    return payload


class Probe:
    """A client that sends a command each millisecond and notes how long it took. It is a process of
    its own, which waits for no thread of this one."""

    def __init__(self, port, *command):
        argv = [sys.executable, os.path.abspath(__file__), str(port), *command]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
        self.process.stdout.readline()

    def start(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def finish(self):
        """Times in milliseconds, sorted."""
        self.process.terminate()
        times, _ = self.process.communicate()
        return sorted(map(float, times.split()))


def probe(port, *command):
    """What the process does: it probes from a line of its input on until it is told to end."""
    client, times, running = Client(int(port)), [], True

    def end(*_):
        nonlocal running
        running = False
    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    sys.stdin.readline()
    while running:
        before = time.perf_counter()
        client(*command)
        took = time.perf_counter() - before
        times.append("%.3f" % (took * 1000))
        time.sleep(max(0.001 - took, 0))
    print(*times)


def percentile(times, share):
    """A percentile of sorted times."""
    return times[min(int(len(times) * share / 100), len(times) - 1)]


def pipelined(client, commands):
    """Sends commands together and reads past their replies, each of one line or one bulk."""
    client.raw(b"".join(encode(command) for command in commands))
    for _ in commands:
        line = client.file.readline()
        if line[:1] == b"-":
            raise RuntimeError(line.decode())
        if line[:1] == b"$" and line != b"$-1\r\n":
            client.file.read(int(line[1:]) + 2)


if __name__ == "__main__":
    probe(*sys.argv[1:])
