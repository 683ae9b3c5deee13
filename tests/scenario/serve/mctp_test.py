#!/usr/bin/env -S python3 -B
"""mctp_test.py TEEIO MCTP_BUS: `teeio validate --mctp` over a kernel's own MCTP network, in packets
of 64 bytes, to `teeio serve` at its other end (mctp_bus.cc).

Needs root and a kernel with AF_MCTP and TUN devices, CONFIG_MCTP and CONFIG_TUN; where this one has
none, one of that kind for a guest (TEEIO_MCTP_KERNEL), QEMU (TEEIO_QEMU, else qemu-system-x86_64), a
static busybox, cpio. Else it says what is missing."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../nvme"))
import guest  # noqa: E402

TEEIO, MCTP_BUS = sys.argv[1:]
SUITES = "spdm10,spdm11,spdm12,spdm13,spdm14,session,auth,provisioning,events"
SERVED = "serve --listen 127.0.0.1:2323 --transport mctp --mutual-auth --capabilities +CSR,+SET_CERT,+EVENT"
SECONDS = 1200


def script(teeio):
    """What is tried; each verdict has a line of its own."""
    return f"""
mkfifo listens; {teeio} {SERVED} >listens & server=$!
exec 3<listens; read line <&3
{teeio} validate --mctp 1,9 --timeout 3000 --suite {SUITES} 2>&1; echo "judged: $?"
{teeio} validate --mctp 1,20 --timeout 300 2>&1; echo "no route: $?"
kill -STOP $server
{teeio} validate --mctp 1,9 --timeout 300 2>&1; echo "silent: $?"
kill -9 $server
exit 0
"""


def check(text):
    assert "judged: 0" in text, text
    passed, failed, skipped = map(int, re.search(r"# (\d+) passed, (\d+) failed, (\d+) skipped",
                                                 text).groups())
    assert passed > 200 and failed == 0, text
    assert skipped < passed // 4, text
    for sentence in ("network 1, EID 20: the kernel has no route to this EID", "no route: 2",
                     "network 1, EID 9: GET_VERSION is not answered", "silent: 2"):
        assert sentence in text, (sentence, text)


def here(folder):
    """Of this kernel; None: it has not what is needed."""
    done = subprocess.run([MCTP_BUS, "sh", "-c", script(TEEIO)], stdout=subprocess.PIPE, cwd=folder,
                          stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
    return None if done.returncode == 77 else done.stdout


def in_a_guest(folder):
    root = os.path.join(folder, "root")
    for each in ("bin", "proc", "sys", "dev"):
        os.makedirs(os.path.join(root, each))
    shutil.copy(guest.find("busybox"), f"{root}/bin/busybox")
    shutil.copy(MCTP_BUS, f"{root}/bin/mctp_bus")
    guest.copy_program(root, TEEIO)
    with open(f"{root}/bin/job", "w") as file:
        file.write(f"#!/bin/busybox sh\n{script('teeio')}")
    with open(f"{root}/init", "w") as file:
        file.write("#!/bin/busybox sh\n/bin/busybox --install -s /bin 2>/dev/null\n"
                   "mount -t proc proc /proc; mount -t devtmpfs dev /dev\n"
                   'mctp_bus job; echo "ended: $?"\nreboot -f\n')
    for program in ("init", "bin/job"):
        os.chmod(f"{root}/{program}", 0o755)
    words = guest.base(guest.archive(folder, root))
    words[words.index("-kernel") + 1] = os.environ["TEEIO_MCTP_KERNEL"]
    console = guest.Console(words)
    console.finish(SECONDS)
    assert "ended: 0" in console.text, console.raw
    return console.text


def why_no_guest():
    if not os.environ.get("TEEIO_MCTP_KERNEL"):
        return "this kernel has no AF_MCTP, or this is not root; TEEIO_MCTP_KERNEL names no other one"
    if not guest.qemu():
        return "no qemu-system-x86_64, and TEEIO_QEMU is not set"
    missing = [program for program in ("busybox", "cpio") if not guest.find(program)]
    return f"no {missing[0]}" if missing else None


def main():
    with tempfile.TemporaryDirectory() as folder:
        text = here(folder)
        if text is None and (why := why_no_guest()):
            print("skipped:", why)
            sys.exit(77)
        check(text or in_a_guest(folder))


main()
