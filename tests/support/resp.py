"""A client of a few lines for the tests: RESP2 and RESP3, pipelines, no dependencies."""
import os
import shutil
import socket
import subprocess
import tempfile
import time


class Error(str):
    """An error reply."""

    def __repr__(self):
        return "Error(%s)" % str.__repr__(self)


def encode(args):
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        if not isinstance(arg, bytes):
            arg = str(arg).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(out)


class Client:
    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)

    def send(self, *args):
        self.socket.sendall(encode(args))

    def raw(self, data):
        self.socket.sendall(data)

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("connection closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode("latin1")
        if kind == b"-":
            return Error(rest.decode("latin1"))
        if kind == b":":
            return int(rest)
        if kind in b"$=":
            size = int(rest)
            if size < 0:
                return None
            data = self.file.read(size + 2)[:-2]
            return data if kind == b"$" else ("verbatim", data)
        if kind in b"*~>":
            size = int(rest)
            if size < 0:
                return None
            return [self.read() for _ in range(size)]
        if kind == b"%":
            return {"map": [(self.read(), self.read()) for _ in range(int(rest))]}
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind in b",(":
            return (kind.decode(), rest.decode())
        raise ValueError("unknown reply %r" % line)

    def __call__(self, *args):
        self.send(*args)
        return self.read()

    def pipeline(self, commands):
        self.raw(b"".join(encode(command) for command in commands))
        return [self.read() for _ in commands]

    def close(self):
        self.file.close()
        self.socket.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process in a folder of its own; stopped by `stop` or at the end of `with`."""

    def __init__(self, binary, *options, env=None, prefix=()):
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="ebb-test-")
        self.binary = binary
        role = ["server"] if os.path.basename(binary) == "ebb" else []
        if role and "--io-threads" in options:
            # Who asks for several threads wants them to serve, however little there is to do.
            role += ["--io-threads-always-active", "yes"]
        self.argv = [*prefix, binary, *role, "--port", str(self.port), "--save", "", *map(str, options)]
        self.env = env
        self.start()

    def start(self):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self.argv, cwd=self.dir, stdout=log, stderr=log, env=self.env)
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                client = Client(self.port)
                client("PING")
                client.close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("%s did not start:\n%s" % (self.argv, self.log()))

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as log:
            return log.read()

    def client(self, **options):
        return Client(self.port, **options)

    def resident(self):
        with open("/proc/%d/statm" % self.process.pid) as statm:
            return int(statm.read().split()[1]) * 4096

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
