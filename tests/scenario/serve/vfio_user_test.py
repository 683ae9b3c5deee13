#!/usr/bin/env python3
"""vfio_user_test.py TEEIO: `teeio serve --vfio-user` and clients of every kind."""

import json
import mmap
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile

from vfio_user import CONFIG, HEADER, RESET, VERSION, Client, Refused, fill, open_files

TEEIO = sys.argv[1]


class Server:
    """A server with a socket for each function."""

    def __init__(self, *functions, options=()):
        self.folder = tempfile.TemporaryDirectory()
        self.paths = [f"{self.folder.name}/{i}.sock" for i in range(len(functions))]
        words = [TEEIO, "serve", *options]
        for path, function in zip(self.paths, functions):
            words += ["--vfio-user", path, "--function", function]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        for path, function in zip(self.paths, functions):
            line = self.process.stdout.readline()
            assert line == f"{function} is a vfio-user device at {path}\n", line

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        if kind is not None:
            sys.stderr.write(said)
        assert self.process.returncode == 0, self.process.returncode
        assert not any(os.path.exists(path) for path in self.paths)
        self.folder.cleanup()

    def hear(self, words):
        """Waits until the log has a line with these words."""
        while True:
            line = self.process.stderr.readline()
            assert line, f"the server ended before it said: {words}"
            if words in line:
                return

    def descriptors(self):
        return len(open_files(self.process.pid))

    def descriptor_names(self):
        folder = pathlib.Path(f"/proc/{self.process.pid}/fd")
        return sorted(os.readlink(one) for one in folder.iterdir())

    def maps(self):
        return pathlib.Path(f"/proc/{self.process.pid}/maps").read_text().count("memfd:guest")


def guest_memory(client, address=0x10000, size=0x10000):
    fd = os.memfd_create("guest")
    os.ftruncate(fd, size)
    client.map(address, size, fd)
    memory = mmap.mmap(fd, size)
    os.close(fd)
    return memory


def count(event):
    return int.from_bytes(os.read(event, 8), "little") if select.select([event], [], [], 0)[0] else 0


def the_device_is_alive():
    """Config space, DOE, DMA and MSI-X, of the PF, a VF, and a plain card at once."""
    with Server("0000:01:00.0", "0000:01:00.1", "0000:02:00.0") as server:
        pf, vf, plain = (Client(path) for path in server.paths)
        assert [c.read(CONFIG, 0) for c in (pf, vf, plain)] == [0x0d001efe, 0x0d011efe, 0x0e001efe]
        answer = pf.doe(0, struct.pack("<I", 0))
        assert answer == struct.pack("<HBB", 1, 0, 1), answer
        versions = pf.doe(1, bytes.fromhex("10840000"))
        assert versions[:2] == bytes.fromhex("1004"), versions
        for client in (pf, vf):
            memory = guest_memory(client)
            event = os.eventfd(0, os.EFD_NONBLOCK)
            client.irqs([event])
            memory[0:32] = fill(0x12000, 16)
            assert client.run_engine(0x10000) == 0
            assert memory[0x2000:0x2010] == bytes.fromhex("8877665544332211") * 2
            assert count(event) == 1
        plain.write(CONFIG, 4, 2, 2)
        plain.write(0, 0x10, 0xc0ffee, 8)
        assert plain.read(0, 0x10, 8) == 0xc0ffee
        # A VF's reset leaves its PF alone; the PF's takes the VF's registers along.
        pf.write(0, 0x40, 7)
        vf.write(0, 0x40, 8)
        vf.ask(RESET)
        assert (pf.read(0, 0x40), vf.read(0, 0x40)) == (7, 0)


def dma_without_descriptors():
    """By messages on the socket that the client's own command waits on."""
    with Server("0000:01:00.0") as server:
        client = Client(server.paths[0], {"max_data_xfer_size": 4096})
        client.memory = (0x10000, bytearray(0x10000))
        client.map(0x10000, 0x10000)
        client.memory[1][0:32] = fill(0x12000, 0x6000)  # in pieces that the client takes
        assert client.run_engine(0x10000) == 0
        assert client.memory[1][0x2000:0x8000] == bytes.fromhex("8877665544332211") * 0xc00
        assert client.memory[1][0x8000:] == bytes(0x8000)


