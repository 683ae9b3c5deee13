#!/usr/bin/env -S python3 -B
"""What `teeio decode` makes of files that are no good captures, large, or not files."""

import gzip
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile

from served import CONTINUE, DOE, NORMAL, Served, doe, exchange

TEEIO = sys.argv[1]
with open(TEEIO, "rb") as program:
    SANITIZED = b"__sanitizer" in program.read()
MIB = 1 << 20
LIMIT = 1024 * MIB  # address space: far below the files, far above the program


def decode(*arguments, stdin=None, limited=False, lines=None):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    return subprocess.run([TEEIO, "decode", *arguments], input=stdin, capture_output=True,
                          timeout=90, check=False, preexec_fn=limit if limited and not SANITIZED else None)


def says(done, *words):
    text = done.stderr.decode()
    assert done.returncode == 1, (done.returncode, text)
    for word in words:
        assert word in text, (word, text)
    assert len(text.splitlines()) <= 2, text


def capture():
    """A real conversation: pcap, pcapng and the keys."""
    for name in ("real.pcap", "real.pcapng"):
        with Served(TEEIO, "--pcap", name, "--keylog", "real.keys") as served:
            done = subprocess.run([TEEIO, "validate", f"127.0.0.1:{served.port}", "--case",
                                   "doe.discovery,session.open"], capture_output=True, check=False,
                                  timeout=60)
            assert done.returncode == 0, done.stdout


def not_captures():
    says(decode("."), "Is a directory")
    says(decode("real.pcap", "--keylog", "."), "Is a directory")
    says(decode("nothing-here"), "No such file")
    open("empty.pcap", "wb").close()
    says(decode("empty.pcap"), "is empty")
    with gzip.open("real.pcap.gz", "wb") as packed, open("real.pcapng", "rb") as file:
        packed.write(file.read())
    says(decode("real.pcap.gz"), "gzip", "gunzip")
    if SANITIZED:  # the shadow memory is far larger than any limit
        return
    says(decode("/dev/zero", limited=True), "no pcap capture")
    says(decode("real.pcap", "--keylog", "/dev/zero", limited=True), "line 1")


def standard_input():
    with open("real.pcapng", "rb") as file:
        piped = decode("-", "--keylog", "real.keys", stdin=file.read())
    whole = decode("real.pcapng", "--keylog", "real.keys")
    assert whole.returncode == piped.returncode == 0, (whole, piped)
    assert whole.stdout == piped.stdout and b"FINISH_RSP" in whole.stdout


def directions_are_recorded():
    for line in decode("real.pcapng", "--json").stdout.splitlines():
        assert "from_guessed" not in json.loads(line), line


def large_files_stream():
    """A sparse file of 3 GiB behind one packet: its next record's header is zeros."""
    with open("real.pcap", "rb") as file:
        header = file.read(24)
    packet = doe(0, b"\0\0\0\0")
    record = struct.pack("<IIII", 1, 2, len(packet), len(packet)) + packet
    with open("large.pcap", "wb") as file:
        file.write(header)
        for _ in range(64 * MIB // len(record) // 16):
            file.write(record)
    done = decode("large.pcap", "--json", limited=True)
    assert done.returncode == 0, done.stderr
    huge = struct.pack("<IIII", 1, 2, 0xFFFFFFFF, 0xFFFFFFFF)
    with open("huge.pcap", "wb") as file:
        file.write(header + record + huge)
        file.truncate(3 << 30)
    says(decode("huge.pcap", limited=True), "packet 2")


def a_message_without_its_end():
    """MCTP packets of a bus: the capture was stopped before GET_CAPABILITIES was whole."""
    ask = struct.pack("<BBBBBBHIII", 0x12, 0xE1, 0, 0, 0, 0, 0, 0, 0x1200, 0x1200)
    packets = (b"\xc8\5\x10\x84\0\0", b"\x88\5" + ask[:8], b"\x58" + ask[8:])
    header = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 0xFFFF, 291)
    for count, status in ((3, 0), (2, 1)):
        with open("bus.pcap", "wb") as file:
            file.write(header)
            for number, packet in enumerate(packets[:count]):
                packet = b"\1\x08\x09" + packet
                file.write(struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet)
        done = decode("bus.pcap")
        assert done.returncode == status and b"GET_VERSION" in done.stdout, done
        assert (b"GET_CAPABILITIES" in done.stdout) == (status == 0), done
    says(done, "bus.pcap: packet 2: the capture ends before the last MCTP packet of this message")


def key_logs_of_crashes():
    with open("real.keys", "rb") as file:
        text = file.read()
    with open("cut.keys", "wb") as file:
        file.write(text[:-20])
    done = decode("real.pcapng", "--keylog", "cut.keys")
    assert b"is cut off" in done.stderr and b"FINISH_RSP" in done.stdout, done
    with open("dos.keys", "wb") as file:
        file.write(text.replace(b"\n", b"\r\n"))
    assert decode("real.pcapng", "--keylog", "dos.keys").returncode == 0
    with open("wrong.keys", "wb") as file:
        for line in text.splitlines():
            if line.startswith(b"#"):
                continue
            words = line.split(b" ")
            words[6] = b"00" * (len(words[6]) // 2)
            file.write(b" ".join(words) + b"\n")
    says(decode("real.pcapng", "--keylog", "wrong.keys"), "no key of the log opens it",
         "messages could not be read")


def nothing_was_seen():
    for name in ("none.pcap", "none.pcapng"):
        with Served(TEEIO, "--pcap", name):
            pass
        done = decode(name)
        assert done.returncode == 0 and done.stdout == b"", (name, done)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for test in (capture, not_captures, standard_input, directions_are_recorded,
                     large_files_stream, a_message_without_its_end, key_logs_of_crashes, nothing_was_seen):
            print(test.__name__, flush=True)
            test()
        os.chdir("/")


main()
