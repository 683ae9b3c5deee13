#!/usr/bin/env -S python3 -B
"""Whose chains a served device takes by SET_CERTIFICATE, and what survives its reset."""

import hashlib
import os
import struct
import subprocess
import sys
import tempfile

import pki
from served import MCTP, NORMAL, Served, exchange

TEEIO = sys.argv[1]
INVALID_REQUEST, UNEXPECTED_REQUEST, UNSPECIFIED = 1, 4, 5


class Peer:
    """SPDM 1.2 in the clear over MCTP, with P-384 and SHA-384."""

    def __init__(self, served):
        self.socket = served.connect()

    def ask(self, code, param1=0, param2=0, rest=b"", version=0x12):
        message = bytes([5, version, code, param1, param2]) + rest
        return exchange(self.socket, NORMAL, MCTP, message)[2][1:]

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


def what_the_emulator_has_and_this_has_not():
    for option in ("--save_state", "--load_state"):
        done = subprocess.run([TEEIO, "serve", option, "x"], capture_output=True, text=True, check=False)
        assert done.returncode == 125 and option in done.stderr, done
    done = subprocess.run([TEEIO, "serve", "--capabilities", "+PUB_KEY_ID"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 125 and "requesters get certificates" in done.stderr, done


def main():
    os.chdir(os.environ.get("TMPDIR", "/tmp"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        cached_state()
        what_the_emulator_has_and_this_has_not()
        if not pki.is_there():
            print("there is no openssl: the rest is skipped")
            sys.exit(77)
        chains_of_others()
        os.chdir("/")


main()
