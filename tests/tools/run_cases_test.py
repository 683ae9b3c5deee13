#!/usr/bin/env python3
"""tests/run_cases names what failed and where a program ended, and fails then.

  run_cases_test.py SCRIPT
"""

import pathlib
import subprocess
import sys
import tempfile

PASSES = 'echo "[ RUN      ] A.Passes"; echo noise; echo "[       OK ] A.Passes (0 ms)"\n'
SKIPS = 'echo "[ RUN      ] A.Skips"; echo why; echo "[  SKIPPED ] A.Skips (0 ms)"\n'
FAILS = ('echo "[ RUN      ] A.Fails"; echo f.cc:6: Failure >&2; '
         'echo "[  FAILED  ] A.Fails, where GetParam() = 2 (0 ms)"\n')
BEGINS = 'echo "[ RUN      ] B.Begins"; echo "so far"\n'
SUMMARY = 'echo "[  PASSED  ] 1 test."\n'


def run(body, seconds="20"):
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "program"
        program.write_text("#!/bin/sh\n" + body)
        program.chmod(0o755)
        done = subprocess.run([sys.argv[1], seconds, program, "--option"], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout


def expect(name, got, status, has=(), lacks=()):
    code, text = got
    if code != status or any(h not in text for h in has) or any(word in text for word in lacks):
        sys.exit(f"{name}: status {code}, not {status}, or not these words: {has}, not {lacks}:\n{text}")


expect("passes", run(PASSES + SKIPS + SUMMARY), 0, ["[  PASSED  ] 1 test."], ["noise", "why", "ENDED"])
expect("fails", run(PASSES + FAILS + SKIPS + "exit 1"), 1, ["f.cc:6: Failure\n[  FAILED  ] A.Fails, where"],
       ["noise", "why", "ENDED"])
expect("crashes", run(PASSES + BEGINS + "kill -SEGV $$"), 1, ["so far\n[ ENDED IN ] B.Begins"], ["noise"])
expect("hangs", run(PASSES + BEGINS + "exec sleep 60", "0.2"), 1, ["[ ENDED IN ] B.Begins"])
expect("leaves", run(BEGINS + "exit 0"), 1, ["[ ENDED IN ] B.Begins"])
expect("options", run('echo "$@"'), 0, ["--option"])
