"""What happens in one run of the city, all of it drawn from one seed before it begins."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from zhisuan.testing.city.faults import KINDS


@dataclass(frozen=True, slots=True)
class Event:
    """``what`` is the name of a kind (see ``faults``)."""

    at: float
    what: str
    whom: int
    value: float

    def __str__(self) -> str:
        return f"{self.at:7.1f} s: {self.what} (of {self.whom}, {self.value:g})"


@dataclass(frozen=True, slots=True)
class Job:
    """Work that a tenant orders at ``at``; ``cancel_at`` is when they change their mind. A service has ``warm_up``, the seconds
    until it answers, and runs until it is cancelled."""

    at: float
    seconds: float
    exit_code: int
    setup: float
    wind_down: float
    cpus: int
    restarts: int
    lease_seconds: int | None
    cancel_at: float | None
    poor: bool
    nodes: int = 1
    warm_up: float | None = None

    def file(self, number: int) -> str:
        run = (
            f"work {self.seconds} exit {self.exit_code} setup {self.setup} wind_down {self.wind_down} "
            f"warm_up {self.warm_up or 0.0}"
        )
        term = "" if self.lease_seconds is None else f", lease: {self.lease_seconds}s"
        lines = [f"name: job {number}", f"resources: {{cpus: {self.cpus}, memory: 1}}", f"run: {run}"]
        lines += [f"zhisuan: {{restarts: {self.restarts}{term}}}"]
        lines += [f"num_nodes: {self.nodes}"] if self.nodes > 1 else []
        lines += ["service: {port: 8000, readiness_probe: /ready}"] if self.warm_up is not None else []
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Plot:
    """A site: its nodes, the cores that each really has, and those it claims to have."""

    nodes: int
    cpus: int
    claims: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is drawn; chances are in a thousand. ``skews`` are the seconds that each server's clock is off."""

    seed: int
    skews: tuple[float, ...]
    sites: tuple[Plot, ...]
    jobs: tuple[Job, ...]
    events: tuple[Event, ...]
    lose_answers: int
    lose_requests: int
    repeat: int
    orphan_grace: int

    @property
    def lasts(self) -> float:
        return max([e.at for e in self.events] + [j.at for j in self.jobs])

    def __str__(self) -> str:
        sites = ", ".join(f"{s.nodes} x {s.cpus} cores (claims {s.claims})" for s in self.sites)
        lines = [f"seed {self.seed}: servers' clocks off by {self.skews}; sites: {sites}; {len(self.jobs)} jobs"]
        lines += [f"  {event}" for event in self.events]
        return "\n".join(lines)


def draw(seed: int) -> Scenario:
    chance = random.Random(seed)
    skews = _skews(chance)
    sites = tuple(_plot(chance) for _ in range(chance.choice((1, 2, 2, 3))))
    calm = chance.random() < 0.3
    span = 300.0
    jobs = tuple(_job(chance, span, sites) for _ in range(chance.randint(3, 6)))
    count = chance.randint(2, 7)
    events = sorted((_event(chance, span, len(sites), len(skews)) for _ in range(count)), key=lambda e: e.at)
    return Scenario(
        seed=seed, skews=skews, sites=sites, jobs=jobs, events=tuple(events),
        lose_answers=0 if calm else chance.choice((10, 60, 200)), lose_requests=0 if calm else chance.choice((0, 30)),
        repeat=0 if calm else chance.choice((20, 100)), orphan_grace=chance.choice((600, 3600)),
    )  # fmt: skip


def _skews(chance: random.Random) -> tuple[float, ...]:
    """One server or two; of some pairs the clocks are apart by what servers are let off."""
    servers = chance.choice((1, 2, 2))
    apart = chance.choice((0.0, 0.0, 0.0, 0.0, 2.0, -2.0))
    return tuple(apart * n for n in range(servers))


def _plot(chance: random.Random) -> Plot:
    nodes, cpus = chance.choice((1, 1, 1, 2, 3)), chance.choice((2, 3, 4))
    return Plot(nodes, cpus, cpus + (2 if chance.random() < 0.06 else 0))


def _job(chance: random.Random, span: float, sites: Sequence[Plot]) -> Job:
    at = chance.uniform(0, span * 0.7)
    seconds = chance.choice((0.4, 3.0, 20.0, 61.5, 130.0, 200.0)) * chance.uniform(0.8, 1.2)
    cancel = at + chance.choice((0.0, 0.5, 2.0, 30.0, 90.0)) if chance.random() < 0.3 else None
    nodes, warm_up = 1, None
    if chance.random() < 0.12:
        warm_up, seconds = chance.choice((0.0, 8.0, 40.0)), chance.choice((30.0, 5000.0))
        cancel = at + chance.choice((3.0, 60.0, 250.0))
    elif max(s.nodes for s in sites) > 1 and chance.random() < 0.4:
        nodes = chance.randint(2, max(s.nodes for s in sites))
    return Job(
        at=round(at, 2), seconds=round(seconds, 2), exit_code=0 if chance.random() < 0.8 else 3,
        setup=chance.choice((0.0, 0.0, 4.0)), wind_down=chance.choice((0.0, 1.5, 60.0)), cpus=chance.randint(1, 2),
        restarts=chance.choice((0, 1, 3)), lease_seconds=chance.choice((None, 120, 120)),
        cancel_at=None if cancel is None else round(cancel, 2), poor=chance.random() < 0.15, nodes=nodes, warm_up=warm_up,
    )  # fmt: skip


def _event(chance: random.Random, span: float, sites: int, servers: int) -> Event:
    kind = chance.choices(list(KINDS.values()), [k.weight for k in KINDS.values()])[0]
    whom = chance.randrange(servers if kind.of_server else sites)
    value = kind.draw(chance)
    return Event(round(chance.uniform(5, span), 1), kind.name, whom, value)
