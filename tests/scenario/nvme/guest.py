"""A guest with a stock kernel and its nvme driver, in somebody else's QEMU.

Needs, or says what is missing: QEMU 10.1 or later (TEEIO_QEMU, which may have options of its
own, else qemu-system-x86_64); a kernel (TEEIO_GUEST_KERNEL, else the newest in /boot) and the
folder of its modules (TEEIO_GUEST_MODULES, else /lib/modules/VERSION); a static busybox,
mkfs.ext4, cpio. Software emulation, unless TEEIO_QEMU_ACCEL=kvm."""

import glob
import gzip
import lzma
import os
import re
import select
import shlex
import shutil
import subprocess
import time

MODULES = ("crc32c_generic", "nvme", "ext4")
PROGRAMS = ("mkfs.ext4",)


def accelerator():
    return os.environ.get("TEEIO_QEMU_ACCEL") or "tcg"


def qemu():
    return shlex.split(os.environ.get("TEEIO_QEMU") or shutil.which("qemu-system-x86_64") or "")


def kernel():
    found = sorted(glob.glob("/boot/vmlinuz-*"), key=os.path.getmtime)
    return os.environ.get("TEEIO_GUEST_KERNEL") or (found[-1] if found else "")


def modules_folder():
    version = os.path.basename(kernel()).removeprefix("vmlinuz-")
    return os.environ.get("TEEIO_GUEST_MODULES") or f"/lib/modules/{version}"


def why_no_qemu(least=(10, 1)):
    """Why there is no guest at all; None: there may be one."""
    if not qemu():
        return "no qemu-system-x86_64, and TEEIO_QEMU is not set"
    version = subprocess.run([*qemu(), "--version"], capture_output=True, text=True).stdout
    numbers = re.search(r"version (\d+)\.(\d+)", version)
    if not numbers or tuple(map(int, numbers.groups())) < least:
        return f"needs QEMU {least[0]}.{least[1]}; this is {version.splitlines()[:1]}"
    if not os.access(kernel(), os.R_OK):
        return "no kernel in /boot, and TEEIO_GUEST_KERNEL is not set"
    return None


def why_not():
    """Why there is nothing to try with; None: there is."""
    if why := why_no_qemu():
        return why
    if not os.path.isdir(modules_folder()):
        return f"{modules_folder()} has no modules; TEEIO_GUEST_MODULES names the folder"
    for program in ("busybox", "cpio", *PROGRAMS):
        if not find(program):
            return f"no {program}"
    return None


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def read_module(path):
    if path.endswith(".xz"):
        return lzma.open(path).read()
    if path.endswith(".gz"):
        return gzip.open(path).read()
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout
    with open(path, "rb") as file:
        return file.read()


def modules(names):
    """(name, contents) in the order of loading; what the kernel has built in is left out."""
    paths = {}
    for folder, _, files in os.walk(modules_folder()):
        for file in files:
            if found := re.match(r"(.+)\.ko(\.xz|\.gz|\.zst)?$", file):
                paths[found[1].replace("-", "_")] = os.path.join(folder, file)
    loaded = {}

    def load(name):
        name = name.replace("-", "_")
        if name in loaded or name not in paths:
            return
        contents = read_module(paths[name])
        needs = re.search(rb"\0depends=([^\0]*)", contents)
        for each in filter(None, (needs[1].decode() if needs else "").split(",")):
            load(each)
        loaded[name] = contents

    for name in names:
        load(name)
    return loaded.items()


def copy_program(root, path):
    """With the libraries that it is linked with, to where both are here."""
    shutil.copy(path, f"{root}/bin/{os.path.basename(path)}")
    needs = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(0x", needs):
        os.makedirs(root + os.path.dirname(library), exist_ok=True)
        shutil.copy(library, root + library)


def write_modules(root, names):
    """What loads them, as lines of a script."""
    order = []
    for name, contents in modules(names):
        order.append(f"insmod /modules/{name}.ko")
        with open(f"{root}/modules/{name}.ko", "wb") as file:
            file.write(contents)
    return "\n".join(order)


def archive(folder, root):
    """The initramfs; gives its path."""
    path = os.path.join(folder, "initramfs.gz")
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    packed = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names,
                            capture_output=True, check=True).stdout
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(packed)
    return path


