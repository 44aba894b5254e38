# Watches over one node of a run: starts the sandbox, hears what is said inside, ends it when it must end, and notes all of
# it in the node's file "events", which the agent reads. The working folder is the run's. Needs bash 4.4 and coreutils.
# A line of "events" is written whole by one write; the names of the lines are those of engines/slurm/run_state.py.

. ./plan

ended_by='' # the reason this node was ended for, the first one stays
child='' inner='' group='' hook='' here='' waiting_to_term=''
kill_at=0 started_at=0 said='' events_seen=0
unbuffered=/usr/libexec/coreutils/libstdbuf.so
cpu_ms=0 memory_peak=0 sample_at=0 use_at=0

now() { # ms: the wall clock, milliseconds since 1970
    if [[ -n ${EPOCHREALTIME-} ]]; then
        ms=${EPOCHREALTIME/[.,]/}
        ms=${ms%???}
    else
        ms=$(date +%s%3N)
    fi
}

# A trap may run within "read -t", and a "read" of its own would take the other's time limit away for good (bash 5.2): so
# what traps call reads with mapfile.
steady() { # cs: a clock that nobody sets, hundredths of a second
    mapfile -t uptime </proc/uptime
    cs=${uptime[0]%% *}
    cs=${cs/./}
}

note() { printf '%s\n' "$*" >>"$mine/events"; }

