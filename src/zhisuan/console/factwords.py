"""Facts of a trace as people read them: the unit that a name ends in says how its number is shown."""

from collections.abc import Callable, Mapping
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.console.format import (
    bytes_text,
    carbon,
    count,
    du,
    du_unit,
    duration,
    energy,
    fen,
    moment_zoned,
    percent,
    yuan,
)
from zhisuan.console.speech import Speech
from zhisuan.console.text_money import Money
from zhisuan.console.text_overview import Overview
from zhisuan.console.text_trace import Trace
from zhisuan.console.text_work import Work

TIMES = ("at", "first", "last", "first_start", "last_end", "active_from", "active_to")
STATES = {**Work.LEASE_STATES, **Work.STATES}
# The same figure stands beside these as decimal text.
TWICE = {"it_energy_uwh": "it_energy_kwh", "energy_uwh": "energy_kwh", "carbon_ug": "carbon_g", "pue_milli": "pue"}


def shown_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts without those that another one says already."""
    return {k: v for k, v in facts.items() if TWICE.get(k) not in facts and v is not None}


def fact_text(name: str, value: Any, say: Speech) -> str:
    """One fact in words."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return _number(name, value, say)
    if isinstance(value, Mapping):
        return _mapping(name, value, say)
    if isinstance(value, list):
        return " · ".join(fact_text(name, v, say) for v in value)
    if name in TIMES or name.endswith("_at"):
        return moment_zoned(str(value))
    if name == "state":
        return say.named(STATES, value)
    if name == "kind":
        return say.named({**Overview.KIND, **Work.KINDS}, value)
    return say.named(Money.CHANNELS, value) if name == "channel" else str(value)


ENDINGS: tuple[tuple[str, Callable[[int], str]], ...] = (
    ("_udu", du_unit),
    ("_fen", fen),
    ("_ucny", yuan),
    ("_ppm", lambda value: percent(value, 2)),
    ("_milli", lambda value: decimal_text(value, 3, at_least=2)),
    ("_milliwatts", lambda value: f"{decimal_text(value, 3)} W"),
    ("_milliseconds", lambda value: f"{decimal_text(value, 3)} s"),
    ("_bytes", bytes_text),
    ("_uwh", energy),
    ("_ug", carbon),
)


def _number(name: str, value: int, say: Speech) -> str:
    if name.endswith("_udu_per_hour"):
        return f"{du(value)} {say(Work.RATE)}"
    for ending, words in ENDINGS:
        if name.endswith(ending):
            return words(value)
    return f"{count(value)} ({duration(value, say.language)})" if name == "seconds" and value >= 60 else count(value)


def _mapping(name: str, value: Mapping[str, Any], say: Speech) -> str:
    if set(value) == {"en", "zh"}:
        return say.words(value)
    if name == "factor" and {"name", "year", "kg_per_kwh", "source"} <= set(value):
        return say(Money.FACTOR, region=say.words(value["name"]), year=value["year"], kg=value["kg_per_kwh"], source=value["source"])
    if name == "shape" and "items" in value:
        return fact_text(name, value["items"], say)
    if name == "shape" and {"kind", "amount"} <= set(value):
        return f"{value.get('class_id') or value['kind']} × {decimal_text(int(value['amount']), 3)}"
    if name == "chosen" and {"site_name", "node_hostnames"} <= set(value):
        return f"{value['site_name']} / {', '.join(value['node_hostnames'])}"
    if name == "rejected":
        return " · ".join(f"{say.named(Trace.CONSTRAINTS, k)} {v}" for k, v in value.items()) or "–"
    return " · ".join(f"{k} {fact_text(k, v, say)}" for k, v in value.items() if v is not None)
