#!/usr/bin/env python3
"""The workflows that a user copies are YAML of the right shape, and their commands exist.

  ci_files_test.py TEEIO FOLDER
"""

import pathlib
import re
import subprocess
import sys

try:
    import yaml
except ImportError:
    print("python3-yaml is not installed")
    sys.exit(77)  # skipped

TEEIO, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])


class Strict(yaml.SafeLoader):
    """Of two equal keys the second would silently win."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.YAMLError(f"a key twice: {keys}")
        return super().construct_mapping(node, deep)


def github(workflow):
    """What steps run. YAML 1.1 reads the key `on` as true."""
    assert set(workflow) == {"name", True, "jobs"}, set(workflow)
    for job in workflow["jobs"].values():
        assert isinstance(job["runs-on"], str) and job["timeout-minutes"] > 0
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert set(step) <= {"uses", "run", "name", "with", "if", "env"}, step
            if "run" in step:
                yield step["run"]


def gitlab(workflow):
    for job in workflow.values():
        assert set(job) <= {"image", "timeout", "before_script", "script", "artifacts"}, set(job)
        for command in job.get("before_script", []) + job["script"]:
            assert isinstance(command, str), f"{command}: a colon made it something else"
            yield command


def exists(command):
    """Whether teeio has each command, and each option of its own, that a line names."""
    shell = subprocess.run(["sh", "-n"], input=command, text=True, capture_output=True)
    assert shell.returncode == 0, shell.stderr
    for name, rest in re.findall(r"\bteeio (\w+)([^|&;\n]*)", command):
        help_of = subprocess.run([TEEIO, "help", name], capture_output=True, text=True)
        assert help_of.returncode == 0, f"teeio {name}"
        for option in re.findall(r"(?<!\S)(--\w[\w-]*)", rest.split(" -- ")[0]):
            assert option in help_of.stdout, f"teeio {name} {option}"


for file, commands in (("github.yml", github), ("gitlab.yml", gitlab)):
    found = list(commands(yaml.load((FOLDER / file).read_text(), Strict)))
    assert any("teeio run" in command for command in found), file
    for command in found:
        exists(command)
