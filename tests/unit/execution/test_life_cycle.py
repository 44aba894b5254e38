"""Life cycles under reports in any order, twice, late, from the wrong site: the rules of DESIGN.md §4 and §5."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from execution_world import (
    ENGINE,
    allocated,
    check_capacity,
    check_life_cycles,
    closings,
    new_workload,
    node,
    open_site,
    place_one,
    provider,
    report,
    say,
    say_unasked,
    spec,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, update

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Lease
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Workload

REASONS = ("completed", "failed", "cancelled", "lost", "orphaned", "start_failed", "out_of_memory", "timeout")
PHASES = ("accepted", "running", "exited")
numbers = st.integers(0, 5)


class Walk(RuleBasedStateMachine):
    """One site with a twin that says anything, one that says it of leases it does not have, and a tenant."""

    database: Database
    clock: ManualClock

    @initialize()
    def begin(self) -> None:
        with self.database.begin() as tx:
            tx.session.execute(update(Site).values(state="closed"))
        owner = provider(self.database)
        self.site = open_site(self.database, owner, [node("a", cores=4)])
        self.other = open_site(self.database, owner, [node("o", cores=0, memory_mib=0)])
        self.workloads: list[str] = []

    @rule(cores=st.integers(1, 3), restarts=st.integers(0, 2), service=st.booleans())
    def launch(self, cores: int, restarts: int, service: bool) -> None:
        with self.database.begin() as tx:
            what = spec(cores * 1000, restarts=restarts, service=service)
            self.workloads.append(new_workload(tx, what).id)
        place_one(self.database, self.workloads[-1], self.site)

    @rule()
    def place_waiting(self) -> None:
        for workload_id in self.workloads:
            place_one(self.database, workload_id, self.site)

    @rule(seconds=st.integers(0, 90))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule(
        which=numbers, back=numbers, phase=st.sampled_from(PHASES), reason=st.sampled_from(REASONS), code=st.integers(0, 1),
        started=st.one_of(st.none(), st.integers(-100, 100)), ended=st.one_of(st.none(), st.integers(-100, 100)),
        ready=st.sampled_from((None, True, False)), complete=st.booleans(), times=st.integers(1, 2), wrong=st.sampled_from((0, 0, 1, 2)),
        unasked=st.booleans(),
    )  # fmt: skip
    def report(
        self, which: int, back: int, phase: str, reason: str, code: int, started: int | None, ended: int | None,
        ready: bool | None, complete: bool, times: int, wrong: int, unasked: bool,
    ) -> None:  # fmt: skip
        if not self.workloads:
            return
        lease = self._lease(self.workloads[which % len(self.workloads)], back)
        if lease is None:
            return
        now = self.clock.now()
        said = report(
            lease.id, phase, lease.generation + (wrong == 1), ready=ready, progress=(started is not None and 5) or 0,
            started_at=None if started is None else now + timedelta(seconds=started),
            ended_at=None if ended is None else now + timedelta(seconds=ended),
            reason=reason if phase == "exited" else None, exit_code=code if phase == "exited" else None,
            complete=complete and phase == "exited",
        )  # fmt: skip
        site_id = self.other if wrong == 2 else self.site
        before = self._rows() if wrong in (1, 2) or lease.state == "closed" else None
        for _ in range(times):
            if unasked:
                say_unasked(self.database, site_id, said)
            else:
                say(self.database, site_id, said)
        if before is not None:
            assert self._rows() == before, "fenced: it changes nothing"

    @rule(which=numbers)
    def cancel(self, which: int) -> None:
        if not self.workloads:
            return
        with self.database.begin() as tx:
            found = workloads.visible(tx, self.workloads[which % len(self.workloads)], None, lock=True)
            if found.state in workloads.OPEN_STATES:
                execution.cancel(tx, found)

    @rule(cores=st.integers(1, 5))
    def inventory(self, cores: int) -> None:
        with self.database.begin() as tx:
            supply.take_inventory(tx, tx.session.get_one(Site, self.site), ENGINE, [node("a", cores=cores)])

    @invariant()
    def rules_hold(self) -> None:
        with self.database.begin() as tx:
            check_capacity(tx)
            check_life_cycles(tx, self.workloads)
            assert set(closings(tx).values()) <= {1}

    def teardown(self) -> None:
        """Whatever happened, the site can still end it all, once."""
        if not hasattr(self, "workloads"):
            return
        for _ in range(4):
            for workload_id in self.workloads:
                lease = self._lease(workload_id, 0)
                if lease is not None:
                    say(
                        self.database,
                        self.site,
                        report(lease.id, "exited", lease.generation, reason="lost", complete=True),
                    )
            with self.database.begin() as tx:
                for workload_id in self.workloads:
                    found = workloads.visible(tx, workload_id, None, lock=True)
                    if found.state in workloads.OPEN_STATES:
                        execution.cancel(tx, found)
        with self.database.begin() as tx:
            check_life_cycles(tx, self.workloads)
            mine = list(tx.session.scalars(select(Workload.state).where(Workload.id.in_(self.workloads))))
            assert set(mine) <= set(workloads.FINAL_STATES)
            closed = closings(tx)
            accepted = tx.session.scalars(
                select(Lease.id).where(Lease.workload_id.in_(self.workloads), Lease.accepted_at.is_not(None))
            )
            assert all(closed[lease_id] == 1 for lease_id in accepted)
        assert set(allocated(self.database).values()) <= {0}

    def _lease(self, workload_id: str, back: int) -> Lease | None:
        with self.database.begin() as tx:
            leases = execution.leases_of(tx, workload_id)
            return leases[max(0, len(leases) - 1 - back)] if leases else None

    def _rows(self) -> list[object]:
        with self.database.begin() as tx:
            columns = (
                Lease.id,
                Lease.state,
                Lease.active_from,
                Lease.active_to,
                Lease.ready,
                Lease.reason,
                Lease.closed_at,
            )
            leases = tx.session.execute(select(*columns).order_by(Lease.id)).all()
            work = tx.session.execute(
                select(Workload.id, Workload.state, Workload.progress_ppm, Workload.restarts_left).order_by(Workload.id)
            ).all()
            return [*leases, *work]


@pytest.fixture
def walk(database: Database, clock: ManualClock) -> Iterator[type[Walk]]:
    Walk.database, Walk.clock = database, clock
    yield Walk
    del Walk.database, Walk.clock


@pytest.mark.slow
def test_any_walk_keeps_the_rules(walk: type[Walk]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        walk, settings=settings(max_examples=20, stateful_step_count=20, suppress_health_check=list(HealthCheck))
    )
