"""Several ways to be content, and wishes about sites: a layer over ``plan``, as pure as it is.

Each alternative is planned by itself on the sites that are wished for; their candidates are then compared together. What
is preferred comes before price: a primary site before its standbys, and of an ordered list what stands first.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from zhisuan.base.text import Text
from zhisuan.placement.candidates import Merged
from zhisuan.placement.rules import plan
from zhisuan.placement.types import Candidate, Need, Part, Plan, Rejection, SiteState, Snapshot


@dataclass(frozen=True, slots=True)
class Wish:
    """What one workload would take. ``needs`` are alternatives, in the order of preference where ``ordered``.

    Sites are named by id or by name. ``sites``: these only (empty: any); ``standby``: where it goes, in this order, while
    none of ``sites`` can take it; ``avoid_sites``: never; ``regions``: only sites of these (empty: any).
    """

    needs: tuple[Need, ...]
    ordered: bool = False
    sites: tuple[str, ...] = ()
    standby: tuple[str, ...] = ()
    avoid_sites: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


def plan_wish(snapshot: Snapshot, wish: Wish) -> Plan:
    """All candidates of all alternatives, best first; ``Candidate.alternative`` says of which one each is."""
    tiers = {site.id: _tier(site, wish) for site in snapshot.sites} if _names_sites(wish) else {}
    wanted = tuple(site for site in snapshot.sites if isinstance(tiers[site.id], int)) if tiers else snapshot.sites
    narrowed = snapshot if len(wanted) == len(snapshot.sites) else replace(snapshot, sites=wanted)
    plans = [plan(narrowed, need) for need in wish.needs]
    left_out = _left_out(snapshot, tiers) if tiers else ()
    if len(plans) == 1 and not left_out and not wish.standby:
        return plans[0]
    several = len(plans) > 1
    preferred = [_all_preferred(made, wish, tiers, number if several else 0) for number, made in enumerate(plans, 1)]
    ranked: Sequence[Candidate]
    if wish.standby:
        # A standby's tier comes before its price: the candidates of one plan are in another order then.
        ranked = tuple(sorted((candidate for part in preferred for candidate in part), key=lambda c: c.order))
    else:
        ranked = Merged(sum(len(made.candidates) for made in plans), preferred)
    rejections = left_out + tuple(
        _named(rejection, need) if several else rejection
        for need, made in zip(wish.needs, plans, strict=True)
        for rejection in made.rejections
    )
    return Plan(ranked, rejections, any(p.could_ever_fit for p in plans), _reason(wish, plans, ranked, tiers, left_out))


def unknown_sites(snapshot: Snapshot, names: Iterable[str]) -> tuple[str, ...]:
    """Those of ``names`` that no site has as its id or name."""
    known = {name for site in snapshot.sites for name in (site.id, site.name)}
    return tuple(name for name in names if name not in known)


def describe(need: Need) -> Text:
    """An alternative as a person would say it: ``A100:1, 4 CPU, 16 GiB``."""
    cards = "".join(f"{name}:{count}, " for name, count in need.accelerators)
    cores, gib = f"{need.cpus_milli / 1000:g}", f"{need.memory_mib / 1024:g}"
    return Text(f"{cards}{cores} CPU, {gib} GiB", f"{cards}{cores} 核，{gib} GiB")


LEFT_OUT = {
    "site_avoided": (
        Text("their site is one that zhisuan.avoid_sites names", "所在站点在 zhisuan.avoid_sites 中"),
        Text("take the site out of zhisuan.avoid_sites", "从 zhisuan.avoid_sites 去掉该站点"),
    ),
    "site_region": (
        Text("their site is in another region than zhisuan.region asks for", "所在站点不在 zhisuan.region 指定的地区"),
        Text("ask for more regions", "放宽地区"),
    ),
    "site_named": (
        Text("their site is not among those that the workload names", "所在站点不在作业指定的站点之内"),
        Text("name more sites under zhisuan.sites or zhisuan.standby", "在 zhisuan.sites 或 zhisuan.standby 中增加站点"),
    ),
}


def _names_sites(wish: Wish) -> bool:
    return bool(wish.sites or wish.avoid_sites or wish.regions)


def _tier(site: SiteState, wish: Wish) -> int | str:
    """0 for a site of the first choice, then standbys in their order; or the constraint that leaves it out."""
    names = (site.id, site.name)
    if any(name in wish.avoid_sites for name in names):
        return "site_avoided"
    if wish.regions and site.region not in wish.regions:
        return "site_region"
    if not wish.sites or any(name in wish.sites for name in names):
        return 0
    standbys = [number for number, name in enumerate(wish.standby, 1) if name in names]
    return standbys[0] if standbys else "site_named"


def _left_out(snapshot: Snapshot, tiers: dict[str, int | str]) -> tuple[Rejection, ...]:
    found = []
    for name, (text, unblock) in LEFT_OUT.items():
        count = sum(len(site.nodes) for site in snapshot.sites if tiers[site.id] == name)
        if any(tier == name for tier in tiers.values()):
            found.append(Rejection(name, count, True, text, unblock))
    return tuple(found)


def _all_preferred(made: Plan, wish: Wish, tiers: dict[str, int | str], number: int) -> Iterator[Candidate]:
    return (_preferred(candidate, wish, tiers, number) for candidate in made.candidates)


def _preferred(candidate: Candidate, wish: Wish, tiers: dict[str, int | str], number: int) -> Candidate:
    parts = candidate.parts
    if wish.ordered and number:
        parts = (Part("preference", number, "place", Text("place in the ordered list", "有序列表中的次序")), *parts)
    if wish.standby:
        tier = tiers.get(candidate.site_id, 0)
        text = Text("standby (0: primary)", "备用次序（0 为主站点）")
        parts = (Part("standby", tier if isinstance(tier, int) else 0, "place", text), *parts)
    return replace(candidate, parts=parts, alternative=number)


def _named(rejection: Rejection, need: Need) -> Rejection:
    what = describe(need)
    text = Text(f"for {what.en}: {rejection.text.en}", f"对于 {what.zh}：{rejection.text.zh}")
    return replace(rejection, text=text)


def _reason(
    wish: Wish,
    plans: list[Plan],
    ranked: Sequence[Candidate],
    tiers: dict[str, int | str],
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


def _of_site(wish: Wish, chosen: Candidate, tiers: dict[str, int | str]) -> Text:
    tier = tiers.get(chosen.site_id, 0)
    if tier == 0:
        return Text(f"{chosen.site_name} is the primary site.", f"{chosen.site_name} 为主站点。")
    before = (*wish.sites, *wish.standby[: int(tier) - 1])
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
