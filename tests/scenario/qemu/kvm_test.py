#!/usr/bin/env -S python3 -B
"""Unmodified QEMU with `-accel kvm` on teeio's /dev/kvm gets as far as KVM_RUN.

  kvm_test.py TEEIO

QEMU is qemu-system-x86_64 of the PATH, or $QEMU. Everything before the first KVM_RUN must
work, with the interrupt controllers in the kernel and with the split ones: no call of QEMU's
start may end it. What runs then is the firmware's first instruction, in real mode, which the
guest engine does not run. A QEMU that has tdx-guest builds a TD of OVMF, as far as there is
one: $OVMF, or Debian's. Exit status 77: there is no QEMU.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

SECONDS = 100


def reaches_run(teeio, qemu, machine, more=()):
    """Whether KVM_RUN is called, and all that was said before."""
    command = [teeio, "run", "-v", "-e", "trace=KVM_*", "--", qemu, "-accel", "kvm", "-M",
               f"q35,{machine}", "-m", "64", "-nodefaults", "-display", "none",
               "-serial", "none", "-monitor", "none", *more]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, text=True, errors="replace",
                               start_new_session=True)
    timer = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    said, reached = [], False
    try:
        for line in process.stderr:
            said.append(line)
            if "KVM_RUN" in line:
                reached = True
                break
    finally:
        timer.cancel()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    return reached, said


def has_tdx_guest(qemu):
    listed = subprocess.run([qemu, "-object", "help"], capture_output=True, text=True, check=False)
    return "tdx-guest" in listed.stdout


def builds_td(teeio, qemu, firmware):
    """Whether a TD of `firmware` is built, finalised and run, and what was said."""
    reached, said = reaches_run(
        teeio, qemu, "kernel-irqchip=split,confidential-guest-support=td",
        ("-cpu", "host", "-object", "tdx-guest,id=td", "-bios", firmware))
    return reached and any("KVM_TDX_FINALIZE_VM" in line and line.rstrip().endswith("= 0")
                           for line in said), said


def main():
    teeio = sys.argv[1]
    qemu = os.environ.get("QEMU") or shutil.which("qemu-system-x86_64")
    if not qemu or not os.access(qemu, os.X_OK):
        print("skipped: there is no qemu-system-x86_64, and QEMU does not name one")
        return 77
    failed = 0
    for irqchip in ("split", "on"):
        reached, said = reaches_run(teeio, qemu, f"kernel-irqchip={irqchip}")
        print(f"{qemu}, kernel-irqchip={irqchip}: KVM_RUN {'reached' if reached else 'NOT reached'}")
        if not reached:
            failed = 1
            print("".join(said[-12:]), end="")
    firmware = os.environ.get("OVMF") or "/usr/share/ovmf/OVMF.fd"
    if not has_tdx_guest(qemu):
        print(f"not tried: {qemu} has no tdx-guest")
    elif not os.access(firmware, os.R_OK):
        print(f"not tried: tdx-guest needs OVMF; there is no {firmware}")
    else:
        built, said = builds_td(teeio, qemu, firmware)
        print(f"{qemu}, tdx-guest of {firmware}: TD {'built, KVM_RUN reached' if built else 'NOT built'}")
        if not built:
            failed = 1
            print("".join(said[-12:]), end="")
    return failed


if __name__ == "__main__":
    sys.exit(main())
