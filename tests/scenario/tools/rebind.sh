# A function leaves vfio-pci and comes back; its VFIO node with it.
. "$(dirname "$0")/common.sh"
run 0 sh -c "echo 0000:01:00.0 >$card/driver/unbind; test ! -e $card/driver &&
             ls /dev/vfio/devices && echo 0000:01:00.0 >/sys/bus/pci/drivers/vfio-pci/bind &&
             readlink $card/driver && ls $card/vfio-dev"
says 'drivers/vfio-pci$' '^vfio[0-9]+$'
run 1 sh -c "/bin/echo 0000:01:00.0 >/sys/bus/pci/drivers/vfio-pci/bind"
says 'write error: '
