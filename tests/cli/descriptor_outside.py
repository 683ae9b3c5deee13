#!/usr/bin/env python3
"""descriptor_outside.py TEEIO: a device's descriptor that a process outside of the run holds
counts as closed when the run's last process has ended, also for a removal that waits for it."""
import os
import socket
import subprocess
import sys
import tempfile

PROGRAM = r"""
import os, socket, sys, threading
device = os.open("/dev/vfio/devices/vfio0", os.O_RDWR)
with socket.socket(socket.AF_UNIX) as outside:
    outside.connect(sys.argv[1])
    socket.send_fds(outside, [b"x"], [device])
remove = os.open("/sys/bus/pci/devices/0000:01:00.0/remove", os.O_WRONLY)
remover = threading.Thread(target=os.write, args=(remove, b"1"), daemon=True)
remover.start()
while True:
    try:
        os.close(os.open("/dev/vfio/devices/vfio0", os.O_RDWR))
    except FileNotFoundError:  # the removal has begun, and waits for our close
        os._exit(0)
"""


def main():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(folder, "outside")
        listener.bind(path)
        listener.listen()
        with subprocess.Popen([sys.argv[1], "run", "--", sys.executable, "-c", PROGRAM, path],
                              stderr=subprocess.PIPE, text=True) as run:
            peer, _ = listener.accept()
            _, descriptors, _, _ = socket.recv_fds(peer, 1, 1)
            try:
                _, said = run.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                run.kill()
                sys.exit("the run does not end while its device's descriptor is held outside")
        assert len(descriptors) == 1, "no descriptor came"
        if run.returncode != 0 or "internal error" in said:
            sys.exit(f"status {run.returncode}: {said}")


main()
