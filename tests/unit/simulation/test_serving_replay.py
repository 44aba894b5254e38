"""The replay of requests: nothing lost, nothing twice, memory and batch within bounds, the plain specification, queueing theory."""

from itertools import pairwise
from random import Random as Chance
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_specification import replay_plainly

from zhisuan.gateway.routing.catalogue import POLICIES
from zhisuan.placement.scaling import Bounds, Fixed, Rule
from zhisuan.simulation.serving.counted import Price, bounds, counted
from zhisuan.simulation.serving.made import SHAPES, made_trace
from zhisuan.simulation.serving.options import SCALINGS, Targets
from zhisuan.simulation.serving.replay import Replay, Result, Setting
from zhisuan.simulation.serving.replica import Replica, Speed
from zhisuan.simulation.serving.requests import Request, Trace, at_rate, in_order

SECOND = 1_000_000
SMALL = Speed(prefill_ns=50_000, base_us=1_000, decode_us=10, chunk=700, batch_max=4, blocks=12)


def replay_of(
    routing: str = "zhisuan", *, replicas: int = 2, speed: Speed = SMALL, rule: Rule | None = None,
    range_of: tuple[int, int] | None = None, queue_max: int = 0, timeout_us: int = 0, look_us: int = SECOND,
) -> Replay:  # fmt: skip
    least, most = range_of or (replicas, replicas)
    setting = Setting(
        speed, replicas, Bounds(least, most, 3 * SECOND, 5 * SECOND), look_us, queue_max, timeout_us, speed.blocks
    )
    return Replay(setting, POLICIES[routing](Chance(5).random), rule or Fixed(replicas))


