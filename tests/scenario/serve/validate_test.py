#!/usr/bin/env -S python3 -B
"""`teeio validate` passes against `teeio serve`, and tells when it does not."""

import collections
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

from served import DOE, NORMAL, Served, doe, exchange, receive, send

TEEIO = sys.argv[1]


def validate(*arguments):
    return subprocess.run([TEEIO, "validate", *arguments], capture_output=True, text=True,
                          timeout=90, check=False)


def passes_over_doe(served):
    junit = os.path.join(served.folder.name, "junit.xml")
    run = validate(f"127.0.0.1:{served.port}", "--junit", junit)
    assert run.returncode == 0, run.stdout
    lines = run.stdout.splitlines()
    assert lines[0] == "TAP version 13"
    count = int(lines[1].removeprefix("1.."))
    assert sum(line.startswith("ok ") for line in lines) == count > 240, lines[-1]
    assert "\x1b" not in run.stdout, "colours, and no terminal"
    suites = xml.etree.ElementTree.parse(junit).getroot()
    assert suites.tag == "testsuites" and int(suites.get("tests")) == count
    assert {suite.get("name") for suite in suites} >= {"doe", "spdm10", "spdm14", "tdisp"}


def a_capture_on_standard_output(served):
    """By each of its names; what a person reads is on standard error then."""
    for name in ("-", "/dev/stdout"):
        run = subprocess.run([TEEIO, "validate", f"127.0.0.1:{served.port}", "--case", "doe.discovery.spdm",
                              "--pcap", name], capture_output=True, timeout=90, check=False)
        assert run.returncode == 0 and b"TAP version 13" in run.stderr, run
        shown = subprocess.run([TEEIO, "decode", "-"], input=run.stdout, capture_output=True,
                               timeout=90, check=False)
        assert shown.returncode == 0 and b"DISCOVERY" in shown.stdout, shown


def passes_over_mctp(served):
    run = validate(f"127.0.0.1:{served.port}", "--transport", "mctp",
                   "--suite", "spdm12,session,ide_km,tdisp")
    assert run.returncode == 0, run.stdout


def events_are_told(served):
    """And a TDI that a case has locked is stopped at its end."""
    control = served.control()
    control.ask("subscribe")
    run = validate(f"127.0.0.1:{served.port}", "--case", "tdisp.state.running")
    assert run.returncode == 0, run.stdout
    states = [control.read()["state"] for _ in range(3)]
    assert states == ["CONFIG_LOCKED", "RUN", "CONFIG_UNLOCKED"], states


def no_case_leaves_a_tdi_locked(served):
    cases = [line.split()[0] for line in validate("--list", "--suite", "tdisp").stdout.splitlines()]
    assert len(cases) > 50, cases
    for case in cases:
        run = validate(f"127.0.0.1:{served.port}", "--case", case)
        assert run.returncode == 0, run.stdout
        states = {state["state"] for state in served.control().ask("states")["states"]}
        assert states == {"CONFIG_UNLOCKED"}, (case, states)


def resident_kib(process):
    with open(f"/proc/{process.pid}/status") as status:
        return int(status.read().split("VmRSS:")[1].split()[0])


def sessions_leave_nothing_behind(served):
    """The server has seen everything already; some 150 sessions more take no memory."""
    with open(TEEIO, "rb") as program:
        if b"__sanitizer" in program.read():
            return
    before = resident_kib(served.process)
    for _ in range(3):
        run = validate(f"127.0.0.1:{served.port}", "--suite", "session")
        assert run.returncode == 0, run.stdout
    after = resident_kib(served.process)
    assert after - before < 256, (before, after)


def logs_above_the_judges_limit_are_skipped():
    """34 entries of 32,000 bytes are more than 1 MiB."""
    blocks = [word for index in range(10, 44)
              for word in ("--measurement", f"{index}=firmware:{'x' * 32000}")]
    with Served(TEEIO, *blocks) as served:
        run = validate(f"127.0.0.1:{served.port}", "--case", "spdm13.log")
    assert run.returncode == 0, run.stdout
    assert run.stdout.count("# SKIP this judge cannot read the responder's log") == 2, run.stdout
    assert "ok 3 - spdm13.log.portion: Of the log there comes something, and no more" in run.stdout


