#!/usr/bin/env python3
"""Breaks each house rule once in a tree of two rooms; check_rooms must find it."""

import pathlib
import subprocess
import sys
import tempfile

CHECK = pathlib.Path(sys.argv[1])

TABLE = """| room | what lives there | may include |
|---|---|---|
| `low` | | nothing |
| `high` | | `low` |
| `hw` | | nothing |
"""
TREE = {
    "ARCHITECTURE.md": TABLE,
    "src/CMakeLists.txt": "teeio_room(low)\nteeio_room(high DEPS low)\nteeio_room(hw)\n",
    "src/hw/README.md": "# hw\n",
    "src/hw/x.h": "#pragma once\nint severity(); // as TDX's, seven\n",
    "src/low/README.md": "# low\n",
    "src/high/README.md": "# high\n",
    "src/low/low.h": "#pragma once\n",
    "src/high/high.cc": '#include "low/low.h"\n',
}
# (file, its new text, what the report must say)
BREACHES = [
    ("src/low/low.h", '#pragma once\n#include "high/high.h"\n', "low may not include high"),
    ("src/high/high.cc", '#include "nowhere/x.h"\n', "is in no room"),
    ("src/CMakeLists.txt", "teeio_room(low DEPS high)\nteeio_room(high)\n", "low links high"),
    ("src/CMakeLists.txt", "teeio_room(low)\n", "high is in the table and not built"),
    ("src/CMakeLists.txt", "teeio_room(low)\nteeio_room(high)\nteeio_room(hw)\n",
     "high includes low and does not link it"),
    ("src/high/high.cc", "int x;\n", "high may include low, and does not"),
    ("src/low/README.md", None, "has no README.md"),
    ("src/low/README.md", "| file | what |\n|---|---|\n", "low.h is not in the list of files"),
    ("src/low/README.md", "| file | what |\n|---|---|\n| `{low,gone}.h` | |\n", "gone.h is not there"),
    ("src/low/low.h", "int x();\n", "has no guard"),
    ("src/high/high.cc", "std::mutex m;\n", "invisible to the schedule explorer"),
    ("src/high/high.cc", "thread_local int x;\n", "invisible to the schedule explorer"),
    ("src/high/high.cc", "// TODO later\n", "unfinished"),
    ("src/high/high.cc", "// design.md says so\n", "no page that a reader can open"),
    ("tests/a.cc", "// as in the firmware notes\n", "no page that a reader can open"),
    ("src/high/high.cc", "\n" * 401, "401 lines"),
    ("src/high/high.cc", '#include "schedule/plant_bug.h"\n', "could be planted"),
    ("src/high/high.cc", 'bool b = seeded("nothing");\n', "has no row"),
    ("src/high/high.cc", 'void f() { consult("nothing"); }\n', "has no row"),
    ("src/explore/scenario/seeded_bugs.cc", '    {"unasked", "what", "where", "whose"},\n',
     "no code asks for"),
    ("src/hw/x.h", "#pragma once\nvoid set_td(int tdx_key);\n", "names a vendor"),
    ("src/hw/x.h", "#pragma once\nenum class E { kSevEnable };\n", "names a vendor"),
    ("src/hw/x.h", "#pragma once\nconst char* path = \"intel-iommu\";\n", "names a vendor"),
    ("src/hw/x.h", "#pragma once\nconst char* call = \"TDG.DEVIF.VALIDATE\";\n", "names a vendor"),
    ("src/hw/x.h", "#pragma once\nconst char* call = \"RMI_GRANULE_DELEGATE\";\n", "names a vendor"),
    ("src/hw/x.h", "#pragma once\nint asid_of(int vm);\n", "names a vendor"),
    ("tests/a.cc", "void f() { usleep(1); }\n", "waits for time"),
    ("src/hw/x.cc", "void f() {\n  static Taken taken;\n}\n", "outlives its machine"),
    ("src/hw/x.cc", "void f() {\n  static auto& kept = *new Spares;\n}\n", "outlives its machine"),
    ("src/hw/x.cc", "constinit bool g_on = false;\n", "outlives its machine"),
    ("src/hw/x.cc", "struct X {\n  schedule::RawLock lock_;\n};\n", "the explorer sees no order"),
]


def run(change=None):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        tree = dict(TREE)
        if change:
            tree[change[0]] = change[1]
        for name, text in tree.items():
            if text is None:
                continue
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([CHECK, root], capture_output=True, text=True, check=False)
        # Its lists of exceptions name files of the real tree.
        found = [line for line in done.stdout.splitlines() if "the exception src/" not in line]
        return "\n".join(found)


def main():
    failures = 0
    clean = run()
    if any(": " in line and "fix:" not in line for line in clean.splitlines()):
        print(f"a clean tree is reported:\n{clean}")
        failures += 1
    for breach in BREACHES:
        found = run(breach)
        if breach[2] not in found:
            print(f"{breach[0]}: expected {breach[2]!r}, got:\n{found}")
            failures += 1
    print(f"{len(BREACHES)} breaches, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
