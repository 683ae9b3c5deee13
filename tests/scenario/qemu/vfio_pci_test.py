#!/usr/bin/env -S python3 -B
"""Unmodified QEMU passes the cards of machines/pci-functions.toml through by vfio-pci.

  vfio_pci_test.py TEEIO MACHINE

No guest runs: its processor is stopped (`-S`), the test makes its accesses (`-qtest`). INTA arrives at the
guest's I/O APIC and goes when the driver acknowledges; MSI arrives as a message; the expansion
ROM and the ports answer. QEMU is qemu-system-x86_64 of the PATH, or $QEMU; 7.2 and later. Exit
status 77: there is none.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serve"))
from qtest import MMCONFIG, Lines  # noqa: E402

ENGINE, PLAIN = 3, 4  # devices of the guest's bus 0
REGISTERS, ENGINE_ROM, PLAIN_BAR, PORTS = 0xfe000000, 0xfe100000, 0xfe200000, 0xd000
MESSAGE = 0x200000


class Guest:
    def __init__(self, teeio, machine, qemu, folder):
        self.lines = Lines(f"{folder}/qtest")
        self.raised = set()
        self.process = subprocess.Popen(
            [teeio, "run", "--machine", machine, "--", qemu, "-accel", "tcg", "-S", "-M", "q35",
             "-m", "64", "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "none",
             "-qtest", f"unix:{folder}/qtest", "-qtest-log", "none",
             "-device", f"vfio-pci,host=0000:01:00.0,addr={ENGINE}",
             "-device", f"vfio-pci,host=0000:02:00.0,addr={PLAIN}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.lines.accept()
        self.ask("irq_intercept_in", "ioapic")
        for offset, value in ((0x60, MMCONFIG | 1), (0x64, 0)):
            self.ask("outl", 0xcf8, 0x80000000 | offset)
            self.ask("outl", 0xcfc, value)

    def line(self):
        """The next answer; what the I/O APIC's pins do comes in between."""
        while (words := self.lines.line().split())[0] == "IRQ":
            (self.raised.add if words[1] == "raise" else self.raised.discard)(int(words[2]))
        return words

    def ask(self, *words):
        self.lines.send(" ".join(str(word) for word in words))
        answer = self.line()
        assert answer[0] == "OK", answer
        return int(answer[1], 16) if len(answer) > 1 else None

    def read(self, address, size=4):
        return self.ask({1: "readb", 2: "readw", 4: "readl"}[size], address)

    def write(self, address, value, size=4):
        self.ask({1: "writeb", 2: "writew", 4: "writel"}[size], address, value)

    def wait(self, holds, what):
        until = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < until, f"{what} never came"
            self.read(0, 1)  # RAM: no device is touched

    def quit(self):
        self.lines.socket.close()
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]


def config(device, offset):
    return MMCONFIG | device << 15 | offset


def capability(guest, device, wanted):
    at = guest.read(config(device, 0x34), 1)
    while at and guest.read(config(device, at), 1) != wanted:
        at = guest.read(config(device, at + 1), 1)
    assert at, f"no capability {wanted:#x}"
    return config(device, at)


def place(guest):
    for number, base in ((0, REGISTERS), (2, 0xfe400000), (4, 0xfe600000)):
        guest.write(config(ENGINE, 0x10 + 4 * number), base)
        guest.write(config(ENGINE, 0x14 + 4 * number), 0)
    guest.write(config(ENGINE, 4), 6, 2)
    guest.write(config(PLAIN, 0x10), PLAIN_BAR)
    guest.write(config(PLAIN, 0x14), 0)
    guest.write(config(PLAIN, 0x18), PORTS)
    guest.write(config(PLAIN, 4), 3, 2)
    assert guest.read(REGISTERS) == 0x31414d44


def make_error(guest):
    """A doorbell without a ring: vector 1."""
    for offset, value in ((0x08, 2), (0x08, 1), (0x24, 1)):
        guest.write(REGISTERS + offset, value)


def check_intx(guest):
    assert guest.read(config(ENGINE, 0x3d), 1) == 1
    for _ in range(3):
        guest.raised.clear()
        make_error(guest)
        guest.wait(lambda: guest.raised, "INTA")
        # An access to a BAR is what QEMU takes for the end of the interrupt: it unmasks.
        assert guest.read(REGISTERS + 0x38) == 2
        guest.write(REGISTERS + 0x38, 2)
        assert guest.read(REGISTERS + 0x38) == 0
        guest.wait(lambda: not guest.raised, "the end of INTA")


def check_msi(guest):
    at = capability(guest, ENGINE, 5)
    assert guest.read(at + 2, 2) >> 1 & 7 == 3, "eight vectors"
    guest.write(at + 4, MESSAGE)
    guest.write(at + 8, 0)
    guest.write(at + 12, 0x1230, 2)
    guest.write(at + 2, 0x31, 2)
    guest.write(MESSAGE, 0)
    make_error(guest)
    guest.wait(lambda: guest.read(MESSAGE) == 0x1231, "MSI of vector 1")
    assert guest.read(REGISTERS + 0x38) == 0 and not guest.raised, "INTA as well"
    guest.write(at + 2, 0x30, 2)


def check_rom(guest):
    register = config(ENGINE, 0x30)
    guest.write(register, 0xfffff800)
    assert guest.read(register) == 0xffff0000, "64 KiB"
    guest.write(register, ENGINE_ROM | 1)
    assert guest.read(ENGINE_ROM, 2) == 0xaa55
    assert guest.read(ENGINE_ROM + guest.read(ENGINE_ROM + 0x18, 2)) == 0x52494350
    guest.write(register, 0)


def check_ports(guest):
    assert guest.ask("inl", PORTS) == 0x314f4950
    guest.write(PLAIN_BAR + 0x1234, 0xcafef00d)
    guest.ask("outl", PORTS + 4, 0x1234)
    assert guest.ask("inl", PORTS + 8) == 0xcafef00d
    guest.ask("outb", PORTS + 9, 0x11)
    assert guest.read(PLAIN_BAR + 0x1234) == 0xcafe110d


def main():
    teeio, machine = sys.argv[1:]
    qemu = os.environ.get("QEMU") or shutil.which("qemu-system-x86_64")
    if not qemu or not os.access(qemu, os.X_OK):
        print("skipped: there is no qemu-system-x86_64, and QEMU does not name one")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        guest = Guest(teeio, machine, qemu, folder)
        try:
            place(guest)
            for check in (check_intx, check_msi, check_intx, check_rom, check_ports):
                check(guest)
                print(f"{check.__name__}: ok")
        finally:
            said = guest.quit()
    print(said, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