def a_machine_file_that_says_nothing_is_no_success():
    where = "127.0.0.1:1"
    for words, says in (
            (["--suite", "doe"], "only case tdisp.report.machine looks at it"),
            (["--case", "tdisp.report.ranges"], "only case tdisp.report.machine looks at it"),
            (["--function", "0000:7f:00.0"], "has the --function")):
        run = validate(where, "--machine", "tdx-connect", *words)
        assert run.returncode == 125 and says in run.stderr, (words, run)
    with open("plain.toml", "w") as file:
        file.write('name = "plain"\ntsm = "none"\n[[root_port]]\nbdf = "0000:00:01.0"\nbus = 1\n'
                   'window = 0x380000000000\nwindow_mib = 16\n[[card]]\nmodel = "plain"\n'
                   'bdf = "0000:01:00.0"\nwindow = 0x380000000000\n')
    run = validate(where, "--machine", "plain.toml")
    assert run.returncode == 125 and "plain has no TEE-I/O card" in run.stderr, run
    # The device says which function it is; the file has no such TDI.
    with Served(TEEIO, "--machine", "spdm-emu") as served:
        run = validate(f"127.0.0.1:{served.port}", "--machine", "tdx-connect", "--case",
                       "tdisp.report.machine")
        assert run.returncode == 1 and "has no TDI at requester ID 0xbee8" in run.stdout, run.stdout
    # Nothing was compared: no session.
    with Served(TEEIO, "--capabilities", "-KEY_EX") as served:
        run = validate(f"127.0.0.1:{served.port}", "--machine", "tdx-connect", "--case",
                       "tdisp.report.machine")
        assert run.returncode == 1 and "not held against the machine file" in run.stdout, run.stdout


def fails_by_verdict(served):
    run = validate(f"127.0.0.1:{served.port}", "--function", "0000:7f:00.0", "--suite", "tdisp")
    assert run.returncode == 1, run.stdout
    assert "not ok 1 - tdisp.version" in run.stdout
    # One cause is one failure.
    assert run.stdout.count("\nnot ok ") == 1, run.stdout
    assert "as case 1 failed" in run.stdout and "  expected: '" in run.stdout


def failures_name_their_packets(served):
    pcap = os.path.join(served.folder.name, "judge.pcapng")
    keys = os.path.join(served.folder.name, "judge.keys")
    run = validate(f"127.0.0.1:{served.port}", "--function", "0000:7f:00.0", "--case",
                   "doe.discovery,tdisp.version", "--pcap", pcap, "--keylog", keys, "-v")
    assert run.returncode == 1, run.stdout
    packets = run.stdout.split("packets: '")[1].split("'")[0]
    first, last = (int(number) for number in packets.split("-"))
    decoded = subprocess.run([TEEIO, "decode", "--json", pcap, "--keylog", keys],
                             capture_output=True, text=True, timeout=60, check=False)
    assert decoded.returncode == 0, decoded.stderr
    messages = [json.loads(line) for line in decoded.stdout.splitlines()]
    assert messages[-1]["packet"] == last
    inside = [message["message"] for message in messages if first <= message["packet"] <= last]
    assert inside[0] == "GET_VERSION" and "TDISP_ERROR" in inside, inside
    assert "# " in run.stdout and "GET_VERSION" in run.stdout


def files_are_opened_first(served):
    for option in ("--junit", "--pcap", "--keylog"):
        run = validate(f"127.0.0.1:{served.port}", option, "/nonexistent/x")
        assert run.returncode == 125 and "TAP" not in run.stdout, run


class Responder:
    """A responder that answers the greeting, then does as `behave` says with its peers."""

    def __init__(self, behave):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.behave = behave
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                try:
                    while True:
                        command, transport, size = struct.unpack(">III", receive(peer, 12))
                        payload = receive(peer, size)
                        if command != NORMAL:
                            send(peer, command, transport, b"Server Hello!\0")
                        elif self.behave(self, peer, payload) is False:
                            break
                except (EOFError, OSError):
                    pass


def errors_have_the_negotiated_version():
    """Those of a device whose errors are all SPDM 1.0's, but else right."""
    with Served(TEEIO) as served, served.connect() as device:
        def behave(_, peer, payload):
            _, _, answer = exchange(device, NORMAL, DOE, payload)
            if len(answer) > 9 and answer[2] == 1 and answer[9] == 0x7F:
                answer = answer[:8] + b"\x10" + answer[9:]
            send(peer, NORMAL, DOE, answer)
        responder = Responder(behave)
        run = validate(f"127.0.0.1:{responder.port}", "--suite", "spdm12")
        failed = [line.split()[4] for line in run.stdout.splitlines() if line.startswith("not ok ")]
        assert failed == ["spdm12.order.unknown:"], run.stdout
        assert "the ERROR travels under SPDM version 0x10" in run.stdout, run.stdout


