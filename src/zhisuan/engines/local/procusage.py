"""A process tree as the host sees it, for where there is no control group to ask."""

import os

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[bytes] | None:
    """The fields of proc(5) ``stat`` after the program's name: state, parent, …"""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def start_ticks(pid: int) -> int | None:
    """When the process began, in clock ticks since boot: with the pid it names a process for ever. None when gone."""
    fields = _stat(pid)
    return int(fields[19]) if fields is not None and fields[0] != b"Z" else None


def tree(root_pid: int) -> dict[int, list[bytes]]:
    """``root_pid`` and all its descendants that are alive, with their fields."""
    table = {int(name): fields for name in os.listdir("/proc") if name.isdigit() and (fields := _stat(int(name)))}
    children: dict[int, list[int]] = {}
    for pid, fields in table.items():
        children.setdefault(int(fields[1]), []).append(pid)
    found: dict[int, list[bytes]] = {}
    todo = [root_pid]
    while todo:
        pid = todo.pop()
        if pid in table:
            found[pid] = table[pid]
        todo.extend(children.get(pid, ()))
    return found


def tree_usage(root_pid: int) -> tuple[int, int]:
    """(cpu milliseconds with waited-for children, resident bytes) of the tree."""
    members = tree(root_pid).values()
    ticks = sum(int(field) for fields in members for field in fields[11:15])
    return ticks * 1000 // _TICKS, sum(int(fields[21]) for fields in members) * _PAGE_BYTES


def kill_tree(root_pid: int, *, spare_root: bool = False) -> None:
    """SIGKILL to the tree. ``spare_root`` leaves the root to end by itself once its descendants are gone, so that its
    end means theirs; it is killed only when it has none."""
    members = list(tree(root_pid))
    descendants = [pid for pid in members if pid != root_pid]
    for pid in descendants if spare_root and descendants else members:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
