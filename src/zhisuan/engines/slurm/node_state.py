"""What the nodes' files say of a run. ``scripts/node.sh`` writes them; the names of the lines are explained here.

``node MS NAME JOB`` the node began · ``setup MS``, ``run MS`` a script began · ``refused WHY`` · ``said PHASE STATUS`` how a
script ended · ``ending REASON MESSAGE`` why the node was ended · ``ended MS CPU_MS MEMORY STATUS`` nothing is left there.
"""

from dataclasses import dataclass

from zhisuan.engines.slurm.paths import RunPaths, read_small


@dataclass(frozen=True, slots=True)
class NodeState:
    """``status`` is that of the outermost process. Times are milliseconds since 1970."""

    name: str = ""
    began_ms: int | None = None
    started_ms: int | None = None
    phase: str = "preparing"
    refused: str | None = None
    said: tuple[str, int] | None = None
    ending: tuple[str, str] | None = None
    ended_ms: int | None = None
    cpu_ms: int = 0
    memory_peak_bytes: int = 0
    used_ms: int | None = None
    status: int = 0


def read_node(text: str, use: str, started: str = "") -> NodeState:
    """``text`` of ``events``, and what ``use`` and ``started`` hold. ``started`` says sooner that a script began, but the
    work itself could change it, so what ``events`` says comes first. Of each kind the first line counts, and a damaged
    one is passed over; that ``setup`` succeeded is not how the node ended."""
    first: dict[str, str] = {}
    for line in [*text.splitlines(), *started.splitlines()[:2]]:
        kind, _, rest = line.partition(" ")
        if (kind, rest) != ("said", "setup 0"):
            first.setdefault(kind, rest)
    node = first.get("node", "").split(" ")
    starts = [_number(first[kind]) for kind in ("setup", "run") if kind in first]
    ended = [_number(word) or 0 for word in first["ended"].split(" ")] if "ended" in first else []
    used = [_number(word) for word in use.removeprefix("use ").split()] if use.startswith("use ") else []
    live = (0, 0) if len(used) != 3 else (used[1] or 0, used[2] or 0)
    said = first.get("said", "").split(" ")
    ending = first.get("ending", "").partition(" ")
    return NodeState(
        name=node[1] if len(node) > 1 else "",
        began_ms=_number(node[0]),
        started_ms=next((start for start in starts if start is not None), None),
        phase="running" if "run" in first else "preparing",
        refused=first.get("refused"),
        said=(said[0], int(said[1])) if len(said) == 2 and said[1].isdigit() else None,
        ending=(ending[0], ending[2]) if ending[0] else None,
        ended_ms=ended[0] if len(ended) == 4 else None,
        cpu_ms=max(live[0], ended[1] if len(ended) == 4 else 0),
        memory_peak_bytes=max(live[1], ended[2] if len(ended) == 4 else 0),
        used_ms=used[0] if len(used) == 3 else None,
        status=ended[3] if len(ended) == 4 else 0,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() and len(text) < 16 else None


@dataclass(frozen=True, slots=True)
class RunState:
    """``claimed_by`` is the Slurm job that took the run on; ``first_to_end`` the rank that ended a run of several nodes."""

    nodes: tuple[NodeState, ...]
    claimed_by: int | None
    first_to_end: int | None
    done_ms: int | None

    @property
    def started_ms(self) -> int | None:
        return min((node.started_ms for node in self.nodes if node.started_ms is not None), default=None)

    @property
    def last_sign_ms(self) -> int | None:
        """The latest time that any node wrote down."""
        times = [
            at
            for node in self.nodes
            for at in (node.ended_ms, node.used_ms, node.started_ms, node.began_ms)
            if at is not None
        ]
        return max(times, default=None)

    @property
    def lives(self) -> bool:
        """Whether a node has begun and none has said that all is over."""
        return self.started_ms is not None and self.done_ms is None

    @property
    def phase(self) -> str:
        return "running" if any(node.phase == "running" for node in self.nodes) else "preparing"

    @property
    def cpu_ms(self) -> int:
        return sum(node.cpu_ms for node in self.nodes)

    @property
    def memory_peak_bytes(self) -> int:
        """Of the node that used most: the limit is that of each node."""
        return max((node.memory_peak_bytes for node in self.nodes), default=0)


def read_run(paths: RunPaths, nodes: int) -> RunState:
    states = tuple(
        read_node(*(read_small(paths.node(rank) / name) for name in ("events", "use", "started")))
        for rank in range(nodes)
    )
    done = read_small(paths.done).split()
    end = _number(read_small(paths.end).strip())
    return RunState(
        nodes=states,
        claimed_by=_number(read_small(paths.claim).strip()),
        first_to_end=end if end is not None and end < nodes else None,
        done_ms=_number(done[1]) if len(done) == 2 else None,
    )
