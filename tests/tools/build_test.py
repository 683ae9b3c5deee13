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

STAND_INS = {"scripts/deps": "exit 0", "bin/nproc": "echo 2"}
# CMake checks its globs each time, which is what ends a dry run.
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(small LANGUAGES NONE)
file(GLOB inputs CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/in/*")
foreach(input ${inputs})
  get_filename_component(name "${input}" NAME)
  add_custom_command(OUTPUT ${name} COMMAND "${CMAKE_COMMAND}" -E touch ${name} DEPENDS "${input}")
  list(APPEND outputs ${name})
endforeach()
add_custom_target(made ALL DEPENDS ${outputs})
"""
PRESETS = """{"version": 3, "configurePresets": [{"name": "release", "generator": "Ninja",
 "binaryDir": "${sourceDir}/build/release"}],
 "buildPresets": [{"name": "release", "configurePreset": "release"}]}"""


def said(folder, *words):
    env = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    done = subprocess.run([folder / "scripts/build", *words], capture_output=True, text=True, env=env,
                          check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return "".join(line for line in done.stdout.splitlines() if line.startswith("building"))


with tempfile.TemporaryDirectory() as temporary:
    root = pathlib.Path(temporary)
    for name, text in STAND_INS.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f"#!/bin/sh\n{text}\n")
        (root / name).chmod(0o755)
    for script in (sys.argv[1], pathlib.Path(sys.argv[1]).with_name("usage")):
        shutil.copy(script, root / "scripts")
    (root / "CMakeLists.txt").write_text(PROJECT)
    (root / "CMakePresets.json").write_text(PRESETS)
    (root / "in").mkdir()
    inputs = [root / f"in/{i}" for i in range(100)]
    for path in inputs:
        path.touch()
    got = [said(root), said(root)]
    for path in inputs[:30]:  # changed since
        os.utime(path, (2**31, 2**31))
    got.append(said(root, "release", "made"))
    if (root / "build/release/steps.ninja").exists():
        sys.exit("a copy of build.ninja is left")

wanted = ["building everything: 100 steps on 2 cores, about 2 min without a compiler cache", "",
          "building made: 30 steps on 2 cores, about 1 min without a compiler cache"]
if got != wanted:
    sys.exit("\n".join(["said:", *got, "wanted:", *wanted]))
