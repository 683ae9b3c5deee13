#!/usr/bin/env -S python3 -B
"""A device of QEMU's that asks for its TDI's state: DOE objects and DECAP_TDISP on one socket.

QEMU's TDISP device is in a fork (gromero/qemu fb8348b, hw/pci/pcie_tdisp.c and hw/ide/ich.c; beside
it backends/spdm-socket.c, which mainline has). What is told of it here, in its order: one
connection, made with the device; each of a header's three words in a send() of its own; DOE objects
of up to 0x1200 bytes by command 1; in between, whenever memory is accessed, GET_DEVICE_INTERFACE_STATE
by command 2 and transport 2, whose function is the device's requester ID, and whose answer must
have command 1, version 1.0, the same function and 17 bytes: anything else is CONFIG_UNLOCKED.
"""

import socket
import struct
import subprocess
import sys
import threading

from served import CONTINUE, DOE, NORMAL, SHUTDOWN, Served, receive

TEEIO = sys.argv[1]
DECAP_TDISP, MAX_OBJECT = 2, 0x1200
TIMEOUT_S, EXCHANGE_MS = 300, "60000"  # nothing waits for them; a busy machine may take long
UNLOCKED, LOCKED, RUN, ERROR = range(4)


class EmulatedDevice:
    """QEMU's side: one socket, whatever the guest does."""

    def __init__(self, port, requester_id):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.requester_id = requester_id

    def exchange(self, command, payload, most):
        for word in (command, DOE, len(payload)):
            self.socket.sendall(struct.pack(">I", word))
        self.socket.sendall(payload)
        command, _, size = (int.from_bytes(receive(self.socket, 4), "big") for _ in range(3))
        assert size <= most, f"QEMU gives up at an answer of {size} bytes"
        return command, receive(self.socket, size)

    def mailbox(self, data_object):
        """What the guest reads after GO; nothing: the object was dropped."""
        return self.exchange(NORMAL, data_object, MAX_OBJECT)[1]

    def state(self):
        ask = struct.pack("<BBHIQ", 0x10, 0x85, 0, self.requester_id, 0)
        command, answer = self.exchange(DECAP_TDISP, ask, 256)
        right = (command == NORMAL and len(answer) == 17
                 and answer[:8] == struct.pack("<BBHI", 0x10, 0x05, 0, self.requester_id))
        return answer[16] if right else UNLOCKED

    def gone(self):
        """spdm_socket_close(): told, and nobody waits for an answer."""
        for word in (SHUTDOWN, DOE, 0):
            self.socket.sendall(struct.pack(">I", word))
        self.socket.close()


class Guest:
    """A TSM in the guest, which is `teeio validate` behind a mailbox: each object it writes goes through
    the device, which looks for its TDI's state before and after."""

    def __init__(self, *devices):
        self.devices = devices
        self.seen = {device.requester_id: [device.state()] for device in devices}
        self.door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def look(self):
        for device in self.devices:
            state = device.state()
            if self.seen[device.requester_id][-1] != state:
                self.seen[device.requester_id].append(state)

    def serve(self):
        while True:
            peer, _ = self.door.accept()
            with peer:
                try:
                    while self.carry(peer):
                        pass
                except EOFError:
                    pass

    def carry(self, peer):
        command, transport, size = struct.unpack(">III", receive(peer, 12))
        payload = receive(peer, size)
        if command == NORMAL:
            self.look()
            answer = self.devices[0].mailbox(payload)
            self.look()
        else:
            answer = b""
        peer.sendall(struct.pack(">III", command, transport, len(answer)) + answer)
        return command != CONTINUE

    def validate(self, *words):
        done = subprocess.run([TEEIO, "validate", "127.0.0.1:%d" % self.door.getsockname()[1],
                               "--timeout", EXCHANGE_MS, *words],
                              capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stdout


def whole_life(served):
    """CONFIG_UNLOCKED to RUN and back, to ERROR and back, as the device sees it; its functions' too."""
    card, function = EmulatedDevice(served.port, 0x0100), EmulatedDevice(served.port, 0x0101)
    guest = Guest(card, function)
    guest.validate("--function", "0000:01:00.0", "--case", "tdisp.state.running")
    assert guest.seen == {0x0100: [UNLOCKED, LOCKED, RUN, UNLOCKED], 0x0101: [UNLOCKED]}, guest.seen
    guest.validate("--function", "0000:01:00.1", "--case", "tdisp.error.running")
    assert guest.seen[0x0101] == [UNLOCKED, LOCKED, RUN, ERROR, UNLOCKED], guest.seen
    assert guest.seen[0x0100][-1] == UNLOCKED, guest.seen
    card.gone()
    assert function.state() == UNLOCKED, "the other device has lost its responder"
    function.gone()


def nothing_is_disturbed(served):
    """With a question before and after each object every case passes, of sessions, keys and TDIs."""
    guest = Guest(EmulatedDevice(served.port, 0x0100))
    guest.validate("--suite", "doe,spdm12,session,ide_km,tdisp")
    assert set(guest.seen[0x0100]) == {UNLOCKED, LOCKED, RUN, ERROR}, guest.seen
    guest.devices[0].gone()


def another_function(served):
    """A device at a place where the machine file has no function is taken for CONFIG_UNLOCKED, and
    keeps its connection."""
    stranger = EmulatedDevice(served.port, 0x0020)
    discovery = struct.pack("<HBBII", 1, 0, 0, 3, 0)
    for _ in range(3):
        assert stranger.state() == UNLOCKED
        assert stranger.mailbox(discovery)[:4] == struct.pack("<HBB", 1, 0, 0)
    assert stranger.mailbox(struct.pack("<HBBII", 0x1234, 9, 0, 3, 0)) == b"", "not dropped"
    assert stranger.state() == UNLOCKED
    stranger.gone()


for check in (whole_life, nothing_is_disturbed, another_function):
    with Served(TEEIO) as running:
        check(running)
    print(f"ok - {check.__name__}")
