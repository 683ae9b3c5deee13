# A /dev/shm that fills up during a run: calls are refused with a sentence, and nobody dies of
# SIGBUS. Needs a mount of its own.
. "$(dirname "$0")/common.sh"
needs unshare
unshare -rm sh -c 'mount -t tmpfs -o size=2m none /dev/shm' 2>/dev/null ||
  unshare -m sh -c 'mount -t tmpfs -o size=2m none /dev/shm' 2>/dev/null ||
  { echo "no mount is allowed here"; exit 77; }
how=-rm
unshare -rm sh -c 'mount -t tmpfs -o size=2m none /dev/shm' 2>/dev/null || how=-m
unshare "$how" sh -c '
  mount -t tmpfs -o size=2m none /dev/shm || exit 1
  "$1" run -v -- "$2"' sh "$teeio" "$2" >"$said" 2>&1 ||
  { cat "$said"; echo "exit status $?"; exit 1; }
says '^all is well again$' "the run's tmpfs is full"
