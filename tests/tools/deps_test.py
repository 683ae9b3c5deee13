#!/usr/bin/env python3
"""scripts/deps ends a test run for what is needed only, with stand-ins for Debian's programs.

  deps_test.py DEPS
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

DEPS = sys.argv[1]
TOOLS = ("sh", "env", "mktemp", "rm", "tail", "cat", "grep")
PROGRAMS = {
    # Everything is installed but what is in $MISSING, less what apt-get has brought.
    "dpkg-query": """for package; do :; done
case " $MISSING " in *" $package "*)
  grep -qx "$package" "$STATE" 2>/dev/null || { echo not-installed; exit 1; } ;; esac
echo installed""",
    "apt-get": """case $* in *update*) exit ${UPDATE:-0} ;; esac
for package; do case " $NOWHERE " in *" $package "*) echo "Unable to locate $package"; exit 100 ;; esac; done
for package; do echo "$package" >>"$STATE"; done""",
    "id": "echo ${USER_ID:-0}",
}


def deps(*words, **variables):
    with tempfile.TemporaryDirectory() as folder:
        for name in TOOLS:
            os.symlink(shutil.which(name), f"{folder}/{name}")
        for name, script in PROGRAMS.items():
            path = pathlib.Path(folder, name)
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        done = subprocess.run([f"{folder}/sh", DEPS, *words], capture_output=True, text=True,
                              env={"PATH": folder, "STATE": f"{folder}/state", **variables})
        return done.returncode, done.stdout + done.stderr


def expect(status, words, *call, **variables):
    got, said = deps(*call, **variables)
    assert got == status and all(word in said for word in words), (call, variables, got, said)
    return said


def main():
    assert expect(0, [], "tests") == ""
    for wrong in (["test"], ["tests", "x"], ["--help"], [""]):
        expect(2, ["takes nothing, or the word 'tests'"], *wrong)
    # What is only tried: there is no root, no network, or no such package.
    expect(0, ["not to be had: udev"], "tests", MISSING="udev", USER_ID="1000")
    expect(0, ["not to be had: udev"], "tests", MISSING="udev", UPDATE="100", NOWHERE="udev")
    said = expect(0, ["not to be had: udev;"], "tests", MISSING="udev chromium", NOWHERE="udev")
    assert "not to be had: chromium" not in said
    assert expect(0, [], MISSING="udev") == ""  # not asked for
    # What is needed.
    expect(0, ["installing: g++"], MISSING="g++")
    expect(0, ["installing: g++"], MISSING="g++", UPDATE="100")  # what apt has already
    expect(1, ["run as root"], "tests", MISSING="g++ udev", USER_ID="1000")
    expect(1, ["not to be had: g++", "Unable to locate"], "tests", MISSING="g++", NOWHERE="g++")
    print("scripts/deps tells needed from tried")


if __name__ == "__main__":
    main()
