#!/usr/bin/env -S python3 -B
"""What a peer, a program at the control socket and an operator see of `teeio serve`."""

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile

from served import (CONTINUE, DECAP_TDISP, DOE, MCTP, NONE, NORMAL, SHUTDOWN, TCP, TEST, TIMEOUT_S, Served,
                    doe, exchange,
                    receive,
                    is_closed, send)

TEEIO = sys.argv[1]
GET_VERSION = bytes([0x10, 0x84, 0, 0])


def greeting_and_discovery(served):
    with served.connect() as peer:
        assert exchange(peer, TEST, DOE, b"Client Hello!\0") == (TEST, DOE, b"Server Hello!\0")
        seen, index = [], 0
        while True:
            _, _, answer = exchange(peer, NORMAL, DOE, doe(0, bytes([index])))
            seen.append(answer[10])
            index = answer[11]
            if index == 0:
                break
        assert seen == [0, 1, 2], seen
        assert exchange(peer, CONTINUE, DOE)[0] == CONTINUE
        assert is_closed(peer)


def each_transport_speaks_spdm(served):
    for transport, packet, at in ((NONE, GET_VERSION, 0), (MCTP, b"\5" + GET_VERSION, 1),
                                  (DOE, doe(1, GET_VERSION), 8)):
        with served.connect() as peer:
            _, _, answer = exchange(peer, NORMAL, transport, packet)
            assert answer[at:at + 2] == bytes([0x10, 0x04]), (transport, answer)


def messages_in_pieces(served):
    with served.connect() as peer:
        message = b"\0\0\xde\xad" + bytes([0, 0, 0, DOE]) + b"\0\0\0\0"
        for byte in message:
            peer.sendall(bytes([byte]))
        send(peer, TEST, DOE)
        assert peer.recv(26 * 2) != b""


def unanswered_object_gets_an_empty_answer(served):
    with served.connect() as peer:
        assert exchange(peer, NORMAL, DOE, doe(0xE7, b"\0\0\0\0")) == (NORMAL, DOE, b"")


def bad_peers_lose_only_their_connection(served):
    with served.connect() as good:
        assert exchange(good, TEST, DOE)[0] == TEST
        with served.connect() as huge:
            huge.sendall(b"\0\0\0\1" + bytes([0, 0, 0, DOE]) + b"\xff\xff\xff\xff")
            assert is_closed(huge)
        with served.connect() as stranger:
            send(stranger, NORMAL, 77)
            assert is_closed(stranger)
        with served.connect() as fickle:
            assert exchange(fickle, TEST, DOE)[0] == TEST
            send(fickle, TEST, MCTP)
            assert is_closed(fickle)
        with served.connect() as unknown:
            assert exchange(unknown, 0x1234, DOE)[0] == 0xFFFF
            assert is_closed(unknown)
        with served.connect() as half:
            half.sendall(b"\0\0\0\1\0")
        assert exchange(good, TEST, DOE)[0] == TEST


def control_socket(served):
    control = served.control()
    states = control.ask("states")["states"]
    assert [state["function"] for state in states] == ["0000:01:00.0", "0000:01:00.1",
                                                      "0000:01:00.2"], states
    assert {state["state"] for state in states} == {"CONFIG_UNLOCKED"}
    assert "states" in control.ask("subscribe")
    value = control.ask("config_read", function="0000:01:00.0", offset=0, size=2)
    assert value == {"value": 0x1EFE}, value
    for bad in ('{"command": "dance"}', "[]", "no json", '{"command": 7}',
                '{"command": "reset", "function": "0000:09:00.0"}',
                '{"command": "config_read", "function": "0000:01:00.0", "offset": 3, "size": 2}'):
        assert "error" in control.ask_raw(bad), bad
    assert control.ask("reset", function="0000:01:00.0") == {"ok": True}
    assert control.ask("reload") == {"ok": True}


def shutdown_ends_only_the_connection(served):
    with served.connect() as peer:
        assert exchange(peer, SHUTDOWN, DOE)[0] == SHUTDOWN
        assert is_closed(peer)
    with served.connect() as peer:
        assert exchange(peer, TEST, DOE)[0] == TEST


