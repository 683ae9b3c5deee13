#!/usr/bin/env -S python3 -B
"""Every option of `teeio serve` that changes what is on the wire, from the command line: what
a requester gets, and what the capture says."""

import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile

import pki
from served import (CONTINUE, DOE, MCTP, NONE, NORMAL, SHUTDOWN, TCP, TEST, TIMEOUT_S, Served, doe,
                    exchange, is_closed, receive, send)

TEEIO = sys.argv[1]


def run(*arguments):
    return subprocess.run([TEEIO, *arguments], capture_output=True, text=True, timeout=90,
                          check=False)


def validate(served, *arguments):
    """The TAP lines by case, without their comments."""
    done = run("validate", f"127.0.0.1:{served.port}", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = {}
    for line in done.stdout.splitlines():
        if line.startswith("ok "):
            cases[line.split(" ")[3].rstrip(":")] = "# SKIP" not in line
    return cases


def messages(*options, cases, validate_options=(), malformed=None):
    """What crossed the wire when `cases` were judged, as `teeio decode` tells it. `malformed`: what
    it says of what they send on purpose."""
    with Served(TEEIO, "--pcap", "wire.pcapng", "--keylog", "wire.keys", *options) as served:
        ran = validate(served, "--case", cases, *validate_options)
    done = run("decode", "--json", "wire.pcapng", "--keylog", "wire.keys")
    assert done.returncode == (1 if malformed else 0), done.stderr
    assert not malformed or malformed in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], ran


def fields(found, name):
    return [message.get("fields", {}) for message in found if message["message"] == name]


def has(found, name):
    return any(message["message"] == name for message in found)


def default():
    found, _ = messages(cases="spdm12.algorithms.one,session.open,auth.mutual")
    flags = fields(found, "CAPABILITIES")[0]["flags"]
    assert "ENCAP" in flags and "MUT_AUTH" not in flags, flags
    # PCI-SIG's TEE-IO configuration, whatever else a requester offers.
    chosen = fields(found, "ALGORITHMS")[0]
    text = json.dumps(chosen)
    for name in ("SHA-384", "ECDSA-P384", "SECP384R1", "AES-256-GCM"):
        assert name in text, (name, chosen)
    for name in ("SHA3-512", "SHA-512", "ChaCha20"):
        assert name not in text, (name, chosen)


def mutual_auth():
    found, ran = messages("--mutual-auth", "--versions", "1.3", cases="auth.")
    flags = fields(found, "CAPABILITIES")[0]["flags"]
    assert "MUT_AUTH" in flags and "ENCAP" in flags, flags
    for case in ("auth.mutual", "auth.challenge", "auth.key_update"):
        assert ran[case], f"{case} was skipped"
    assert has(found, "ENCAPSULATED_REQUEST") and has(found, "DELIVER_ENCAPSULATED_RESPONSE")
    inner = [message for message in found
             if message["message"] == "CHALLENGE_AUTH" and message["from"] == "requester"]
    assert inner, "no CHALLENGE_AUTH of the requester"


def every_version_is_judged_that_may_ask():
    """CHALLENGE_AUTH asks up to SPDM 1.3; a device that offers 1.4 too is asked in each."""
    found, ran = messages("--mutual-auth", cases="auth.challenge")
    assert ran["auth.challenge"], "it was skipped"
    asked = {one["version"] for one in fields(found, "CHALLENGE_AUTH")
             if one.get("basic_mutual_auth") == "yes"}
    assert asked == {"1.1", "1.2", "1.3"}, asked
    _, ran = messages("--mutual-auth", "--versions", "1.4", cases="auth.challenge")
    assert not ran["auth.challenge"], ran


def without_it_nobody_is_asked():
    found, ran = messages(cases="auth.")
    assert not ran["auth.mutual"] and ran["auth.key_update"], ran
    assert "ECDSA" not in json.dumps(fields(found, "ALGORITHMS")[0]["req_asym"]), (
        fields(found, "ALGORITHMS")[0])


def psk():
    hint = ("--psk", "TestPskHint=TestPskData")
    found, ran = messages(*hint, cases="auth.psk", validate_options=hint)
    assert all(ran.values()), ran
    assert has(found, "PSK_EXCHANGE_RSP")
    context, ran = messages(*hint, "--capabilities", "+PSK_CONTEXT", cases="auth.psk",
                            validate_options=hint)
    assert all(ran.values()) and has(context, "PSK_FINISH_RSP"), ran


def versions():
    with Served(TEEIO, "--versions", "1.2,1.1") as served:
        ran = validate(served)
        assert not ran["spdm10.version.header"] and not ran["spdm14.certificate.chain"], ran
        assert ran["spdm11.version.listed"] and ran["spdm12.certificate.chain"]


def capabilities():
    found, ran = messages("--capabilities", "-CHUNK,-HBEAT,+CLEAR_HANDSHAKE",
                          cases="spdm12.chunk,session.open,session.heartbeat")
    flags = fields(found, "CAPABILITIES")[0]["flags"]
    assert "CHUNK" not in flags and "HBEAT" not in flags and "CLEAR_HANDSHAKE" in flags, flags
    assert not ran["spdm12.chunk.algorithms"] and not ran["session.heartbeat"], ran
    found, ran = messages("--capabilities", "MEAS_NO_SIG", cases="spdm12.algorithms.one,spdm12.certificate,spdm12.order.d")
    assert not ran["spdm12.certificate.chain"] and ran["spdm12.order.digests"], ran
    chosen = fields(found, "ALGORITHMS")[0]
    assert "ECDSA" not in json.dumps(chosen) and "SECP" not in json.dumps(chosen), chosen


