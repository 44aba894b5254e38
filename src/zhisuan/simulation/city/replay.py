"""The replay: events in the order of time, decisions by ``placement``, nothing decided here.

1. Events of one moment are taken in this order: ends of work, then what the hour changes (offers, grid, outages), then arrivals; equals in
   the order in which they were foreseen.
2. After them what waits is tried on the snapshot of that moment, in the order of the policy: everything where something has become
   free, else what has just arrived. What found no place is not tried again in the same pass: a pass only takes.
3. Work on demand that finds no place (looked at when it is tried, at most every ten minutes for equal work) ends spot work by ``placement.preemption``, with notice; the site where room is made takes no other
   spot work until then. What made way waits again and goes on from its last checkpoint.
4. A job that no site could ever take is refused when it arrives, with the reason.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.preemption import Holding, preempt
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Candidate, Plan
from zhisuan.simulation.city.account import Account, Lease
from zhisuan.simulation.city.board import Board, Held, dominant_ppm, held_by
from zhisuan.simulation.city.policies import Policy, Waiting, ordered
from zhisuan.simulation.city.types import HOUR, City, Job
from zhisuan.simulation.city.watch import Watch

END, TURN, ARRIVE = range(3)
IDLE_HOURS_MAX = 48
"""So many hours without anything that ends or arrives, and waiting work waits for ever."""

ROOM_AGAIN_SECONDS = 600
"""So long after room was looked for it is not looked for again for equal work."""

TO_COME, WAITING, RUNNING, DONE, REFUSED = "to_come", "waiting", "running", "done", "refused"


@dataclass(frozen=True, slots=True)
class Rules:
    """``notice_seconds``: what spot work has to end; ``checkpoint_seconds``: how often work keeps what it has done; ``until``: the
    second at which the clock stops (None: when nothing happens any more)."""

    policy: Policy
    notice_seconds: int = 30
    checkpoint_seconds: int = 600
    until: int | None = None


@dataclass(slots=True)
class Running:
    lease: int
    waiting: Waiting
    candidate: Candidate
    held: Held
    start: int
    whole: int
    factor: tuple[int, int]
    ending: str = ""


@dataclass(slots=True)
class Fate:
    """What became of a job: ``first_start`` and ``finished`` in seconds; ``reason`` where it waits or was refused."""

    state: str = TO_COME
    first_start: int | None = None
    finished: int | None = None
    waited: int = 0
    preempted: int = 0
    lost: int = 0
    cost_ucny: int = 0
    carbon_ug: int = 0
    site: str = ""
    reason: dict[str, str] = field(default_factory=dict)


class Replay:
    """One run of a city. ``cpu_ns``: what decisions are timed with; they are kept apart from results."""

    def __init__(self, city: City, rules: Rules, cpu_ns: Callable[[], int], told: Callable[[int], None]) -> None:
        self.city, self.rules = city, rules
        self.board = Board(city)
        self.account = Account(city.book.platform_fee_ppm)
        self.watch = Watch()
        self.fates = [Fate() for _ in city.jobs]
        self.leases: list[Lease] = []
        self.decisions_ns: list[int] = []
        self.now = 0
        self._cpu_ns, self._told = cpu_ns, told
        self._sites = {site.name: site for site in city.sites}
        self._wishes: dict[tuple[Any, ...], Wish] = {}
        self._events: list[tuple[int, int, int, Any]] = [(0, TURN, 0, 0)]
        self._foreseen = 0
        self._waiting: dict[int, Waiting] = {}
        self._running: dict[int, Running] = {}
        self._room: dict[int, frozenset[int]] = {}
        self._room_tried: dict[Wish, int] = {}
        self._used_by = {org: Counter[str]() for org in city.homes}
        self._done = self._started = 0
        for number, job in enumerate(city.jobs):
            self._foresee(job.at, ARRIVE, number)

    def run(self) -> None:
        until = self.rules.until
        idle_since = 0
        while self._events:
            at = self._events[0][0]
            if until is not None and at >= until:
                break
            if len(self._events) == 1:
                if not self._waiting or (at - idle_since) // HOUR > IDLE_HOURS_MAX:
                    break
            else:
                idle_since = at
            self._pass_time(at)
            self._moment(at)
        self._close(until)

    def _foresee(self, at: int, kind: int, what: Any) -> None:
        self._foreseen += 1
        heapq.heappush(self._events, (at, kind, self._foreseen, what))

    def _pass_time(self, to: int) -> None:
        self.watch.pass_time(self.now, to, self.board.used, len(self._waiting))
        self.now = to

    def _moment(self, at: int) -> None:
        freed, arrived = False, []
        while self._events and self._events[0][0] == at:
            _, kind, _, what = heapq.heappop(self._events)
            if kind == END:
                freed = self._ended(what) or freed
            elif kind == TURN:
                freed = self._turn(what) or freed
            else:
                arrived.append(self._arrive(what))
        self._try(list(self._waiting.values()) if freed or self.rules.policy.blocks else [w for w in arrived if w is not None])

    def _turn(self, hour: int) -> bool:
        better, lost = self.board.begin_hour(hour) if hour else (False, ())
        for site in lost:
            for running in [r for r in self._running.values() if r.candidate.site_id == site]:
                self._stop(running, "lost")
                better = True
        self._note_fairness(hour)
        self._foresee((hour + 1) * HOUR, TURN, hour + 1)
        return better

    def _note_fairness(self, hour: int) -> None:
        wanting = {w.job.org for w in self._waiting.values()} | {org for org, used in self._used_by.items() if any(used.values())}
        shares = self._shares()
        self.watch.note_fairness(hour, [shares[org] for org in sorted(wanting)])

    def _shares(self) -> dict[str, int]:
        capacity = self.board.capacity.__getitem__
        return {org: dominant_ppm(used.items(), capacity) for org, used in self._used_by.items()}

    def _arrive(self, number: int) -> Waiting | None:
        job = self.city.jobs[number]
        if job.spot and self.city.book.spot_price_e8_per_du is None:
            fate = self.fates[number]
            fate.state, fate.reason = REFUSED, {"en": "No spot price is in force.", "zh": "当前价目表没有竞价价格。"}
            self._told_of_one()
            return None
        waiting = Waiting(number, job, job.seconds, self.now)
        self._waiting[number] = waiting
        return waiting

    def _wish(self, job: Job) -> Wish:
        key = (job.needs, job.org if job.within_us is not None else "", job.within_us)
        if key not in self._wishes:
            # Without any site in reach it names its home, which is gone: no name at all would mean every site.
            sites = () if job.within_us is None else self.city.reach(job.org, job.within_us) or (self.city.homes[job.org],)
            self._wishes[key] = Wish(job.needs, sites=sites)
        return self._wishes[key]

    def _try(self, tried: list[Waiting]) -> None:
        shares = self._shares() if self.rules.policy.name == "fair" else {}
        refused: set[tuple[Wish, bool]] = set()
        for waiting in ordered(tried, self.rules.policy, shares):
            wish, spot = self._wish(waiting.job), waiting.job.spot
            if (wish, spot) in refused:
                continue
            began = self._cpu_ns()
            made = plan_wish(self.board.snapshot(spot=spot), wish)
            chosen = self._allowed(made) if spot else made.chosen
            self.decisions_ns.append(self._cpu_ns() - began)
            if chosen is not None:
                self._start(waiting, chosen)
                continue
            refused.add((wish, spot))
            if not made.could_ever_fit:
                self._refuse(wish, spot, made)
                continue
            if not spot:
                self._make_room(waiting, wish)
            if self.rules.policy.blocks:
                break

    def _allowed(self, made: Plan) -> Candidate | None:
        """Of spot work: not where room is being made for work on demand."""
        busy = {r.candidate.site_id for r in self._running.values() if r.ending == "preempted"} if self._room else set()
        return next((c for c in made.candidates if c.site_id not in busy), None) if busy else made.chosen

    def _refuse(self, wish: Wish, spot: bool, made: Plan) -> None:
        for waiting in [w for w in self._waiting.values() if w.job.spot == spot and self._wish(w.job) is wish]:
            del self._waiting[waiting.number]
            fate = self.fates[waiting.number]
            fate.state, fate.reason = REFUSED, made.reason.as_dict()
            self._told_of_one()

    def _start(self, waiting: Waiting, chosen: Candidate) -> None:
        held = held_by(chosen)
        self.board.take(held)
        self._room.pop(waiting.number, None)
        del self._waiting[waiting.number]
        waiting.waited += self.now - waiting.since
        waiting.attempts += 1
        factor = self._factor(waiting.job, chosen)
        whole = -(-waiting.left * factor[0] // factor[1])
        self._started += 1
        number = self._started
        running = Running(number, waiting, chosen, held, self.now, whole, factor)
        self._running[number] = running
        self._use(running, 1)
        fate = self.fates[waiting.number]
        fate.state, fate.waited = RUNNING, waiting.waited
        fate.first_start = self.now if fate.first_start is None else fate.first_start
        self._foresee(self.now + whole, END, (number, "finished"))

    def _factor(self, job: Job, chosen: Candidate) -> tuple[int, int]:
        """How much longer than on its first alternative a job takes: by the published rates of the cards, which is what they are worth."""
        if len(job.needs) == 1:
            return 1, 1
        rates = [self._cards_rate(job, number) for number in (0, max(0, chosen.alternative - 1))]
        return (rates[0], rates[1]) if all(rates) else (1, 1)

    def _cards_rate(self, job: Job, number: int) -> int:
        need = job.needs[number]
        return need.nodes * sum(self.board.rate(name) * count for name, count in need.accelerators)

    def _use(self, running: Running, sign: int) -> None:
        used = self._used_by[running.waiting.job.org]
        for share in running.candidate.shares:
            if share.class_id is not None:
                used[share.class_id] += sign * share.amount

    def _make_room(self, waiting: Waiting, wish: Wish) -> None:
        if waiting.number in self._room or self.now - self._room_tried.get(wish, -ROOM_AGAIN_SECONDS) < ROOM_AGAIN_SECONDS:
            return
        self._room_tried[wish] = self.now
        spot = [self._holding(r) for r in self._running.values() if r.waiting.job.spot and not r.ending]
        if not spot:
            return
        ending = [self._holding(r) for r in self._running.values() if r.ending]
        decided = preempt(self.board.snapshot(), wish, spot, ending)
        if decided is None:
            return
        ended = frozenset(int(ident) for ident in decided.lease_ids)
        self._room[waiting.number] = ended
        for number in sorted(ended):
            running = self._running[number]
            running.ending = "preempted"
            self._foresee(self.now + self.rules.notice_seconds, END, (number, "preempted"))

    def _holding(self, running: Running) -> Holding:
        shares = tuple(share for _, of_node in running.held for share in of_node)
        unsaved = (self.now - running.start) % self.rules.checkpoint_seconds
        loss = running.candidate.rate_udu_per_hour * unsaved // HOUR
        return Holding(str(running.lease), running.candidate.site_id, shares, running.start, loss)

    def _ended(self, what: tuple[int, str]) -> bool:
        number, how = what
        running = self._running.get(number)
        if running is None:
            return False
        self._stop(running, how)
        return True

    def _stop(self, running: Running, how: str) -> None:
        """The run is over; work that is not done waits again, and goes on from what it has kept."""
        del self._running[running.lease]
        self.board.give_back(running.held)
        self._use(running, -1)
        self._post(running, how)
        waiting, fate = running.waiting, self.fates[running.waiting.number]
        self._room = {number: left for number, ended in self._room.items() if (left := ended - {running.lease})}
        if how == "finished":
            fate.state, fate.finished = DONE, self.now
            self._told_of_one()
            return
        kept = self._kept(running, how)
        waiting.left = max(1, waiting.left - kept * running.factor[1] // running.factor[0])
        waiting.since = self.now
        self._waiting[waiting.number] = waiting
        fate.state = WAITING
        fate.preempted += how == "preempted"
        fate.lost += how == "lost"

    def _kept(self, running: Running, how: str) -> int:
        """Seconds of work that are not lost: with notice all, else up to the last checkpoint."""
        ran = self.now - running.start
        return ran if how == "preempted" and self.rules.notice_seconds else ran - ran % self.rules.checkpoint_seconds

    def _post(self, running: Running, how: str) -> None:
        candidate, job = running.candidate, running.waiting.job
        cards = [s for s in candidate.shares if s.kind == "accelerator"]
        lease = Lease(
            number=running.lease, job=running.waiting.number, org=job.org, provider=candidate.provider_id, site=candidate.site_id,
            held=running.held, cards=len(cards), class_id=cards[0].class_id if cards else None, start=running.start, end=self.now,
            ended=how, spot=job.spot, rate_udu_per_hour=candidate.rate_udu_per_hour,
            price_e8_per_du=self.city.book.price_e8_per_du(spot=job.spot), power_milliwatts=candidate.power_milliwatts,
        )  # fmt: skip
        self.leases.append(lease)
        bill = self.account.post(lease, self._sites[lease.site])
        fate = self.fates[lease.job]
        fate.cost_ucny += bill.cost_ucny
        fate.carbon_ug += bill.carbon_ug
        fate.site = lease.site

    def _told_of_one(self) -> None:
        self._done += 1
        self._told(self._done)

    def _close(self, until: int | None) -> None:
        """The clock stops: runs are billed so far, and what waits says why."""
        if until is not None and until > self.now:
            self._pass_time(until)
        for running in list(self._running.values()):
            self._post(running, RUNNING)
        reasons: dict[tuple[Wish, bool], dict[str, str]] = {}
        for waiting in self._waiting.values():
            key = self._wish(waiting.job), waiting.job.spot
            if key not in reasons:
                reasons[key] = plan_wish(self.board.snapshot(spot=key[1]), key[0]).reason.as_dict()
            fate = self.fates[waiting.number]
            fate.state, fate.reason = WAITING, reasons[key]
            fate.waited = waiting.waited + self.now - waiting.since
