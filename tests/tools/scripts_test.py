#!/usr/bin/env python3
"""Each script says what it is for, and takes no word that it does not know.

  scripts_test.py SCRIPTS
"""

import pathlib
import subprocess
import sys

SCRIPTS = pathlib.Path(sys.argv[1])
# `demo` hands its words to the VMM; `usage` is a part of the others.
REFUSES = ("build", "check_format", "deps", "fuzz", "sanitize", "test")


def run(name, *words):
    return subprocess.run([SCRIPTS / name, *words], capture_output=True, text=True, check=False,
                          timeout=20, stdin=subprocess.DEVNULL)


bad = []
for name in (*REFUSES, "demo"):
    top = (SCRIPTS / name).read_text().splitlines()[1].removeprefix("# ")
    for word in ("-h", "--help"):
        got = run(name, word)
        if got.returncode != 0 or got.stderr or not got.stdout.startswith(top + "\n"):
            bad.append(f"{name} {word}: {got.returncode} {got.stdout!r} {got.stderr!r}")
for name in REFUSES:
    got = run(name, "--nonsense")
    if got.returncode != 2 or got.stdout or "--nonsense" not in got.stderr:
        bad.append(f"{name} --nonsense: {got.returncode} {got.stdout!r} {got.stderr!r}")
if set(REFUSES) | {"demo", "usage"} != {f.name for f in SCRIPTS.iterdir() if f.is_file()}:
    bad.append(f"which of {SCRIPTS} is not asked?")
print("\n".join(bad) or "ok")
sys.exit(bool(bad))
