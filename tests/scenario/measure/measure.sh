#!/bin/sh
# measure.sh BUILD_DIR [ROUNDS] [CALLS]: what the supervisor costs over a bare
# one, and over its filter alone, interleaved; and the kernel that this holds for.
dir=$1/tests/scenario
uname -sr
echo "microseconds: refused ioctl, ioctl with a struct, open + close, getpid, read and pread 64 KiB"
for round in $(seq "${2:-5}"); do
  printf 'bare  '; "$dir/measure_bare" "$dir/measure_calls" "${3:-20000}"
  printf 'filter'; "$dir/measure_filter" "$dir/measure_calls" "${3:-20000}"
  printf 'teeio '; "$dir/teeio_run_dummy" -- "$dir/measure_calls" "${3:-20000}"
done
echo "microseconds: the bare one's ioctl; IOMMU_IOAS_MAP and _UNMAP of 4 KiB, private and shared"
for round in $(seq "${2:-5}"); do
  printf 'bare  '; "$dir/measure_bare" "$dir/measure_maps" "${3:-20000}"
  printf 'teeio '; "$1/teeio" run -- "$dir/measure_maps" "${3:-20000}"
done
