"""The loop that makes what runs here what should run here: observe, plan, act."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from zhisuan.base.clock import Clock
from zhisuan.engines.contract import Engine, Observation, RunPhase
from zhisuan.engines.errors import EngineError, UnknownRun
from zhisuan.site.backoff import log
from zhisuan.site.book import Book, Held, Stray
from zhisuan.site.contact import Contact
from zhisuan.site.reconcile import Action, Do, Known, Run, plan
from zhisuan.site.record import Key, Stage, Step, ended_without_run, key_of, lost
from zhisuan.site.signals import Signals
from zhisuan.wire.site import LeaseOffer, LeaseReport

# How often runs are looked at: while one has just been asked for, and otherwise.
BEGINNING_SECONDS = 0.025
BEGINNING_LASTS_SECONDS = 2.0
LIVE_SECONDS = 0.1
# What observing one run may cost: many runs are looked at less often rather than at the price of the machine.
PER_RUN_SECONDS = 0.005
RETRY_SECONDS = 1.0
STOP_AGAIN_SECONDS = 10.0
STRAY_GRACE_SECONDS = 10

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
Work = Callable[[Held], Coroutine[Any, Any, None]]


class Control:
    """``start``, ``deliver``, ``watch`` and ``keep`` (its checkpoints) do the long work for one lease, each in a task of its own.
    ``calls``: how many calls to a lease's service have begun, and how many are open."""

    def __init__(
        self,
        engine: Engine,
        book: Book,
        clock: Clock,
        contact: Contact,
        signals: Signals,
        spawn: Spawn,
        *,
        start: Work,
        deliver: Work,
        watch: Work | None,
        keep: Work | None = None,
        calls: Callable[[Key], tuple[int, int]] = lambda _: (0, 0),
    ) -> None:
        self._engine = engine
        self._book = book
        self._clock = clock
        self._contact = contact
        self._signals = signals
        self._spawn = spawn
        self._start = start
        self._deliver = deliver
        self._watch = watch
        self._keep = keep
        self._calls = calls
        self._desired: tuple[LeaseOffer, ...] | None = None
        self._past: dict[Key, LeaseReport] = {}
        self._said: set[tuple[Do, Key]] = set()
        self._trouble: dict[Key, str] = {}

    def reports(self) -> list[LeaseReport]:
        """Of everything held, and of what the server still lists although it has ended and been forgotten here."""
        listed = {key_of(offer) for offer in self._desired or ()}
        held = [self._book.report(one) for one in self._book.held.values() if not one.unseen]
        return [*held, *(report for key, report in self._past.items() if key in listed)]

    def desire(self, offers: tuple[LeaseOffer, ...]) -> None:
        """The server's latest list."""
        self._desired = offers
        self._recollect()
        self._signals.control.set()

    def _recollect(self) -> None:
        reports = [self._book.past_of(offer.lease_id) for offer in self._desired or ()]
        self._past = {key_of(r): r for of_one in reports for r in of_one}

    async def run(self) -> None:
        while True:
            self._act()
            await self._observe()
            self._act()
            self._attend()
            await self._wait(self._pause_seconds())

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._signals.control.wait()
        except TimeoutError:
            pass
        self._signals.control.clear()

    def _pause_seconds(self) -> float | None:
        """How long until the engine is looked at again; ``None`` while it has nothing that moves."""
        moving = [h for h in self._book.held.values() if h.run is Run.live]
        strays = [s for s in self._book.strays.values() if s.run is Run.live]
        if not moving and not strays:
            return RETRY_SECONDS if self._unfinished() else None
        recent = asyncio.get_running_loop().time() - BEGINNING_LASTS_SECONDS
        beginning = any(h.record.started_at is None and h.asked_at > recent for h in moving)
        least = BEGINNING_SECONDS if beginning else LIVE_SECONDS
        return max(least, PER_RUN_SECONDS * (len(moving) + len(strays)))

    def _unfinished(self) -> bool:
        """Whether something waits for another try rather than for an event."""
        return bool(self._book.strays) or any(
            h.record.stage is not Stage.exited and not h.starting for h in self._book.held.values()
        )

    async def _observe(self) -> None:
        keys = [h.key for h in self._book.held.values() if h.run is Run.live]
        keys += [key for key, stray in self._book.strays.items() if stray.run is Run.live]
        if not keys:
            return
        seen_at = self._clock.now()
        for key, seen in (await asyncio.to_thread(self._look, keys)).items():
            self._take(key, seen, seen_at)

    def _look(self, keys: list[Key]) -> dict[Key, Observation | Exception]:
        looked: dict[Key, Observation | Exception] = {}
        for key in keys:
            try:
                looked[key] = self._engine.observe(*key)
            except (EngineError, OSError, ValueError) as error:
                looked[key] = error
        return looked

    def _take(self, key: Key, seen: Observation | Exception, seen_at: datetime) -> None:
        held = self._book.held.get(key)
        if isinstance(seen, UnknownRun):
            if held is not None:
                held.run = Run.none
            else:
                self._book.strays.pop(key, None)
        elif isinstance(seen, Exception):
            if self._trouble.get(key) != str(seen):
                self._trouble[key] = str(seen)
                log.error("%s cannot be observed: %s", key, seen)
        elif held is not None:
            self._book.see(held, seen, seen_at)
            if held.record.offer.idle_seconds is not None and held.record.started_at is not None:
                begun, still_open = self._calls(key)
                held.use.see(
                    asyncio.get_running_loop().time(), cpu_milliseconds=seen.cpu_seconds_milli, calls=begun, open_calls=still_open,
                    preparing=seen.phase is RunPhase.preparing,
                )  # fmt: skip
        elif key in self._book.strays:
            self._book.strays[key].run = Run.ended if seen.phase is RunPhase.exited else Run.live

    def _attend(self) -> None:
        """Every lease that has something to deliver, or a service to watch, has a task that does it."""
        for held in self._book.held.values():
            undelivered = not held.record.delivered and (held.run is not Run.none or held.ended.is_set())
            if undelivered and (held.courier is None or held.courier.done()):
                held.courier = self._spawn(self._deliver(held))
            serving = held.record.offer.service_port is not None and held.record.started_at is not None
            if self._watch is not None and serving and held.readiness is None and not held.ended.is_set():
                held.readiness = self._spawn(self._watch(held))
            keeping = held.record.offer.checkpoint_seconds is not None and held.record.started_at is not None
            if self._keep is not None and keeping and held.keeper is None and not held.ended.is_set():
                held.keeper = self._spawn(self._keep(held))

    def _act(self) -> None:
        """Plan and act; long work goes to tasks."""
        loop_time = asyncio.get_running_loop().time()
        silent = self._contact.silent_seconds
        known = [*self._book.known(loop_time, silent), *(Known(key, Stage.exited, past=True) for key in self._past)]
        for action in plan(self._desired, known, may_start=self._contact.may_start):
            self._do(action)

    def _do(self, action: Action) -> None:
        held = self._book.held.get(action.key)
        match action.do:
            case Do.accept if action.offer is not None:
                self._book.accept(action.offer)
            case Do.adopt if action.offer is not None:
                log.info("%s runs here already; taking it over.", action.key)
                self._book.adopt(action.offer)
                self._signals.control.set()
            case Do.start if held is not None:
                held.start = self._spawn(self._start(held))
                held.start.add_done_callback(lambda _task: self._signals.control.set())
            case Do.stop:
                self._stop(action, held)
            case Do.expire if held is not None:
                if not held.record.expired:
                    log.warning("%s: the server was not reached for the lease's term; ending the work.", action.key)
                    self._book.apply(held, Step(held.record.as_expired()))
                self._stop(action, held)
            case Do.rest if held is not None:
                log.info("%s: nobody has used it for %s s; ending it.", action.key, held.record.offer.idle_seconds)
                self._book.apply(held, Step(held.record.as_idle()))
                self._stop(action, held)
            case Do.withdraw if held is not None:
                step = ended_without_run(held.record, self._clock.now(), "cancelled", "Stopped before it had started.")
                self._book.apply(held, step)
            case Do.lose if held is not None:
                self._book.apply(held, lost(held.record, self._clock.now()))
            case Do.forget if held is not None:
                held.leaving = True
                self._spawn(self._forget(held))
            case Do.discard:
                del self._book.strays[action.key]
                self._spawn(self._discard(action.key))
            case Do.recall if self._first(action):
                log.info("%s has ended before; reporting its end again.", action.key)
                self._signals.report.now()
            case Do.refuse if self._first(action):
                log.error("%s is offered, but a newer generation is known here; it is not started.", action.key)

    def _first(self, action: Action) -> bool:
        """Whether this was not said yet."""
        said = (action.do, action.key)
        if said in self._said:
            return False
        self._said.add(said)
        return True

    def _stop(self, action: Action, held: Held | None) -> None:
        if held is not None and held.starting:
            # The engine's answer is awaited, then this is planned again; a start that still fetches just ends.
            if held.record.stage is Stage.accepted and held.start is not None:
                held.start.cancel()
            return
        grace = action.grace_seconds
        if grace is None:
            grace = held.record.offer.grace_seconds if held is not None else STRAY_GRACE_SECONDS
        whose = held or self._book.strays[action.key]
        whose.stop_again_at = asyncio.get_running_loop().time() + grace + STOP_AGAIN_SECONDS
        log.info("Stopping %s; it has %d s to end by itself.", action.key, grace)
        self._spawn(self._engine_stop(action.key, grace, whose))

    async def _engine_stop(self, key: Key, grace: int, whose: Held | Stray) -> None:
        try:
            await asyncio.to_thread(self._engine.stop, *key, grace)
        except (EngineError, OSError) as error:
            log.error("%s could not be stopped: %s; trying again.", key, error)
            await asyncio.sleep(RETRY_SECONDS)
            whose.stop_again_at = float("-inf")
        else:
            if isinstance(whose, Held) and whose.run is Run.none:
                # Of a run that had not arrived the engine now has the mark that it was stopped.
                whose.run = Run.live
        self._signals.control.set()

    async def _forget(self, held: Held) -> None:
        if await self._remove(held.key):
            self._book.forget(held, self._clock.now())
            self._recollect()
        else:
            await asyncio.sleep(RETRY_SECONDS)
            held.leaving = False
        self._signals.control.set()

    async def _discard(self, key: Key) -> None:
        await self._remove(key)

    async def _remove(self, key: Key) -> bool:
        try:
            await asyncio.to_thread(self._engine.remove, *key)
        except (EngineError, OSError) as error:
            log.error("%s could not be removed: %s", key, error)
            return False
        return True
