#!/usr/bin/env python3
"""Clients that people use: redis-cli, redis-benchmark, redis-py, ioredis and node-redis, against a fresh server.

usage: clients.py EBB

redis-py is installed into a virtual environment in target/clients; what uses it is in support/redis_py.py and
support/redis_py_types.py, which run there. The clients for Node are installed into target/clients_node; what uses
them is in clients_node.
"""
import fcntl
import os
import pathlib
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
import venv

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
from resp import Server  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / "target" / "clients"
REDIS_PY = "redis==5.2.1"


def redis_cli(server, *args, stdin=None):
    command = ["redis-cli", "-p", str(server.port), *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def check_redis_cli(server):
    assert redis_cli(server, "SET", "name", "value") == "OK"
    assert redis_cli(server, "GET", "name") == "value"
    assert redis_cli(server, "--no-raw", "GET", "nothing") == "(nil)"
    assert redis_cli(server, "--no-raw", "INCR", "count") == "(integer) 1"
    assert redis_cli(server, "-3", "--no-raw", "CONFIG", "GET", "port").startswith('1# "port"')
    assert redis_cli(server, "--no-raw", "OBJECT").startswith("(error) ERR wrong number")
    assert "OBJECT <subcommand>" in redis_cli(server, "OBJECT", "HELP")
    assert redis_cli(server, stdin="MULTI\nSET a 1\nINCR a\nEXEC\n").split() == [
        "OK", "QUEUED", "QUEUED", "OK", "2"]
    assert redis_cli(server, "-x", "SET", "piped", stdin="from a pipe") == "OK"
    assert redis_cli(server, "GET", "piped") == "from a pipe"
    assert sorted(redis_cli(server, "--scan").split()) == ["a", "count", "name", "piped"]
    assert "redis_version" in redis_cli(server, "INFO", "server")
    mass = "".join("*3\r\n$3\r\nSET\r\n$%d\r\nmass:%d\r\n$1\r\nx\r\n" % (len("mass:%d" % n), n)
                   for n in range(1000))
    assert "errors: 0, replies: 1000" in redis_cli(server, "--pipe", stdin=mass)
    assert "Sampled 1004 keys" in redis_cli(server, "--bigkeys")
    assert "keys" in redis_cli(server, "--memkeys")


def check_interactive(server):
    """Hints and completion come from COMMAND DOCS, which redis-cli asks for when it starts."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm"
        # A terminal without a size would be asked for it, and nobody here would answer.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        os.execvp("redis-cli", ["redis-cli", "-p", str(server.port)])
    seen = b""

    def until(text):
        nonlocal seen
        end = time.time() + 20
        while text not in seen:
            assert time.time() < end, "redis-cli did not show %r but %r" % (text, seen)
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                raise AssertionError("redis-cli ended after %r" % seen) from None

    until(b"> ")
    os.write(terminal, b"getr")
    time.sleep(0.2)
    os.write(terminal, b"\t")
    until(b"GETRANGE")

    until(b"key start end")
    os.write(terminal, b" name 0 2\r")
    until(b'"val"')
    # What is typed before the next prompt is thrown away.
    time.sleep(0.2)
    os.write(terminal, b"help getrange\r")
    until(b"2.4.0")
    time.sleep(0.2)
    os.write(terminal, b"quit\r")
    os.waitpid(process, 0)
    os.close(terminal)


def check_redis_benchmark(server):
    tests = "ping_inline,ping_mbulk,set,get,incr,mset"
    for options in (["-P", "1"], ["-P", "16", "-r", "1000"], ["-3"], ["--threads", "2"]):
        command = ["redis-benchmark", "-p", str(server.port), "-t", tests, "-n", "5000", "-q", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        text = done.stdout + done.stderr
        assert done.returncode == 0 and "rror" not in text and "WARNING" not in text, text
        assert text.count("requests per second") == 6, text


def check_redis_py(server):
    python = ENVIRONMENT / "bin" / "python"
    marker = ENVIRONMENT / REDIS_PY
    if not marker.exists():
        print("clients: installing %s into %s" % (REDIS_PY, ENVIRONMENT), flush=True)
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", REDIS_PY], check=True)
        marker.touch()
    for name in ("redis_py.py", "redis_py_types.py"):
        script = ROOT / "tests" / "support" / name
        subprocess.run([python, script, str(server.port)], check=True, timeout=120)


def check_node(server):
    """Installs exactly what the lock file names, if that is not there yet."""
    source, place = ROOT / "tests" / "clients_node", ROOT / "target" / "clients_node"
    lock = source / "package-lock.json"
    marker = place / "installed.json"
    if not marker.exists() or marker.read_bytes() != lock.read_bytes():
        print("clients: installing clients for Node into %s" % place, flush=True)
        place.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, place)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=place, check=True, timeout=300)
        shutil.copy(lock, marker)
    environment = dict(os.environ, NODE_PATH=str(place / "node_modules"))
    subprocess.run(["node", source / "main.cjs", str(server.port)], env=environment, check=True, timeout=120)


def main():
    with Server(sys.argv[1], "--io-threads", "2") as server:
        for check in (check_redis_cli, check_interactive, check_redis_benchmark, check_redis_py, check_node):
            check(server)
            print("clients: %s" % check.__name__.removeprefix("check_"), flush=True)

if __name__ == "__main__":
    main()
