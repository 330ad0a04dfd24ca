#!/usr/bin/env python3
"""COMMAND and COMMAND DOCS of Ebb beside those of newer servers.

usage: metadata_newer.py EBB SERVER...

A SERVER is a command line ("valkey-server", or what newer_servers.py prints). Where all of them that know a command
say the same of it and Ebb says something else, the test fails: arity, flags, positions of keys, categories, tips, key
specifications, and the names, kinds, tokens and flags of arguments. What Ebb has added to a command is in ADDED.
"""
import argparse
import os
import shlex
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from resp import Server  # noqa: E402

# Tokens of later versions that Ebb takes, by the kinds of their arguments.
ADDED = {"pure-token": {"ACKED", "ANDOR", "COUNT", "DELREF", "DIFF", "DIFF1", "KEEPREF", "ONE"},
         "string": {"IFDEQ", "IFDNE", "IFEQ", "IFNE"},
         "integer": {"BYPOLYGON", "CLAIM", "MAXCOUNT", "MAXSIZE"}}
# Sentences in key specifications, and what tells of a document instead of a command.
NOT_COMPARED = {"notes", "display_text", "summary", "since", "deprecated_since"}


def text(value):
    """A reply with strings in the place of bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [text(item) for item in value]
    return value if isinstance(value, int) else str(value)


def mapping(flat):
    pairs = dict(zip(flat[::2], flat[1::2]))
    return {name: value for name, value in pairs.items() if name not in NOT_COMPARED}


def described(entry):
    """What COMMAND tells of one command."""
    names = ["arity", "flags", "first key", "last key", "step", "categories", "tips", "key specifications"]
    facts = dict(zip(names, entry[1:9]))
    for name in ("flags", "categories", "tips"):
        facts[name] = sorted(facts[name])
    facts["key specifications"] = [mapping(spec) for spec in facts["key specifications"]]
    return facts


def argument(flat):
    """An argument of COMMAND DOCS. What Ebb has added is left out, and so is a choice that is left with nothing."""
    facts = mapping(flat)
    if facts.get("token") in ADDED.get(facts["type"], ()):
        return None
    if "flags" in facts:
        facts["flags"] = sorted(facts["flags"])
    if "arguments" in facts:
        facts["arguments"] = arguments(facts["arguments"])
        if not facts["arguments"]:
            return None
    return facts


def arguments(entries):
    return [facts for facts in map(argument, entries) if facts]


def commands_of(words):
    """What a server tells of each of its commands."""
    with Server(words[-1], prefix=words[:-1]) as server:
        client = server.client()
        entries, documents = text(client("COMMAND")), text(client("COMMAND", "DOCS"))
    commands = {}
    while entries:
        entry = entries.pop()
        commands[entry[0]] = described(entry)
        entries += entry[9]
    pending = list(mapping(documents).items())
    while pending:
        name, facts = pending.pop()
        facts = mapping(facts)
        commands[name]["arguments"] = arguments(facts.get("arguments", []))
        pending += mapping(facts.get("subcommands", [])).items()
    return commands


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ebb")
    parser.add_argument("servers", nargs="+")
    args = parser.parse_args()
    ebb = commands_of([os.path.abspath(args.ebb)])
    others = [commands_of(shlex.split(server)) for server in args.servers]
    differences = compared = 0
    for name, facts in sorted(ebb.items()):
        known = [other[name] for other in others if name in other]
        for fact, value in facts.items():
            theirs = [other[fact] for other in known]
            if not theirs or any(other != theirs[0] for other in theirs):
                continue
            compared += 1
            if value != theirs[0]:
                differences += 1
                print("%s: %s\n  Ebb    %s\n  others %s" % (name, fact, value, theirs[0]))
    print("%d facts of commands compared, %d differ" % (compared, differences))
    sys.exit(differences > 0 or compared < 2000)


if __name__ == "__main__":
    main()
