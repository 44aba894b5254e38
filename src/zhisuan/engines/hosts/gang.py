"""One run as the head holds it: what was ordered, what its ranks' hosts said last, how it stands. Files below its folder
(``paths.py``) say what a head that begins anew must know; all else is heard again from the hosts."""

import asyncio
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from zhisuan.engines.contract import ExitReason, Observation, RunPhase, RunSpec
from zhisuan.engines.hosts.messages import OBSERVATION, Archive, View
from zhisuan.engines.hosts.paths import RunPaths
from zhisuan.engines.hosts.verdict import Ending, RankEnd, cause, ended_at, started_at, whole
from zhisuan.engines.local import records
from zhisuan.engines.local.run_state import instant, milliseconds
from zhisuan.engines.local.seat import GangNetwork

_START_SECONDS = 3.0
"""How long the first start that was seen waits for the other ranks' to be seen, so that the earliest is told."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, and what the head decided: the host of every rank, and the port promised on the first."""

    spec: RunSpec
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    network: GangNetwork = "none"
    rendezvous_port: int | None = None
    archives: tuple[Archive, ...] = ()


ORDER_FILE = TypeAdapter(Order)


@dataclass(slots=True)
class Rank:
    """``asked``: the host was told to start it; ``accepted``: it said that it has. ``stopped``: with which grace it was told
    to end. ``over``: nothing more will be heard."""

    host: str
    asked: bool = False
    accepted: bool = False
    went: bool = False
    stopped: int | None = None
    busy: bool = False
    digest: str = ""
    seen: Observation | None = None
    ready: bool = False
    logged: int = 0
    over: RankEnd | None = None


@dataclass(slots=True)
class Gang:
    """``changed`` wakes who drives it. ``first_start`` is when a start was first seen, by the loop's clock."""

    paths: RunPaths
    order: Order
    ranks: list[Rank]
    begun: bool
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ending: Ending | None = None
    started: datetime | None = None
    first_start: float | None = None
    waits_for: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.order.spec.lease_id, self.order.spec.generation

    @property
    def is_gang(self) -> bool:
        return len(self.ranks) > 1

    # Requests to end

    def request(self) -> tuple[int, str] | None:
        """(grace in seconds, message) of a request to end from outside."""
        said = dict(records.read(self.paths.request) or [])
        return (int(said["grace_seconds"]), said["message"]) if said else None

    def grace(self, own_seconds: int) -> int | None:
        """With which grace the ranks are to end; None where they are to go on."""
        asked = self.request()
        graces = [asked[0]] if asked is not None else []
        graces += [own_seconds] if self.ending is not None else []
        return min(graces, default=None)

    def end(self, ending: Ending) -> None:
        """The first cause stays, also for a head that begins anew."""
        if self.ending is None:
            pairs = [("reason", ending.reason.value), ("message", ending.message or "")]
            codes = {"exit_code": ending.exit_code, "signal": ending.signal}
            pairs += [(name, str(value)) for name, value in codes.items() if value is not None]
            records.write_once(self.paths.ending, pairs)
            self.ending = ending

    # What hosts say

    def take(self, rank: Rank, view: View) -> None:
        """Output first: a rank is over only when all of it is here."""
        output = view.output()
        if output:
            _append(self.paths.out(self.ranks.index(rank)), rank.logged, output)
            rank.logged += len(output)
        rank.digest, rank.seen, rank.ready = view.digest, view.seen, view.ready
        if view.seen is not None and view.seen.phase is RunPhase.exited and not view.more:
            self.finish(rank, RankEnd(rank.host, view.seen))
        self.changed.set()

    def finish(self, rank: Rank, end: RankEnd) -> None:
        number = self.ranks.index(rank)
        if end.seen is not None:
            path = self.paths.last(number)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write_whole(path, OBSERVATION.dump_json(end.seen))
        rank.over = end
        found = cause(number, end, len(self.ranks))
        if found is not None and self.request() is None:
            self.end(found)
        self.changed.set()

    def settle_start(self, now: float) -> None:
        """When the first instruction ran, once and for all."""
        if self.started is not None:
            return
        first = started_at([rank.seen for rank in self.ranks])
        if first is None:
            return
        if self.first_start is None:
            self.first_start = now
        waiting = [r for r in self.ranks if r.over is None and (r.seen is None or r.seen.started_at is None)]
        if not waiting or now - self.first_start >= _START_SECONDS:
            records.write_once(self.paths.started, [("started_ms", str(milliseconds(first)))])
            self.started = _kept_start(self.paths)

    def settle_end(self, now: datetime) -> bool:
        """Write the end if all ranks are over; whether it is written."""
        ends = [rank.over for rank in self.ranks if rank.over is not None]
        if len(ends) < len(self.ranks):
            return False
        asked = self.request()
        ending = self.ending
        if ending is None and asked is not None and any(_was_stopped(end) for end in ends):
            ending = Ending(ExitReason.cancelled, asked[1])
        ending = whole(ends, ending)
        began = started_at([end.seen for end in ends]) if self.started is None else self.started
        pairs = [
            ("reason", ending.reason.value),
            ("ended_ms", str(milliseconds(max(ended_at(ends, now), began or ended_at(ends, now))))),
            ("cpu_ms", str(sum(end.seen.cpu_seconds_milli for end in ends if end.seen is not None))),
            ("memory_peak_bytes", str(max((e.seen.memory_peak_bytes for e in ends if e.seen is not None), default=0))),
        ]
        optional = {
            "started_ms": milliseconds(began) if began is not None else None,
            "exit_code": ending.exit_code,
            "signal": ending.signal,
            "message": ending.message or None,
        }
        pairs += [(name, str(value)) for name, value in optional.items() if value is not None]
        records.write_once(self.paths.exit, pairs)
        return True

    # How it stands

    def observation(self) -> Observation:
        """Of a run that has not ended."""
        seen = [rank.seen for rank in self.ranks if rank.seen is not None]
        lives = [rank.seen for rank in self.ranks if rank.over is None]
        running = self.started is not None and all(
            one is not None and one.phase is not RunPhase.preparing for one in lives
        )
        lease_id, generation = self.key
        return Observation(
            lease_id=lease_id,
            generation=generation,
            phase=RunPhase.running if running else RunPhase.preparing,
            started_at=self.started,
            ended_at=None,
            exit_code=None,
            signal=None,
            reason=None,
            message=self.waits_for,
            cpu_seconds_milli=sum(one.cpu_seconds_milli for one in seen),
            memory_peak_bytes=max((one.memory_peak_bytes for one in seen), default=0),
            progress=self.ranks[0].seen.progress if self.ranks[0].seen is not None else None,
        )


