# driverctl lists overrides and sets one. Another than "none" asks the host's modprobe.
. "$(dirname "$0")/common.sh"
needs driverctl
run 0 driverctl list-devices
says '^0000:01:00.0 vfio-pci' '^0000:02:00.0 vfio-pci'
run 0 bash -c 'driverctl --nosave set-override 0000:02:00.0 none && driverctl list-devices &&
               driverctl list-overrides'
says '^0000:02:00.0 \(none\) \[\*\]$' '^0000:02:00.0 \(none\)$'
