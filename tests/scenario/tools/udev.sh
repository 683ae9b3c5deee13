# udevadm and libudev see the machine's devices: by O_PATH, fstatfs and the links of sysfs.
. "$(dirname "$0")/common.sh"
needs udevadm
run 0 udevadm info -a -p $card
says 'looking at device .*/0000:01:00.0' 'KERNEL=="0000:01:00.0"' 'SUBSYSTEM=="pci"' \
  'DRIVER=="vfio-pci"' 'ATTR\{vendor\}=="0x1efe"' 'looking at parent device'
run 0 udevadm info -q property -p $card
says '^DEVPATH=/devices/pci0000:00/.*/0000:01:00.0$' '^SUBSYSTEM=pci$' '^DRIVER=vfio-pci$' \
  '^PCI_SLOT_NAME=0000:01:00.0$' '^MODALIAS=pci:v'
