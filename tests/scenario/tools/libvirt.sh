# libvirt's node devices: virsh lists functions, describes one with its virtual functions and
# IOMMU group, and gives another to its driver and back. The daemon runs inside, as root.
. "$(dirname "$0")/common.sh"
needs libvirtd virsh
[ "$(id -u)" -eq 0 ] || { echo "libvirtd of the system runs as root only"; exit 77; }
for who in passwd group; do
  getent "$who" libvirt-qemu >/dev/null || { echo "there is no libvirt-qemu in $who"; exit 77; }
done
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$said" "$folder"' EXIT
cat >"$folder/conf" <<END
unix_sock_dir = "$folder"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:file:$folder/log"
END
cat >"$folder/job" <<'END'
libvirtd -d -f "$1/conf" -p "$1/pid" || exit 77
of() { who=$1; shift; timeout 60 virsh -c "$who:///system?socket=$folder/libvirt-sock" "$@"; }
folder=$1 status=0
of nodedev nodedev-list --cap pci &&
  of nodedev nodedev-dumpxml pci_0000_01_00_0 &&
  of qemu nodedev-reattach pci_0000_02_00_0 &&
  echo "driver: $(cat /sys/bus/pci/devices/0000:02:00.0/driver_override)" &&
  of qemu nodedev-detach pci_0000_02_00_0 &&
  echo "driver: $(cat /sys/bus/pci/devices/0000:02:00.0/driver_override)" || status=$?
kill "$(cat "$1/pid")"
exit "$status"
END
"$teeio" run -- sh "$folder/job" "$folder" >"$said" 2>&1
status=$?
if [ "$status" -ne 0 ] && grep -q 'Driver state initialization failed' "$folder/log"; then
  echo "libvirtd does not start on this host, with or without teeio:"
  grep ' error ' "$folder/log" | tail -2
  exit 77
fi
says '^pci_0000_01_00_2$' "<name>vfio-pci</name>" "<product id='0x0d00'/>" \
  "type='virt_functions' maxCount='2'" "function='0x2'/>" "<iommuGroup number='2'>" \
  "<link validity='cap' port='0' speed='32' width='16'/>" 'pci_0000_02_00_0 re-attached' \
  'driver: \(null\)' 'pci_0000_02_00_0 detached' 'driver: vfio-pci'
[ "$status" -eq 0 ] || { cat "$said"; echo "exit status $status"; exit 1; }
