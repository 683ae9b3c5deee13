"""A QEMU without a processor (`-accel qtest`), and its PCI bus as a guest would see it."""

import json
import os
import socket
import subprocess
import time

MMCONFIG = 0xb0000000
WINDOW = 0xfe000000  # of the root port
REGISTERS, MEMORY, MSIX = WINDOW, WINDOW + 0x100000, WINDOW + 0x200000
PORT = (0, 2, 0)


class Lines:
    """One answer a command, over a socket that QEMU connects to us."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(60)
        self.file = None

    def accept(self):
        self.socket, _ = self.listener.accept()
        self.socket.settimeout(60)
        # One of "rw" forgets what it has read ahead when something is written.
        self.file, self.out = self.socket.makefile("r"), self.socket.makefile("w")

    def line(self):
        text = self.file.readline()
        if not text:
            raise EOFError("QEMU is gone")
        return text

    def send(self, text):
        self.out.write(text + "\n")
        self.out.flush()


class Qemu:
    """q35 with the device of each socket behind a root port of its own; the first is placed."""

    def __init__(self, command, folder, path, shared=True, options=()):
        self.events = []
        self.qtest = Lines(f"{folder}/qtest")
        self.qmp = Lines(f"{folder}/qmp")
        backend = "memory-backend-memfd,share=on" if shared else "memory-backend-ram"
        device = {"driver": "vfio-user-pci", "bus": "rp",
                  "socket": {"type": "unix", "path": path}}
        self.process = subprocess.Popen(
            [*command, "-accel", "qtest", "-M", "q35,memory-backend=ram", "-m", "64",
             "-object", f"{backend},id=ram,size=64M", "-nodefaults", "-display", "none",
             "-qtest", f"unix:{folder}/qtest", "-qmp", f"unix:{folder}/qmp",
             "-device", "pcie-root-port,id=rp,addr=2,chassis=1", *options,
             "-device", json.dumps(device)], stderr=subprocess.PIPE, text=True)
        self.qtest.accept()
        self.qmp.accept()
        self.qmp.line()
        self.command("qmp_capabilities")
        os.unlink(f"{folder}/qtest")
        os.unlink(f"{folder}/qmp")
        self.place()

    def command(self, name):
        self.qmp.send(json.dumps({"execute": name}))
        while "return" not in (answer := json.loads(self.qmp.line())):
            assert "error" not in answer, answer
            self.events.append(answer.get("event"))

    def reset(self):
        """The machine's, and its firmware's work anew."""
        self.events.clear()
        self.command("system_reset")
        while "RESET" not in self.events:
            self.events.append(json.loads(self.qmp.line()).get("event"))
        self.place()

    def ask(self, *words):
        self.qtest.send(" ".join(str(word) for word in words))
        answer = self.qtest.line().split()
        assert answer[0] == "OK", answer
        return answer[1] if len(answer) > 1 else ""

    def read(self, address, size=4):
        return int(self.ask({1: "readb", 2: "readw", 4: "readl", 8: "readq"}[size], address), 16)

    def write(self, address, value, size=4):
        self.ask({1: "writeb", 2: "writew", 4: "writel", 8: "writeq"}[size], address, value)

    def get(self, address, size):
        return bytes.fromhex(self.ask("read", address, size)[2:])

    def put(self, address, data):
        self.ask("write", address, len(data), "0x" + data.hex())

    def config(self, function, offset):
        bus, device, number = function
        return MMCONFIG | bus << 20 | device << 15 | number << 12 | offset

    def place(self):
        """What a guest's firmware does: MMCONFIG, the bridge's window, the BARs."""
        for offset, value in ((0x60, MMCONFIG | 1), (0x64, 0)):
            self.ask("outl", 0xcf8, 0x80000000 | offset)
            self.ask("outl", 0xcfc, value)
        self.write(self.config(PORT, 0x18), 0x00010100)
        self.write(self.config(PORT, 0x20), (WINDOW + 0x2fffff) & 0xfff00000 | WINDOW >> 16)
        self.write(self.config(PORT, 4), 6, 2)
        for number, base in ((0, REGISTERS), (2, MEMORY), (4, MSIX)):
            self.write(self.device(0x10 + 4 * number), base)
            self.write(self.device(0x14 + 4 * number), 0)
        self.write(self.device(4), 6, 2)

    def device(self, offset):
        return self.config((1, 0, 0), offset)

    def capability(self, wanted):
        at = self.read(self.device(0x34), 1)
        while at and self.read(self.device(at), 1) != wanted:
            at = self.read(self.device(at + 1), 1)
        return at

    def extended(self, wanted):
        at = 0x100
        while at and self.read(self.device(at)) & 0xffff != wanted:
            at = self.read(self.device(at)) >> 20
        return at

    def run_engine(self, ring):
        for offset, value in ((0x08, 2), (0x10, ring), (0x14, 0), (0x18, 2), (0x08, 1),
                              (0x24, 1)):
            self.write(REGISTERS + offset, value)
        return self.read(REGISTERS + 0x28)

    def wait_for(self, address, value):
        """A message that an interrupt writes; QEMU carries it on its own time."""
        until = time.monotonic() + 30
        while self.read(address) != value:
            assert time.monotonic() < until, f"{value:#x} never came to {address:#x}"

    def quit(self):
        self.command("quit")
        said = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, said
        return said

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=60)
