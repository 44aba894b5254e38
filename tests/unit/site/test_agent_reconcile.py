"""The plan, and what follows when an agent acts on it while everything around it moves and fails."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.site.reconcile import Action, Do, Known, Run, plan
from zhisuan.site.record import Key, Stage, key_of
from zhisuan.wire.site import LeaseOffer

ONE, TWO = Key("lea_a", 1), Key("lea_a", 2)


def offer(key: Key, desired: str = "run") -> LeaseOffer:
    return LeaseOffer.model_validate(
        {
            "lease_id": key.lease_id,
            "generation": key.generation,
            "workload_id": "job_a",
            "workload_name": "a",
            "nodes": [{"hostname": "here", "devices": []}],
            "run": "true",
            "desired": desired,
            "grace_seconds": 7,
        }
    )


def planned(desired: Sequence[LeaseOffer] | None, *known: Known) -> list[tuple[Do, Key]]:
    return [(a.do, a.key) for a in plan(desired, known)]


def test_a_new_offer_is_accepted_and_started_at_once() -> None:
    assert planned([offer(ONE)]) == [(Do.accept, ONE), (Do.start, ONE)]


def test_a_new_offer_that_should_stop_ends_without_a_run() -> None:
    assert planned([offer(ONE, "stop")]) == [(Do.accept, ONE), (Do.withdraw, ONE)]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Known(ONE, Stage.started, Run.live), []),
        (Known(ONE, Stage.accepted), [(Do.start, ONE)]),
        (Known(ONE, Stage.accepted, busy=True), []),
        (Known(ONE, Stage.starting), [(Do.start, ONE)]),
        (Known(ONE, Stage.starting, Run.live), []),
        (Known(ONE, Stage.started), [(Do.lose, ONE)]),
        (Known(ONE, Stage.started, Run.ended), []),
        (Known(ONE, Stage.exited, Run.ended), []),
        (Known(ONE, Stage.exited, Run.ended, acknowledged=True), []),
        (Known(ONE, None, Run.live), [(Do.adopt, ONE)]),
        (Known(ONE, None, Run.ended), [(Do.adopt, ONE)]),
        (Known(ONE, Stage.exited, past=True), [(Do.recall, ONE)]),
    ],
)
def test_while_the_server_wants_it_to_run(known: Known, expected: list[tuple[Do, Key]]) -> None:
    assert planned([offer(ONE)], known) == expected


UNWANTED = [
    (Known(ONE, Stage.started, Run.live), [(Do.stop, ONE)]),
    (Known(ONE, Stage.started, Run.live, stopping=True), []),
    (Known(ONE, Stage.accepted), [(Do.withdraw, ONE)]),
    (Known(ONE, Stage.accepted, busy=True), [(Do.stop, ONE)]),
    (Known(ONE, Stage.starting), [(Do.stop, ONE)]),
    (Known(ONE, Stage.starting, stopping=True), []),
    (Known(ONE, Stage.starting, Run.live), [(Do.stop, ONE)]),
    (Known(ONE, Stage.started), [(Do.lose, ONE)]),
    (Known(ONE, Stage.exited, Run.ended), []),
]


@pytest.mark.parametrize(("known", "expected"), UNWANTED)
def test_when_it_should_stop_or_is_listed_no_longer(known: Known, expected: list[tuple[Do, Key]]) -> None:
    assert planned([offer(ONE, "stop")], known) == expected
    assert planned([], known) == expected


def test_a_stop_has_the_grace_of_the_offer() -> None:
    assert plan([offer(ONE, "stop")], [Known(ONE, Stage.started, Run.live)]) == (Action(Do.stop, ONE, grace_seconds=7),)


def test_an_end_is_forgotten_only_when_it_is_taken_and_no_longer_listed() -> None:
    taken = Known(ONE, Stage.exited, Run.ended, acknowledged=True)
    assert planned([], taken) == [(Do.forget, ONE)]
    assert planned([offer(ONE, "stop")], taken) == []
    assert planned(None, taken) == []


def test_before_the_first_answer_nothing_starts_or_stops() -> None:
    known = [Known(ONE, Stage.accepted), Known(TWO, Stage.started, Run.live), Known(Key("lea_b", 1), None, Run.live)]
    assert planned(None, *known) == []


def test_a_newer_generation_waits_until_the_older_has_ended() -> None:
    live = Known(ONE, Stage.started, Run.live)
    assert planned([offer(TWO)], live) == [(Do.stop, ONE), (Do.accept, TWO)]
    assert planned([offer(TWO)], Known(ONE, Stage.started, Run.live, stopping=True), Known(TWO, Stage.accepted)) == []
    assert planned([offer(TWO)], Known(ONE, Stage.exited, Run.ended), Known(TWO, Stage.accepted)) == [(Do.start, TWO)]


def test_an_older_generation_never_starts() -> None:
    assert planned([offer(ONE)], Known(TWO, Stage.exited, past=True)) == [(Do.refuse, ONE)]
    assert planned([offer(ONE)], Known(TWO, Stage.started, Run.live)) == [(Do.stop, TWO), (Do.refuse, ONE)]
    assert planned([offer(ONE)], Known(ONE, Stage.accepted), Known(TWO, Stage.exited)) == [(Do.withdraw, ONE)]


def test_runs_that_the_journal_does_not_know_are_ended_and_removed() -> None:
    assert planned([], Known(ONE, None, Run.live)) == [(Do.stop, ONE)]
    assert planned([], Known(ONE, None, Run.ended)) == [(Do.discard, ONE)]


# -- A whole site in miniature: the journal, the engine and the server as plain sets, and every kind of mishap. ----------


@dataclass
class Site:
    stages: dict[Key, Stage] = field(default_factory=dict)
    runs: dict[Key, Run] = field(default_factory=dict)
    busy: set[Key] = field(default_factory=set)
    stopping: set[Key] = field(default_factory=set)
    acknowledged: set[Key] = field(default_factory=set)
    past: set[Key] = field(default_factory=set)
    late: set[Key] = field(default_factory=set)
    begun: list[Key] = field(default_factory=list)
    desired: list[LeaseOffer] | None = None

    def known(self) -> list[Known]:
        known = [
            Known(
                k,
                stage,
                self.runs.get(k, Run.none),
                busy=k in self.busy,
                stopping=k in self.stopping,
                acknowledged=k in self.acknowledged,
            )
            for k, stage in self.stages.items()
        ]
        known += [Known(k, None, run) for k, run in self.runs.items() if k not in self.stages]
        return known + [Known(k, Stage.exited, past=True) for k in self.past]

    def act(self) -> None:
        for action in plan(self.desired, self.known()):
            self.do(action)
            self.check()

    def do(self, action: Action) -> None:
        key = action.key
        match action.do:
            case Do.accept:
                self.stages[key] = Stage.accepted
            case Do.adopt:
                self.stages[key] = Stage.started
            case Do.start:
                self.busy.add(key)
                self.stages[key] = Stage.starting
            case Do.stop:
                self.stopping.add(key)
                if key not in self.runs and key not in self.busy:
                    self.runs[key] = Run.ended
            case Do.withdraw | Do.lose:
                self.stages[key] = Stage.exited
            case Do.forget:
                assert key in self.acknowledged
                del self.stages[key]
                self.runs.pop(key, None)
                self.past.add(key)
            case Do.discard:
                assert self.runs.pop(key) is Run.ended

    def engine_begins(self) -> None:
        for key in sorted(self.busy):
            self.begin(key)
            self.stages[key] = Stage.started
        self.busy.clear()

    def begin(self, key: Key) -> None:
        """The engine's promise: once a generation, and none that was stopped before."""
        if key not in self.runs and key not in self.past:
            self.begun.append(key)
            self.runs[key] = Run.live

    def late_start_arrives(self) -> None:
        if self.late:
            self.begin(self.late.pop())

    def engine_ends(self, which: int) -> None:
        live = [k for k, run in self.runs.items() if run is Run.live]
        stopped = [k for k in live if k in self.stopping] or live
        if stopped:
            self.runs[stopped[which % len(stopped)]] = Run.ended

    def observe(self) -> None:
        for key, run in self.runs.items():
            if run is Run.ended and key in self.stages:
                self.stages[key] = Stage.exited

    def deliver(self) -> None:
        self.acknowledged |= {k for k, stage in self.stages.items() if stage is Stage.exited}

    def kill(self) -> None:
        """What was only in memory is gone. A start that was under way reaches the engine at any time from now on."""
        self.late |= self.busy
        self.busy.clear()
        self.stopping.clear()
        self.acknowledged.clear()
        self.desired = None

    def check(self) -> None:
        live = [k for k, run in self.runs.items() if run is Run.live]
        # What is being started counts as live: the engine may get to it at any moment.
        at_work = {*live, *self.busy, *(k for k in self.late if k not in self.runs and k not in self.past)}
        assert len({k.lease_id for k in at_work}) == len(at_work), "two generations of one lease at once"
        assert len(self.begun) == len(set(self.begun)), "a generation began twice"


