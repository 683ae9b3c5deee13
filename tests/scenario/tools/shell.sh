# A shell walks about in the tree.
. "$(dirname "$0")/common.sh"
run 0 sh -c "cd $card && pwd && cat vendor && ls tsm && cd .. && pwd && cd /sys/bus/pci && pwd"
says '^/sys/bus/pci/devices/0000:01:00.0$' '^0x1efe$' '^connect$' '^/sys/bus/pci$'
run 0 sh -c "cd /sys/bus/pci/devices/0000:01:00.0/ && /bin/pwd"
says '^/sys/devices/pci0000:00/.*/0000:01:00.0$'
run 0 sh -c "ls -ld $card/ && stat -f -c %T $card/vendor"
says '^d.*0000:01:00.0/$' '^sysfs$'
run 0 sh -c "df /sys/bus/pci >/dev/null && find $card/ -name vendor"
says '/vendor$'
