#!/usr/bin/env python3
"""check_includes names a header of which nothing is used, and none that is used."""

import pathlib
import subprocess
import sys
import tempfile

CHECK = pathlib.Path(sys.argv[1])
TEXT = """#include <algorithm>  // ranges::sort
#include <cstdint>
#include <map>
#include <optional>
#include <vector>
#include <sys/stat.h>
// std::map and std::optional are only spoken of.
void f(std::vector<std::uint8_t>& v) { std::ranges::sort(v); }
const char* g() { return "std::optional"; }
"""

with tempfile.TemporaryDirectory() as folder:
    source = pathlib.Path(folder) / "src/room/x.cc"
    source.parent.mkdir(parents=True)
    source.write_text(TEXT)
    result = subprocess.run([CHECK, folder], capture_output=True, text=True)

named = [line for line in result.stdout.splitlines() if "fix:" not in line]
expected = ["src/room/x.cc:3: nothing of <map> is used", "src/room/x.cc:4: nothing of <optional> is used"]
if result.returncode != 1 or named != expected:
    sys.exit(f"said:\n{result.stdout}{result.stderr}")
