"""The tree of quotas: what is wrong with one, and what may still be taken under it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zhisuan.base.text import Text
from zhisuan.placement.queueing.types import NOTHING, Amounts, Limit, Quota, total

WEIGHT_MAX = 1000
NAMES = {"cards": Text("cards", "卡"), "cores": Text("cores", "核")}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a quota: whose it is, a stable code, and words."""

    subject: str
    code: str
    text: Text


def problems_of(quotas: Sequence[Quota]) -> list[Problem]:
    """All that is wrong with the quotas of one organisation, itself among them, in the order in which they are given."""
    by_subject = {quota.subject: quota for quota in quotas}
    found = [problem for quota in quotas for problem in _own(quota)]
    circles = [quota for quota in quotas if _in_circle(quota, by_subject)]
    found += [Problem(q.subject, "quota_cycle", _circle_text(q, by_subject)) for q in circles]
    for quota in quotas:
        parent = by_subject.get(quota.parent or "")
        if quota.parent is not None and parent is None:
            said = Text(f"{quota.name} stands under {quota.parent}, which there is not.", f"{quota.name} 的上级 {quota.parent} 不存在。")
            found.append(Problem(quota.subject, "quota_parent_unknown", said))
        if parent is not None and quota not in circles:
            found += _above(quota, parent)
    found += [problem for quota in quotas for problem in _children(quota, quotas)]
    return found


def _own(quota: Quota) -> list[Problem]:
    values = (quota.guaranteed.cards_milli, quota.guaranteed.cores_milli, quota.limit.cards_milli or 0, quota.limit.cores_milli or 0)
    found = []
    if min(values) < 0:
        found.append(Problem(quota.subject, "quota_negative", Text(f"A quota of {quota.name} is negative.", f"{quota.name} 的配额为负数。")))
    if not 1 <= quota.weight <= WEIGHT_MAX:
        said = Text(f"The weight of {quota.name} is not from 1 to {WEIGHT_MAX}.", f"{quota.name} 的权重须为 1 到 {WEIGHT_MAX}。")
        found.append(Problem(quota.subject, "quota_weight", said))
    for name in quota.limit.passed_by(quota.guaranteed):
        said = Text(
            f"{quota.name} is guaranteed more {NAMES[name].en} than its own limit lets it hold.",
            f"{quota.name} 的保障{NAMES[name].zh}数超过了其自身上限。",
        )
        found.append(Problem(quota.subject, "quota_above_limit", said))
    return found


def _in_circle(quota: Quota, by_subject: Mapping[str, Quota]) -> bool:
    at, seen = quota.parent, set()
    while at is not None and at in by_subject and at not in seen:
        if at == quota.subject:
            return True
        seen.add(at)
        at = by_subject[at].parent
    return False


def _circle_text(quota: Quota, by_subject: Mapping[str, Quota]) -> Text:
    names, at = [quota.name], quota.parent
    while at is not None and at != quota.subject:
        names.append(by_subject[at].name)
        at = by_subject[at].parent
    chain = " → ".join([*names, quota.name])
    return Text(f"These projects stand under each other in a circle: {chain}.", f"项目的上级关系成环：{chain}。")


def _above(quota: Quota, parent: Quota) -> list[Problem]:
    found = []
    most = Amounts(quota.limit.cards_milli or 0, quota.limit.cores_milli or 0)
    for name in parent.limit.passed_by(most):
        said = Text(
            f"The limit of {quota.name} is above that of {parent.name}, which it stands under, in {NAMES[name].en}.",
            f"{quota.name} 的{NAMES[name].zh}上限高于其上级 {parent.name}。",
        )
        found.append(Problem(quota.subject, "quota_above_parent", said))
    return found


