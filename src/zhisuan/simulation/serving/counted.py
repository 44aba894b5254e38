"""What a replay comes to, in whole numbers: times in microseconds, shares in millionths, money in 10⁻⁶ yuan."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from zhisuan.base.money import div_half_even
from zhisuan.simulation.serving.replay import Result
from zhisuan.simulation.serving.replica import Call, Speed
from zhisuan.simulation.serving.requests import BLOCK_TOKENS, Trace

HOUR_US = 3_600_000_000
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Of one replica: money for an hour, power when idle and when busy, and the carbon of a kWh."""

    hour_ucny: int
    idle_w: int
    busy_w: int
    carbon_g: int


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """The smallest value that is at least as large as ``percent`` of all (nearest rank); None of nothing."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def spread(values: Sequence[int]) -> dict[str, int | None]:
    ordered = sorted(values)
    found = {f"p{percent}": percentile(ordered, percent) for percent in (50, 90, 99)}
    return {"mean": div_half_even(sum(ordered), len(ordered)) if ordered else None, **found}


def per_token_us(call: Call) -> int | None:
    """Between one token and the next; None for an answer of fewer than two."""
    more = call.request.output_tokens - 1
    return div_half_even(call.ended_us - call.first_us, more) if more > 0 else None


def counted(result: Result, price: Price) -> dict[str, object]:
    done = [call for call in result.calls if call.outcome == "completed"]
    members = result.fleet.members
    paid_us = result.fleet.paid_us(result.end_us)
    busy_us = sum(one.replica.busy_us for one in members)
    joules = div_half_even(price.idle_w * paid_us + (price.busy_w - price.idle_w) * busy_us, 1_000_000)
    waits = [look.waiting for look in result.looks]
    outcomes = Counter(call.outcome for call in result.calls)
    return {
        "requests": len(result.calls),
        **{name: outcomes[name] for name in ("completed", "gave_up", "refused", "too_long")},
        "first_token_us": spread([call.first_us - call.request.at_us for call in done]),
        "per_token_us": spread([each for call in done if (each := per_token_us(call)) is not None]),
        "hit_ppm": share_ppm(sum(call.matched for call in done), sum(len(call.request.blocks) for call in done)),
        "input_tokens": sum(call.request.input_tokens for call in done),
        "cached_tokens": sum(call.cached_tokens for call in done),
        "output_tokens": sum(call.request.output_tokens for call in done),
        "replica_us": paid_us,
        "busy_ppm": share_ppm(busy_us, paid_us),
        "replicas_started": len(members),
        "cost_ucny": div_half_even(paid_us * price.hour_ucny, HOUR_US),
        "energy_wh": div_half_even(joules, 3_600),
        "carbon_g": div_half_even(joules * price.carbon_g, 3_600_000),
        "waiting_mean_ppm": share_ppm(sum(waits), len(waits)),
        "waiting_most": max(waits, default=0),
        "end_us": result.end_us,
    }


def bounds(trace: Trace, speed: Speed) -> dict[str, object]:
    """What no policy can pass, with one endless cache that all replicas share: the share of blocks found, and the time to first
    token on a replica that does nothing else."""
    seen: set[int] = set()
    found = asked = 0
    alone: list[int] = []
    for request in trace.requests:
        matched = _leading(request.blocks, seen)
        seen.update(request.blocks)
        found, asked = found + matched, asked + len(request.blocks)
        alone.append(alone_us(request.input_tokens - min(matched * BLOCK_TOKENS, request.input_tokens - 1), speed))
    return {"hit_ppm": share_ppm(found, asked), "first_token_us": spread(alone)}


def alone_us(unread: int, speed: Speed) -> int:
    chunk = speed.chunk or unread
    full, rest = divmod(unread, chunk)
    return full * speed.step_us(chunk, 0) + (speed.step_us(rest, 0) if rest else 0)


def share_ppm(part: int, whole: int) -> int | None:
    return div_half_even(part * PPM, whole) if whole else None


def _leading(blocks: Sequence[int], seen: set[int]) -> int:
    for count, block in enumerate(blocks):
        if block not in seen:
            return count
    return len(blocks)
