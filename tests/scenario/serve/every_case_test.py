#!/usr/bin/env -S python3 -B
"""Each case of `teeio validate` passes on a device, and fails on one that misbehaves: a case that
cannot fail says nothing."""

import concurrent.futures
import re
import shutil
import subprocess
import sys

from served import Served

TEEIO = sys.argv[1]
PSK = "TestPskHint=TestPskData"
CAPABILITIES = "+CSR,+SET_CERT,+GET_KEY_PAIR,+SET_KEY_PAIR,+EP_INFO_SIG,+EVENT,+MULTI_KEY_NEG,+SLOT_MGMT"
SERVE = ("--capabilities", CAPABILITIES, "--heartbeat", "60", "--cxl", "--slots", "2")
MUTUAL = ("--mutual-auth", "--versions", "1.3", "--capabilities", "-SLOT_MGMT")
GENERATES = ("--cxl-generates",)
# Keys that one end has of the other beforehand.
GIVEN, OWN = (*MUTUAL, "--requester-key", "given.pem"), ("--requester-key", "given.key")
KNOWN = ("--capabilities", "+PUB_KEY_ID", "--chain", "pki/chain.pem", "--key", "pki/device.key.pem")
SPLIT = ("--machine", "split.toml")
# A card that offers every kind of stream, and one of each set up.
FEATURES = ("header-encryption", "aggregation", "pcrc", "configuration-requests", "tee-limited")
LINK_FEATURES = FEATURES[:3]
STREAMS = ("--machine", "streams.toml",
           *(word for stream, feature in enumerate((*FEATURES, None, *LINK_FEATURES), 1)
             if feature for word in ("--ide-stream", f"{stream}={feature}")))

