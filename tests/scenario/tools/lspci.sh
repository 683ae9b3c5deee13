# lspci reads the tree and every configuration space.
. "$(dirname "$0")/common.sh"
needs lspci
run 0 lspci -vvv
says '^00:01.0 PCI bridge' '^01:00.0 .*\(rev ' '^01:00.1 ' 'Bus: primary=00, secondary=01' \
  'Express .* Root Port' 'Express .* Endpoint' 'MSI-X: Enable- Count=' 'FLReset\+' \
  'Single Root I/O Virtualization' 'Kernel driver in use: vfio-pci' 'IOMMU group: '
run 0 lspci -nn -s 01:00.0
says '\[1efe:'
run 0 lspci -xxxx -s 01:00.0
says '^00: fe 1e ' '^ff0: '
