"""The leases this site holds, in memory and in the journal alike: the one place where a record changes."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from zhisuan.engines.contract import Observation, Progress, RunPhase
from zhisuan.site.backoff import log
from zhisuan.site.idle import Use
from zhisuan.site.journal import Journal
from zhisuan.site.reconcile import Known, Run
from zhisuan.site.record import Key, LeaseRecord, Stage, Step, key_of, observed, report
from zhisuan.site.signals import Signals
from zhisuan.wire.site import LeaseOffer, LeaseReport, ProgressReport


@dataclass(slots=True, eq=False)
class Held:
    """One generation in hand.

    ``start``, ``courier``, ``readiness`` and ``keeper`` (of checkpoints) are the tasks working for it. ``asked_at`` is the loop time at which the
    engine was asked; until ``stop_again_at`` a stop is not asked for once more. ``acknowledged``: the server has its
    complete end. ``accounted``: the engine's own account is kept, or there is none. ``leaving``: it is being removed. ``socket`` leads to its service. ``ended`` is set once its end is
    settled.
    """

    record: LeaseRecord
    run: Run = Run.none
    phase: RunPhase | None = None
    progress: ProgressReport | None = None
    ready: bool | None = None
    activity: str | None = None
    start: asyncio.Task[None] | None = None
    courier: asyncio.Task[None] | None = None
    readiness: asyncio.Task[None] | None = None
    keeper: asyncio.Task[None] | None = None
    use: Use = field(default_factory=Use)
    asked_at: float = float("-inf")
    stop_again_at: float = float("-inf")
    acknowledged: bool = False
    accounted: bool = False
    leaving: bool = False
    socket: Path | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def key(self) -> Key:
        return self.record.key

    @property
    def unseen(self) -> bool:
        """Whether the engine has its run and this agent has not looked yet: nothing true can be told of it."""
        return self.record.stage is Stage.started and self.record.started_at is None and self.phase is None

    @property
    def starting(self) -> bool:
        return self.start is not None and not self.start.done()


@dataclass(slots=True, eq=False)
class Stray:
    """A run of the engine that the journal does not know."""

    run: Run = Run.live
    stop_again_at: float = float("-inf")


class Book:
    """Every change is in the journal before anything outside can see it."""

    def __init__(self, journal: Journal, signals: Signals) -> None:
        self._journal = journal
        self._signals = signals
        self.held: dict[Key, Held] = {}
        self.strays: dict[Key, Stray] = {}
        for record in journal.records():
            held = self.held[record.key] = Held(record)
            if record.stage is Stage.exited:
                held.ended.set()

    def found_runs(self, runs: Iterable[tuple[str, int]]) -> None:
        """The engine's runs when the agent begins. Whether they still live shows when they are observed; those of which
        the journal has nothing are ``strays``."""
        for lease_id, generation in runs:
            key = Key(lease_id, generation)
            held = self.held.get(key)
            if held is None:
                self.strays[key] = Stray()
            else:
                held.run = Run.ended if held.ended.is_set() else Run.live

    def known(self, loop_time: float, silent_seconds: float = 0.0) -> Iterator[Known]:
        """What is held, for planning; ``silent_seconds``: how long the server has not renewed the leases."""
        for held in self.held.values():
            term, idle = held.record.offer.term_seconds, held.record.offer.idle_seconds
            yield Known(
                held.key,
                held.record.stage,
                held.run,
                busy=held.starting,
                stopping=loop_time < held.stop_again_at,
                acknowledged=held.acknowledged and held.accounted and not held.leaving,
                overdue=term is not None and silent_seconds >= term,
                idle=idle is not None and held.use.idle_seconds(loop_time) >= idle,
            )
        for key, stray in self.strays.items():
            yield Known(key, None, stray.run, stopping=loop_time < stray.stop_again_at)

    def past_of(self, lease_id: str) -> list[LeaseReport]:
        """Final reports of a lease's generations that have ended and been forgotten."""
        return self._journal.past_of(lease_id)

    def accept(self, offer: LeaseOffer) -> Held:
        return self._take_in(Held(LeaseRecord(offer=offer)))

    def adopt(self, offer: LeaseOffer) -> Held:
        """Take in a run that the engine has and the journal does not know; observing it tells the rest."""
        key = key_of(offer)
        del self.strays[key]
        return self._take_in(Held(LeaseRecord(offer=offer, stage=Stage.started), Run.live))

    def _take_in(self, held: Held) -> Held:
        self._journal.save(held.record)
        self.held[held.key] = held
        self._signals.report.now()
        return held

    def see(self, held: Held, seen: Observation, seen_at: datetime) -> None:
        """Take in what the engine showed after the clock had said ``seen_at``."""
        held.run = Run.ended if seen.phase is RunPhase.exited else Run.live
        if seen.phase is not held.phase:
            held.phase = seen.phase
            held.activity = "Setting up." if seen.phase is RunPhase.preparing else None
            self._signals.report.now()
        if seen.progress is not None:
            progress = _progress(seen.progress, held.progress)
            if progress != held.progress:
                held.progress = progress
                self._signals.report.soon()
        self.apply(held, observed(held.record, seen, seen_at))

    def apply(self, held: Held, step: Step) -> None:
        """Journal a step with its windows, then let the lanes know."""
        before, after = held.record, step.record
        if before.durable != after.durable or step.windows:
            self._journal.save(after, step.windows)
        held.record = after
        if step.windows:
            self._signals.usage.set()
        if after.stage is Stage.exited and not held.ended.is_set():
            held.activity = held.ready = None
            held.ended.set()
            self._signals.ended.set()
            log.info("%s ended: %s", held.key, after.message or after.reason)
        if before.visible != after.visible:
            self._signals.report.now()
            self._signals.control.set()

    def tell(self, held: Held, *, activity: str | None) -> None:
        """What a lease that does not run yet is doing or waiting for."""
        if held.activity != activity:
            held.activity = activity
            self._signals.report.soon()

    def set_ready(self, held: Held, ready: bool) -> None:
        if held.ready != ready:
            held.ready = ready
            self._signals.report.now()

    def report(self, held: Held) -> LeaseReport:
        complete = (
            held.record.stage is Stage.exited and held.record.delivered and not self._journal.has_unsent(held.key)
        )
        return report(held.record, progress=held.progress, ready=held.ready, activity=held.activity, complete=complete)

    def forget(self, held: Held, at: datetime) -> None:
        """Drop what the server has wholly taken; its final report stays, so that it can never run again."""
        self._journal.forget(self.report(held), at)
        del self.held[held.key]


def _progress(seen: Progress, before: ProgressReport | None) -> ProgressReport:
    """A line without a fraction keeps the one before."""
    fraction = seen.fraction_ppm
    if fraction is None:
        fraction = before.fraction_ppm if before is not None else 0
    return ProgressReport(fraction_ppm=min(1_000_000, max(0, fraction)), message=seen.message or "")