def each_capability_by_its_name():
    """Whatever name is taken shows in CAPABILITIES, or its absence does."""
    names = run("serve", "--capabilities", "+BOGUS").stderr.split("there are ")[1]
    names = names.split(" (see")[0].split(", ")
    assert len(names) > 25, names
    refused = set()
    for name in names:
        for sign in "+-":
            options = ["--capabilities", sign + name]
            if sign + name != "-PSK":  # without which a key would change nothing
                options += ["--psk", "hint=key"]
            if name == "MUT_AUTH" and sign == "+":
                options.append("--mutual-auth")
            tried = subprocess.Popen([TEEIO, "serve", "--listen", "127.0.0.1:0", *options],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            listens = tried.stdout.readline()
            if not listens:
                assert tried.wait(timeout=TIMEOUT_S) == 125, tried.stderr.read()
                refused.add(sign + name)
                continue
            with socket.create_connection(("127.0.0.1", int(listens.rsplit(":", 1)[1]))) as peer:
                flags = capability_names(peer)
            tried.terminate()
            tried.communicate(timeout=TIMEOUT_S)
            assert (name in flags) == (sign == "+"), (sign + name, flags)
    # What needs others, or a key in a file, or is needed by them.
    assert refused == {"-CERT", "-MEAS_SIG", "+CSR", "+MULTI_KEY", "+MULTI_KEY_NEG",
                       "+PUB_KEY_ID"}, refused


def capability_names(peer):
    """Of CAPABILITIES for SPDM 1.4, as `teeio decode` names them."""
    exchange(peer, NORMAL, MCTP, bytes([5, 0x10, 0x84, 0, 0]))
    ask = struct.pack("<BBBBBBHIII", 0x14, 0xE1, 0, 0, 0, 0, 0, 0, 0x1200, 0x1200)
    answer = exchange(peer, NORMAL, MCTP, b"\5" + ask)[2][1:]
    assert answer[1] == 0x61, answer
    with open("capabilities.pcap", "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 0xFFFF, 291))
        for number, message in enumerate((ask, answer)):
            packet = bytes([1, 8 + number, 9 - number, 0xC8 if number == 0 else 0xC0, 5]) + message
            file.write(struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet)
    shown = run("decode", "--json", "capabilities.pcap").stdout.splitlines()
    found = [json.loads(line) for line in shown]
    shown = fields(found, "CAPABILITIES")[0]
    return shown["flags"].split("|") + shown.get("extended_flags", "").split("|")


def post_quantum():
    """With OpenSSL 3.5 ALGORITHMS has them; with an older one a line says why not."""
    with Served(TEEIO, "--versions", "1.4", "--post-quantum", "first", "--pcap", "wire.pcapng") as served:
        validate(served, "--case", "session.open")
    found = [json.loads(line) for line in run("decode", "--json", "wire.pcapng").stdout.splitlines()]
    chosen = json.dumps(fields(found, "ALGORITHMS")[0])
    if "no post-quantum algorithm" in served.log:
        assert "3.5 and later" in served.log and "ECDSA-P384" in chosen, (served.log, chosen)
    else:
        assert "ML-DSA" in chosen and "ML-KEM" in chosen and "ECDSA" not in chosen, chosen
        # Nothing older has any, so nothing older is listed; and what is named is refused.
        found, ran = messages("--post-quantum", "only", cases="spdm14.chunk.algorithms,session.open",
                              validate_options=("--timeout", "8000"))
        assert fields(found, "VERSION")[0]["versions"] == "1.4", fields(found, "VERSION")
        assert all(ran.values()), ran
        refused = run("serve", "--versions", "1.3,1.4", "--post-quantum", "only")
        assert refused.returncode == 125 and "SPDM 1.4 is the first" in refused.stderr, refused
    found, _ = messages("--versions", "1.4", "--post-quantum", "off", cases="session.open")
    assert "ML-" not in json.dumps(fields(found, "ALGORITHMS")[0])


def every_option_is_in_a_test():
    """The table of docs/serve.md has every option, and so do these files."""
    options = re.findall(r"^  (?:-\w,)?(--[\w-]+)", run("help", "serve").stdout, re.MULTILINE)
    assert len(options) > 30, options
    here = pathlib.Path(__file__).resolve().parent
    tests = "".join(path.read_text() for path in here.parent.glob("*/*.py"))
    table = (here / "../../../docs/serve.md").read_text()
    for option in set(options) - {"--help"}:
        assert f'"{option}' in tests, f"no test starts a server with {option}"
        assert f"`{option}" in table, option


def algorithms():
    found, _ = messages("--algorithms", "ECDSA-P256,SHA-256,SECP256R1,AES-128-GCM",
                        cases="session.open")
    text = json.dumps(fields(found, "ALGORITHMS")[0])
    for name in ("ECDSA-P256", "SHA-256", "SECP256R1", "AES-128-GCM"):
        assert name in text, (name, text)
    assert "P384" not in text, text


def slots():
    found, _ = messages("--slots", "3", cases="spdm12.certificate.digest")
    assert "7" in json.dumps(fields(found, "DIGESTS")[0]), fields(found, "DIGESTS")[0]


def deferred():
    found, ran = messages("--defer", cases="spdm12.challenge.signed,session.open")
    assert has(found, "RESPOND_IF_READY") and all(ran.values()), ran


def transfer_size():
    found, ran = messages("--transfer-size", "42", cases="spdm12.certificate.chain")
    assert fields(found, "CAPABILITIES")[0]["data_transfer_size"] == 42
    assert has(found, "CHUNK_SEND") and all(ran.values()), ran


def key_log_of_spdm_dump():
    messages(cases="session.open")
    with open("wire.keys") as log:
        lines = log.read().splitlines()
    secrets = [line.split("--dhe_secret ")[1] for line in lines if "--dhe_secret" in line]
    # The X coordinate of secp384r1, before the four keys of its session.
    assert secrets and all(len(secret) == 96 for secret in secrets), lines
    assert lines[0].startswith("# session 0x") and lines[1].startswith("SPDM 0x"), lines


def measurement_opaque():
    found, ran = messages("--measurement-opaque", "b7", cases="spdm12.measurements,spdm14.measurements")
    assert all(ran.values()), ran
    for one in fields(found, "MEASUREMENTS"):
        assert b"b7".hex() in one["opaque"], one
    done = run("serve", "--measurement-opaque", "x" * 961)
    assert done.returncode == 125 and "at most 960 bytes" in done.stderr, done


def secured_versions():
    for words, chosen in (("1.0,1.1,1.2", "1.2"), ("1.1", "1.1"), ("1.0", "1.0")):
        found, ran = messages("--secured-versions", words, "--psk", "hint=key", cases="session.open,auth.psk.session",
                              validate_options=("--psk", "hint=key"))
        assert all(ran.values()), ran
        for name in ("KEY_EXCHANGE_RSP", "PSK_EXCHANGE_RSP"):
            assert {one["secured_version"] for one in fields(found, name)} == {chosen}, (words, name)
    done = run("serve", "--secured-versions", "1.3")
    assert done.returncode == 125 and "there are 1.0 to 1.2" in done.stderr, done


def mutual_auth_required():
    """Who cannot authenticate itself gets no session; this judge then does."""
    def asked(*options):
        found, ran = messages("--mutual-auth", "--versions", "1.2", *options,
                              cases="auth.mutual,session.open")
        assert all(ran.values()), ran
        codes = [message["message"] for message in found]
        return list(zip(codes, codes[1:]))
    refusal = ("KEY_EXCHANGE", "SPDM_ERROR")
    assert refusal in asked("--mutual-auth-required")
    assert refusal not in asked()


def key_pair_of_a_requester(name):
    """Files of its private and its public key, the latter once in PEM and once in DER."""
    with open(f"{name}.key", "wb") as file:
        file.write(subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                                   "ec_paramgen_curve:P-384"], capture_output=True, check=True).stdout)
    for form in ("pem", "der"):
        subprocess.run(["openssl", "pkey", "-in", f"{name}.key", "-pubout", "-outform", form, "-out",
                        f"{name}.{form}"], check=True)


