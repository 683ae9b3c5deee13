#!/usr/bin/env python3
"""scripts/build says how much there is to do before it does it, and nothing of a little.

  build_test.py SCRIPT
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

STAND_INS = {
    "scripts/deps": "true",
    "bin/cmake": "true",
    # As ninja does where CMake checks globs: a dry run ends before it has begun.
    "bin/ninja": 'case "$*" in *"-t commands"*) seq 100 ;; *) echo "[1/2] Re-running CMake..." ;; esac',
    "bin/nproc": "echo 2",
}


def build(log_lines):
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name, text in STAND_INS.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        shutil.copy(sys.argv[1], folder / "scripts/build")
        made = folder / "build/release"
        made.mkdir(parents=True)
        (made / ".ninja_log").write_text("# ninja log v5\n" + "0\t1\t2\tx.o\th\n" * log_lines)
        env = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        return subprocess.run([folder / "scripts/build"], capture_output=True, text=True, env=env,
                              check=True).stdout


cold, warm = build(0), build(95)
if "building everything: 100 steps on 2 cores, about 2 min" not in cold or "steps" in warm:
    sys.exit(f"cold:\n{cold}warm:\n{warm}")
