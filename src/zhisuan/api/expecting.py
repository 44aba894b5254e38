"""Where a waiting workload stands in the line, and when it may expect to start."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from zhisuan.api import launching, queueing
from zhisuan.api.explaining import why_waiting
from zhisuan.api.queue_schemas import QueueView, ReservationView, WhyInLine
from zhisuan.api.queueing import Known
from zhisuan.api.quotas import quota_view, share_ppm
from zhisuan.api.schemas import PlacementView, Words
from zhisuan.base.db import Tx
from zhisuan.base.text import Text
from zhisuan.placement.queueing.line import Standing
from zhisuan.placement.queueing.reserving import Ending, emptied, kept, reserve
from zhisuan.placement.types import Plan, Snapshot
from zhisuan.workload.tables import Workload

AHEAD_SHOWN = 10

_USUAL = text(
    """SELECT lease.id, lease.active_from, (
         SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds) FROM (
           SELECT CAST(extract(epoch FROM past.active_to - past.active_from) AS bigint) AS seconds
           FROM (SELECT id, name, project_id, state FROM workload_workload WHERE org_id = lease.org_id ORDER BY id DESC LIMIT 1000) AS last
           JOIN execution_lease AS past ON past.workload_id = last.id
           WHERE last.name = workload.name AND last.project_id = workload.project_id AND last.state = 'succeeded'
             AND past.active_to IS NOT NULL AND past.fault IS NULL ORDER BY last.id DESC LIMIT 20) AS runs) AS usual
       FROM execution_lease AS lease JOIN workload_workload AS workload ON workload.id = lease.workload_id
       WHERE lease.id = ANY(CAST(:leases AS text[])) AND lease.active_from IS NOT NULL ORDER BY lease.id LIMIT 200"""
)
"""For running leases: half of the last twenty runs of the same name and project that succeeded took no longer."""


def usual_endings(tx: Tx, endings: list[Ending]) -> list[Ending]:
    """Those of whom nobody knows when they must end, with the time when such work usually has; None still where it is past that."""
    unknown = [ending.lease_id for ending in endings if ending.at is None]
    usual = {}
    for ident, active_from, seconds in tx.session.execute(_USUAL, {"leases": unknown}) if unknown else ():
        at = None if seconds is None else int(active_from.timestamp()) + int(seconds)
        usual[ident] = at if at is not None and at > int(tx.now.timestamp()) else None
    return [replace(e, at=usual.get(e.lease_id)) if e.at is None else e for e in endings]


def queue_view(tx: Tx, workload: Workload, ttl: timedelta) -> QueueView | None:
    known = launching.line_of(tx, ttl, anew=True)
    standing = known.line.of(workload.id) if known is not None else None
    if known is None or standing is None:
        return None
    order, place = standing.place.order, standing.place
    before = [s.place.order for s in known.line.standings[: place.number - 1]]
    own = [o.id for o in before if o.org_id == order.org_id]
    at, said = _expected(tx, known, standing, lambda: launching.snapshot_of(tx, launching.market_of(tx), ttl, spot=order.spot))
    reserved = standing.reservation
    path = known.accounts.path(order.org_id, order.project_id)
    return QueueView(
        number=place.number, of=len(known.line.standings), state=standing.state, priority=order.priority, rank=place.rank,
        within_guarantee=place.guaranteed, share_ppm=share_ppm(place.share), ahead_own=own[-AHEAD_SHOWN:], ahead_own_count=len(own),
        ahead_others_count=len(before) - len(own),
        reservation=ReservationView(site_name=reserved.site_name, at=_moment(reserved.at)) if reserved else None,
        expected_at=at, expected=Words(**said.as_dict()),
        quotas=[
            quota_view(known.accounts.quota(s), order.org_id, known.accounts, known.used, known.capacity, is_set=known.accounts.has(s))
            for s in path if known.accounts.has(s)
        ],
    )  # fmt: skip


def _moment(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _expected(tx: Tx, known: Known, standing: Standing, snapshot: Callable[[], Snapshot]) -> tuple[datetime | None, Text]:
    order, now = standing.place.order, known.line.now
    if standing.state == "starts":
        return tx.now, Text("There is a place for it: it starts within seconds.", "已有可用位置，数秒内启动。")
    if standing.state == "quota":
        return None, Text(
            "Unknown: it starts when other work under the same quota ends, or the quota is raised.",
            "未知：需等同一配额下的其他作业结束，或提高配额。",
        )
    if standing.reservation is not None and standing.reservation.at is not None:
        return _moment(standing.reservation.at), Text(
            "At the latest then: the work on the devices kept for it has a longest time.", "最迟该时刻：保留设备上的作业均设有最长时长。"
        )
    seen = kept(snapshot(), known.line.reserved_before(order.id), order.seconds_max, now)
    endings = usual_endings(tx, queueing.endings(tx))
    found = reserve(seen, emptied(seen, endings), order, order.wish, endings, now)
    if found is not None and found.at is not None:
        if standing.place.number == 1 or standing.reservation is not None:
            return _moment(found.at), Text("If running work takes as long as it usually does.", "按正在运行的作业的通常时长估计。")
        return _moment(found.at), Text(
            "Not before then, if running work takes as long as it usually does; others are before it.",
            "不早于该时刻（按通常时长估计）；前面还有其他作业。",
        )
    return None, Text(
        "Unknown: the work on the devices that it could use has no longest time, and no history of the same name to judge by.",
        "未知：可用设备上的作业没有设置最长时长，也没有同名作业的历史可供估计。",
    )


def why_waiting_in_line(tx: Tx, found: Workload, record: PlacementView | None, ttl: timedelta) -> WhyInLine:
    """What keeps it from a place; where it stands in the line, that says when it may expect to start."""
    told, now = why_waiting(tx, found, record, ttl)
    queue = queue_view(tx, found, ttl)
    if queue is None:
        return WhyInLine(**dict(told), queue=None)
    reason, helping = _why_in_line(tx, found, queue, now, ttl)
    unblock = [Words(**helping.as_dict())] if helping else told.unblock
    more = {"reason": Words(**reason.as_dict()), "unblock": unblock, "expected_start": queue.expected_at}
    return WhyInLine(**dict(told) | more, queue=queue)


def _why_in_line(tx: Tx, workload: Workload, queue: QueueView, now: Plan, ttl: timedelta) -> tuple[Text, Text | None]:
    """Why it waits, with its place in the line, and what would help where that is not a matter of devices."""
    place = Text(
        f"It is number {queue.number} of {queue.of} that wait: {queue.ahead_own_count} of your own and {queue.ahead_others_count} "
        "of others are before it.",
        f"排在第 {queue.number} 位，共 {queue.of} 个：前面有本组织 {queue.ahead_own_count} 个、其他组织 {queue.ahead_others_count} 个。",
    )
    known = launching.line_of(tx, ttl)
    standing = known.line.of(workload.id) if known is not None else None
    reason, helping = now.reason, None
    if standing is not None and standing.blocked is not None:
        reason = standing.blocked.text
        helping = Text("free some of the quota, or have it raised (`zhisuan quota show`)", "释放部分配额，或请求提高配额（zhisuan quota show）")
    elif queue.state == "no_place" and now.chosen is not None:
        reason = queueing.KEPT
        helping = Text("set zhisuan.max_duration, so that it may go ahead where it ends in time", "设置 zhisuan.max_duration，若能及时结束即可先行启动")
    return Text(f"{reason.en} {place.en}", f"{reason.zh}{place.zh}"), helping