def requester_key():
    """A requester without certificates signs FINISH by the key that the device was given."""
    for name in ("ours", "theirs"):
        key_pair_of_a_requester(name)
    for version in ("1.1", "1.2", "1.3", "1.4"):
        found, ran = messages("--mutual-auth", "--mutual-auth-required", "--requester-key", "ours.pem",
                              "--versions", version, cases="auth.known,auth.mutual",
                              validate_options=("--requester-key", "ours.key"))
        assert ran["auth.known.key"] and ran["auth.known.other"] and ran["auth.mutual"], ran
        assert any("PUB_KEY_ID" in one["flags"] for one in fields(found, "GET_CAPABILITIES")), found
        asked = {(one["mut_auth"], one["req_slot"])
                 for one in fields(found, "KEY_EXCHANGE_RSP")}
        assert {(1, 15), (2, 0)} <= asked, asked
        assert "255" in {str(one["req_slot"]) for one in fields(found, "FINISH")}, fields(found, "FINISH")
    # DER, and another's: nobody gets in, and nobody is told wrongly that all is well.
    with Served(TEEIO, "--mutual-auth", "--requester-key", "theirs.der") as served:
        done = run("validate", f"127.0.0.1:{served.port}", "--case", "auth.known", "--requester-key",
                   "ours.key")
        assert done.returncode == 1 and "not ok 1 - auth.known.key" in done.stdout, done.stdout
        assert "the device could not decrypt" in done.stdout and "ok 2 - auth.known.other" in done.stdout, done.stdout
        skipped = run("validate", f"127.0.0.1:{served.port}", "--case", "auth.known.key")
        assert "# SKIP --requester-key is not given" in skipped.stdout, skipped.stdout
    with Served(TEEIO, "--mutual-auth") as served:  # never given one: not asked
        ran = validate(served, "--case", "auth.known.key", "--requester-key", "ours.key")
        assert ran == {"auth.known.key": False}, ran


def responder_key():
    """Where the device's key is known beforehand all of its signatures and sessions are judged by it."""
    pair = pki.Chain(os.getcwd(), "known")
    subprocess.run(["openssl", "pkey", "-in", pair.key, "-pubout", "-out", "known.pem"], check=True)
    key_pair_of_a_requester("another")
    options = ("--chain", pair.pem, "--key", pair.key, "--capabilities", "+PUB_KEY_ID")
    cases = ("spdm12.challenge,spdm13.measurements,session,ide_km.prog.all,tdisp.state,auth.known.slots")
    with Served(TEEIO, *options) as served:
        ran = validate(served, "--case", cases, "--responder-key", "known.pem")
        assert len(ran) > 30 and all(ran.values()), [case for case, ok in ran.items() if not ok]
        ran = validate(served, "--case", "session.open,spdm12.challenge")
        assert not any(ran.values()), ran
        done = run("validate", f"127.0.0.1:{served.port}", "--case", "spdm12.challenge,session", "--responder-key",
                   "another.der")
        assert done.returncode == 1 and done.stdout.count("\nnot ok") == 2, done.stdout
        assert "the device's signature is wrong" in done.stdout, done.stdout


def mutual_auth_reuse():
    """The chain that CHALLENGE has brought is not read again for the session."""
    options = ("--mutual-auth", "--mutual-auth-reuse")
    for version in ("1.1", "1.2", "1.3"):
        found, ran = messages(*options, "--versions", version, cases="auth.known.challenge,auth.mutual")
        assert ran["auth.known.challenge"] and ran["auth.mutual"], ran
        asked = [(one["mut_auth"], one["req_slot"]) for one in fields(found, "KEY_EXCHANGE_RSP")]
        assert sorted(asked) == [(1, 0), (2, 0)], asked
    _, ran = messages("--mutual-auth", cases="auth.known.challenge")
    assert ran == {"auth.known.challenge": False}, ran


