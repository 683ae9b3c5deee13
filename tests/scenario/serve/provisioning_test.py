#!/usr/bin/env -S python3 -B
"""Whose chains a served device takes by SET_CERTIFICATE, what survives its reset, and a device
whose key is known beforehand."""

import hashlib
import os
import struct
import subprocess
import sys
import tempfile

import pki
from served import MCTP, NORMAL, Served, exchange

TEEIO = sys.argv[1]
INVALID_REQUEST, UNEXPECTED_REQUEST, UNSPECIFIED, UNSUPPORTED_REQUEST = 1, 4, 5, 7


class Peer:
    """SPDM 1.2 in the clear over MCTP, with P-384 and SHA-384."""

    def __init__(self, served):
        self.socket = served.connect()
        self.said = b""

    def ask(self, code, param1=0, param2=0, rest=b"", version=0x12):
        message = bytes([version, code, param1, param2]) + rest
        answer = exchange(self.socket, NORMAL, MCTP, b"\5" + message)[2][1:]
        self.said += message + answer
        return answer

    def connect(self):
        assert self.ask(0x84, version=0x10)[1] == 0x04
        caps = struct.pack("<BBHIII", 0, 0, 0, 0, 0x1200, 0x1200)
        self.flags = struct.unpack_from("<I", self.ask(0xE1, rest=caps), 8)[0]
        tables = b"".join(struct.pack("<BBH", *one) for one in (
            (2, 0x20, 0x10), (3, 0x20, 2), (4, 0x20, 0x80), (5, 0x20, 1)))
        offer = struct.pack("<HBBII12xBBH", 32 + len(tables), 1, 2, 0x80, 2, 0, 0, 0) + tables
        answer = self.ask(0xE3, 4, rest=offer)
        assert answer[1] == 0x63, answer

    def chain(self, slot=0):
        answer = self.ask(0x82, slot, rest=struct.pack("<HH", 0, 0x1000))
        return answer[8:] if answer[1] == 0x02 else None

    def set(self, chain, slot=0):
        """None, or the error."""
        answer = self.ask(0xEE, slot, rest=chain)
        assert answer[1] in (0x6E, 0x7F), answer
        return answer[2] if answer[1] == 0x7F else None


def spdm_chain(folder, *names):
    """Of certificates in PEM, root first: SPDM's format."""
    der = [subprocess.run(["openssl", "x509", "-in", os.path.join(folder, f"{name}.pem"),
                           "-outform", "DER"], check=True, capture_output=True).stdout
           for name in names]
    root = hashlib.sha384(der[0]).digest()
    body = b"".join(der)
    return struct.pack("<HH", 4 + len(root) + len(body), 0) + root + body


def chains_of_others():
    own = pki.Chain(".", "own")
    other = pki.Chain(".", "other")
    # The device's key, below somebody else's root.
    os.replace(os.path.join(other.folder, "leaf.key"), os.path.join(other.folder, "their.key"))
    with open(own.key, "rb") as key, open(other.key, "wb") as copy:
        copy.write(key.read())
    other.openssl("req", "-new", "-key", "leaf.key", "-subj", "/CN=adopted", "-out", "a.csr")
    other.openssl("x509", "-req", "-in", "a.csr", "-CA", "mid.pem", "-CAkey", "mid.key",
                  "-CAcreateserial", "-days", "9", "-sha384", "-extfile", "x.cnf", "-extensions",
                  "leaf", "-out", "adopted.pem")
    with Served(TEEIO, "--chain", own.pem, "--key", own.key, "--capabilities",
                "+CSR,+SET_CERT") as served:
        peer = Peer(served)
        peer.connect()
        before = peer.chain()
        assert before == spdm_chain(own.folder, "root", "mid", "leaf"), before
        foreign = spdm_chain(other.folder, "root", "mid", "leaf")
        # A key that is not the device's; a leaf that another authority issued.
        assert peer.set(foreign) == INVALID_REQUEST
        stray = spdm_chain(other.folder, "root", "mid", "../own/leaf")
        assert peer.set(stray) == UNSPECIFIED
        spoiled = bytearray(before)
        spoiled[-1] ^= 1
        assert peer.set(bytes(spoiled)) == UNSPECIFIED
        assert peer.set(before[:40]) == INVALID_REQUEST
        assert peer.set(before, slot=1) == UNEXPECTED_REQUEST  # wants a session
        assert peer.chain() == before
        # Whose root it is decides whoever may set it: the chain holds, and the key is its own.
        theirs = spdm_chain(other.folder, "root", "mid", "adopted")
        assert peer.set(theirs) is None
        assert peer.chain() == theirs
        served.control().ask("reset", function="0000:01:00.0")
        again = Peer(served)
        again.connect()
        assert again.chain() == theirs


def cached_state():
    """With CACHE the negotiation need not be repeated after a reset."""
    for word, kept in (("+CACHE", True), ("-CACHE", False)):
        with Served(TEEIO, "--capabilities", word) as served:
            peer = Peer(served)
            peer.connect()
            assert (peer.flags & 1 == 1) == kept, peer.flags
            digests = peer.ask(0x81)
            assert digests[1] == 0x01
            assert served.control().ask("reset", function="0000:01:00.0") == {"ok": True}
            after = peer.ask(0x81)
            assert (after == digests) if kept else after[1:3] == bytes([0x7F, UNEXPECTED_REQUEST]), after