def tdisp_without_spdm(served):
    """What QEMU's TDISP device asks at each config access, whatever the function."""
    with served.connect() as peer:
        for function, code, state in ((0x0100, 0x05, b"\0"), (0x0102, 0x05, b"\0")):
            ask = struct.pack("<BBHIQ", 0x10, 0x85, 0, function, 0)
            command, _, answer = exchange(peer, DECAP_TDISP, DOE, ask)
            assert command == NORMAL and len(answer) == 17, answer
            assert answer[:8] == struct.pack("<BBHI", 0x10, code, 0, function), answer
            assert answer[16:] == state, answer
        unknown = struct.pack("<BBHIQ", 0x10, 0x85, 0, 0xBEEF, 0)
        _, _, answer = exchange(peer, DECAP_TDISP, DOE, unknown)
        assert answer[1] == 0x7F and answer[16:20] == b"\1\1\0\0", answer
        # LOCK_INTERFACE needs a session; half a message is refused.
        lock = struct.pack("<BBHIQ", 0x10, 0x83, 0, 0x0100, 0) + bytes(20)
        assert exchange(peer, DECAP_TDISP, DOE, lock)[2][16] == 7
        assert exchange(peer, DECAP_TDISP, DOE, ask[:5])[2][16] == 1
        assert exchange(peer, TEST, DOE)[0] == TEST


def tdisp_state_follows(served):
    """The bare answer has the state that a session has led to."""
    control = served.control()
    control.ask("subscribe")
    subprocess.run([TEEIO, "validate", f"127.0.0.1:{served.port}", "--case",
                    "tdisp.state.running", "--function", "0000:01:00.0"], check=True,
                   capture_output=True, timeout=60)
    assert [control.read()["state"] for _ in range(2)] == ["CONFIG_LOCKED", "RUN"]
    now = {one["function"]: one["state"] for one in control.ask("states")["states"]}
    states = ["CONFIG_UNLOCKED", "CONFIG_LOCKED", "RUN", "ERROR"]
    with served.connect() as peer:
        ask = struct.pack("<BBHIQ", 0x10, 0x85, 0, 0x0100, 0)
        answer = exchange(peer, DECAP_TDISP, DOE, ask)[2]
        assert states[answer[16]] == now["0000:01:00.0"], (answer, now)


def raw_spdm_over_tcp(served):
    """DSP0287 without spdm-emu's header: length, version, type, message. As libspdm has it, the
    length counts version and type, and is 0 in what has nothing else."""
    def message(kind, body=b""):
        return struct.pack("<HBB", 2 + len(body) if body else 0, 1, kind) + body
    def take(peer):
        size, version, kind = struct.unpack("<HBB", receive(peer, 4))
        assert version == 1 and (size == 0) == (kind >= 0xBF)
        return kind, receive(peer, max(size - 2, 0))
    with served.connect() as peer:  # a device asks, before anything else
        peer.sendall(message(0xBF))
        assert take(peer) == (0xC2, b"")
    with served.connect() as peer:
        whole = message(5, GET_VERSION)
        peer.sendall(whole[:3])
        peer.sendall(whole[3:])
        kind, answer = take(peer)
        assert kind == 5 and answer[:2] == bytes([0x10, 0x04]), (kind, answer)
        peer.sendall(message(0xBF) + message(0x77) + message(5, GET_VERSION))
        assert take(peer) == (0xC2, b"")
        assert take(peer) == (0xC1, b"")
        assert take(peer)[0] == 5
    role_inquiry(message, take)
    nobody_will_be_the_requester(message, take)
    with Served(TEEIO, "--transport", "doe") as other:
        with other.connect() as peer:
            peer.sendall(message(5, GET_VERSION))
            assert is_closed(peer)
    assert "only doe is served" in other.log, other.log


