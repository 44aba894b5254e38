"""Why a run ended: every combination has one reason, and the order of reasons is the declared one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.engines.contract import ExitReason
from zhisuan.engines.local.shim.verdict import Seen, decide


def seen(**changes: Any) -> Seen:
    one = Seen()
    one.memory_mib = 64
    for name, value in changes.items():
        setattr(one, name, value)
    return one


RAN = {"hello": True, "began": True}


@pytest.mark.parametrize(
    ("what", "reason", "code", "signal"),
    [
        ({**RAN, "said": ("run", 0, 0)}, "completed", 0, None),
        ({**RAN, "said": ("run", 3, 0)}, "failed", 3, None),
        ({**RAN, "said": ("run", 0, 9)}, "failed", None, 9),
        ({**RAN, "said": ("setup", 1, 0)}, "setup_failed", 1, None),
        ({**RAN, "said": ("run", 0, 0), "out_of_memory_kills": 1}, "out_of_memory", 0, None),
        ({**RAN, "said": ("run", 0, 0), "ending": ("cancelled", "m"), "out_of_memory_kills": 1}, "cancelled", 0, None),
        ({**RAN, "ending": ("timed_out", "m")}, "timed_out", None, None),
        ({**RAN}, "failed", None, 9),
        ({"hello": True, "refused": "bad archive"}, "start_failed", None, None),
        ({"hello": True, "head": "Traceback"}, "start_failed", None, None),
        ({"head": "bwrap: no"}, "start_failed", None, None),
        ({"out_of_memory_kills": 2}, "out_of_memory", None, None),
    ],
)
def test_reasons(what: dict[str, Any], reason: str, code: int | None, signal: int | None) -> None:
    verdict = decide(seen(**what))
    assert (verdict.reason, verdict.exit_code, verdict.signal) == (reason, code, signal)


def test_what_the_sandbox_said_is_in_the_message() -> None:
    assert "bwrap: no" in (decide(seen(head="bwrap: no\n")).message or "")
    assert "64 MiB" in (decide(seen(**RAN, out_of_memory_kills=1)).message or "")
    assert "SIGSEGV" in (decide(seen(**RAN, said=("run", 0, 11))).message or "")


@given(
    st.booleans(), st.booleans(), st.integers(0, 2), st.none() | st.just("why"),
    st.none() | st.tuples(st.sampled_from(["setup", "run"]), st.integers(0, 255), st.integers(0, 64)),
    st.none() | st.tuples(st.sampled_from(["cancelled", "timed_out", "orphaned", "out_of_memory"]), st.just("m")),
)  # fmt: skip
def test_every_end_has_a_known_reason(
    hello: bool, began: bool, kills: int, refused: str | None, said: Any, ending: Any
) -> None:
    verdict = decide(
        seen(hello=hello, began=began, out_of_memory_kills=kills, refused=refused, said=said, ending=ending)
    )
    assert ExitReason(verdict.reason)
    assert verdict.exit_code is None or verdict.signal is None
    assert (verdict.message is None) == (verdict.reason == "completed")
