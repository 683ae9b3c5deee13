"""What clang's thread-safety analysis, which CI runs on every file, says of mutants of
locks. It reads text, so each is made as text: the first of every function in one
reading of the file, then the second of every function."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

NAME = "clang: thread-safety analysis"
SAID = re.compile(r"^(.*?):(\d+):\d+: warning: .* requires holding .*\[-Wthread-safety", re.M)
WRONG = re.compile(r"^(.*?):(\d+):\d+: (?:fatal )?error: ", re.M)
# A lock that is let go early. What the analysis says of its scope's end is not looked at.
LETS_GO = "template <class M> void mutant_lets_go(M& m) __attribute__((release_generic_capability(m)));\n"


def judge(tree, mutants, say):
    """Keys of the mutants that it finds."""
    compiler = shutil.which("clang++-19") or shutil.which("clang++")
    wanted = {m.key for m in mutants if hasattr(m, "as_text")}
    if compiler is None or not wanted:
        return set()
    found = set()
    for maker in tree.makers:
        rounds = {}
        for mutant in maker.mutants:
            if mutant.key in wanted:
                rounds.setdefault(mutant.body, []).append(mutant)
        for i in range(max(map(len, rounds.values()), default=0)):
            found |= _read(tree, compiler, maker, [of[i] for of in rounds.values() if i < len(of)])
    say(f"{len(found)} of {len(wanted)} mutants of locks are seen by the thread-safety analysis")
    return found


def _read(tree, compiler, maker, mutants):
    edits = sorted((edit for m in mutants for edit in m.as_text), reverse=True)
    text = maker.source.text
    for start, end, instead in edits:
        lines = text.count("\n", start, end) - instead.count("\n")
        text = text[:start] + instead + "\n" * max(lines, 0) + text[end:]
    with tempfile.TemporaryDirectory(dir=tree.state) as folder:
        file = Path(folder) / Path(maker.path).name
        file.write_text(text)
        helper = Path(folder) / "lets_go.h"
        helper.write_text(LETS_GO)
        done = subprocess.run(
            [compiler, "-std=c++23", "-fsyntax-only", "-Wno-everything", "-Wthread-safety", "-I",
             str(tree.root / "src"), "-include", str(helper), str(file)],
            capture_output=True, text=True, errors="replace")

    def those_at(found):
        lines = [int(line) for at, line in found.findall(done.stderr) if at == str(file)]
        return {m.key for m in mutants
                if any(maker.source.line(m.body[0]) <= line <= maker.source.line(m.body[1])
                       for line in lines)}

    # One that does not compile hides what is said of the others.
    if wrong := those_at(WRONG):
        return _read(tree, compiler, maker, [m for m in mutants if m.key not in wrong])
    return those_at(SAID)
