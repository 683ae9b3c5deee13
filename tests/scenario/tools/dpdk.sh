# DPDK's tool takes a function from vfio-pci and gives it back.
. "$(dirname "$0")/common.sh"
needs dpdk-devbind.py lspci ip
run 0 dpdk-devbind.py -s
says '0000:02:00.0 .*drv=vfio-pci'
run 0 sh -c 'dpdk-devbind.py -u 0000:02:00.0 && dpdk-devbind.py -b vfio-pci 0000:02:00.0 &&
             dpdk-devbind.py -s && readlink /sys/bus/pci/devices/0000:02:00.0/driver'
says '0000:02:00.0 .*drv=vfio-pci' '/drivers/vfio-pci$'
