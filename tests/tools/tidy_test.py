#!/usr/bin/env python3
"""tidy fails on an include that is not used, and not on what comes by another header."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

TIDY = pathlib.Path(sys.argv[1])
if not shutil.which("clang-tidy-19"):
    sys.exit(77)  # skipped
FILES = {
    "unused.h": "#pragma once\nstruct Unused {};\n",
    "inner.h": "#pragma once\nstruct Inner { int x; };\n",
    "outer.h": '#pragma once\n#include "inner.h"  // IWYU pragma: keep\nstruct Outer { Inner inner; };\n',
    "bad.cc": '#include "outer.h"\n#include "unused.h"\nint f(const Outer& o) { Inner i = o.inner; return i.x; }\n',
    "good.cc": '#include "outer.h"\nint f(const Outer& o) { Inner i = o.inner; return i.x; }\n',
    "wrong.cc": '#include "outer.h"\nint f(const Outer& o) { Inner i = o.inner; while (i.x > 0) {} return i.y; }\n',
}


def tidy(folder, name):
    done = subprocess.run(
        [TIDY, "--quiet", "--warnings-as-errors=*", f"--config-file={TIDY.parents[1] / '.clang-tidy'}",
         f"{folder}/{name}", "--"], capture_output=True, text=True)
    return done.returncode, [line for line in done.stdout.splitlines() if ": error: " in line]


failed = []
with tempfile.TemporaryDirectory() as folder:
    for name, text in FILES.items():
        pathlib.Path(folder, name).write_text(text)
    code, said = tidy(folder, "bad.cc")
    if code == 0 or len(said) != 1 or "bad.cc:2:1: error: included header unused.h is not used" not in said[0]:
        failed.append(f"bad.cc: {code} {said}")
    code, said = tidy(folder, "good.cc")
    if code != 0 or said:
        failed.append(f"good.cc: {code} {said}")
    code, said = tidy(folder, "wrong.cc")  # what does not compile is no "missing header"
    if code == 0 or len(said) != 1 or "no member named 'y'" not in said[0]:
        failed.append(f"wrong.cc: {code} {said}")
sys.exit("\n".join(failed) or 0)
