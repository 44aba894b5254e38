"""How a placement is shown: what was compared, what was left out, and why it fell as it did."""

from typing import TYPE_CHECKING

from zhisuan.cli.figures import cny, du, milli, price_per_du, yuan
from zhisuan.cli.output import Screen
from zhisuan.cli.text import say, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import Candidate, Placement, Rejected, ScorePart

OWN_COLUMNS = {"ucny_per_hour", "mg_per_hour"}
SHOWN_MAX = 10


def draw_placement(screen: Screen, placement: "Placement") -> None:
    if placement.chosen is not None:
        where = " / ".join(part for part in (placement.chosen.site_name, ", ".join(placement.chosen.node_hostnames)) if part)
        screen.title(t(f"Placed on {where}", f"放置于 {where}"))
    else:
        screen.title(t("Not placed yet", "尚未放置"))
    if placement.reason:
        screen.line(say(placement.reason))
    draw_compared(screen, placement.candidates, placement.rejected)


def draw_compared(screen: Screen, candidates: "tuple[Candidate, ...]", rejected: "tuple[Rejected, ...]") -> None:
    if candidates:
        compared = [say(p.text) or p.name for p in candidates[0].score_parts]
        if compared:
            screen.line(t(f"Compared by: {', then '.join(compared)}", f"比较依据（依次）：{'；'.join(compared)}"))
        screen.table(
            "rank site node >hour >carbon_hour detail",
            [
                (
                    str(c.rank),
                    c.site_name,
                    ", ".join(c.node_hostnames),
                    yuan(c.hour_ucny),
                    milli(c.carbon_g_per_hour_milli),
                    t("; ", "；").join(_part(p) for p in c.score_parts if p.unit not in OWN_COLUMNS),
                )
                for c in candidates[:SHOWN_MAX]
            ],
        )
        if len(candidates) > SHOWN_MAX:
            screen.line(t(f"… and {len(candidates) - SHOWN_MAX} more", f"……另有 {len(candidates) - SHOWN_MAX} 个"))
    for r in rejected:
        screen.line(t(f"Left out ({r.count}): {say(r.text)}", f"未入选（{r.count} 个）：{say(r.text)}"))


def _part(part: "ScorePart") -> str:
    name = say(part.text) or part.name
    if part.unit == "millicores" and isinstance(part.value, int):
        return f"{name} {milli(part.value)}"
    return f"{name} {part.value} {part.unit}".rstrip()


def price_line(hour_ucny: int | None, rate_udu_per_hour: int | None, price_e8_per_du: int | None) -> str:
    """``¥0.018/hour = 0.025 度/hour × ¥0.72/度``."""
    parts = f"{du(rate_udu_per_hour)} {t('度/hour', '度/小时')} × {price_per_du(price_e8_per_du)}"
    if hour_ucny is None:
        return parts
    return f"{cny(hour_ucny)}{t('/hour', '/小时')} = {parts}"


def hour_price_of(placement: "Placement | None") -> int | None:
    """What an hour costs where the work went."""
    if placement is None or placement.chosen is None:
        return None
    chosen = placement.chosen
    for candidate in placement.candidates:
        if (candidate.site_id, candidate.node_hostnames) == (chosen.site_id, chosen.node_hostnames):
            return candidate.hour_ucny
    return None