def heartbeat():
    found, _ = messages("--heartbeat", "7", cases="session.open")
    assert "7" in json.dumps(fields(found, "KEY_EXCHANGE_RSP")[0]), fields(found, "KEY_EXCHANGE_RSP")


def chain():
    if not pki.is_there():
        return
    with tempfile.TemporaryDirectory() as folder:
        made = pki.Chain(folder, "mine")
        found, ran = messages("--chain", made.pem, "--key", made.key,
                              cases="spdm12.certificate.chain,spdm12.challenge.signed")
        assert all(ran.values()), ran
        made.openssl("x509", "-in", "leaf.pem", "-outform", "DER", "-out", "leaf.der")
        with open(os.path.join(made.folder, "leaf.der"), "rb") as file:
            leaf = file.read().hex()
        shown = run("decode", "-v", "wire.pcapng").stdout
        assert leaf in shown.replace("\n", "").replace(" ", ""), "the leaf is not on the wire"
        other = pki.Chain(folder, "other")
        done = run("serve", "--listen", "127.0.0.1:0", "--chain", made.pem, "--key", other.key)
        assert done.returncode == 1 and made.pem in done.stderr, done


TWO_CARDS = """
[[root_port]]
bdf = "0000:00:02.0"
bus = 0xc0
window = 0x390000000000
window_mib = 64
ide_streams = 4
tee_io = true

[[card]]
model = "dma-engine"
bdf = "0000:c0:00.0"
window = 0x390000000000
vfs = 1
ide_streams = 2
serial = 0x77
driver = "none"
"""


def machine_and_function():
    source = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                          "../../../machines/spdm-emu.toml")
    with open(source) as file, open("two.toml", "w") as copy:
        copy.write(file.read() + TWO_CARDS)
    with Served(TEEIO, "--machine", "two.toml") as served:
        names = {state["device"] for state in served.control().ask("states")["states"]}
        assert names == {"0000:be:1d.0", "0000:c0:00.0"}, names
        served.process.stdout.readline()
    with Served(TEEIO, "--machine", "two.toml", "--function", "0000:c0:00.1") as served:
        states = served.control().ask("states")["states"]
        assert [state["function"] for state in states] == ["0000:c0:00.0", "0000:c0:00.1"], states
        ran = validate(served, "--case", "tdisp.state", "--function", "0000:c0:00.1")
        assert any(ran.values()), ran
    done = run("serve", "--machine", "two.toml", "--listen", "127.0.0.1:65535")
    assert done.returncode == 1 and "2 devices have a port each, and 65535 is the last" in done.stderr, done
    for status, *words in ((1, "--machine", "no-such"), (125, "--function", "0000:7f:00.0"),
                           (125, "--function", "0000:01:00.0", "--function", "0000:01:00.0")):
        done = run("serve", "--listen", "127.0.0.1:0", *words)
        assert done.returncode == status and words[-1] in done.stderr, done


def transport():
    for name, number in (("none", NONE), ("mctp", MCTP), ("doe", DOE), ("tcp", TCP)):
        with Served(TEEIO, "--transport", name) as served:
            for other in (NONE, MCTP, DOE, TCP):
                with served.connect() as peer:
                    send(peer, TEST, other)
                    if other != number:
                        assert is_closed(peer)
                        continue
                    assert receive(peer, 12)[:4] == b"\0\0\xde\xad"
        assert f"only {name} is served" in served.log, served.log


def cxl():
    made = ("prog.key", "prog.iv", "get_key")
    for options, skips in (((), None), (("--cxl",), ("query.ports", *made)),
                           (("--cxl", "--cxl-ports", "2"), made),
                           (("--cxl", "--cxl-generates"), ("query.ports", "prog.initial"))):
        with Served(TEEIO, *options) as served:
            ran = validate(served, "--suite", "cxl")
        assert len(ran) == 29, ran
        skipped = set(ran) if skips is None else {f"cxl.ide_km.{name}" for name in skips}
        assert {case for case, judged in ran.items() if not judged} == skipped, (options, ran)


def reports_of_the_machine_file():
    """[[card.tdi]]: what a requester reads, and what `validate --machine` makes of it."""
    with open(os.path.join(os.path.dirname(__file__), "../../../machines/tdx-connect.toml")) as file:
        text = file.read()
    tdi = """
[[card.tdi]]
interface_info = ["dma-with-pasid", "prs"]
lnr_control = 0x1234
tph_control = 0x9abcdef0
device_info = "board 7"
[[card.tdi.range]]
bar = 2
kib = 64
attributes = ["non-tee"]
[[card.tdi.range]]
bar = 2
kib = 960
id = 9
"""
    split = text.index("[[card]]\nmodel = \"plain\"")
    for name, change in (("as.toml", tdi), ("other.toml", tdi.replace("0x1234", "0x1235")),
                         ("split.toml", tdi.replace("64", "128").replace("960", "896"))):
        with open(name, "w") as file:
            file.write(text[:split] + change + text[split:])
    with Served(TEEIO, "--machine", "as.toml", "--pcap", "wire.pcapng", "--keylog", "wire.keys") as served:
        ran = validate(served, "--case", "tdisp.report", "--machine", "as.toml")
        assert all(ran.values()), ran
        for other, says in (("other.toml", "LNR control is 0x1234, in the machine file 0x1235"),
                            ("split.toml", "range 1 has id 2, 16 pages"),
                            ("tdx-connect", "INTERFACE_INFO is 0x0014")):
            done = run("validate", f"127.0.0.1:{served.port}", "--case", "tdisp.report.machine",
                       "--machine", other)
            assert done.returncode == 1 and says in done.stdout, done.stdout
    found = [json.loads(line) for line in
             run("decode", "--json", "wire.pcapng", "--keylog", "wire.keys").stdout.splitlines()]
    report = fields(found, "DEVICE_INTERFACE_REPORT")[0]
    text = json.dumps(report)
    assert (report["interface_info"], report["lnr_control"], report["tph_control"]) == (
        0x14, 0x1234, 0x9ABCDEF0), report
    for word in (b"board 7".hex(), "16 pages", "240 pages"):
        assert word in text, (word, report)
    done = run("validate", "127.0.0.1:1", "--machine", "no-such")
    assert done.returncode == 125 and "no-such" in done.stderr, done


