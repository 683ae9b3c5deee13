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
#include "room/used.h"
#include "room/unused.h"
// std::map and std::optional are only spoken of.
void f(std::vector<std::uint8_t>& v) { std::ranges::sort(v); }
const char* g() { return "std::optional Unused"; }
int h(const Used& used) { return used.more; }
"""
# A header is asked, too; whatever it includes for others (twice.h) is theirs.
HEADER = """#pragma once
#include <vector>
#include "room/all.h"
#include "room/announced.h"
#include "room/twice.h"
#include "room/unused.h"
#include "room/used.h"  // IWYU pragma: export
class Twice;
void i(const Inner& inner, Announced& announced, Twice& twice);
"""
HEADERS = {"used.h": "struct Used { int more = 0; };", "unused.h": "class Unused { int less = 0; };",
           "x.h": HEADER, "inner.h": "struct Inner {};", "announced.h": "class Announced;",
           "all.h": '#include "room/inner.h"  // IWYU pragma: export', "twice.h": "class Twice;"}

with tempfile.TemporaryDirectory() as folder:
    source = pathlib.Path(folder) / "src/room/x.cc"
    source.parent.mkdir(parents=True)
    source.write_text(TEXT)
    for name, text in HEADERS.items():
        (source.parent / name).write_text(text)
    result = subprocess.run([CHECK, folder], capture_output=True, text=True)

named = [line for line in result.stdout.splitlines() if "fix:" not in line]
expected = ["src/room/x.cc:3: nothing of <map> is used", "src/room/x.cc:4: nothing of <optional> is used",
            "src/room/x.cc:8: nothing of <room/unused.h> is used",
            "src/room/x.h:2: nothing of <vector> is used",
            "src/room/x.h:5: nothing of <room/twice.h> is used",
            "src/room/x.h:6: nothing of <room/unused.h> is used"]
if result.returncode != 1 or named != expected:
    sys.exit(f"said:\n{result.stdout}{result.stderr}")
