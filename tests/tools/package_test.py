#!/usr/bin/env python3
"""Installs teeio into a folder, builds the installed examples against the installed
headers, and runs the result under the installed teeio.

  package_test.py BUILD
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

WANTED = ["bin/teeio", "include/teeio/uapi/linux/iommufd.h", "share/man/man1/teeio.1",
          "share/bash-completion/completions/teeio", "share/teeio/machines/tdx-connect.toml",
          "share/teeio/examples/minivmm.cc", "share/doc/teeio/copyright", "share/doc/teeio/README.md",
          "share/doc/teeio/docs/first-vmm.md", "share/pkgconfig/teeio-uapi.pc"]


def run(*words):
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=300)
    if done.returncode != 0:
        sys.exit(f"{words} left with {done.returncode}\n{done.stdout}")
    return done.stdout


def dead_links(folder):
    """Of pages to files beside them."""
    dead = []
    for page in [*folder.glob("*.md"), *folder.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([\w./-]*[./][\w./-]*)[^)]*\)", page.read_text()):
            if not (page.parent / target).exists():
                dead.append(f"{page.relative_to(folder)}: {target}")
    return dead


def main():
    with tempfile.TemporaryDirectory() as temporary:
        prefix, build = pathlib.Path(temporary) / "usr", pathlib.Path(temporary) / "build"
        run("cmake", "--install", sys.argv[1], "--prefix", prefix)
        missing = [name for name in WANTED if not (prefix / name).exists()]
        if missing:
            sys.exit(f"not installed: {missing}")
        dead = dead_links(prefix / "share/doc/teeio")
        if dead:
            sys.exit(f"installed pages link to what is not installed: {dead}")
        config = (prefix / "share/pkgconfig/teeio-uapi.pc").read_text()
        if "prefix=${pcfiledir}/../..\n" not in config:
            sys.exit("teeio-uapi.pc does not move with its prefix")
        for path in prefix.rglob("*"):
            if path.is_file() and os.fsencode(sys.argv[1]) in path.read_bytes():
                sys.exit(f"{path.relative_to(prefix)} has a path of the build in it")
        run("cmake", "-G", "Ninja", "-B", build, "-D", f"CMAKE_PREFIX_PATH={prefix}",
            "-D", "CMAKE_BUILD_TYPE=Debug", prefix / "share/teeio/examples")
        run("cmake", "--build", build)
        run(prefix / "bin/teeio", "run", "--", build / "minivmm")
    print("the package is whole")


if __name__ == "__main__":
    main()
