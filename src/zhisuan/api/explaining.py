"""Why work waits or is where it is, and what a quote says of each site: read from records, and planned again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from zhisuan.api.explained_schemas import QuotedSite, RelaxedView, RunnerUp, StepView, Why
from zhisuan.api.launching import market_of, snapshot_of
from zhisuan.api.schemas import PlacementView, Words
from zhisuan.api.wishing import waits_until, wish_of
from zhisuan.base.db import Tx
from zhisuan.execution.tables import Allocation, Lease
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.explain import best_of_sites, binding_of, relaxations, starts_at, steps_of
from zhisuan.placement.preemption import Holding
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Candidate, Plan, Snapshot
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

RUNNERS_UP = 5
SITES_MAX = 20


def why_waiting(tx: Tx, found: Workload, record: PlacementView | None, ttl: timedelta) -> tuple[Why, Plan]:
    """What keeps it from a place now, and when one is free at the latest; with the plan that this was read from."""
    spec = WorkloadSpec.from_dict(found.spec)
    wish, snapshot = wish_of(spec), snapshot_of(tx, market_of(tx), ttl, spot=spec.survival.spot)
    made = plan_wish(snapshot, wish)
    steps = steps_of(snapshot, wish)
    binding, relaxed = (None, ()) if made.chosen is not None else (binding_of(steps), relaxations(snapshot, wish))
    start = found.start_after if found.start_after is not None and found.start_after > tx.now else None
    unblock = dict.fromkeys((r.text.en, r.text.zh) for r in relaxed) or dict.fromkeys((r.unblock.en, r.unblock.zh) for r in made.rejections)
    reason = waits_until(start) if start is not None else made.reason
    told = Why(
        state=found.state, reason=Words(**reason.as_dict()), placement=record,
        unblock=[Words(en=en, zh=zh) for en, zh in unblock] if made.chosen is None else [],
        steps=[StepView.model_validate(step.as_dict()) for step in steps],
        binding=StepView.model_validate(binding.as_dict()) if binding is not None else None,
        relaxed=[RelaxedView.model_validate(r.as_dict()) for r in relaxed],
        expected_start=_expected_start(tx, snapshot, wish, made, start), deadline=found.deadline,
    )  # fmt: skip
    return told, made


def _expected_start(tx: Tx, snapshot: Snapshot, wish: Wish, made: Plan, start: datetime | None) -> datetime | None:
    """At the latest, and while nothing that waits as well is faster; None where what is in the way may run for ever."""
    if made.chosen is not None:
        return start or tx.now
    at = starts_at(snapshot, wish, _ends(tx))
    if at is None:
        return None
    return max(datetime.fromtimestamp(at, UTC), tx.now, start or tx.now)


def _ends(tx: Tx) -> list[tuple[int, Holding]]:
    """When leases must have ended, of those of which it is known: what they may take at most from now on, and their grace."""
    rows = tx.session.execute(
        select(Lease.id, Lease.site_id, Lease.active_from, Lease.desired, Workload.spec, Workload.stop_at)
        .join(Workload, Workload.id == Lease.workload_id)
        .where(Lease.state != "closed")
    ).all()
    ends: dict[str, tuple[int, str]] = {}
    for ident, site_id, active_from, desired, spec, stop_at in rows:
        known = [tx.now] if desired == "stop" else []
        known += [stop_at] if stop_at is not None else []
        if spec.get("max_seconds"):
            known.append((active_from or tx.now) + timedelta(seconds=spec["max_seconds"]))
        if known:
            grace = timedelta(seconds=spec.get("survival", {}).get("grace_seconds", 0))
            ends[ident] = int((max(min(known), tx.now) + grace).timestamp()) + 1, site_id
    held: dict[str, list[tuple[str, int]]] = {ident: [] for ident in ends}
    query = select(Allocation.lease_id, Allocation.device_id, Allocation.amount)
    for lease_id, device_id, amount in tx.session.execute(query.where(Allocation.lease_id.in_(ends), Allocation.released_at.is_(None))):
        held[lease_id].append((device_id, amount))
    return [(at, Holding(ident, site_id, tuple(held[ident]), 0, 0)) for ident, (at, site_id) in sorted(ends.items())]


def runners_up(record: PlacementView) -> list[RunnerUp]:
    """What came after the chosen place, with what it would have cost more (less: negative)."""
    if record.chosen is None:
        return []
    mine = (record.chosen.site_id, record.chosen.node_hostnames)
    chosen = next((c for c in record.candidates if (c["site_id"], c["node_hostnames"]) == mine), None)
    if chosen is None:
        return []

    def more(other: dict[str, int], name: str) -> int | None:
        here, there = chosen.get(name), other.get(name)
        return None if here is None or there is None else there - here

    return [
        RunnerUp(
            site_id=c["site_id"], site_name=c["site_name"], node_hostnames=c["node_hostnames"], rank=c["rank"],
            hour_ucny_more=more(c, "hour_ucny") or 0, carbon_g_per_hour_milli_more=more(c, "carbon_g_per_hour_milli") or 0,
            round_trip_us_more=more(c, "round_trip_us"),
        )
        for c in record.candidates
        if c is not chosen
    ][:RUNNERS_UP]  # fmt: skip


def quoted_sites(snapshot: Snapshot, made: Plan, limit: int = SITES_MAX) -> tuple[list[QuotedSite], int]:
    """Each site that can take it now at its best place, best first, and how many there are: the first ``limit``, and those that are
    cheapest, greenest and nearest."""
    best = best_of_sites(made)
    states = {site.id: site for site in snapshot.sites}
    marks = _marks(best, made)

    def view(rank: int, candidate: Candidate) -> QuotedSite:
        site = states[candidate.site_id]
        return QuotedSite(
            rank=rank, site_id=site.id, site_name=site.name, provider_name=site.provider_name, region=site.region,
            hour_ucny=candidate.hour_ucny, rate_udu_per_hour=candidate.rate_udu_per_hour,
            carbon_g_per_hour_milli=candidate.carbon_g_per_hour_milli, green_ppm=site.green_ppm,
            round_trips_us=dict(site.round_trips_us), round_trip_us=made.round_trips_us.get(site.id),
            alternative=candidate.alternative, marks=[name for name, ident in marks.items() if ident == site.id],
        )  # fmt: skip

    marked = set(marks.values())
    shown = [(n, c) for n, c in enumerate(best, 1) if n <= limit or c.site_id in marked]
    return [view(n, c) for n, c in shown], len(best)


def _marks(best: Sequence[Candidate], made: Plan) -> dict[str, str]:
    """Which site is cheapest, greenest (least carbon) and, where demand places are asked for, nearest; of equals the better placed."""
    if not best:
        return {}
    marks = {
        "cheapest": min(best, key=lambda c: c.hour_ucny).site_id,
        "greenest": min(best, key=lambda c: c.carbon_g_per_hour_milli).site_id,
    }
    near = [c for c in best if c.site_id in made.round_trips_us]
    return marks | ({"nearest": min(near, key=lambda c: made.round_trips_us[c.site_id]).site_id} if near else {})
