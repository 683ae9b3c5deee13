# A mapped page of a program costs no descriptor, and what a program executes has memory of its
# own.
. "$(dirname "$0")/common.sh"
machine=$(dirname "$0")/../../../machines/iommufd-mock.toml
ulimit -n 256 || exit 77
"$teeio" run --machine "$machine" -- "$2" 1000 >"$said" 2>&1
status=$?
[ "$status" -eq 0 ] || { cat "$said"; exit 1; }
says '^pinned before and after$'
