#!/usr/bin/env python3
"""The pictures of whole runs: what each must show, and the bounds it must keep.

  pictures.py trace|chart|lives TEEIO MINIVMM SOURCE_DIR

trace: tools/check_trace over runs of both firmwares, with and without broken rules.
chart: levels, sizes, lanes, marks, files and what is refused.
lives: the size of the life of every way through minivmm, on each vendor.
"""

import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile
import xml.dom.minidom

EIGHT = ("connect", "bind", "attest", "accept", "private MMIO", "trusted DMA", "unbind",
         "the machine is as it was at boot")


def fail(words):
    sys.exit(f"pictures: {words}")


class Runs:
    def __init__(self, teeio, minivmm, source, folder):
        self.teeio, self.minivmm, self.source, self.folder = teeio, minivmm, source, folder
        tdx = (source / "machines/tdx-connect.toml").read_text(encoding="utf-8")
        self.mainline = folder / "mainline.toml"
        self.mainline.write_text(tdx.replace('close_order = "unbind-first"',
                                             'close_order = "mainline"'), encoding="utf-8")

    def __call__(self, *options, vmm=(), status=0):
        done = subprocess.run([self.teeio, "run", *options, "--", self.minivmm, *vmm],
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != status:
            fail(f"{options} {vmm} left with {done.returncode}, not {status}\n{done.stderr}")
        return done.stderr

    def demo(self, *options, **more):
        return self(*options, **more)

    def close(self, *options, status=99):
        return self("--machine", str(self.mainline), *options, status=status,
                    vmm=("--no-unbind", "--close-order=vfio,iommufd,vm"))

    def cca(self, *options):
        return self("--machine", str(self.source / "machines/arm-cca-slice.toml"), *options,
                    vmm=("--arch=cca",))

    def sev(self, *options):
        return self("--machine", str(self.source / "machines/amd-sev.toml"), *options,
                    vmm=("--arch=sev",))


def chart_of(text):
    """The lines of a narrow chart: from its title to its last divider."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.endswith("rows that name no other are theirs")), None)
    if first is None:
        fail(f"there is no chart in\n{text}")
    last = max((i for i, line in enumerate(lines) if line.startswith("== ")), default=first)
    return lines[first:last + 1]


def traces(runs):
    files = []
    for name, run in (("demo", runs.demo), ("mainline", runs.close), ("cca", runs.cca),
                      ("sev", runs.sev)):
        files.append(runs.folder / f"{name}.json")
        run("--trace", str(files[-1]))
    check = runs.source / "tools/check_trace"
    done = subprocess.run([check, *files], capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    if done.returncode:
        fail("a trace breaks Perfetto's rules")
    trace = json.loads(files[1].read_text())
    rules = [e for e in trace["traceEvents"] if e.get("cat") == "rule"]
    if {e["name"][:2] for e in rules} != {"R2", "R4"} or not all(e["args"]["in"] for e in rules):
        fail(f"the broken rules are not in the trace: {rules}")
    if "minivmm" not in trace["otherData"]["arguments"]:
        fail("the program is not in otherData")
    bad = runs.folder / "bad.json"
    for text, sentence in (("[]", "it has no traceEvents"), ("x", "it is no JSON")):
        bad.write_text(text)
        done = subprocess.run([check, bad], capture_output=True, text=True, check=False)
        if done.returncode != 1 or not done.stderr.startswith(f"check_trace: {bad}: {sentence}"):
            fail(f"check_trace says of {text}: {done.stderr}")
    # The checker notices: a flow without its slice, an overlap, a lost colour.
    for what, spoil in (("in no slice", lambda e: e["ph"] == "X" and e["tid"] == 3),
                        ("has not one start", lambda e: e["ph"] == "f"),
                        ("no category", lambda e: e["ph"] == "i" and e.pop("cat", None) and False)):
        spoilt = json.loads(files[0].read_text())
        spoilt["traceEvents"] = [e for e in spoilt["traceEvents"] if not spoil(e)]
        bad = runs.folder / "spoilt.json"
        bad.write_text(json.dumps(spoilt))
        done = subprocess.run([check, bad], capture_output=True, text=True, check=False)
        if done.returncode != 1 or what not in done.stderr:
            fail(f"check_trace does not notice what it should: {what}")


def wide(lines, columns):
    return [line for line in lines if len(line) > columns]


def phases(chart, wanted):
    got = [line[3:].rstrip("= ") for line in chart if line.startswith("== ")]
    if got != wanted:
        fail(f"the phases are {got}")


def charts(runs):
    demo = chart_of(runs.demo("--chart"))
    if len(demo) > 60 or wide(demo, 72):
        fail(f"the demo's chart has {len(demo)} rows, too wide: {wide(demo, 72)}")
    words = "\n".join(demo)
    for word in EIGHT:
        if not re.search(rf"== (.*\b)?{word}", words):
            fail(f"the demo's chart does not name {word!r}")
    phases(demo, ["connect: SPDM session and IDE keys", "build the VM, give it the device", "bind",
                  "attest", "accept private MMIO", "accept trusted DMA", "start", "trusted DMA",
                  "unbind", "a shared device again", "close", EIGHT[-1]])
    # On TDX a bind by the guest is refused and undone: nothing is attested.
    phases(chart_of(runs.demo("--chart", vmm=("--bind=guest",), status=1)),
           ["connect: SPDM session and IDE keys", "build the VM, give it the device", "bind",
            "unbind", "close", EIGHT[-1]])
    if "-x" in words:
        fail("a good run has a failed call in its chart")
    if "\033" in words:
        fail("colours where there is no terminal")

    close = chart_of(runs.close("--chart=life"))
    start = next(i for i, line in enumerate(close) if line.startswith("== close"))
    if len(close) - start > 35 or wide(close, 72):
        fail(f"mainline's close has {len(close) - start} rows, too wide: {wide(close, 72)}")
    marked = [line for line in close if re.search(r"<== R[24]$", line)]
    if len(marked) != 3 or not any("bus mastering cleared" in line for line in marked):
        fail(f"the broken rules are not marked in place: {marked}")
    if "as it was at boot" in close[-1] or "R4 ×2" not in close[-1]:
        fail(f"the last line is {close[-1]}")

    calls = chart_of(runs.demo("--chart=calls"))
    for group in ("build the VM (", "SPDM session and IDE keys (", "take the VM apart ("):
        if not any(group in line for line in calls):
            fail(f"--chart=calls does not fold {group}")
    if wide(calls, 72):
        fail(f"--chart=calls is too wide: {wide(calls, 72)}")
    if wide(chart_of(runs.demo("--chart=calls", "-w", "60")), 60):
        fail("-w 60 is not kept")

    # The numbers are those of the reports.
    report = runs.close()
    touches = set(re.findall(r"^    \[(\d+)\] VFIO: (?:bus|function)", report, re.MULTILINE))
    refused = re.search(r"\[(\d+)\] KVM -> firmware TDH.MMIO.UNMAP", report)[1]
    around = runs.close("--chart=R4")
    steps = re.findall(r"^ *(\d+)\. .*$", around, re.MULTILINE)
    if len(touches) != 2 or not touches <= set(steps) or len(steps) > 20:
        fail(f"--chart=R4 shows {steps}")
    steps = re.findall(r"^ *(\d+)\. ", runs.close(f"--chart={refused}"), re.MULTILINE)
    if refused not in steps or len(steps) != 10:
        fail(f"--chart={refused} shows {steps}")
    if "there is no event 999999" not in runs.demo("--chart=999999"):
        fail("an event that is not there is drawn")
    if "R7 was not broken" not in runs.demo("--chart=R7"):
        fail("a rule that was not broken is drawn")
    if "--chart=R4 around each R4" not in report:
        fail("a report does not say how to see it drawn")
    runs.demo("--chart=bogus", status=125)
    runs.demo("--chart-file", str(runs.folder / "x.pdf"), status=125)
    runs.demo("--chart-file", "/nonexistent/x.svg", status=125)
    files(runs)
    if not colours(runs, NO_COLOR="", TERM="xterm") or colours(runs, NO_COLOR="1", TERM="xterm"):
        fail("a terminal has colours, unless NO_COLOR is set")
    # The other vendors' guests speak, too, and what is part of the course is no refusal.
    for run, words in ((runs.cca, ("RSI_VDEV_GET_INFO", "RSI_VDEV_DMA_ENABLE")),
                       (runs.sev, ("TIO_MSG_TDI_INFO_REQ", "TIO_MSG_SDTE_WRITE_REQ",
                                   "TIO_MSG_MMIO_VALIDATE_REQ", "VMGEXIT TIO_OP run"))):
        chart = chart_of(run("--chart"))
        if len(chart) > 60 or wide(chart, 72):
            fail(f"a chart of {len(chart)} rows, too wide: {wide(chart, 72)}")
        text = "\n".join(chart)
        for word in (*EIGHT, *words):
            if word not in text:
                fail(f"a chart does not name {word!r}:\n{text}")
        if "-x" in text:
            fail(f"a good run has a failed call in its chart:\n{text}")


def lives(runs):
    """Every door, end and number of VMs of each vendor, and lives that repeat themselves."""
    closes = ("vfio,iommufd,vm", "vm,vfio,iommufd", "iommufd,vfio,vm")
    one = [(), ("--bind=vfio",), ("--bind=guest",), ("--fresh-evidence",), ("--spoil-evidence",),
           *(("--no-unbind", f"--close-order={close}") for close in closes)]
    two = [("--two-vfs",), ("--two-vfs", "--bind=vfio"), ("--two-vfs", "--bind=guest"),
           ("--two-vfs", "--no-unbind")]
    more = {"cca": [("--rhi-continue",)], "tdx": [], "sev": []}
    for machine, arch in (("tdx-connect", "tdx"), ("arm-cca-slice", "cca"), ("amd-sev", "sev")):
        for options in (*one, *more[arch], *two):
            chart = life(runs, str(runs.source / f"machines/{machine}.toml"), arch, *options)
            most = 85 if "--two-vfs" in options else 60
            if len(chart) > most or wide(chart, 72):
                fail(f"{arch} {options}: {len(chart)} lines, too wide: {wide(chart, 72)}")
    fresh = life(runs, str(runs.source / "machines/tdx-connect.toml"), "tdx", "--fresh-evidence")
    again = [line for line in fresh if re.match(r"== bind: \d+–\d+ as \d+–\d+ =", line)]
    if len(again) != 1 or sum("LOCK_INTERFACE" in line for line in fresh) != 1:
        fail("a second bind is drawn like the first:\n" + "\n".join(fresh))
    other = life(runs, str(runs.source / "machines/tdx-connect.toml"), "tdx", "--two-vfs")
    if not any(re.match(r"== bind: \d+–\d+ as \d+–\d+, 0000:01:00.2 VM 2 =", line) for line in other):
        fail("the second VM's bind is drawn like the first's:\n" + "\n".join(other))


def life(runs, machine, arch, *options):
    """The lines of a life, whatever became of it."""
    name = runs.folder / "life.txt"
    subprocess.run([runs.teeio, "run", "--machine", machine, "--chart-file", str(name), "--",
                    runs.minivmm, f"--arch={arch}", *options], capture_output=True, timeout=120,
                   check=False)
    return name.read_text(encoding="utf-8").splitlines()


def colours(runs, **environment):
    """Whether a chart on a terminal has colours."""
    ours, theirs = pty.openpty()
    # A pseudo terminal holds little: it is read while the program writes.
    with subprocess.Popen([runs.teeio, "run", "--chart", "--", runs.minivmm], stderr=theirs,
                          stdout=subprocess.DEVNULL, env={**os.environ, **environment}) as running:
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # EIO: the last writer is gone
                break
            if not part:
                break
            text += part
        running.wait(120)
    os.close(ours)
    if b"LOCK_INTERFACE" not in text:
        fail("there is no chart on a terminal")
    return b"\033[" in text


def files(runs):
    names = {kind: runs.folder / f"demo.{kind}" for kind in ("txt", "html", "svg", "mmd")}
    runs.demo(*(word for name in names.values() for word in ("--chart-file", str(name))))
    text = {kind: name.read_text(encoding="utf-8") for kind, name in names.items()}
    if text["txt"].splitlines() != chart_of(text["txt"]):
        fail("the .txt has something else than the chart")
    if "<svg" not in text["svg"] or "attest" not in text["svg"]:
        fail("the .svg lacks something")
    xml.dom.minidom.parseString(text["svg"].encode())
    if not text["mmd"].startswith("sequenceDiagram\n") or "L2->>L4" not in text["mmd"]:
        fail(f"the .mmd lacks something: {text['mmd'][:400]}")
    if "/*DATA*/" in text["html"] or "LOCK_INTERFACE" not in text["html"]:
        fail("the .html has no data")
    if re.search(r"(src|href)=\"(?!#)|url\(|@import|fetch\(|XMLHttpRequest", text["html"]):
        fail("the .html wants something from elsewhere")


def main():
    what, teeio, minivmm, source = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(teeio, minivmm, pathlib.Path(source), pathlib.Path(folder))
        {"trace": traces, "chart": charts, "lives": lives}[what](runs)


if __name__ == "__main__":
    main()
