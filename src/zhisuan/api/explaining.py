"""Why work waits or is where it is, and what a quote says of each site: read from records, and planned again."""

from collections.abc import Sequence
from datetime import timedelta

from zhisuan.api.explained_schemas import QuotedSite, RelaxedView, RunnerUp, StepView, Why
from zhisuan.api.launching import market_of, snapshot_of
from zhisuan.api.schemas import PlacementView, Words
from zhisuan.api.wishing import waits_until, wish_of
from zhisuan.base.db import Tx
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.explain import best_of_sites, binding_of, relaxations, steps_of
from zhisuan.placement.types import Candidate, Plan, Snapshot
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

RUNNERS_UP = 5
SITES_MAX = 20


def why_waiting(tx: Tx, found: Workload, record: PlacementView | None, ttl: timedelta) -> tuple[Why, Plan]:
    """What keeps it from a place now, with the plan that this was read from. When it may start the line says (``expecting``), but for what
    waits for a time of its own."""
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
        expected_start=start, deadline=found.deadline,
    )  # fmt: skip
    return told, made


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
