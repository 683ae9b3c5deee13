#!/usr/bin/env -S python3 -B
"""real_core_test.py TEEIO: a real kernel's PCI/TSM core in front of teeio's firmware.

Needs, or says what is missing: QEMU 10.1 or later (TEEIO_QEMU, which may have options of its
own, else qemu-system-x86_64); a kernel of 7.3 with CONFIG_PCI_TSM (TEEIO_GUEST_KERNEL, else the
newest in /boot) and contrib/linux/teeio_tsm built for it (TEEIO_TSM_MODULE); a static busybox,
cpio. Software emulation, unless TEEIO_QEMU_ACCEL=kvm. The NVMe card's part also needs the folder of
the kernel's modules (TEEIO_GUEST_MODULES, else /lib/modules/VERSION).

In the guest each step says how it ended; on the host the server's trace says in which order the
kernel did what."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../nvme"))
import guest  # noqa: E402

TEEIO = sys.argv[1]
CARD, PROCESSOR = "0000:01:00.0", "0000:02:00.0"
NOBODY = "No such device or address"  # ENXIO
SETUP = f"""
f={CARD} b=/sys/bus/pci/devices c=/sys/kernel/debug/teeio_tsm; d=$b/$f
end() {{ [ $1 = 0 ] && echo "$2 = ok$4" || echo "$2 = ${{3##*: }}$4"; }}
put() {{ e=$( {{ echo "$2" >$3; }} 2>&1 ); end $? "$1" "$e"; }}
ask() {{ e=$( {{ echo "$2" >$3; }} 2>&1 ); end $? "$1" "$e" " $(sed -n 's/.*status //;s/ bytes.*//;1p' $c/status)"; }}
"""
LIFE = [
    ("insmod /teeio_tsm.ko; end $? insmod", "insmod = ok"),
    ("put other tsm1 $d/tsm/connect", f"other = {NOBODY}"),
    ("put unconnected $f $c/bind", "unconnected = Invalid argument"),
    ("put connect tsm0 $d/tsm/connect", "connect = ok"),
    ("put again tsm0 $d/tsm/connect", "again = Device or resource busy"),
    ("echo authenticated by $(cat $d/authenticated)", "authenticated by tsm0"),
    ("put guestless $f $c/bind", "guestless = Invalid argument"),
    ("put guest create $c/guest", "guest = ok"),
    ("put bind $f $c/bind", "bind = ok"),
    ("echo bound by $(cat $d/tsm/bound)", "bound by tsm0"),
    ("put twice $f $c/bind", "twice = ok"),
    # What the firmware refuses while the TDI is bound.
    ("ask dev_create \"$f wrong 0xd2\" $c/request", "dev_create = Input/output error 0x1a"),
    ("ask dev_reclaim \"$f wrong 0xd3\" $c/request", "dev_reclaim = Input/output error 0x39"),
    ("ask dev_connect \"$f wrong 0xd4\" $c/request", "dev_connect = Input/output error 0x3b"),
    ("ask dev_disconnect \"$f wrong 0xd5\" $c/request", "dev_disconnect = Input/output error 0x3a"),
    ("ask tdi_create \"$f wrong 0xda\" $c/request", "tdi_create = Input/output error 0x1a"),
    ("ask tdi_reclaim \"$f wrong 0xdb\" $c/request", "tdi_reclaim = Input/output error 0x3c"),
    ("ask tdi_bind \"$f wrong 0xdc\" $c/request", "tdi_bind = Input/output error 0x3c"),
    ("ask decommission destroy $c/guest", "decommission = Input/output error 0x3a"),
    ("ask message \"$f message\" $c/request", "message = Input/output error 0x16"),
    # What the core refuses.
    ("ask debug \"$f debug\" $c/request", "debug = Invalid argument 0xffff"),
    ("ask report \"$f report\" $c/request", "report = ok 0x0"),
    ("ask lock \"$f lock\" $c/request", "lock = ok 0x0"),
    ("ask run \"$f run\" $c/request", "run = ok 0x0"),
    ("ask relock \"$f lock\" $c/request", "relock = Bad address 0x0"),
    ("put unbind $f $c/unbind", "unbind = ok"),
    ("put unbound $f $c/unbind", "unbound = ok"),
    ("ask late \"$f run\" $c/request", f"late = {NOBODY} 0xffff"),
    ("put rebind $f $c/bind", "rebind = ok"),
    ("put disconnect tsm0 $d/tsm/disconnect", "disconnect = ok"),
    ("put reconnect tsm0 $d/tsm/connect", "reconnect = ok"),
    ("put rebind $f $c/bind", "rebind = ok"),
    ("ask run \"$f run\" $c/request", "run = ok 0x0"),
    ("put remove 1 $d/remove", "remove = ok"),
    ("put rescan 1 /sys/bus/pci/rescan", "rescan = ok"),
    ("put reconnect tsm0 $d/tsm/connect", "reconnect = ok"),
    ("put rebind $f $c/bind", "rebind = ok"),
    ("put reset 1 $d/reset", "reset = ok"),
    ("ask stopped \"$f run\" $c/request", "stopped = Bad address 0x0"),
    ("put unbind $f $c/unbind", "unbind = ok"),
    ("put rebind $f $c/bind", "rebind = ok"),
    ("rmmod teeio_tsm; end $? rmmod", "rmmod = ok"),
    ("[ -e $d/tsm ]; end $? hidden 'no tsm'", "hidden = no tsm"),
    ("insmod /teeio_tsm.ko; end $? insmod", "insmod = ok"),
    ("put guest create $c/guest", "guest = ok"),
    ("put reconnect tsm0 $d/tsm/connect", "reconnect = ok"),
    ("put rebind $f $c/bind", "rebind = ok"),
    (f"put mailbox 1 $b/{PROCESSOR}/remove", "mailbox = ok"),
    ("[ -e $d/tsm ]; end $? hidden 'no tsm'", "hidden = no tsm"),
    ("put rescan 1 /sys/bus/pci/rescan", "rescan = ok"),
    ("put reconnect tsm0 $d/tsm/connect", "reconnect = ok"),
    ("rmmod teeio_tsm; end $? rmmod", "rmmod = ok"),
]
KILLED = [
    ("insmod /teeio_tsm.ko; end $? insmod", "insmod = ok"),
    ("put connect tsm0 $d/tsm/connect", "connect = ok"),
    ("put guest create $c/guest", "guest = ok"),
    ("put bind $f $c/bind", "bind = ok"),
    # Until the card's config space is gone with its server.
    ("echo NOW; read killed; while od -An -tx2 -N2 $d/config | grep -q 1efe; do sleep 0.2; done; echo gone",
     "gone"),
    ("ask run \"$f run\" $c/request", f"run = {NOBODY} 0xffff"),
    ("put unbind $f $c/unbind", "unbind = ok"),
    ("put rebind $f $c/bind", f"rebind = {NOBODY}"),
    ("put disconnect tsm0 $d/tsm/disconnect", "disconnect = ok"),
    ("put reconnect tsm0 $d/tsm/connect", f"reconnect = {NOBODY}"),
    ("rmmod teeio_tsm; end $? rmmod", "rmmod = ok"),
]
# The device loses LOCK_INTERFACE's answer: the session waits for it until it is made anew.
LOST = [
    ("insmod /teeio_tsm.ko; end $? insmod", "insmod = ok"),
    ("put connect tsm0 $d/tsm/connect", "connect = ok"),
    ("put guest create $c/guest", "guest = ok"),
    ("put bind $f $c/bind", "bind = Input/output error"),
    ("echo \"bound by '$(cat $d/tsm/bound)'\"", "bound by ''"),
    ("put disconnect tsm0 $d/tsm/disconnect", "disconnect = ok"),
    ("put reconnect tsm0 $d/tsm/connect", "reconnect = ok"),
    ("put errored $f $c/bind", "errored = Input/output error"),
    ("rmmod teeio_tsm; end $? rmmod", "rmmod = ok"),
]
FORGED = [
    ("insmod /teeio_tsm.ko; end $? insmod", "insmod = ok"),
    ("put connect tsm0 $d/tsm/connect", "connect = Input/output error"),
    ("echo \"connected to '$(cat $d/tsm/connect)'\"", "connected to ''"),
    ("rmmod teeio_tsm; end $? rmmod", "rmmod = ok"),
]
# An NVMe card: a disk, a TDI that runs, and the disk again with what was on it.
DISK = """for i in $(seq 100); do [ -b /dev/nvme0n1 ] && break; sleep 0.1; done
[ -b /dev/nvme0n1 ]; end $? disk"""
NVME = [
    (DISK, "disk = ok"),
    ("dd if=/dev/urandom of=/x bs=64k count=16 2>/dev/null; "
     "dd if=/x of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null; end $? written", "written = ok"),
    ("insmod /teeio_tsm.ko; end $? insmod", "insmod = ok"),
    ("put connect tsm0 $d/tsm/connect", "connect = ok"),
    ("put guest create $c/guest", "guest = ok"),
    ("put released $f /sys/bus/pci/drivers/nvme/unbind", "released = ok"),
    ("put bind $f $c/bind", "bind = ok"),
    ("ask run \"$f run\" $c/request", "run = ok 0x0"),
    # Its registers answer no host now.
    ("put driver $f /sys/bus/pci/drivers/nvme/bind; [ -b /dev/nvme0n1 ]; end $? nodisk none",
     "nodisk = none"),
    ("put unbind $f $c/unbind", "unbind = ok"),
    ("put driver $f /sys/bus/pci/drivers/nvme/bind", "driver = ok"),
    (DISK, "disk = ok"),
    ("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/nvme0n1 of=/y bs=64k count=16 2>/dev/null; "
     "cmp /x /y; end $? same", "same = ok"),
    ("put disconnect tsm0 $d/tsm/disconnect", "disconnect = ok"),
    ("rmmod teeio_tsm; end $? rmmod", "rmmod = ok"),
]
# After the function's removal: the kernel's order, and what the firmware and the device see of it.
TEARDOWN = ["unbind", "TIO_TDI_UNBIND", "STOP_INTERFACE", "TDI stopped", "TIO_TDI_STATUS",
            "TIO_TDI_RECLAIM", "TDI context reclaimed", "disconnect", "TIO_DEV_DISCONNECT",
            "K_SET_STOP", "TIO_DEV_RECLAIM", "remove"]


def why_not():
    """Why there is nothing to try with; None: there is."""
    if not os.environ.get("TEEIO_TSM_MODULE"):
        return "TEEIO_TSM_MODULE names no teeio_tsm.ko (contrib/linux/teeio_tsm)"
    if why := guest.why_no_qemu():
        return why
    for program in ("busybox", "cpio"):
        if not guest.find(program):
            return f"no {program}"
    return None


def make_initramfs(folder, steps, modules):
    """An initramfs that loads the modules, does the steps and ends; gives its path."""
    root = os.path.join(folder, "root")
    for each in ("bin", "proc", "sys", "dev", "modules"):
        os.makedirs(os.path.join(root, each))
    shutil.copy(guest.find("busybox"), f"{root}/bin/busybox")
    shutil.copy(os.environ["TEEIO_TSM_MODULE"], f"{root}/teeio_tsm.ko")
    lines = "\n".join(command for command, _ in steps)
    loads = guest.write_modules(root, modules) if modules else ""
    with open(f"{root}/init", "w") as file:
        file.write("#!/bin/busybox sh\n/bin/busybox --install -s /bin\n"
                   "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n"
                   f"mount -t debugfs debugfs /sys/kernel/debug\n{SETUP}{loads}\n{lines}\n"
                   "dmesg | grep -E 'WARNING|BUG|Oops|Call Trace' | sed 's/^/TROUBLE: /'\n"
                   "echo done; poweroff -f\n")
    os.chmod(f"{root}/init", 0o755)
    return guest.archive(folder, root)


class Served:
    """The card and the secure processor at sockets; what happened, afterwards."""

    def __init__(self, folder, *options, machine="amd-sev"):
        self.sockets = [os.path.join(folder, name) for name in ("pf.sock", "processor.sock")]
        self.trace = os.path.join(folder, "trace.json")
        self.process = subprocess.Popen(
            [TEEIO, "serve", "--machine", machine, "--vfio-user", self.sockets[0], "--function",
             CARD, "--secure-processor", self.sockets[1], "--chart", "--trace", self.trace, *options],
            stdout=subprocess.PIPE, stderr=open(os.path.join(folder, "served.log"), "w+"), text=True)
        for _ in self.sockets:
            assert self.process.stdout.readline().strip()

    def names(self):
        """Of all that happened, in order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        with open(self.trace) as file:
            events = json.load(file)["traceEvents"]
        happened = {event["args"]["seq"]: event["name"] for event in events
                    if event["ph"] in ("X", "i")}  # a call is in two lanes
        return [name for _, name in sorted(happened.items())]


