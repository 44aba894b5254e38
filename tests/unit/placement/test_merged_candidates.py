"""The candidates of several alternatives, made when they are looked at, are those of all of them sorted together."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from test_placement_specification import needs, snapshots

from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.rules import plan
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Need, Snapshot


@settings(max_examples=50)
@given(snapshot=snapshots(), wanted=st.lists(needs, min_size=2, max_size=3), ordered=st.booleans())
def test_merged_candidates_are_all_of_them_in_order(snapshot: Snapshot, wanted: list[Need], ordered: bool) -> None:
    found = plan_wish(snapshot, Wish(tuple(wanted), ordered=ordered)).candidates
    each = [
        (number, candidate) for number, need in enumerate(wanted, 1) for candidate in plan(snapshot, need).candidates
    ]
    said = sorted(each, key=lambda pair: (pair[0] if ordered else 0, pair[1].order))
    assert [(c.alternative, c.site_id, c.nodes, c.hour_ucny) for c in found] == [(n, c.site_id, c.nodes, c.hour_ucny) for n, c in said]
    assert len(found) == len(said)
    if said:
        assert (found[-1].alternative, replace(found[-1], alternative=0).nodes) == (said[-1][0], said[-1][1].nodes)
