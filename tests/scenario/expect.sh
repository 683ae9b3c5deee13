#!/bin/sh
# expect.sh STATUS REGEX SCRIPT ARGS: runs SCRIPT and compares its exit status, and
# its stderr with REGEX (empty: stderr must be empty).
err=$(mktemp) || exit 1
trap 'rm -f "$err"' EXIT
want=$1 regex=$2
shift 2
sh "$@" 2>"$err"
status=$?
if [ "$status" != "$want" ]; then
  echo "exit status $status, not $want"; cat "$err"; exit 1
fi
if [ -z "$regex" ] && [ -s "$err" ]; then
  echo "unexpected words on stderr:"; cat "$err"; exit 1
fi
if [ -n "$regex" ] && ! grep -Eq -- "$regex" "$err"; then
  echo "stderr does not match $regex:"; cat "$err"; exit 1
fi
