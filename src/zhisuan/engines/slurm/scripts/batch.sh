#!/bin/bash
# What Slurm starts: takes one run on for this job, carries it out on every node, and says when all is over.
#   $1  the run's folder; in a job array the folder of the batch, whose file of this task's number names it
#   $2  the folder of these scripts
umask 077
folder=$1 library=$2
if [[ -n ${SLURM_ARRAY_TASK_ID-} ]]; then
    IFS= read -r folder <"$1/$SLURM_ARRAY_TASK_ID" || exit 0
fi
# The folder is gone: the run was forgotten before this job began.
cd -- "$folder" 2>/dev/null || exit 0
exec </dev/null >/dev/null 2>>errors

# However often a run was submitted, one job alone makes this file, and only that job goes on.
set -o noclobber
echo "$SLURM_JOB_ID" 2>/dev/null >flags/claim || exit 0
set +o noclobber

. "$library/node.sh"
if ((${#nodes[@]} == 1)); then
    carry_out 0
else
    srun --nodes="${#nodes[@]}" --ntasks="${#nodes[@]}" --ntasks-per-node=1 --cpus-per-task="$cpus" "${step_options[@]}" \
        --kill-on-bad-exit=1 --wait=0 --mpi=none --export=ALL --input=none --output=none --error=none \
        "$BASH" "$library/task.sh" "$folder" "$library" &
    step=$!
    # Slurm's signals reach the nodes by themselves; the pokes of the agent are for a run of one node.
    trap : USR1 TERM
    while :; do
        wait "$step"
        kill -0 "$step" 2>/dev/null || break
    done
fi
now
echo "done $ms" >flags/done
