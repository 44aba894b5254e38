"""What a workload file may say of interruptions, and how a wrong field is named."""

from typing import Any

import pytest

from zhisuan.base.errors import InvalidInput
from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.survival import Survival


def read(own: str = "", resources: str = "") -> Survival:
    return parse_workload(f"run: x\nresources: {{{resources}}}\nzhisuan: {{{own}}}\n").survival


def wrong(own: str = "", resources: str = "") -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read(own, resources)
    assert all(p.problem.en and p.problem.zh for p in caught.value.problems)
    return [p.where for p in caught.value.problems]


def test_nothing_said_is_the_least() -> None:
    assert read() == Survival() == Survival(grace_seconds=10, retries=0, spot=False)


def test_all_is_kept_in_the_stored_form() -> None:
    own = "checkpoint: {every: 5m}, grace: 2m, on_stop: 'sync', retries: 2, stop_at: 2027-01-01T08:00:00+08:00"
    said = "use_spot: true, autostop: {idle_minutes: 30, down: true}, job_recovery: {recover_on_exit_codes: 33}"
    spec = parse_workload(f"run: x\nresources: {{{said}}}\nzhisuan: {{{own}}}\n")
    assert spec.survival == Survival(300, 120, "sync", 2, (33,), True, "2027-01-01T08:00:00+08:00", 30, True)
    assert WorkloadSpec.from_dict(spec.as_dict()) == spec
    before = {k: v for k, v in spec.as_dict().items() if k != "survival"}
    assert WorkloadSpec.from_dict(before).survival == Survival(), "a record of the release before has none of it"


@pytest.mark.parametrize(
    ("said", "minutes"),
    [("true", 5), ("false", None), ("10", 10), ("'45'", 45), ("30m", 30), ("2h", 120), ("1d", 1440), ("{idle_minutes: 7}", 7), ("{}", 5)],
)
def test_forms_of_autostop(said: str, minutes: int | None) -> None:
    """SkyPilot's documentation, "Autostop and Autodown": true, a number, a time, a mapping."""
    assert read(resources=f"autostop: {said}").idle_minutes == minutes


@pytest.mark.parametrize("said", ["FAILOVER", "eager_next_region", "{strategy: failover, max_restarts_on_errors: 3}"])
def test_forms_of_recovery(said: str) -> None:
    assert read(resources=f"job_recovery: {said}").retries == (3 if "3" in said else 0)


@pytest.mark.parametrize(
    ("own", "resources", "where"),
    [
        ("grace: 0s", "", "zhisuan.grace"),
        ("grace: 11m", "", "zhisuan.grace"),
        ("grace: soon", "", "zhisuan.grace"),
        ("checkpoint: 5m", "", "zhisuan.checkpoint"),
        ("checkpoint: {every: 1s}", "", "zhisuan.checkpoint.every"),
        ("checkpoint: {often: 1m}", "", "zhisuan.checkpoint.often"),
        ("on_stop: [a]", "", "zhisuan.on_stop"),
        ("retries: 21", "", "zhisuan.retries"),
        ("retries: true", "", "zhisuan.retries"),
        ("retries: 1", "job_recovery: {max_restarts_on_errors: 1}", "zhisuan.retries"),
        ("stop_at: tomorrow", "", "zhisuan.stop_at"),
        ("stop_at: 2027-01-01T08:00:00", "", "zhisuan.stop_at"),
        ("stop_at: 7", "", "zhisuan.stop_at"),
        ("", "use_spot: maybe", "resources.use_spot"),
        ("", "autostop: 0", "resources.autostop"),
        ("", "autostop: 20s", "resources.autostop"),
        ("", "autostop: {idle_minutes: -1}", "resources.autostop.idle_minutes"),
        ("", "autostop: {wait_for: jobs}", "resources.autostop.wait_for"),
        ("", "job_recovery: magic", "resources.job_recovery.strategy"),
        ("", "job_recovery: {max_restarts_on_errors: many}", "resources.job_recovery.max_restarts_on_errors"),
        ("", "job_recovery: {recover_on_exit_codes: [0]}", "resources.job_recovery.recover_on_exit_codes"),
        ("", "spot_recovery: x", "resources.spot_recovery"),
    ],
)
def test_wrong_fields_are_named(own: str, resources: str, where: str) -> None:
    assert wrong(own, resources) == [where]


@pytest.mark.parametrize("value", [None, [], {}, 1.5, "x", -1, 10**30, [None], {"every": []}, True])
@pytest.mark.parametrize("name", ["checkpoint", "grace", "on_stop", "retries", "stop_at"])
def test_nothing_breaks_the_reader(name: str, value: Any) -> None:
    import json

    try:
        read(f"{name}: {json.dumps(value)}")
    except InvalidInput as error:
        caught = error.problems
        assert all(p.where.startswith(f"zhisuan.{name}") for p in caught)
