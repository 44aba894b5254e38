"""Several ways to be content, and wishes about sites: a layer over ``plan``, as pure as it is.

Each alternative is planned by itself on the sites that are wished for; their candidates are then compared together. What
is preferred comes before price: a primary site before its standbys, and of an ordered list what stands first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from zhisuan.base.text import Text
from zhisuan.placement.candidates import Together
from zhisuan.placement.rules import plan
from zhisuan.placement.site_wishes import Wish, left_out, round_trips_of, tiers_of
from zhisuan.placement.types import Candidate, Need, Part, Plan, Rejection, Snapshot


def plan_wish(snapshot: Snapshot, wish: Wish) -> Plan:
    """All candidates of all alternatives, best first; ``Candidate.alternative`` says of which one each is."""
    tiers = tiers_of(snapshot, wish)
    allowed = None if tiers is None else {ident: tier for ident, tier in tiers.items() if isinstance(tier, int)}
    plans = [plan(snapshot, need, allowed) for need in wish.needs]
    out = () if tiers is None else left_out(snapshot, wish, tiers)
    trips = round_trips_of(snapshot, wish)
    if len(plans) == 1 and not out and not wish.standby:
        return replace(plans[0], round_trips_us=trips)
    several, places = len(plans) > 1, allowed or {}

    def dressed(candidate: Candidate, number: int) -> Candidate:
        return _preferred(candidate, wish, places, number + 1 if several else 0)

    bare = not several and not wish.standby
    ranked = plans[0].candidates if bare else Together([made.candidates for made in plans], dressed)
    rejections = out + tuple(
        _named(rejection, need) if several else rejection
        for need, made in zip(wish.needs, plans, strict=True)
        for rejection in made.rejections
    )
    return Plan(ranked, rejections, any(p.could_ever_fit for p in plans), _reason(wish, plans, ranked, places, out), trips)


def unknown_sites(snapshot: Snapshot, names: Iterable[str]) -> tuple[str, ...]:
    """Those of ``names`` that no site has as its id or name."""
    known = {name for site in snapshot.sites for name in (site.id, site.name)}
    return tuple(name for name in names if name not in known)


def unknown_providers(snapshot: Snapshot, names: Iterable[str]) -> tuple[str, ...]:
    """Those of ``names`` that no site's provider has as its id or name."""
    known = {name for site in snapshot.sites for name in (site.provider_id, site.provider_name)}
    return tuple(name for name in names if name not in known)


def describe(need: Need) -> Text:
    """An alternative as a person would say it: ``A100:1, 4 CPU, 16 GiB``."""
    cards = "".join(f"{name}:{count}, " for name, count in need.accelerators)
    cores, gib = f"{need.cpus_milli / 1000:g}", f"{need.memory_mib / 1024:g}"
    return Text(f"{cards}{cores} CPU, {gib} GiB", f"{cards}{cores} 核，{gib} GiB")


def _preferred(candidate: Candidate, wish: Wish, tiers: Mapping[str, int], number: int) -> Candidate:
    parts = candidate.parts
    if wish.ordered and number:
        parts = (Part("preference", number, "place", Text("place in the ordered list", "有序列表中的次序")), *parts)
    if wish.standby:
        text = Text("standby (0: primary)", "备用次序（0 为主站点）")
        parts = (Part("standby", tiers[candidate.site_id], "place", text), *parts)
    return replace(candidate, parts=parts, alternative=number)


def _named(rejection: Rejection, need: Need) -> Rejection:
    what = describe(need)
    text = Text(f"for {what.en}: {rejection.text.en}", f"对于 {what.zh}：{rejection.text.zh}")
    return replace(rejection, text=text)


def _reason(
    wish: Wish,
    plans: list[Plan],
    ranked: Sequence[Candidate],
    tiers: Mapping[str, int],
    left_out: tuple[Rejection, ...],
) -> Text:
    """Why this site, then why this alternative and not the others."""
    chosen = ranked[0] if ranked else None
    said = [_of_site(wish, chosen, tiers)] if wish.standby and chosen is not None else []
    if len(plans) == 1:
        said.append(plans[0].reason)
    elif chosen is None:
        said += [_prefixed(f"{n}", need, made) for n, (need, made) in enumerate(zip(wish.needs, plans, strict=True), 1)]
    else:
        said += _of_alternatives(wish, plans, chosen)
    if left_out and chosen is None:
        count = sum(r.count for r in left_out)
        said.append(
            Text(f"{count} nodes are on sites that the workload does not want.", f"另有 {count} 个节点位于作业不接受的站点。")
        )
    return Text(" ".join(t.en for t in said), "".join(t.zh for t in said))


def _of_site(wish: Wish, chosen: Candidate, tiers: Mapping[str, int]) -> Text:
    tier = tiers[chosen.site_id]
    if tier == 0:
        return Text(f"{chosen.site_name} is the primary site.", f"{chosen.site_name} 为主站点。")
    before = (*wish.sites, *wish.standby[: tier - 1])
    return Text(
        f"{chosen.site_name} is standby {tier}: {', '.join(before)} cannot take it now.",
        f"{chosen.site_name} 为第 {tier} 备用站点：{'、'.join(before)} 当前无法承接。",
    )


def _of_alternatives(wish: Wish, plans: list[Plan], chosen: Candidate) -> list[Text]:
    what = describe(wish.needs[chosen.alternative - 1])
    how = Text("the first that fits", "依次取第一个可承接的") if wish.ordered else Text("the best of them", "综合最优")
    said = [
        Text(
            f"Alternative {chosen.alternative} of {len(plans)} ({what.en}) was taken on {chosen.site_name}: {how.en}.",
            f"在 {len(plans)} 个备选中采用第 {chosen.alternative} 个（{what.zh}），位于 {chosen.site_name}：{how.zh}。",
        )
    ]
    for number, (need, made) in enumerate(zip(wish.needs, plans, strict=True), 1):
        if number == chosen.alternative:
            continue
        if not made.candidates:
            said.append(_prefixed(f"{number}", need, made))
        elif wish.ordered and number > chosen.alternative:
            said.append(Text(f"Alternative {number} comes later in the order.", f"备选 {number} 次序靠后。"))
        else:
            said.append(_worse(number, need, made.candidates[0], chosen))
    return said


def _worse(number: int, need: Need, other: Candidate, chosen: Candidate) -> Text:
    """The first thing that the best candidate of another alternative is worse in."""
    mine = {part.name: part for part in chosen.parts}
    for part in other.parts:
        if part.value > mine[part.name].value:
            en, zh = describe(need).en, describe(need).zh
            return Text(
                f"Alternative {number} ({en}) fits on {other.site_name} with a higher {part.text.en}.",
                f"备选 {number}（{zh}）可在 {other.site_name} 承接，但{part.text.zh}更高。",
            )
    return Text(f"Alternative {number} would be no better.", f"备选 {number} 并无优势。")


def _prefixed(number: str, need: Need, made: Plan) -> Text:
    what = describe(need)
    return Text(
        f"Alternative {number} ({what.en}): {made.reason.en}", f"备选 {number}（{what.zh}）：{made.reason.zh}"
    )