def clients_come_and_go():
    """Nothing of a client stays, wherever it ends; the device does."""
    with Server("0000:01:00.0") as server:
        idle = server.descriptors()
        for ending in ("close", "half a header", "half a payload", "dma", "kill"):
            child = os.fork()
            if child == 0:
                client = Client(server.paths[0])
                memory = guest_memory(client)
                client.irqs([os.eventfd(0), os.eventfd(0)])
                client.write(CONFIG, 4, 6, 2)
                client.write(0, 0x40, 0x55)
                if ending == "half a header":
                    client.socket.sendall(b"12345")
                if ending == "half a payload":
                    client.socket.sendall(HEADER.pack(1, 10, 100, 0, 0) + b"1234")
                if ending == "dma":  # our doorbell's DMA waits for an answer
                    client.map(0x80000, 0x1000)
                    memory[0:32] = fill(0x80000, 16)
                    client.write(0, 0x10, 0x10000, 8)
                    client.write(0, 0x18, 2)
                    client.write(0, 0x08, 1)
                    client.send(10, struct.pack("<QIII", 0x24, 0, 4, 1))
                    client.read_all(16)
                if ending == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                os._exit(0)
            os.waitpid(child, 0)
            server.hear("the client")
            client = Client(server.paths[0])
            assert client.read(0, 0x40) == 0x55, ending
            client.close()
            server.hear("the client has left")
            assert server.maps() == 0, ending
        client = Client(server.paths[0])
        client.close()
        server.hear("the client has left")
        with Client(server.paths[0]).socket:  # the one before is reaped when the next comes
            # What signals eventfds was there from the start, whoever signalled first.
            assert server.descriptors() == idle + 1, (idle, server.descriptor_names())


