# For the scripts beside it: run a command under teeio, then look at what it said.
teeio=$1
card=/sys/bus/pci/devices/0000:01:00.0
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT

# needs TOOL...: skips the test where one is missing.
needs() {
  for tool; do
    command -v "$tool" >/dev/null 2>&1 || { echo "$tool is not installed"; exit 77; }
  done
}

# run STATUS COMMAND...: the command must leave with that status.
run() {
  wanted=$1
  shift
  "$teeio" run -- "$@" >"$said" 2>&1
  status=$?
  [ "$status" -eq "$wanted" ] && return
  cat "$said"
  echo "$*: exit status $status, not $wanted"
  exit 1
}

# says REGEX...: each matches a line of what the last command said.
says() {
  for line; do
    grep -Eq -- "$line" "$said" && continue
    cat "$said"
    echo "no line says: $line"
    exit 1
  done
}
