exec "$1" -- sh -c '
function=/sys/bus/pci/devices/0000:01:00.0
test "$(find /sys/bus/pci -name "0000*")" = $function &&
find /sys/devices/pci0000:00 -name vendor | grep -q . &&
test -c /dev/vfio/devices/vfio0 &&
ls -lL $function | grep -q vendor &&
test "$(od -An -tx1 -j16 -N2 $function/config)" = " 10 11"'
