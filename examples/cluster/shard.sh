#!/bin/sh
# shard.sh I N [SCENARIO...]: explores the I-th of N parts, from where an earlier one like it
# was stopped, and keeps what it did in part-I.json. Workers share nothing but the folder.
set -eu
part=$1 of=$2
shift 2
exec teeio explore --shard "$part/$of" --resume "part-$part.json" --schedules "${SCHEDULES:-1000000}" \
  -j1 --no-progress "$@"
