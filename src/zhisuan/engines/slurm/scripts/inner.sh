#!/bin/bash
# The first process inside: unpacks, runs "setup", then "run", passes SIGTERM on, and says on descriptor 3 what happens; that it
# begins also in the file behind descriptor 6, so that it is known before the first output is.
# In the sandbox it is process 1: when it ends, the kernel ends all the rest. Without one it answers for a process group.
#   ISOLATED PROCESSES_MAX PLACE ENV WORK [on_stop FILE GRACE_FILE] [archive NAME FILE TARGET]... [variable NAME=VALUE]...
isolated=$1 processes_max=$2 place=$3 env=$4 work=$5
shift 5
umask 022
main='' hook='' on_stop='' stopping=0 interrupted=0
if [[ ${1-} == on_stop ]]; then
    on_stop=$2 grace_file=$3
    shift 3
fi
# What this shell itself says, of jobs that were killed for example, is not the work's output.
exec 5>&2 2>/dev/null

now() {
    if [[ -n ${EPOCHREALTIME-} ]]; then
        ms=${EPOCHREALTIME/[.,]/}
        ms=${ms%???}
    else
        ms=$(date +%s%3N)
    fi
}

pass_on() {
    stopping=1 interrupted=1
    if ((isolated)); then
        kill -TERM -1
    elif [[ -n $main ]]; then
        kill -TERM -- "-$main"
    fi
    run_hook
}

run_hook() { # the tenant's own script for a stop, once, beside work that has begun; after SIGTERM, so that it is not hit by it
    [[ -n $on_stop && -n $main && -z $hook ]] || return 0
    (
        trap - TERM
        take_environment
        mapfile -t grace <"$grace_file"
        export ZHISUAN_GRACE_SECONDS=${grace[0]-0}
        exec "$BASH" "$on_stop" 2>&5 3>&- 5>&- 6>&-
    ) &
    hook=$!
    ((isolated)) || echo "hook $hook" >&3
}

take_environment() {
    while IFS= read -r -d '' pair; do
        export "$pair"
    done <"$env"
    for pair in "${variables[@]}"; do
        export "$pair"
    done
    unset pair variables
}

others_live() {
    if ((isolated)); then kill -0 -1; else kill -0 -- "-$main" || { [[ -n $hook ]] && kill -0 "$hook"; }; fi
}

refuse() {
    echo "refused ${1//$'\n'/; }" >&3
    exit 0
}

unpack() { # NAME FILE TARGET
    local message
    message=$(mkdir -p -- "$3" 2>&1) || refuse "$1: $message"
    message=$(tar -xzf "$2" -C "$3" 3>&- 6>&- 2>&1) || refuse "$1: ${message:-tar failed}"
}

script() { # PHASE FILE [OPTION]: status
    local phase=$1 file=$2
    shift 2
    ((isolated)) || set -m
    now
    echo "$phase $ms" >&6
    echo "$phase $ms" >&3
    (
        trap - TERM
        take_environment
        exec "$BASH" "$@" "$file" 2>&5 3>&- 5>&- 6>&-
    ) &
    main=$!
    ((isolated)) || echo "pid $main" >&3
    ((stopping)) && pass_on
    while :; do
        interrupted=0
        wait "$main"
        status=$?
        ((interrupted)) || break
    done
    echo "said $phase $status" >&3
}

trap pass_on TERM
echo hello >&3
cd -- "$work" || refuse "the work folder cannot be entered"
((isolated)) && ulimit -u "$processes_max" 2>/dev/null
while [[ ${1-} == archive ]]; do
    ((stopping)) && exit 0
    unpack "$2" "$3" "$4"
    shift 4
done
variables=()
while [[ ${1-} == variable ]]; do
    variables+=("$2")
    shift 2
done
status=0
if [[ -e $place/setup.sh ]] && ! ((stopping)); then
    script setup "$place/setup.sh" -e
fi
if ((status == 0 && !stopping)); then
    script run "$place/run.sh"
fi
if ((stopping)); then
    # What the work left in the background has the rest of the grace too.
    while others_live; do
        sleep 0.05
    done
fi
