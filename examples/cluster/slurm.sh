#!/bin/sh
# sbatch slurm.sh SCENARIO...: a job array of four; a node that dies gives its part to another.
#SBATCH --array=0-3
#SBATCH --requeue
#SBATCH --open-mode=append
exec ./shard.sh "$SLURM_ARRAY_TASK_ID" "${SHARDS:-4}" "$@"
