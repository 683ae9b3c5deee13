"""Which tests reach a mutant, and whether one of them notices it."""

import json
import re
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tree import Ended, run

WAITS = 20  # seconds by the clock, for a test that does nothing but wait
CHUNK = 150  # cases of one GoogleTest program in one process
LEARNT_TOGETHER = 40  # of those of which it is learnt in one process what they reach


@dataclass
class Test:
    name: str
    command: list
    folder: str
    case: str = ""  # GoogleTest's name of it, where it is one
    wants: str = ""  # a regular expression that the output must have
    fails: bool = False
    limit: float = 60
    env: dict = field(default_factory=dict)
    seconds: float = 0.0
    reached: frozenset = frozenset()

    @property
    def room(self):
        return self.name.split(":")[0].replace("_", "/")


class Judge:
    def __init__(self, tree, build, limit):
        self.tree, self.build_folder, self.limit = tree, build, limit
        self.tests = {}

    # -- what tests there are --------------------------------------------------

    def find(self, pattern, explore=()):
        ran = run(f"ctest --test-dir {self.build_folder} --show-only=json-v1", self.tree.copy,
                  self.tree.via)
        if ran.status != 0:
            raise Ended(f"ctest says: {ran.output[-500:]}")
        for listed in json.loads(ran.output[ran.output.index("{"):])["tests"]:
            name = listed["name"].split("  #")[0]
            if "command" not in listed or not re.search(pattern, name):
                continue
            properties = {p["name"]: p["value"] for p in listed.get("properties", [])}
            if properties.get("DISABLED") or "program" in properties.get("LABELS", []):
                continue  # a program's cases are there one by one, too
            wants = properties.get("PASS_REGULAR_EXPRESSION", "")
            wants = "|".join(wants) if isinstance(wants, list) else wants
            case = next((a.split("=", 1)[1] for a in listed["command"]
                         if a.startswith("--gtest_filter=")), "")
            env = dict(e.split("=", 1) for e in properties.get("ENVIRONMENT", []))
            self.tests[name] = Test(name, listed["command"], properties.get("WORKING_DIRECTORY", "."),
                                    case, wants, bool(properties.get("WILL_FAIL")),
                                    float(properties.get("TIMEOUT", 60)), env)

    @staticmethod
    def _shell(test, seconds, command=None):
        """Ends by itself after so many seconds of processor."""
        return f"ulimit -t {int(seconds) + 1} && cd {shlex.quote(test.folder)} && " \
               f"exec {shlex.join(command or test.command)}"

    @staticmethod
    def _passed(test, ran):
        status, output = ran.status, ran.output
        if test.wants:
            return re.search(test.wants, output) is not None
        return status is not None and (status != 0) == test.fails or \
            status == 77 or "[  SKIPPED ]" in output

    # -- what they reach -------------------------------------------------------

    def record(self, group, path):
        """Runs tests without a mutant; gives those that fail by themselves. What a group
        reaches counts for each of it: finer would be a process a case, many times as long."""
        Path(path).write_bytes(bytes(1 << 16))
        first = group[0]
        ran = run(self._shell(first, self.limit * 3 * len(group), self._command(group)), self.tree.copy,
                  self.tree.via, {**first.env, "TEEIO_MUTANT_REACHED": str(path)},
                  WAITS + 20 * self.limit * len(group))
        reached = Path(path).read_bytes()
        by_number = {m.number: m.key for m in self.tree.mutants}
        keys = frozenset(by_number[i] for i, b in enumerate(reached) if b and i in by_number)
        took = {case: int(ms) / 1000 for case, ms in re.findall(
            r"^\[ +(?:OK|FAILED|SKIPPED) +\] (\S+?),? .*?\((\d+) ms\)$", ran.output, re.M)}
        for test in group:
            test.reached = keys
            test.seconds = took.get(test.case, ran.seconds / len(group))
        if not first.case:
            return [] if self._passed(first, ran) else [first]
        good = set(re.findall(r"^\[ +(?:OK|SKIPPED) +\] (\S+)", ran.output, re.M))
        return [test for test in group if test.case not in good]

    def learn(self, known_path, pool, again, say):
        """Runs each test that is not known yet once, without a mutant."""
        known = json.loads(known_path.read_text()) if known_path.exists() and not again else {}
        asked = set(known.pop("", []))  # the mutants that were there to be reached
        there = {m.key for m in self.tree.mutants}
        if not there <= asked:
            known, asked = {}, there
        new = [t for t in self.tests.values() if t.name not in known]
        for name, (seconds, reached, passed) in known.items():
            if name in self.tests:
                self.tests[name].seconds, self.tests[name].reached = seconds, frozenset(reached)
        done = 0

        def one(group):
            # Where the tests run may not be where this runs, but what git ignores is shared.
            with tempfile.NamedTemporaryFile(dir=known_path.parent) as file:
                failed = self.record(group, file.name)
                if not failed or len(group) == 1:
                    return [(test, test not in failed) for test in group]
                return [(test, not self.record([test], file.name)) for test in group]

        for judged in pool.map(one, list(self._groups(new, LEARNT_TOGETHER))):
            before = done
            for test, passed in judged:
                known[test.name] = (round(test.seconds, 3), sorted(test.reached), passed)
                done += 1
            if done // 200 != before // 200:
                say(f"{done}/{len(new)} tests run once")
                known_path.write_text(json.dumps({**known, "": sorted(asked)}))
        known_path.write_text(json.dumps({**known, "": sorted(asked)}))
        for name, (_, _, passed) in known.items():
            if not passed and name in self.tests:
                say(f"left out, fails or takes too long by itself: {name}")
                del self.tests[name]

    # -- one mutant ------------------------------------------------------------

    def try_again(self, mutant, name):
        """How the test that noticed it once notices it now; None: it does not, or is gone."""
        test = self.tests.get(name)
        caught = self._try_group([test], mutant.number) if test else None
        return None if caught is None else caught[1]

    def try_mutant(self, mutant, budget):
        """(test that noticed it or None, how, tests run, tests left out for the budget)."""
        able = [t for t in self.tests.values() if mutant.key in t.reached]
        room = str(Path(mutant.file).parent).removeprefix("src/")
        able.sort(key=lambda t: (t.room != room, len(t.reached) * max(t.seconds, 0.02)))
        chosen, spent = [], 0.0
        for test in able:
            if spent + test.seconds <= budget or not chosen:
                chosen.append(test)
                spent += test.seconds
        for group in self._groups(chosen):
            caught = self._try_group(group, mutant.number)
            if caught is not None:
                return *caught, len(chosen), len(able) - len(chosen)
        return None, "", len(chosen), len(able) - len(chosen)

    @staticmethod
    def _groups(tests, most=CHUNK):
        """Cases of one program together; the order of the first of each stays."""
        groups, count = {}, {}
        for test in tests:
            which = test.name
            if test.case:
                nth = count[test.command[0]] = count.get(test.command[0], -1) + 1
                which = (test.command[0], nth // most)
            groups.setdefault(which, []).append(test)
        return groups.values()

    @staticmethod
    def _command(group):
        if not group[0].case:
            return group[0].command
        return [group[0].command[0], "--gtest_filter=" + ":".join(t.case for t in group),
                "--gtest_brief=0"]

    def _try_group(self, group, number):
        first = group[0]
        command = [*self._command(group), *(["--gtest_fail_fast"] if first.case else [])]
        usual = sum(t.seconds for t in group)
        ran = run(self._shell(first, 4 + 5 * usual, command), self.tree.copy, self.tree.via,
                  {**first.env, "TEEIO_MUTANT": str(number)}, WAITS + 20 * usual)
        if ran.status is None:
            return self._last(group, ran.output), "takes too long"
        if self._passed(first, ran) and (not first.case or ran.status == 0):
            return None
        return self._last(group, ran.output), self._how(ran.output)

    @staticmethod
    def _last(group, output):
        if not group[0].case:
            return group[0].name
        failed = re.findall(r"^\[  FAILED  \] ([^\s,]+)", output, re.M) or \
            re.findall(r"^\[ RUN      \] (\S+)", output, re.M)
        case = (failed[0] if re.search(r"^\[  FAILED  \]", output, re.M) else failed[-1]) if failed else ""
        return next((t.name for t in group if t.case == case), group[0].name)

    @staticmethod
    def _how(output):
        """The rule or check that spoke, where one did."""
        found = re.search(r"\b(R\d+): ", output) or \
            re.search(r"(use after free|after it was freed|deadlock|lost wake-up|livelock|reference is dropped"
                      r"|locks what it holds|lock order|as at boot|AddressSanitizer)", output)
        return found.group(1) if found else ""