def ide_port():
    found, ran = messages("--ide-port", "2", cases="ide_km.query.port",
                          validate_options=("--port-index", "2"))
    assert ran and fields(found, "QUERY_RESP"), ran
    # Ports below exist, and the highest is the card's.
    assert all(str(one["max_port"]) == "2" for one in fields(found, "QUERY_RESP")), found


def ide_streams():
    """[[card]] says what the IDE capability offers, --ide-stream what a stream is set up with."""
    text = run("machine", "show", "--toml", "tdx-connect").stdout
    with open("ide.toml", "w") as file:
        file.write(text.replace('spdm = "session"', 'ide_links = 1\nide_features = ["pcrc", "aggregation"]\n'
                                'spdm = "session"'))
    found, ran = messages("--machine", "ide.toml", "--ide-stream", "1=pcrc+aggregation",
                          "--ide-stream", "2=pcrc", cases="ide_km.config,ide_km.link")
    assert {case.removeprefix("ide_km.") for case, judged in ran.items() if judged} == {
        "config.pcrc", "config.aggregation", "link.plain", "link.pcrc", "link.selective"}, ran
    told = json.dumps(fields(found, "QUERY_RESP"))
    for stream in ('"selective[1]": "id 1 insecure aggregation=1/1/1 pcrc"',
                   '"link[0]": "id 2 secure pcrc"', '"selective[0]": "id 0 insecure"'):
        assert stream in told, (stream, told)
    plain = validate_default_ide()
    assert not any(plain.values()), plain
    for status, words, says in (
            (125, ("1=rot13",), "there is no IDE feature 'rot13'"), (125, ("x=pcrc",), "must be ID=FEATURE"),
            (125, ("1",), "must be ID=FEATURE"), (1, ("3=pcrc",), "has no IDE stream 3"),
            (1, ("1=header-encryption",), "`ide_features` of its machine file leave it out"),
            (1, ("2=tee-limited",), "is a link stream, which has no tee-limited")):
        done = run("serve", "--listen", "127.0.0.1:0", "--machine", "ide.toml", "--ide-stream", *words)
        assert done.returncode == status and says in done.stderr, (words, done)


def validate_default_ide():
    with Served(TEEIO) as served:
        return validate(served, "--case", "ide_km.config,ide_km.link")


def device_per_peer():
    """A connection goes on while another peer begins anew: what it has agreed on holds."""
    def capabilities_of(version):
        return doe(1, struct.pack("<BBBBBBHIII", version, 0xE1, 0, 0, 0, 0, 0, 0, 0x1200, 0x1200))
    begin = doe(1, bytes([0x10, 0x84, 0, 0]))
    for options, answer in (((), 0x61), (("--device-per-peer",), 0x7F)):
        with Served(TEEIO, *options) as served:
            with served.connect() as first, served.connect() as second:
                exchange(first, NORMAL, DOE, begin)
                assert exchange(first, NORMAL, DOE, capabilities_of(0x12))[2][9] == 0x61
                exchange(second, NORMAL, DOE, begin)
                told = exchange(first, NORMAL, DOE, capabilities_of(0x13))[2][9]
                assert told == answer, (options, told)


