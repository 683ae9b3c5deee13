"""A `teeio serve` for one test, and spdm-emu's socket protocol."""

import json
import os
import signal
import socket
import struct
import subprocess
import tempfile

TIMEOUT_S = 10
NORMAL, DECAP_TDISP, TEST, CONTINUE, SHUTDOWN = 1, 2, 0xDEAD, 0xFFFD, 0xFFFE
NONE, MCTP, DOE, TCP = range(4)


class Served:
    """A running server. Leaving the block ends it with SIGTERM and checks its status."""

    def __init__(self, teeio, *arguments, wrapper=()):
        self.expected = 0
        self.folder = tempfile.TemporaryDirectory()
        self.control_path = os.path.join(self.folder.name, "control")
        self.process = subprocess.Popen(
            [*wrapper, teeio, "serve", "--listen", "127.0.0.1:0", "--control", self.control_path, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = [self.process.stdout.readline()]
        self.port = int(self.lines[0].rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            _, self.log = self.process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        gone = not os.path.exists(self.control_path)
        self.folder.cleanup()
        if kind is not None:
            print(f"the server said:\n{self.log}")
        else:
            assert self.process.returncode == self.expected, (self.process.returncode, self.log)
            assert gone, "the control socket is left behind"

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)

    def control(self):
        return Control(self.control_path)


class Control:
    """A control connection: a JSON object a line."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw")

    def read(self):
        return json.loads(self.file.readline())

    def ask(self, command, **more):
        return self.ask_raw(json.dumps({"command": command, **more}))

    def ask_raw(self, line):
        self.file.write(line + "\n")
        self.file.flush()
        return self.read()


def receive(peer, size):
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def send(peer, command, transport, payload=b""):
    peer.sendall(struct.pack(">III", command, transport, len(payload)) + payload)


def exchange(peer, command, transport, payload=b""):
    send(peer, command, transport, payload)
    command, transport, size = struct.unpack(">III", receive(peer, 12))
    return command, transport, receive(peer, size)


def is_closed(peer):
    """The server closes; it must not take longer than TIMEOUT_S."""
    try:
        while peer.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def doe(kind, payload, vendor=1):
    payload += b"\0" * (-len(payload) % 4)
    return struct.pack("<HBBI", vendor, kind, 0, 2 + len(payload) // 4) + payload