def played(trace: Trace, routing: str = "zhisuan", **options: Any) -> Result:
    return replay_of(routing, **options).run(trace)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Small ones, whose prefixes are chains: a block's name names all before it."""
    found = []
    for _ in range(draw(st.integers(1, 25))):
        tokens = draw(st.integers(1, 512 * 8))
        root, turn = draw(st.integers(0, 2)), draw(st.integers(0, 7))
        full = -(-tokens // 512)
        names = [root * 1_000 + place if place < turn else 10_000 + len(found) * 100 + place for place in range(full)]
        shared = draw(st.booleans())
        at = draw(st.integers(0, 4_000)) * 1_000
        found.append(Request(at, tokens, draw(st.integers(0, 600)), tuple(names) if shared else ()))
    return in_order(found)


@settings(max_examples=150, deadline=None)
@given(traces(), st.sampled_from([256, 700, 5_000]), st.integers(1, 5), st.integers(10, 30))
def test_one_replica_does_what_the_plain_specification_does(trace: Trace, chunk: int, batch: int, memory: int) -> None:
    speed = Speed(prefill_ns=50_000, base_us=1_000, decode_us=10, chunk=chunk, batch_max=batch, blocks=memory)
    mine = played(trace, replicas=1, speed=speed).calls
    plain = replay_plainly(list(trace.requests), speed)
    assert [(c.matched, c.first_us, c.ended_us) for c in mine] == [(c.matched, c.first_us, c.ended_us) for c in plain]


@settings(max_examples=60, deadline=None)
@given(
    traces(), st.sampled_from(sorted(POLICIES)), st.sampled_from(sorted(SCALINGS)), st.integers(0, 3),
    st.sampled_from([0, 2]), st.sampled_from([0, 200_000]),
)  # fmt: skip
def test_every_request_ends_exactly_once_and_within_bounds(
    trace: Trace, routing: str, scaling: str, replicas: int, queue_max: int, timeout_us: int
) -> None:
    """Also under scaling to zero, refusals and clients that give up; each state of each replica is looked at."""
    replicas = max(replicas, scaling == "fixed")
    with watched() as ended:
        replay = replay_of(
            routing, replicas=replicas, rule=SCALINGS[scaling](replicas, Targets(2, 1, 1_000, 0)),
            range_of=(0, 4), queue_max=queue_max, timeout_us=timeout_us,
        )  # fmt: skip
        result = replay.run(trace)
    assert all(known.in_flight == known.unread == 0 and not known.waiting for known in replay.book.replicas.values())
    assert sorted(ended) == sorted(call.number for call in result.calls if call.outcome == "completed")
    for call in result.calls:
        assert call.outcome in ("completed", "gave_up", "refused", "too_long")
        assert (call.outcome == "too_long") == (call.need > SMALL.blocks)
        if call.outcome == "completed":
            assert call.request.at_us <= call.admitted_us < call.first_us <= call.ended_us
            member = result.fleet.members[call.replica]
            assert member.ready_us <= call.admitted_us
            assert member.stopped_us < 0 or call.ended_us <= member.stopped_us
        if call.outcome == "gave_up":
            assert call.ended_us == call.request.at_us + timeout_us and call.first_us < 0
    for member in result.fleet.members:
        memory = member.replica.memory
        assert member.replica.idle and not memory.held and memory.private == 0 and memory.used <= memory.capacity
    figures = counted(result, Price(3_600_000_000, 0, 0, 0))
    assert figures["requests"] == sum(figures[name] for name in ("completed", "gave_up", "refused", "too_long"))  # type: ignore[misc]
    done = [call.request for call in result.calls if call.outcome == "completed"]
    assert figures["output_tokens"] == sum(one.output_tokens for one in done)
    assert figures["cost_ucny"] == figures["replica_us"]


class watched:  # noqa: N801
    """Looks at every replica after each of its changes; gives the numbers of calls that ended."""

    def __enter__(self) -> list[int]:
        self._begin, self._finish = Replica.begin, Replica.finish
        ended: list[int] = []

        def begin(replica: Replica, now_us: int) -> int | None:
            end = self._begin(replica, now_us)
            assert replica.running <= replica.speed.batch_max
            assert replica.memory.used <= replica.memory.capacity and replica.memory.private >= 0
            assert sum(tokens for _, tokens in replica._reads) <= replica.speed.chunk
            return end

        def finish(replica: Replica, now_us: int):  # type: ignore[no-untyped-def]
            happened = self._finish(replica, now_us)
            ended.extend(call.number for call in happened.ended)
            return happened

        Replica.begin, Replica.finish = begin, finish  # type: ignore[method-assign]
        return ended

    def __exit__(self, *_: object) -> None:
        Replica.begin, Replica.finish = self._begin, self._finish  # type: ignore[method-assign]


def test_a_replica_that_drains_gets_nothing_new_and_ends_what_it_has() -> None:
    """One replica is wanted from the first look on; the three others go when five calm seconds are over."""
    calls = [Request(at * 100_000, 300, 2_000) for at in range(80)]
    result = played(in_order(calls), "round-robin", replicas=4, range_of=(1, 4), rule=Falls())
    drained = [member for member in result.fleet.members if member.stopped_us >= 0]
    assert len(drained) == 3
    for member in drained:
        mine = [call for call in result.calls if call.replica == member.replica.number]
        assert mine and max(call.request.at_us for call in mine) < 5 * SECOND
        assert member.stopped_us == max(call.ended_us for call in mine) > 5 * SECOND
    assert {call.outcome for call in result.calls} == {"completed"}


class Falls:
    def wanted(self, seen: object, bounds: Bounds) -> int:
        return 1


def test_a_service_at_zero_wakes_for_a_call_which_waits_for_the_cold_start_and_sleeps_again() -> None:
    trace = Trace((Request(0, 100, 5), Request(60 * SECOND, 100, 5)))
    rule = SCALINGS["concurrency"](0, Targets())
    result = played(trace, replicas=0, range_of=(0, 4), rule=rule)
    assert [call.admitted_us - call.request.at_us for call in result.calls] == [3 * SECOND] * 2
    first, second = result.fleet.members
    assert 5 * SECOND < first.stopped_us < 15 * SECOND and second.began_us == 60 * SECOND


def test_poisson_calls_of_one_length_wait_as_queueing_theory_says() -> None:
    """M/D/1, one call at a time: mean wait = load / (2 (1 - load)) services (Pollaczek and Khinchine)."""
    service, load = 10_000, 0.7
    speed = Speed(prefill_ns=0, base_us=service, decode_us=0, chunk=0, batch_max=1, blocks=10)
    waits = _waits(speed, np.full(60_000, 1), service / load)
    assert np.mean(waits) == pytest.approx(service * load / (2 * (1 - load)), rel=0.05)


def test_poisson_calls_of_exponential_length_wait_as_queueing_theory_says() -> None:
    """M/M/1: mean wait = load / (1 - load) services, and the share that need not wait is 1 - load."""
    service, load = 10_000, 0.6
    tokens = np.maximum(1, np.random.default_rng(3).exponential(service, 60_000).astype(int))
    speed = Speed(prefill_ns=1_000, base_us=1, decode_us=0, chunk=0, batch_max=1, blocks=1_000)
    waits = _waits(speed, tokens, service / load)
    assert np.mean(waits) == pytest.approx(service * load / (1 - load), rel=0.07)
    assert np.mean(np.asarray(waits) == 0) == pytest.approx(1 - load, abs=0.02)


def _waits(speed: Speed, tokens: np.ndarray, gap_us: float) -> list[int]:
    at = np.cumsum(np.random.default_rng(7).exponential(gap_us, len(tokens))).astype(int)
    trace = Trace(tuple(Request(int(a), int(t), 1) for a, t in zip(at, tokens, strict=True)))
    result = played(trace, "round-robin", replicas=1, speed=speed, look_us=60 * SECOND)
    return [call.admitted_us - call.request.at_us for call in result.calls]


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.slow
def test_ours_is_never_worse_than_round_robin_in_p99_and_finds_more_on_made_traces(shape: str) -> None:
    """Busy: where nothing waits and everything is cached everywhere, all policies are alike but for chance."""
    trace = at_rate(made_trace(shape, 2_000, 11), 15 if shape == "hot" else 5, 1)
    figures = {}
    for routing in ("round-robin", "zhisuan"):
        result = played(trace, routing, replicas=3, speed=Speed(), look_us=15 * SECOND)
        figures[routing] = counted(result, Price(0, 0, 0, 0))
    p99 = {name: each["first_token_us"]["p99"] for name, each in figures.items()}  # type: ignore[index]
    assert p99["zhisuan"] <= p99["round-robin"]
    bound = bounds(trace, Speed())
    if SHAPES[shape].shared:
        assert figures["round-robin"]["hit_ppm"] <= figures["zhisuan"]["hit_ppm"] <= bound["hit_ppm"]  # type: ignore[operator]
    assert figures["zhisuan"]["first_token_us"]["mean"] >= bound["first_token_us"]["mean"]  # type: ignore[index]


def test_a_made_trace_is_the_same_for_a_seed_in_order_and_of_chained_prefixes() -> None:
    one, two, other = (made_trace("chat", 500, seed) for seed in (1, 1, 2))
    assert one == two != other
    assert len(one.requests) == 500 and all(a.at_us <= b.at_us for a, b in pairwise(one.requests))
    before: dict[int, tuple[int, ...]] = {}
    for request in one.requests:
        assert len(request.blocks) == -(-request.input_tokens // 512)
        for place, name in enumerate(request.blocks):
            assert before.setdefault(name, request.blocks[:place]) == request.blocks[:place]
