#!/usr/bin/env -S python3 -B
"""`teeio validate` passes against `teeio serve`, and tells when it does not."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from served import Served

TEEIO = sys.argv[1]


def validate(*arguments):
    return subprocess.run([TEEIO, "validate", *arguments], capture_output=True, text=True,
                          timeout=90, check=False)


def passes_over_doe(served):
    junit = os.path.join(served.folder.name, "junit.xml")
    run = validate(f"127.0.0.1:{served.port}", "--junit", junit)
    assert run.returncode == 0, run.stdout
    lines = run.stdout.splitlines()
    assert lines[0] == "TAP version 13"
    count = int(lines[1].removeprefix("1.."))
    assert sum(line.startswith("ok ") for line in lines) == count > 240, lines[-1]
    assert "\x1b" not in run.stdout, "colours, and no terminal"
    suites = xml.etree.ElementTree.parse(junit).getroot()
    assert suites.tag == "testsuites" and int(suites.get("tests")) == count
    assert {suite.get("name") for suite in suites} >= {"doe", "spdm10", "spdm14", "tdisp"}


def passes_over_mctp(served):
    run = validate(f"127.0.0.1:{served.port}", "--transport", "mctp",
                   "--suite", "spdm12,session,ide_km,tdisp")
    assert run.returncode == 0, run.stdout


def events_are_told(served):
    control = served.control()
    control.ask("subscribe")
    run = validate(f"127.0.0.1:{served.port}", "--case", "tdisp.state.running")
    assert run.returncode == 0, run.stdout
    states = [control.read()["state"] for _ in range(2)]
    assert states == ["CONFIG_LOCKED", "RUN"], states


def fails_by_verdict(served):
    run = validate(f"127.0.0.1:{served.port}", "--function", "0000:7f:00.0", "--suite", "tdisp")
    assert run.returncode == 1, run.stdout
    assert "not ok 1 - tdisp.version" in run.stdout


def main():
    with Served(TEEIO) as served:
        passes_over_doe(served)
        passes_over_mctp(served)
        events_are_told(served)
        fails_by_verdict(served)
    with Served(TEEIO, "--machine", "spdm-emu", "--ide-port", "1") as served:
        run = validate(f"127.0.0.1:{served.port}", "--suite", "ide_km,tdisp", "--port-index", "1",
                       "--function", "be:1d.7")
        assert run.returncode == 0, run.stdout
    run = validate("127.0.0.1:1", "--timeout", "500")
    assert run.returncode == 2 and "127.0.0.1:1" in run.stderr, run
    assert "tdisp.lock.keyless" in validate("--list").stdout
    assert validate("--list", "--suite", "doe").stdout.count("doe.") > 8


main()
