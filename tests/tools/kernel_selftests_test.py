#!/usr/bin/env -S python3 -B
"""tools/kernel_selftests must notice what is against its expectations.

  tests/tools/kernel_selftests_test.py tools/kernel_selftests
"""

import importlib.machinery
import importlib.util
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(sys.argv.pop(1)).resolve()
loader = importlib.machinery.SourceFileLoader("kernel_selftests", str(TOOL))
spec = importlib.util.spec_from_loader(loader.name, loader)
tool = importlib.util.module_from_spec(spec)
sys.modules[loader.name] = tool  # dataclasses look it up
loader.exec_module(tool)

KTAP = """TAP version 13
1..3
#  RUN           shape.round.rolls ...
ok 1 shape.round.rolls
#  RUN           shape.flat.rolls ...
# shape.c:7:rolls:Expected 1 (1) == rolls() (0)
not ok 2 shape.flat.rolls
ok 3 shape.bent.rolls # SKIP nothing to roll
"""


def expects(kind, says="", patterns=("shape.*",)):
    return tool.Expectation(list(patterns), kind, "reason", tool.VERBS[kind], "why",
                            re.compile(says))


class ReadsKtap(unittest.TestCase):
    def test_each_result_has_what_was_said_before_it(self):
        results = tool.read_ktap("p", KTAP, 1)
        self.assertEqual([r.outcome for r in results], ["pass", "fail", "skip"])
        self.assertIn("Expected 1", results[1].said)
        self.assertNotIn("Expected 1", results[2].said)

    def test_a_program_that_died_half_way_is_not_judged(self):
        half = "\n".join(KTAP.splitlines()[:4])
        for output, status in [(half, 0), (half, 1), ("", 0), ("", 127)]:
            with self.assertRaises(tool.Broken):
                tool.read_ktap("p", output, status)

    def test_the_exit_status_must_fit(self):
        for status in (0, 4, 99):
            with self.assertRaises(tool.Broken):
                tool.read_ktap("p", KTAP, status)

    def test_a_complaint_of_the_supervisor_is_not_overlooked(self):
        with self.assertRaises(tool.Broken):
            tool.read_ktap("p", KTAP + "teeio: the machine is not as it was at boot\n", 1)

    def test_a_program_that_skips_itself_goes_by_its_name(self):
        (result,) = tool.read_ktap("vfio/p", "1..0 # SKIP no device\n", 4)
        self.assertEqual((result.name, result.outcome), ("p", "skip"))

    def test_a_program_of_kvm_goes_by_its_exit_status(self):
        for status, outcome in [(0, "pass"), (254, "fail"), (4, "skip")]:
            (result,) = tool.read_ktap("kvm/x86/p", "Random seed: 0x1\n", status)
            self.assertEqual((result.name, result.outcome), ("p", outcome))
        for status in (1, 139):
            with self.assertRaises(tool.Broken):
                tool.read_ktap("kvm/p", "", status)


class Judges(unittest.TestCase):
    def setUp(self):
        self.passed, self.failed, self.skipped = tool.read_ktap("p", KTAP, 1)

    def test_what_no_entry_names_must_pass(self):
        self.assertIsNone(tool.surprise(self.passed, None))
        self.assertIsNotNone(tool.surprise(self.failed, None))
        self.assertIsNotNone(tool.surprise(self.skipped, None))

    def test_an_unexpected_pass_is_a_surprise(self):
        self.assertIsNotNone(tool.surprise(self.passed, expects("fails")))
        self.assertIsNotNone(tool.surprise(self.passed, expects("skips")))
        self.assertIsNone(tool.surprise(self.passed, expects("may_skip")))
        self.assertIsNone(tool.surprise(self.passed, expects("may_fail")))

    def test_a_failure_for_another_reason_is_a_surprise(self):
        self.assertIsNone(tool.surprise(self.failed, expects("fails", r"rolls\(\)")))
        self.assertIsNotNone(tool.surprise(self.failed, expects("fails", "no memory")))
        self.assertIsNotNone(tool.surprise(self.failed, expects("skips", r"rolls\(\)")))

    def test_a_program_that_does_not_end_is_ended(self):
        with self.assertRaises(tool.Broken):
            tool.run(["sh", "-c", "sleep 60 & wait"], 0.2)


class Runs(unittest.TestCase):
    """The whole tool, with programs of ours in the place of the kernel's."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for program in tool.PROGRAMS:
            self.script(program, "echo 1..1; echo ok 1 some.test")
        # No machine of its own: nothing is prepared, which would be this host's /sys.
        self.script("teeio", 'while [ "$1" != -- ]; do shift; done; shift\n'
                    '[ "$1" != sh ] || shift 3; exec "$@"')

    def tearDown(self):
        self.folder.cleanup()

    def script(self, name, text):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def tool(self, folder):
        return subprocess.run(
            [TOOL, self.root / "teeio"], text=True, capture_output=True, check=False,
            env={**os.environ, "KSELFTEST_DIR": str(folder)})

    def test_an_entry_that_names_no_test_is_an_error(self):
        run = self.tool(self.root)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("there is no such test", run.stdout)

    def test_without_selftests_it_is_skipped_and_says_what_to_do(self):
        run = self.tool("")
        self.assertEqual(run.returncode, 77)
        self.assertIn("make -C tools/testing/selftests", run.stdout)

    def test_a_folder_without_them_is_an_error_and_no_skip(self):
        (self.root / next(iter(tool.PROGRAMS))).unlink()
        run = self.tool(self.root)
        self.assertEqual(run.returncode, 1)
        self.assertIn("there is no vfio/", run.stdout)


unittest.main()
