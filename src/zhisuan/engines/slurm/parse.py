"""Reads what Slurm's commands print. Pure; every function raises Nonsense for what is not the command's own format.

Formats: scontrol(1) ``show … --oneliner``, squeue(1) ``--format``, sacct(1) ``--parsable2``, gres.conf(5); Slurm 20.11 to 24.05.
"""

import re
from dataclasses import dataclass

_FIELD = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z0-9_/:]*)=")
_GRES = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_]*)(?::(?P<kind>[^:()]+))?:(?P<count>\d+)(?P<unit>[KMGkmg]?)")
_DURATION = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)(?:\.\d+)?")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

SQUEUE_FORMAT = "%A|%T|%k|%K|%S|%e|%M|%D|%r"
"""Times as seconds since 1970: ``commands.Slurm`` asks for them so."""
_STATE = re.compile(r"[A-Z_]+")


class Nonsense(Exception):
    """A Slurm command printed what it never prints; the text shows a part of it."""


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """One job (or task of an array) as squeue shows it; ``task`` is None outside arrays. ``token`` is its comment.
    ``started`` and ``ended`` are seconds since 1970, of a job that waits or runs perhaps what Slurm expects."""

    job_id: int
    state: str
    token: str
    task: int | None
    reason: str
    started: int | None = None
    ended: int | None = None
    elapsed_seconds: int = 0
    nodes: int | None = None


@dataclass(frozen=True, slots=True)
class Gres:
    """``count`` of a node's generic resources; ``kind`` is empty when the site gives no type."""

    name: str
    kind: str
    count: int


def fields(line: str) -> dict[str, str]:
    """``Name=value …`` of one line; a value may hold spaces."""
    marks = list(_FIELD.finditer(line))
    ends = [mark.start() for mark in marks[1:]] + [len(line)]
    found: dict[str, str] = {}
    for mark, end in zip(marks, ends, strict=True):
        found.setdefault(mark[1], line[mark.end() : end].strip())
    return found


def records(output: str, name: str) -> list[dict[str, str]]:
    """The lines of ``scontrol show … --oneliner``, each of which begins with ``name=``."""
    found = []
    for line in output.splitlines():
        if not line.strip():
            continue
        if not line.startswith(f"{name}="):
            raise Nonsense(line[:200])
        found.append(fields(line))
    return found


def settings(output: str) -> dict[str, str]:
    """The lines ``Name = value`` of ``scontrol show config``."""
    found = {}
    for line in output.splitlines():
        name, sep, value = line.partition("=")
        if sep and " " not in name.strip():
            found[name.strip()] = value.strip()
    if "ClusterName" not in found:
        raise Nonsense(output[:200])
    return found


def queue(output: str) -> list[QueuedJob]:
    """The output of ``squeue --noheader --array --format=SQUEUE_FORMAT``."""
    found = []
    for line in output.splitlines():
        parts = line.split("|", 8)
        if len(parts) != 9 or not parts[0].isdigit() or not _STATE.fullmatch(parts[1]):
            raise Nonsense(line[:200])
        task, started, ended, nodes = (int(part) if part.isdigit() else None for part in (*parts[3:6], parts[7]))
        elapsed = seconds(parts[6]) or 0
        found.append(
            QueuedJob(int(parts[0]), parts[1], parts[2], task, parts[8].strip(), started, ended, elapsed, nodes)
        )
    return found


def job_id(output: str) -> int:
    """What ``sbatch --parsable`` prints: the number, and after ``;`` the cluster's name."""
    found = re.fullmatch(r"(\d+)(;\S*)?", output.strip())
    if found is None:
        raise Nonsense(output[:200])
    return int(found[1])


def gres(text: str) -> list[Gres]:
    """A node's ``Gres``: ``gpu:ascend910b:8(S:0-1),nic:2``, or ``(null)``."""
    found = []
    for part in re.sub(r"\([^)]*\)", "", text).split(","):
        if not part.strip():
            continue
        match = _GRES.fullmatch(part.strip())
        if match is None:
            raise Nonsense(f"Gres={text[:200]}")
        found.append(Gres(match["name"], match["kind"] or "", int(match["count"]) * _UNITS[match["unit"].upper()]))
    return found


def seconds(text: str) -> int | None:
    """``[days-]hours:minutes:seconds`` or ``minutes:seconds`` in seconds; None for UNLIMITED, INVALID and the like."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, rest = (int(match[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def cpu_milliseconds(text: str) -> int | None:
    """Of ``TotalCPU``: ``[days-][hours:]minutes:seconds[.thousandths]``; None for what is no time."""
    whole = seconds(text)
    if whole is None:
        return None
    return whole * 1000 + int(text.strip().partition(".")[2][:3].ljust(3, "0") or 0)


def number(text: str) -> int:
    """Raises Nonsense for what is no whole number."""
    if not text.strip().isdigit():
        raise Nonsense(text[:200])
    return int(text)
