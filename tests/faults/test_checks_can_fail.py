"""A check that cannot fail proves nothing: each rule is broken in the code, and the scenarios must find it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import fault_city
import pytest
from fault_city import play
from sqlalchemy import select

from zhisuan.api import calls
from zhisuan.api.platform import Platform
from zhisuan.base.db import Tx
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Lease, LogPiece
from zhisuan.ledger import rating
from zhisuan.site.journal import Journal
from zhisuan.site.record import LeaseRecord, Stage
from zhisuan.supply.tables import Site
from zhisuan.testing.city import draw
from zhisuan.testing.city.city import People
from zhisuan.testing.database import TestServer
from zhisuan.workload.tables import Workload

SEEDS = range(300, 330)


def devices_are_never_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(execution, "release_devices", lambda tx, lease: None)


def windows_are_lost(patch: pytest.MonkeyPatch) -> None:
    save = Journal.save
    patch.setattr(Journal, "save", lambda self, record, windows=(): save(self, record, list(windows)[1:]))


def a_start_is_not_noted(patch: pytest.MonkeyPatch) -> None:
    noted = LeaseRecord.with_stage
    patch.setattr(
        LeaseRecord, "with_stage", lambda self, stage: self if stage is Stage.starting else noted(self, stage)
    )


def faults_are_charged(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rating, "credit_lease", lambda *_: [])
    patch.setattr(fault_city, "STEPS_RUN", tuple(s for s in fault_city.STEPS_RUN if s[0] != "credit"))


def silent_sites_are_given_up_at_once(patch: pytest.MonkeyPatch) -> None:
    def give_up(here: Platform) -> bool:
        with here.database.begin() as tx:
            silent = select(Lease, Workload, Site).join(Workload, Workload.id == Lease.workload_id).join(
                Site, Site.id == Lease.site_id
            ).where(Lease.state == "active", Site.last_seen_at < tx.now - timedelta(seconds=60))  # fmt: skip
            for lease, workload, site in tx.session.execute(silent).all():
                execution.lose(tx, lease, workload, site, "given up too early")
        return False

    patch.setattr(fault_city, "STEPS_RUN", (*fault_city.STEPS_RUN, ("give up", 5.0, give_up)))


def output_is_taken_wherever_it_begins(patch: pytest.MonkeyPatch) -> None:
    def add(tx: Tx, site_id: str, lease_id: str, generation: int, offset: int, data: bytes) -> int:
        end = execution._log_ends(tx, [lease_id]).get(lease_id, 0)
        if data:
            tx.session.add(LogPiece(lease_id=lease_id, at_byte=end, data=data))
        return offset + len(data)

    patch.setattr(execution, "add_log", add)


def keys_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(calls, "earlier_answer", lambda *_: None)
    patch.setattr(calls, "remember_answer", lambda *_: None)


MUTATIONS: list[tuple[Callable[[pytest.MonkeyPatch], None], str]] = [
    (devices_are_never_given_back, "does not go with what it holds"),
    (windows_are_lost, "was metered"),
    (a_start_is_not_noted, "journal does not have as starting"),
    (faults_are_charged, "was charged"),
    (silent_sites_are_given_up_at_once, "runs twice at once"),
    (output_is_taken_wherever_it_begins, "its output is"),
    (keys_are_forgotten, "is of no order"),
]


@pytest.fixture
def found(postgres: TestServer, people: People, tmp_path: Path) -> Callable[[str], Any]:
    def until(expected: str) -> str:
        for seed in SEEDS:
            _, problems = play(draw(seed), postgres, people, tmp_path / str(seed))
            for problem in problems:
                if expected in problem:
                    return problem
        raise AssertionError(f"no scenario noticed it (looked for {expected!r})")

    return until


@pytest.mark.slow
@pytest.mark.parametrize(("mutate", "expected"), MUTATIONS, ids=[m.__name__ for m, _ in MUTATIONS])
def test_a_broken_rule_is_found(
    mutate: Callable[[pytest.MonkeyPatch], None],
    expected: str,
    found: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutate(monkeypatch)
    assert found(expected)