def boot(folder, served, steps, modules=()):
    words = guest.base(make_initramfs(folder, steps, modules))
    return guest.Console(words + guest.vfio_user(served.sockets))


def check(console, steps):
    """Each step said what it must, and the kernel has no complaint."""
    status = console.finish(400)
    said = [line.strip() for line in console.text.splitlines()]
    for _, expected in steps:
        assert expected in said, f"{expected!r} was not said:\n{console.raw}"
        said = said[said.index(expected) + 1:]
    assert status == 0 and "done" in said, console.raw
    assert "TROUBLE" not in console.text, console.raw


def after(names, *marks):
    """What comes after each of `marks`, one behind the other."""
    for mark in marks:
        names = names[names.index(mark) + 1:]
    return names


def check_teardown(names):
    """The first teardown of a running TDI by its function's removal, in the kernel's order."""
    for name in TEARDOWN:
        assert name in names, f"no {name} where it must be: {names[:60]}"
        names = names[names.index(name) + 1:]


def the_kernels_orders_are_judged(folder):
    served = Served(folder)
    check(boot(folder, served, LIFE), LIFE)
    names = served.names()
    assert names.count("connect") == 5 and names.count("disconnect") == 5, names
    assert names.count("bind") == names.count("unbind"), names
    assert "KEY_EXCHANGE" in names and "START_INTERFACE" in names
    # connect, run, unbind, bind, disconnect; connect, bind, run, and then the removal.
    check_teardown(after(names, "START_INTERFACE", "START_INTERFACE"))
    # The module's end: everything is given back before the firmware's own end.
    assert names.count("SNP_INIT_EX") == 3, names
    end = len(names) - 1 - names[::-1].index("SNP_SHUTDOWN_EX")
    assert "bind" not in names[end:]


