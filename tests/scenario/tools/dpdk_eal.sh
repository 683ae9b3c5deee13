# DPDK's EAL opens the function by container and group, maps its memory, and the function's DMA
# reaches it. testpmd starts beside a bound function and finds no Ethernet port of its own.
. "$(dirname "$0")/common.sh"
needs cc pkg-config dpdk-testpmd
pkg-config --exists libdpdk || { echo "libdpdk-dev is not installed"; exit 77; }
app=$(mktemp -d) || exit 1
trap 'rm -rf "$said" "$app"' EXIT
cc -O1 -w -o "$app/eal" "$(dirname "$0")/dpdk_eal_app.c" $(pkg-config --cflags --libs libdpdk) ||
  exit 1
eal='--no-huge -m 64 --no-shconf --no-telemetry --lcores 0@0,1@0 --log-level=lib.eal:7'
run 0 "$app/eal" $eal
says 'vfio is enabled' 'rte_vfio_setup_device: 0, 9 regions' 'ID 31414d44' \
  'ERROR 0, filled with 1122334455667788' 'rte_vfio_release_device: 0'
run 0 sh -c "echo quit | dpdk-testpmd $eal -a 0000:01:00.1 -- -i --total-num-mbufs=2048"
says 'VFIO support initialized' 'No probed ethernet devices'