def _children(parent: Quota, quotas: Sequence[Quota]) -> list[Problem]:
    children = [q for q in quotas if q.parent == parent.subject and q.subject != parent.subject]
    if not children:
        return []
    given = total(q.guaranteed for q in children)
    most = Limit(parent.guaranteed.cards_milli, parent.guaranteed.cores_milli)
    return [
        Problem(
            parent.subject, "quota_above_parent",
            Text(
                f"What stands under {parent.name} ({', '.join(q.name for q in children)}) is together guaranteed more "
                f"{NAMES[name].en} than {parent.name} itself.",
                f"{parent.name} 的下级（{'、'.join(q.name for q in children)}）保障{NAMES[name].zh}数之和超过了 {parent.name} 自身的保障。",
            ),
        )
        for name in most.passed_by(given)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Blocked:
    """The quota that keeps an order from starting, and by what."""

    quota: Quota
    held: Amounts
    asked: Amounts
    names: tuple[str, ...]

    @property
    def for_ever(self) -> bool:
        """Whether it asks for more than the limit, whatever else is held."""
        return not self.quota.limit.allows(self.asked)

    @property
    def text(self) -> Text:
        said = [
            (NAMES[name], _shown(getattr(self.held, f"{name}_milli")), _shown(getattr(self.asked, f"{name}_milli")),
             _shown(getattr(self.quota.limit, f"{name}_milli")))
            for name in self.names
        ]  # fmt: skip
        return Text(
            f"The quota of {self.quota.name} is used up: "
            + "; ".join(f"{held} {name.en} held, {asked} asked for, limit {most}" for name, held, asked, most in said) + ".",
            f"{self.quota.name} 的配额已用完："
            + "；".join(f"已占用 {held} {name.zh}，申请 {asked}，上限 {most}" for name, held, asked, most in said) + "。",
        )  # fmt: skip


def _shown(milli: int) -> str:
    """Thousandths as a person writes them: 1500 is ``1.5``."""
    whole, rest = divmod(milli, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)


class Accounts:
    """The quotas of several organisations with what their work holds, for one decision or for orders of one transaction, which take from
    them one after the other. A subject without a quota is guaranteed nothing, and limited by nothing but its parents."""

    def __init__(self, quotas: Sequence[Quota], held: Mapping[tuple[str, str], Amounts]) -> None:
        """``held``: by organisation and project."""
        self._quotas = {quota.subject: quota for quota in quotas}
        self._held: dict[str, Amounts] = {}
        for (org_id, project_id), amounts in held.items():
            self.take(org_id, project_id, amounts)

    def path(self, org_id: str, project_id: str) -> tuple[str, ...]:
        """The project, what it stands under, and the organisation."""
        path, at = [project_id], self._quotas.get(project_id)
        while at is not None and at.parent is not None and at.parent not in (org_id, *path):
            path.append(at.parent)
            at = self._quotas.get(at.parent)
        return (*path, org_id)

    def quota(self, subject: str) -> Quota:
        return self._quotas.get(subject) or Quota(subject, subject, None)

    def has(self, subject: str) -> bool:
        """Whether it has a quota of its own."""
        return subject in self._quotas

    def held(self, subject: str) -> Amounts:
        return self._held.get(subject, NOTHING)

    def borrowed(self, subject: str) -> Amounts:
        return self.held(subject).above(self.quota(subject).guaranteed)

    def blocked(self, org_id: str, project_id: str, asked: Amounts) -> Blocked | None:
        """The first quota on the way up that has no room for this."""
        for subject in self.path(org_id, project_id):
            quota, held = self.quota(subject), self.held(subject)
            names = tuple(n for n in quota.limit.passed_by(held + asked) if getattr(asked, f"{n}_milli") > 0)
            if names:
                return Blocked(quota, held, asked, names)
        return None

    def guaranteed(self, subject: str, asked: Amounts) -> bool:
        """Whether, with this, it would still hold no more than it is guaranteed."""
        return (self.held(subject) + asked).within(self.quota(subject).guaranteed)

    def take(self, org_id: str, project_id: str, amounts: Amounts) -> None:
        for subject in self.path(org_id, project_id):
            self._held[subject] = self.held(subject) + amounts

    def copy(self) -> "Accounts":
        made = Accounts((), {})
        made._quotas, made._held = self._quotas, dict(self._held)
        return made