VERSION = bytes([0x10, 0x04, 0, 0, 0, 1, 0, 0x12])


def a_device_that_dies_is_named():
    """It falls over a short GET_CAPABILITIES, as a real one did."""
    def behave(responder, peer, payload):
        message = payload[8:]
        if message[1] == 0x84:
            return send(peer, NORMAL, DOE, doe(1, VERSION))
        responder.listener.close()
        return False
    responder = Responder(behave)
    run = validate(f"127.0.0.1:{responder.port}", "--suite", "spdm12", "--timeout", "200",
                   "--case", "spdm12.version.header,spdm12.capabilities.short,spdm12.order")
    assert run.returncode == 1, run.stdout
    lines = run.stdout.splitlines()
    assert any(line.startswith("not ok 2 - spdm12.capabilities.short") for line in lines), lines
    assert any(line.startswith("Bail out! ") and "spdm12.capabilities.short" in line
               for line in lines), lines
    assert run.stdout.count("not ok") == 1, run.stdout


def a_device_that_dies_between_two_cases_is_no_success():
    """The case behind the last one that it answered fails: JUnit has no other word for it."""
    asked = 0

    def behave(responder, peer, payload):
        nonlocal asked
        if payload[8:][1] != 0x84:
            return False
        send(peer, NORMAL, DOE, doe(1, VERSION))
        asked += 1
        if asked == 2:
            responder.listener.close()
        return True
    responder = Responder(behave)
    with tempfile.TemporaryDirectory() as folder:
        report = f"{folder}/report.xml"
        run = validate(f"127.0.0.1:{responder.port}", "--timeout", "200", "--junit", report,
                       "--case", "spdm12.version.header,spdm14.version.header,session.open")
        assert run.returncode == 1, run.stdout
        lines = run.stdout.splitlines()
        assert any(line.startswith("ok 1 - spdm12.version.header") for line in lines), lines
        assert any(line.startswith("ok 2 - ") and "# SKIP" in line for line in lines), lines
        assert any(line.startswith("not ok 3 - session.open") for line in lines), lines
        assert "since case 1 (spdm12.version.header), after which it ended" in run.stdout, run.stdout
        assert any(line.startswith("Bail out! ") and "since case 1 (spdm12.version.header)" in line
                   for line in lines), lines
        assert 'failures="1"' in open(report).read(), open(report).read()


def an_exchange_is_bounded():
    """A mebibyte is announced, and comes a byte each 20 ms."""
    def behave(_, peer, __):
        peer.sendall(struct.pack(">III", NORMAL, DOE, 1 << 20))
        for _ in range(1 << 20):
            peer.sendall(b"\0")
            threading.Event().wait(0.02)
    responder = Responder(behave)
    begin = time.monotonic()
    run = validate(f"127.0.0.1:{responder.port}", "--case", "spdm12.version.header", "--timeout",
                   "300")
    assert run.returncode == 1 and "nothing in time came" in run.stdout, run.stdout
    assert time.monotonic() - begin < 20


def a_wait_above_the_time_limit_is_not_waited_for():
    """ResponseNotReady that asks for half an hour, again and again."""
    def behave(_, peer, payload):
        code = payload[8:][1]
        answer = VERSION if code == 0x84 else bytes([0x12, 0x7F, 0x42, 0, 31, 0xE1, 1, 1])
        return send(peer, NORMAL, DOE, doe(1, answer))
    responder = Responder(behave)
    run = validate(f"127.0.0.1:{responder.port}", "--case", "spdm12.algorithms.one", "--timeout",
                   "5000")  # ms: a busy machine's answers come in time
    assert run.returncode == 1 and "longer wait than the time limit" in run.stdout, run.stdout


def versions_that_are_not_there_are_skipped():
    with Served(TEEIO, "--versions", "1.2") as served:
        run = validate(f"127.0.0.1:{served.port}")
        assert run.returncode == 0, run.stdout
        assert "VERSION does not list SPDM 1.3" in run.stdout


def what_is_unusual_and_right_passes():
    for options, suites in ((["--defer"], "spdm10,spdm12,spdm14,session"),
                            (["--mutual-auth", "--mutual-auth-required"], "session,ide_km,tdisp"),
                            (["--measurement", "238=firmware:x"], "spdm12,spdm14")):
        with Served(TEEIO, *options) as served:
            run = validate(f"127.0.0.1:{served.port}", "--suite", suites)
            assert run.returncode == 0, (options, run.stdout)