first_to_end() { # claims the end of a run of several nodes for this node; the others follow
    ((${#nodes[@]} > 1)) || return 0
    set -o noclobber
    echo "$rank" 2>/dev/null >flags/end
    set +o noclobber
}

finish() { # REASON GRACE_SECONDS MESSAGE: a later call can only shorten what is left of the grace
    steady
    local due=$((cs + $2 * 100))
    if [[ -n $ended_by ]]; then
        ((due < kill_at)) && kill_at=$due
        return 0
    fi
    ended_by=$1
    note "ending $1 $3"
    kill_at=$due
    echo "$2" >"$mine/grace"
    (($2 > 0)) && terminate
    [[ $1 == timed_out || $1 == orphaned || $1 == out_of_memory ]] && first_to_end
    return 0
}

terminate() { # before the first process inside can hear it, the wish waits
    if [[ -z $here ]]; then
        waiting_to_term=1
    elif [[ -n $inner ]]; then
        kill -TERM "$inner" 2>/dev/null
    fi
}

kill_all() {
    if ((isolated)); then
        kill -KILL "${inner:-$child}" 2>/dev/null
    else
        [[ -n $group ]] && kill -KILL -- "-$group" 2>/dev/null
        [[ -n $hook ]] && kill -KILL -- "-$hook" 2>/dev/null
        kill -KILL "$child" 2>/dev/null
    fi
}

look_for_stop() {
    local asked
    [[ -s stop ]] || return 0
    mapfile asked <stop
    [[ ${asked[0]} =~ ^stop\ ([0-9]+)\ (.*)$'\n'$ ]] && finish cancelled "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    return 0
}

poked() { # by Slurm's signal
    look_for_stop
    steady
    ((kill_at && cs >= kill_at)) && kill_all
    return 0
}

look_for_the_others() {
    ((${#nodes[@]} > 1)) && [[ -z $ended_by && -e flags/end ]] && finish gang "$grace_seconds" "another node ended first"
    return 0
}

look_for_agent() { # elapsed time since the file last changed, by our own clock: no clock step ends a run
    local stamp
    ((cs >= keepalive_at)) || return 0
    keepalive_at=$((cs + (orphan_seconds > 400 ? 3000 : 100)))
    stamp=$(stat -c %Y.%y -- "$keepalive" 2>/dev/null) || stamp=none
    if [[ $stamp != "${keepalive_stamp-}" ]]; then
        keepalive_stamp=$stamp
        keepalive_since=$cs
    elif ((cs - keepalive_since >= orphan_seconds * 100)); then
        finish orphaned "$grace_seconds" \
            "the site agent has not been heard of for $orphan_seconds seconds; restart it and launch again"
    fi
}

measure() { # what the tree below the sandbox uses now: processor time of the living and of those they waited for; memory
    local todo=("$child") pid stat kids file ticks=0 pages=0 seen=()
    while ((${#todo[@]})); do
        pid=${todo[-1]}
        unset 'todo[-1]'
        { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || continue
        stat=(${stat##*) })
        ((ticks += stat[11] + stat[12] + stat[13] + stat[14], pages += stat[21]))
        seen+=("$pid")
        for file in "/proc/$pid/task/"*/children; do
            { read -r -a kids <"$file"; } 2>/dev/null
            ((${#kids[@]})) && todo+=("${kids[@]}")
        done
    done
    ((ticks * 10 > cpu_ms)) && cpu_ms=$((ticks * 10))
    local bytes=$((pages * 4096))
    ((bytes > memory_bytes)) && shared_once "${seen[@]}"
    ((bytes > memory_peak)) && memory_peak=$bytes
    # Where Slurm itself holds jobs to their memory, it is quicker than this.
    if ((bytes > memory_bytes)) && [[ -z $ended_by ]]; then
        finish out_of_memory 0 "the memory limit of $((memory_bytes >> 20)) MiB was reached; ask for more memory"
    fi
    return 0
}

shared_once() { # bytes: what these processes hold, with what they share counted once
    local pid line sum=0
    for pid in "$@"; do
        mapfile -t line 2>/dev/null </proc/"$pid"/smaps_rollup || continue
        for line in "${line[@]}"; do
            [[ $line =~ ^Pss:\ +([0-9]+)\ kB$ ]] && ((sum += BASH_REMATCH[1])) && break
        done
    done
    ((sum)) && bytes=$((sum * 1024))
    return 0
}

first_inside() { # inner: the sandbox's process 1, the only child of bwrap
    local file stat kids
    { read -r inner <"/proc/$child/task/$child/children"; } 2>/dev/null
    inner=${inner%% *}
    [[ -n $inner ]] && return 0
    # A kernel without that file: the process whose parent bwrap is.
    for file in /proc/[0-9]*/stat; do
        { read -r stat <"$file"; } 2>/dev/null || continue
        kids=(${stat##*) })
        ((kids[1] == child)) && inner=${stat%% *} && return 0
    done
}

heard() { # one line from inside, believed only as far as it concerns this run
    ((++events_seen > 64)) && return 0
    case $1 in
    'pid '*) group=${1//[^0-9]/} ;;
    'hook '*) hook=${1//[^0-9]/} ;;
    hello)
        here=1
        ((isolated)) && first_inside
        [[ -n $waiting_to_term ]] && terminate
        ;;
    'refused '*) [[ -z $said && $started_at == 0 ]] && note "refused ${1:8:1000}" ;;
    'setup '* | 'run '*)
        [[ $1 =~ ^(setup|run)\ [0-9]+$ ]] || return 0
        note "$1"
        steady
        ((started_at)) || started_at=$cs
        ;;
    'said '*)
        [[ ( -z $said || $said == 'said setup 0' ) && $1 =~ ^said\ (setup|run)\ [0-9]+$ ]] || return 0
        said=$1
        note "$1"
        ;;
    esac
}

act() {
    steady
    look_for_stop
    look_for_the_others
    look_for_agent
    if ((max_seconds && started_at && cs >= started_at + max_seconds * 100)); then
        finish timed_out "$grace_seconds" "the time limit of $max_seconds seconds was reached"
    fi
    if ((kill_at && cs >= kill_at)); then
        kill_all
    fi
    if ((cs >= sample_at)); then
        measure
        # Often at first, since short work would otherwise not be seen at all; seldom later.
        sample_at=$((cs + (cs - begun_at < 300 ? 10 : cs - begun_at < 6000 ? 100 : 500)))
        if ((cs >= use_at)); then
            now
            echo "use $ms $cpu_ms $memory_peak" >"$mine/use"
            use_at=$((cs + 500))
        fi
    fi
    tick=1
    ((kill_at || cs - begun_at < 300)) && tick=0.1
    return 0
}

children_cpu() { # processor time of all that was waited for, in milliseconds
    local user system line
    times >"$mine/use"
    { read -r line && read -r user system; } <"$mine/use"
    spent_ms=0
    for line in $user $system; do # 0m1.234s
        [[ $line =~ ^([0-9]+)m([0-9]+)[.,]([0-9]{3})s$ ]] || continue
        ((spent_ms += BASH_REMATCH[1] * 60000 + BASH_REMATCH[2] * 1000 + 10#${BASH_REMATCH[3]}))
    done
}

sandbox() { # command: the words before the first process inside
    local name path index
    command=(bwrap --unshare-user --unshare-ipc --unshare-pid --unshare-cgroup-try --disable-userns --die-with-parent
        --new-session --as-pid-1 --clearenv --cap-drop ALL --ro-bind /usr /usr)
    [[ $network == none ]] && command+=(--unshare-net)
    for name in bin sbin lib lib32 lib64 libx32; do
        # No process is spent on what the shell can say itself: short work would wait longer for us than for Slurm.
        if [[ -L /$name && /$name -ef /usr/$name ]]; then
            command+=(--symlink "usr/$name" "/$name")
        elif [[ -d /$name ]]; then
            command+=(--ro-bind "/$name" "/$name")
        fi
    done
    for path in "${etc[@]}"; do
        [[ -e /etc/$path ]] && command+=(--ro-bind "/etc/$path" "/etc/$path")
    done
    command+=(--proc /proc --dev /dev --dir /var --symlink /tmp /var/tmp
        --perms 1777 --size "$memory_bytes" --tmpfs /tmp)
    if ((${#device_globs[@]})); then
        command+=(--ro-bind /sys /sys --tmpfs /sys/fs)
        # A name without a match stays as it is, and is not there.
        for path in ${device_globs[*]}; do
            [[ -e $path ]] && command+=(--dev-bind "$path" "$path")
        done
    else
        command+=(--ro-bind-try /sys/devices/system/cpu /sys/devices/system/cpu
            --ro-bind-try /sys/devices/system/node /sys/devices/system/node)
    fi
    for path in "${readable[@]}"; do
        [[ -d $path ]] && command+=(--ro-bind "$path" "$path")
    done
    for index in "${!inside[@]}"; do
        command+=(--bind "$mine/${outside[index]}" "${inside[index]}")
    done
    command+=(--bind "$mine/progress" /run/zhisuan/progress --ro-bind "$library" /run/zhisuan/lib
        --ro-bind "$folder/env.$rank" /run/zhisuan/env --ro-bind "$folder/run.sh" /run/zhisuan/run.sh)
    [[ -e setup.sh ]] && command+=(--ro-bind "$folder/setup.sh" /run/zhisuan/setup.sh)
    [[ -e on_stop.sh ]] && command+=(--ro-bind "$folder/on_stop.sh" /run/zhisuan/on_stop.sh --ro-bind "$mine/grace" /run/zhisuan/grace)
    for index in "${!archive_names[@]}"; do
        command+=(--ro-bind "$folder/archive.$index" "/run/zhisuan/archive.$index")
    done
    for name in passwd group nsswitch.conf; do
        command+=(--ro-bind "$library/etc.$name" "/etc/$name")
    done
    command+=(--remount-ro / "$BASH")
}

inner_arguments() { # PLACE WORK ENV_SUFFIX GRACE_FILE; words: what inner.sh is told; PLACE is where it finds the run's files
    local place=$1 work=$2 index name
    words=("$isolated" "$processes_max" "$place" "$place/env$3" "$work")
    [[ -e on_stop.sh ]] && words+=(on_stop "$place/on_stop.sh" "$4")
    for index in "${!archive_names[@]}"; do
        words+=(archive "${archive_names[index]}" "$place/archive.$index" "${archive_targets[index]/#@/$mine/}")
    done
    for name in CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES GPU_DEVICE_ORDINAL ZE_AFFINITY_MASK SLURM_JOB_ID SLURMD_NODENAME \
        SLURM_JOB_GPUS; do
        [[ -n ${!name-} ]] && words+=(variable "$name=${!name}")
    done
    for name in "${visible[@]}"; do
        [[ -n ${CUDA_VISIBLE_DEVICES-} ]] && words+=(variable "$name=$CUDA_VISIBLE_DEVICES")
    done
}

launch() { # child, ev: the sandbox, and the pipe of what is said in it, which ends with it
    local output
    ulimit -c 0
    # Beyond the limit output is read and thrown away, so that it never stops the work.
    exec {output}> >(
        trap '' TERM USR1
        # What stdbuf would do, without a process of its own.
        if [[ -e $unbuffered ]]; then
            LD_PRELOAD=$unbuffered _STDBUF_O=0 head -c "$log_bytes_max" >>"$mine/out"
        else
            stdbuf -o0 head -c "$log_bytes_max" >>"$mine/out"
        fi
        IFS= read -r -N 1 _ || exit 0
        echo $'\n'"[zhisuan] the log has reached its limit of $log_bytes_max bytes; further output is not kept" >>"$mine/out"
        exec cat >/dev/null
    )
    drain=$!
    if ((isolated)); then
        sandbox
        inner_arguments /run/zhisuan /work '' /run/zhisuan/grace
        exec {ev}< <(exec "${command[@]}" /run/zhisuan/lib/inner.sh "${words[@]}" 3>&1 6>>"$mine/started" >&"$output" 2>&1 {output}>&-)
    else
        inner_arguments "$folder" "$mine/work" ".$rank" "$mine/grace"
        exec {ev}< <(exec "$BASH" "$library/inner.sh" "${words[@]}" 3>&1 6>>"$mine/started" >&"$output" 2>&1 {output}>&-)
    fi
    child=$!
    ((isolated)) || inner=$child
    exec {output}>&-
}

missing() { # what this node lacks, empty when nothing
    local found
    if ((isolated)); then
        found=$(bwrap --version 2>/dev/null) || { echo "bubblewrap (bwrap) is not installed on node ${SLURMD_NODENAME-}"; return; }
        [[ $found =~ ([0-9]+)\.([0-9]+) ]] && ((BASH_REMATCH[1] * 1000 + BASH_REMATCH[2] >= 8)) ||
            echo "$found on node ${SLURMD_NODENAME-} is too old, 0.8.0 or newer is needed"
    fi
}

carry_out() { # RANK: this node's part, from its beginning to its last note
    local line begun='' status lacks
    rank=$1 mine=$folder/$1
    now
    steady
    begun_at=$cs keepalive_at=$((cs + 100))
    note "node $ms ${SLURMD_NODENAME-} $SLURM_JOB_ID"
    trap poked USR1
    trap 'finish slurm 3600 "Slurm ended the job"' TERM
    look_for_stop
    look_for_the_others
    if [[ -n $ended_by ]]; then
        now
        note "ended $ms 0 0 0"
        return 0
    fi
    launch
    tick=0.1
    while :; do
        # A time limit may fall into the middle of a line; what was read of it is then not read again.
        if IFS= read -r -t "$tick" -u "$ev" line; then
            heard "$begun$line"
            begun=''
        elif (($? > 128)); then
            begun+=$line
        else
            break
        fi
        act
    done
    ((isolated)) || kill_all
    while :; do
        wait "$child"
        status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    wait_for_output
    children_cpu
    ((spent_ms > cpu_ms)) && cpu_ms=$spent_ms
    if [[ -z $said && -z $ended_by ]] && ! ((started_at)); then
        lacks=$(missing)
        [[ -n $lacks ]] && note "refused $lacks"
    fi
    [[ $said != 'said run 0' && -z $ended_by ]] && first_to_end
    now
    note "ended $ms $cpu_ms $memory_peak $status"
    # For srun, whose other tasks are to end when this one failed.
    [[ $said == 'said run 0' || -n $ended_by ]]
}

wait_for_output() { # what is still in the pipe; a process that escaped from unisolated work may hold it open for ever
    local turn
    if ((isolated)); then
        wait "$drain" 2>/dev/null
        return 0
    fi
    for turn in {1..40}; do
        kill -0 "$drain" 2>/dev/null || return 0
        sleep 0.05
    done
    kill -KILL "$drain" 2>/dev/null
    return 0
}
