# The kernel's older interface, by which lspci sees what it sees in sysfs.
. "$(dirname "$0")/common.sh"
needs lspci
run 0 sh -c 'lspci -n >/tmp/teeio-a.$$ && lspci -A linux-proc -n >/tmp/teeio-b.$$ &&
             diff /tmp/teeio-a.$$ /tmp/teeio-b.$$; status=$?; rm -f /tmp/teeio-[ab].$$; exit $status'
run 0 lspci -A linux-proc -s 01:00.0 -xxx
says '^00: fe 1e '
run 0 cat /proc/bus/pci/devices
says '^0100	1efe'
run 0 cat /proc/bus/pci/01/00.0
run 0 cat /proc/self/comm