def a_device_that_is_busy_for_a_while_is_right():
    """To each kind of message Busy comes nine times first."""
    with Served(TEEIO) as served, served.connect() as behind:
        seen = collections.Counter()

        def behave(_, peer, payload):
            code = payload[8:][1]
            seen[code] += 1
            if code != 0x84 and seen[code] % 10 != 0:
                return send(peer, NORMAL, DOE, doe(1, bytes([payload[8], 0x7F, 3, 0])))
            return send(peer, NORMAL, DOE, exchange(behind, NORMAL, DOE, payload)[2])
        responder = Responder(behave)
        run = validate(f"127.0.0.1:{responder.port}", "--case",
                       "spdm12.algorithms.one,spdm12.certificate.offset", "--timeout", "10000")
        assert run.returncode == 0, run.stdout


def a_responder_without_certificates_is_right():
    for capabilities in ("MEAS_NO_SIG", "-CHAL,-MEL", "-ENCAP,-CHUNK,-MEL"):
        with Served(TEEIO, "--capabilities", capabilities) as served:
            run = validate(f"127.0.0.1:{served.port}")
            assert run.returncode == 0, (capabilities, run.stdout)


def large_chains_are_read():
    """SPDM 1.4 has chains above 64 KiB."""
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["openssl", "version"], capture_output=True, check=False)
        if made.returncode != 0:
            return
        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
        comment = "nsComment=" + "x" * 30000
        with open(os.path.join(folder, "ca.cnf"), "w") as file:
            file.write("[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
                       f"{comment}\n[leaf]\nbasicConstraints=CA:FALSE\n"
                       "keyUsage=critical,digitalSignature\n" + comment + "\n")
        chain = b""
        for i, name in enumerate(("root", "mid", "leaf")):
            openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", f"{name}.key")
            openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", "r.csr")
            by = (("-signkey", "root.key") if i == 0 else
                  ("-CA", ("root", "mid")[i - 1] + ".pem", "-CAkey", ("root", "mid")[i - 1] + ".key",
                   "-CAcreateserial"))
            openssl("x509", "-req", "-in", "r.csr", *by, "-days", "9", "-sha384", "-extfile",
                    "ca.cnf", "-extensions", "leaf" if name == "leaf" else "ca", "-out",
                    f"{name}.pem")
            with open(os.path.join(folder, f"{name}.pem"), "rb") as file:
                chain += file.read()
        with open(os.path.join(folder, "chain.pem"), "wb") as file:
            file.write(chain)
        with Served(TEEIO, "--chain", os.path.join(folder, "chain.pem"), "--key",
                    os.path.join(folder, "leaf.key")) as served:
            run = validate(f"127.0.0.1:{served.port}", "--suite", "spdm14,session")
            assert run.returncode == 0, run.stdout
            assert "ok" in run.stdout and "not ok" not in run.stdout


def main():
    with Served(TEEIO) as served:
        passes_over_doe(served)
        sessions_leave_nothing_behind(served)
        a_capture_on_standard_output(served)
        passes_over_mctp(served)
        events_are_told(served)
        no_case_leaves_a_tdi_locked(served)
        fails_by_verdict(served)
        failures_name_their_packets(served)
        files_are_opened_first(served)
    errors_have_the_negotiated_version()
    a_device_that_dies_is_named()
    a_device_that_dies_between_two_cases_is_no_success()
    an_exchange_is_bounded()
    a_wait_above_the_time_limit_is_not_waited_for()
    versions_that_are_not_there_are_skipped()
    what_is_unusual_and_right_passes()
    a_device_that_is_busy_for_a_while_is_right()
    a_responder_without_certificates_is_right()
    large_chains_are_read()
    logs_above_the_judges_limit_are_skipped()
    a_machine_file_that_says_nothing_is_no_success()
    with Served(TEEIO, "--machine", "spdm-emu", "--ide-port", "1") as served:
        run = validate(f"127.0.0.1:{served.port}", "--suite", "ide_km,tdisp", "--port-index", "1",
                       "--function", "be:1d.7")
        assert run.returncode == 0, run.stdout
    run = validate("127.0.0.1:1", "--psk", "h" * 0xffff + "=key")
    assert run.returncode == 125 and "at most 65534 bytes" in run.stderr, run.stderr[:200]
    run = validate("127.0.0.1:1", "--timeout", "500")
    assert run.returncode == 2 and "127.0.0.1:1" in run.stderr, run
    assert "tdisp.lock.keyless" in validate("--list").stdout
    assert "\ntee_io." in validate("--list").stdout, "what runs only when it is named"
    assert validate("--list", "--suite", "doe").stdout.count("doe.") > 8


main()
