# A program of another language opens, calls and closes without knowing of teeio.
. "$(dirname "$0")/common.sh"
needs python3
run 0 python3 -c '
import array, fcntl, os
iommu = os.open("/dev/iommu", os.O_RDWR)
alloc = array.array("I", [12, 0, 0])
fcntl.ioctl(iommu, 0x3b81, alloc)
print("ioas", alloc[2])
try:
    fcntl.ioctl(iommu, 0x3bff)
except OSError as error:
    print("unknown call:", os.strerror(error.errno))
kvm = os.open("/dev/kvm", os.O_RDWR)
print("KVM API", fcntl.ioctl(kvm, 0xae00))
with open("/sys/bus/pci/devices/0000:01:00.0/config", "rb") as config:
    print("vendor", config.read(2).hex())'
says '^ioas 1$' '^unknown call: Inappropriate ioctl for device$' '^KVM API 12$' '^vendor fe1e$'
