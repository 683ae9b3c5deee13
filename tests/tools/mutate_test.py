#!/usr/bin/env python3
"""tools/mutate on a tree of one file: what a test holds is caught, what none holds
survives, what does not compile is dropped, and a second run has nothing to do."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

MUTATE = pathlib.Path(sys.argv[1])
CODE = """#include "host/counter.h"

#define TEEIO_TRY(expr) if (!(expr)) return false

namespace host {
namespace {
constexpr int kMost = 3;
/* if (false) nothing(); */
const char* kText = "if (x) { y(); }";
}  // namespace

bool Counter::up(int by) {
  if (by < 0 || by > kMost) return false;
  count_ += by;  // a comment; with a semicolon
  told(kText);
  return true;
}

void Counter::reset() {
  told(kText);
  count_ = 0;
}

void Counter::told(const char*) { ++told_; }
}  // namespace host
"""
HEADER = """#pragma once
namespace host {
class Counter {
 public:
  bool up(int by);
  void reset();
  void told(const char*);
  int count_ = 0;
  int told_ = 0;
};
}  // namespace host
"""
TEST = """#include "host/counter.h"
int main() {
  host::Counter counter;
  const bool good = counter.up(0) && counter.up(3) && counter.count_ == 3 && !counter.up(4) && !counter.up(-1);
  counter.reset();
  return good && counter.count_ == %s ? 0 : 1;
}
"""
CMAKE = """cmake_minimum_required(VERSION 3.25)
project(small CXX)
set(CMAKE_CXX_STANDARD 20)
include_directories(src)
enable_testing()
add_executable(counter_test src/host/counter.cc counter_test.cc)
add_test(NAME host:counter COMMAND counter_test)
"""


def expect(what, condition):
    if not condition:
        sys.exit(f"not so: {what}")


def mutate(root, *more):
    command = [MUTATE, "--root", root, "--configure", "cmake -G Ninja -S . -B build", "--build",
               "ninja -C build -k 0", "--build-folder", "build", "--tests", "^host:", *more]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def main():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "tree"
        for name, text in {"src/host/counter.cc": CODE, "src/host/counter.h": HEADER,
                           "counter_test.cc": TEST % "counter.count_", "CMakeLists.txt": CMAKE,
                           "docs/mutants.md": "# Mine\n"}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        table = root / "docs/mutants.md"

        status, listed = mutate(root, "src/host", "--list")
        expect("comments and literals are no code", "nothing" not in listed and "y()" not in listed)
        _, once = mutate(root, "src/host", "--list", "--sample", "5", "--seed", "7")
        _, twice = mutate(root, "src/host", "--list", "--sample", "5", "--seed", "7")
        expect("a seed gives one sample", once == twice and len(once.splitlines()) == 5)

        status, said = mutate(root, "src/host", "--goal", "99")
        expect(f"less than the goal was caught: {said}", status == 1)
        results = {r["mutant"]: r for r in
                   map(json.loads, (root / "build/mutate/results.jsonl").read_text().splitlines())}
        by = {re.sub(r"^src/host/counter.cc: Counter::", "", k): r["by"] for k, r in results.items()}
        expect(f"a test holds the addition: {by}", by["up: drop-assign: count_ += by;"] == "host:counter")
        expect("and both limits", by["up: drop-operand: by < 0"] == by["up: drop-operand: by > kMost"]
               == "host:counter")
        expect("the reset is held by nobody", by["reset: drop-assign: count_ = 0;"] is None)
        expect("nor is what is told", by["up: drop-call: told(kText);"] is None)
        written = table.read_text()
        expect("what stood above the table stays", written.startswith("# Mine\n"))
        expect("survivors are listed", re.search(r"counter.cc:21 \| `Counter::reset`", written))

        # A test that holds the reset, and a reason for the rest.
        (root / "counter_test.cc").write_text(TEST % "0")
        (root / "tools/mutants").mkdir(parents=True)
        (root / "tools/mutants/equivalent.toml").write_text("".join(
            f"[[equivalent]]\nmutant = '{k}'\nreason = 'only telling'\n" for k in results if "told" in k))
        said = mutate(root, "--only", "survived", "--list")[1]
        expect(f"of the table's survivors the equivalent ones are listed too: {said}",
               "count_ = 0" in said and "told(kText)" in said and "by < 0" not in said)
        status, said = mutate(root, "--only", "survived", "--goal", "99")
        expect(f"all others are caught now: {said}", status == 0 and " 1 to try" in said)
        expect("rows of what was not tried stay",
               len(re.findall(r"^\| host/counter.cc:.*host:counter", table.read_text(), re.M)) ==
               1 + sum(bool(r["by"]) for r in results.values()))
        expect("marked ones are counted apart", "only telling" in table.read_text())
        status, said = mutate(root, "src/host", "--goal", "99")
        expect(f"nothing is left to do: {said}", status == 0 and " 0 to try" in said)

        # The test that caught a mutant once is asked first; a row whose code is gone goes.
        status, said = mutate(root, "src/host", "--again", "--goal", "99")
        expect(f"all is tried anew: {said}", status == 0 and " 0 to try" not in said)
        (root / "src/host/counter.cc").write_text(CODE.replace("  count_ = 0;\n", "  count_ = {};\n"))
        mutate(root, "src/host", "--no-try")
        expect("code that is gone has no row", "count_ = 0;" not in table.read_text())

        (root / "counter_test.cc").write_text("int main() { return 0 }\n")
        status, said = mutate(root, "src/host")
        expect(f"a tree that does not build says so: {said}",
               status == 2 and "not by a mutant" in said and "Traceback" not in said)


if __name__ == "__main__":
    main()
