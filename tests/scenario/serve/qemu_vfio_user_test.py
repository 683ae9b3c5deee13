#!/usr/bin/env python3
"""qemu_vfio_user_test.py TEEIO: QEMU's own vfio-user-pci with `teeio serve --vfio-user`.

QEMU is $TEEIO_QEMU, else qemu-system-x86_64; without one of 10.1 or later this says so and is
skipped. No guest runs: the test makes a guest's accesses itself (`-accel qtest`)."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from qtest import MEMORY, MSIX, REGISTERS, Qemu
from vfio_user import Client, fill, open_files

TEEIO = sys.argv[1]
QEMU = [os.environ.get("TEEIO_QEMU") or shutil.which("qemu-system-x86_64") or ""]
RING, DATA, STATUS, MESSAGE = 0x100000, 0x102000, 0x100018, 0x200000
PATTERN = bytes.fromhex("8877665544332211")


def why_not():
    """Why there is nothing to try with; None: there is."""
    if not QEMU[0]:
        return "no qemu-system-x86_64, and TEEIO_QEMU is not set"
    version = subprocess.run([*QEMU, "--version"], capture_output=True, text=True).stdout
    numbers = re.search(r"version (\d+)\.(\d+)", version)
    if not numbers or tuple(map(int, numbers.groups())) < (10, 1):
        return f"vfio-user-pci came with QEMU 10.1; this is {version.splitlines()[:1]}"
    if "socket" not in subprocess.run([*QEMU, "-device", "vfio-user-pci,help"],
                                      capture_output=True, text=True).stdout:
        return "this QEMU was built without vfio-user-pci"
    tried = subprocess.run([*QEMU, "-accel", "qtest", "-M", "none", "-nodefaults", "-display", "none",
                            "-monitor", "stdio"], input="quit\n", capture_output=True, text=True,
                           timeout=60)
    if tried.returncode != 0:
        return "this QEMU has no qtest accelerator (QEMU_MODULE_DIR?)"
    return None


def arm(qemu):
    """MSI-X vector 0 writes 1234h to MESSAGE."""
    for offset, value in ((0, MESSAGE), (4, 0), (8, 0x1234), (12, 0)):
        qemu.write(MSIX + offset, value)
    qemu.write(qemu.device(qemu.capability(0x11) + 2), 0x8000, 2)


def check_engine(qemu):
    qemu.write(MESSAGE, 0)
    qemu.put(RING, fill(DATA, 4096))
    assert qemu.run_engine(RING) == 0
    assert qemu.get(DATA, 4096) == PATTERN * 512
    qemu.wait_for(MESSAGE, 0x1234)


def check_doe(qemu):
    """Discovery's first answer, through the guest's config space."""
    at = qemu.device(qemu.extended(0x2e))
    for word in (1, 3, 0):
        qemu.write(at + 0x10, word)
    qemu.write(at + 8, 0x80000000)
    words = []
    while qemu.read(at + 0xc) & 0x80000000:
        words.append(qemu.read(at + 0x14))
        qemu.write(at + 0x14, 0)
    assert words == [1, 3, 0x01000001], words


def the_whole_device(folder, path):
    qemu = Qemu(QEMU, folder, path)
    assert qemu.read(qemu.device(0)) == 0x0d001efe
    assert qemu.read(REGISTERS) == 0x31414d44
    qemu.write(MEMORY + 0x100, 0x0123456789abcdef, 8)
    assert qemu.read(MEMORY + 0x100, 8) == 0x0123456789abcdef
    # As the machine's: what QEMU passes on. SR-IOV and ARI it keeps to itself.
    assert [qemu.extended(each) != 0 for each in (0x2e, 0x30, 0x03, 0x10, 0x0e)] == \
        [True, True, True, False, False]
    check_doe(qemu)
    arm(qemu)
    check_engine(qemu)
    qemu.write(REGISTERS + 0x40, 7)
    qemu.reset()
    assert qemu.read(REGISTERS + 0x40) == 0
    check_doe(qemu)
    arm(qemu)
    check_engine(qemu)
    # Function level reset by the guest: the engine forgets, interrupts work on.
    express = qemu.device(qemu.capability(0x10))
    qemu.write(REGISTERS + 0x40, 7)
    qemu.write(express + 8, 0x8000, 2)
    qemu.place()
    assert qemu.read(REGISTERS + 0x40) == 0
    check_engine(qemu)
    qemu.quit()


def killed_and_started_again(folder, path):
    for _ in range(3):
        qemu = Qemu(QEMU, folder, path)
        arm(qemu)
        check_engine(qemu)
        qemu.kill()
    qemu = Qemu(QEMU, folder, path)
    check_engine_without_register_reads(qemu)
    qemu.quit()


def check_engine_without_register_reads(qemu):
    arm(qemu)
    qemu.write(MESSAGE, 0)
    qemu.put(RING, fill(DATA, 4096))
    for offset, value in ((0x08, 2), (0x10, RING), (0x14, 0), (0x18, 2), (0x08, 1), (0x24, 1)):
        qemu.write(REGISTERS + offset, value)
    qemu.wait_for(STATUS, 1)
    qemu.wait_for(MESSAGE, 0x1234)
    assert qemu.get(DATA, 4096) == PATTERN * 512


def memory_that_is_not_shared(folder, path):
    """DMA by messages, which QEMU answers while no register of ours is being read."""
    qemu = Qemu(QEMU, folder, path, shared=False)
    check_engine_without_register_reads(qemu)
    assert qemu.read(REGISTERS + 0x28) == 0
    qemu.quit()


def a_virtual_function(folder, path):
    """It has BARs of its own, and neither DOE nor IDE."""
    qemu = Qemu(QEMU, folder, path)
    assert qemu.read(qemu.device(0)) == 0x0d011efe
    assert (qemu.extended(0x2e), qemu.extended(0x30)) == (0, 0)
    qemu.write(qemu.device(0x18), 0xffffffff)
    assert qemu.read(qemu.device(0x18)) == 0xfff0000c
    qemu.place()
    arm(qemu)
    check_engine(qemu)
    qemu.reset()
    arm(qemu)
    check_engine(qemu)
    qemu.quit()


reason = why_not()
if reason:
    print("skipped:", reason)
    sys.exit(77)
for test, function in ((the_whole_device, "0000:01:00.0"), (a_virtual_function, "0000:01:00.2"),
                       (killed_and_started_again, "0000:01:00.0"),
                       (memory_that_is_not_shared, "0000:01:00.0")):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/device"
        server = subprocess.Popen([TEEIO, "serve", "--vfio-user", path, "--function", function],
                                  stdout=subprocess.PIPE, text=True)
        try:
            server.stdout.readline()
            idle = len(open_files(server.pid))
            test(folder, path)
            with Client(path).socket:  # whoever came before is forgotten when the next comes
                assert len(open_files(server.pid)) == idle + 1
        finally:
            server.terminate()
            assert server.wait(timeout=60) == 0
    print("ok", test.__name__, flush=True)
