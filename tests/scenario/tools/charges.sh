# Pinned pages are charged to who maps them, against its RLIMIT_MEMLOCK.
. "$(dirname "$0")/common.sh"
machine=$(dirname "$0")/../../../machines/iommufd-mock.toml
"$teeio" run -v --machine "$machine" -- "$2" >"$said" 2>&1 || {
  status=$?
  cat "$said"
  exit $status
}
says '^charged as it should be$' 'ENOMEM .the user.s processes would pin more than RLIMIT_MEMLOCK'
