#!/usr/bin/env -S python3 -B
"""`teeio validate --pci` judges the machine's own card under `teeio run`, and asks before it
takes a session away from the kernel's TSM."""

import subprocess
import sys

TEEIO = sys.argv[1]
CARD = "0000:01:00.0"
CONNECT = f"/sys/bus/pci/devices/{CARD}/tsm/connect"


def run(*words, script=None, rules="R9=off", machine="tdx-connect"):
    """Under `teeio run`; a script runs in its shell with the words as $@. The judge starts
    TDIs that no guest asked to start, which is what rule R9 is against."""
    program = [TEEIO, "validate", *words]
    if script:
        program = ["sh", "-c", script, "sh", *program]
    return subprocess.run([TEEIO, "run", "--machine", machine, "--rules", rules, "--", *program], capture_output=True, text=True,
                          timeout=280, check=False)


def passes():
    done = run("--pci", CARD, "--suite", "doe,spdm12,session,ide_km,tdisp", "--timeout", "200")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    count = int(lines[1].removeprefix("1.."))
    assert sum(line.startswith("ok ") for line in lines) == count > 100, lines[-1]
    judged = {line.split(" ")[3].rstrip(":") for line in lines if line.startswith("ok ") and "# SKIP" not in line}
    # What the card's IDE capability has, written into its own registers.
    assert {name for name in judged if ".config." in name} == {"ide_km.config.requests",
                                                               "ide_km.config.tee_limited"}, judged
    assert "opens and ends SPDM sessions in the DOE mailbox at 0x140" in done.stderr, done.stderr


def every_configuration_of_a_stream():
    """A card that offers them all: written into its registers, which are as before afterwards."""
    with open("ide.toml", "w") as file:
        file.write(subprocess.run([TEEIO, "machine", "show", "--toml", "tdx-connect"], capture_output=True,
                                  text=True, timeout=20, check=True).stdout.replace(
            'spdm = "session"', 'ide_links = 2\nide_features = ["header-encryption", "aggregation", "pcrc", '
            '"configuration-requests", "tee-limited"]\nspdm = "session"'))
    dump = f"od -An -tx4 -v /sys/bus/pci/devices/{CARD}/config"
    done = run("--pci", CARD, "--case", "ide_km.config,ide_km.link", "--timeout", "200",
               script=f'{dump} >before; "$@"; s=$?; {dump} >after; cmp before after || exit 77; exit $s',
               machine="ide.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# 10 passed, 0 failed, 0 skipped" in done.stdout, done.stdout
    assert "of a link stream" in done.stderr, done.stderr


# Enables a stream: argument 1 is the control register's offset in the IDE capability, 2 the ID.
ENABLE = """
import struct, sys
with open("/sys/bus/pci/devices/CARD/config", "r+b", buffering=0) as config:
    def word(at):
        config.seek(at)
        return struct.unpack("<I", config.read(4))[0]
    at = 0x100
    while word(at) & 0xffff != 0x30:
        at = word(at) >> 20
    config.seek(at + int(sys.argv[1], 0))
    config.write(struct.pack("<I", int(sys.argv[2], 0) << 24 | 1))
""".replace("CARD", CARD)


def leaves_alone_what_has_the_id():
    """Two streams of one ID there are not: neither a link stream nor a selective one is set up where
    a block of either kind has the ID. The machine is that of the test before."""
    with open("enable.py", "w") as file:
        file.write(ENABLE)
    link, selective = "0x0c", "0x20"  # behind two link blocks, and a selective's capability
    for block, stream, skipped in ((link, "0x80", True), (selective, "0x80", True), (link, "0x81", False)):
        done = run("--pci", CARD, "--case", "ide_km.link.plain", "--timeout", "200", machine="ide.toml",
                   script=f'python3 -B enable.py {block} {stream} && exec "$@"')
        assert done.returncode == 0, done.stdout + done.stderr
        said = "stream ID 128, which a link stream would be tried with, is of a stream that is enabled"
        assert (said in done.stdout) == skipped, done.stdout
        assert ("of a link stream" in done.stderr) != skipped, done.stderr
    done = run("--pci", CARD, "--case", "ide_km.query", "--timeout", "200", machine="ide.toml",
               script=f'python3 -B enable.py {link} 0 && exec "$@"')
    assert "opens and ends SPDM" in done.stderr and "enables the IDE stream block" not in done.stderr, done.stderr


def leaves_out_what_a_device_keeps():
    """Suites that write into a device, or lock it until its reset, run by name alone."""
    for suite, told in (("events", "writes the chain of slot 0 again"), ("cxl", "CXL.cachemem"),
                        ("provisioning", "what key pairs are used for")):
        named = run("--pci", CARD, "--timeout", "200", "--suite", suite)
        assert named.returncode == 0 and told in named.stderr, named.stdout + named.stderr
        assert f" {suite}." in named.stdout, named.stdout
        assert "IDE stream" not in named.stderr, named.stderr
    whole = run("--pci", CARD, "--timeout", "100")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for suite in ("events", "cxl", "provisioning", "tee_io"):
        assert f" {suite}." not in whole.stdout, suite
    assert "writes" not in whole.stderr and "CXL" not in whole.stderr, whole.stderr


def asks_before_it_takes_a_session():
    words = ["--pci", CARD, "--case", "doe.discovery.first,tdisp.version"]
    connect = f"echo tsm0 > {CONNECT} && "
    refused = run(*words, script=connect + '"$@"')
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "the kernel's tsm0 holds a session with it" in refused.stderr
    assert refused.stdout == ""
    # Two owners of one mailbox: R4, unless one says that it is meant.
    found = run(*words, "--force", script=connect + '"$@"')
    assert found.returncode == 99, found.stdout + found.stderr
    assert "its DOE mailbox written by a program while a TSM's session uses it" in found.stderr
    forced = run(*words, "--force", script=connect + '"$@"', rules="R9=off,R4=off")
    assert forced.returncode == 0, forced.stdout + forced.stderr
    assert "tsm0 loses its session" in forced.stderr


def says_what_it_cannot():
    def plain(*words):
        return subprocess.run([TEEIO, "validate", *words], capture_output=True, text=True,
                              timeout=60, check=False)

    for words, status, problem in (
            (["--pci", "nonsense"], 125, "must be a PCI address"),
            (["--pci", CARD, "127.0.0.1:1"], 125, "exclude each other"),
            (["--force", "127.0.0.1:1"], 125, "--force needs --pci"),
            (["--mctp", "1"], 125, "must be NETWORK,EID"),
            (["--mctp", "1,7"], 125, "must be NETWORK,EID")):
        done = plain(*words)
        assert done.returncode == status and problem in done.stderr, (words, done)
    done = run("--pci", "0000:09:00.0")
    assert done.returncode == 2 and "No such file" in done.stderr, done.stderr
    done = run("--pci", "0000:02:00.0")
    assert done.returncode == 2 and "no DOE mailbox" in done.stderr, done.stderr
    # Only a kernel with AF_MCTP goes on, and then nobody answers.
    done = plain("--mctp", "1,9", "--timeout", "100")
    assert done.returncode == 2, done
    assert "no AF_MCTP" in done.stderr or "GET_VERSION is not answered" in done.stderr, done.stderr


for test in (passes, every_configuration_of_a_stream, leaves_alone_what_has_the_id, leaves_out_what_a_device_keeps, asks_before_it_takes_a_session, says_what_it_cannot):
    test()
    print("ok", test.__name__, flush=True)
