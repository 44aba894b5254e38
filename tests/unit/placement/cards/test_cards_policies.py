"""Every policy keeps every rule on any cluster; FGD and what is counted agree with their plain definitions."""

import numpy as np
import pytest
from cards_checker import Free, best_by_fragmentation, fits
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.placement.cards.fgd import FGD
from zhisuan.placement.cards.filling import Filling
from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.policies import NAMES, make_policy
from zhisuan.placement.cards.state import State
from zhisuan.placement.cards.types import Choice, Node, Refusal, Task

MODELS = ("A", "B")
nodes_of = st.lists(
    st.builds(
        Node,
        st.just("n"),
        st.integers(0, 64).map(lambda c: c * 1000),
        st.integers(0, 64),
        st.sampled_from((0, 1, 2, 4, 8)),
        st.sampled_from(MODELS),
    ),
    min_size=1,
    max_size=6,
)
models_of = st.sampled_from(((), (), ("A",), ("A", "B"), ("C",)))
cpu_of, memory_of = st.integers(0, 20).map(lambda c: c * 1000), st.integers(0, 16)
tasks_of = st.lists(
    st.one_of(
        st.builds(Task, cpu_of, memory_of),
        st.builds(Task, cpu_of, memory_of, st.just(1), st.sampled_from((100, 300, 330, 500, 810, 1000)), models_of),
        st.builds(Task, cpu_of, memory_of, st.sampled_from((2, 4, 8)), st.just(1000), models_of),
    ),
    min_size=1,
    max_size=40,
)


def free_of(state: State, n: int) -> Free:
    cards = tuple(int(f) for f in state.free[n][: state.cards[n]])
    return int(state.cpu[n]), int(state.memory[n]), cards, state.nodes[n].model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("learns", [False, True])
@settings(max_examples=25, deadline=None)
@given(nodes=nodes_of, tasks=tasks_of, seed=st.integers(0, 9))
def test_a_policy_keeps_every_rule(name: str, learns: bool, nodes: list[Node], tasks: list[Task], seed: int) -> None:
    """Counted apart from the state's own columns; a refusal means that nothing fits, but for what is kept."""
    mix = Mix() if learns else Mix.of(tasks)
    policy = make_policy(name, nodes, mix, np.random.default_rng(seed))
    state = policy.state
    plain: list[Free] = [(n.cpu_milli, n.memory_mib, (1000,) * n.cards, n.model) for n in nodes]
    for task in tasks:
        outcome = policy.choose(task)
        can = [n for n, node in enumerate(plain) if fits(node, task)]
        if isinstance(outcome, Refusal):
            assert not can or (name == "zhisuan" and outcome.binding == "kept" and task.num_gpu)
            assert sum(outcome.taken_out.values()) == len(nodes)
            assert outcome.taken_out.get("kept", 0) == len(can)
        else:
            assert outcome.node in can
            assert len(set(outcome.cards)) == task.num_gpu
            cpu, memory, cards, model = plain[outcome.node]
            left = tuple(f - task.gpu_milli * (c in outcome.cards) for c, f in enumerate(cards))
            assert min(left, default=0) >= 0
            assert all(c < len(cards) for c in outcome.cards)
            plain[outcome.node] = (cpu - task.cpu_milli, memory - task.memory_mib, left, model)
            state.take(task, outcome)
        assert [free_of(state, n) for n in range(len(nodes))] == plain
        policy.prepare()


@settings(max_examples=60, deadline=None)
@given(nodes=nodes_of, tasks=tasks_of)
def test_fgd_is_its_definition(nodes: list[Node], tasks: list[Task]) -> None:
    state = State(nodes)
    mix = Mix.of(tasks)
    policy = FGD(state, mix, exact=True)
    for task in tasks:
        expected = best_by_fragmentation([free_of(state, n) for n in range(len(nodes))], task, dict(mix.counts))
        outcome = policy.choose(task)
        if expected is None:
            assert isinstance(outcome, Refusal)
            continue
        assert outcome == Choice(*expected)
        state.take(task, outcome)


@settings(max_examples=60, deadline=None)
@given(nodes=nodes_of, tasks=tasks_of)
def test_filling_is_placing_one_kind_until_none_fits(nodes: list[Node], tasks: list[Task]) -> None:
    state = State(nodes)
    mix = Mix.of(tasks)
    asked = {task: count for task, count in mix.counts.items() if task.num_gpu}
    lost = Filling(state, mix).loss(state.model, state.cpu, state.memory, state.free)
    for n, node in enumerate(nodes):
        filled = 0
        for task, count in asked.items():
            alone = State([node])
            while alone.fits(task)[0]:
                policy = FGD(alone, Mix(), exact=True)
                outcome = policy.choose(task)
                assert isinstance(outcome, Choice)
                alone.take(task, outcome)
                filled += count * task.total_milli
        expected = node.cards * 1000 - (filled / sum(asked.values()) if asked else node.cards * 1000)
        assert lost[n] == pytest.approx(expected, abs=1e-6)


def test_a_choice_that_breaks_a_rule_is_not_taken() -> None:
    state = State([Node("a", 4000, 10, 2, "A")])
    task = Task(1000, 1, 1, 600)
    state.take(task, Choice(0, (0,)))
    for wrong in (Choice(0, (0,)), Choice(0, ()), Choice(0, (2,)), Choice(0, (0, 1))):
        with pytest.raises(ValueError):
            state.take(task, wrong)
    with pytest.raises(ValueError):
        state.take(Task(5000, 1), Choice(0))
    with pytest.raises(ValueError):
        state.take(Task(1, 1, 1, 100, ("B",)), Choice(0, (1,)))
    state.give_back(task, Choice(0, (0,)))
    assert free_of(state, 0) == (4000, 10, (1000, 1000), "A")


def test_a_refusal_says_what_took_the_nodes_out() -> None:
    state = State(
        [Node("a", 1000, 10, 0), Node("b", 1000, 10, 1, "A"), Node("c", 9000, 1, 1, "A"), Node("d", 9000, 9, 1, "B")]
    )
    refusal = state.why_not(Task(2000, 5, 1, 500, ("A",)))
    assert refusal.taken_out == {"model": 2, "cpu": 1, "memory": 1}
    assert refusal.binding == "memory"