# Runs of whole suites: faults, and what is judged.
SUITES = {
    "doe": ("truncated@DISCOVERY", "repeated@SILENCE"),
    "spdm13": tuple(f"{kind}@{message}" for kind in ("wrong-code", "accepted") for message in (
        "GET_VERSION", "GET_CAPABILITIES", "NEGOTIATE_ALGORITHMS", "GET_DIGESTS",
        "GET_CERTIFICATE", "CHALLENGE", "GET_MEASUREMENTS", "GET_MEASUREMENT_EXTENSION_LOG",
        "FINISH", "HEARTBEAT"))
    + ("accepted@SPDM_UNKNOWN", "accepted@CHUNK_SEND",
       "accepted@CHUNK_GET", "accepted@RESPOND_IF_READY", "bad-signature@CHALLENGE",
       "bad-signature@GET_MEASUREMENTS", "bad-digest@GET_DIGESTS", "truncated@GET_CERTIFICATE"),
    "session": ("repeated@SECURED", "accepted@GET_VERSION", "accepted@GET_CAPABILITIES",
                "accepted@CHALLENGE", "accepted@KEY_EXCHANGE", "bad-signature@KEY_EXCHANGE",
                "bad-hmac@KEY_EXCHANGE", "wrong-code@FINISH", "wrong-code@HEARTBEAT",
                "wrong-code@KEY_UPDATE", "wrong-code@END_SESSION", "wrong-code@GET_MEASUREMENTS"),
    "auth": ("wrong-code@PSK_EXCHANGE", "accepted@PSK_EXCHANGE",
             "accepted@GET_ENCAPSULATED_REQUEST"),
    "provisioning": tuple(f"{kind}@{message}" for kind in ("wrong-code", "accepted") for message in (
        "GET_CSR", "SET_CERTIFICATE", "GET_KEY_PAIR_INFO", "SET_KEY_PAIR_INFO", "SLOT_MANAGEMENT"))
    + ("bad-signature@GET_CSR", "bad-signature@GET_ENDPOINT_INFO",
       "wrong-code@GET_ENDPOINT_INFO"),
    "events": tuple(f"{kind}@{message}" for kind in ("wrong-code", "accepted") for message in (
        "GET_SUPPORTED_EVENT_TYPES", "SUBSCRIBE_EVENT_TYPES")),
    "ide_km": tuple(f"{kind}@{message}" for kind in ("wrong-code", "accepted") for message in (
        "QUERY", "KEY_PROG", "K_SET_GO")) + ("wrong-code@K_SET_STOP", "accepted@IDE_KM_UNKNOWN"),
    "tdisp": tuple(f"wrong-code@{message}" for message in (
        "GET_TDISP_VERSION", "GET_TDISP_CAPABILITIES", "LOCK_INTERFACE",
        "GET_DEVICE_INTERFACE_REPORT", "GET_DEVICE_INTERFACE_STATE", "START_INTERFACE",
        "STOP_INTERFACE"))
    + tuple(f"accepted@{message}" for message in (
        "GET_TDISP_VERSION", "LOCK_INTERFACE", "GET_DEVICE_INTERFACE_REPORT",
        "GET_DEVICE_INTERFACE_STATE", "START_INTERFACE", "VDM", "TDISP_UNKNOWN"))
    + ("wrong-nonce@LOCK_INTERFACE", "moved-range@GET_DEVICE_INTERFACE_REPORT"),
    "cxl": tuple(f"{kind}@{message}" for kind in ("wrong-code", "accepted") for message in (
        "CXL_KEY_PROG", "GET_TARGET_CAPABILITIES", "SET_TARGET_CONFIGURATION",
        "LOCK_TARGET_CONFIGURATION", "TSP_UNKNOWN"))
    + tuple(f"wrong-code@{message}" for message in (
        "CXL_QUERY", "CXL_K_SET_GO", "CXL_K_SET_STOP", "GET_TARGET_TSP_VERSION",
        "GET_TARGET_CONFIGURATION", "GET_TARGET_CONFIGURATION_REPORT")),
    "tee_io": ("wrong-code@GET_VERSION", "wrong-code@GET_CAPABILITIES",
               "wrong-code@NEGOTIATE_ALGORITHMS"),
}
# Cases that want a device or a run of their own: fault, more options of serve, of validate. Some
# fail where the device they start from cannot be reached: that is one failure a suite.
OTHER_KEY = ("--psk", "TestPskHint=UestPskData")  # by a bit
WRONG_STATE = ("wrong-code@GET_DEVICE_INTERFACE_STATE", (), ())
ALONE = {
    "auth.challenge": ("wrong-code@CHALLENGE", MUTUAL, ()),
    "auth.encap.unasked": ("wrong-code@DELIVER_ENCAPSULATED_RESPONSE", (), ()),
    "auth.key_update": ("wrong-code@GET_ENCAPSULATED_REQUEST", (), ()),
    "auth.psk.key": (None, OTHER_KEY, ()),
    "auth.known.challenge": ("bad-signature@KEY_EXCHANGE", (*MUTUAL, "--mutual-auth-reuse"), ()),
    "auth.known.key": ("bad-signature@KEY_EXCHANGE", GIVEN, OWN),
    "auth.known.other": ("accepted@FINISH", GIVEN, OWN),
    "auth.known.slots": ("accepted@CHALLENGE", KNOWN, ()),
    "auth.mutual": ("bad-signature@KEY_EXCHANGE", MUTUAL, ()),
    "cxl.ide_km.get_key": ("wrong-code@CXL_GETKEY", GENERATES, ()),
    "cxl.ide_km.prog.iv": ("accepted@CXL_KEY_PROG", GENERATES, ()),
    "cxl.ide_km.prog.key": ("accepted@CXL_KEY_PROG", GENERATES, ()),
    "cxl.ide_km.query.ports": ("wrong-code@CXL_QUERY", ("--cxl-ports", "3"), ()),
    "events.sent": ("truncated@SEND_EVENT", (), ()),
    "events.unsubscribed": ("unasked@SEND_EVENT", (), ()),
    "provisioning.multi_key": ("wrong-code@GET_DIGESTS", (), ()),
    "provisioning.slots.absent": ("accepted@SLOT_MANAGEMENT", ("--capabilities", "-SLOT_MGMT"), ()),
    "session.two": ("wrong-code@KEY_EXCHANGE", (), ()),
    "spdm1x.algorithms.one": ("wrong-code@NEGOTIATE_ALGORITHMS", (), ()),
    "spdm1x.certificate.digest": ("bad-digest@GET_DIGESTS", (), ()),
    "spdm1x.certificate.portion": ("truncated@GET_CERTIFICATE", (), ()),
    "spdm1x.certificate.validity": ("bad-certificate@GET_CERTIFICATE", (), ()),
    "spdm1x.chunk.certificate": ("wrong-code@GET_CERTIFICATE", (), ()),
    "spdm1x.log.absent": ("accepted@GET_MEASUREMENT_EXTENSION_LOG", ("--capabilities", "-MEL"), ()),
    "spdm1x.order.no_sessions": ("accepted@KEY_EXCHANGE", (), ()),
    "spdm1x.version.header": ("wrong-version@GET_VERSION", (), ()),
    "tdisp.refresh": WRONG_STATE,
    "tdisp.report.machine": ("moved-range@GET_DEVICE_INTERFACE_REPORT", SPLIT, SPLIT),
    "tdisp.state.locked": WRONG_STATE,
    "tdisp.state.running": WRONG_STATE,
    "tdisp.state.unlocked": WRONG_STATE,
}
# The version that is asked, where another than 1.3 has the case.
VERSIONS = {"spdm1x.chunk.certificate": "spdm14", "spdm1x.order.no_sessions": "spdm10"}


