"""What the platform does by itself: each step is one short transaction, or one for each workload it touches, that any
replica may run at any time.

| step | does |
| --- | --- |
| place | gives waiting workloads a place |
| used | notes what closed leases held, for fair shares |
| room | lets spot work make way for waiting work on demand |
| stop_at | pauses work whose time to stop has come |
| late | tells work that it cannot end by its deadline any more; what waits then fails, unless it was ordered to go on |
| rate | turns metered windows and tokens into charges |
| credit | takes back the charges of leases that ended by a fault of site or platform |
| stop | ends work whose organisation has nothing left to pay with |
| expire | books what is left of grants long expired |
| deployments | closes deployments whose service has ended |
| heard | writes when sites were last heard, for all of them at once |
| silences | notes sites that are not heard from |
| lose | gives up leases whose sites were not heard for their term |
| recalls | takes devices back from the work on them for their provider |
| accounts | holds the engines' own accounts against what was metered |
| standby | moves work that names standby sites off sites that are being drained |
| conditions | lets sites' figures hold from the time they were set for |
| forget | drops notes of changes that no server reads on from any more |
| collect | clears away content that nothing names any more, and what was left half received |
| output | moves output from the database to the artefact store |
| old output | removes output that has been kept for its time |
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from zhisuan.api import launching
from zhisuan.api.platform import Platform
from zhisuan.app.collecting import collect
from zhisuan.app.output import pack_output, remove_old_output
from zhisuan.app.recalls import conditions, recalls
from zhisuan.app.standby import leave_draining
from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Tx
from zhisuan.execution import deadlines, expiry, pausing, sharing
from zhisuan.execution.tables import Lease
from zhisuan.ledger import service as ledger
from zhisuan.ledger.tables import Charge
from zhisuan.models import service as models
from zhisuan.placement.site_wishes import Wish
from zhisuan.supply import service as supply
from zhisuan.usage import service as usage
from zhisuan.usage.tables import Window

log = logging.getLogger(__name__)
RATED_AT_ONCE = 5000
COMPARED_AT_ONCE = 500
CLOCK_OFF_MAX = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Step:
    """``run`` says whether there may be more to do at once."""

    name: str
    every_seconds: float
    run: Callable[[Platform], bool]


def place(here: Platform) -> bool:
    with here.database.begin("placement") as tx:
        found = launching.placeable(tx, here.site_ttl)
    full: set[Wish] = set()
    for workload_id, wish in found.items():
        if wish not in full:
            with here.database.begin("placement") as tx:
                placed = launching.place_waiting(tx, workload_id, here.site_ttl)
            # What did not fit does not fit the thousands behind it that need the same. What a quota or a reservation kept is another matter.
            if placed is False:
                full.add(wish)
    return False


def note_used(here: Platform) -> bool:
    with here.database.begin("sharing") as tx:
        more = sharing.note_used(tx)
        if not more:
            sharing.forget_used(tx)
    return more


def make_room(here: Platform) -> bool:
    with here.database.begin("placement") as tx:
        found = launching.in_need_of_room(tx, here.site_ttl, here.spot_least)
    for workload_id in found:
        with here.database.begin("placement") as tx:
            launching.make_room(tx, workload_id, here.site_ttl, here.spot_least)
    return False


def stop_on_time(here: Platform) -> bool:
    with here.database.begin("stop_at") as tx:
        found = pausing.due_to_stop(tx)
    for workload_id in found:
        with here.database.begin("stop_at") as tx:
            pausing.stop_due(tx, workload_id)
    return False


def tell_late(here: Platform) -> bool:
    with here.database.begin("deadline") as tx:
        found = deadlines.late(tx)
    for workload_id in found:
        with here.database.begin("deadline") as tx:
            deadlines.tell_late(tx, workload_id)
    return False


def rate(here: Platform) -> bool:
    with here.database.begin("rating") as tx:
        done = ledger.rate_pending(tx, RATED_AT_ONCE)
    for problem in done.problems:
        log.error("the usage of %s cannot be rated: %s", problem.org_id, problem.reason)
    return done.charges >= RATED_AT_ONCE


def credit(here: Platform) -> bool:
    """Charges of a faulted lease are taken back once all its windows are rated, so that the credit is whole."""
    with here.database.begin("credit") as tx:
        faulted = tx.session.scalars(
            select(Lease.id)
            .where(
                Lease.state == "closed",
                Lease.fault.is_not(None),
                Lease.active_from.is_not(None),
                ~select(Window.id).where(Window.lease_id == Lease.id, ~Window.rated).exists(),
                select(Charge.id).where(Charge.lease_id == Lease.id, Charge.kind == "time").exists(),
                ~select(Charge.id).where(Charge.lease_id == Lease.id, Charge.kind == "credit").exists(),
            )
            .limit(100)
            .with_for_update(skip_locked=True)
        ).all()
        for lease_id in faulted:
            ledger.credit_lease(tx, lease_id, "fault of the site or the platform", "platform")
    return False


def stop_unfunded(here: Platform) -> bool:
    with here.database.begin("budget") as tx:
        found = launching.unfunded(tx)
    for workload_id in found:
        with here.database.begin("budget") as tx:
            launching.stop_unfunded(tx, workload_id)
    return False


def accounts(here: Platform) -> bool:
    with here.database.begin("accounts") as tx:
        return usage.reconcile_accounts(tx, COMPARED_AT_ONCE) == COMPARED_AT_ONCE


def expire(here: Platform) -> bool:
    with here.database.begin("expiry") as tx:
        ledger.close_expired_grants(tx)
    return False


def end_deployments(here: Platform) -> bool:
    with here.database.begin("deployments") as tx:
        models.end_finished_deployments(tx)
    return False


def heard(here: Platform) -> bool:
    hearing = here.database.memory.of(supply.Hearing)
    due = hearing.due()
    if not due:
        return False
    try:
        with here.database.begin("supply") as tx:
            left = supply.write_heard(tx, due)
    except Exception:
        hearing.put_back(due)
        raise
    hearing.put_back(left)
    return False


def forget(here: Platform) -> bool:
    with here.database.begin("supply") as tx:
        supply.forget_changes(tx)
    return False


def silences(here: Platform) -> bool:
    with here.database.begin("supply") as tx:
        supply.note_silences(tx, here.site_ttl)
    return False


def lose(here: Platform) -> bool:
    """A server whose clock is wrong must not judge how long a site has been silent."""
    with here.database.begin("expiry") as tx:
        if isinstance(here.database.clock, SystemClock) and _clock_off(tx) > CLOCK_OFF_MAX:
            log.error(
                "this server's clock is %s off the database's: it gives up no lease; let NTP keep it", _clock_off(tx)
            )
            return False
        since = expiry.note_listening(tx)
        found = expiry.expired_leases(tx, since)
    for lease_id in found:
        with here.database.begin("expiry") as tx:
            expiry.lose_lease(tx, lease_id, since)
    return False


def _clock_off(tx: Tx) -> timedelta:
    theirs: datetime = tx.session.scalars(select(func.clock_timestamp())).one()
    return abs(theirs - tx.now)


STEPS = (
    Step("place", 1.0, place),
    Step("used", 10.0, note_used),
    Step("room", 1.0, make_room),
    Step("stop_at", 1.0, stop_on_time),
    Step("late", 1.0, tell_late),
    Step("rate", 1.0, rate),
    Step("credit", 5.0, credit),
    Step("stop", 5.0, stop_unfunded),
    Step("expire", 300.0, expire),
    Step("deployments", 2.0, end_deployments),
    Step("heard", 2.0, heard),
    Step("silences", 10.0, silences),
    Step("lose", 5.0, lose),
    Step("recalls", 1.0, recalls),
    Step("accounts", 5.0, accounts),
    Step("conditions", 30.0, conditions),
    Step("standby", 2.0, leave_draining),
    Step("forget", 600.0, forget),
    Step("collect", 300.0, collect),
    Step("output", 20.0, pack_output),
    Step("old output", 600.0, remove_old_output),
)


async def run_step(here: Platform, step: Step) -> None:
    """Repeat one step until cancelled; an error is logged and does not end it."""
    while True:
        more = False
        try:
            more = await here.in_own_thread(step.run, here)
        except Exception:
            log.exception("the step %s failed; it runs again in %s s", step.name, step.every_seconds)
        if not more:
            await asyncio.sleep(step.every_seconds)
