#!/usr/bin/env python3
"""Valkey 9 and Redis 8, the real ones, for tests on demand.

usage: newer_servers.py [valkey-server | redis-server] [--source valkey | redis]

Prints the command line of a server, or the directory of its source with the test suite. Both come
from a newer suite of Debian ($NEWER_SUITE, "sid" if not set), from where the machine gets its own
packages; they are unpacked with the libraries that they need into target/newer and run by their own
loader. Nothing is installed.
"""
import glob
import os
import pathlib
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITE = os.environ.get("NEWER_SUITE", "sid")
HOME = ROOT / "target" / "newer" / SUITE
PACKAGES = {"valkey-server": ["valkey-tools", "valkey-server"],
            "redis-server": ["redis-tools", "redis-server"]}
LIBRARIES = ["libc6", "libssl3t64", "libjemalloc2", "liblzf1", "libsystemd0", "libatomic1",
             "libstdc++6", "libgcc-s1", "libcap2", "zlib1g", "libzstd1", "liblzma5"]


def apt(*arguments, cwd=None):
    """Runs apt-get with the newer suite alone, and lists and caches of its own."""
    state = HOME / "apt"
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    sources = state / "sources.list"
    if not sources.exists():
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(COMPONENT)",
             "Created-By: Packages"], capture_output=True, text=True, check=True).stdout
        sites = [line.split()[0] for line in targets.splitlines()
                 if line.endswith(" Debian main") and "security" not in line]
        if not sites:
            sys.exit("this machine has no Debian mirror among its package sources")
        sources.write_text("".join("%s %s %s main\n" % (kind, sites[0], SUITE)
                                   for kind in ("deb", "deb-src")))
    options = {"Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null",
               "Dir::State::Lists": state / "lists", "Dir::Cache": state / "cache",
               "APT::Sandbox::User": "root"}
    flags = [word for name, value in options.items() for word in ("-o", "%s=%s" % (name, value))]
    subprocess.run(["apt-get", "-qq", *flags, *arguments], cwd=cwd, check=True,
                   stdout=subprocess.DEVNULL)


def fetch(packages):
    """Unpacks packages that are not there yet."""
    root, archives = HOME / "root", HOME / "packages"
    archives.mkdir(parents=True, exist_ok=True)
    missing = [name for name in packages if not (archives / (name + ".done")).exists()]
    if not missing:
        return root
    apt("update")
    apt("download", *missing, cwd=archives)
    for name in missing:
        for archive in glob.glob(str(archives / (name + "_*.deb"))):
            subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
        (archives / (name + ".done")).touch()
    return root


def command(server):
    """The words that start a server ("valkey-server" or "redis-server")."""
    root = fetch(LIBRARIES + PACKAGES[server])
    loader = glob.glob(str(root / "usr" / "lib*" / "ld-linux-*"))[0]
    libraries = glob.glob(str(root / "usr" / "lib" / "*-linux-gnu"))[0]
    return [loader, "--argv0", server, "--library-path", libraries,
            str(root / "usr" / "bin" / server)]


def source(package):
    """The directory of a source package ("valkey" or "redis"), unpacked."""
    home = HOME / "source" / package
    if not glob.glob(str(home / "*" / "tests" / "unit")):
        home.mkdir(parents=True, exist_ok=True)
        apt("update")
        apt("source", "--download-only", package, cwd=home)
        for archive in glob.glob(str(home / "*.orig.tar.*")):
            with tarfile.open(archive) as tar:
                tar.extractall(home, filter="data")
    return pathlib.Path(glob.glob(str(home / "*" / "tests" / "unit"))[0]).parents[1]


def main():
    words = sys.argv[1:]
    if words[:1] == ["--source"] and words[1:] in (["valkey"], ["redis"]):
        print(source(words[1]))
    elif len(words) == 1 and words[0] in PACKAGES:
        print(" ".join(command(words[0])))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
