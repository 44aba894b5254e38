"""What happens in one run of the city, all of it drawn from one seed before it begins."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Happening(StrEnum):
    """Faults, and what people do at a bad moment."""

    agent_killed = "agent killed"
    agent_killed_soon = "agent killed at one of its next steps"
    agent_away = "agent stays down"
    cut = "network cut"
    host_crash = "host restarts"
    engine_wiped = "engine's folder removed"
    starts_refused = "engine refuses starts"
    clock_set = "clock set"
    disk_full = "disk full"
    server_killed = "server killed"
    database_fault = "fault in a transaction"
    two_placers = "two placers at once"
    site_closed = "site closed"
    agent_replaced = "agent replaced"


WEIGHTS = {
    Happening.agent_killed: 8, Happening.agent_killed_soon: 18, Happening.agent_away: 4, Happening.cut: 14,
    Happening.host_crash: 4, Happening.engine_wiped: 2, Happening.starts_refused: 4, Happening.clock_set: 4,
    Happening.disk_full: 4, Happening.server_killed: 10, Happening.database_fault: 16, Happening.two_placers: 6,
    Happening.site_closed: 2, Happening.agent_replaced: 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """``value`` is seconds, a count or an offset in seconds, as the kind has it."""

    at: float
    what: Happening
    whom: int
    value: float

    def __str__(self) -> str:
        return f"{self.at:7.1f} s: {self.what.value} (of {self.whom}, {self.value:g})"


@dataclass(frozen=True, slots=True)
class Job:
    """Work that a tenant orders at ``at``; ``cancel_at`` is when they change their mind."""

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

    def file(self, number: int) -> str:
        run = f"work {self.seconds} exit {self.exit_code} setup {self.setup} wind_down {self.wind_down}"
        term = "" if self.lease_seconds is None else f", lease: {self.lease_seconds}s"
        return (
            f"name: job {number}\nresources: {{cpus: {self.cpus}, memory: 1}}\nrun: {run}\n"
            f"zhisuan: {{restarts: {self.restarts}{term}}}\n"
        )


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is drawn; chances are in a thousand."""

    seed: int
    servers: int
    site_cpus: tuple[int, ...]
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
        lines = [f"seed {self.seed}: {self.servers} servers, sites with {self.site_cpus} cores, {len(self.jobs)} jobs"]
        lines += [f"  {event}" for event in self.events]
        return "\n".join(lines)


def draw(seed: int) -> Scenario:
    chance = random.Random(seed)
    servers = chance.choice((1, 2, 2))
    sites = tuple(chance.choice((2, 3, 4)) for _ in range(chance.choice((1, 2, 2, 3))))
    calm = chance.random() < 0.3
    span = 300.0
    jobs = tuple(_job(chance, span, max(sites)) for _ in range(chance.randint(3, 6)))
    count = chance.randint(2, 7)
    events = sorted((_event(chance, span, len(sites), servers) for _ in range(count)), key=lambda e: e.at)
    return Scenario(
        seed=seed, servers=servers, site_cpus=sites, jobs=jobs, events=tuple(events),
        lose_answers=0 if calm else chance.choice((10, 60, 200)), lose_requests=0 if calm else chance.choice((0, 30)),
        repeat=0 if calm else chance.choice((20, 100)), orphan_grace=chance.choice((600, 3600)),
    )  # fmt: skip


def _job(chance: random.Random, span: float, cpus_max: int) -> Job:
    at = chance.uniform(0, span * 0.7)
    seconds = chance.choice((0.4, 3.0, 20.0, 61.5, 130.0, 200.0)) * chance.uniform(0.8, 1.2)
    cancel = at + chance.choice((0.0, 0.5, 2.0, 30.0, 90.0)) if chance.random() < 0.3 else None
    return Job(
        at=round(at, 2), seconds=round(seconds, 2), exit_code=0 if chance.random() < 0.8 else 3,
        setup=chance.choice((0.0, 0.0, 4.0)), wind_down=chance.choice((0.0, 1.5, 60.0)), cpus=chance.randint(1, min(2, cpus_max)),
        restarts=chance.choice((0, 1, 3)), lease_seconds=chance.choice((None, 120, 120)),
        cancel_at=None if cancel is None else round(cancel, 2), poor=chance.random() < 0.15,
    )  # fmt: skip


def _event(chance: random.Random, span: float, sites: int, servers: int) -> Event:
    what = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    whom = chance.randrange(sites)
    value = 0.0
    match what:
        case Happening.agent_killed_soon:
            value = chance.randint(1, 25)
        case Happening.agent_away:
            value = chance.choice((10, 60, 700))
        case Happening.cut:
            value = chance.choice((1, 8, 45, 120, 200, 400) * 3 + (4000,))
        case Happening.starts_refused:
            value = chance.choice((1, 5))
        case Happening.clock_set:
            value = chance.choice((-90_000, -400, -3, 2, 30))
        case Happening.disk_full:
            value = chance.choice((3, 40, 200))
        case Happening.server_killed:
            whom, value = chance.randrange(servers), chance.choice((1, 10, 100))
        case Happening.database_fault:
            whom, value = chance.randrange(servers), chance.randint(0, 2) + 3 * chance.randint(1, 8)
        case Happening.two_placers:
            whom = chance.randrange(servers)
        case _:
            pass
    return Event(round(chance.uniform(5, span), 1), what, whom, value)
