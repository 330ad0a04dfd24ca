"""A wall clock that stands still until it is moved, for servers started with its environment."""
import glob
import os
import tempfile


DAY_MS = 86_400_000


class Failure(Exception):
    """What two servers, or a server and a model, do not agree on."""


def step(r, now_ms, deadlines):
    """A later time: soon, or a good deal later, or about when something is due."""
    ahead = sorted(at for at in deadlines if now_ms < at < now_ms + 10 * DAY_MS)
    if ahead and r.random() < 0.6:
        # Mostly the next ones, or little of what has deadlines would ever be alive.
        at = ahead[min(int(r.expovariate(0.7)), len(ahead) - 1)]
        return max(at + r.choice([-1, 0, 0, 1, 1]), now_ms + 1)
    return now_ms + r.choice([1, 1, 1, r.randint(1, 30), r.randint(1, 30), r.randint(1, 2000), r.randint(1, 60_000)] +
                             [r.randint(1, 3 * DAY_MS)] * (r.random() < 0.3))


class FrozenClock:
    """What `environment` starts has this time, to the microsecond. Only the wall clock is held: event loops and
    timers go on by the monotonic one."""

    def __init__(self, now_ms):
        # The other variant now and then tells threads the real time.
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not found:
            raise RuntimeError("libfaketime is not installed")
        self.library = found[0]
        self.folder = tempfile.mkdtemp(prefix="ebb-clock-")
        self.file = os.path.join(self.folder, "now")
        self.set(now_ms)

    def environment(self):
        return {
            **os.environ,
            # libfaketime allocates before it is ready, and jemalloc asks for the time before it is: the oracle, which
            # is linked with it, would not start. With libc before jemalloc, it is libc that is asked for memory.
            "LD_PRELOAD": self.library + " libc.so.6",
            "FAKETIME_TIMESTAMP_FILE": self.file,
            # The file is read at each look at the clock, so that a move is seen by whatever comes after it.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FMT": "%s",
            "TZ": "UTC",
        }

    def set(self, now_ms):
        """The clock of all servers at once, and never half written."""
        self.now_ms = now_ms
        with open(self.file + ".next", "w") as file:
            # Within the millisecond: the library rounds fractions down.
            file.write("%d.%03d500\n" % divmod(now_ms, 1000))
        os.rename(self.file + ".next", self.file)

    def close(self):
        for name in os.listdir(self.folder):
            os.remove(os.path.join(self.folder, name))
        os.rmdir(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