def hostile_clients():
    """Each is told what is wrong, or loses its connection; another one is served."""
    with Server("0000:01:00.0") as server:
        for data, words in ((HEADER.pack(1, VERSION, 3, 0, 0), "size makes no sense"),
                            (HEADER.pack(1, VERSION, 0xffffffff, 0, 0), "size makes no sense"),
                            (HEADER.pack(1, VERSION, 16, 3, 0), "neither command nor reply"),
                            (HEADER.pack(1, 9, 16, 0, 0), "must be VERSION"),
                            (HEADER.pack(1, VERSION, 20, 0, 0) + b"\1\0\0\0", "must be 0"),
                            (b"\xff" * 4096, "size makes no sense")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.settimeout(20)
                peer.connect(server.paths[0])
                peer.sendall(data)
                server.hear(words)
                while True:  # the server's end is closed, with or without an answer
                    try:
                        if not peer.recv(4096):
                            break
                    except ConnectionResetError:
                        break
        first = Client(server.paths[0])
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as second:
            second.settimeout(20)
            second.connect(server.paths[0])
            assert second.recv(1) == b""
        server.hear("turned away")
        try:
            first.ask(99)
            raise AssertionError("a command that does not exist was answered")
        except Refused as refused:
            assert "Invalid argument" in str(refused)
        assert first.read(CONFIG, 0) == 0x0d001efe


def captures_and_knobs():
    """The mailbox speaks as the options say, and what it says is in the capture."""
    with tempfile.TemporaryDirectory() as folder:
        pcap = f"{folder}/doe.pcapng"
        with Server("0000:01:00.0", options=["--versions", "1.3", "--pcap", pcap]) as server:
            client = Client(server.paths[0])
            versions = client.doe(1, bytes.fromhex("10840000"))
            assert versions[5] == 1 and versions[7] == 0x13, versions.hex()
        text = subprocess.run([TEEIO, "decode", pcap], capture_output=True, text=True,
                              check=True).stdout
        assert "GET_VERSION" in text and "VERSION" in text, text


def wrong_command_lines():
    for words, problem in ((["--vfio-user", "/tmp/a", "--vfio-user", "/tmp/b"], "in pairs"),
                           (["--vfio-user", "/tmp/a", "--listen", "[::1]:0"],
                            "--vfio-user and --listen exclude each other"),
                           (["--vfio-user", "/tmp/a", "--control", "/tmp/c"],
                            "--control and --vfio-user exclude each other"),
                           (["--vfio-user", "/tmp/a", "--transport", "mctp"], "must be doe"),
                           (["--vfio-user", "/tmp/a", "--function", "09:00.0"], "has it"),
                           (["--vfio-user", "/nowhere/a"], "No such file"),
                           (["--secure-processor", "/tmp/a"],
                            "--secure-processor needs --vfio-user"),
                           (["--vfio-user", "/tmp/a", "--secure-processor", "/tmp/b"],
                            'needs tsm = "sev"'),
                           (["--chart"], "need --vfio-user"),
                           (["--vfio-user", "/tmp/a", "--chart=x"], "there is no chart 'x'"),
                           (["--vfio-user", "/tmp/a", "--trace", "/nowhere/t"], "/nowhere/t"),
                           (["--vfio-user", "/tmp/a", "-w", "80"], "--width needs --chart")):
        done = subprocess.run([TEEIO, "serve", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and problem in done.stderr, (words, done.stderr)


def the_secure_processor():
    """Its registers, a command, and the chart of both when the server ends."""
    with tempfile.TemporaryDirectory() as folder:
        card, processor, chart, trace = (f"{folder}/{name}"
                                         for name in ("card", "processor", "c.txt", "t.json"))
        process = subprocess.Popen(
            [TEEIO, "serve", "--machine", "amd-sev", "--vfio-user", card, "--secure-processor",
             processor, "--chart", "--width", "64", "--chart-file", chart, "--trace", trace],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline().startswith("0000:01:00.0 is a vfio-user device at")
        assert process.stdout.readline() == \
            f"the secure processor is a vfio-user device at {processor}\n"
        client = Client(processor)
        assert client.read(CONFIG, 0) == 0x0e101efe
        client.write(CONFIG, 4, 0, 2)
        assert client.read(0, 0) == 0xffffffff  # memory space is off
        client.write(CONFIG, 4, 2, 2)
        assert client.read(0, 0) == 0x50534554 and client.read(0, 0x10) == 4 << 20
        client.write(2, 0, 0x11)  # SNP_INIT_EX with the RMP and SEV-TIO, in the first page
        for offset, value in ((0x24, client.read(0, 8)), (0x28, client.read(0, 0xc)),
                              (0x20, 0x85 << 16)):
            client.write(0, offset, value)
        assert client.read(0, 0x20) == 1 << 31  # done, SUCCESS
        client.write(0, 0x20, 0x85 << 16)
        assert client.read(0, 0x20) == 1 << 31 | 1  # INVALID_PLATFORM_STATE
        client.write(0, 0x60, 3 << 16 | 0x100)
        client.write(0, 0x64, 6)
        client.close()
        other = Client(card)
        other.doe(1, bytes.fromhex("10840000"))
        other.close()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 0, said
        for words in ("host TSM", "SNP_INIT_EX = SEV_RET_INVALID_PLATFORM_STATE",
                      "connect = ENXIO"):
            assert words in said and words in pathlib.Path(chart).read_text(), (words, said)
        assert max(map(len, said.splitlines())) <= 64, said
        assert "SNP_INIT_EX" in json.dumps(json.loads(pathlib.Path(trace).read_text()))


def once():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        process = subprocess.Popen([TEEIO, "serve", "--once", "--vfio-user", path],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout.readline().startswith("0000:01:00.0 is a vfio-user device")
        Client(path).close()
        assert process.wait(timeout=60) == 0


for test in (the_device_is_alive, dma_without_descriptors, clients_come_and_go, hostile_clients,
             captures_and_knobs, wrong_command_lines, the_secure_processor, once):
    test()
    print("ok", test.__name__, flush=True)
