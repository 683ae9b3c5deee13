#!/usr/bin/env -S python3 -B
"""`teeio validate` finds each fault of `teeio serve --fault`, and nothing where there is none."""

import concurrent.futures
import subprocess
import sys

from served import Served

TEEIO = sys.argv[1]
CAPABILITIES = "+CSR,+SET_CERT,+GET_KEY_PAIR,+SET_KEY_PAIR,+EP_INFO_SIG,+EVENT,+SLOT_MGMT"
PSK = "TestPskHint=TestPskData"
SETTINGS = ("--capabilities", CAPABILITIES, "--psk", PSK, "--heartbeat", "60", "--cxl",
            "--cxl-generates")
IDE_KM = ("QUERY", "KEY_PROG", "K_SET_GO", "K_SET_STOP", "IDE_KM_UNKNOWN")
TDISP = ("GET_TDISP", "LOCK_INTERFACE", "GET_DEVICE", "START_", "STOP_", "VDM", "TDISP_")
# Which cases look at the message.
CASES = {
    "DISCOVERY": "doe",
    "GET_DIGESTS": "spdm12.certificate",
    "GET_CERTIFICATE": "spdm12.certificate",
    "CHALLENGE": "spdm12.challenge",
    "GET_MEASUREMENTS": "spdm12.measurements",
    "KEY_EXCHANGE": "session.open",
    "FINISH": "session.open",
    "PSK_EXCHANGE": "auth.psk",
    "HEARTBEAT": "session.heartbeat",
    "KEY_UPDATE": "session.update",
    "END_SESSION": "session.end,session.again",
    "GET_CSR": "provisioning.csr",
    "SET_CERTIFICATE": "provisioning.set",
    "GET_KEY_PAIR_INFO": "provisioning.key_pairs",
    "SET_KEY_PAIR_INFO": "provisioning.key_pairs.usage",
    "GET_ENDPOINT_INFO": "provisioning.endpoint",
    "SLOT_MANAGEMENT": "provisioning.slots",
    "GET_MEASUREMENT_EXTENSION_LOG": "spdm13.log",
    "GET_SUPPORTED_EVENT_TYPES": "events",
    "SUBSCRIBE_EVENT_TYPES": "events",
    "GET_ENCAPSULATED_REQUEST": "auth.key_update",
    "DELIVER_ENCAPSULATED_RESPONSE": "auth.key_update",
    "SEND_EVENT": "events",
    "SILENCE": "doe",
    "SECURED": "session",
}
REFUSALS = "spdm13,session,auth,provisioning,events"


def cases_of(fault):
    kind, message = fault.split("@")
    if message in IDE_KM:
        return "ide_km"
    if message.startswith("CXL_") or "_TARGET_" in message or message == "TSP_UNKNOWN":
        return "cxl"
    if kind == "accepted" and not message.startswith(TDISP):
        return REFUSALS
    if message in CASES:
        return CASES[message]
    if message.startswith(("GET_VERSION", "GET_CAP", "NEGOTIATE")):
        return "spdm12.version,spdm12.certificate.chain"
    return "tdisp"


def judge(cases, *options):
    with Served(TEEIO, *SETTINGS, *options) as served:
        run = subprocess.run([TEEIO, "validate", f"127.0.0.1:{served.port}", "--case", cases,
                              "--psk", PSK, "--timeout", "500"],
                             capture_output=True, text=True, timeout=100, check=False)
    return run.returncode, run.stdout


def is_found(fault):
    status, told = judge(cases_of(fault), "--fault", fault)
    return fault, status == 1 and "not ok" in told, told


def main():
    listed = subprocess.run([TEEIO, "serve", "--list-faults"], capture_output=True, text=True,
                            timeout=20, check=True).stdout.split()
    assert len(listed) == len(set(listed)) > 150, listed
    everything = ",".join(sorted({cases_of(fault) for fault in listed}))
    status, told = judge(everything)
    assert status == 0, told
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        missed = [(fault, told) for fault, found, told in pool.map(is_found, listed) if not found]
    for fault, told in missed:
        print(f"{fault} is not found:\n{told}")
    assert not missed, [fault for fault, _ in missed]
    for words, says in (("bad-luck@FINISH", "bad-signature"), ("bad-signature", "KEY_EXCHANGE"),
                        ("bad-hmac@FINISH", "PSK_EXCHANGE")):
        done = subprocess.run([TEEIO, "serve", "--fault", words], capture_output=True, text=True,
                              timeout=20, check=False)
        assert done.returncode == 125 and says in done.stderr, done


main()
