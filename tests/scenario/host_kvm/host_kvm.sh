# host_kvm.sh CASE TEEIO VMM: runs vmm.cc under `teeio run --host-kvm` and looks at what it said.
case_=$1 teeio=$2 vmm=$3
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT
run() {
  wanted=$1
  shift
  "$@" >"$said" 2>&1
  status=$?
  [ "$status" -eq 77 ] && { grep skipped "$said"; exit 77; }
  [ "$status" -eq "$wanted" ] && return
  cat "$said"
  echo "$*: exit status $status, not $wanted"
  exit 1
}
says() {
  for line; do
    grep -Eq -- "$line" "$said" || { cat "$said"; echo "no line says: $line"; exit 1; }
  done
}
run 0 "$vmm" --rate 1  # whether there is a KVM at all
case $case_ in
whole)
  run 0 "$teeio" run -v --host-kvm -- "$vmm" 0000:01:00.1
  says 'guest: ERROR 0, status 1, 1 interrupt, 0 words wrong' 'guest: BAR2 off .*, on 12345678' \
    'ioctl\([0-9]+<anon_inode:kvm-vm>, KVM_CREATE_DEVICE, .*= 0' 'the machine is as it was at boot'
  # Neither the real VM's own calls nor KVM_RUN pass through the supervisor.
  ! grep -Eq 'KVM_(RUN|CREATE_VM|CREATE_VCPU|IRQFD|SET_USER_MEMORY_REGION)' "$said" ||
    { cat "$said"; echo "a call of the real KVM was taken"; exit 1; }
  ;;
tsm)
  connect='echo tsm0 >/sys/bus/pci/devices/0000:01:00.0/tsm/connect && exec "$0" "$@"'
  run 0 "$teeio" run -v --host-kvm -- sh -c "$connect" "$vmm" 0000:01:00.1 --tsm
  says 'TSM_BIND: EINVAL' 'VFIO_DEVICE_TSM_BIND, .*EINVAL \(a VM without a TD cannot have a TDI\)'
  ;;
rate)
  run 0 "$teeio" run --host-kvm -- "$vmm" --rate 2000
  says '^[0-9]+ KVM_RUN/s$'
  ;;
esac