def make_initramfs(folder, helper, script):
    """An initramfs whose /job is `script`; gives its path."""
    root = os.path.join(folder, "root")
    for each in ("bin", "proc", "sys", "dev", "mnt", "modules"):
        os.makedirs(os.path.join(root, each))
    shutil.copy(find("busybox"), f"{root}/bin/busybox")
    shutil.copy(helper, f"{root}/bin/nvme_guest")
    for program in PROGRAMS:
        copy_program(root, find(program))
    loads = write_modules(root, MODULES)
    with open(f"{root}/init", "w") as file:
        file.write("#!/bin/busybox sh\n/bin/busybox --install -s /bin\n"
                   "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n"
                   f"{loads}\n"
                   "for i in $(seq 100); do [ -b /dev/nvme0n1 ] && break; sleep 0.1; done\n"
                   f"{script}\npoweroff -f\n")
    os.chmod(f"{root}/init", 0o755)
    return archive(folder, root)


def base(initramfs, memory=512, processors=2, accel=None):
    """QEMU's words but for the devices, whose buses are `rp0` and `rp1`, ports 1 and 2."""
    return [*qemu(), "-M", "q35,memory-backend=ram", "-accel", accel or accelerator(),
            "-cpu", "max" if (accel or accelerator()) == "tcg" else "host",
            "-smp", str(processors), "-m", str(memory),
            "-object", f"memory-backend-memfd,id=ram,size={memory}M,share=on",
            "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
            "-device", "pcie-root-port,id=rp0,port=1,chassis=1,slot=1",
            "-device", "pcie-root-port,id=rp1,port=2,chassis=2,slot=2",
            "-kernel", kernel(), "-initrd", initramfs,
            "-append", "console=ttyS0 panic=-1 quiet mitigations=off no_timer_check"]


def vfio_user(sockets):
    words = []
    for number, socket in enumerate(sockets):
        words += ["-device", '{"driver":"vfio-user-pci","bus":"rp%d","socket":'
                             '{"type":"unix","path":"%s"}}' % (number, socket)]
    return words


def under_run(teeio, machine, initramfs, function):
    """QEMU's vfio-pci with a function of the machine of `teeio run`."""
    return [teeio, "run", "--machine", machine, "--", *base(initramfs), "-object",
            "iommufd,id=iommufd0", "-device",
            f"vfio-pci,host={function},iommufd=iommufd0,bus=rp0,rombar=0"]


def without_kernel_lines(text):
    """A console's text as programs wrote it. The kernel's own lines ("[    3.141592] nvme …") come
    whenever it has something to say, in the middle of a program's line too."""
    return re.sub(r"(<\d+>)?\[ *\d+\.\d{6}\][^\n]*(\n|\Z)", "", text)


class Console:
    """A guest's serial line: `raw` is all of it, `text` what its programs wrote."""

    def __init__(self, words):
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.raw = ""

    @property
    def text(self):
        return without_kernel_lines(self.raw)

    def read_until(self, pattern, seconds):
        """The match; None: QEMU ended or the time was over before it came."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return None
            self.raw += more.decode(errors="replace")
        return found

    def write(self, text):
        """To whoever reads there in the guest."""
        os.write(self.process.stdin.fileno(), text.encode())

    def finish(self, seconds):
        """QEMU's status; None: it had to be killed."""
        self.read_until(r"\Z\A.", seconds)  # its end
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Served:
    """`teeio serve --vfio-user` with functions of a machine."""

    def __init__(self, teeio, folder, machine, functions=("0000:01:00.0",)):
        words = [teeio, "serve", "--machine", machine]
        self.sockets = [os.path.join(folder, f"{each[-1]}.sock") for each in functions]
        for socket, function in zip(self.sockets, functions):
            words += ["--vfio-user", socket, "--function", function]
        self.log = open(os.path.join(folder, "served.log"), "w+")
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.log, text=True)
        for _ in functions:
            self.process.stdout.readline()  # "… is a vfio-user device at …"

    def end(self):
        self.process.terminate()
        return self.process.wait(30)


def machine_file(folder, disk, mib=None, tsm="tdx"):
    """One NVMe card whose PF has `disk`."""
    path = os.path.join(folder, "machine.toml")
    with open(path, "w") as file:
        file.write(f'''name = "disk"
tsm = "{tsm}"
[[root_port]]
bdf = "0000:00:01.0"
bus = 1
window = 0x380000000000
window_mib = 64
ide_streams = 4
tee_io = true
[[card]]
model = "nvme"
bdf = "0000:01:00.0"
window = 0x380000000000
vfs = 1
[[card.namespace]]
file = "{disk}"
{f"mib = {mib}" if mib else ""}
[[card.namespace]]
function = 1
mib = 64
''')
    return path
