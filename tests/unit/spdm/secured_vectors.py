#!/usr/bin/env python3
"""Computes the vectors of key_schedule_test.cc and secured_session_test.cc anew.

Independent of src/: HKDF and HMAC are `openssl kdf` and `openssl mac`, AES is
`openssl enc`, and what OpenSSL's command line lacks (GHASH, BinConcat, the record's
layout) is written down here from SP 800-38D, DSP0274 and DSP0277.

  tests/unit/spdm/secured_vectors.py       prints name = value, hexadecimal
"""

import struct
import subprocess


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


def extract(md, salt, key):
    return openssl("kdf", "-binary", "-keylen", str(SIZE[md]), "-kdfopt", f"digest:{md}",
                   "-kdfopt", f"hexkey:{key.hex()}", "-kdfopt", f"hexsalt:{salt.hex()}",
                   "-kdfopt", "mode:EXTRACT_ONLY", "HKDF")


def expand(md, key, info, size):
    return openssl("kdf", "-binary", "-keylen", str(size), "-kdfopt", f"digest:{md}",
                   "-kdfopt", f"hexkey:{key.hex()}", "-kdfopt", f"hexinfo:{info.hex()}",
                   "-kdfopt", "mode:EXPAND_ONLY", "HKDF")


def hmac(md, key, data):
    return openssl("mac", "-binary", "-digest", md, "-macopt", f"hexkey:{key.hex()}", "HMAC",
                   data=data)


SIZE = {"SHA256": 32, "SHA384": 48}


def concat(length, version, label, context=b""):
    return struct.pack("<H", length) + f"spdm{version} ".encode() + label.encode() + context


class Schedule:
    def __init__(self, md, version, shared, salt0):
        self.md, self.version, self.size = md, version, SIZE[md]
        self.handshake = extract(md, salt0, shared)

    def derive(self, secret, label, context=b"", size=None):
        size = size or self.size
        return expand(self.md, secret, concat(size, self.version, label, context), size)

    def master(self):
        salt1 = self.derive(self.handshake, "derived")
        return extract(self.md, salt1, bytes(self.size))


def ctr(key, nonce, counter, data):
    bits = 8 * len(key)
    return openssl("enc", f"-aes-{bits}-ctr", "-K", key.hex(), "-iv",
                   (nonce + struct.pack(">I", counter)).hex(), data=data)


def ghash(h, data):
    h = int.from_bytes(h, "big")
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i:i + 16], "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


def pad(data):
    return data + bytes(-len(data) % 16)


def gcm(key, nonce, associated, plain):
    cipher = ctr(key, nonce, 2, plain) if plain else b""
    h = openssl("enc", f"-aes-{8 * len(key)}-ecb", "-nopad", "-K", key.hex(), data=bytes(16))
    s = ghash(h, pad(associated) + pad(cipher) +
              struct.pack(">QQ", 8 * len(associated), 8 * len(cipher)))
    return cipher, ctr(key, nonce, 1, s)


def record(key, iv, session, sequence, message, shown=0):
    nonce = bytes(a ^ b for a, b in zip(iv, struct.pack("<Q", sequence) + bytes(4)))
    text = struct.pack("<H", len(message)) + message
    header = struct.pack("<I", session) + struct.pack("<Q", sequence)[:shown]
    header += struct.pack("<H", len(text) + 16)
    cipher, tag = gcm(key, nonce, header, text)
    return header + cipher + tag


def show(name, value):
    print(f"{name} = {value.hex()}")


def main():
    # An exchange, SPDM 1.2, SHA-384, AES-256-GCM.
    shared, th1, th2 = bytes(range(48)), b"\x11" * 48, b"\x22" * 48
    s = Schedule("SHA384", "1.2", shared, bytes(48))
    req = s.derive(s.handshake, "req hs data", th1)
    rsp = s.derive(s.handshake, "rsp hs data", th1)
    show("exchange request_handshake", req)
    show("exchange response_handshake", rsp)
    show("exchange requester_finished", hmac("SHA384", s.derive(req, "finished"), th2))
    show("exchange responder_finished", hmac("SHA384", s.derive(rsp, "finished"), th2))
    master = s.master()
    data = s.derive(master, "req app data", th2)
    show("exchange request_data", data)
    show("exchange response_data", s.derive(master, "rsp app data", th2))
    show("exchange export_master", s.derive(master, "exp master", th2))
    show("exchange request_key", s.derive(data, "key", size=32))
    show("exchange request_iv", s.derive(data, "iv", size=12))
    updated = s.derive(data, "traffic upd")
    show("exchange updated", updated)
    key, iv = s.derive(req, "key", size=32), s.derive(req, "iv", size=12)
    show("record doe sequence 0", record(key, iv, 0xfffeffff, 0, b"first"))
    show("record doe sequence 1", record(key, iv, 0xfffeffff, 1, b"second"))
    show("record mctp sequence 1", record(key, iv, 0xfffeffff, 1, b"second", shown=2))

    # A PSK, SPDM 1.3 and 1.1, SHA-256.
    for version, salt in (("1.3", b"\xff" * 32), ("1.1", bytes(32))):
        s = Schedule("SHA256", version, b"TestPskData", salt)
        show(f"psk {version} request_handshake", s.derive(s.handshake, "req hs data", b"\x33" * 32))
        show(f"psk {version} response_data", s.derive(s.master(), "rsp app data", b"\x44" * 32))


if __name__ == "__main__":
    main()