def kept_state():
    """The negotiation need not be repeated at the next server either, if that would answer it so."""
    with Served(TEEIO, "--capabilities", "+CACHE", "--save-state", "kept") as served:
        peer = Peer(served)
        peer.connect()
        digests = peer.ask(0x81)
        assert not os.path.exists("kept")
    with open("kept", encoding="ascii") as file:
        words = file.read().split()
    assert words[:2] == ["0000:01:00.0", "mctp"] and words[2].startswith("10840000"), words
    with Served(TEEIO, "--capabilities", "+CACHE", "--load-state", "kept", "--save-state",
                "kept") as served:
        assert Peer(served).ask(0x81) == digests
    for more in (("--versions", "1.1,1.2"), ("--machine", "spdm-emu")):
        with Served(TEEIO, "--capabilities", "+CACHE", "--load-state", "kept", *more) as served:
            assert Peer(served).ask(0x81)[1:3] == bytes([0x7F, UNEXPECTED_REQUEST])
        assert "kept: 0000:01:00.0 " in served.log, served.log
    with Served(TEEIO, "--capabilities", "+CACHE", "--save-state", "kept"):
        pass
    assert os.path.getsize("kept") == 0  # nothing was negotiated


def files_of_state_that_are_none():
    for text, says in (("0000:01:00.0 doe", "line 1 is no"), ("\n", "line 1 is no"),
                       ("0000:01:00.0 usb 10840000", "line 1 is no"),
                       ("0000:01:00.0 doe 1084000", "line 1 is no"),
                       ("0000:01:00.0 doe 10840000\n" * 2, "line 2: 0000:01:00.0 has two lines"),
                       (None, "No such file")):
        if text is not None:
            with open("bad", "w", encoding="ascii") as file:
                file.write(text)
        done = subprocess.run([TEEIO, "serve", "--listen", "127.0.0.1:0", "--capabilities", "+CACHE",
                               "--load-state", "bad" if text is not None else "absent"],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 1 and says in done.stderr, done
    for words, says in ((("--capabilities", "+PUB_KEY_ID,+CERT"), "CERT, PUB_KEY_ID (one of these)"),
                        (("--save-state", "f"), "changes nothing without CACHE"),
                        (("--capabilities", "+CACHE", "--save-state", "-"), "says where it listens"),
                        (("--capabilities", "+CACHE", "--load-state", "f", "--device-per-peer"),
                         "exclude each other")):
        done = subprocess.run([TEEIO, "serve", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 125 and says in done.stderr, done
    with Served(TEEIO, "--capabilities", "+CACHE", "--save-state", "/dev/full") as served:
        Peer(served).connect()
        served.expected = 1
    assert "/dev/full" in served.log, served.log


def der_signature(raw):
    """An ECDSA signature as OpenSSL has it, of r || s."""
    def integer(number):
        data = number.to_bytes(49, "big").lstrip(b"\0")
        return b"\2" + bytes([len(data) + (data[0] >> 7)]) + b"\0" * (data[0] >> 7) + data

    body = b"".join(integer(int.from_bytes(half, "big")) for half in (raw[:48], raw[48:]))
    return b"\x30" + bytes([len(body)]) + body


def known_key():
    """With PUB_KEY_ID the key of --chain proves itself, and nobody is given a certificate."""
    for words, says in ((("+PUB_KEY_ID",), "PUB_KEY_ID needs --chain"),
                        (("+PUB_KEY_ID", "--slot", "1=a,b"), "PUB_KEY_ID needs --chain"),
                        (("+PUB_KEY_ID,+CSR,+SET_CERT", "--slot", "0=a,b"), "do not go together")):
        done = subprocess.run([TEEIO, "serve", "--capabilities", *words], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 125 and says in done.stderr, done
    own = pki.Chain(".", "known")
    own.openssl("pkey", "-in", "leaf.key", "-pubout", "-outform", "DER", "-out", "known.der")
    with open(os.path.join(own.folder, "known.der"), "rb") as file:
        key_hash = hashlib.sha384(file.read()).digest()
    with Served(TEEIO, "--chain", own.pem, "--key", own.key, "--capabilities",
                "+PUB_KEY_ID") as served:
        peer = Peer(served)
        peer.connect()
        assert peer.flags & (1 << 16) and not peer.flags & (1 << 1), hex(peer.flags)
        before = peer.said
        assert peer.ask(0x81)[1:4] == bytes([0x7F, UNSUPPORTED_REQUEST, 0x81])
        assert peer.ask(0x83, 0, rest=bytes(32))[1:3] == bytes([0x7F, INVALID_REQUEST])
        peer.said = before
        answer = peer.ask(0x83, 0xFF, rest=bytes(32))
        assert answer[1:4] == bytes([0x03, 0x0F, 0]) and answer[4:52] == key_hash, answer
        context = b"responder-challenge_auth signing"
        signed = (b"dmtf-spdm-v1.2.*" * 4 + bytes(36 - len(context)) + context
                  + hashlib.sha384(peer.said[:-96]).digest())
        for name, data in (("signed", signed), ("signature", der_signature(answer[-96:]))):
            with open(os.path.join(own.folder, name), "wb") as file:
                file.write(data)
        own.openssl("pkey", "-in", "leaf.key", "-pubout", "-out", "known.pem")
        own.openssl("dgst", "-sha384", "-verify", "known.pem", "-signature", "signature", "signed")
        del peer
        judged = subprocess.run([TEEIO, "validate", f"127.0.0.1:{served.port}", "--suite",
                                 "spdm12,spdm14,session"], capture_output=True, text=True,
                                check=False)
        assert judged.returncode == 0, judged.stdout


def main():
    os.chdir(os.environ.get("TMPDIR", "/tmp"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        cached_state()
        kept_state()
        files_of_state_that_are_none()
        if not pki.is_there():
            print("there is no openssl: the rest is skipped")
            sys.exit(77)
        chains_of_others()
        known_key()
        os.chdir("/")


main()
