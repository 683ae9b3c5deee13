# Dirty bits, first stages and PASIDs, with the card's DMA: $2 says what it saw of a machine.
. "$(dirname "$0")/common.sh"
machines=$(dirname "$0")/../../../machines
with_pasids=$(mktemp) || exit 1
trap 'rm -f "$said" "$with_pasids"' EXIT
sed 's/^pasid_bits = 0/pasid_bits = 20/' "$machines/tdx-connect.toml" >"$with_pasids"
for run in "$with_pasids intel-pasids" "$machines/tdx-connect.toml intel" \
  "$machines/amd-sev.toml amd" "$machines/arm-cca-slice.toml arm"; do
  set -- "$1" "$2" $run
  "$teeio" run --machine "$3" -- "$2" "$4" >"$said" 2>&1 || {
    cat "$said"
    echo "$4: exit status $?"
    exit 1
  }
  says "^$4: as it should be$"
done
