#!/bin/bash
# One node's part of a run of several nodes; started by srun once a node. $1 the run's folder, $2 the folder of these scripts.
umask 077
cd -- "$1" || exit 1
library=$2
exec </dev/null >/dev/null 2>>errors
. "$library/node.sh"
for rank in "${!nodes[@]}"; do
    [[ ${nodes[rank]} == "$SLURMD_NODENAME" ]] && break
done
carry_out "$rank"
