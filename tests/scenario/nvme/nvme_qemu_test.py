#!/usr/bin/env -S python3 -B
"""nvme_qemu_test.py TEEIO GUEST-PROGRAM: a stock Linux uses teeio's NVMe card in QEMU.

See guest.py for what it needs; without that it says so and is skipped. Judged in the guest:
mkfs.ext4, mount, files, fsync, resets, unbind and rebind; on the host: what is in the file
after QEMU was killed."""

import os
import struct
import sys
import tempfile

import guest

TEEIO, HELPER = sys.argv[1:3]
PF, VF = "0000:01:00.0", "0000:01:00.1"
MIB = 1 << 20
BLOCK = 4096
MASK = (1 << 64) - 1

USE = r"""
d=/dev/nvme0n1; pci=$(basename $(readlink -f /sys/class/nvme/nvme0/device))
say() { if [ "$1" = 0 ]; then echo "ok: $2"; else echo "FAILED: $2"; dmesg | tail -20; fi; }
settle() { for i in $(seq 100); do [ "$(cat /sys/class/nvme/nvme0/state 2>/dev/null)" = live ] && [ -b $d ] && return 0; sleep 0.1; done; return 1; }
same() { mount $d /mnt && (cd /mnt && md5sum -c sums >/dev/null); r=$?; umount /mnt; return $r; }
dmesg | grep -i nvme | sed 's/^/log: /'
mkfs.ext4 -q $d; say $? mkfs
mount $d /mnt && for i in 1 2 3 4; do dd if=/dev/urandom of=/mnt/f$i bs=64k count=$((i*20)) conv=fsync 2>/dev/null; done
(cd /mnt && md5sum f* >sums); sync; umount /mnt; say $? files
echo 3 >/proc/sys/vm/drop_caches; same; say $? "read again"
# Before the PF's reset, which takes its VFs along.
v=/dev/nvme1n1; [ -b $v ] && { nvme_guest write $v 0 512 >/dev/null && nvme_guest check $v 0 512; say $? "the VF's"; }
echo 1 >/sys/class/nvme/nvme0/reset_controller && settle && same; say $? "controller reset"
echo 1 >/sys/bus/pci/devices/$pci/reset && settle && same; say $? "function level reset"
echo $pci >/sys/bus/pci/drivers/nvme/unbind; [ -b $d ]; [ $? = 1 ]; say $? unbind
echo $pci >/sys/bus/pci/drivers/nvme/bind; settle && same; say $? "bind again"
mount $d /mnt && fstrim /mnt && umount /mnt && same; say $? fstrim
nvme_guest write $d 0 4096 >/dev/null && nvme_guest check $d 0 4096; say $? blocks
grep nvme /proc/interrupts | sed 's/^/irq: /'
dmesg | grep -iE 'nvme.*(error|timeout|fail|invalid|I/O)|EXT4-fs error' | sed 's/^/TROUBLE: /'
echo done
"""
WRITE = "nvme_guest write /dev/nvme0n1 0 100000"


def block(number):
    words = [number] + [((number + 1) * 0x9e3779b97f4a7c15 + i * 0xd1342543de82ef95) & MASK
                        for i in range(1, BLOCK // 8 - 1)]
    return struct.pack(f"<{BLOCK // 8}Q", *words, sum(words) & MASK)


def make_disk(folder, mib):
    path = os.path.join(folder, "disk.img")
    with open(path, "wb") as file:
        file.truncate(mib * MIB)
    return path


def start(folder, script, mib, functions=(PF,)):
    served = guest.Served(TEEIO, folder, guest.machine_file(folder, make_disk(folder, mib)),
                          functions)
    image = guest.make_initramfs(folder, HELPER, script)
    return served, image


def check_use(console, oks):
    status = console.finish(400)
    said = console.text
    assert status == 0 and "\ndone" in said, console.raw
    assert (said.count("ok: ") == oks and "FAILED" not in said and
            "TROUBLE" not in said), console.raw


def a_file_system_lives_on_it(folder):
    served, image = start(folder, USE, 256, (PF, VF))
    check_use(guest.Console(guest.base(image) + guest.vfio_user(served.sockets)), 10)
    assert served.end() == 0


def and_under_teeio_run(folder):
    """QEMU's vfio-pci, on the machine's iommufd: the VF, then the PF."""
    image = guest.make_initramfs(folder, HELPER, USE)
    machine = guest.machine_file(folder, make_disk(folder, 64))
    for function in (VF, PF):
        check_use(guest.Console(guest.under_run(TEEIO, machine, image, function)), 9)


def what_was_flushed_is_there_after_a_kill(folder):
    served, image = start(folder, WRITE, 512)
    console = guest.Console(guest.base(image) + guest.vfio_user(served.sockets))
    found = console.read_until(r"flushed 4\d\d\b", 200)
    assert found, console.raw
    console.kill()
    flushed = max(int(line.split()[1]) for line in console.text.splitlines()[:-1]
                  if line.startswith("flushed "))
    served.process.kill()  # teeio too: what was flushed is nobody's memory
    served.process.wait()
    with open(os.path.join(folder, "disk.img"), "rb") as file:
        for number in range(flushed):
            assert file.read(BLOCK) == block(number), f"block {number} of {flushed}"
    print(f"{flushed} blocks were flushed, and are there")


def main():
    if why := guest.why_not():
        print("skipped:", why)
        return 77
    for each in (a_file_system_lives_on_it, what_was_flushed_is_there_after_a_kill,
                 and_under_teeio_run):
        with tempfile.TemporaryDirectory() as folder:
            each(folder)
        print("ok:", each.__name__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
