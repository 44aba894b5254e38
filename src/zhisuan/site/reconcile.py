"""What to do next, from what should run and what is known here. Pure.

Fencing: of one lease at most one generation has a live run; a generation is started only while no newer one is known;
what has ended never starts again. A lease that the server no longer lists is stopped, its end is delivered, and only
then is it forgotten.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from zhisuan.site.record import Key, Stage, key_of
from zhisuan.wire.site import LeaseOffer


class Run(StrEnum):
    """What the engine has of a generation."""

    none = "none"
    live = "live"
    ended = "ended"


@dataclass(frozen=True, slots=True)
class Known:
    """One generation of one lease as this site knows it.

    ``stage`` is the journal's, ``None`` where only the engine has a trace. ``busy``: a start is under way, so the engine
    may get a run any moment. ``stopping``: a stop has been asked for. ``acknowledged``: the server has taken the final
    report, everything delivered. ``past``: ended and forgotten; only its final report is kept. ``overdue``: the lease's
    term has run out without word from the server. ``idle``: nobody has used the work for as long as its offer allows.
    """

    key: Key
    stage: Stage | None
    run: Run = Run.none
    busy: bool = False
    stopping: bool = False
    acknowledged: bool = False
    past: bool = False
    overdue: bool = False
    idle: bool = False

    @property
    def may_be_live(self) -> bool:
        """A start that was asked for before a kill may still arrive: it ends by a stop, which the engine remembers."""
        return self.busy or self.run is Run.live or (self.stage is Stage.starting and self.run is Run.none)


class Do(StrEnum):
    """The things an agent does about a lease.

    accept: journal the offer. adopt: journal an offer that the engine already runs. start: fetch archives and ask the
    engine. stop: end the run, or the start under way. expire: note that the term ran out, then as stop. rest: note that it is idle, then as stop. withdraw: settle the end of what never ran. lose: settle the end
    of what the engine lost. forget: drop run and journal row, keep the final report. discard: drop an ended run that the
    journal does not know. recall: report once more what ended and was forgotten. refuse: do nothing, and say why.
    """

    accept = "accept"
    adopt = "adopt"
    start = "start"
    stop = "stop"
    expire = "expire"
    rest = "rest"
    withdraw = "withdraw"
    lose = "lose"
    forget = "forget"
    discard = "discard"
    recall = "recall"
    refuse = "refuse"


@dataclass(frozen=True, slots=True)
class Action:
    do: Do
    key: Key
    offer: LeaseOffer | None = None
    grace_seconds: int | None = None


def plan(
    desired: Sequence[LeaseOffer] | None, known: Iterable[Known], *, may_start: bool = True
) -> tuple[Action, ...]:
    """The next actions, in order, for the server's latest list ``desired`` (``None``: no answer since the agent began,
    so nothing may start, and nothing be stopped but what is overdue). ``may_start`` false: the list is too old to begin
    anything by. Taking them and planning again converges; a repeated action does no harm."""
    by_lease: dict[str, list[Known]] = defaultdict(list)
    for one in known:
        by_lease[one.key.lease_id].append(one)
    found = _plan_all(desired, by_lease)
    return tuple(a for a in found if may_start or a.do not in (Do.start, Do.adopt))


def _plan_all(desired: Sequence[LeaseOffer] | None, by_lease: dict[str, list[Known]]) -> Sequence[Action]:
    if desired is None:
        all_known = [k for group in by_lease.values() for k in group]
        ended = [Action(Do.expire, k.key) for k in all_known if _expires(k)]
        return [*ended, *(Action(Do.lose, k.key) for k in all_known if _vanished(k))]
    wanted: dict[str, LeaseOffer] = {}
    for offer in desired:
        held = wanted.get(offer.lease_id)
        if held is None or offer.generation > held.generation:
            wanted[offer.lease_id] = offer
    actions: list[Action] = []
    for lease_id in [*by_lease, *(i for i in wanted if i not in by_lease)]:
        actions += _plan_lease(wanted.get(lease_id), by_lease.get(lease_id, []))
    return actions


def _plan_lease(offer: LeaseOffer | None, known: Sequence[Known]) -> list[Action]:
    actions: list[Action] = []
    for one in known:
        if _expires(one):
            actions.append(Action(Do.expire, one.key))
        elif offer is None or one.key != key_of(offer):
            actions += _wind_down(one, listed=False)
    if offer is None:
        return actions
    key = key_of(offer)
    mine = next((k for k in known if k.key == key), None)
    others = [k for k in known if k.key != key]
    if mine is None:
        if any(k.key.generation > key.generation for k in others):
            return [*actions, Action(Do.refuse, key, offer)]
        actions.append(Action(Do.accept, key, offer))
        mine = Known(key, Stage.accepted)
    elif mine.past:
        return [*actions, Action(Do.recall, key)]
    elif mine.overdue and mine.may_be_live:
        return actions
    elif mine.stage is None:
        actions.append(Action(Do.adopt, key, offer))
        mine = Known(key, Stage.started, mine.run)
    if offer.desired == "stop" or any(k.key.generation > key.generation for k in others):
        return actions + _wind_down(mine, listed=True, grace_seconds=offer.grace_seconds)
    if mine.idle and mine.run is Run.live:
        return actions if mine.stopping else [*actions, Action(Do.rest, key, grace_seconds=offer.grace_seconds)]
    return actions + _wind_up(mine, blocked=any(k.may_be_live for k in others))


def _wind_up(one: Known, *, blocked: bool) -> list[Action]:
    if _vanished(one):
        return [Action(Do.lose, one.key)]
    waiting = one.stage in (Stage.accepted, Stage.starting) and one.run is Run.none and not one.busy
    return [Action(Do.start, one.key)] if waiting and not blocked else []


def _wind_down(one: Known, *, listed: bool, grace_seconds: int | None = None) -> list[Action]:
    if one.past:
        return []
    if one.may_be_live:
        return [] if one.stopping else [Action(Do.stop, one.key, grace_seconds=grace_seconds)]
    if one.stage is None:
        return [Action(Do.discard, one.key)]
    if one.stage is Stage.exited:
        return [Action(Do.forget, one.key)] if one.acknowledged and not listed else []
    if _vanished(one):
        return [Action(Do.lose, one.key)]
    return [Action(Do.withdraw, one.key)] if one.run is Run.none else []


def _expires(one: Known) -> bool:
    return one.overdue and one.may_be_live and not one.stopping and not one.past


def _vanished(one: Known) -> bool:
    """The engine had a run and has none now, not even an ended one."""
    return one.stage is Stage.started and one.run is Run.none and not one.busy
