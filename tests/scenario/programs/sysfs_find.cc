// find, ls and od see the tree as real directories, links and files.
// /sys/bus/pci/devices/0000:01:00.0 && find /sys/devices/pci0000:00 -name vendor | grep -q . &&
// test -c /dev/vfio/devices/vfio0 && ls -lL /sys/bus/pci/devices/0000:01:00.0 | grep -q vendor &&
// test "$(od -An -tx1 -j16 -N2 /sys/bus/pci/devices/0000:01:00.0/config)" = " 10 11"'
int main() { return 0; }