def and_a_server_that_is_killed(folder):
    served = Served(folder)
    console = boot(folder, served, KILLED)
    assert console.read_until("NOW", 300), console.raw
    served.process.kill()
    served.process.wait()
    console.write("killed\n")
    check(console, KILLED)


def and_devices_that_misbehave(folder):
    for fault, steps in (("dropped@LOCK_INTERFACE", LOST), ("bad-signature@KEY_EXCHANGE", FORGED)):
        below = os.path.join(folder, fault)
        os.mkdir(below)
        served = Served(below, "--fault", fault)
        check(boot(below, served, steps), steps)
        names = served.names()
        lost = steps is LOST
        assert ("TDI given up by force" in names) == lost, names
        # In ERROR since its stream was disabled it takes no LOCK any more.
        assert names.count("LOCK_INTERFACE") == (2 if lost else 0), names
        assert names.count("CONFIG_LOCKED") == (1 if lost else 0), names


def an_nvme_disk_is_a_tdi(folder):
    if not os.path.isdir(guest.modules_folder()):
        print(f"skipped: {guest.modules_folder()} has no modules; TEEIO_GUEST_MODULES names them")
        return
    disk = os.path.join(folder, "disk.img")
    with open(disk, "wb") as file:
        file.truncate(64 << 20)
    served = Served(folder, machine=guest.machine_file(folder, disk, tsm="sev"))
    check(boot(folder, served, NVME, ("nvme",)), NVME)
    assert "START_INTERFACE" in served.names()


def main():
    if why := why_not():
        print("skipped:", why)
        return 77
    for each in (the_kernels_orders_are_judged, and_a_server_that_is_killed,
                 and_devices_that_misbehave, an_nvme_disk_is_a_tdi):
        with tempfile.TemporaryDirectory() as folder:
            each(folder)
        print("ok:", each.__name__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
