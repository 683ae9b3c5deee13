# The modules of the machine's kernel are in the tree, the host's are where they were.
. "$(dirname "$0")/common.sh"
run 0 ls /sys/module
says '^vfio_pci$' '^iommufd$'
run 0 cat /sys/module/vfio_pci/initstate /sys/module/vfio_pci/parameters/enable_sriov
says '^live$' '^N$'
run 0 readlink -f /sys/bus/pci/drivers/vfio-pci/module
says '^/sys/module/vfio_pci$'
run 1 sh -c '/bin/echo Y >/sys/module/vfio_pci/parameters/nointxmask'
says 'Operation not permitted'
run 0 sh -c 'p=/sys/module/vfio_pci/parameters/enable_sriov; /bin/echo Y >$p; cat $p; /bin/echo N >$p'
says '^Y$'
run 0 ls /sys/module/kernel/parameters
