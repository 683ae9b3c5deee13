# A program makes steps of its own calls fail, as on a kernel with CONFIG_FAULT_INJECTION.
. "$(dirname "$0")/common.sh"
machine=$(dirname "$0")/../../../machines/iommufd-mock.toml
"$teeio" run --machine "$machine" -- "$2" >"$said" 2>&1 || { cat "$said"; exit 1; }
says '^every step failed once, and then none$' '^teeio: .*FAULT_INJECTION: forcing a failure: an iommufd$'
# On a kernel without, there is no such file.
run 2 sh -c 'exec 3</proc/self/fail-nth'
