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
SPDM_REFUSALS = "spdm13,session,auth,provisioning,events"
# Which cases look at the message; a whole suite takes ten times as long as one case.
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
    "GET_VERSION": "spdm12.version,spdm12.certificate.chain",
    "GET_CAPABILITIES": "spdm12.version,spdm12.certificate.chain",
    "NEGOTIATE_ALGORITHMS": "spdm12.version,spdm12.certificate.chain",
    "QUERY": "ide_km.query",
    "KEY_PROG": "ide_km.prog",
    "K_SET_GO": "ide_km.go",
    "K_SET_STOP": "ide_km.stop",
    "IDE_KM_UNKNOWN": "ide_km.object",
    "GET_TDISP_VERSION": "tdisp.version",
    "GET_TDISP_CAPABILITIES": "tdisp.capabilities",
    "LOCK_INTERFACE": "tdisp.lock",
    "GET_DEVICE_INTERFACE_REPORT": "tdisp.report",
    "GET_DEVICE_INTERFACE_STATE": "tdisp.state",
    "moved-range@GET_DEVICE_INTERFACE_REPORT": "tdisp.mmio",
    "START_INTERFACE": "tdisp.start",
    "STOP_INTERFACE": "tdisp.stop",
    "VDM": "tdisp.vdm",
    "TDISP_UNKNOWN": "tdisp.error",
    "CXL_QUERY": "cxl.ide_km.query",
    "CXL_KEY_PROG": "cxl.ide_km.prog",
    "CXL_K_SET_GO": "cxl.ide_km.go",
    "CXL_K_SET_STOP": "cxl.ide_km.stop",
    "CXL_GETKEY": "cxl.ide_km.get_key",
    "GET_TARGET_TSP_VERSION": "cxl.tsp.version",
    "GET_TARGET_CAPABILITIES": "cxl.tsp.capabilities",
    "SET_TARGET_CONFIGURATION": "cxl.tsp.set",
    "GET_TARGET_CONFIGURATION": "cxl.tsp.get",
    "GET_TARGET_CONFIGURATION_REPORT": "cxl.tsp.report",
    "LOCK_TARGET_CONFIGURATION": "cxl.tsp.lock",
    "TSP_UNKNOWN": "cxl.tsp.unknown",
}


def cases_of(fault):
    kind, message = fault.split("@")
    if kind != "accepted":
        return CASES.get(fault) or CASES[message]
    suite = CASES.get(message, "").split(".")[0]  # that it is refused others ask, too
    return suite if suite in ("ide_km", "tdisp", "cxl") else SPDM_REFUSALS


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
