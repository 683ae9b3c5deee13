#!/usr/bin/env -S python3 -B
"""real_kernel_test.py TEEIO DMA-ENGINE: what docs/real-kernel.md has a guest's kernel do with the
card of `teeio serve --vfio-user`, in somebody else's QEMU.

Needs, or says what is missing: QEMU 10.1 or later (TEEIO_QEMU, else qemu-system-x86_64); a kernel
(TEEIO_GUEST_KERNEL, else the newest in /boot) and the folder of its modules (TEEIO_GUEST_MODULES,
else /lib/modules/VERSION); a static busybox, lspci, cpio. Software emulation, unless
TEEIO_QEMU_ACCEL=kvm."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../nvme"))
import guest  # noqa: E402

TEEIO, DMA_ENGINE = sys.argv[1:3]
CARD = "0000:01:00.0"
MODULES = ("irqbypass", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci")
SECONDS = 400
# Each function says how it went; the host says what this boot is for.
SCRIPT = f"""
f={CARD} b=/sys/bus/pci; d=$b/devices/$f
say() {{ if [ "$1" = 0 ]; then echo "ok: $2"; else echo "FAILED: $2"; dmesg | tail -20; fi; }}
works() {{ dma_engine $f 5 | grep -q ": 5 rounds"; say $? "$1"; }}
give() {{ echo vfio-pci >$d/driver_override; echo $f >$b/drivers_probe; [ -e $d/driver ]; say $? "$1"; }}
speaks() {{ echo "doe: $(ls $d/doe_features | tr '\\n' ' ')"; }}
echo "WHICH BOOT"; read boot; echo "boot $boot"
speaks
[ $boot = first ] && lspci -vvv -s $f | sed 's/^/lspci: /'
give "vfio-pci"; works "DMA"
[ $boot = killed ] && {{ echo "KILL NOW"; read never; }}
[ $boot = last ] && {{ echo done; poweroff -f; }}
echo $f >$b/drivers/vfio-pci/unbind; [ ! -e $d/driver ]; say $? "unbind"
echo $f >$b/drivers/vfio-pci/bind; works "DMA after bind"
echo "methods: $(cat $d/reset_method)"
echo 1 >$d/reset; say $? "reset"; works "DMA after reset"
echo 1 >$d/remove; [ ! -e $d ]; say $? "remove"
echo 1 >$b/rescan; [ -e $d ]; say $? "rescan"; speaks
give "vfio-pci again"; works "DMA after rescan"
dmesg | grep -E 'DMAR.*(fault|DRHD: handling)|WARNING|BUG|Oops' | sed 's/^/TROUBLE: /'
echo done; reboot -f
"""
DOE = "doe: 0001:01 0001:02 doe_discovery"
CHECKS = ("vfio-pci", "DMA", "unbind", "DMA after bind", "reset", "DMA after reset", "remove",
          "rescan", "vfio-pci again", "DMA after rescan")


def why_not():
    """Why there is nothing to try with; None: there is."""
    if why := guest.why_no_qemu():
        return why
    if not os.path.isdir(guest.modules_folder()):
        return f"{guest.modules_folder()} has no modules; TEEIO_GUEST_MODULES names the folder"
    for program in ("busybox", "cpio", "lspci"):
        if not guest.find(program):
            return f"no {program}"
    return None


def make_initramfs(folder):
    root = os.path.join(folder, "root")
    for each in ("bin", "proc", "sys", "dev", "modules"):
        os.makedirs(os.path.join(root, each))
    shutil.copy(guest.find("busybox"), f"{root}/bin/busybox")
    guest.copy_program(root, guest.find("lspci"))
    shutil.copy(DMA_ENGINE, f"{root}/bin/dma_engine")
    loads = guest.write_modules(root, MODULES)
    with open(f"{root}/init", "w") as file:
        file.write("#!/bin/busybox sh\n/bin/busybox --install -s /bin 2>/dev/null\n"
                   "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n"
                   f"{loads}\n{SCRIPT}\n")
    os.chmod(f"{root}/init", 0o755)
    return guest.archive(folder, root)


def words(initramfs, sockets):
    """As the page has them: the guest's IOMMU is on, and a reboot is one."""
    made = guest.base(initramfs, memory=768)
    made.remove("-no-reboot")
    made[made.index("-M") + 1] += ",kernel-irqchip=split"
    if "tcg" in made:
        made[made.index("-cpu") + 1] += ",la57=off"
    made[made.index("-append") + 1] += " intel_iommu=on"
    first = made.index("-device")
    made[first:first] = ["-device", "intel-iommu,intremap=on,caching-mode=on"]
    return made + guest.vfio_user(sockets)


def boot(console, which):
    """Tells the guest what this boot is for. What it said before is forgotten."""
    assert console.read_until("WHICH BOOT", SECONDS), console.raw
    console.raw = ""
    console.write(which + "\n")


def capabilities(text):
    """As lspci names them, without those that QEMU's VFIO code leaves out (vfio_add_ext_cap()): the
    first one's place has an empty one then."""
    found = re.findall(r"Capabilities: \[(\w+)[^\]]*\] ([^:,\n]*)", text)
    return [one for one in found if not re.search(r"SR-IOV|\(ARI\)|Null", one[1])]


def check_first(console):
    assert console.read_until(r"\ndone", SECONDS), console.raw
    said = console.text
    assert re.findall("ok: (.*?)\r?\n", said) == list(CHECKS), console.raw
    assert "FAILED" not in said and "TROUBLE" not in said, console.raw
    assert said.count(DOE) == 2, console.raw
    assert "methods: flr bus" in said, console.raw
    ours = subprocess.run([TEEIO, "run", "--", "lspci", "-vvv", "-s", CARD], capture_output=True,
                          text=True, timeout=120, check=True).stdout
    theirs = "\n".join(re.findall("lspci: (.*?)\r?\n", said))
    assert len(capabilities(ours)) > 5, ours
    assert capabilities(theirs) == capabilities(ours), (theirs, ours)
    name = ours.splitlines()[0].partition(": ")[2]  # the class has a name where its list is
    assert name.startswith("Device 1efe:") and name in theirs, (name, theirs)


def main():
    if why := why_not():
        print("skipped:", why)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        served = guest.Served(TEEIO, folder, "tdx-connect")
        image = make_initramfs(folder)
        console = guest.Console(words(image, served.sockets))
        boot(console, "first")
        check_first(console)
        print("ok: a kernel's life with the card", flush=True)
        boot(console, "killed")  # after the reboot
        assert console.read_until("KILL NOW", SECONDS), console.raw
        assert DOE in console.text and "ok: DMA" in console.text, console.raw
        console.kill()
        print("ok: a reboot", flush=True)
        console = guest.Console(words(image, served.sockets))
        boot(console, "last")
        assert console.finish(SECONDS) == 0 and "done" in console.text, console.raw
        assert DOE in console.text and "ok: DMA" in console.text, console.raw
        assert served.end() == 0
        served.log.seek(0)
        assert "the client has left" in served.log.read()
        print("ok: QEMU killed, and another one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