def load(paths: RunPaths) -> Gang:
    """A run that was ordered and has not ended, as its files tell of it."""
    order: Order = ORDER_FILE.validate_json(paths.order.read_bytes())
    begun = os.path.exists(paths.begun)
    made = Gang(paths, order, [Rank(host, asked=begun, accepted=begun) for host in order.hosts], begun)
    for number, rank in enumerate(made.ranks):
        paths.node(number).mkdir(mode=0o700, exist_ok=True)
        rank.logged = _size(paths.out(number))
        kept = read_end(paths, number)
        if kept is not None:
            rank.seen, rank.over = kept, RankEnd(rank.host, kept)
    said = dict(records.read(paths.ending) or [])
    if said:
        code, number_ = said.get("exit_code"), said.get("signal")
        made.ending = Ending(
            ExitReason(said["reason"]),
            said["message"],
            int(code) if code is not None else None,
            int(number_) if number_ is not None else None,
        )
    made.started = _kept_start(paths)
    return made


def read_end(paths: RunPaths, rank: int) -> Observation | None:
    try:
        kept: Observation = OBSERVATION.validate_json(paths.last(rank).read_bytes())
    except FileNotFoundError:
        return None
    return kept


def _was_stopped(end: RankEnd) -> bool:
    return end.seen is None or end.seen.reason is ExitReason.cancelled


def _kept_start(paths: RunPaths) -> datetime | None:
    return instant(dict(records.read(paths.started) or []).get("started_ms"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _append(path: Path, offset: int, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(fd, data[written:], offset + written)
    finally:
        os.close(fd)


def _write_whole(path: Path, content: bytes) -> None:
    making = path.with_suffix(".tmp")
    with open(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    making.rename(path)


def write_order(paths: RunPaths, order: Order) -> None:
    """From here on the run exists."""
    _write_whole(paths.order, ORDER_FILE.dump_json(order))
