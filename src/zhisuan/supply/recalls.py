"""Taking devices back, with notice to the work on them; and what a site offers now.

1. ``announced``: from ``stop_at`` nothing new is placed; until then all is as it was.
2. ``stopping``: at ``stop_at`` the work there is told to end and has ``notice_seconds`` to save what it did; it goes on
   elsewhere from there.
3. ``held``: nothing of the platform runs at the site any more; the provider has it.
4. ``ended``: the site is offered again, because the provider said so or ``until`` has come. From any of the states before.

The reconciler takes a recall from 1 to 3 and, at ``until``, to 4 (see ``app.recalls``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.supply.offering import Offer, RecallTimes, Windows, clock_reason, is_offered
from zhisuan.supply.tables import Site, SiteRecall

NOTICE_DEFAULT = timedelta(minutes=10)
NOTICE_MAX = timedelta(hours=24)
AHEAD_MAX = timedelta(days=366)
REASON_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class TakeBack:
    """What a provider asks for: the site empty at ``back_at`` (None: as soon as the notice allows)."""

    notice: timedelta = NOTICE_DEFAULT
    back_at: datetime | None = None
    until: datetime | None = None
    reason: str = ""


def take_back(tx: Tx, site: Site, asked: TakeBack) -> SiteRecall:
    """Announce a recall of an open or draining site. Raises ``InvalidInput``, and ``Conflict`` where one is under way."""
    back_at = asked.back_at or tx.now + asked.notice
    _check(tx.now, asked, back_at)
    if site.state not in ("verified", "open", "draining"):
        raise Conflict(
            Text(
                f"A site that is {site.state} offers nothing to take back.",
                f"处于 {site.state} 状态的站点没有可收回的设备。",
            ),
            Text("Nothing needs to be done.", "无需操作。"),
        )
    live = live_recall(tx, site.id)
    if live is not None:
        raise Conflict(
            Text(f"The devices of {site.name} are being taken back already.", f"站点 {site.name} 的设备正在收回。"),
            Text("Offer the site again first, then take it back at another time.", "请先恢复开放，再按新的时间收回。"),
            code="recalled_already",
            extra={"recall_id": live.id},
        )
    recall = SiteRecall(
        id=tx.ids.new("rcl"), site_id=site.id, state="announced", stop_at=back_at - asked.notice,
        back_at=back_at, until=asked.until, notice_seconds=int(asked.notice.total_seconds()), reason=asked.reason.strip(),
        asked_at=tx.now, asked_by=tx.actor, held_at=None, ended_at=None,
    )  # fmt: skip
    tx.session.add(recall)
    tx.session.flush()
    tx.emit("site.recall_announced", site.id, {"recall_id": recall.id, "stop_at": recall.stop_at.isoformat()})
    return recall


def _check(now: datetime, asked: TakeBack, back_at: datetime) -> None:
    problems = []
    if not timedelta(0) <= asked.notice <= NOTICE_MAX:
        problems.append(FieldProblem("notice_seconds", Text("lies between 0 and a day", "须在 0 到一天之间")))
    if not now + asked.notice <= back_at <= now + AHEAD_MAX:
        told = Text("lies after the notice has passed, and within a year", "须晚于通知期结束，且在一年之内")
        problems.append(FieldProblem("back_at", told))
    if asked.until is not None and asked.until <= back_at:
        problems.append(FieldProblem("until", Text("lies after the devices are back", "须晚于收回时间")))
    if len(asked.reason) > REASON_LENGTH_MAX:
        problems.append(FieldProblem("reason", Text("takes at most 200 characters", "最多 200 个字符")))
    if problems:
        raise InvalidInput(
            Text("The devices cannot be taken back as asked.", "无法按要求收回设备。"),
            Text("Correct the fields named below.", "请按下列提示修改。"),
            problems=problems,
        )


def offer_again(tx: Tx, site: Site) -> SiteRecall | None:
    """End the recall under way, if there is one: new work may come from now on."""
    recall = live_recall(tx, site.id)
    if recall is not None:
        _end(tx, recall)
    return recall


def live_recall(tx: Tx, site_id: str) -> SiteRecall | None:
    """The recall of a site that has not ended, locked."""
    query = select(SiteRecall).where(SiteRecall.site_id == site_id, SiteRecall.state != "ended")
    return tx.session.scalar(query.with_for_update())


def recalls_to_tend(tx: Tx) -> list[str]:
    """Ids of the recalls whose time has come. One that is held is among them: work that was being placed at that very
    moment is told too."""
    due = select(SiteRecall.id).where(SiteRecall.state != "ended", SiteRecall.stop_at <= tx.now)
    return list(tx.session.scalars(due.order_by(SiteRecall.id)))


def locked_recall(tx: Tx, recall_id: str) -> SiteRecall | None:
    """A live recall to be taken on; None where another server has it or it has ended."""
    recall = tx.session.scalar(
        select(SiteRecall)
        .where(SiteRecall.id == recall_id, SiteRecall.state != "ended")
        .with_for_update(skip_locked=True)
    )
    if recall is not None and recall.until is not None and recall.until <= tx.now:
        _end(tx, recall)
        return None
    return recall


def note_progress(tx: Tx, recall: SiteRecall, leases_open: int) -> None:
    """Its work has been told to stop; ``leases_open`` are still there."""
    if recall.state == "announced":
        recall.state = "stopping"
        tx.emit("site.recall_stopping", recall.site_id, {"recall_id": recall.id, "leases": leases_open})
    if recall.state == "stopping" and leases_open == 0:
        recall.state, recall.held_at = "held", tx.now
        tx.emit("site.recall_held", recall.site_id, {"recall_id": recall.id})


def _end(tx: Tx, recall: SiteRecall) -> None:
    recall.state, recall.ended_at = "ended", tx.now
    tx.emit("site.recall_ended", recall.site_id, {"recall_id": recall.id})


def recalls_of(tx: Tx, site_ids: Iterable[str]) -> dict[str, SiteRecall]:
    """The live recall of each of these sites that has one."""
    query = select(SiteRecall).where(SiteRecall.site_id.in_(list(site_ids)), SiteRecall.state != "ended")
    return {r.site_id: r for r in tx.session.scalars(query)}


def offer_of(site: Site, recall: SiteRecall | None, now: datetime) -> Offer:
    """Windows, recall, and whether the site's clock is good enough to meter by."""
    clock = clock_reason(site.clock_offset_ms)
    if clock is not None:
        return Offer(False, clock, None, None)
    times = RecallTimes(recall.stop_at, recall.until) if recall is not None else None
    return is_offered(Windows.of(site.offering), times, now)
