"""The replay: one virtual clock over requests, replicas, looks of the scaling rule, and clients that give up."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from zhisuan.gateway.routing.asks import Ask
from zhisuan.gateway.routing.known import Book, Sent
from zhisuan.gateway.routing.policies import Policy
from zhisuan.placement.scaling import Bounds, Rule, Seen, plan
from zhisuan.simulation.serving.fleet import Fleet, Member
from zhisuan.simulation.serving.replica import Call, Speed
from zhisuan.simulation.serving.requests import Trace

ENDS, READY, LOOK, GIVES_UP, BEGINS = range(5)
"""What the clock holds. At one instant: ends of steps first, then new replicas, looks, clients that give up, arrivals, and last the
next steps, so that all that is there takes part in them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """``queue_max`` calls may wait at one replica, the next is refused; a client gives up after ``timeout_us`` unread. 0: no limit.
    The gateway remembers up to ``cache_blocks`` blocks of each replica."""

    speed: Speed
    replicas: int
    bounds: Bounds
    look_us: int
    queue_max: int = 0
    timeout_us: int = 0
    cache_blocks: int = 2_500


@dataclass(frozen=True, slots=True)
class Look:
    """The state of things at one look; ``waiting`` and ``in_flight`` are means since the last, rounded up."""

    at_us: int
    waiting: int
    in_flight: int
    ready: int
    live: int


@dataclass(slots=True)
class Result:
    calls: list[Call]
    looks: list[Look]
    fleet: Fleet
    end_us: int


