#!/usr/bin/env -S python3 -B
"""Chains that no requester takes: `teeio serve` warns of them, `teeio validate` names the
certificate and the reason. Dates are remarked."""

import json
import os
import subprocess
import sys
import tempfile

import pki
from served import Served

TEEIO = sys.argv[1]
SKIP = 77


def judge(served, cases="spdm12.certificate"):
    run = subprocess.run([TEEIO, "validate", f"127.0.0.1:{served.port}", "--case", cases],
                         capture_output=True, text=True, timeout=60, check=False)
    return run.returncode, run.stdout


def refused(chain, where, why):
    with Served(TEEIO, "--chain", chain.pem, "--key", chain.key) as served:
        status, told = judge(served)
    assert status == 1, told
    # One cause is one failure, whatever the number of cases that need the chain.
    assert told.count("\nnot ok ") == 1, told
    assert "certificate chain does not verify" in told, told
    for text in (told, served.log):
        assert where in text and why in text, (where, why, text)
    assert f"{chain.pem}: warning: the chain does not verify: " in served.log, served.log


def a_wrong_signature(folder):
    for name, where in (("leaf", "certificate 3 of 3"), ("mid", "certificate 2 of 3")):
        chain = pki.Chain(folder, f"bad {name}")
        chain.spoil_signature(name)
        refused(chain, f"{where} (CN=bad {name} {name})", "certificate signature failure")


def an_unknown_critical_extension(folder):
    chain = pki.Chain(folder, "critical", leaf="1.2.3.4.5=critical,ASN1:UTF8String:x\n")
    refused(chain, "certificate 3 of 3 (CN=critical leaf)", "unhandled critical extension")


def a_curve_that_is_spelt_out(folder):
    chain = pki.Chain(folder, "explicit", curve=("-pkeyopt", "ec_param_enc:explicit"))
    refused(chain, "certificate 3 of 3 (CN=explicit leaf)", "spells out its curve")


def another_issuer(folder):
    chain = pki.Chain(folder, "one")
    other = pki.Chain(folder, "two")
    chain.write(chain.read("root"), other.read("mid"), chain.read("leaf"))
    refused(chain, "certificate 2 of 3 (CN=two mid)", "not by the one before it")


def dates_are_remarked(folder):
    past = ("-days", "-1")
    chain = pki.Chain(folder, "expired", valid=past)
    with Served(TEEIO, "--chain", chain.pem, "--key", chain.key) as served:
        status, told = judge(served, "spdm12,spdm13.certificate")
    assert status == 0, told
    sentence = "certificate 3 of 3 (CN=expired leaf) expired on 20"
    assert told.count("# remark: " + sentence) == 1, told
    assert "warning: " + sentence in served.log, served.log


def a_chain_beyond_64_kib(folder):
    """SPDM 1.4 has offsets of 32 bits for it; before, only DataTooLarge or nothing."""
    chain = pki.Chain(folder, "large", authority="1.2.3.4.5=ASN1:UTF8String:" + 30_000 * "x",
                      leaf="1.2.3.4.5=ASN1:UTF8String:" + 30_000 * "x")
    capture = os.path.join(folder, "large.pcapng")
    with Served(TEEIO, "--chain", chain.pem, "--key", chain.key, "--pcap", capture) as served:
        status, told = judge(served, "spdm14.certificate,spdm14.challenge.signed,"
                             "spdm14.chunk.certificate,session.open")
        assert status == 0 and "# SKIP" not in told, told
        status, told = judge(served, "spdm13.certificate.chain")
        assert status == 1 and "Unspecified" in told, told
    shown = [json.loads(line) for line in subprocess.run(
        [TEEIO, "decode", "--json", capture], capture_output=True, text=True, timeout=60,
        check=True).stdout.splitlines()]
    wants = [one["fields"] for one in shown
             if one["message"] == "GET_CERTIFICATE" and one["fields"].get("large")]
    assert max(int(want["offset"]) for want in wants) > 0xffff, wants
    assert max(int(want["length"]) for want in wants) > 0xffff, wants
    assert sum(one["message"] == "CHUNK_RESPONSE" for one in shown) > 15, "in chunks"


def good_chains_are_served_in_silence(folder):
    chain = pki.Chain(folder, "good")
    with Served(TEEIO, "--chain", chain.pem, "--key", chain.key) as served:
        status, told = judge(served, "spdm12")
    assert status == 0 and "# remark" not in told, told
    assert "warning" not in served.log, served.log


def main():
    if not pki.is_there():
        print("openssl is not installed")
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory() as folder:
        for test in (a_wrong_signature, an_unknown_critical_extension, a_curve_that_is_spelt_out,
                     another_issuer, dates_are_remarked, a_chain_beyond_64_kib,
                     good_chains_are_served_in_silence):
            print(test.__name__, flush=True)
            test(folder)


main()
