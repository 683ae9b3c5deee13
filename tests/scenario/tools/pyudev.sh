# libudev's enumeration, from python.
. "$(dirname "$0")/common.sh"
for python in python3 /usr/bin/python3 none; do
  [ "$python" = none ] && { echo "python3-pyudev is not installed"; exit 77; }
  "$python" -c 'import pyudev' 2>/dev/null && break
done
run 0 "$python" -c '
import pyudev
context = pyudev.Context()
found = {device.sys_name: device for device in context.list_devices(subsystem="pci")}
card = found["0000:01:00.0"]
assert card.driver == "vfio-pci", card.driver
assert card.attributes.asstring("vendor") == "0x1efe"
assert card.parent.sys_name in found
one = pyudev.Devices.from_path(context, "/sys/bus/pci/devices/0000:01:00.1")
assert one.sys_path == found["0000:01:00.1"].sys_path
print("functions:", len(found))
'
says '^functions: [4-9]'