@dataclass(slots=True)
class Replay:
    setting: Setting
    policy: Policy
    rule: Rule
    book: Book = field(init=False)
    fleet: Fleet = field(init=False)
    now_us: int = 0
    looks: list[Look] = field(default_factory=list)
    _clock: list[tuple[int, int, int, Member | Call | None]] = field(default_factory=list)
    _order: int = 0
    _unplaced: deque[Call] = field(default_factory=deque)
    _sent: dict[int, Sent] = field(default_factory=dict)
    _wanted: deque[tuple[int, int]] = field(default_factory=deque)
    _tokens: list[int] = field(default_factory=lambda: [0])
    _in_flight: int = 0
    _waiting: int = 0
    _counted_us: int = 0
    _area: tuple[int, int] = (0, 0)
    """Calls waiting and in flight, times microseconds, since the last look: a rule goes by means, not by what one moment shows."""

    def __post_init__(self) -> None:
        self.book = Book(self.setting.cache_blocks)
        self.fleet = Fleet(self.setting.speed)

    def run(self, trace: Trace) -> Result:
        calls = [Call(number, request) for number, request in enumerate(trace.requests)]
        for _ in range(self.setting.replicas):
            self.fleet.ready(self.fleet.start(0, 0))
        self._wanted.append((0, self.setting.replicas))
        self._put(self.setting.look_us, LOOK, None)
        for call in calls:
            self._until(call.request.at_us)
            self.now_us = call.request.at_us
            self._arrives(call)
        while self._in_flight:
            self._next()
        return Result(calls, self.looks, self.fleet, self.now_us)

    def _put(self, at_us: int, what: int, whom: Member | Call | None) -> None:
        self._order += 1
        heappush(self._clock, (at_us, what, self._order, whom))

    def _until(self, at_us: int) -> None:
        while self._clock and self._clock[0][:2] < (at_us, BEGINS):
            self._next()

    def _next(self) -> None:
        at_us, what, _, whom = heappop(self._clock)
        if isinstance(whom, Call):
            if not whom.outcome and whom.admitted_us < 0:
                self.now_us = at_us
                self._gives_up(whom)
        elif whom is None:
            self.now_us = at_us
            self._look()
            self._put(at_us + self.setting.look_us, LOOK, None)
        elif what == READY:
            self.now_us = at_us
            self.fleet.ready(whom)
            self._place_waiting()
        elif what == BEGINS:
            self.now_us = at_us
            whom.begins = False
            self._steps_until(whom, whom.replica.begin(at_us))
        elif whom.ends_us == at_us and whom.replica.working:
            self.now_us = at_us
            self._steps_end(whom)

    def _arrives(self, call: Call) -> None:
        self._tokens[-1] += call.request.input_tokens
        self._count(1, 1)
        if call.need > self.setting.speed.blocks:
            self._count(-1, 0)
            self._over(call, "too_long")
            return
        if self.setting.timeout_us:
            self._put(self.now_us + self.setting.timeout_us, GIVES_UP, call)
        self._unplaced.append(call)
        if self.fleet.able:
            self._place_waiting()
        elif not self.fleet.live():
            self._scale(self._waiting, self._in_flight)

    def _place_waiting(self) -> None:
        while self._unplaced and self.fleet.able:
            call = self._unplaced.popleft()
            if not call.outcome:
                self._place(call)

    def _place(self, call: Call) -> None:
        ask = Ask(call.request.input_tokens, call.request.blocks)
        chosen = self.policy.choose(ask, [self.book.known(one.key) for one in self.fleet.able], self.now_us)
        member = next(one for one in self.fleet.able if one.key == chosen.key)
        replica = member.replica
        if self.setting.queue_max and len(replica.queue) >= self.setting.queue_max:
            self._count(-1, 0)
            self._over(call, "refused")
            return
        call.replica = replica.number
        self._sent[call.number] = self.book.sent(chosen.key, ask, self.now_us)
        replica.queue.append(call)
        if replica.working:
            self._steps_until(member, replica.hurry(self.now_us))
        else:
            self._begins(member)

    def _begins(self, member: Member) -> None:
        if not member.begins:
            member.begins = True
            self._put(self.now_us, BEGINS, member)

    def _steps_until(self, member: Member, ends_us: int | None) -> None:
        if ends_us is not None:
            member.ends_us = ends_us
            self._put(ends_us, ENDS, member)

    def _steps_end(self, member: Member) -> None:
        happened = member.replica.finish(self.now_us)
        for call in happened.first:
            self._count(-1, 0)
            self.book.first_token(member.key, self._sent[call.number], self.now_us)
        for call in happened.ended:
            self.book.ended(member.key, self._sent.pop(call.number))
            self._over(call, "completed")
        self._begins(member)
        self.fleet.stop_if_empty(member, self.now_us)

    def _gives_up(self, call: Call) -> None:
        self._count(-1, 0)
        if call.number in self._sent:
            member = self.fleet.members[call.replica]
            member.replica.queue.remove(call)
            self.book.ended(member.key, self._sent.pop(call.number))
            self.fleet.stop_if_empty(member, self.now_us)
        self._over(call, "gave_up")

    def _over(self, call: Call, outcome: str) -> None:
        call.outcome, call.ended_us = outcome, self.now_us
        self._count(0, -1)

    def _count(self, waiting: int, in_flight: int) -> None:
        past_us, (waited, flown) = self.now_us - self._counted_us, self._area
        self._area = waited + self._waiting * past_us, flown + self._in_flight * past_us
        self._counted_us = self.now_us
        self._waiting += waiting
        self._in_flight += in_flight

    def _look(self) -> None:
        self._count(0, 0)
        waited, flown = (-(-area // self.setting.look_us) for area in self._area)
        self._scale(waited, flown)
        self.looks.append(Look(self.now_us, waited, flown, len(self.fleet.able), len(self.fleet.live())))
        self._tokens.append(0)
        self._area = 0, 0

    def _scale(self, waiting: int, in_flight: int) -> None:
        bounds = self.setting.bounds
        live = self.fleet.live()
        while self._wanted and self._wanted[0][0] <= self.now_us - bounds.calm_us:
            self._wanted.popleft()
        seen = Seen(
            self.now_us,
            len(live),
            sum(one.ready_us > self.now_us for one in live),
            in_flight,
            waiting,
            self.setting.look_us,
            self._tokens,
            tuple(self._wanted),
        )
        planned = plan(self.rule, seen, bounds)
        self._wanted.append((self.now_us, planned.wanted))
        for _ in range(planned.replicas - len(live)):
            member = self.fleet.start(self.now_us, bounds.cold_start_us)
            self._put(member.ready_us, READY, member)
        if planned.replicas < len(live):
            for member in sorted(live, key=self._first_to_go)[: len(live) - planned.replicas]:
                self.fleet.drain(member, self.now_us)

    def _first_to_go(self, member: Member) -> tuple[bool, int, int]:
        """Those that are not ready yet, then those with the fewest calls, then the newest."""
        ready = member.ready_us <= self.now_us
        return ready, self.book.known(member.key).in_flight if ready else 0, -member.replica.number
