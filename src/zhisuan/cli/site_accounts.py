"""``site reconciliation``: whether a site's engine counted what the platform metered there."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

from zhisuan.base.money import decimal_text
from zhisuan.cli.output import Screen, show
from zhisuan.cli.params import JsonFlag, Limit
from zhisuan.cli.session import connect
from zhisuan.cli.sites import SiteId
from zhisuan.cli.text import opt, state, t

if TYPE_CHECKING:
    from zhisuan.sdk.types.supply import EngineAccount, Reconciliation

VERDICTS = ("agrees", "metered_more", "metered_less", "other_nodes", "waiting", "none")


def reconciliation(
    site_id: SiteId,
    leases: Annotated[
        bool, opt("--leases", en="List the leases that do not agree (operator).", zh="列出不一致的租约（运营方）。")
    ] = False,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.site_reconciliation(site_id)
        rows = list(islice(client.engine_accounts(site_id, verdict="differs"), limit)) if leases else []
    shown = {**found.as_json(), "leases": [row.as_json() for row in rows]} if leases else found.as_json()

    def draw(screen: Screen) -> None:
        _draw_counts(screen, found)
        if leases:
            screen.line()
            _draw_leases(screen, rows)

    show(as_json, shown, draw)


def _draw_counts(screen: Screen, found: "Reconciliation") -> None:
    counts = {
        "agrees": t("Agree", "一致"),
        "metered_more": t("Metered more than the engine counted", "计量多于引擎记录"),
        "metered_less": t("Metered less than the engine counted", "计量少于引擎记录"),
        "other_nodes": t("Another number of nodes", "节点数不符"),
        "waiting": t("Not compared yet", "尚未核对"),
        "none": t("No account from the engine", "引擎无记录"),
    }
    screen.facts([(label, str(getattr(found, name))) for name, label in counts.items()])
    seconds, share = found.tolerance_seconds, found.tolerance_per_cent
    screen.note(
        t(
            f"Closed leases. They agree within {seconds} s and {share} % of the engine's time; nothing is corrected by itself.",
            f"统计已关闭的租约。差异在 {seconds} 秒加引擎时长的 {share}% 以内视为一致；平台不会自动更正。",
        )
    )


def _draw_leases(screen: Screen, rows: list["EngineAccount"]) -> None:
    if not rows:
        screen.note(t("All leases that were compared agree.", "已核对的租约全部一致。"))
        return
    screen.table(
        "!lease !state >metered >engine >difference source",
        [
            (
                row.lease_id,
                state(row.verdict),
                _seconds((row.metered_seconds or 0) * 1000),
                _seconds(row.engine_milliseconds),
                _seconds(row.difference_milliseconds),
                f"{row.source} {row.reference}",
            )
            for row in rows
        ],
    )


def _seconds(milliseconds: int | None) -> str:
    return "–" if milliseconds is None else f"{decimal_text(milliseconds, 3)} s"
