#!/usr/bin/env python3
"""One run, two pictures: the steps of --chart=all are the events of --trace.

  chart_equals_trace.py TEEIO PROGRAM OPTION_A OPTION_B

Runs PROGRAM with each option. In each run every event of the trace must be a step
of the chart or folded into one, under the same name; the two charts must differ,
and a second run with the same option must give the same bytes.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

STEP = re.compile(r"^ *(\d+)\. (.*)$")
FOLDED = re.compile(r"×(\d+) \((\d+)–(\d+)\)$")


def read_chart(text):
    """The header, and (number, label) of each step."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.lstrip().startswith("Guest  Guest TSM"))
    width = len(lines[first])
    steps = []
    for line in lines[first + 1:]:
        match = STEP.match(line)
        if match:
            steps.append([int(match[1]), line[width:].strip()])
        elif steps and line[:width].strip(" |") == "" and "|" in line[:width]:
            steps[-1][1] += " " + line[width:].strip()
        else:
            break  # teeio's other words
    return lines[first], steps


def check(teeio, program, option):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "trace.json")
        done = subprocess.run([teeio, "run", "--chart=all", "--trace", file, "--", program, option],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{program} {option} left with {done.returncode}\n{done.stderr}")
        with open(file, encoding="utf-8") as opened:
            trace = opened.read()
        events = {e["ts"]: e for e in json.loads(trace)["traceEvents"] if e["ph"] in "Xi"}
    header, steps = read_chart(done.stderr)
    lanes = header.split("  ")
    for lane in ("Guest", "Guest TSM", "VMM", "VFIO", "IOMMUFD", "host TSM", "KVM", "firmware",
                 "device"):
        if lane not in (name.strip() for name in lanes):
            sys.exit(f"the header has no lane {lane}: {header}")
    drawn = 0
    for number, label in steps:
        if number not in events:
            sys.exit(f"step {number} ({label}) is no event of the trace")
        if not label.startswith(events[number]["name"]):
            sys.exit(f"step {number} is {label!r}, the event {events[number]['name']!r}")
        folded = FOLDED.search(label)
        drawn += int(folded[1]) if folded else 1
        if folded and (int(folded[2]) != number or events[int(folded[3])]["name"] !=
                       events[number]["name"]):
            sys.exit(f"step {number} folds something else: {label}")
    if drawn != len(events):
        sys.exit(f"{option}: the chart draws {drawn} events, the trace has {len(events)}")
    return steps, trace


def main():
    teeio, program, *options = sys.argv[1:]
    (first, trace), (second, _) = (check(teeio, program, option) for option in options)
    if check(teeio, program, options[0])[1] != trace:
        sys.exit(f"two runs with {options[0]} give two traces")
    if [label for _, label in first] == [label for _, label in second]:
        sys.exit(f"{options[0]} and {options[1]} give the same chart")
    print(f"{len(first)} and {len(second)} steps")


if __name__ == "__main__":
    main()
