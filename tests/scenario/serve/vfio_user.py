"""A small vfio-user client: what a VMM says to `teeio serve --vfio-user`."""

import array
import json
import os
import socket
import struct

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO = 1, 2, 3, 4, 5
GET_IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE = 7, 8, 9, 10
DMA_READ, DMA_WRITE, RESET, WRITE_MULTI = 11, 12, 13, 15
CONFIG = 7
HEADER = struct.Struct("<HHIII")


class Refused(Exception):
    """The server answered with an errno."""


class Client:
    """Registers are little-endian integers of 1, 2, 4 or 8 bytes."""

    def __init__(self, path, capabilities=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.memory = None  # what DMA messages reach: (address, bytearray)
        self.number = 0
        data = json.dumps({"capabilities": capabilities or {}}).encode() + b"\0"
        reply = self.ask(VERSION, struct.pack("<HH", 0, 0) + data)
        self.offers = json.loads(reply[4:-1])["capabilities"]

    def close(self):
        self.socket.close()

    def send(self, command, payload=b"", fds=(), flags=0):
        self.number = self.number % 0xffff + 1
        message = HEADER.pack(self.number, command, 16 + len(payload), flags, 0) + payload
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([message], rights)

    def read_all(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("the server closed the connection")
            data += part
        return data

    def ask(self, command, payload=b"", fds=()):
        """The reply's payload; answers the server's own commands meanwhile."""
        self.send(command, payload, fds)
        while True:
            number, kind, size, flags, error = HEADER.unpack(self.read_all(16))
            body = self.read_all(size - 16)
            if flags & 0xf == 0:
                self.serve(number, kind, body)
                continue
            assert number == self.number and kind == command, (number, kind)
            if flags & 0x20:
                raise Refused(os.strerror(error))
            return body

    def serve(self, number, kind, body):
        """DMA over the socket."""
        address, count = struct.unpack_from("<QQ", body)
        base, memory = self.memory
        at = address - base
        reply = body[:16]
        if kind == DMA_READ:
            reply += bytes(memory[at:at + count])
        else:
            memory[at:at + count] = body[16:16 + count]
        self.socket.sendall(HEADER.pack(number, kind, 16 + len(reply), 1, 0) + reply)

    def read(self, region, offset, size=4):
        reply = self.ask(REGION_READ, struct.pack("<QII", offset, region, size))
        return int.from_bytes(reply[16:], "little")

    def write(self, region, offset, value, size=4):
        self.ask(REGION_WRITE, struct.pack("<QII", offset, region, size)
                 + value.to_bytes(size, "little"))

    def map(self, address, size, fd=None, flags=3):
        self.ask(DMA_MAP, struct.pack("<IIQQQ", 32, flags, 0, address, size),
                 [] if fd is None else [fd])

    def irqs(self, fds, index=2, start=0):
        self.ask(SET_IRQS, struct.pack("<IIIII", 20, 0x24, index, start, len(fds)), fds)

    def capability(self, wanted):
        at = self.read(CONFIG, 0x34, 1)
        while at and self.read(CONFIG, at, 1) != wanted:
            at = self.read(CONFIG, at + 1, 1)
        return at

    def extended(self, wanted):
        at = 0x100
        while at and self.read(CONFIG, at) & 0xffff != wanted:
            at = self.read(CONFIG, at) >> 20
        return at

    def doe(self, kind, payload):
        """One exchange through the mailbox, as drivers/pci/doe.c makes it."""
        at = self.extended(0x2e)
        words = (8 + len(payload)) // 4
        for word in struct.unpack(f"<{words}I", struct.pack("<HBBI", 1, kind, 0, words) + payload):
            self.write(CONFIG, at + 0x10, word)
        self.write(CONFIG, at + 8, 0x8000_0000)
        answer = b""
        while self.read(CONFIG, at + 0xc) & 0x8000_0000:
            answer += self.read(CONFIG, at + 0x14).to_bytes(4, "little")
            self.write(CONFIG, at + 0x14, 0)
        return answer[8:]

    def run_engine(self, ring):
        """One descriptor at `ring` (docs/devices/dma-engine.md); gives the error code."""
        self.write(CONFIG, 4, 6, 2)
        self.write(0, 0x08, 2)
        self.write(0, 0x10, ring, 8)
        self.write(0, 0x18, 2)
        self.write(0, 0x08, 1)
        self.write(0, 0x24, 1)
        return self.read(0, 0x28)


def open_files(pid):
    """Of a server: but for what signals eventfds, made with the first signal and kept."""
    folder = f"/proc/{pid}/fd"
    return [name for name in os.listdir(folder)
            if "memfd:teeio signals" not in os.readlink(f"{folder}/{name}")]


def fill(destination, length):
    """A descriptor: fill with a pattern, interrupt when done."""
    return struct.pack("<IIQQII", 2 | 1 << 9, length, 0x1122334455667788, destination, 0, 0)
