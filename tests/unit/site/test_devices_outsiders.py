"""Cards that others work on: what counts as held, and which cards are ours."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.book import Held
from zhisuan.site.discovery import Accelerator
from zhisuan.site.outsiders import HELD_MIB_MIN, cards_in_use, held_mib, taken_by_others, why_taken
from zhisuan.site.reconcile import Run
from zhisuan.site.record import LeaseRecord, Stage
from zhisuan.wire.site import LeaseOffer

CARD = Accelerator(
    key="GPU-a", vendor="nvidia", index=0, name="NVIDIA H200", memory_mib=143771, memory_used_mib=0,
    power_limit_milliwatts=None, driver_version=None, compute_capability=None, bus_id=None, health="ok", tool="nvidia-smi",
)  # fmt: skip
sizes = st.none() | st.integers(0, 200_000)


def held(lease: str, keys: dict[str, list[str]], stage: Stage, run: Run = Run.none) -> Held:
    nodes = [
        {"hostname": host, "devices": [{"key": k, "kind": "accelerator", "amount": 1000} for k in ks]}
        for host, ks in keys.items()
    ]
    values: dict[str, Any] = {
        "lease_id": lease, "generation": 1, "workload_id": "job_a", "workload_name": "a", "nodes": nodes, "run": "true",
    }  # fmt: skip
    return Held(LeaseRecord(offer=LeaseOffer.model_validate(values), stage=stage), run)


def test_the_larger_of_what_is_used_and_what_processes_hold() -> None:
    assert held_mib(CARD) == 0
    assert held_mib(replace(CARD, memory_used_mib=None)) == 0
    assert held_mib(replace(CARD, memory_used_mib=9000, memory_idle_mib=6554)) == 2446
    assert held_mib(replace(CARD, memory_used_mib=700, process_memory_mib=80_000)) == 80_000
    assert held_mib(replace(CARD, memory_used_mib=None, process_memory_mib=2000)) == 2000


@given(sizes, st.integers(0, 10_000), sizes)
def test_nothing_held_is_never_negative(used: int | None, idle: int, processes: int | None) -> None:
    device = replace(CARD, memory_used_mib=used, memory_idle_mib=idle, process_memory_mib=processes)
    assert held_mib(device) >= (processes or 0)


def test_a_card_is_taken_from_the_threshold_on_unless_it_is_ours_or_not_known() -> None:
    busy = replace(CARD, memory_used_mib=HELD_MIB_MIN)
    assert taken_by_others(busy, frozenset())
    assert taken_by_others(busy, frozenset({"GPU-b"}))
    assert not taken_by_others(busy, frozenset({"GPU-a"}))
    assert not taken_by_others(busy, None)
    assert not taken_by_others(replace(busy, memory_used_mib=HELD_MIB_MIN - 1), frozenset())


def test_the_reason_names_the_memory_in_both_languages() -> None:
    reason = why_taken(replace(CARD, memory_used_mib=39_900))
    assert "about 39 GiB" in reason.en
    assert "约 39 GiB" in reason.zh


def test_our_cards_are_those_of_leases_that_may_still_be_at_work_on_this_host() -> None:
    book = [
        held("lea_waiting", {"here": ["GPU-a"]}, Stage.accepted),
        held("lea_running", {"there": ["GPU-x"], "here": ["GPU-b", "GPU-c"]}, Stage.started, Run.live),
        held("lea_ended", {"here": ["GPU-d"]}, Stage.exited, Run.ended),
        held("lea_ending", {"here": ["GPU-e"]}, Stage.exited, Run.live),
    ]
    assert cards_in_use(book, "here") == {"GPU-a", "GPU-b", "GPU-c", "GPU-e"}
    assert cards_in_use(book, "there") == {"GPU-x"}
    assert cards_in_use([], "here") == frozenset()
