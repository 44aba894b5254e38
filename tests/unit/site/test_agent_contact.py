"""The fence at the agent: its own silence, counted from the sending of the last answered sync, ends the work."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from zhisuan.base.clock import ManualClock
from zhisuan.engines.contract import ExitReason, Observation, RunPhase
from zhisuan.site.contact import SETTLING_SECONDS, START_SILENCE_SECONDS, Contact
from zhisuan.site.journal import Journal
from zhisuan.site.reconcile import Action, Do, Known, Run, plan
from zhisuan.site.record import Key, LeaseRecord, Stage, observed
from zhisuan.wire.site import LeaseOffer, NodeGrantMessage

NOON = datetime(2026, 7, 1, 4, tzinfo=UTC)
KEY = Key("lea_a", 1)


def offer(**more: object) -> LeaseOffer:
    return LeaseOffer(
        lease_id="lea_a", generation=1, workload_id="job", workload_name="job", run="true", term_seconds=7200,
        nodes=(NodeGrantMessage(hostname="here", devices=()),),
    ).model_copy(update=more)  # fmt: skip


class Host:
    """A machine whose clocks are moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.boottime = 1000.0
        self.boot = "b1"
        self.clock = ManualClock(NOON)
        self._path = folder / "journal.db"
        self.journal = Journal(self._path)

    def agent(self) -> Contact:
        self.journal.close()
        self.journal = Journal(self._path)
        return Contact(self.journal, self.clock, self.boot, lambda: self.boottime)

    def wait(self, seconds: float) -> None:
        self.boottime += seconds
        self.clock.advance(timedelta(seconds=seconds))

    def reboot(self) -> None:
        self.boot, self.boottime = "b2", 5.0


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_silence_is_counted_from_the_sending_of_what_was_answered(host: Host) -> None:
    contact = host.agent()
    asked = contact.asking()
    host.wait(20)
    contact.answered(asked)
    assert contact.silent_seconds == 20
    host.wait(100)
    contact.asking()
    assert contact.silent_seconds == 120


def test_answers_out_of_order_never_make_it_older(host: Host) -> None:
    contact = host.agent()
    first = contact.asking()
    host.wait(20)
    contact.answered(contact.asking())
    contact.answered(first)
    assert contact.silent_seconds == 0


def test_a_wall_clock_that_jumps_changes_nothing(host: Host) -> None:
    contact = host.agent()
    contact.answered(contact.asking())
    host.clock.advance(timedelta(days=2))
    assert (contact.silent_seconds, contact.may_start) == (0, True)


def test_the_time_an_agent_was_away_counts(host: Host) -> None:
    contact = host.agent()
    contact.answered(contact.asking())
    host.wait(3000)
    again = host.agent()
    assert (again.silent_seconds, again.may_start) == (0, False)
    host.wait(SETTLING_SECONDS)
    assert again.silent_seconds == 3000 + SETTLING_SECONDS
    again.answered(again.asking())
    assert (again.silent_seconds, again.may_start) == (0, True)


def test_over_a_reboot_the_wall_clock_tells(host: Host) -> None:
    contact = host.agent()
    contact.answered(contact.asking())
    host.wait(5000)
    host.reboot()
    again = host.agent()
    host.wait(SETTLING_SECONDS)
    assert again.silent_seconds == pytest.approx(5000 + SETTLING_SECONDS)


def test_nothing_begins_by_an_old_list(host: Host) -> None:
    contact = host.agent()
    assert not contact.may_start
    contact.answered(contact.asking())
    host.wait(START_SILENCE_SECONDS)
    assert contact.may_start
    host.wait(1)
    assert not contact.may_start
    waiting = [Known(KEY, Stage.accepted)]
    assert plan([offer()], waiting, may_start=False) == ()
    assert [a.do for a in plan([offer()], waiting)] == [Do.start]


@pytest.mark.parametrize("listed", [True, False, None])
def test_what_is_overdue_is_ended_once(listed: bool | None) -> None:
    desired = None if listed is None else [offer()] if listed else []
    live = Known(KEY, Stage.started, Run.live, overdue=True)
    assert plan(desired, [live]) == (Action(Do.expire, KEY),)
    stopping = Known(KEY, Stage.started, Run.live, stopping=True, overdue=True)
    assert plan(desired, [stopping]) == ()
    ended = Known(KEY, Stage.exited, Run.ended, overdue=True)
    assert Do.expire not in {a.do for a in plan(desired, [ended])}


@pytest.mark.parametrize(
    ("expired", "reason", "expected"),
    [
        (True, ExitReason.cancelled, "orphaned"), (True, ExitReason.completed, "completed"),
        (False, ExitReason.cancelled, "cancelled"),
    ],
)  # fmt: skip
def test_an_end_by_the_term_is_told_as_such_and_a_work_that_completed_has_completed(
    expired: bool, reason: ExitReason, expected: str
) -> None:
    record = LeaseRecord(offer=offer(), stage=Stage.started)
    if expired:
        record = record.as_expired()
    seen = Observation("lea_a", 1, RunPhase.exited, NOON, NOON, 0, None, reason, None, 0, 0, None)
    assert observed(record, seen, NOON).record.reason == expected
