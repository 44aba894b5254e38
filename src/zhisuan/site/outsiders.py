"""Who else uses a card: memory held on it while no lease of ours is there. Pure."""

from collections.abc import Iterable

from zhisuan.base.text import Text
from zhisuan.site.book import Held
from zhisuan.site.discovery import Accelerator
from zhisuan.site.reconcile import Run
from zhisuan.site.record import Stage

# A display or a watching tool holds some hundred MiB; work holds more.
HELD_MIB_MIN = 1024


def held_mib(device: Accelerator) -> int:
    """What processes hold on the card, whoever they belong to: as the tool lists it, or what is used beyond what the
    driver itself holds, whichever is more. 0 where the tool tells neither."""
    beyond = 0 if device.memory_used_mib is None else device.memory_used_mib - device.memory_idle_mib
    return max(beyond, device.process_memory_mib or 0, 0)


def taken_by_others(device: Accelerator, ours: frozenset[str] | None) -> bool:
    """``ours``: the keys of the cards with a lease of ours, ``None`` when that is not known. What a lease of ours leaves
    on a card is not told from what others hold there, so such a card is never said to be taken."""
    return ours is not None and device.key not in ours and held_mib(device) >= HELD_MIB_MIN


def why_taken(device: Accelerator) -> Text:
    """In whole GiB, so that it does not read anew with every allocation."""
    gib = (held_mib(device) + 512) // 1024
    return Text(
        f"Processes that are not of this platform hold about {gib} GiB on this card; it is offered again when they end.",
        f"非本平台的进程占用此卡约 {gib} GiB 显存；这些进程结束后会重新上架。",
    )


def cards_in_use(held: Iterable[Held], hostname: str) -> frozenset[str]:
    """The keys of this host's devices with a lease that has begun or whose work still lives."""
    ours = (h.record.offer for h in held if h.record.stage is not Stage.exited or h.run is Run.live)
    return frozenset(d.key for offer in ours for node in offer.nodes if node.hostname == hostname for d in node.devices)