def a_device_of_ones_own_is_made_when_it_is_asked():
    """Who connects and says nothing costs a connection and no card."""
    def kib(served):
        status = pathlib.Path(f"/proc/{served.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status)[1])
    with Served(TEEIO, "--device-per-peer") as served:
        with served.connect() as peer:
            exchange(peer, NORMAL, DOE, doe(0, b"\0\0\0\0"))
        grown = []
        for speaks in (False, True):
            before, peers = kib(served), [served.connect() for _ in range(60)]
            for peer in peers if speaks else peers[-1:]:
                exchange(peer, NORMAL, DOE, doe(0, b"\0\0\0\0"))
            grown.append(kib(served) - before)
            for peer in peers:
                peer.close()
        assert grown[0] * 2 < grown[1], grown


def once():
    for options, ends in (((), False), (("--once",), True)):
        with Served(TEEIO, *options) as served:
            with served.connect() as peer:
                assert exchange(peer, SHUTDOWN, DOE)[0] == SHUTDOWN
            if ends:
                assert served.process.wait(timeout=TIMEOUT_S) == 0
            else:
                with served.connect() as peer:
                    assert exchange(peer, TEST, DOE)[0] == TEST


ALL = "+CSR,+SET_CERT,+GET_KEY_PAIR,+SET_KEY_PAIR,+MULTI_KEY_NEG,+EP_INFO_SIG,+SLOT_MGMT"


def each_slot_has_its_own_chain():
    found, ran = messages("--slots", "3", cases="spdm12.certificate.digest,session.open")
    digests = fields(found, "DIGESTS")[0]
    three = {digests[f"digest[{slot}]"] for slot in range(3)}
    assert len(three) == 3 and all(ran.values()), digests
    if not pki.is_there():
        return
    with tempfile.TemporaryDirectory() as folder:
        made = pki.Chain(folder, "fifth")
        found, _ = messages("--slot", f"5={made.pem},{made.key}", "--capabilities", "+GET_KEY_PAIR",
                            cases="spdm12.certificate.digest,provisioning.key_pairs")
        assert {str(one["total"]) for one in fields(found, "KEY_PAIR_INFO")} == {"2"}, found
        digests = fields(found, "DIGESTS")[0]
        assert {"digest[0]", "digest[5]"} <= set(digests) and "digest[1]" not in digests, digests
        done = run("serve", "--slot", f"5={made.pem},{made.key}", "--algorithms", "ECDSA-P521")
        assert done.returncode == 1 and "nobody can use its key" in done.stderr, done
        done = run("serve", "--slot", f"5={made.pem},{made.key}", "--slot", f"5={made.pem},{made.key}")
        assert done.returncode == 125 and "slot 5 is filled twice" in done.stderr, done


def provisioning():
    for slots in ("1", "3"):
        found, ran = messages("--slots", slots, "--capabilities", ALL, cases="provisioning",
                              validate_options=("--suite", "provisioning"),
                              malformed="SLOT_MANAGEMENT's structure begins in its header")
        assert len(ran) == 16, ran
        assert [case for case in ran if not ran[case]] == [
            "provisioning.key_pairs.spare", "provisioning.slots.absent"], ran
        details = [one for one in fields(found, "SLOT_MANAGEMENT_RESP") if one.get("selected")]
        assert details and details[0]["slot[0]"].startswith("provisioned,size="), details
        for name in ("CSR", "SET_CERTIFICATE_RSP", "KEY_PAIR_INFO", "SET_KEY_PAIR_INFO_ACK",
                     "ENDPOINT_INFO"):
            assert has(found, name), name
        totals = {str(one["total"]) for one in fields(found, "KEY_PAIR_INFO")}
        assert totals == {slots}, totals
    with Served(TEEIO) as served:
        ran = validate(served, "--suite", "provisioning")
        assert [case for case in ran if ran[case]] == ["provisioning.slots.absent"], ran
    # Without multi-key connections the key pair is 0.
    with Served(TEEIO, "--capabilities", "+CSR,+SET_CERT,+EP_INFO_NO_SIG") as served:
        ran = validate(served, "--suite", "provisioning")
        assert ran["provisioning.csr"] and ran["provisioning.set.same"], ran
        assert ran["provisioning.endpoint_info"] and not ran["provisioning.endpoint_info.signed"]


def events():
    found, ran = messages("--capabilities", "+EVENT,+SET_CERT", cases="events",
                          validate_options=("--suite", "events"))
    assert len(ran) == 6 and all(ran.values()), ran
    sent = fields(found, "SEND_EVENT")
    assert has(found, "EVENT_ACK") and "CertificateChanged" in sent[0].values(), sent
    types = fields(found, "SUPPORTED_EVENT_TYPES")[0]["group[0]"]
    assert types == "EventLost,MeasurementChanged,CertificateChanged", types
    with Served(TEEIO) as served:
        assert not any(validate(served, "--suite", "events").values())


def tee_io():
    with Served(TEEIO) as served:
        assert all(validate(served, "--suite", "tee_io").values())
        assert not any("tee_io" in case for case in validate(served, "--case", "tdisp.v"))
    for options, case in ((("--versions", "1.1"), "version"),
                          (("--capabilities", "CERT,CHAL,MEAS_SIG"), "capabilities"),
                          (("--algorithms", "AES-128-GCM"), "algorithms")):
        with Served(TEEIO, *options) as served:
            done = run("validate", f"127.0.0.1:{served.port}", "--case", f"tee_io.{case}")
            assert done.returncode == 1 and f"not ok 1 - tee_io.{case}" in done.stdout, done.stdout


def multi_key():
    """Every case of every version holds when slots have keys of their own."""
    with Served(TEEIO, "--slots", "2", "--capabilities", ALL) as served:
        ran = validate(served, "--suite", "spdm12,spdm13,spdm14,session,auth")
        assert ran["spdm13.challenge.signed"] and ran["session.open"], ran


def measurements():
    blocks = ("--measurement", "2=firmware:changed", "--measurement", "253=manifest+raw:the manifest",
              "--measurement", "9=svn+raw:7")
    found, ran = messages(*blocks, cases="spdm12.measurements")
    assert all(ran.values()), ran
    counts = {str(one["total"]) for one in fields(found, "MEASUREMENTS") if "total" in one}
    assert "6" in counts, fields(found, "MEASUREMENTS")
    log, ran = messages(*blocks, "--transfer-size", "100", cases="spdm13.log,spdm14.log")
    assert {case for case, judged in ran.items() if not judged} == {"spdm13.log.absent",
                                                                    "spdm14.log.absent"}, ran
    without, ran = messages("--capabilities", "-MEL", cases="spdm13.log")
    assert {case for case, judged in ran.items() if judged} == {"spdm13.log.absent"}, ran
    assert not any(message["message"] == "MEASUREMENT_EXTENSION_LOG" for message in without)
    assert len(fields(log, "MEASUREMENT_EXTENSION_LOG")) > 8, "it comes in portions"
    whole, _ = messages(*blocks, cases="spdm13.log.entries")
    entries = fields(whole, "MEASUREMENT_EXTENSION_LOG")[0]
    # The card's 1 and 3, and the three from the command line; 4 changes, and is not logged.
    assert str(entries["entries"]) == "5", entries
    assert "block=253" in json.dumps(entries) and "block=4" not in json.dumps(entries), entries
    found, ran = messages(*blocks, cases="spdm12.measurements")
    shown = run("decode", "-v", "wire.pcapng").stdout
    assert b"the manifest".hex() in shown.replace(" ", "").replace("\n", ""), shown[-2000:]
    for block, says in (("x", "INDEX=KIND:VALUE"), ("0=rom:x", "1 to 254"), ("3=soup:x", "manifest")):
        done = run("serve", "--measurement", block)
        assert done.returncode == 125 and says in done.stderr, done


def idle_words():
    """What would change nothing beside the other words is refused, and its sentence says why."""
    old, none = ("--versions", "1.0"), ("--transport", "none")
    few = ("--capabilities", "CERT,CHAL")
    for words, says in (((*old, "--mutual-auth"), "--mutual-auth changes nothing without MUT_AUTH"),
                        ((*old, "--mutual-auth", "--mutual-auth-required"), "--mutual-auth-required changes nothing"),
                        ((*none, "--mutual-auth", "--mutual-auth-required"), "-required changes nothing without KEY_EX"),
                        (("--mutual-auth", "--requester-key", "none.pem"), "none.pem: No such file"),
                        (("--mutual-auth", "--requester-key", "/dev/null"), "/dev/null: no public key"),
                        (("--requester-key", "none.pem"), "--requester-key needs --mutual-auth"),
                        (("--mutual-auth-reuse",), "--mutual-auth-reuse needs --mutual-auth"),
                        (("--mutual-auth", "--mutual-auth-reuse", "--versions", "1.4"), "--mutual-auth-reuse changes nothing"),
                        (("--mutual-auth", "--mutual-auth-reuse", "--capabilities", "-CHAL"), "--mutual-auth-reuse changes nothing without CHAL"),
                        (("--mutual-auth", "--capabilities", "-ENCAP"), "--mutual-auth changes nothing without ENCAP"),
                        (("--transport", "tcp", "--pcap", "x"), "--pcap changes nothing with --transport tcp"),
                        ((*none, "--pcap", "x"), "--pcap changes nothing with --transport none"),
                        (("--measurement", "5=rom:a", "--measurement", "5=svn:b"), "gives block 5 twice"),
                        (("--psk", "a=b", "--psk", "a=c"), "two keys for one hint"),
                        (("--fault", "late@FINISH", "--fault", "dropped@FINISH"), "late@FINISH changes nothing beside"),
                        ((*few, "--secured-versions", "1.0"), "without KEY_EX or PSK"),
                        ((*none, "--secured-versions", "1.0"), "--secured-versions changes nothing"),
                        (("--capabilities", "-HBEAT", "--heartbeat", "7"), "--heartbeat changes nothing without HBEAT"),
                        ((*old, "--psk", "a=b"), "--psk changes nothing"),
                        ((*few, "--measurement", "3=rom:x"), "--measurement changes nothing"),
                        ((*few, "--measurement-opaque", "x"), "--measurement-opaque changes nothing"),
                        (("--capabilities", "MEAS_NO_SIG", "--slots", "2"), "--slots changes nothing without CERT"),
                        (("--capabilities", "MEAS_NO_SIG", "--chain", "x", "--key", "x"), "--chain changes nothing"),
                        (("--capabilities", "MEAS_NO_SIG", "--slot", "1=x,x"), "--slot changes nothing"),
                        (("--chain", "x", "--key", "x", "--slot", "0=x,x"), "--slot fills each of the --slots"),
                        (("--capabilities", "MEAS_NO_SIG", "--defer"), "--defer changes nothing"),
                        ((*few, "--cxl"), "--cxl changes nothing"),
                        ((*few, "--cxl", "--fault", "accepted@GET_VERSION"), "--cxl changes nothing"),
                        ((*few, "--ide-port", "1"), "--ide-port changes nothing"),
                        ((*few, "--ide-stream", "1=pcrc"), "--ide-stream changes nothing"),
                        ((*old, "--transfer-size", "100"), "--transfer-size changes nothing before SPDM 1.2"),
                        ((*old, "--post-quantum", "first"), "--post-quantum first changes nothing"),
                        (("--versions", "1.2", "--capabilities", "+EVENT"), "the capability EVENT is in no version"),
                        ((*few, "--algorithms", "SECP256R1"), "--algorithms SECP256R1 changes nothing without KEY_EX"),
                        ((*few, "--algorithms", "AES-128-GCM"), "--algorithms AES-128-GCM changes nothing"),
                        (("--fault", "unasked@SEND_EVENT"), "without EVENT"),
                        (("--fault", "truncated@SEND_EVENT"), "without EVENT"),
                        ((*few, "--fault", "longer@HEARTBEAT"), "HEARTBEAT of this kind changes nothing"),
                        ((*few, "--fault", "bad-signature@KEY_EXCHANGE"), "KEY_EXCHANGE of this kind changes nothing"),
                        (("--fault", "bad-signature@GET_CSR"), "without CSR"),
                        (("--fault", "bad-hmac@PSK_EXCHANGE"), "without PSK or PSK_CONTEXT"),
                        (("--fault", "wrong-code@CXL_QUERY"), "without --cxl"),
                        (("--transport", "tcp", "--fault", "late@DISCOVERY"), "without --transport doe"),
                        (("--connect", "127.0.0.1:1", "--once"), "exclude each other")):
        done = run("serve", *words)
        assert done.returncode == 125 and says in done.stderr, (words, done)
    # An ERROR shows these, and a capability that only some versions have is no contradiction.
    for words in ((*few, "--fault", "wrong-code@KEY_EXCHANGE"), ("--capabilities", "+EVENT", "--versions", "1.2,1.3"),
                  (*few, "--cxl", "--fault", "accepted@TSP_UNKNOWN"),
                  (*few, "--fault", "accepted@LOCK_INTERFACE", "--fault", "wrong-nonce@LOCK_INTERFACE")):
        with Served(TEEIO, *words) as served, served.connect() as peer:
            assert exchange(peer, TEST, DOE)[0] == TEST


def wrong_words():
    for words, says in ((("--versions", "1.5"), "1.0 to 1.4"),
                        (("--capabilities", "+PUB_KEY_ID"), "PUB_KEY_ID needs --chain"),
                        (("--capabilities", "+SET_CERT,+CERT_RESET"), "nothing here answers"),
                        (("--capabilities", "+BOGUS"), "there are"),
                        (("--capabilities", "+CERT,CHAL"), "all with a sign"),
                        (("--capabilities", "-CERT"), "they need CERT"),
                        (("--capabilities", "+CSR"), "SET_CERT"),
                        (("--capabilities", "+PSK_CONTEXT"), "--psk"),
                        (("--capabilities", "+MUT_AUTH"), "needs --mutual-auth"),
                        (("--mutual-auth", "--capabilities", "-MUT_AUTH"), "leaves out"),
                        (("--mutual-auth", "--capabilities", "CERT,CHAL"), "leaves out"),
                        (("--capabilities", "+EP_INFO_SIG,+EP_INFO_NO_SIG"), "do not go together: leave out EP_INFO"),
                        (("--pcap", "a", "--keylog", "./a"), "--pcap and --keylog both name ./a"),
                        (("--pcap", "/dev/stdout"), "--pcap: standard output says where it listens"),
                        (("--pcap", "a", "--control", "a"), "--pcap and --control both name a"),
                        (("--chain", "a", "--key", "b", "--keylog", "./b"), "--keylog would be written over --key"),
                        (("--slot", "1=a,b", "--pcap", "a"), "--pcap would be written over --slot"),
                        (("--machine", "m.toml", "--keylog", "./m.toml"), "--keylog would be written over --machine"),
                        (("--algorithms", "RSASSA-3072"), "ECDSA-P384"),
                        (("--algorithms", "ROT13"), "there is no algorithm ROT13")):
        done = run("serve", "--listen", "127.0.0.1:0", *words)
        assert done.returncode == 125 and says in done.stderr, (words, done)


def empty_answers_and_directions():
    """A request that is dropped has an answer of no bytes, in both formats."""
    for name in ("dropped.pcapng", "dropped.pcap"):
        with Served(TEEIO, "--pcap", name) as served:
            with served.connect() as peer:
                for payload in (doe(0xE7, b"\0\0\0\0"), doe(0, b"\0\0\0\0"), doe(0, b"\1\0\0\0")):
                    exchange(peer, NORMAL, DOE, payload)
                exchange(peer, CONTINUE, DOE)
        lines = run("decode", "--json", name).stdout.splitlines()
        found = [json.loads(line) for line in lines]
        assert [one["from"] for one in found] == ["requester", "responder"] * 3, found
        assert found[1]["message"] == "NO_ANSWER" and found[2]["fields"]["index"] == 0, found
        assert all("from_guessed" not in one for one in found) == name.endswith("ng"), found


def full_disk():
    with Served(TEEIO, "--pcap", "/dev/full") as served:
        with served.connect() as peer:
            exchange(peer, NORMAL, DOE, doe(0, b"\0\0\0\0"))
        served.expected = 1
    assert "/dev/full: No space left on device" in served.log, served.log


def a_reader_that_leaves():
    """A capture may be a pipe: whoever reads it does not take the server along."""
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    with Served(TEEIO, "--pcap", "pipe") as served:
        os.close(reader)
        with served.connect() as peer:
            for _ in range(2):
                assert exchange(peer, NORMAL, DOE, doe(0, b"\0\0\0\0"))[0] == NORMAL
        served.expected = 1
    assert "pipe: Broken pipe; nothing more is written to it" in served.log, served.log
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    with Served(TEEIO, "--capabilities", "+CACHE", "--save-state", "pipe") as served:
        os.close(reader)
        validate(served, "--case", "spdm12.algorithms.one")
        served.expected = 1
    assert "teeio serve: pipe: Broken pipe" in served.log, served.log


def idle_connections_lock_nobody_out():
    with Served(TEEIO) as served:
        talker = served.connect()
        exchange(talker, NORMAL, DOE, doe(0, b"\0\0\0\0"))
        idle = [served.connect() for _ in range(300)]
        with served.connect() as peer:
            assert exchange(peer, NORMAL, DOE, doe(0, b"\0\0\0\0"))[0] == NORMAL
        assert exchange(talker, NORMAL, DOE, doe(0, b"\0\0\0\0"))[0] == NORMAL
        for one in (talker, *idle):
            one.close()
    assert "silent longest" in served.log


def no_descriptor_is_free():
    # UBSan asks a pipe whether an object's memory is there (IsAccessibleMemoryRange), and takes an object for a wrong
    # one when there is no descriptor for the pipe: that is not to end the program.
    few = 'ulimit -n 40; export UBSAN_OPTIONS=halt_on_error=0; exec "$0" "$@"'
    with Served(TEEIO, wrapper=["bash", "-c", few]) as served:
        idle = [served.connect() for _ in range(60)]
        with served.connect() as peer:
            assert exchange(peer, NORMAL, DOE, doe(0, b"\0\0\0\0"))[0] == NORMAL
        for one in idle:
            one.close()
    assert "no descriptor is free" in served.log, served.log


def main():
    os.chdir(os.environ.get("TMPDIR", "/tmp"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for test in (default, mutual_auth, every_version_is_judged_that_may_ask, without_it_nobody_is_asked, psk, versions, capabilities,
                     each_capability_by_its_name, post_quantum, every_option_is_in_a_test,
                     algorithms, slots, key_log_of_spdm_dump, measurement_opaque, secured_versions, mutual_auth_required, requester_key, responder_key, mutual_auth_reuse, deferred, transfer_size, heartbeat, chain, machine_and_function,
                     transport, cxl, reports_of_the_machine_file, ide_port, ide_streams, device_per_peer, a_device_of_ones_own_is_made_when_it_is_asked, once, each_slot_has_its_own_chain, provisioning,
                     events, tee_io, multi_key, measurements, idle_words, wrong_words,
                     empty_answers_and_directions, full_disk, a_reader_that_leaves, idle_connections_lock_nobody_out,
                     no_descriptor_is_free):
            print(test.__name__, flush=True)
            test()
        os.chdir("/")


main()