def role_inquiry(message, take):
    """A device that connects asks first; then the listener is the requester, in both framings."""
    with socket.create_server(("127.0.0.1", 0)) as requester:
        requester.settimeout(TIMEOUT_S)
        for raw in (True, False):
            place = f"127.0.0.1:{requester.getsockname()[1]}"
            with subprocess.Popen([TEEIO, "serve", "--connect", place, "--transport", "tcp"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as device:
                with requester.accept()[0] as peer:
                    peer.settimeout(TIMEOUT_S)
                    assert take(peer) == (0xBF, b"")
                    if raw:
                        peer.sendall(message(5, GET_VERSION))
                        kind, answer = take(peer)
                        assert kind == 5 and answer[:2] == bytes([0x10, 0x04]), (kind, answer)
                        peer.sendall(message(0xC2))
                    else:
                        assert exchange(peer, TEST, TCP, b"Client Hello!\0")[2] == b"Server Hello!\0"
                out, log = device.communicate(timeout=TIMEOUT_S)
                assert device.returncode == 0, log
                assert f"connected to {place}" in out.decode(), out
                assert (b"cannot operate as requester" in log) == raw, log
    refused = subprocess.run([TEEIO, "serve", "--connect", "127.0.0.1:1"], capture_output=True,
                             text=True, timeout=60, check=False)
    assert refused.returncode == 1 and "127.0.0.1:1" in refused.stderr, refused


def nobody_will_be_the_requester(message, take):
    """Whoever is asked may decline, leave or never answer: none of it is success."""
    with socket.create_server(("127.0.0.1", 0)) as asked:
        asked.settimeout(TIMEOUT_S)
        place = f"127.0.0.1:{asked.getsockname()[1]}"

        def device():
            return subprocess.Popen([TEEIO, "serve", "--connect", place], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True)

        for declines in (True, False):
            with device() as one:
                with asked.accept()[0] as peer:
                    peer.settimeout(TIMEOUT_S)
                    assert take(peer) == (0xBF, b"")
                    if declines:
                        peer.sendall(message(0xC2))
                        assert is_closed(peer)
                _, log = one.communicate(timeout=TIMEOUT_S)
                assert one.returncode == 1 and "ended before a request came" in log, log
                assert ("cannot operate as requester" in log) == declines, log
        with device() as silent:  # it waits in the queue of a peer that takes no other
            _, log = silent.communicate(timeout=30)
            assert silent.returncode == 1 and "no request came within 10 s" in log, log
    # A device behind a port is no requester, and says so.
    with Served(TEEIO) as served:
        done = subprocess.run([TEEIO, "serve", "--connect", f"127.0.0.1:{served.port}"],
                              capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1 and "cannot operate as requester" in done.stderr, done


def reload_by_signal():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "machine.toml")
        source = os.path.join(os.path.dirname(__file__), "../../../machines/tdx-connect.toml")
        with open(source) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text)
        with Served(TEEIO, "--machine", path) as served:
            control = served.control()
            assert len(control.ask("states")["states"]) == 3
            with open(path, "w") as file:
                file.write(text.replace("vfs = 2", "vfs = 1"))
            served.process.send_signal(signal.SIGHUP)
            # The signal is taken before any later command's answer only if it came first.
            assert control.ask("reload") == {"ok": True}
            assert len(control.ask("states")["states"]) == 2
            with open(path, "w") as file:
                file.write("nonsense = 1\n")
            assert "error" in control.ask("reload")
            assert len(control.ask("states")["states"]) == 2


def main():
    with Served(TEEIO) as served:
        for test in (greeting_and_discovery, each_transport_speaks_spdm, messages_in_pieces,
                     unanswered_object_gets_an_empty_answer, bad_peers_lose_only_their_connection,
                     control_socket, shutdown_ends_only_the_connection, tdisp_without_spdm,
                     tdisp_state_follows, raw_spdm_over_tcp):
            test(served)
    for words in ("at most 1048576 are taken", "transport 0x4d is unknown",
                  "transport changed from doe to mctp", "command 0x1234 is unknown",
                  "closed after 5 bytes of a message"):
        assert words in served.log, (words, served.log)
    reload_by_signal()


main()
