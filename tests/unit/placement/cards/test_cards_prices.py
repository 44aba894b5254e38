"""Prices on small cases whose answer is known, and what the policy does with them."""

from collections import Counter

import numpy as np
import pytest

from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.prices import UNITS, Programme
from zhisuan.placement.cards.state import State
from zhisuan.placement.cards.types import Choice, Node, Refusal, Task
from zhisuan.placement.cards.zhisuan import Zhisuan


def cluster(**cards: int) -> list[Node]:
    return [Node(f"{model}{n}", 10**6, 10**6, 1, model) for model, count in cards.items() for n in range(count)]


def mix_of(counts: dict[Task, int]) -> Mix:
    return Mix(Counter(counts), learns=False)


ANY, SHARE, NEEDS_A = Task(1, 1, 1, 1000), Task(1, 1, 1, 810), Task(1, 1, 1, 1000, ("A",))


def test_what_fills_a_card_least_is_what_there_is_no_room_for() -> None:
    """Ten cards; five whole ones and ten of 810 are asked for: five of the latter have none."""
    state = State(cluster(A=10))
    mix = mix_of({ANY: 5, SHARE: 10})
    prices = Programme(state, mix).solve(5 * 1000 + 10 * 810)
    assert prices.room == {(1, 1000, ()): 1000, (1, 810, ()): pytest.approx(500, abs=1)}
    assert prices.worth[0, UNITS] == pytest.approx(810, abs=1)


def test_two_halves_of_470_are_cut_from_a_card_and_a_rest_of_530_is_worth_one() -> None:
    prices = Programme(State(cluster(A=10)), mix_of({Task(1, 1, 1, 470): 1})).solve(40 * 470)
    assert prices.worth[0, UNITS] == pytest.approx(940, abs=1)
    assert prices.worth[0, 53] == pytest.approx(470, abs=1)
    assert prices.worth[0, 46] == 0


def test_a_scarce_model_is_dear_and_plenty_costs_nothing() -> None:
    state = State(cluster(A=2, B=10))
    prices = Programme(state, mix_of({NEEDS_A: 4, ANY: 5})).solve(9 * 1000)
    assert prices.worth[state.models.index("A"), UNITS] == pytest.approx(1000, abs=1)
    assert prices.worth[state.models.index("B"), UNITS] == pytest.approx(0, abs=1)


def test_cards_side_by_side_are_worth_more_where_gangs_come() -> None:
    nodes = [Node(f"n{n}", 10**6, 10**6, 4, "A") for n in range(2)]
    prices = Programme(State(nodes), mix_of({Task(1, 1, 4, 1000): 4})).solve(16 * 1000)
    whole = prices.gangs[4][0] + 4 * prices.worth[0, UNITS]
    assert whole == pytest.approx(4000, abs=4)


def test_a_task_that_can_run_anywhere_leaves_the_scarce_model_free() -> None:
    """Nodes of A come first in the list, and nothing but the price tells them from those of B."""
    policy = Zhisuan(State(cluster(A=4, B=4)), mix_of({NEEDS_A: 1, ANY: 1}))
    policy.prepare()
    for task in (ANY, NEEDS_A, ANY, NEEDS_A, ANY, ANY, NEEDS_A, NEEDS_A):
        outcome = policy.choose(task)
        assert isinstance(outcome, Choice)
        assert policy.state.nodes[outcome.node].model == ("A" if task is NEEDS_A else "B")
        policy.state.take(task, outcome)
        policy.prepare()


def test_what_is_kept_is_kept_until_as_much_has_come_as_there_is() -> None:
    state = State(cluster(A=100))
    mix = mix_of({ANY: 9, SHARE: 1})
    policy, open_policy = Zhisuan(state, mix), Zhisuan(State(cluster(A=100)), mix_of({ANY: 9, SHARE: 1}), keeps=False)
    for one in (policy, open_policy):
        for card in range(60):
            one.state.take(ANY, Choice(card, (0,)))
        one.mix.arrived_milli = 10_000
        one.prepare()
    refused = policy.choose(SHARE)
    assert isinstance(refused, Refusal)
    assert refused.taken_out == {"cards": 60, "kept": 40}
    assert isinstance(open_policy.choose(SHARE), Choice)
    assert isinstance(policy.choose(Task(1, 1)), Choice)
    policy.mix.arrived_milli = 100_000
    policy.prepare()
    assert isinstance(policy.choose(SHARE), Choice)


def test_the_same_counts_give_the_same_prices_in_whatever_order_they_came() -> None:
    nodes = cluster(A=3, B=5)
    first = Programme(State(nodes), mix_of({ANY: 3, SHARE: 4, NEEDS_A: 2})).solve(9000)
    second = Programme(State(nodes), mix_of({NEEDS_A: 2, SHARE: 4, ANY: 3})).solve(9000)
    assert np.array_equal(first.worth, second.worth)
    assert first.room == second.room
