#!/bin/sh
# mpirun -np 4 mpi.sh SCENARIO...: a part for each rank.
exec ./shard.sh "$OMPI_COMM_WORLD_RANK" "$OMPI_COMM_WORLD_SIZE" "$@"