def family(case):
    return re.sub(r"^spdm1\d", "spdm1x", case)


def judge(words, fault, serve=()):
    faults = ("--fault", fault) if fault else ()
    psk = () if "--psk" in serve else ("--psk", PSK)
    usual = () if serve == KNOWN else SERVE
    with Served(TEEIO, *usual, *psk, *faults, *serve) as served:
        run = subprocess.run([TEEIO, "validate", f"127.0.0.1:{served.port}", "--psk", PSK,
                              "--timeout", "2000", *words],
                             capture_output=True, text=True, timeout=200, check=False)
    failed = {family(case) for case in re.findall(r"^not ok \d+ - (\S+):", run.stdout, re.MULTILINE)}
    skipped = {family(case) for case in re.findall(r"^ok \d+ - (\S+): .*# SKIP", run.stdout,
                                                   re.MULTILINE)}
    return failed, skipped, run.stdout


def of_suite(job):
    suite, fault = job
    return fault, judge(("--suite", suite), fault, STREAMS if suite == "ide_km" else ())[0]


def of_case(case):
    fault, serve, words = ALONE[case]
    name = case.replace("spdm1x", VERSIONS.get(case, "spdm13"))
    return case, judge(("--case", name, *words), fault, serve)[0]


def write_machines():
    """The built-in machine, once with a BAR2 of two ranges, once with every kind of stream."""
    text = subprocess.run([TEEIO, "machine", "show", "--toml", "tdx-connect"], capture_output=True,
                          text=True, timeout=20, check=True).stdout
    plain = text.index('[[card]]\nmodel = "plain"')
    ranges = "".join(f"[[card.tdi.range]]\nbar = 2\nkib = {kib}\nid = {index}\n"
                     for index, kib in ((2, 64), (9, 960)))
    with open("split.toml", "w") as file:
        file.write(f"{text[:plain]}[[card.tdi]]\n{ranges}{text[plain:]}")
    streams = (f"ide_streams = {1 + len(FEATURES)}\nide_links = {1 + len(LINK_FEATURES)}\n"
               f"ide_features = {list(FEATURES)}\n")
    card = text.index('[[card]]')
    changed = text[card:].replace("ide_streams = 2\n", streams, 1)
    assert changed != text[card:], text
    with open("streams.toml", "w") as file:
        file.write(text[:card] + changed)


def write_keys():
    """A device's chain, and a key without one."""
    subprocess.run([TEEIO, "pki", "new", "pki"], check=True, capture_output=True, timeout=20)
    subprocess.run([TEEIO, "pki", "new", "given"], check=True, capture_output=True, timeout=20)
    shutil.copy("given/device.key.pem", "given.key")
    subprocess.run(["openssl", "pkey", "-in", "given.key", "-pubout", "-out", "given.pem"], check=True)


def main():
    shutil.rmtree("pki", ignore_errors=True)
    shutil.rmtree("given", ignore_errors=True)
    write_keys()
    write_machines()
    for words, serve in ((("--suite", "tdisp", *SPLIT), SPLIT),
                         (("--suite", "ide_km"), STREAMS),
                         (("--case", "cxl.ide_km.query,events,auth.psk"), ("--cxl-ports", "3"))):
        failed, skipped, said = judge(words, None, serve)
        assert not failed, said
        assert serve == SPLIT or skipped <= {"ide_km.query.ports"}, (skipped, said)
    listed = subprocess.run([TEEIO, "validate", "--list"], capture_output=True, text=True,
                            timeout=20, check=True).stdout.splitlines()
    # tee_io asks of a device what cases of other suites ask, and more of it is mandatory.
    cases = {family(line.split()[0]) for line in listed if not line.startswith("tee_io.")}
    assert len(cases) > 200, cases
    can_fail = set()
    idle = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [(suite, fault) for suite, faults in SUITES.items() for fault in faults]
        for fault, failed in pool.map(of_suite, jobs):
            if not failed:
                idle.append(fault)
            can_fail |= failed
        for case, failed in pool.map(of_case, ALONE):
            assert case in failed, (case, ALONE[case])
            can_fail.add(case)
    assert not idle, ("nothing fails by these", idle)
    assert not cases - can_fail, ("nothing makes these fail", sorted(cases - can_fail))


main()
