#!/usr/bin/env python3
"""check_unused names what nothing calls and what only tests call, and nothing that is in use."""

import pathlib
import subprocess
import sys
import tempfile

CHECK = pathlib.Path(sys.argv[1])

TREE = {
    "src/room/x.h": """#pragma once
/// dead() is spoken of here, and "dead()" in a text.
int dead();
int only_tests();
int called();
int handler(int);
class X {
 public:
  [[nodiscard]] int spare() const { return spare_; }
  [[nodiscard]] int shown() const;
  static void callback(void* self);

 private:
  int spare_ = 0;
};
""",
    "src/room/x.cc": """#include "room/x.h"
int dead() { return 1; }
int only_tests() { return 2; }
int called() { return 3; }
int handler(int) { return 4; }
int X::shown() const { return called(); }
void X::callback(void*) {}
int spare = 5;
int (*const kTable[])(int) = {handler};
void use(const X& x, void (*hook)(void*) = X::callback) { (void)x.shown(); hook(nullptr); }
""",
    "tests/x_test.cc": "int y = only_tests();\n",
}
EXPECTED = {"dead": "nothing calls", "spare": "nothing calls", "only_tests": "only tests call"}

with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    result = subprocess.run([CHECK, root], capture_output=True, text=True)

lines = [line for line in result.stdout.splitlines() if "fix:" not in line]
wrong = [name for name, what in EXPECTED.items() if not any(f"{what} {name}()" in line for line in lines)]
if result.returncode != 1 or wrong or len(lines) != len(EXPECTED):
    sys.exit(f"not named: {wrong}; said:\n{result.stdout}{result.stderr}")
