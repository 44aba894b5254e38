"""The accelerators of this host, looked at again and again: health, and what others hold on them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from zhisuan.base.text import Text
from zhisuan.site.backoff import log
from zhisuan.site.discovery import Accelerator, HostFacts, HostReader, Problem
from zhisuan.site.discovery.accelerators import find_accelerators
from zhisuan.site.discovery.discover import DISK
from zhisuan.site.inventory import card_grant, card_report
from zhisuan.site.outsiders import held_mib, taken_by_others, why_taken
from zhisuan.site.stock import Stock
from zhisuan.site.threads import unattended
from zhisuan.wire.site import DeviceReport, Inventory, MeasurementReport

LOOK_SECONDS = 60.0
# A tool may fail once, and work of ours may free its memory late: two looks in a row take a card off the offer.
LOOKS_IN_A_ROW = 2


@dataclass(slots=True)
class Card:
    """One card as last seen. ``against``: looks in a row at which others held it or it was not to be seen; ``why_lost``:
    the latter, at the last look."""

    device: Accelerator
    against: int = 0
    why_lost: Text | None = None

    @property
    def off(self) -> bool:
        return self.against >= LOOKS_IN_A_ROW


class DeviceWatch:
    """Keeps the accelerators of ``stock``, and the trouble with their tools, as they are now. ``facts`` are what was
    discovered for it; ``ours`` gives the keys of the cards with a lease of ours, ``None`` while that is not known."""

    def __init__(
        self,
        stock: Stock,
        facts: HostFacts,
        measured: Mapping[str, tuple[MeasurementReport, ...]],
        ours: Callable[[], frozenset[str] | None],
    ) -> None:
        self._stock = stock
        self._measured = measured
        self._ours = ours
        self._lasting = tuple(p for p in facts.problems if p.source == DISK)
        self._problems = tuple(p for p in facts.problems if p.source != DISK)
        self._cards: dict[str, Card] = {}
        self.renew(facts.accelerators, self._problems)

    async def run(
        self, reader: HostReader, send: Callable[[Inventory], Awaitable[None]], *, every_seconds: float = LOOK_SECONDS
    ) -> None:
        """Look, and send the inventory when something in it has become different."""
        while True:
            await asyncio.sleep(every_seconds)
            devices, problems = await unattended(lambda: find_accelerators(reader), "devices")
            if self.renew(devices, problems):
                await send(self._stock.message)

    def renew(self, devices: Sequence[Accelerator], problems: Sequence[Problem]) -> bool:
        """Take in one look; whether it makes another offer than the last."""
        ours = self._ours()
        seen = {device.key for device in devices}
        for device in devices:
            # A card that is new here is not offered before it was free once.
            card = self._cards.setdefault(device.key, Card(device, against=LOOKS_IN_A_ROW - 1))
            card.device, card.why_lost = device, None
            card.against = card.against + 1 if taken_by_others(device, ours) else 0
        for key, card in self._cards.items():
            if key not in seen:
                card.against += 1
                card.why_lost = _why_lost(card.device, problems)
        self._grant(devices)
        return self._write(self._say(problems))

    def _grant(self, devices: Sequence[Accelerator]) -> None:
        grants = self._stock.grants[self._stock.message.nodes[0].hostname]
        grants.update({device.key: card_grant(device) for device in devices})

    def _write(self, otherwise: bool) -> bool:
        [node] = self._stock.message.nodes
        others = tuple(d for d in node.devices if d.kind != "accelerator")
        reports = (*others, *(self._report(card) for card in self._cards.values()))
        if reports == node.devices and not otherwise:
            return False
        facts = {
            **node.facts,
            "accelerators": [_facts(card) for card in self._cards.values()],
            "problems": [p.to_json() for p in (*self._problems, *self._lasting)],
        }
        node = node.model_copy(update={"devices": reports, "facts": facts})
        self._stock.message = self._stock.message.model_copy(update={"nodes": (node,)})
        return True

    def _report(self, card: Card) -> DeviceReport:
        report = card_report(card.device, self._measured.get(card.device.key, ()))
        if card.off and card.why_lost is not None:
            return report.model_copy(update={"health": "failed", "note": both(card.why_lost)})
        if card.off and report.health != "failed":
            notes = (note for note in (report.note, both(why_taken(card.device))) if note)
            return report.model_copy(update={"health": "occupied", "note": " ".join(notes)})
        return report

    def _say(self, problems: Sequence[Problem]) -> bool:
        """Log what is new; whether the problems are others than at the last look."""
        for problem in problems:
            if problem not in self._problems:
                log.warning("%s %s", problem.what.en, problem.remedy.en)
        other = set(problems) != set(self._problems)
        self._problems = tuple(problems)
        return other


def both(text: Text) -> str:
    """A note has one string: both languages in it."""
    return f"{text.en} {text.zh}"


def _facts(card: Card) -> dict[str, object]:
    taken = card.off and card.why_lost is None
    return {**card.device.to_json(), "used_by_others_mib": held_mib(card.device) if taken else 0}


def _why_lost(device: Accelerator, problems: Sequence[Problem]) -> Text:
    """The trouble that its tool is in, else that the tool lists it no more."""
    for problem in problems:
        if problem.source == device.tool:
            return problem.what
    return Text(
        f"{device.tool} no longer lists this card; check its seat and its log, and restart the host if it was lost.",
        f"{device.tool} 已不再列出此卡；请检查插槽与日志，若已掉卡请重启主机。",
    )
