# In a container teeio has the calls of Docker's default profile (dummy/confined.cc has their list):
# it works, and doctor says so, and what is missing.
. "$(dirname "$0")/common.sh"
confine=$(dirname "$2")/../scenario_confine
machine=$(dirname "$0")/../../../machines/iommufd-mock.toml
"$confine" "$teeio" doctor >"$said" || { cat "$said"; exit 1; }
says '^absent   process_vm_readv: Operation not permitted$' '^absent   pidfd_getfd: ' \
  '^ok       memory of descendants$' '^teeio run works here$'
"$confine" "$teeio" run --host-kvm -- true >"$said" 2>&1
[ $? -eq 125 ] || { echo "--host-kvm does not end with 125"; exit 1; }
says '^teeio: .*(docker needs --cap-add=SYS_PTRACE|/dev/kvm)'  # or there is no KVM at all
for under in "" "$confine"; do
  # shellcheck disable=SC2086
  $under "$teeio" run --machine "$machine" -- "$2" >"$said" 2>&1 || { cat "$said"; exit 1; }
  says '^another address space$'
done
