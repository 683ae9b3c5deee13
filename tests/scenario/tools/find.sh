# find and ls walk the tree, whose links lead where Linux's do.
. "$(dirname "$0")/common.sh"
run 0 find /sys/bus/pci
says '^/sys/bus/pci/devices/0000:01:00.0$' '^/sys/bus/pci/drivers/vfio-pci/0000:01:00.0$' \
  '^/sys/bus/pci/drivers_probe$'
run 0 find -L /sys/bus/pci/devices/0000:01:00.0/ -maxdepth 1 -name 'con*'
says '/config$'
run 0 ls -l /sys/bus/pci/devices/
says '0000:01:00.0 -> ../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0$'
run 0 ls -l /dev/iommu /dev/kvm /dev/vfio/devices/vfio0
says '^crw.* 10, *[0-9]+ .*/dev/iommu$' '^crw.* 10, *232 .*/dev/kvm$' '^crw.*/vfio0$'
run 0 readlink -f /sys/bus/pci/devices/0000:01:00.0/iommu_group
says '^/sys/kernel/iommu_groups/[0-9]+$'
run 2 ls /sys/bus/pci/devices/0000:77:00.0
says 'No such file or directory'