LEASES = ("lea_a", "lea_b")
ANSWERS = st.dictionaries(
    st.sampled_from(LEASES), st.tuples(st.integers(1, 3), st.sampled_from(["run", "run", "stop"]))
)
EVENTS = st.one_of(
    st.tuples(st.just("answer"), ANSWERS),
    st.tuples(st.just("end"), st.integers(0, 3)),
    st.sampled_from([("kill", None), ("late", None), ("begin", None), ("observe", None), ("deliver", None)]),
)


def happen(site: Site, event: str, detail: object) -> None:
    match event, detail:
        case "answer", dict():
            site.desired = [offer(Key(lease, gen), want) for lease, (gen, want) in detail.items()]
        case "end", int():
            site.engine_ends(detail)
        case "begin", _:
            site.engine_begins()
        case "observe", _:
            site.observe()
        case "deliver", _:
            site.deliver()
        case "kill", _:
            site.kill()
        case "late", _:
            site.late_start_arrives()
    site.check()
    site.act()


@settings(max_examples=300)
@given(st.lists(EVENTS, min_size=5, max_size=50))
def test_no_two_generations_at_once_and_none_twice(events: list[tuple[str, object]]) -> None:
    site = Site()
    for event, detail in events:
        happen(site, event, detail)
    # From wherever it is, an empty list from the server empties the site; every end is taken before it is forgotten.
    site.desired = []
    for _ in range(6):
        site.act()
        site.engine_begins()
        for _ in range(4):
            site.act()
            site.engine_ends(0)
        site.observe()
        site.deliver()
    assert not site.stages
    assert not site.runs
    # And from there a fresh list comes to run, unless a generation of that lease as new has already been.
    newest = {lease: max((k.generation for k in site.past if k.lease_id == lease), default=0) for lease in LEASES}
    wanted = [Key(lease, newest[lease] + 1) for lease in LEASES]
    site.desired = [offer(key) for key in wanted]
    for _ in range(2):
        site.act()
        site.engine_begins()
        site.observe()
    assert all(site.runs[key] is Run.live for key in wanted)
    assert {key_of(o) for o in site.desired} == set(site.stages)


def test_idle_work_is_ended_once_and_only_while_it_should_run() -> None:
    idle = Known(ONE, Stage.started, Run.live, idle=True)
    assert plan([offer(ONE)], [idle]) == (Action(Do.rest, ONE, grace_seconds=7),)
    assert planned([offer(ONE)], Known(ONE, Stage.started, Run.live, idle=True, stopping=True)) == []
    assert planned([offer(ONE, "stop")], idle) == [(Do.stop, ONE)]
    assert planned(None, idle) == [], "without word from the server nothing is ended for that"
    assert planned([offer(ONE)], Known(ONE, Stage.exited, Run.ended, idle=True)) == []
