# qemu.sh iommufd|group TEEIO GUEST: QEMU with `-accel kvm` on the host's real KVM has a function
# of teeio's card, and the guest's DMA and MSI-X work. QEMU: $QEMU, or qemu-system-x86_64.
way=$1 teeio=$2 guest=$3
qemu=${QEMU:-qemu-system-x86_64}
skip() { echo "skipped: $1"; exit 77; }
command -v "$qemu" >/dev/null 2>&1 || skip "there is no qemu-system-x86_64, and QEMU names none"
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT
boot() {
  timeout 240 "$@" -M q35 -accel kvm -cpu qemu64 -m 64 -nodefaults -display none -serial stdio \
    -no-reboot -kernel "$guest" $card >"$said" 2>&1 </dev/null
  status=$?
}
[ -w /dev/kvm ] || skip "there is no /dev/kvm that may be used"
function=vfio-pci,host=0000:01:00.1,bus=rp,rombar=0
card="-device pcie-root-port,id=rp,chassis=1,slot=1 -device $function"
if [ "$way" = iommufd ]; then
  "$qemu" -object help 2>/dev/null | grep -q iommufd || skip "$qemu has no iommufd"
  card="-object iommufd,id=i0 $card,iommufd=i0"
fi
boot "$teeio" run -v -e 'trace=KVM_*' --host-kvm -- "$qemu"
cat "$said"
if ! grep -q 'guest: done' "$said"; then
  card=
  boot "$qemu"
  grep -q 'guest: no card' "$said" || skip "$qemu runs no guest on this KVM, without teeio either"
  echo "the guest does not come to its end"
  exit 1
fi
for line in 'guest: ID 31414d44' 'guest: copy: ERROR 00000000' 'guest: words wrong 00000000' \
  'guest: requests of the APIC 00010000' 'guest: DMA from nowhere: ERROR 00000006' 'guest: done' \
  'KVM_CREATE_DEVICE, .*= 0' 'KVM_SET_DEVICE_ATTR, .*= 0' 'the machine is as it was at boot'; do
  grep -Eq -- "$line" "$said" || { echo "no line says: $line"; exit 1; }
done
[ "$status" -eq 0 ] || { echo "exit status $status"; exit 1; }
