"""The copy of the tree that has all mutants in it, and its build."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from rules import Maker, rewrite

SWITCH = r'''// Which mutant is on: TEEIO_MUTANT. With TEEIO_MUTANT_REACHED=FILE each switch that is
// asked leaves a byte there.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#pragma GCC optimize("O0")  // builds sooner
#pragma GCC diagnostic ignored "-Wunused"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wparentheses"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wreturn-type"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wtype-limits"
#pragma GCC diagnostic ignored "-Wbool-compare"
#pragma GCC diagnostic ignored "-Wbool-operation"
#pragma GCC diagnostic ignored "-Wint-in-bool-context"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wempty-body"
#pragma GCC diagnostic ignored "-Wdangling-else"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wnull-dereference"
#pragma GCC diagnostic ignored "-Waddress"

namespace teeio_mutants {
struct Chosen {
  int mutant = 0;
  unsigned char* reached = nullptr;
  Chosen() {
    if (const char* number = std::getenv("TEEIO_MUTANT"); number != nullptr) mutant = std::atoi(number);
    const char* file = std::getenv("TEEIO_MUTANT_REACHED");
    if (file == nullptr) return;
    const int fd = ::open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void* bytes = ::mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (bytes != MAP_FAILED) reached = static_cast<unsigned char*>(bytes);
  }
};
inline Chosen chosen;
inline bool is(int mutant) {
  if (chosen.reached != nullptr) [[unlikely]] chosen.reached[mutant] = 1;
  return chosen.mutant == mutant;
}
}  // namespace teeio_mutants
'''
MOST = (1 << 16) - 1
HEADER = '#include "teeio_mutants.h"\n#line 1\n'
ERROR = re.compile(r"^(?:In file included from )?(\S+?):(\d+):\d+: (?:fatal )?error: ", re.M)


class Ended(Exception):
    pass


@dataclass
class Ran:
    status: int | None  # None: it took longer than it may
    output: str
    seconds: float  # of processor, which a busy machine does not change


def run(command, cwd, via=(), env=None, limit=None):
    """Runs a shell's line. `limit` is in seconds by the clock."""
    full = [*via, command] if via else ["sh", "-c", command]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(full, cwd=cwd, env={**os.environ, **(env or {})}, stdout=said,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   start_new_session=True)
        late = threading.Event()

        def end():
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit, end) if limit else None
        if timer:
            timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            if timer:
                timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read().decode(errors="replace")
        return Ran(None if late.is_set() else process.returncode, output,
                   usage.ru_utime + usage.ru_stime)


class Tree:
    def __init__(self, root, copy, state, via=()):
        self.root, self.copy, self.state, self.via = Path(root), Path(copy), Path(state), via
        self.state.mkdir(parents=True, exist_ok=True)
        self.dropped = set(self._load("dropped.json", []))
        self.makers, self.mutants = [], []

    def _load(self, name, default):
        path = self.state / name
        return json.loads(path.read_text()) if path.exists() else default

    def find(self, under):
        """All mutants of the .cc files below the folders `under`."""
        files = sorted({f for folder in under
                       for f in ([self.root / folder] if folder.endswith(".cc")
                                 else (self.root / folder).rglob("*.cc"))})
        self.makers = [Maker(str(f.relative_to(self.root)), f.read_text()) for f in files]
        self._list()

    def keep(self, keys):
        """Only these are compiled in. A key keeps its number for good, so that what is
        built once stays built."""
        numbers = self._load("numbers.json", {})
        for maker in self.makers:
            maker.mutants = [m for m in maker.mutants if m.key in keys]
            for mutant in maker.mutants:
                mutant.number = numbers.setdefault(mutant.key, len(numbers) + 1)
        if len(numbers) > MOST:
            sys.exit(f"mutate: more than {MOST} mutants; name fewer folders, or empty {self.state}")
        (self.state / "numbers.json").write_text(json.dumps(numbers))
        self._list()

    def _list(self):
        for maker in self.makers:
            maker.mutants = [m for m in maker.mutants if m.key not in self.dropped]
        self.mutants = [m for maker in self.makers for m in maker.mutants]

    def write(self):
        """Copies what git knows and writes the mutated files; what is equal stays untouched."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=self.root, capture_output=True, text=True)
        names = [n for n in listed.stdout.split("\0") if n] if listed.returncode == 0 else \
            [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
        mutated = {m.path: rewrite(m, HEADER) for m in self.makers if m.mutants}
        kept = {*names, "src/teeio_mutants.h"}
        for folder in ("src", "tests"):  # a file that is gone would still be built
            for old in (self.copy / folder).rglob("*"):
                if old.is_file() and str(old.relative_to(self.copy)) not in kept:
                    old.unlink()
        for name in names:
            there, here = self.copy / name, self.root / name
            if not here.exists() and not here.is_symlink():
                there.unlink(missing_ok=True)
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            if name in mutated:
                self._put(there, mutated[name])
            elif here.is_symlink():
                if not there.is_symlink():
                    there.symlink_to(os.readlink(here))
            elif not there.exists() or there.read_bytes() != here.read_bytes():
                shutil.copy(here, there)
        self._put(self.copy / "src/teeio_mutants.h", SWITCH)

    @staticmethod
    def _put(path, text):
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def build(self, configure, command, rounds=12):
        """Builds; mutants on lines that do not compile are dropped, and it is built again."""
        for _ in range(rounds):
            self.write()
            if configure:
                ran = run(configure, self.copy, self.via)
                if ran.status != 0:
                    raise Ended(f"{configure}: failed\n{ran.output[-3000:]}")
            ran = run(command, self.copy, self.via)
            (self.state / "build.log").write_text(ran.output)
            if ran.status == 0:
                return
            before = len(self.dropped)
            self._drop(ran.output)
            if len(self.dropped) == before:
                raise Ended(f"{command}: failed, and not by a mutant; see {self.state}/build.log")
            (self.state / "dropped.json").write_text(json.dumps(sorted(self.dropped), indent=0))
            print(f"mutate: {len(self.dropped)} mutants do not compile", flush=True)
            self._list()
        raise Ended(f"{command}: mutants fail to compile after {rounds} rounds")

    def _drop(self, output):
        for found in ERROR.finditer(output):
            line = int(found.group(2))
            for maker in self.makers:
                if not found.group(1).endswith(maker.path):
                    continue
                here = [m for m in maker.mutants if line in self._lines(maker, m)]
                # Else what was left out was declared there: all of the function, to be sure.
                for mutant in here or [m for m in maker.mutants if maker.source.line(m.body[0])
                                       <= line <= maker.source.line(m.body[1])]:
                    self.dropped.add(mutant.key)

    @staticmethod
    def _lines(maker, mutant):
        places = [p for edit in mutant.edits for p in edit[:2]]
        places += [mutant.lock[0]] if hasattr(mutant, "lock") else []
        return {maker.source.line(p) for p in places}
