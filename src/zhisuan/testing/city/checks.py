"""The rules of DESIGN.md §4, looked up in the database and compared with what really happened. Each answers with what it found
wrong, in words; an empty list is what it should be."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import select, text

from zhisuan.base.db import Database, Tx
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Lease
from zhisuan.ledger.books import check_charges, rebuild_balances_check
from zhisuan.ledger.tables import Charge
from zhisuan.supply.tables import Node, Site
from zhisuan.testing.city.city import Outcome
from zhisuan.testing.city.engine import TrueRun
from zhisuan.usage.service import check_totals
from zhisuan.usage.tables import Window
from zhisuan.workload.service import FINAL_STATES
from zhisuan.workload.tables import Workload

_CAPACITY = """
SELECT d.id, d.allocated, d.reported_capacity, coalesce(sum(a.amount), 0)
FROM supply_device d LEFT JOIN execution_allocation a ON a.device_id = d.id AND a.released_at IS NULL
GROUP BY d.id HAVING coalesce(sum(a.amount), 0) <> d.allocated OR coalesce(sum(a.amount), 0) > d.reported_capacity
"""
_HELD = """
SELECT l.id, l.state FROM execution_lease l LEFT JOIN execution_allocation a ON a.lease_id = l.id AND a.released_at IS NULL
GROUP BY l.id HAVING (l.state IN ('offered','accepted','active')) <> (count(a.device_id) > 0)
"""
_TWO_OPEN = "SELECT workload_id FROM execution_lease WHERE state <> 'closed' GROUP BY workload_id HAVING count(*) > 1"
_NOT_ZERO = "SELECT transaction_id, currency, sum(amount) FROM ledger_entry GROUP BY 1, 2 HAVING sum(amount) <> 0"
_OVERDRAWN = """
SELECT account, sum(amount) FROM ledger_entry
WHERE account LIKE 'wallet:%' OR account LIKE 'grant:%' OR account LIKE 'deferred:%' GROUP BY 1 HAVING sum(amount) < 0
"""


def capacity(tx: Tx) -> list[str]:
    """Rules of every instant: live allocations of a device within it, one open lease a workload."""
    problems = [
        f"device {row[0]} holds {row[3]} of {row[2]}, counted as {row[1]}"
        for row in tx.session.execute(text(_CAPACITY))
    ]
    problems += [
        f"lease {row[0]} is {row[1]}, which does not go with what it holds" for row in tx.session.execute(text(_HELD))
    ]
    problems += [f"{row[0]} has two open leases" for row in tx.session.execute(text(_TWO_OPEN))]
    return problems


def books(tx: Tx) -> list[str]:
    """Every transaction sums to zero, no wallet below zero, balances and charges add up."""
    problems = [f"transaction {row[0]} is off by {row[2]} {row[1]}" for row in tx.session.execute(text(_NOT_ZERO))]
    problems += [f"{row[0]} stands at {row[1]}" for row in tx.session.execute(text(_OVERDRAWN))]
    problems += [f"balance disagrees: {d}" for d in rebuild_balances_check(tx.session)]
    problems += [f"charges disagree: {d}" for d in check_charges(tx.session)]
    problems += [f"metered totals disagree: {d}" for d in check_totals(tx.session)]
    return problems


def metering(tx: Tx, found: Outcome) -> list[str]:
    """One second, one charge: windows of each lease against the seconds in which its work really ran."""
    windows: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for lease_id, start, end in tx.session.execute(
        select(Window.lease_id, Window.start_at, Window.end_at).order_by(Window.lease_id, Window.start_at)
    ):
        windows[lease_id].append((start, end))
    problems = []
    for lease in tx.session.scalars(select(Lease).order_by(Lease.id)):
        problems += [f"lease {lease.id}: {p}" for p in _metered(lease, windows[lease.id], found)]
    return problems


def _metered(lease: Lease, windows: list[tuple[datetime, datetime]], found: Outcome) -> list[str]:
    run = found.runs.get((lease.id, lease.generation))
    site = found.sites[lease.site_id]
    problems = [f"windows {a} and {b} overlap" for a, b in pairwise(windows) if b[0] < a[1]]
    seconds = sum((end - start).total_seconds() for start, end in windows)
    if windows and (lease.active_from is None or windows[0][0] < lease.active_from):
        problems.append("was metered before it was active")
    if windows and lease.active_to is not None and windows[-1][1] > lease.active_to:
        problems.append("was metered after its end")
    began = run is not None and (found.seconds if run.ended is None else run.ended) > run.first
    if not began and seconds:
        problems.append(f"was metered {seconds} s although nothing of it ran")
    if run is None or run.ended is None or lease.active_from is None or lease.active_to is None or not began:
        return problems
    if seconds > run.ended - run.first + 1 + (60 if site.clock.was_set else 0):
        problems.append(f"was metered {seconds} s and ran {run.ended - run.first} s")
    if lease.reason == "lost" or site.clock.was_set or site.shut_out:
        return problems
    true = _whole(site.clock.at(run.first)), _whole(site.clock.at(run.ended))
    apart = max(map(abs, found.scenario.skews))
    if apart:
        # An offer made by a fast server may come from after the work's begin: so much is given away.
        short = (true[1] - true[0]).total_seconds() - seconds
        return problems + (
            [f"was metered {seconds} s, {short} less than it ran"] if not -1 <= short <= apart + 1 else []
        )
    if (lease.active_from, lease.active_to) != true:
        problems.append(f"was active {lease.active_from} to {lease.active_to}, and ran {true[0]} to {true[1]}")
    if seconds != (true[1] - true[0]).total_seconds():
        problems.append(f"was metered {seconds} s of the {(true[1] - true[0]).total_seconds()} it ran")
    return problems


def _whole(at: datetime) -> datetime:
    return at - timedelta(microseconds=at.microsecond)


def bills(tx: Tx) -> list[str]:
    """What each lease was charged, from its windows alone: nothing where the provider was at fault."""
    charged: dict[str, int] = defaultdict(int)
    for lease_id, quantity in tx.session.execute(select(Charge.lease_id, Charge.quantity_udu)):
        charged[lease_id] += quantity
    metered: dict[str, int] = defaultdict(int)
    for lease_id, start, end in tx.session.execute(select(Window.lease_id, Window.start_at, Window.end_at)):
        metered[lease_id] += int((end - start).total_seconds())
    problems = []
    for lease in tx.session.scalars(select(Lease).order_by(Lease.id)):
        due = 0 if lease.fault else lease.rate_udu_per_hour * metered[lease.id] // 3600
        if charged[lease.id] != due:
            problems.append(f"lease {lease.id} ({lease.reason}) was charged {charged[lease.id]} µ度, and {due} are due")
    unrated = tx.session.scalar(select(Window.id).where(~Window.rated).limit(1))
    return problems + ([f"window {unrated} was never rated"] if unrated else [])


def ends(tx: Tx, found: Outcome) -> list[str]:
    """Every order is one workload, every workload came to an explained end that fits what ran, its output whole."""
    problems = []
    known = {w.id: w for w in tx.session.scalars(select(Workload))}
    # No money; and, once a site was closed, nothing left that could ever run it.
    allowed = {402, 422} if set(tx.session.scalars(select(Site.state))) != {"open"} else {402}
    for order in found.ordered:
        statuses = {status for status, _ in order.answers}
        if order.workload_id is None and not statuses <= allowed:
            problems.append(f"order {order.number} was answered {statuses}")
        if order.workload_id is not None:
            problems += [f"order {order.number}: {p}" for p in _ended(tx, known.pop(order.workload_id, None), found)]
    return problems + [f"workload {ident} is of no order" for ident in known]


def _ended(tx: Tx, workload: Workload | None, found: Outcome) -> list[str]:
    if workload is None:
        return ["its workload is not there"]
    problems = []
    leases = execution.leases_of(tx, workload.id)
    runs = [(lease, found.runs.get((lease.id, lease.generation))) for lease in leases]
    if workload.state not in FINAL_STATES:
        problems.append(f"is {workload.state}")
    if workload.attempts != len(leases) or [x.generation for x in leases] != list(range(1, len(leases) + 1)):
        problems.append(f"has {len(leases)} leases after {workload.attempts} attempts")
    taken_back = sum(lease.taken_back is not None for lease in leases)
    if workload.attempts > 1 + workload.spec["restarts"] + taken_back:
        problems.append(f"was tried {workload.attempts} times")
    if workload.state != "cancelled" and workload.reason is None:
        problems.append(f"{workload.state} for no reason given")
    last = runs[-1][1] if runs else None
    completed = last is not None and last.reason == "completed"
    if workload.state == "succeeded" and not completed:
        problems.append("succeeded although its last run did not complete")
    if workload.state == "failed" and workload.kind == "job" and completed and leases[-1].reason != "lost":
        problems.append(f"failed ({workload.reason}) although its last run completed")
    return problems + _output(tx, workload, runs, found)


def _output(tx: Tx, workload: Workload, runs: list[tuple[Lease, TrueRun | None]], found: Outcome) -> list[str]:
    """Bytes once, in order, complete: unless a lease was given up, or the site lost what it had kept."""
    given_up = (x.reason == "lost" or x.accepted_at is None or found.sites[x.site_id].engine.forgot for x, _ in runs)
    if any(given_up):
        return []
    true = b"".join(run.log(found.seconds) for _, run in runs if run is not None)
    got = execution.read_log(tx, found.store, workload.id, 0, len(true) + 1000).data
    return [] if got == true else [f"its output is {len(got)} bytes, and it wrote {len(true)}"]


def places(tx: Tx, found: Outcome) -> list[str]:
    """Work ran on just the hosts that its lease has."""
    names = {node.id: node.hostname for node in tx.session.scalars(select(Node))}
    problems = []
    for lease in tx.session.scalars(select(Lease).order_by(Lease.id)):
        run = found.runs.get((lease.id, lease.generation))
        has = tuple(names[i] for i in lease.node_ids)
        if run is not None and run.hosts != has:
            problems.append(f"lease {lease.id} ran on {run.hosts} and has {has}")
    return problems


def ready(tx: Tx, runs: dict[tuple[str, int], TrueRun], second: float) -> list[str]:
    """No service is called ready that never yet answered, and none that has ended."""
    problems = []
    for lease in tx.session.scalars(select(Lease).where(Lease.ready.is_(True))):
        run = runs.get((lease.id, lease.generation))
        if run is None or run.answers_from > second:
            problems.append(f"lease {lease.id} is called ready and has never answered")
        if lease.state == "closed":
            problems.append(f"lease {lease.id} is closed and called ready")
    return problems


def promises(tx: Tx, found: Outcome) -> list[str]:
    """What was promised to providers: nothing new in the hours that are theirs; no agent shut out by a new credential."""
    apart = timedelta(seconds=max(map(abs, found.scenario.skews)))
    problems = []
    for site_id, begin, end in found.closed_hours:
        late = select(Lease.id).where(
            Lease.site_id == site_id, Lease.offered_at > begin + apart, Lease.offered_at < end - apart
        )
        problems += [
            f"lease {i} was offered while {site_id} was not" for i in tx.session.scalars(late.order_by(Lease.id))
        ]
    for site in found.sites.values():
        if site.revoked and not site.shut_out and "CredentialRevoked" in site.stops:
            problems.append(f"the credential of {site.name} does not work any more")
    return problems


def all_problems(database: Database, found: Outcome) -> list[str]:
    with database.begin() as tx:
        rules: list[Callable[[], list[str]]] = [
            lambda: capacity(tx), lambda: books(tx), lambda: metering(tx, found), lambda: bills(tx), lambda: ends(tx, found), lambda: promises(tx, found), lambda: places(tx, found), lambda: ready(tx, found.runs, found.seconds),
        ]  # fmt: skip
        return list(found.broken) + [problem for rule in rules for problem in rule()]
