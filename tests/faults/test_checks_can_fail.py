"""A check that cannot fail proves nothing: each rule is broken in the code, and the scenarios must find it."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import fault_city
import pytest
from fault_city import play
from sqlalchemy import select

from zhisuan.api import calls, ordering, problems
from zhisuan.api.platform import Platform
from zhisuan.base.db import Tx
from zhisuan.engines.contract import RunSpec
from zhisuan.execution import service as execution
from zhisuan.execution import volumes
from zhisuan.execution.snapshot import SiteRecord
from zhisuan.execution.tables import Lease, LogPiece
from zhisuan.ledger import rating
from zhisuan.site import starter as agent_starter
from zhisuan.site.journal import Journal
from zhisuan.site.record import LeaseRecord, Stage
from zhisuan.site.runspec import run_spec
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.testing.city import Scenario, draw
from zhisuan.testing.city.city import People
from zhisuan.testing.city.site import CityServices
from zhisuan.testing.database import TestServer
from zhisuan.workload.tables import Workload

SEEDS = range(300, 1000)
TRIED_MAX = 30
Promising = Callable[[Scenario], bool]


def anything(_: Scenario) -> bool:
    return True


def with_event(*kinds: str, least: float = 0.0) -> Promising:
    return lambda drawn: any(e.what in kinds and e.value >= least for e in drawn.events)


def with_long_cut(drawn: Scenario) -> bool:
    """Work that would be running when its site has been silent for a minute, and may be tried again."""
    cuts = [e.at for e in drawn.events if e.what == "network cut" and e.value >= 120]
    lasting = [j for j in drawn.jobs if j.seconds > 100 and j.restarts and not j.poor and j.cancel_at is None]
    return any(j.at + 10 < at < j.at + j.seconds - 70 for at in cuts for j in lasting)


def with_warm_up(drawn: Scenario) -> bool:
    return any(j.warm_up and j.cancel_at and j.cancel_at - j.at > 50 and not j.poor for j in drawn.jobs)


def with_gang(drawn: Scenario) -> bool:
    return any(j.nodes > 1 and not j.poor and j.cancel_at is None for j in drawn.jobs)


def with_lost_answers(drawn: Scenario) -> bool:
    return drawn.lose_answers >= 60


def with_new_credential_and_lost_answers(drawn: Scenario) -> bool:
    return with_event("credential replaced")(drawn) and drawn.lose_answers == 200


def devices_are_never_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(execution, "release_devices", lambda tx, lease_ids: None)


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
        extent = volumes.extents(tx, [lease_id]).get(lease_id)
        end = extent.end if extent is not None else 0
        if data:
            tx.session.add(LogPiece(lease_id=lease_id, at_byte=end, data=data))
        return offset + len(data)

    patch.setattr(execution, "add_log", add)


def keys_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(calls, "earlier_answer", lambda *_: None)
    patch.setattr(calls, "remember_answer", lambda *_: None)
    patch.setattr(ordering, "earlier_answers", lambda tx, asked: [None] * len(asked))
    patch.setattr(ordering, "remember_answer", lambda *_: None)


def a_providers_hours_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    found = SiteRecord.offer
    patch.setattr(SiteRecord, "offer", lambda self, now: found(self, now)._replace(offered=True))


def a_service_is_ready_before_it_answers(patch: pytest.MonkeyPatch) -> None:
    async def answers(*_: Any) -> bool:
        return True

    patch.setattr(CityServices, "_probe", answers)


def usage_is_handed_in_newest_first(patch: pytest.MonkeyPatch) -> None:
    unsent = Journal.unsent_windows
    patch.setattr(Journal, "unsent_windows", lambda self, limit: unsent(self, limit)[::-1])


def the_old_credential_ends_with_the_offer_of_a_new_one(patch: pytest.MonkeyPatch) -> None:
    def at_once(tx: Tx, site_id: str, new_digest: str) -> None:
        tx.session.get_one(Site, site_id, with_for_update=True).credential_digest = new_digest

    patch.setattr(supply, "rotate_credential", at_once)


def a_read_only_database_is_not_understood(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(problems, "_of_driver", lambda _: None)


def a_gang_runs_on_one_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(agent_starter, "run_spec", lambda *given: _on_first_host(run_spec(*given)))


def _on_first_host(spec: RunSpec) -> RunSpec:
    return replace(spec, nodes=(spec.nodes[0],) * len(spec.nodes))


MUTATIONS: list[tuple[Callable[[pytest.MonkeyPatch], None], str, Promising]] = [
    (devices_are_never_given_back, "does not go with what it holds", anything),
    (windows_are_lost, "was metered", anything),
    (a_start_is_not_noted, "journal does not have as starting", anything),
    (faults_are_charged, "was charged", with_event("host restarts", "node dies with its share of all work on it")),
    (silent_sites_are_given_up_at_once, "runs twice at once", with_long_cut),
    (output_is_taken_wherever_it_begins, "its output is", with_lost_answers),
    (keys_are_forgotten, "is of no order", with_lost_answers),
    (a_providers_hours_are_not_kept, "was offered while", with_event("devices taken back", "hours set")),
    (a_service_is_ready_before_it_answers, "has never answered", with_warm_up),
    (usage_is_handed_in_newest_first, "out of order", with_event("network cut", "all servers away", least=120)),
    (
        the_old_credential_ends_with_the_offer_of_a_new_one,
        "does not work any more",
        with_new_credential_and_lost_answers,
    ),
    (a_read_only_database_is_not_understood, "answered 500", with_event("database read only", least=60)),
    (a_gang_runs_on_one_host, "and has ", with_gang),
]


@pytest.fixture
def found(postgres: TestServer, people: People, tmp_path: Path) -> Callable[[str, Promising], str]:
    """The first of the promising seeds that notices tells what it noticed."""

    def until(expected: str, promising: Promising) -> str:
        for seed in itertools.islice((s for s in SEEDS if promising(draw(s))), TRIED_MAX):
            _, wrong = play(draw(seed), postgres, people, tmp_path / str(seed))
            for problem in wrong:
                if expected in problem:
                    return problem
        raise AssertionError(f"no scenario noticed it (looked for {expected!r})")

    return until


@pytest.mark.slow
@pytest.mark.parametrize(("mutate", "expected", "promising"), MUTATIONS, ids=[m.__name__ for m, *_ in MUTATIONS])
def test_a_broken_rule_is_found(
    mutate: Callable[[pytest.MonkeyPatch], None],
    expected: str,
    promising: Promising,
    found: Callable[[str, Promising], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutate(monkeypatch)
    assert found(expected, promising)
