"""What the parts of a gang say, node by node, and what follows for the whole. No Ray in here."""

import os

from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths

_OWN_WORDS = ("cancelled", "timed_out", "orphaned")
"""Ends that come from outside the work: they read the same on every node."""


def part_paths(paths: RunPaths, rank: int) -> RunPaths:
    return RunPaths(f"{paths.folder}/nodes/{rank}")


def parts(paths: RunPaths) -> list[RunPaths]:
    """Of a run's folder; none for a run on one node."""
    try:
        ranks = sorted(int(name) for name in os.listdir(f"{paths.folder}/nodes"))
    except FileNotFoundError:
        return []
    return [part_paths(paths, rank) for rank in ranks]


def ask_to_stop(paths: RunPaths, message: str, grace_seconds: int) -> None:
    """The file is the request; the pipe only makes it seen at once where it reaches."""
    records.write_atomic(paths.stop, [("grace_seconds", str(grace_seconds)), ("message", message)])
    try:
        fd = os.open(paths.poke, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, b"!")
    except OSError:
        return
    finally:
        os.close(fd)


class Part:
    """``ended``: the exit record, or what stands for it when the node died without one."""

    def __init__(self, rank: int, hostname: str, paths: RunPaths) -> None:
        self.rank = rank
        self.hostname = hostname
        self.paths = paths
        self.state: dict[str, str] = {}
        self.beat: dict[str, str] = {}
        self.ended: dict[str, str] | None = None

    def look(self) -> None:
        if self.ended is None:
            self.state = dict(records.read(self.paths.state) or [])
            self.beat = dict(records.read(self.paths.heartbeat) or [])
            exit_record = records.read(self.paths.exit)
            self.ended = dict(exit_record) if exit_record is not None else None

    def gone(self, reason: str, message: str, now_ms: int) -> None:
        """Nothing more will come from this node: ends the part unless it has written how it ended."""
        self.look()
        if self.ended is None:
            self.ended = {
                **{key: self.state[key] for key in ("started_ms",) if key in self.state},
                "reason": reason,
                "message": message,
                "ended_ms": str(int(self.beat.get("at_ms", now_ms))),
                "cpu_ms": self.beat.get("cpu_ms", "0"),
                "memory_peak_bytes": self.beat.get("memory_peak_bytes", "0"),
            }

    @property
    def running(self) -> bool:
        return self.ended is not None or self.state.get("phase") == "running"

    @property
    def started_ms(self) -> int | None:
        value = (self.ended or self.state).get("started_ms")
        return int(value) if value is not None else None

    def number(self, key: str) -> int:
        return int((self.ended or self.beat).get(key, "0"))


def cause(parts: list[Part]) -> Part | None:
    """The first part that ended otherwise than completed; None when there is none."""
    bad = [part for part in parts if part.ended is not None and part.ended["reason"] != "completed"]
    return min(bad, key=lambda part: (int((part.ended or {})["ended_ms"]), part.rank), default=None)


def started_ms(parts: list[Part]) -> int | None:
    return min((part.started_ms for part in parts if part.started_ms is not None), default=None)


def use(parts: list[Part]) -> records.Pairs:
    """Processor time of all nodes together; of memory the most that one node used, since the limit is each node's."""
    return [
        ("cpu_ms", str(sum(part.number("cpu_ms") for part in parts))),
        ("memory_peak_bytes", str(max(part.number("memory_peak_bytes") for part in parts))),
    ]


def whole_exit(parts: list[Part], guilty: Part | None) -> records.Pairs:
    """The run's exit record. ``guilty``: the part that ended it for all."""
    began = started_ms(parts)
    ended = max(part.number("ended_ms") for part in parts)
    pairs = [("ended_ms", str(max(ended, began or 0))), *use(parts)]
    if began is not None:
        pairs.append(("started_ms", str(began)))
    if guilty is None or guilty.ended is None:
        return [*pairs, ("reason", "completed"), ("exit_code", "0")]
    reason, message = guilty.ended["reason"], guilty.ended.get("message", "")
    pairs.append(("reason", reason))
    pairs += [(key, guilty.ended[key]) for key in ("exit_code", "signal") if key in guilty.ended]
    text = message if reason in _OWN_WORDS else f"node {guilty.rank} ({guilty.hostname}): {message}"
    return [*pairs, ("message", text)]
